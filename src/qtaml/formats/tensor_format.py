"""How one tensor is stored: its sections with their formats, its scales, and its mean correction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats.even_levels import evenly_spaced
from qtaml.formats.format import Format, label_dtype

Granularity = Literal["tensor", "row"]
Correction = Literal["none", "paper", "exact"]
Step = Literal["keep", "recompute"]

GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Section:
    """A run of consecutive weights, in the order of the flattened tensor, that share a format.

    Attributes:
        weights: number of weights.
        format: how each of them is stored.
    """

    weights: int
    format: Format


@dataclass(frozen=True)
class TensorFormat:
    """How one tensor is stored.

    Attributes:
        sections: runs of weights with one format each; all of the same number of bits, encoding and grid, or all with
            fitted tables.
        granularity: one scale for the "tensor", or one for each "row" (first dimension: the output channel of a
            linear or convolution layer).
        correction: mean correction before storage. "none"; "paper": multiply by 1/(1-2p), whatever the protection
            (proposition 4.1); "exact": choose the label whose expected read value is nearest (theory.md 1.4).
        step: "keep" the step of the uncorrected tensor and clip what falls outside, or "recompute" it so that the
            largest corrected weight is just reached.
        full_scale: full scale of the levels, whatever the weights and the step; what lies outside is clipped. The
            largest magnitude of the tensor or row if not given.
        readout_gain: factor on what is read, above 0.

    Raises:
        ArgumentError: if a field has a value that is not allowed.

    Example:
        >>> from qtaml.faults import Uniform
        >>> stored = TensorFormat((Section(2, Format().protect(8)), Section(2, Format())))
        >>> stored.cells
        48
        >>> weights = torch.tensor([[0.5, -0.5], [0.25, 0.0]])
        >>> words, scale = stored.encode(weights, Uniform(0.1))
        >>> words.tolist(), scale.tolist()
        ([[255, 0], [191, 128]], 0.5)
        >>> read = stored.read(words, scale, Uniform(0.1), seed=0)
        >>> read[0].tolist()
        [0.5, -0.5]
    """

    sections: tuple[Section, ...]
    granularity: Granularity = "tensor"
    correction: Correction = "none"
    step: Step = "keep"
    full_scale: float | None = None
    readout_gain: float = 1.0

    def __post_init__(self) -> None:
        _checks.one_of("granularity", self.granularity, GRANULARITIES)
        _checks.one_of("correction", self.correction, CORRECTIONS)
        _checks.one_of("step", self.step, STEPS)
        if self.full_scale is not None:
            _checks.positive("full_scale", self.full_scale)
        object.__setattr__(self, "readout_gain", _checks.positive("readout_gain", self.readout_gain))
        if not self.sections or any(section.weights < 1 for section in self.sections):
            raise ArgumentError(f"sections must hold at least one weight each, got {self.sections}")
        if self.fitted and not all(section.format.table for section in self.sections):
            raise ArgumentError("sections of one tensor must all have a table, or none of them")
        if self.fitted and self.correction != "none":
            raise ArgumentError(f"correction must be 'none' for formats with a table, got {self.correction!r}")
        kinds = {(section.format.bits, section.format.encoding, section.format.grid) for section in self.sections}
        if not self.fitted and len(kinds) > 1:
            raise ArgumentError("sections of one tensor must share bits, encoding and grid")

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(section.weights for section in self.sections)

    @property
    def fitted(self) -> bool:
        """Whether the levels are fitted: the scale is then the root mean square, else the largest magnitude."""
        return bool(self.sections[0].format.table)

    @property
    def bits(self) -> int:
        """Bits of a word, of the widest section."""
        return max(section.format.bits for section in self.sections)

    @property
    def cells(self) -> float:
        """Memory cells that the weights of the tensor take."""
        return sum(section.weights * section.format.cells for section in self.sections)

    def side_values(self, rows: int) -> int:
        """Numbers of 16 bits that reading fitted levels needs beside the words; none for the levels of the paper.

        A scale for each of its `rows`, two for the readout gain, the length and the format of each section, and the
        table of each format, or first value and step where its values are evenly spaced.
        """
        if not self.fitted:
            return 0
        tables = {section.format.table for section in self.sections}
        values = sum(2 if evenly_spaced(table) else len(table) for table in tables)
        return (rows if self.granularity == "row" else 1) + 2 + 2 * len(self.sections) + values

    @property
    def protected_bits(self) -> int:
        """Number of protected bits of all weights together."""
        return sum(section.weights * section.format.protected_bits for section in self.sections)

    def scale(self, weights: torch.Tensor, fault: FaultModel) -> torch.Tensor:
        """Scale of the stored levels: float64, of shape () or, for each row, (rows, 1, ...).

        It is the largest magnitude, and with step="recompute" as much larger as the correction needs; for fitted levels
        the root mean square, rounded to bfloat16; or `full_scale`.
        """
        if self.fitted:
            # Kept in 16 bits. Weights are stored relative to what is kept, so rounding it does no harm.
            root_mean_square = self._over(weights.double(), lambda w, dims: w.square().mean(dims, keepdim=True).sqrt())
            scale = root_mean_square.bfloat16().double()
            if not bool(scale.isfinite().all()):
                raise ArgumentError(
                    f"weights must have a root mean square below 3e38, got {float(root_mean_square.max()):g}"
                )
            return scale
        low, high = self._extremes(weights.double())
        if self.full_scale is not None:
            return torch.full_like(high, self.full_scale)
        if self.step == "keep" or self.correction == "none":
            return torch.maximum(-low, high)
        if self.correction == "paper":
            return torch.maximum(-low, high) * _paper_factor(fault, self.bits)
        means = [section.format.read_mean(fault) for section in self.sections]
        reach_low = max(float(mean.min()) for mean in means)
        reach_high = min(float(mean.max()) for mean in means)
        if reach_low >= 0 or reach_high <= 0:
            raise ArgumentError(f"step='recompute' reaches no weights of both signs under {fault}; use step='keep'")
        return torch.maximum(low.clamp(max=0) / reach_low, high.clamp(min=0) / reach_high)

    def encode(self, weights: torch.Tensor, fault: FaultModel) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 4 of algorithm 1: scale, pre-scale, clip and quantise, once.

        Args:
            weights: finite floating tensor of `weights` elements, any dtype, contiguous or not.
            fault: the fault model that the correction expects.

        Returns:
            (words, scale): words of the shape of `weights`, contiguous; scale as `scale` gives it.

        Raises:
            ArgumentError: if the number of weights differs, or the paper's factor is asked for a fault model that has
                no single symmetric p.
        """
        if weights.numel() != self.weights:
            raise ArgumentError(f"weights must have {self.weights} elements, got shape {tuple(weights.shape)}")
        scale = self.scale(weights, fault)
        # An all-zero tensor or row has scale 0: any label reads back as 0.
        relative = (weights.double() / torch.where(scale > 0, scale, 1.0)).reshape(-1)
        if self.correction == "paper":
            relative = relative * _paper_factor(fault, self.bits)
        expecting = fault if self.correction == "exact" or self.fitted else None
        dtype = label_dtype(self.bits)
        words = torch.empty(weights.shape, dtype=dtype, device=weights.device).reshape(-1)
        for fmt, where in self._places(relative.device):
            _put(words, where, fmt.encode(relative[where], expecting=expecting))
        return words.reshape(weights.shape), scale

    def decode(self, words: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Weights that given words stand for, float64."""
        return self._by_label(words, lambda fmt: fmt.readout()) * (scale * self.readout_gain)

    def read(
        self, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel, *, seed: int, place: str = ""
    ) -> torch.Tensor:
        """Weights as read once from the memory, float64, of the shape of `words`; `place` names the tensor."""
        flat = words.reshape(-1)
        read = torch.empty_like(flat)
        for fmt, where in self._places(words.device):
            # Cut out of a read of the whole tensor, so that errors do not depend on where it is cut.
            part = fmt.corrupt(flat.to(label_dtype(fmt.bits)), fault, seed=seed, place=place)
            _put(read, where, part[where] if isinstance(where, slice) else part.int()[where])
        return self.decode(read.reshape(words.shape), scale)

    def read_mean(self, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel) -> torch.Tensor:
        """Exact expected weights when read, float64, of the shape of `words`."""
        return self._by_label(words, lambda fmt: fmt.read_mean(fault).copy()) * (scale * self.readout_gain)

    def read_variance(self, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel) -> torch.Tensor:
        """Exact variance of what is read, given the stored words, float64, of their shape."""
        return self._by_label(words, lambda fmt: fmt.read_variance(fault).copy()) * (scale * self.readout_gain).square()

    def summed_variance(self, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel) -> float:
        """Exact variance of what is read, summed over the weights, given the stored words."""
        amounts = zip(self.label_amounts(words, scale), self.sections, strict=True)
        return sum(float(amount @ section.format.read_variance(fault)) for amount, section in amounts)

    def label_amounts(self, words: torch.Tensor, scale: torch.Tensor) -> list[NDArray[np.float64]]:
        """For each section, the summed squared scale of the weights that carry each label, shape (2**bits,)."""
        squared_scale = (scale * self.readout_gain).square().expand(words.shape).reshape(-1).cpu()
        flat = words.reshape(-1).cpu().long()
        return [
            torch.bincount(flat[span], weights=squared_scale[span], minlength=2**section.format.bits).numpy()
            for span, section in self._spans()
        ]

    def holds(self, words: torch.Tensor) -> bool:
        """Whether every word of a tensor is a label of its format."""
        flat = words.reshape(-1).int()
        return all(int(flat[span].max()) < 2**section.format.bits for span, section in self._spans())

    def _by_label(self, words: torch.Tensor, table: Callable[[Format], NDArray[np.float64]]) -> torch.Tensor:
        """A value for each word, by its label and the table of its format."""
        flat = words.reshape(-1)
        values = torch.empty(flat.shape, dtype=torch.float64, device=words.device)
        for fmt, where in self._places(words.device):
            values[where] = torch.from_numpy(table(fmt)).to(words.device)[flat[where].long()]
        return values.reshape(words.shape)

    def _places(self, device: torch.device) -> list[tuple[Format, slice | torch.Tensor]]:
        """Each format once, in order of appearance, with the places of its weights in the flattened tensor."""
        spans: dict[Format, list[slice]] = {}
        for span, section in self._spans():
            spans.setdefault(section.format, []).append(span)
        return [
            (fmt, own[0] if len(own) == 1 else torch.cat([torch.arange(s.start, s.stop, device=device) for s in own]))
            for fmt, own in spans.items()
        ]

    def _spans(self) -> Iterator[tuple[slice, Section]]:
        start = 0
        for section in self.sections:
            yield slice(start, start + section.weights), section
            start += section.weights

    def _extremes(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = (
            self._over(weights, lambda w, dims: w.amin(dims, keepdim=True)),
            self._over(weights, lambda w, dims: w.amax(dims, keepdim=True)),
        )
        return low, high

    def _over(
        self, weights: torch.Tensor, statistic: Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]
    ) -> torch.Tensor:
        """A statistic of the tensor, shape (), or of each row, shape (rows, 1, ...)."""
        # A vector (a bias kept in the same memory) has no rows of more than one weight: it gets one scale.
        if self.granularity == "tensor" or weights.ndim < 2:
            return statistic(weights, tuple(range(weights.ndim))).reshape(())
        return statistic(weights, tuple(range(1, weights.ndim)))


def _put(words: torch.Tensor, where: slice | torch.Tensor, labels: torch.Tensor) -> None:
    """Write labels at some places of a flat tensor of words."""
    # torch has no assignment by index for words of 16 bits, but for their signed twins.
    signed = words.view(torch.int16) if words.dtype == torch.uint16 else words
    signed[where] = labels.to(words.dtype).view(signed.dtype)


def _paper_factor(fault: FaultModel, bits: int) -> float:
    rates = fault.rates(bits)
    p = rates.p01[0]
    if any(rate != p for rate in (*rates.p01, *rates.p10)):
        raise ArgumentError(
            f"correction='paper' needs one flip probability for all bits and both directions, got {fault}; "
            "correction='exact' takes any fault model"
        )
    return 1 / (1 - 2 * p)
