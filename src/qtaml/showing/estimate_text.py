"""Estimates as text for table cells, and as columns of numbers for curves."""

import re
from collections.abc import Iterable
from typing import Literal

from qtaml.errors import ArgumentError
from qtaml.measuring import Estimate


def columns(estimates: Iterable[Estimate], scale: float = 1.0) -> tuple[list[float], list[float], list[float]]:
    """Values, lower and upper ends of estimates, each times `scale`: `mean`, `low` and `high` of a `Curve`.

    Example:
        >>> columns([Estimate(0.5, 0.4, 0.6, "reads")], 100)
        ([50.0], [40.0], [60.0])
    """
    scaled = [estimate.scaled(scale) for estimate in estimates]
    return [one.value for one in scaled], [one.low for one in scaled], [one.high for one in scaled]


def cell(estimate: Estimate | None, form: str = ".3g", scale: float = 1.0) -> str:
    """Value and half the width of its interval; a dash for None.

    Example:
        >>> cell(Estimate(0.5, 0.4, 0.6, "reads"), ".1f", 100), cell(None)
        ('50.0 ± 10.0', '-')
    """
    if estimate is None:
        return "-"
    if not re.fullmatch(r"[+ ]?\d*(\.\d+)?[efg]", form):
        raise ArgumentError(f"form must be the format of a number such as '.3g', got {form!r}")
    scaled = estimate.scaled(scale)
    # One digit of the interval: two digits of an uncertainty are noise. With fixed decimals both have the same ones.
    return f"{scaled.value:{form}} ± {(scaled.high - scaled.low) / 2:{'.1g' if form.endswith('g') else form}}"


def percent(estimate: Estimate | None, sign: Literal["", "+"] = "") -> str:
    """Value and interval in per cent; a dash for None.

    Args:
        estimate: a share.
        sign: "+" shows the sign of positive numbers too.

    Example:
        >>> percent(Estimate(0.02, 0.01, 0.03, "reads"), "+")
        '+2.0 [+1.0, +3.0]'
    """
    return "-" if estimate is None else format(estimate.scaled(100), f"{sign}.1f")
