"""What MkDocs does beyond its own for this repository: pages from scripts, and files that lie outside `docs/`."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
OUTSIDE = (
    *("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"),
    *("results/*.png", "results/coverage.json", "examples/*.py"),
)
"""Files of the repository that pages point to, beside `docs/`; they keep their places in the site."""
_CELL = re.compile(r"^# %%( \[markdown\])?[^\n]*\n", re.MULTILINE)


def page_of_script(text: str) -> str:
    r"""A script in cells as Markdown: those that begin with `# %% [markdown]` as text, those with `# %%` as code.

    Example:
        >>> print(page_of_script("# %% [markdown]\n# # A title\n# Words.\n\n# %%\nprint(1)\n"))
        # A title
        Words.
        <BLANKLINE>
        ```python
        print(1)
        ```
        <BLANKLINE>
    """
    _, *parts = _CELL.split(text)
    pages = []
    for markdown, cell in zip(parts[::2], parts[1::2], strict=True):
        lines = cell.strip("\n").splitlines()
        if markdown:
            pages.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines) + "\n")
        else:
            pages.append("\n".join(["```python", *lines, "```"]) + "\n")
    return "\n".join(pages)


def inside(markdown: str) -> str:
    """Links out of `docs/` to files that the site has, as links within it.

    Example:
        >>> inside("[safe](../SECURITY.md) ![](../results/a.png)"), inside("[one](docs/which.md)")
        ('[safe](SECURITY.md) ![](results/a.png)', '[one](which.md)')
    """
    return re.sub(r"\]\((?:\.\./|docs/)(?=[A-Za-z])", "](", markdown)


def on_files(files: Any, *, config: Any) -> Any:
    """Add the files outside `docs/`, and a page for each tutorial."""
    from mkdocs.structure.files import File

    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.py")):
        name = f"tutorials/{path.stem}.md"
        files.append(File.generated(config, name, content=page_of_script(path.read_text())))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Pages point within the site. Those in folders are a level deeper, and keep their way up."""
    return markdown if "/" in page.file.src_uri else inside(markdown)
