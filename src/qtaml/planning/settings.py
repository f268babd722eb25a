"""What can be asked of each method: one frozen record, checked when it is made.

The record of a method is all that is written of its settings: the keyword arguments of the function (`takes`), the
options of the command, the table of a sweep file and what a plan keeps come from it, and their help from its
`Attributes:`. A new method is one more record here and in `AnySettings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import FlipProbability, GivenDevice
from qtaml.formats import (
    Correction,
    Encoding,
    Granularity,
    Grid,
    Nonfinite,
    Step,
)
from qtaml.planning.allocation import Allocation
from qtaml.planning.base_settings import GivenOutput, Settings
from qtaml.planning.design_settings import Design
from qtaml.planning.words import WordScale, word_levels

Decision = Literal["measured", "predicted", "always"]


@dataclass(frozen=True, kw_only=True)
class Tac(Settings):
    """Tunneling-Aware Compensation; see `qtaml.compensate`.

    Attributes:
        overhead: cells spent beyond a plain memory, as a share of it: 0 for none, 0.03 for 3%, 1 for every bit
            protected.
        bits: bits of a word, 2 to 16.
        encoding: labels of the levels.
        grid: the symmetric "half_step", or the paper's "integer".
        levels: a named table in place of bits, encoding and grid: "int4", "nf4", "fp4_e2m1", "fp6_e2m3",
            "fp8_e4m3", "fp8_e5m2", "fp16" or "bf16".
        scale: what words are in units of: the "largest" weight, or 1 with "none", so that a named format, or the grid
            "integer", holds the numbers, or the codes of a quantised network, as they are.
        nonfinite: what infinity and NaN, which errors make in float words, are read as: "clamp" (the largest number of
            that sign; 0), "zero", or "keep" (as they are; plans that predict an error refuse it).
        granularity: one scale for each "tensor", each "row" (first dimension), or each group of so many weights of
            a row.
        allocation: "split" (optimal; one tensor may have two depths), "integer" (optimal without), or the paper's
            "greedy".
        correction: mean correction inside the protected cell ("exact", theory.md 1.4), the paper's factor ("paper"),
            the label of the least expected error ("least_error", theory.md 6.1), or "none".
        step: "keep" the quantisation step under correction, or "recompute" it.
        decision: what decides about the correction of a tensor: "measured" reads (step 3), "predicted" to first order
            from `passes` backward passes for all tensors together, where there are many, or "always" correct.
        floors: least protected bits by pattern of tensor names, such as {"block*": 1}.
        residual_floor: least protected bits of tensors inside residual branches, found in the traced graph.
        passes: backward passes of step 1.
        trials: reads for each tensor and way in step 3; of networks of more than four million weights, four where these
            tell the difference within 5%.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no calibration sample reaches (`Plan.unreached`), over the median gain of
            the others; 0 takes it that no other sample reaches it either.
        beyond_first_order: where the predicted error is not small, also plan by gains at reads of the plan before, and
            compare with Uniform-MSP by forward passes; False is the paper's algorithm.
        seed: seed of steps 1 and 3.
        output: the output that counts: a key or attribute of what the network returns, such as "logits", a place in a
            tuple, such as "1", or "embedding", the mean over the tokens with norm 1; in Python also a function of what
            it returns. The first, or "logits", if not given.

    Example:
        >>> print(Tac(p=0.1, overhead=0.03, allocation="integer"))
        Tac(fault=Uniform(p=0.1), overhead=0.03, allocation='integer')
    """

    overhead: float
    bits: int = 8
    encoding: Encoding = "offset_binary"
    grid: Grid = "half_step"
    levels: str | None = None
    scale: WordScale = "largest"
    nonfinite: Nonfinite = "clamp"
    granularity: Granularity = "tensor"
    allocation: Allocation = "split"
    correction: Correction = "exact"
    step: Step = "keep"
    decision: Decision = "measured"
    floors: Mapping[str, int] = field(default_factory=dict, hash=False)
    residual_floor: int = 0
    passes: int = 32
    trials: int = 8
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    unreached_floor: float = 1.0
    beyond_first_order: bool = True
    seed: int = 0
    output: GivenOutput = None
    kind: Literal["tac"] = field(default="tac", repr=False)

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None, window: float | None) -> None:
        super().__post_init__(p, device, window)
        bits = word_levels(self).bits
        object.__setattr__(self, "floors", self._checked_floors(bits))
        _checks.integer("residual_floor", self.residual_floor, 0, bits)

    def _checked_floors(self, bits: int) -> dict[str, int]:
        if self.floors is not None and not isinstance(self.floors, Mapping):
            raise ArgumentError(f"floors must be a mapping from patterns to protected bits, got {self.floors!r}")
        floors = (self.floors or {}).items()
        return {pattern: _checks.integer(f"floors[{pattern!r}]", floor, 0, bits) for pattern, floor in floors}


@dataclass(frozen=True, kw_only=True)
class UniformMsp(Settings):
    """The same most significant bits protected in every tensor; see `qtaml.uniform_msp`.

    Attributes:
        protected_bits: protected bits of every weight, or their mean over the weights of each tensor, 0 to all. What
            does not come out at a whole weight is rounded down.
        bits: bits of a word, 2 to 16.
        encoding: labels of the levels.
        grid: the symmetric "half_step", or the paper's "integer".
        levels: a named table in place of bits, encoding and grid: "int4", "nf4", "fp4_e2m1", "fp6_e2m3",
            "fp8_e4m3", "fp8_e5m2", "fp16" or "bf16".
        scale: what words are in units of: the "largest" weight, or 1 with "none", so that a named format, or the grid
            "integer", holds the numbers, or the codes of a quantised network, as they are.
        nonfinite: what infinity and NaN, which errors make in float words, are read as: "clamp" (the largest number of
            that sign; 0), "zero", or "keep" (as they are; plans that predict an error refuse it).
        granularity: one scale for each "tensor", each "row" (first dimension), or each group of so many weights of
            a row.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
    """

    protected_bits: float
    bits: int = 8
    encoding: Encoding = "offset_binary"
    grid: Grid = "half_step"
    levels: str | None = None
    scale: WordScale = "largest"
    nonfinite: Nonfinite = "clamp"
    granularity: Granularity = "tensor"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    kind: Literal["uniform_msp"] = field(default="uniform_msp", repr=False)

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None, window: float | None) -> None:
        super().__post_init__(p, device, window)
        bits, share = word_levels(self).bits, _checks.real("protected_bits", self.protected_bits)
        if not 0 <= share <= bits or isinstance(self.protected_bits, bool):
            raise ArgumentError(f"protected_bits must be a number from 0 to {bits}, got {self.protected_bits!r}")
        object.__setattr__(self, "protected_bits", share)


@dataclass(frozen=True, kw_only=True)
class FixedPoint(Settings):
    """One range for all tensors, without protection; see `qtaml.planning.fixed_point`."""

    kind: Literal["fixed_point"] = field(default="fixed_point", repr=False)


@dataclass(frozen=True, kw_only=True)
class WeightScaling(Settings):
    """One range for each tensor, without protection; see `qtaml.planning.weight_scaling`."""

    kind: Literal["weight_scaling"] = field(default="weight_scaling", repr=False)


@dataclass(frozen=True, kw_only=True)
class Magnitude(Settings):
    """Protection by the size of the weights; see `qtaml.planning.magnitude_protection`.

    Attributes:
        overhead: cells spent beyond a plain memory, as a share of it.
        allocation: "greedy" as in the paper, "split" or "integer".
    """

    overhead: float
    allocation: Allocation = "greedy"
    kind: Literal["magnitude"] = field(default="magnitude", repr=False)


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Settings):
    """Protection by measured output deviations; see `qtaml.planning.sensitivity_protection`.

    Attributes:
        overhead: cells spent beyond a plain memory, as a share of it.
        allocation: "greedy" as in the paper, "split" or "integer".
        trials: reads of each tensor.
        seed: seed of the errors.
    """

    overhead: float
    allocation: Allocation = "greedy"
    trials: int = 8
    seed: int = 0
    kind: Literal["sensitivity"] = field(default="sensitivity", repr=False)


@dataclass(frozen=True, kw_only=True)
class RandomProtection(Settings):
    """Protection of random bits; see `qtaml.planning.random_protection`.

    Attributes:
        overhead: cells spent beyond a plain memory, as a share of it.
        seed: seed of the draw.
    """

    overhead: float
    seed: int = 0
    kind: Literal["random"] = field(default="random", repr=False)


@dataclass(frozen=True, kw_only=True)
class ByHand(Settings):
    """A plan that no method made: whoever wrote it down says for which memory."""

    kind: Literal["by_hand"] = field(default="by_hand", repr=False)


@dataclass(frozen=True, kw_only=True)
class Predict(Settings):
    """What TAC will save; see `qtaml.predict`, which makes no plan.

    Attributes:
        bits: bits of a word, 2 to 16.
        encoding: labels of the levels.
        grid: the symmetric "half_step", or the paper's "integer".
        passes: backward passes of the calibration.
        seed: its seed.
        output: the output that counts: a key or attribute of what the network returns, such as "logits", a place in a
            tuple, such as "1", or "embedding", the mean over the tokens with norm 1; in Python also a function of what
            it returns. The first, or "logits", if not given.
    """

    bits: int = 8
    encoding: Encoding = "offset_binary"
    grid: Grid = "half_step"
    passes: int = 32
    seed: int = 0
    output: GivenOutput = None
    kind: Literal["predict"] = field(default="predict", repr=False)


AnySettings = Annotated[
    Tac | UniformMsp | FixedPoint | WeightScaling | Magnitude | Sensitivity | RandomProtection | Design | ByHand,
    Field(discriminator="kind"),
]
"""What a plan may have been made from."""
