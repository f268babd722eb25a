"""How often each bit of each tensor may be read wrong, under one budget of output error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from qtaml import _checks, _tables
from qtaml.formats import quantisation_step
from qtaml.sensitivity import Calibration
from qtaml.theory import allowable_rates


@dataclass(frozen=True)
class AllowedFlips:
    """One bit position of one tensor.

    Attributes:
        tensor: its name.
        bit: position, 0 the least significant.
        cells: bits of this kind.
        effect: mean squared output error of one such bit that is always wrong.
        p: allowed flip probability.
        hardening: refreshes for each one of a cell at the largest p; where p falls by thickness or area, ln(largest/p),
            the share of the exponent that is to be added.
    """

    tensor: str
    bit: int
    cells: int
    effect: float
    p: float
    hardening: float


class AllowedFlipsTable(tuple[AllowedFlips, ...]):
    """Tuple of `AllowedFlips` that prints as a table: a row for each tensor, a column for each bit."""

    def __str__(self) -> str:
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def table(self) -> Table:
        """A row for each tensor, most significant bit first."""
        bits = sorted({one.bit for one in self}, reverse=True)
        error = sum(one.cells * one.effect * one.p for one in self)
        table = _tables.captioned_table("allowed flip probabilities", f"output error of all together: {error:.4g}")
        for column in ("tensor", *(f"bit {bit}" for bit in bits)):
            table.add_column(column, justify="left" if column == "tensor" else "right")
        by_place = {(one.tensor, one.bit): one.p for one in self}
        for name in dict.fromkeys(one.tensor for one in self):
            table.add_row(name, *(f"{by_place[name, bit]:.2g}" for bit in bits))
        return table

    def to_pandas(self) -> Any:
        """A data frame with a row for each bit of each tensor.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame([vars(one) for one in self])


def allowed_flips(
    calibration: Calibration, error: float, *, order: float, most: float = 0.5, bits: int = 8
) -> AllowedFlipsTable:
    """Allowed flip probability of each bit of each tensor in plain offset-binary words, at the least cost of hardening.

    Args:
        calibration: what was measured of the network.
        error: allowed mean squared output error, to first order.
        order: how steeply p falls with the refresh rate: p ~ window**order; `math.inf` where a barrier's thickness or a
            cell's area is what is chosen.
        most: largest p, in (0, 1].
        bits: of a word.

    Raises:
        ArgumentError: if an argument is out of its range.

    Source:
        theory.md 10.2.
    """
    places = range(_checks.integer("bits", bits, 2, 16))
    weights, gains = calibration.weights, calibration.gains
    steps = {name: quantisation_step(bits) * float(weight.abs().max()) for name, weight in weights.items()}
    classes = [(name, bit, gains[name].squared * (2**bit * steps[name]) ** 2) for name in weights for bit in places]
    sizes = [weights[name].numel() for name, _, _ in classes]
    rates = allowable_rates([effect for _, _, effect in classes], sizes, error, order=order, most=most)
    return AllowedFlipsTable(
        AllowedFlips(name, bit, size, effect, float(p), harder)
        for (name, bit, effect), size, p, harder in zip(
            classes, sizes, rates, _hardening(rates.tolist(), order, most), strict=True
        )
    )


def _hardening(rates: Sequence[float], order: float, most: float) -> list[float]:
    ratios = np.asarray(most) / np.asarray(rates)
    return [float(one) for one in (np.log(ratios) if math.isinf(order) else ratios ** (1 / order))]
