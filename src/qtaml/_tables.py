"""Tables for the terminal, as plain text for `print`, as HTML for notebooks, as data frames."""

import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qtaml.errors import QtamlError


def captioned_table(title: str, caption: str) -> Table:
    """A table without columns yet, its title and caption at the left."""
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left")


def as_text(table: Table, width: int = 132) -> str:
    r"""A table as lines of plain text: what `__str__` of a result gives.

    Args:
        table: the table.
        width: the most characters of a line; longer cells are wrapped.

    Example:
        >>> table = Table("bit", box=None)
        >>> table.add_row("7")
        >>> as_text(table)
        ' bit\n 7'
    """
    # Without a colour system no escape code is written, not even those of italic titles on a terminal.
    console = Console(width=width, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def as_html(table: Table, most: int = 40) -> str:
    """A table as plain HTML, for notebooks; names in it are text, whatever they hold.

    Args:
        table: the table.
        most: rows that are shown; of longer tables the number of the others is said.

    Example:
        >>> table = Table("bit")
        >>> table.add_row("[b]7[/b]")
        >>> as_html(table)
        '<table><thead><tr><th>bit</th></tr></thead><tbody><tr><td>7</td></tr></tbody></table>'
    """
    rows = list(zip(*(map(_plain, column.cells) for column in table.columns), strict=True))
    title, caption = (_plain(text) for text in (table.title, table.caption))
    if len(rows) > most:
        caption = f"{len(rows) - most:,} further rows\n{caption}"
    body = "".join(_line(row, "td") for row in rows[:most])
    head = _line([_plain(column.header) for column in table.columns], "th")
    shown = f"<table>{f'<thead>{head}</thead>' if table.show_header else ''}<tbody>{body}</tbody></table>"
    above, below = (f"<p>{html.escape(text).replace(chr(10), '<br>')}</p>" if text else "" for text in (title, caption))
    return above + shown + below


def as_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a data frame of pandas.

    Raises:
        QtamlError: if pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise QtamlError("data frames need pandas: pip install 'qtaml[pandas]'") from error
    return pandas.DataFrame.from_records(list(rows))


def _plain(cell: Any) -> str:
    """What a cell says, without the markup of Rich."""
    if cell is None:
        return ""
    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain


def _line(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
