"""What a report shows of stored networks: one record, written as JSON."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pydantic

from qtaml import _files
from qtaml.faults import AnyFault
from qtaml.measuring import Estimate, Result, Yield
from qtaml.planning import AnySettings
from qtaml.sensitivity import Gain

Better = Literal["higher", "lower"]
"""Which values of a metric are the good ones."""


@dataclass(frozen=True)
class BitCells:
    """Cells of one bit position of a tensor under one protection.

    Attributes:
        bit: position, 0 the least significant.
        protection: what keeps it.
        cells: that they take.
    """

    bit: int
    protection: str
    cells: float


@dataclass(frozen=True)
class TensorOverview:
    """How one tensor is stored, and what that costs.

    Attributes:
        name: its name.
        aliases: further names under which the model holds it.
        shape: its shape.
        weights: number of weights.
        bits: bits of a word.
        levels: what the labels stand for.
        correction: which label a weight gets.
        cells: of its words.
        side_cells: of scales, tables and other side values.
        by_bit: its cells by bit and protection, the most significant bit first.
        error_share: share of the predicted output error; None without a gain.
        gain: how strongly its errors act on the output; None where that was not measured.
    """

    name: str
    aliases: tuple[str, ...]
    shape: tuple[int, ...]
    weights: int
    bits: int
    levels: str
    correction: str
    cells: float
    side_cells: float
    by_bit: tuple[BitCells, ...]
    error_share: float | None
    gain: Gain | None


@dataclass(frozen=True)
class ErrorsOfWeights:
    """The law of the error of the weights of a tensor, read minus stored, in units of the scale.

    Attributes:
        edges: of the bins of errors; weights that are read right are in none.
        expected: share of the weights in each bin, by the exact law.
        seen: share of what was read in each bin.
        low: lower ends of the intervals of `seen`, 95%, as if weights erred independently of each other.
        high: upper ends.
        right: share that is read right, by the law.
        right_seen: the same, of what was read.
        read: number of weights read.
    """

    edges: tuple[float, ...]
    expected: tuple[float, ...]
    seen: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    right: float
    right_seen: float
    read: int


@dataclass(frozen=True)
class WeightsOverview:
    """The weights of one tensor as stored, in units of the scale.

    Attributes:
        name: of the tensor.
        levels: values that are stored, ascending; at most 256, neighbours joined where there are more.
        shares: share of the weights at each.
        edges: of the bins of the trained weights; empty if the trained network is not known.
        trained: share of the trained weights in each bin.
        errors: law of their errors; None for words of more than 10 bits.
    """

    name: str
    levels: tuple[float, ...]
    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    trained: tuple[float, ...] = ()
    errors: ErrorsOfWeights | None = None


@dataclass(frozen=True)
class CurvePoint:
    """A stored network read in another memory than that of its plan.

    Attributes:
        at: where on the axis, such as p.
        fault: the memory.
        metric: the metric there; None where it was not measured.
        noise_error: predicted output error that differs from read to read; None without gains.
        shares: of it, by tensor, in the order of `NetworkOverview.details`.
    """

    at: float
    fault: AnyFault
    metric: Estimate | None
    noise_error: float | None
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class NetworkOverview:
    """One stored network.

    Attributes:
        name: what it is called.
        settings: what the method was asked.
        fault: the memory that it is read from.
        weights: number of stored weights.
        cells: as a share of a plain memory.
        plain_bits: bits of a word of the plain memory.
        tensors: all tensors.
        details: weights and errors of those that matter most; empty for a plan alone.
        predicted_error: mean squared output error that the plan predicts; None if it does not.
        output_power: mean square of the outputs; None where that was not measured.
        remarks: what one should know of the plan.
        plan_sha256: checksum of the plan's JSON.
        words_sha256: checksum of the stored words; None for a plan alone.
        made_with: versions of what made the plan.
        result: the metric over reads; None where it was not measured.
        chips: the metric chip by chip; likewise.
        without_errors: the metric of the stored words read without errors; likewise.
        curve: the network in other memories, by ascending place on the axis.
        holds_to: the last place on the curve, from the planned one on, up to which the interval is on the good side of
            the bar; None if there is none.
    """

    name: str
    settings: AnySettings
    fault: AnyFault
    weights: int
    cells: float
    plain_bits: int
    tensors: tuple[TensorOverview, ...]
    details: tuple[WeightsOverview, ...] = ()
    predicted_error: float | None = None
    output_power: float | None = None
    remarks: tuple[str, ...] = ()
    plan_sha256: str = ""
    words_sha256: str | None = None
    made_with: dict[str, str] = field(default_factory=dict)
    result: Result | None = None
    chips: Yield | None = None
    without_errors: Estimate | None = None
    curve: tuple[CurvePoint, ...] = ()
    holds_to: float | None = None


@dataclass(frozen=True)
class Reference:
    """What stored networks are held against.

    Attributes:
        name: a baseline, or a limit.
        kind: "baseline", which was measured, or "limit", which follows from theory.
        cells: as a share of a plain memory.
        metric: of a baseline; None for a limit that holds for every network.
        note: what it is.
    """

    name: str
    kind: Literal["baseline", "limit"]
    cells: float
    metric: Estimate | None
    note: str


@dataclass(frozen=True)
class Comparison:
    """Two stored networks.

    Attributes:
        first: name of the one.
        second: name of the other.
        difference: metric of the first minus that of the second, paired read by read.
    """

    first: str
    second: str
    difference: Estimate


@dataclass(frozen=True)
class Overview:
    """What a report shows.

    Attributes:
        networks: the stored networks.
        metric: what was measured; empty if nothing was.
        is_share: it is a share, and shown in per cent.
        better: which values of it are the good ones.
        bar: the value that a good chip reaches; None if nothing was measured.
        trained: the metric of the trained network outside of the leaking memory; None if that is not known.
        axis: name of the axis of the curves; empty if there are none.
        planned: place of the first network's plan on it; None if it is not on it.
        references: baselines and limits.
        comparisons: of the other networks with the first.
        missing: what is not shown, and why, in sentences.
        trials: reads of each measurement.
        seed: of all errors.
        command: what makes the report again.
        versions: versions of what made it.
    """

    networks: tuple[NetworkOverview, ...]
    metric: str = ""
    is_share: bool = False
    better: Better = "higher"
    bar: float | None = None
    trained: Estimate | None = None
    axis: str = ""
    planned: float | None = None
    references: tuple[Reference, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    missing: tuple[str, ...] = ()
    trials: int = 0
    seed: int = 0
    command: str = ""
    versions: dict[str, str] = field(default_factory=_files.versions)
    # JSON has no infinite numbers: they are written as "Infinity".
    __pydantic_config__: ClassVar = pydantic.ConfigDict(ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """The overview as JSON."""
        return _files.to_json(self)

    @staticmethod
    def from_json(text: str) -> "Overview":
        """The overview that a JSON text holds.

        Raises:
            StoredFileError: if the text is not an overview.
        """
        return _files.from_json(Overview, text, "the text")
