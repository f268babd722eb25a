"""The book of formulas, docs/theory.md: every `theory.md N.M` in the repository leads to a section, and back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "docs" / "theory.md"
CODE = ("src", "benchmarks", "reproduction", "tools")
FOLDERS = (*CODE, "tests", "docs", "examples")

NUMBER = r"\d+(?:\.\d+)?(?![.]?\w)"
REMARK = r"(?:\s*\([^()]*\))?"
CITATION = re.compile(
    # Blanks and comment signs may stand before a section that begins the next line.
    rf"theory\.md`?(?:[\s#]+(?:sections?\s+)?(?P<sections>{NUMBER}"
    rf"(?:{REMARK}(?:\s*,\s*(?:and\s+)?|\s+(?:and|to|or)\s+){NUMBER})*))?",
    re.IGNORECASE,
)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\([^()\s]*theory\.md(?:#(?P<anchor>[^()\s]*))?\)")


def headings(book: str) -> list[str]:
    """Titles of the numbered sections in their order, such as `1.4 Protected top bits`."""
    prose = re.sub(r"^```.*?^```", "", book, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#{2,3} (\d.*)$", prose, flags=re.MULTILINE)


def section_of(title: str) -> str:
    """Number of a section: 1.4 of `1.4 Protected top bits`, 7 of `7. Where the paper errs`."""
    return title.split()[0].rstrip(".")


def anchor_of(title: str) -> str:
    """What GitHub makes of a heading for links."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def citations(text: str) -> list[tuple[int, list[str]]]:
    """Line and cited sections of each mention of the book; no sections where it is bare. Links without are left out."""
    # Replaced by as many lines, so that the lines of what follows stay.
    text = LINK.sub(lambda link: link["text"] if re.search(NUMBER, link["text"]) else "\n" * link[0].count("\n"), text)
    return [
        (text.count("\n", 0, found.start()) + 1, re.findall(NUMBER, re.sub(r"\([^()]*\)", "", found["sections"] or "")))
        for found in CITATION.finditer(text)
    ]


def unresolved(text: str, book: str) -> list[tuple[int, str]]:
    """Line and number of each cited section that is no heading of the book."""
    known = {section_of(title) for title in headings(book)}
    return [(line, section) for line, sections in citations(text) for section in sections if section not in known]


def names_after(label: str, book: str) -> set[str]:
    """Names in backquotes after `Code:` or `Tests:`, up to the other label or the end of the paragraph."""
    parts = re.findall(rf"\b{label}:\s(.*?)(?=\bTests:\s|\n\n|\Z)", book, flags=re.DOTALL)
    return {name for part in parts for name in re.findall(r"`([A-Za-z_][\w.]*)`", part)}


def source_of(*folders: str) -> str:
    """All Python source in the folders that exist."""
    return "\n".join(path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py"))


def citing_files() -> list[Path]:
    """Every source file and page that mentions the book, but for this one."""
    paths = [path for name in FOLDERS for kind in ("*.py", "*.md") for path in (ROOT / name).rglob(kind)]
    return [
        path
        for path in sorted([*paths, *ROOT.glob("*.md")])
        if path != Path(__file__).resolve() and "theory.md" in path.read_text(encoding="utf-8").lower()
    ]


@pytest.fixture(scope="module")
def book() -> str:
    """Text of the book."""
    return BOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_citation_resolves(book):
    """Each section that a file cites is a heading of the book, and each link to a heading has its anchor."""
    anchors, wrong = {anchor_of(title) for title in headings(book)}, {}
    for path in citing_files():
        text = path.read_text(encoding="utf-8")
        links = {link["anchor"] for link in LINK.finditer(text) if link["anchor"]}
        if found := [*unresolved(text, book), *sorted(links - anchors)]:
            wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}


def test_no_citation_is_bare():
    """The name of the book is followed by a section, except where a page links to the whole book."""
    bare = {
        str(path.relative_to(ROOT)): lines
        for path in citing_files()
        if (lines := [line for line, sections in citations(path.read_text(encoding="utf-8")) if not sections])
    }
    assert bare == {}, "lines that cite theory.md without a section"


def test_the_book_is_cited():
    """The search finds the files: most modules of the physics and of the theory cite it."""
    assert len(citing_files()) > 50


def test_sections_are_numbered_in_order(book):
    """Each number once, ascending, so that a number has one meaning."""
    numbers = [tuple(map(int, section_of(title).split("."))) for title in headings(book)]
    assert numbers == sorted(set(numbers))


def test_the_contents_list_is_complete(book):
    """It links to every section but the parts of section 0, and every link within the book has its heading."""
    titles = headings(book)
    linked = set(re.findall(r"\]\(#([^)]*)\)", book))
    named = {anchor_of(title) for title in re.findall(r"^## ([^\d].*)$", book, flags=re.MULTILINE)}
    assert {anchor_of(title) for title in titles if not title.startswith("0.")} <= linked
    assert linked <= {anchor_of(title) for title in titles} | named


def test_the_code_that_the_book_names_exists(book):
    """Each name after `Code:` is a word of the source, wherever it has moved to."""
    words = set(re.findall(r"\w+", source_of(*CODE)))
    names = names_after("Code", book)
    assert len(names) > 100
    assert {name for name in names if name.split(".")[-1] not in words} == set()


def test_the_tests_that_the_book_names_exist(book):
    """Each name after `Tests:` is defined in the folder of tests."""
    defined = set(re.findall(r"def (test_\w+)", source_of("tests")))
    names = names_after("Tests", book)
    assert len(names) > 80
    assert names - defined == set()


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("theory.md 1.4.", ["1.4"]),
        ("paper, theorem 3.1; theory.md 7, point 2", ["7"]),
        ("theory.md 1.2 to 1.4 and 3 give closed forms", ["1.2", "1.4", "3"]),
        ("(section 5.2); `theory.md` 5.4 says what", ["5.4"]),
        ("theory.md 1.1, 2.4: the (n+1)-th of N", ["1.1", "2.4"]),
        ("theory.md 1.3, 1.4 and 6.", ["1.3", "1.4", "6"]),
        ("theory.md 1.7 (coherent errors) and 6.5.", ["1.7", "6.5"]),
        ("theory.md 2.2 (Lenzlinger and Snow 1969).", ["2.2"]),
        ("theory.md 5.3; 3GPP TS 38.212, 5.3.2.", ["5.3"]),
        ("points of theory.md section 7 as", ["7"]),
        ("Theory.md sections 1.5 and 1.6", ["1.5", "1.6"]),
        ("as proved in theory.md\n        1.4", ["1.4"]),
        ("# as proved in theory.md\n# 1.4", ["1.4"]),
        ("printed as 2.06 in theory.md; it is 2.0546", []),
        ("the closed forms of theory.md against enumeration", []),
        ("see [`theory.md` 5.4](theory.md#54-what)", ["5.4"]),
        ("theory.md 1.4.2", []),
    ],
)
def test_forms_of_a_citation(text, sections):
    """All that is in use: lists, ranges, remarks, backquotes, line ends; what has no section is bare."""
    assert [found for _, found in citations(text)] == [sections]


def test_a_link_to_the_whole_book_is_no_citation():
    """Pages may link to it without a section; the lines of what follows are still counted right."""
    assert citations("[the book](docs/theory.md) and\n[formulas](theory.md#7-where)\n\ntheory.md 1.1") == [(4, ["1.1"])]


def test_a_wrong_citation_would_be_found(book):
    """The check sees sections that do not exist, and where they are cited."""
    assert unresolved("fine: theory.md 1.4\nwrong: theory.md 1.4, 9.9 and 12", book) == [(2, "9.9"), (2, "12")]
    assert unresolved("theory.md 1.4", "## 1. Something\n\n```\n## 1.4 In code\n```\n") == [(1, "1.4")]
