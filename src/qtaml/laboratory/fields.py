"""Estimates in flat rows: `x` with `x_low` and `x_high` beside it, and how they are shown."""

from collections.abc import Sequence
from typing import Any, Literal

from rich.table import Table

from qtaml.measuring import Estimate, trainings_interval


def positive_interval(values: Sequence[float]) -> Estimate:
    """Interval over trained networks of a number that cannot be below 0, one for each; see `trainings_interval`.

    Example:
        >>> positive_interval([0.1, 1.0]).low
        0.0
    """
    mean, low, high = trainings_interval(values)
    return Estimate(mean, max(low, 0.0), high)


def interval_fields(**estimates: Estimate | None) -> dict[str, Any]:
    """Fields of a row from estimates by name; None gives None three times.

    Example:
        >>> interval_fields(score=Estimate(2.0, 1.0, 3.0))
        {'score': 2.0, 'score_low': 1.0, 'score_high': 3.0}
    """
    ends = ("", "_low", "_high")
    return {
        f"{name}{end}": value
        for name, estimate in estimates.items()
        for end, value in zip(ends, estimate or (None, None, None), strict=True)
    }


def columns(rows: Sequence[Any], name: str, scale: float = 1.0) -> tuple[list[float], list[float], list[float]]:
    """Means, lower and upper ends of a field of rows, each times `scale`: what `Curve` draws."""
    mean, low, high = ([scale * getattr(row, f"{name}{end}") for row in rows] for end in ("", "_low", "_high"))
    return mean, low, high


def cell(row: Any, name: str, form: str = ".3g", scale: float = 1.0) -> str:
    """Mean and half its interval as text; a dash if there is none."""
    if getattr(row, name) is None:
        return "-"
    (mean,), (low,), (high,) = columns([row], name, scale)
    return f"{mean:{form}} ± {(high - low) / 2:{'.1g' if form.endswith('g') else form}}"


def percent(row: Any, name: str, sign: Literal["", "+"] = "") -> str:
    """An estimate of a row with its interval, in per cent; "-" if it has none.

    Args:
        row: has the fields `name`, `name`_low and `name`_high.
        name: the estimate.
        sign: "+" shows the sign of positive numbers too.
    """
    if getattr(row, name) is None:
        return "-"
    mean, low, high = (f"{end:{sign}.1f}" for (end,) in columns([row], name, 100))
    return f"{mean} [{low}, {high}]"


def covered(trainings: int) -> str:
    """What the intervals of `Measured.estimate` are for."""
    return "trainings and reads" if trainings > 1 else "reads and test samples"


def captioned_table(title: str, caption: str) -> Table:
    """A table without columns yet, its title and caption at the left."""
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left")
