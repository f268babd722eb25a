"""What a plan puts into the memory, counted, and what that costs."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Unpack

from qtaml.cost import Contents, CostTerms, MemoryCost, memory_cost
from qtaml.formats import EntropyLevels, EvenLevels, Levels, TableLevels, TensorFormat
from qtaml.formats.levels import evenly_spaced
from qtaml.protections import Bch, Hamming, HardenedCell, Protection, Raw, Repetition


class Counted(ABC):
    """The part of a plan that says what it costs."""

    @property
    @abstractmethod
    def contents(self) -> Contents:
        """What it puts into the memory, counted for `qtaml.cost`."""

    @property
    def cells(self) -> float:
        """Memory cells, side values included, as a share of a plain unprotected memory of so many weights."""
        return self.contents.share

    @property
    def overhead(self) -> float:
        """`cells` - 1; with ideal protection the share of the bits that is protected, the paper's ECC overhead."""
        return self.cells - 1

    @property
    def refreshes(self) -> float:
        """Refreshes in each window, side values included, as a share of those of a plain memory of so many weights.

        A larger cell counts by its area, one that is refreshed more often by how often: the charge that is moved.
        """
        held = self.contents
        return held.refreshes / held.plain_cells

    def cost(self, *, window: float | None = None, **terms: Unpack[CostTerms]) -> MemoryCost:
        """Area, energies and power of the memory; arguments and errors as for `qtaml.cost.memory_cost`.

        Example:
            >>> import torch, qtaml
            >>> plan = qtaml.uniform_msp(torch.nn.Linear(1000, 1000), p=0.1, protected_bits=0)
            >>> print(plan.cost(array="gain_cell_3t", node=28, window=1e-3).known("area"))  # mm2
            1.333 to 2
        """
        return memory_cost(self.contents, window=window, **terms)


def protected_bits(storages: Iterable[TensorFormat]) -> Counter[Protection]:
    """Bits of all words under each protection: blocks of a code hold bits of any tensor."""
    protected = Counter[Protection]()
    for storage in storages:
        for fmt, spans in storage.spans_of_formats:
            for protection in fmt.protections:
                protected[protection] += fmt.words(sum(span.stop - span.start for span in spans))
    return protected


def counted(storages: list[TensorFormat], side_storage: tuple[float, float], bits: int) -> Contents:
    """What tensors and side values take, and what reads them.

    Args:
        storages: the tensors.
        side_storage: cells and refreshes of the side values, in those of plain cells.
        bits: of a plain word.
    """
    protected = protected_bits(storages)
    cells = [(one.cells_for(count), one.refresh_rate) for one, count in protected.items()]
    decoders = Counter[str]()
    for one, count in protected.items():
        if (name := _decoder(one)) is not None:
            decoders[name] += count
    tables = Counter[str]()
    for levels in {fmt.levels for storage in storages for fmt, _ in storage.spans_of_formats}:
        if (name := _table(levels)) is not None:
            tables[name] += 1
    for storage in storages:
        for fmt, spans in storage.spans_of_formats:
            if (name := _table(fmt.levels)) is not None:
                decoders[name] += bits * sum(span.stop - span.start for span in spans)
    return Contents(
        sum(area for area, _ in cells) + side_storage[0],
        sum(area * rate for area, rate in cells) + side_storage[1],
        sum(storage.weights for storage in storages),
        bits,
        dict(decoders),
        dict(tables),
    )


def _decoder(protection: Protection) -> str | None:
    """Its name in `qtaml.cost.logic`; None where a bit is read from its cell alone."""
    match protection:
        case Raw() | HardenedCell():
            return None
        case Repetition(copies=size):
            return f"majority_{size}"
        case Hamming(data_bits=size):
            return f"hamming_{size}"
        case Bch(code_bits=size):
            return f"bch_{size}"
    return protection.kind


def _table(levels: Levels) -> str | None:
    """The name of a readout table; None where levels are even, which are read by arithmetic, or there is no word."""
    even = isinstance(levels, EvenLevels) or (isinstance(levels, TableLevels) and evenly_spaced(levels.values))
    if even or not levels.bits:
        return None
    if isinstance(levels, EntropyLevels):
        return f"entropy_{len(levels.values)}"
    return f"trellis_{levels.bits * levels.window}" if levels.window > 1 else f"table_{levels.bits}"
