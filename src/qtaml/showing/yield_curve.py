"""The yield of a stored network: which share of the chips reaches which value of the metric."""

from qtaml._figures import Curve, Panel
from qtaml.measuring import Yield
from qtaml.showing.estimate_text import columns


def yield_panel(chips: Yield, metric: str = "metric") -> Panel:
    """The share of chips whose metric is at least x, over x, with Clopper and Pearson's interval at each x as a band.

    Args:
        chips: the metric of each chip.
        metric: its name.

    Example:
        >>> from qtaml.faults import Uniform
        >>> chips = Yield((0.5, 0.75, 0.75), trials=1, fault=Uniform(0.1), seed=0, confidence=0.95)
        >>> curve = yield_panel(chips).curves[0]
        >>> curve.x, [round(share) for share in curve.mean]
        ((0.5, 0.75), [100, 67])
    """
    x, shares = chips.curve()
    return Panel(
        [Curve(f"{len(chips.values):,} chips", x, *columns(shares, 100), steps=True)],
        f"Yield, with {100 * chips.confidence:g}% intervals",
        metric,
        "chips that reach it (%)",
        limits=(0.0, 105.0),
        legend="none",
    )
