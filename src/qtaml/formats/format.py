"""A format: how one weight becomes a word in memory, what that costs, and what is read back."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import BitErrorRates, FaultModel, WordLaw
from qtaml.formats import entropy, trellis
from qtaml.formats.bucketize import intervals
from qtaml.formats.encoding import Decision
from qtaml.formats.entropy import EntropyLevels
from qtaml.formats.levels import EvenLevels, Levels
from qtaml.formats.nearest_label import least_error_regions
from qtaml.formats.transitions import central_moments, transition_matrix
from qtaml.formats.weak_bits import WeakBits, nearest_readable
from qtaml.protections import Ideal, Protection, Raw
from qtaml.sampling import word_dtype

Rule = Literal["nearest", "expected", "least_error"]
"""The label u that is stored for a weight w: "nearest" minimises |w - level of u|, "expected" |w - E[value read | u]|,
"least_error" E[(value read - w)**2 | u]."""


@dataclass(frozen=True)
class Format:
    """How one weight is stored: levels, and a protection for each bit. Values are in units of the scale.

    Attributes:
        levels: the value of each label.
        protections: one for each bit position, bit 0 (least significant) first; raw cells where none are given.

    Raises:
        ArgumentError: if there is not one protection for each bit.

    Source:
        theory.md 1.3, 1.4 and 6.

    Example:
        >>> from qtaml.faults import Uniform
        >>> fmt = Format(EvenLevels(8)).protect(2)
        >>> fmt.cells, fmt.protected_bits
        (10, 2)
        >>> fmt.encode(torch.tensor([-1.0, 0.25, 1.0]))
        tensor([  0, 159, 255], dtype=torch.uint8)
        >>> round(float(fmt.read_variance(Uniform(0.1))[0]), 6)
        0.007557
    """

    levels: Levels = field(default_factory=EvenLevels)
    protections: tuple[Protection, ...] = ()

    def __post_init__(self) -> None:
        protections = tuple(self.protections) or (Raw(),) * self.bits
        if len(protections) != self.bits:
            raise ArgumentError(f"protections must be one for each of {self.bits} bits, got {len(protections)}")
        object.__setattr__(self, "protections", protections)

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.levels.bits

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
        return sum(protection.kind != "raw" for protection in self.protections)

    @property
    def cells(self) -> float:
        """Memory cells that one weight takes."""
        cells, words = sum(protection.cells for protection in self.protections), self.levels.words_of_a_weight
        # Whole numbers of cells stay whole.
        return cells if words == 1 else cells * words

    def words(self, weights: int) -> int:
        """Words that so many weights take."""
        return self.levels.words(weights)

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read: the readout table, shape (2**bits,); in a trellis that of each window."""
        return self.levels.readout()

    def law(self, fault: FaultModel) -> WordLaw:
        """Exact law of the label read given the stored one, after the protections."""
        return WordLaw(()) if self.bits == 0 else fault.behind(self.protections).law(self.bits)

    def window_law(self, fault: FaultModel) -> WordLaw:
        """Exact law of what a weight is read from: its label, or in a trellis the window of independent words.

        Of an entropy-coded weight: its label, or what a lost block is read as (theory.md 6.13).
        """
        if isinstance(self.levels, EntropyLevels):
            return WordLaw((_law_of_labels(self.levels, self.lost_blocks(fault)),))
        return self.window_law_of(self.law(fault))

    def window_law_of(self, law: WordLaw) -> WordLaw:
        """The law of a window of independent words of a given law.

        Raises:
            ArgumentError: for entropy-coded weights, whose blocks may be lost by several errors at a time.
        """
        levels = self.levels
        if isinstance(levels, EntropyLevels):
            raise ArgumentError("levels must be of words or a trellis for a law of independent bits, got a stream")
        # Which of the weights that share a word is read is known: a bit without errors on top.
        of_weight = (np.eye(levels.weights_per_word),) if levels.weights_per_word > 1 else ()
        return WordLaw(law.groups * levels.window + of_weight)

    def rates(self, fault: FaultModel) -> BitErrorRates:
        """Error rates of each bit position after its protection."""
        return self.law(fault).rates()

    def transition_matrix(self, fault: FaultModel) -> NDArray[np.float64]:
        """Probability of reading each label (columns) given each stored label (rows); up to 10 bits."""
        return transition_matrix(self.law(fault))

    def read_mean(self, fault: FaultModel) -> NDArray[np.float64]:
        """Exact expected value read, for each stored label or window, of the shape of `readout`."""
        return read_moments(self, fault)[0]

    def read_variance(self, fault: FaultModel) -> NDArray[np.float64]:
        """Exact variance of the value read, for each stored label or window, of the shape of `readout`."""
        return read_moments(self, fault)[1]

    def encode(
        self,
        weights: torch.Tensor,
        *,
        rule: Rule = "nearest",
        expecting: FaultModel | None = None,
        weak: WeakBits | None = None,
    ) -> torch.Tensor:
        """Labels to store.

        Args:
            weights: in units of the full scale, floating, any shape. Values beyond the last level take that level.
            rule: the label u of a weight w, with mean m_u and variance v_u of the value read. "expected" minimises
                |w - m_u|: the exact mean correction (theory.md 1.4), which keeps every protected bit in its cell since
                no other label comes nearer. "least_error" minimises v_u + m_u**2 - 2 w m_u (theory.md 6.1, step (i)).
            expecting: the fault model of m_u and v_u; needed for all rules but "nearest".
            weak: what weak cells do to the words, of the shape of the weights; the labels are then the best of those
                that can be read (theory.md 6.9).

        Returns:
            Words, uint8 up to 8 bits and uint16 above, of the same shape.

        Raises:
            ArgumentError: if the rule needs a fault model and there is none, or a trellis gets fewer words than its
                window has.
        """
        if isinstance(self.levels, EntropyLevels):
            if weak is not None:
                raise ArgumentError("weak must be None for entropy-coded weights: a wrong bit loses their block")
            return entropy.encode(weights, self.levels)
        if self.levels.window > 1:
            return self._written(trellis.encode(weights, *self.lines(rule, expecting), self.levels, weak), weak)
        if weak is not None:
            read = nearest_readable(weights, *self.lines(rule, expecting), self.levels.storable(), weak)
            return self._written(read.to(label_dtype(self.bits)), weak)
        # Without a fault model where none counts, so that all of them share one cached decision.
        boundaries, labels = _decision(self, rule, None if rule == "nearest" else expecting)
        # Float64 for weights of any dtype: float16 cannot tell the boundaries of 16-bit words apart.
        values, boundaries = weights.double().reshape(-1).contiguous(), boundaries.to(weights.device)
        index = intervals(values, boundaries)
        # Weights midway between two levels, such as the zeros of a sparse tensor on the half-step grid, go up and down
        # in turn: all rounded to one side, their errors would add up in the output.
        above = torch.nn.functional.pad(boundaries, (0, 1), value=torch.nan)
        between = (values == torch.index_select(above, 0, index)).nonzero().squeeze(1)
        index[between] += (between % 2).int()
        return torch.index_select(labels.to(weights.device), 0, index).to(label_dtype(self.bits)).reshape(weights.shape)

    def decision(self, rule: Rule, expecting: FaultModel) -> Decision:
        """What `encode` decides by, for the compiled loop."""
        return _compiled_decision(self, rule, None if rule == "nearest" else expecting)

    def decode(self, words: torch.Tensor) -> torch.Tensor:
        """Values of words as read, float64, in units of the full scale; the words of a trellis are one whole stream."""
        if words.is_floating_point() or words.is_complex():
            raise ArgumentError(f"words must be whole numbers, got {words.dtype}")
        table = torch.from_numpy(self.readout()).to(words.device)
        # As uint8, torch would take the words for a mask.
        return table[self.windows(words).long()]

    def windows(self, words: torch.Tensor) -> torch.Tensor:
        """What each weight is read from, as an index of `readout`: its word, or in a trellis its window of the stream.

        Args:
            words: all words of the stream; one for each weight, of which only the first `words(weights)` count.
        """
        if isinstance(self.levels, EntropyLevels):
            return entropy.labels_of(words, self.levels)
        return words if self.levels.window == 1 else trellis.windows(words, self.levels)

    def lost_blocks(self, fault: FaultModel) -> float:
        """Probability that a full block of entropy-coded weights is lost, by a wrong bit; 0 for all others."""
        if not isinstance(self.levels, EntropyLevels):
            return 0.0
        raw, size = fault.rates(self.bits), 8 * self.levels.block_bytes
        each = zip(self.protections, raw.p01, raw.p10, strict=True)
        return float(np.mean([protection.any_wrong(size, p01, p10) for protection, p01, p10 in each]))

    def _written(self, read: torch.Tensor, weak: WeakBits | None) -> torch.Tensor:
        """The words to write for words that are to be read."""
        if weak is None:
            return read
        # Signed: not every operator takes uint16.
        turned = weak.turned.reshape(read.shape).int() & (2**self.bits - 1)
        written: torch.Tensor = read.int() ^ turned
        return written.to(read.dtype)

    def lines(self, rule: Rule, expecting: FaultModel | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(m, q): storing label or window u for a weight w costs w**2 - 2 w m[u] + q[u]; of the shape of `readout`."""
        if rule == "nearest":
            return self.readout(), self.readout() ** 2
        if expecting is None:
            raise ArgumentError(f"expecting must be a fault model for rule={rule!r}, got None")
        mean, variance = read_moments(self, expecting)[:2]
        return mean, mean**2 + (variance if rule == "least_error" else 0.0)

    def corrupt(self, words: torch.Tensor, fault: FaultModel, *, seed: int, place: str = "") -> torch.Tensor:
        """Words as read once through the protections; arguments as for `FaultModel.corrupt`."""
        return self.reader(words, fault, place=place)(seed)

    def reader(self, words: torch.Tensor, fault: FaultModel, *, place: str = "") -> Callable[[int], torch.Tensor]:
        """Return `seed -> words as read`, with everything else precomputed. Arguments as for `corrupt`."""
        if self.bits == 0:
            return lambda _: words.clone()
        # What a plan reckons with may be a bound; what is read is drawn at the rates that are believed.
        seen = tuple(protection.as_read for protection in self.protections)
        return fault.behind(seen).reader(words, bits=self.bits, place=place)


def _law_of_labels(levels: EntropyLevels, lost: float) -> NDArray[np.float64]:
    """Probability of reading each label (columns) given each stored one."""
    law = (1 - lost) * np.eye(levels.readout_size)
    law[:, levels.lost] += lost
    return law


def label_dtype(bits: int) -> torch.dtype:
    """Dtype of stored labels: uint8 up to 8 bits (0 bits included), uint16 above."""
    return word_dtype(max(bits, 1))


@lru_cache(maxsize=256)
def read_moments(fmt: Format, fault: FaultModel) -> tuple[NDArray[np.float64], ...]:
    """Mean, variance, third and fourth central moment of the value read, for each stored label or window; read-only.

    Raises:
        ArgumentError: if infinity or NaN may be read, and are kept: there are no moments then.
    """
    moments: tuple[NDArray[np.float64], ...] = central_moments(fmt.readout(), fmt.window_law(fault))
    if not np.isfinite(moments[1]).all():
        if not np.isfinite(moments[1][fmt.levels.storable()]).all():
            raise ArgumentError(
                f"levels must read infinity and NaN as numbers to have moments, got {fmt.levels} under {fault}; "
                "nonfinite='clamp' and 'zero' do, and protected exponents let none through"
            )
        # Labels that are never stored: nothing is read of them.
        moments = tuple(np.nan_to_num(moment, nan=0.0, posinf=0.0) for moment in moments)
    # The cache gives the same arrays to every caller: a write into one would change all later results.
    for moment in moments:
        moment.flags.writeable = False
    return moments


@lru_cache(maxsize=256)
def _decision(fmt: Format, rule: Rule, expecting: FaultModel | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Ascending boundaries between intervals of weights, and the label of each interval."""
    storable = fmt.levels.storable()
    if rule == "nearest":
        target = fmt.readout()
    elif expecting is None:
        raise ArgumentError(f"expecting must be a fault model for rule={rule!r}, got None")
    elif rule == "least_error":
        labels = np.sort(storable)
        mean, variance = (moment[labels] for moment in read_moments(fmt, expecting)[:2])
        boundaries, regions = least_error_regions(mean, variance + mean**2)
        return torch.from_numpy(boundaries), torch.from_numpy(labels[regions])
    else:
        # Ascending labels and a stable sort: of labels with equal means, the same one is stored on every machine.
        target, labels = fmt.read_mean(expecting), np.sort(storable)
        storable = labels[np.argsort(target[labels], kind="stable")]
    ascending = target[storable]
    return torch.from_numpy((ascending[1:] + ascending[:-1]) / 2), torch.from_numpy(storable)


@lru_cache(maxsize=256)
def _compiled_decision(fmt: Format, rule: Rule, expecting: FaultModel | None) -> Decision:
    boundaries, labels = _decision(fmt, rule, expecting)
    return Decision.of(boundaries.numpy(), labels.to(label_dtype(fmt.bits)).numpy())
