"""What can be asked of each method: one frozen record, checked when it is made.

The record of a method is all that is written of its settings: the keyword arguments of the function (`takes`), the
options of the command, the table of a sweep file and what a plan keeps come from it, and their help from its
`Attributes:`. A new method is one more record here and in `AnySettings`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, InitVar, dataclass, field, fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import ConfigDict, Field, PlainSerializer

from qtaml import _checks
from qtaml.device import cell_and_window
from qtaml.errors import ArgumentError
from qtaml.faults import FlipProbability, GivenDevice, GivenFault, StaticCells
from qtaml.faults.choice import of_memory
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import (
    WEIGHT_TABLES,
    Correction,
    Encoding,
    Granularity,
    Grid,
    NamedLevels,
    Nonfinite,
    Step,
)
from qtaml.formats.scales import check_granularity
from qtaml.formats.transitions import LARGEST_MATRIX_BITS
from qtaml.model import output_name
from qtaml.planning.allocation import Allocation
from qtaml.planning.hardened_cells import HARDENINGS, Hardening, Price, hardened_cells
from qtaml.planning.words import WordScale, word_levels
from qtaml.protections import Decoder, HardenedCell
from qtaml.theory.capacity import capacity

GivenOutput = Annotated[str | Callable[[Any], Any] | None, PlainSerializer(output_name)]
"""The output that counts; of a function, records have the name."""

WeakCells = Literal["unknown", "known"]

Decision = Literal["measured", "predicted", "always"]

Decoding = Decoder | Literal["table", "trellis", "sequential"]
"""What may be needed to read a weight: a readout table, for its word or for a window of words, or a decoder of bits; or
of an entropy code, which reads weights one after the other."""

REAL_DECODERS: tuple[Decoding, ...] = ("none", "table", "majority", "algebraic", "iterative")

# A search multiplies by the transition matrix of each word.
_SEARCHED_TABLES = tuple(name for name in WEIGHT_TABLES if NamedLevels(name).bits <= LARGEST_MATRIX_BITS)

_READS, _READS_OF_A_CHIP = 30, 5


def check_overhead(overhead: float) -> float:
    """Return an overhead if it is a share from 0 to 1, else raise `ArgumentError`."""
    share = _checks.real("overhead", overhead)
    if not 0 <= share <= 1:
        raise ArgumentError(
            f"overhead must be a share from 0 to 1 (every bit protected), got {overhead!r}; 5 per cent is 0.05"
        )
    return share


def _patterns(name: str, patterns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentError(f"{name} must be a sequence of patterns, got {patterns!r}")
    return tuple(patterns)


def _output(output: Any) -> Any:
    if output is not None and not callable(output) and not (isinstance(output, str) and output):
        raise ArgumentError(f"output must be a name such as 'logits' or a function, got {output!r}")
    return output


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "overhead": check_overhead,
    "bits": partial(_checks.integer, "bits", low=2, high=16),
    "granularity": check_granularity,
    "passes": partial(_checks.integer, "passes", low=2),
    "map_reads": partial(_checks.integer, "map_reads", low=1),
    "trials": partial(_checks.integer, "trials", low=2),
    "seed": partial(_checks.integer, "seed", low=0),
    "include": partial(_patterns, "include"),
    "exclude": partial(_patterns, "exclude"),
    "output": _output,
    "unreached_floor": partial(_checks.non_negative, "unreached_floor"),
}
"""A setting of one name is checked alike in every method."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every method is asked.

    Attributes:
        p: flip probability of a cell, in [0, 0.5), kept as `fault=Uniform(p)`; two of them are the ends of a range in
            which it lies, kept as `faults.Several`; or
        fault: a fault model; a list of them means that a chip is one of these memories, kept as `faults.Several`; or
        device: a preset or its name (`qtaml device list`), a cell, or the file (.json) of a measured one, kept as its
            flip probability, which of a measured cell is a range: its band of 95%.
        window: with a device, s between refreshes; that of the preset if not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: str = field(default="", repr=False)
    p: InitVar[FlipProbability | None] = None
    fault: GivenFault = None  # type: ignore[assignment]  # `p` or `device` stands for it
    device: InitVar[GivenDevice | None] = None
    window: InitVar[float | None] = None

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None, window: float | None) -> None:
        object.__setattr__(self, "fault", of_memory(p, self.fault, device, window))
        self._check_fields()

    def _check_fields(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if get_origin(setting.type) is Literal:
                _checks.one_of(setting.name, value, get_args(setting.type))
            elif check := _CHECKS.get(setting.name):
                object.__setattr__(self, setting.name, check(value))

    def __str__(self) -> str:
        """The call that makes the record, without what is as it is by default."""
        defaults = {
            one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(self)
        }
        asked = {name: getattr(self, name) for name in defaults}
        told = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value != defaults[name])
        return f"{type(self).__name__}({told})"


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
class Design(Settings):
    """The search over all formats; see `qtaml.design`.

    Attributes:
        fault: a fault model, or a list of them, one of which a chip is; where it knows words of certain lengths only,
            words have those; or
        device: a preset or its name (`qtaml device list`), a cell, or the file (.json) of a measured one, kept as its
            flip probability, which of a measured cell is a range (its band of 95%), and as better cells in `hardened`.
        hardening: which better cells a device offers: "larger" ones, "thicker" barriers, and those with a "refresh"
            rate of their own. "larger" if not given, or "refresh" where refreshes are the price; without, the other two
            would be free.
        cells: budget, as a share of a plain memory; or
        error: the wanted mean squared output error, for the least cells that are predicted to reach it; or
        accuracy: the wanted value of the metric, for the least cells that are measured to reach it with 95% confidence:
            the lower end of the interval of its mean over reads does, or all reads give one value that does. The
            statement is about other reads on the same test samples: single reads may fall below; or
        chips: with `accuracy`, so large a share of the chips does, such as 0.95, with 95% confidence; of several
            memories without weights, equally many of each.
        trials: reads of each plan that is tried for `accuracy`, 30 if not given; with `chips` of each chip, 5.
        decoders: what may be needed to read: "none" (raw and larger cells, always allowed), "table" (fitted levels),
            "majority" (repetition), "algebraic" (Hamming, BCH), "iterative" (block codes near capacity), and the
            paper's "ideal" code; "trellis" beside "table" (a table for windows of words, theory.md 6.8) saves cells, in
            a search that takes several times as long; "sequential" beside "table" and "iterative" (an entropy code in
            blocks, theory.md 6.13) does where weights have heavy tails, as pretrained ones.
        hardened: further protections: better cells, each with its area in plain cells, its own p01 and p10, and its
            refreshes for each one of a plain cell.
        weak_cells: whether the writer of each chip has a map of its weak cells ("known"), for `StaticCells` or a device
            whose cells differ: the plan is then for words that are written for each chip (`store` with `weak_cells`).
        map_reads: reads of each of the two patterns that the map is made from: the more, the fewer of the cells that
            fail in some reads only are missed.
        price: what is counted of cells: their area ("cells"), or their "refreshes", a larger cell by its charge. Then
            `cells`, and what reaches an error or accuracy with the least, is a share of a plain memory's refreshes.
        rows: allow a scale and a format for each row of a tensor (its first dimension).
        group: allow a scale for each group of so many weights along a row.
        feedback: feed rounding errors back (GPTQ, with rows and columns, and coordinate descent): labels and streams
            of linear, convolution, embedding and attention layers are chosen such that their errors act least together
            on the outputs of the calibration inputs, which `store` then needs too (theory.md 6.12). The plan without,
            if that is measured to be better.
        levels: named tables that words may have besides the fitted levels: "int4", "nf4", "fp4_e2m1", "fp8_e4m3",
            "fp8_e5m2".
        bits: bits of a plain word, in which cells are counted, 2 to 16.
        passes: backward passes of the calibration.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no calibration sample reaches (`Plan.unreached`), over the median gain of
            the others; 0 takes it that no other sample reaches it either. The same for rows that have their own format.
        beyond_first_order: where the predicted error is not small, plan again by gains at reads of the plan before,
            and compare by forward passes.
        seed: seed of calibration and reads.
        output: the output that counts: a key or attribute of what the network returns, such as "logits", a place in a
            tuple, such as "1", or "embedding", the mean over the tokens with norm 1; in Python also a function of what
            it returns. The first, or "logits", if not given.
    """

    hardening: InitVar[Sequence[Hardening]] = ()
    cells: float | None = None
    error: float | None = None
    accuracy: float | None = None
    chips: float | None = None
    trials: int | None = None
    decoders: Sequence[Decoding] = REAL_DECODERS
    hardened: Sequence[HardenedCell] = ()
    weak_cells: WeakCells = "unknown"
    map_reads: int = 1
    price: Price = "cells"
    rows: bool = False
    group: int | None = None
    feedback: bool = False
    levels: Sequence[str] = ()
    bits: int = 8
    passes: int = 32
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    unreached_floor: float = 1.0
    beyond_first_order: bool = True
    seed: int = 0
    output: GivenOutput = None
    kind: Literal["design"] = field(default="design", repr=False)

    def __post_init__(
        self,
        p: FlipProbability | None,
        device: GivenDevice | None,
        window: float | None,
        hardening: Sequence[Hardening],
    ) -> None:
        if self.trials is None:
            object.__setattr__(self, "trials", _READS if self.chips is None else _READS_OF_A_CHIP)
        alone = all(other is None for other in (p, self.fault))
        if device is not None and alone and self.weak_cells == "known":
            # A weak cell loses its charge whatever is written: it is held at the bit of an empty cell.
            fault = StaticCells.from_cell(*cell_and_window(device, window), charged=1)
            object.__setattr__(self, "fault", fault)
            super().__post_init__(None, None, None)
        else:
            super().__post_init__(p, device, window)
        if device is not None:
            better = hardened_cells(*cell_and_window(device, window), self._kinds_of_hardening(hardening))
            object.__setattr__(self, "hardened", (*self.hardened, *better))
        elif hardening:
            raise ArgumentError(
                f"hardening must be given with a device, whose cells it is of, got {hardening!r} without"
            )
        self._check_goal()
        self._check_decoders()
        self._check_weak_cells()

    def _kinds_of_hardening(self, kinds: Sequence[Hardening]) -> Sequence[Hardening]:
        if isinstance(kinds, str):
            raise ArgumentError(f"hardening must be several names such as ('larger',), got {kinds!r}")
        for kind in kinds:
            _checks.one_of("hardening", kind, HARDENINGS)
            if kind != "larger" and self.price == "cells":
                raise ArgumentError(
                    f"price must be 'refreshes' for hardening={kind!r}, which takes no area, got 'cells'"
                )
        return kinds or (("larger",) if self.price == "cells" else ("refresh",))

    def _check_goal(self) -> None:
        if sum(goal is not None for goal in (self.cells, self.error, self.accuracy)) != 1:
            raise ArgumentError(
                f"give exactly one of cells, error and accuracy, got cells={self.cells!r}, error={self.error!r} and "
                f"accuracy={self.accuracy!r}"
            )
        for name, check in (("cells", _checks.positive), ("error", _checks.positive), ("accuracy", _checks.real)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check(name, value))
        if self.chips is not None:
            share = _checks.real("chips", self.chips)
            if self.accuracy is None or not 0 < share < 1:
                raise ArgumentError(
                    "chips must be a share between 0 and 1, and be given with accuracy, "
                    f"got chips={self.chips!r} and accuracy={self.accuracy!r}"
                )
            object.__setattr__(self, "chips", share)

    @property
    def known_cells(self) -> KnownCells | None:
        """What is left of the errors for a writer with a map of the weak cells; None if there is none."""
        if self.weak_cells == "unknown" or not isinstance(self.fault, StaticCells):
            return None
        return KnownCells(self.fault, self.map_reads)

    def _check_weak_cells(self) -> None:
        if self.weak_cells == "unknown":
            if self.map_reads != 1:
                raise ArgumentError(f"map_reads must be given with weak_cells='known', got {self.map_reads} without")
            return
        if (known := self.known_cells) is None:
            raise ArgumentError(
                "fault must be StaticCells, whose weak cells stay where they are, for weak_cells='known' (or give a "
                f"device whose cells differ), got {self.fault}"
            )
        if "table" not in self.decoders:
            raise ArgumentError(f"decoders must hold 'table' for weak_cells='known', got {list(self.decoders)}")
        if "sequential" in self.decoders:
            raise ArgumentError(
                "decoders must be without 'sequential' for weak_cells='known': words are chosen one by one"
            )
        if self.feedback:
            raise ArgumentError(
                "feedback must be False for weak_cells='known': words of each chip are chosen one by one"
            )
        with_map = (1 - sum(known.held_at)) * capacity(*known.left)
        if with_map <= capacity(*self.fault.mean_rates):
            raise ArgumentError(
                f"fault must have cells that fail in every read for weak_cells='known', got {self.fault}: with a map "
                f"of {self.map_reads} reads {sum(known.left) / 2:.3g} of the bits are still wrong, and it helps nothing"
            )

    def _check_decoders(self) -> None:
        allowed = {"decoders": (*REAL_DECODERS, "trellis", "sequential", "ideal"), "levels": _SEARCHED_TABLES}
        for setting, names in allowed.items():
            given = getattr(self, setting)
            if isinstance(given, str) or not isinstance(given, Collection):
                raise ArgumentError(f"{setting} must be several names such as {names[:2]}, got {given!r}")
            for name in given:
                _checks.one_of(setting, name, names)
            object.__setattr__(self, setting, tuple(given))
        if "trellis" in self.decoders and "table" not in self.decoders:
            raise ArgumentError(f"decoders must hold 'table' beside 'trellis', got {list(self.decoders)}")
        if "sequential" in self.decoders and not {"table", "iterative"} <= set(self.decoders):
            raise ArgumentError(
                f"decoders must hold 'table' and 'iterative' beside 'sequential', got {list(self.decoders)}"
            )
        if self.rows and "table" not in self.decoders:
            raise ArgumentError(f"decoders must hold 'table' for rows=True, got {list(self.decoders)}")
        if self.feedback and "table" not in self.decoders:
            raise ArgumentError(f"decoders must hold 'table' for feedback=True, got {list(self.decoders)}")
        if self.group is not None:
            object.__setattr__(self, "group", _checks.integer("group", self.group, 2))
            if "table" not in self.decoders and not self.levels:
                raise ArgumentError(
                    f"decoders must hold 'table', or levels name a table, for group={self.group}, "
                    f"got {list(self.decoders)}"
                )
        object.__setattr__(self, "hardened", tuple(self.hardened))
        for cell in self.hardened:
            if not isinstance(cell, HardenedCell):
                raise ArgumentError(f"hardened must be cells such as HardenedCell(2.0, 0.01, 0.01), got {cell!r}")
            if cell.refreshes != 1 and self.price == "cells":
                raise ArgumentError(
                    f"price must be 'refreshes' for {cell!r}, whose refreshes no area shows, got 'cells'"
                )


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
