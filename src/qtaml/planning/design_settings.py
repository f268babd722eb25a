"""What can be asked of the search over all formats."""

from collections.abc import Collection, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal

from qtaml import _checks
from qtaml.device import cell_and_window
from qtaml.errors import ArgumentError
from qtaml.faults import FlipProbability, GivenDevice, StaticCells
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import (
    WEIGHT_TABLES,
    NamedLevels,
)
from qtaml.formats.transitions import LARGEST_MATRIX_BITS
from qtaml.planning.base_settings import GivenOutput, Settings
from qtaml.planning.hardened_cells import HARDENINGS, Hardening, Price, hardened_cells
from qtaml.protections import Decoder, HardenedCell
from qtaml.theory.capacity import capacity

WeakCells = Literal["unknown", "known"]

Decoding = Decoder | Literal["table", "trellis", "sequential"]
"""What may be needed to read a weight: a readout table, for its word or for a window of words, or a decoder of bits; or
of an entropy code, which reads weights one after the other."""

REAL_DECODERS: tuple[Decoding, ...] = ("none", "table", "majority", "algebraic", "iterative")

# A search multiplies by the transition matrix of each word.
_SEARCHED_TABLES = tuple(name for name in WEIGHT_TABLES if NamedLevels(name).bits <= LARGEST_MATRIX_BITS)

_READS, _READS_OF_A_CHIP = 30, 5


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
            on the outputs of the calibration inputs, which `store` then needs too (theory.md 6.12); with known weak
            cells streams of trellises alone. Small networks are searched with it. The plan without, if that is measured
            to be better.
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
        if self.feedback and "trellis" not in self.decoders:
            raise ArgumentError(
                f"decoders must hold 'trellis' for feedback=True with weak_cells='known', got {list(self.decoders)}: "
                "words of each chip are chosen one by one, streams of trellises for the errors of all others"
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
