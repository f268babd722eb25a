"""Progress of long work, on standard error, where a person is watching."""

import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

# A context variable: a thread does not take the display of another thread for its outer one.
_active: ContextVar[Progress | None] = ContextVar("_active", default=None)


def track(items: Collection[T], description: str, order: Iterable[T] | None = None) -> Iterator[T]:
    """Yield the items, with a progress bar and the time left if standard error is a terminal, or in a notebook.

    Inside another tracked loop the bar becomes one more line of the same display.

    Args:
        items: what is gone through.
        description: what the bar says.
        order: the same items in the order in which they come; that of `items` if not given.

    Example:
        >>> list(track([1, 2], "counting"))
        [1, 2]
    """
    # Two live displays on one terminal overwrite each other, or Rich refuses the second.
    outer = _active.get()
    progress = outer or _new_progress()
    token = _active.set(progress)
    try:
        with nullcontext() if outer else progress:
            task = progress.add_task(description, total=len(items))
            try:
                for item in items if order is None else order:
                    yield item
                    progress.advance(task)
            finally:
                # Also if the caller stops early: the line would stay.
                progress.remove_task(task)
    finally:
        _active.reset(token)


def be_silent() -> None:
    """Show nothing from now on: for a worker process, whose parent shows the progress of the whole."""
    _active.set(Progress(disable=True))


def _new_progress() -> Progress:
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not (console.is_terminal or console.is_jupyter))
