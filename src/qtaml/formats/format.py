"""A format: how one weight becomes a word in memory, what that costs, and what is read back."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import BitErrorRates, FaultModel, WordLaw
from qtaml.formats.bucketize import intervals
from qtaml.formats.levels import ENCODINGS, GRIDS, Encoding, Grid
from qtaml.formats.levels import labels as labels_of
from qtaml.formats.levels import levels as levels_of
from qtaml.formats.nearest_label import least_error_regions
from qtaml.formats.transitions import LARGEST_MATRIX_BITS, central_moments, transition_matrix
from qtaml.protections import Ideal, Protection, Raw
from qtaml.sampling import word_dtype


@dataclass(frozen=True)
class Format:
    """Levels with labels, and a protection for each bit.

    Levels are evenly spaced, or fitted: then the table says what each label is read as, and a weight gets the label of
    the least expected squared error when read. Values are in units of the scale of the tensor or row that is stored.

    Attributes:
        bits: bits of a word, 2 to 16; 0 to 10 with a table.
        encoding: "offset_binary", "twos_complement", "sign_magnitude" or "gray".
        grid: "half_step" (symmetric, the default) or "integer" (the paper's).
        protections: one for each bit position, bit 0 (least significant) first; raw cells where none are given.
        table: the value of each label when read, 2**bits of them; none for evenly spaced levels.

    Raises:
        ArgumentError: if a field has a value that is not allowed.

    Source:
        theory.md 1.3, 1.4 and 6.

    Example:
        >>> from qtaml.faults import Uniform
        >>> fmt = Format(bits=8).protect(2)
        >>> fmt.cells, fmt.protected_bits
        (10, 2)
        >>> fmt.encode(torch.tensor([-1.0, 0.25, 1.0]))
        tensor([  0, 159, 255], dtype=torch.uint8)
        >>> round(float(fmt.read_variance(Uniform(0.1))[0]), 6)
        0.007557
    """

    bits: int = 8
    encoding: Encoding = "offset_binary"
    grid: Grid = "half_step"
    protections: tuple[Protection, ...] = field(default=())
    table: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        fewest, most = (0, LARGEST_MATRIX_BITS) if self.table else (2, 16)
        object.__setattr__(self, "bits", _checks.integer("bits", self.bits, fewest, most))
        _checks.one_of("encoding", self.encoding, ENCODINGS)
        _checks.one_of("grid", self.grid, GRIDS)
        protections = tuple(self.protections) or (Raw(),) * self.bits
        if len(protections) != self.bits:
            raise ArgumentError(f"protections must be one for each of {self.bits} bits, got {len(protections)}")
        object.__setattr__(self, "protections", protections)
        object.__setattr__(self, "table", tuple(_checks.real("table", value) for value in self.table))
        if self.table and len(self.table) != 2**self.bits:
            raise ArgumentError(f"table must have {2**self.bits} values for {self.bits} bits, got {len(self.table)}")

    def protect(self, most_significant: int, by: Protection | None = None) -> "Format":
        """This format with its most significant bits protected, the others raw.

        Args:
            most_significant: how many bits are protected, 0 to `bits`.
            by: their protection; the paper's ideal code if not given.
        """
        count = _checks.integer("most_significant", most_significant, 0, self.bits)
        return replace(self, protections=(Raw(),) * (self.bits - count) + (by or Ideal(),) * count)

    @property
    def protected_bits(self) -> int:
        """Number of bits that are not in raw cells."""
        return sum(not isinstance(protection, Raw) for protection in self.protections)

    @property
    def cells(self) -> float:
        """Memory cells that one weight takes."""
        return sum(protection.cells for protection in self.protections)

    def levels(self) -> NDArray[np.float64]:
        """The 2**bits values in ascending order."""
        return levels_of(self.bits, self.encoding, self.grid)

    def labels(self) -> NDArray[np.int64]:
        """The label of each level, in the order of `levels`."""
        return labels_of(self.bits, self.encoding)

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read: the readout table, shape (2**bits,)."""
        if self.table:
            return np.array(self.table)
        table = np.empty(2**self.bits)
        table[self.labels()] = self.levels()
        return table

    def law(self, fault: FaultModel) -> WordLaw:
        """Exact law of the label read given the stored one, after the protections."""
        return WordLaw(()) if self.bits == 0 else fault.behind(self.protections).law(self.bits)

    def rates(self, fault: FaultModel) -> BitErrorRates:
        """Error rates of each bit position after its protection."""
        return self.law(fault).rates()

    def transition_matrix(self, fault: FaultModel) -> NDArray[np.float64]:
        """Probability of reading each label (columns) given each stored label (rows); up to 10 bits."""
        return transition_matrix(self.law(fault))

    def read_mean(self, fault: FaultModel) -> NDArray[np.float64]:
        """Exact expected value read, for each stored label, shape (2**bits,)."""
        return read_moments(self, fault)[0]

    def read_variance(self, fault: FaultModel) -> NDArray[np.float64]:
        """Exact variance of the value read, for each stored label, shape (2**bits,)."""
        return read_moments(self, fault)[1]

    def encode(self, weights: torch.Tensor, *, expecting: FaultModel | None = None) -> torch.Tensor:
        """Labels to store.

        Args:
            weights: in units of the full scale, floating, any shape. Values beyond the last level take that level.
            expecting: None for the label of the nearest level. With a fault model, the label whose *expected* value
                when read is nearest: the exact mean correction (theory.md 1.4), which keeps every protected bit in
                its cell because no other label comes nearer. A format with a table needs it, and chooses by the
                expected squared error.

        Returns:
            Words, uint8 up to 8 bits and uint16 above, of the same shape.
        """
        boundaries, labels = _decision(self, expecting)
        values, boundaries = weights.double().reshape(-1).contiguous(), boundaries.to(weights.device)
        index = intervals(values, boundaries)
        # Weights just between two levels, such as the zeros of a sparse tensor on the half-step grid, go up and down in
        # turn: all to one side they would add up in the output.
        above = torch.nn.functional.pad(boundaries, (0, 1), value=torch.nan)
        between = (values == torch.index_select(above, 0, index)).nonzero().squeeze(1)
        index[between] += (between % 2).int()
        return torch.index_select(labels.to(weights.device), 0, index).to(label_dtype(self.bits)).reshape(weights.shape)

    def decode(self, words: torch.Tensor) -> torch.Tensor:
        """Values of words as read, float64, in units of the full scale."""
        table = torch.from_numpy(self.readout()).to(words.device)
        return table[words.long()]

    def corrupt(self, words: torch.Tensor, fault: FaultModel, *, seed: int, place: str = "") -> torch.Tensor:
        """Words as read once through the protections; arguments as for `FaultModel.corrupt`."""
        return self.reader(words, fault, place=place)(seed)

    def reader(self, words: torch.Tensor, fault: FaultModel, *, place: str = "") -> Callable[[int], torch.Tensor]:
        """What `corrupt` returns for these words, by the seed, for reads by the thousand."""
        if self.bits == 0:
            return lambda _: words.clone()
        return fault.behind(self.protections).reader(words, bits=self.bits, place=place)


def label_dtype(bits: int) -> torch.dtype:
    """Dtype of stored labels: that of words, and the narrowest where there is nothing to store."""
    return word_dtype(max(bits, 1))


@lru_cache(maxsize=256)
def read_moments(fmt: Format, fault: FaultModel) -> tuple[NDArray[np.float64], ...]:
    """Mean, variance, third and fourth central moment of the value read, for each stored label; read-only arrays."""
    moments = central_moments(fmt.readout(), fmt.law(fault))
    for moment in moments:
        moment.flags.writeable = False
    return moments


@lru_cache(maxsize=256)
def _decision(fmt: Format, expecting: FaultModel | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Boundaries between intervals of weights, and the label of each interval."""
    if fmt.table:
        if expecting is None:
            raise ArgumentError("expecting must be a fault model for a format with a table, got None")
        mean, variance, *_ = read_moments(fmt, expecting)
        boundaries, labels = least_error_regions(mean, variance + mean**2)
        return torch.from_numpy(boundaries), torch.from_numpy(labels)
    target = fmt.readout() if expecting is None else fmt.read_mean(expecting)
    ascending = fmt.labels() if expecting is None else np.argsort(target, kind="stable")
    sorted_target = target[ascending]
    middles = (sorted_target[1:] + sorted_target[:-1]) / 2
    return torch.from_numpy(middles), torch.from_numpy(ascending)
