"""Tables as text, so that tests look at what is shown."""

from rich.console import Console
from rich.table import Table


def shown(table: Table) -> str:
    """The text of a table, wide enough that no cell is cut."""
    console = Console(width=300)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
