"""Tables for the terminal, and as plain text for `print`."""

import io

from rich.console import Console
from rich.table import Table


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
