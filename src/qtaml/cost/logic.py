"""Decoders in gates and energy, what is known of them, and the area of a gate at a node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qtaml import _checks
from qtaml.cost.figures import Figure
from qtaml.errors import ArgumentError

Latency = Literal["none", "combinational", "sequential", "iterative"]
"""What lies between the sense amplifier and the bit: nothing, gates in one cycle, a syndrome decoder's cycles for a
block, or many passes over a block."""
LATENCIES: tuple[Latency, ...] = ("none", "combinational", "sequential", "iterative")

_SYNTHESIS = "gates after synthesis [M]"
_BIT_FLIPPING = "LDPC decoder by bit flipping, 90 nm [A]"
_SCALING = "scaled by Stillmaker and Baas (Integration 58, 2017), as tabulated in hwcomponents [R]"
_GATE = Figure(0.798, "NAND2_X1 of the Nangate 45 nm library, as quoted in public repositories [R]")
_OF_45NM = {90.0: 2.8, 65.0: 1.5, 45.0: 1.0, 32.0: 0.46, 20.0: 0.21, 16.0: 0.19, 14.0: 0.17, 10.0: 0.1, 7.0: 0.059}
_OF_90NM = {
    90.0: 1.0,
    65.0: 0.53,
    45.0: 0.35,
    32.0: 0.16,
    20.0: 0.075,
    16.0: 0.067,
    14.0: 0.061,
    10.0: 0.036,
    7.0: 0.021,
}
"""Area at a node over that at 45 and 90 nm."""


@dataclass(frozen=True)
class Logic:
    """A decoder.

    Args:
        name: what it reads, such as "majority_3".
        latency: its class.
        gates: two-input NAND gates; or
        area: um2 at 90 nm.
        energy: of a data bit, fJ, at the node of `energy_node`.
        energy_node: nm.
    """

    name: str
    latency: Latency
    gates: Figure | None = None
    area: Figure | None = None
    energy: Figure | None = None
    energy_node: float | None = None

    def area_at(self, node: float) -> Figure | None:
        """Its area in um2 at a node, None where that is not known.

        Between nodes of the table it is that at the next larger one, which is a bound.

        Example:
            >>> print(logic("majority_3").area_at(45.0))
            3.99
        """
        if self.gates is not None and (factor := _factor(_OF_45NM, node)) is not None:
            one = f"{self.gates.source} x {_GATE.source}, 45 nm, {_SCALING}"
            return Figure(self.gates.value * _GATE.value * factor, one, self.gates.top * _GATE.value * factor)
        if self.area is not None and (factor := _factor(_OF_90NM, node)) is not None:
            return Figure(self.area.value * factor, f"{self.area.source}, {_SCALING}", self.area.top * factor)
        return None

    def energy_at(self, node: float) -> Figure | None:
        """Its energy for a data bit in fJ, None at other nodes than that of the source."""
        return self.energy if self.energy_node == node else None


def _factor(table: dict[float, float], node: float) -> float | None:
    larger = [one for one in table if one >= _checks.positive("node", node)]
    # Below the smallest node the area of the smallest is no bound that a source gives.
    return table[min(larger)] if larger and node >= min(table) else None


_GATES: dict[str, tuple[Latency, dict[int, int]]] = {
    "majority": ("combinational", {3: 5, 5: 12, 7: 19}),
    "hamming": ("combinational", {8: 64, 32: 206, 64: 386}),
    "table": ("combinational", {4: 44, 8: 365, 10: 670}),
    "trellis": ("combinational", {12: 922}),
    "bch": ("sequential", {}),
    "entropy": ("sequential", {}),
}
"""Gates of each kind by its size: copies, data bits, bits of a word, bits of a window at most."""
_BLOCK_CODE = Logic(
    "block_code",
    "iterative",
    area=Figure(0.72e6, _BIT_FLIPPING),
    energy=Figure(1.3e3, _BIT_FLIPPING),
    energy_node=90.0,
)


def logic(name: str, own: Sequence[Logic] = ()) -> Logic:
    """The decoder of a name, a kind and a size: the figures of the next larger size, which are a bound.

    Args:
        name: such as "majority_3", "hamming_32", "table_6", "trellis_8", "bch_127", "block_code", "none".
        own: the user's decoders, which come before the built-in ones.

    Raises:
        ArgumentError: if there is no such kind.

    Example:
        >>> print(logic("table_6").gates, logic("majority_9").gates)
        365 None
    """
    for one in own:
        if one.name == name:
            return one
    kind, _, size = name.rpartition("_")
    if name in ("none", "ideal"):
        return Logic(name, "none", gates=Figure(0.0, "no decoder") if name == "none" else None)
    if name == "block_code":
        return _BLOCK_CODE
    latency, gates = _GATES[_checks.one_of("decoder", kind, (*_GATES, "none", "ideal", "block_code"))]
    if not size.isdecimal():
        raise ArgumentError(f"decoder must be a kind and a size such as 'majority_3', got {name!r}")
    larger = [one for one in gates if one >= int(size)]
    if not larger:
        return Logic(name, latency)
    bound = "" if min(larger) == int(size) else f", those of {kind}_{min(larger)}: a bound"
    return Logic(name, latency, Figure(gates[min(larger)], f"{_SYNTHESIS}{bound}"))
