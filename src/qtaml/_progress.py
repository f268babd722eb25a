"""Progress of long work, on standard error, where a person is watching."""

import math
import sys
import time
from collections.abc import Collection, Generator, Iterable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

# A context variable: a thread does not take the display of another thread for its outer one.
_active: "ContextVar[_Display | None]" = ContextVar("_active", default=None)
_SECONDS = 30
"""Between two lines where there is no terminal."""


class _Display(Progress):
    """A display that knows when the next line is due where it shows no bars."""

    next_line = math.inf
    ended = False


def track(items: Collection[T], description: str, order: Iterable[T] | None = None) -> Generator[T]:
    """Yield the items, with a progress bar and the time left if standard error is a terminal, or in a notebook.

    Inside another tracked loop the bar becomes one more line of the same display. Elsewhere, as in a file of a batch
    job, a line comes every half minute.

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
    if outer is not None and outer.ended:
        # A loop that was broken off resets the variable when it is collected, which may be inside another loop.
        outer = None
    progress = outer or _new_progress()
    token = _active.set(progress)
    try:
        with nullcontext() if outer else progress:
            task = progress.add_task(description, total=len(items))
            try:
                for number, item in enumerate(items if order is None else order, 1):
                    yield item
                    progress.advance(task)
                    _log(progress, f"{description}: {number} of {len(items)}")
            finally:
                # Also if the caller stops early: the line would stay.
                progress.remove_task(task)
    finally:
        progress.ended = progress.ended or outer is None
        _active.reset(token)


def be_silent() -> None:
    """Show nothing from now on: for a worker process, whose parent shows the progress of the whole."""
    _active.set(_Display(disable=True))


def _log(display: _Display, line: str) -> None:
    if time.monotonic() >= display.next_line:
        print(f"qtaml: {line}", file=sys.stderr)
        display.next_line = time.monotonic() + _SECONDS


def _new_progress() -> _Display:
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal or console.is_jupyter
    display = _Display(*columns, console=console, transient=True, disable=not shown)
    if not shown:
        display.next_line = time.monotonic() + _SECONDS
    return display
