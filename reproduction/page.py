"""The page that sets the paper's claims beside what was measured. Gets finished texts; computes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A claim and what became of it.

    Attributes:
        where: its place in the paper.
        says: what it says.
        measured: the numbers.
        verdict: whether it holds.
        why: one or two sentences.
    """

    where: str
    says: str
    measured: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Part:
    """A table or figure of the paper.

    Attributes:
        name: such as "figure1".
        title: what it shows.
        findings: claims that it decides.
        picture: link to its picture; None if it has none.
    """

    name: str
    title: str
    findings: tuple[Finding, ...]
    picture: str | None


def reproduction_page(
    introduction: Sequence[str],
    parts: Sequence[Part],
    remarks: Sequence[tuple[str, str]],
    choices: Sequence[str],
) -> str:
    """The page as markdown.

    Args:
        introduction: paragraphs on how the results are made.
        parts: tables and figures with their findings.
        remarks: title and paragraph of each point where the paper errs or overclaims.
        choices: what was chosen where the paper's text lost its numbers.

    Returns:
        Markdown text.

    Example:
        >>> finding = Finding("section 5", "It works.", "1 of 1", "holds", "It does.")
        >>> page = reproduction_page(["Made by hand."], [Part("table1", "Work", (finding,), None)], [], [])
        >>> "| It works. | [table1](#table1) | **holds** |" in page
        True
    """
    lines = ["# The paper, reproduced", "", *_paragraphs(introduction), "## Verdicts", ""]
    lines += ["| The paper's claim | Decided by | Verdict |", "| --- | --- | --- |"]
    lines += [
        f"| {_plain(finding.says)} | [{part.name}](#{part.name}) | **{finding.verdict}** |"
        for part in parts
        for finding in part.findings
    ]
    lines += ["", "## Tables and figures", ""]
    for part in parts:
        lines += [f"### {part.name}", "", f"{part.title}.", ""]
        for finding in part.findings:
            lines += [f"**{_plain(finding.says)}** ({finding.where})", ""]
            lines += [f"- Measured: {_plain(finding.measured)}."]
            lines += [f"- Verdict: **{finding.verdict}**. {_plain(finding.why)}", ""]
        if part.picture:
            lines += [f"![{part.title}]({part.picture})", ""]
    if remarks:
        lines += ["## Where the paper errs or overclaims", ""]
        lines += _paragraphs(
            [f"{number}. **{_plain(title)}.** {_plain(text)}" for number, (title, text) in enumerate(remarks, 1)]
        )
    if choices:
        lines += [
            "## What was chosen where the paper's text lost its numbers",
            "",
            *(f"- {_plain(one)}" for one in choices),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """As it is read: no emphasis by the asterisk of rho*, no table by bars."""
    return text.replace("*", r"\*").replace("|", r"\|")


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (text, "")]
