"""How one tensor is stored: its sections with their formats, its scales, and its mean correction."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats.chunks import Places, chunks, put, take
from qtaml.formats.encoding import Encode, kernel
from qtaml.formats.feedback import feed_back
from qtaml.formats.format import Format, Rule, label_dtype
from qtaml.formats.levels import Levels
from qtaml.formats.outliers import Outliers, outlier_values
from qtaml.formats.scales import (
    Granularity,
    Largest,
    Scale,
    Step,
    check_fit,
    check_granularity,
    largest_magnitude,
    mean_square,
    of_each,
    row_length,
    scale_shape,
    smallest_and_largest,
)
from qtaml.formats.sections import Section, Sections
from qtaml.formats.weak_bits import WeakBits, weak_at
from qtaml.sensitivity import Curvature

Correction = Literal["none", "paper", "exact", "least_error", "fed_back"]

CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
_RULES: dict[Correction, Rule] = {"exact": "expected", "least_error": "least_error", "fed_back": "least_error"}

SECTION_VALUES = 3
"""Side values of a section: its length, of 32 bits, and the number of its format."""
_TENSOR_VALUES = 1 + 2 - 2
"""Side values of a tensor: number of sections, readout gain of 32 bits; the last section ends with the tensor."""


@dataclass(frozen=True)
class TensorFormat:
    """How one tensor is stored.

    Attributes:
        sections: runs of weights with one format each; neighbours of one format are joined.
        scale: what the levels are in units of: the largest magnitude, the root mean square, or a fixed value.
        granularity: one scale for the "tensor", for each "row" (first dimension: the output channel of a linear or
            convolution layer), or for each group of so many weights along a row, a whole number.
        correction: the label u that is stored for a weight w. "none": the nearest level; "paper": the level nearest to
            w / (1 - 2p), whatever the protection (proposition 4.1); "exact": least |w - E[value read | u]| (theory.md
            1.4); "least_error": least E[(value read - w)**2 | u] (theory.md 6.1); "fed_back": the same, of w less what
            the errors of other weights ask for (theory.md 6.12), where a curvature is given.
        readout_gain: factor on what is read, above 0.
        outliers: so many weights of the largest magnitude are kept exactly beside the words, which hold a zero for
            them.
        feedback_gain: readout gain for which words that are fed back are chosen.

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

    sections: Sections
    scale: Scale = field(default_factory=Largest)
    granularity: Granularity = "tensor"
    correction: Correction = "none"
    readout_gain: float = 1.0
    outliers: int = 0
    feedback_gain: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "granularity", check_granularity(self.granularity))
        _checks.one_of("correction", self.correction, CORRECTIONS)
        for gain in ("readout_gain", "feedback_gain"):
            object.__setattr__(self, gain, _checks.positive(gain, getattr(self, gain)))
        if not self.sections or any(section.weights < 1 for section in self.sections):
            raise ArgumentError(f"sections must hold at least one weight each, got {self.sections}")
        object.__setattr__(self, "outliers", _checks.integer("outliers", self.outliers, 0, self.weights))
        # Neighbours of one format are joined, so that tensor formats that store alike compare equal.
        runs = [(fmt, list(run)) for fmt, run in groupby(self.sections, lambda section: section.format)]
        joined = tuple(Section(sum(section.weights for section in run), fmt) for fmt, run in runs)
        object.__setattr__(self, "sections", joined)
        if self.scale.kind == "fixed" and self.granularity != "tensor":
            raise ArgumentError(f"granularity must be 'tensor' for a fixed scale, got {self.granularity!r}")

    def without_feedback(self) -> "TensorFormat":
        """The format with words that are chosen one by one, at a readout gain less what words were chosen for."""
        if self.correction != "fed_back":
            return self
        # Kept in 32 bits, as all readout gains.
        gain = float(np.float32(self.readout_gain / self.feedback_gain))
        return replace(self, correction="least_error", readout_gain=gain, feedback_gain=1.0)

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(section.weights for section in self.sections)

    @property
    def bits(self) -> int:
        """Bits of a word, of the widest section."""
        return max(section.format.bits for section in self.sections)

    @cached_property
    def spans_of_formats(self) -> list[tuple[Format, list[slice]]]:
        """Each format once, in order of appearance, with the runs of its weights in the flattened tensor."""
        spans: dict[Format, list[slice]] = {}
        for span, section in self._spans():
            spans.setdefault(section.format, []).append(span)
        return list(spans.items())

    @cached_property
    def runs_of_formats(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """First index and the one after the last of each run, for each of `spans_of_formats`."""
        runs = (np.array([(span.start, span.stop) for span in spans], np.int64) for _, spans in self.spans_of_formats)
        return [(run[:, 0].copy(), run[:, 1].copy()) for run in runs]

    @property
    def levels(self) -> set[Levels]:
        """The levels of its sections, each once."""
        return {section.format.levels for section in self.sections}

    @property
    def cells(self) -> float:
        """Memory cells that the weights of the tensor take."""
        return sum(section.weights * section.format.cells for section in self.sections)

    def side_values(self, shape: Sequence[int], *, map_is_free: bool = True) -> int:
        """Numbers of 16 bits that reading a tensor of a shape needs beside the words.

        Scales, two for the readout gain, number of sections, length and format of each, `side_values` of the levels of
        each format, and outliers.

        Args:
            shape: of the tensor.
            map_is_free: whether the map of the paper counts as free, as there: evenly spaced levels scaled for the
                tensor or its rows, and named ones with a fixed scale.
        """
        levels = self.levels
        rms = self.scale.kind == "root_mean_square"
        # Float words as they are have no scale at all.
        free = {"even", "named"} if self.scale.kind == "fixed" else {"even"}
        of_paper = isinstance(self.granularity, str) and not rms and all(one.kind in free for one in levels)
        if map_is_free and of_paper and not self.outliers:
            return 0
        values = math.prod(scale_shape(shape, self.granularity)) + _TENSOR_VALUES + SECTION_VALUES * len(self.sections)
        return values + sum(one.side_values for one in levels) + outlier_values(self.weights, self.outliers)

    @property
    def protected_bits(self) -> int:
        """Number of protected bits of all weights together."""
        return sum(section.weights * section.format.protected_bits for section in self.sections)

    def scale_of(self, weights: torch.Tensor, fault: FaultModel) -> torch.Tensor:
        """Scale of the stored levels, float64, of shape (), (rows, 1, ...) or (rows, groups).

        Scales that count as side values are rounded to bfloat16, in which they are stored. Weights are divided by the
        rounded scale, so the rounding adds no error.

        Raises:
            ArgumentError: if a root mean square is beyond bfloat16, or no step reaches weights of both signs.
        """
        if not weights.is_floating_point():
            raise ArgumentError(f"weights must be floating, got {weights.dtype}")
        if self.scale.kind == "fixed":
            return torch.full((), self.scale.value, dtype=torch.float64, device=weights.device)
        if self.scale.kind == "root_mean_square":
            scale = mean_square(weights, self.granularity).sqrt()
        else:
            scale = self._largest(weights, fault, self.scale.step)
            if isinstance(self.granularity, str):
                return scale
        # Bfloat16 has the range of float32, where float16 would turn the scales of small weights into 0.
        kept = scale.bfloat16().double()
        # Not `isfinite`: over the scales of groups that takes five times as long.
        if not float(kept.max()) < math.inf:
            raise ArgumentError(f"weights must have scales below 3e38, got {float(scale.max()):g}")
        return kept

    def _largest(self, weights: torch.Tensor, fault: FaultModel, step: Step) -> torch.Tensor:
        """The largest magnitude, and with step="recompute" as much larger as the correction needs."""
        if step == "keep" or self.correction in ("none", "paper"):
            largest = largest_magnitude(weights, self.granularity)
            return largest if step == "keep" or self.correction == "none" else largest * _paper_factor(fault, self.bits)
        # A row may lie in several sections: the one whose expected values end first decides how far all reach.
        means = [section.format.read_mean(fault) for section in self.sections]
        low, high = smallest_and_largest(weights, self.granularity)
        reach_low = max(float(mean.min()) for mean in means)
        reach_high = min(float(mean.max()) for mean in means)
        if reach_low >= 0 or reach_high <= 0:
            raise ArgumentError(f"step='recompute' reaches no weights of both signs under {fault}; use step='keep'")
        return torch.maximum(low.clamp(max=0) / reach_low, high.clamp(min=0) / reach_high)

    def outliers_of(self, weights: torch.Tensor) -> Outliers | None:
        """The weights that are kept exactly beside the words; None if none are."""
        return Outliers.of(weights, self.outliers) if self.outliers else None

    def encode(
        self,
        weights: torch.Tensor,
        fault: FaultModel,
        weak: WeakBits | None = None,
        curvature: Curvature | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 4 of algorithm 1: scale, pre-scale, clip and quantise, once.

        Args:
            weights: finite floating tensor of `weights` elements, any dtype, contiguous or not.
            fault: the fault model that the correction expects.
            weak: what weak cells do to the words, if the writer knows.
            curvature: what errors do together; counts for the correction "fed_back" alone.

        Returns:
            (words, scale): words of the shape of `weights`, contiguous; scale as `scale_of` gives it.

        Raises:
            ArgumentError: if the number of weights differs, or the paper's factor is asked for a fault model that has
                no single symmetric p.
        """
        if weights.numel() != self.weights:
            raise ArgumentError(f"weights must have {self.weights} elements, got shape {tuple(weights.shape)}")
        if weak and (weak.zeros.shape, weak.zeros.dtype) != (weights.shape, label_dtype(self.bits)):
            raise ArgumentError(
                f"weak must be of {label_dtype(self.bits)} and shape {tuple(weights.shape)}, got {weak.zeros.dtype} of "
                f"shape {tuple(weak.zeros.shape)}"
            )
        if outliers := self.outliers_of(weights):
            weights = outliers.left_of(weights)
        scale = self.scale_of(weights, fault)
        fed = curvature if self.correction == "fed_back" else None
        unit = scale if fed is None else scale * self.feedback_gain
        # An all-zero tensor or row has scale 0: any label reads back as 0.
        divisor = torch.where(unit > 0, unit, 1.0)
        rule = _RULES.get(self.correction, "nearest")
        flat = weights.reshape(-1)
        words = torch.empty(flat.shape, dtype=label_dtype(self.bits), device=weights.device)
        compiled = self._compiled(flat, divisor, weights.shape, fault, words)
        for (fmt, spans), runs in zip(self.spans_of_formats, self.runs_of_formats, strict=True):
            stream = fmt.levels.is_stream
            if compiled is not None and not stream and weak is None:
                compiled(*fmt.decision(rule, fault), *runs)
                continue
            for where in [_joined(spans, flat.device)] if stream else chunks(spans, flat.device):
                relative = flat[where].double() / of_each(divisor, where, weights.shape, self.granularity)
                if self.correction == "paper":
                    relative *= _paper_factor(fault, self.bits)
                put(words, where, fmt.encode(relative, rule=rule, expecting=fault, weak=weak_at(weak, where)))
        if fed is not None:
            exact = outliers.places if outliers else None
            feed_back(words, weights, unit, self.granularity, self.spans_of_formats, fault, fed, exact, weak)
        return words.reshape(weights.shape), scale

    def _compiled(
        self,
        flat: torch.Tensor,
        divisor: torch.Tensor,
        shape: Sequence[int],
        fault: FaultModel,
        words: torch.Tensor,
    ) -> Encode | None:
        """What writes the labels that `Format.encode` gives in one pass, by the decision and the runs of a format."""
        encode = kernel()
        if encode is None or flat.device.type != "cpu":
            return None
        # Read only: other dtypes are few, and float64 holds all of them.
        values = (flat if flat.dtype in (torch.float32, torch.float64) else flat.double()).detach().contiguous().numpy()
        factor = _paper_factor(fault, self.bits) if self.correction == "paper" else 1.0
        group = self.granularity if isinstance(self.granularity, int) else 0
        return partial(encode, values, divisor.reshape(-1).numpy(), row_length(shape), group, factor, words.numpy())

    def decode(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        *,
        out: torch.Tensor | None = None,
        outliers: Outliers | None = None,
    ) -> torch.Tensor:
        """Weights that words stand for: readout[label] x scale x readout gain. Arguments as for `read`."""
        return self._by_label(self.windows(words), scale * self.readout_gain, self.readouts, outliers, out)

    def windows(self, words: torch.Tensor) -> torch.Tensor:
        """What each weight is read from, of the shape of `words`: its word, or in a trellis its window."""
        if words.numel() != self.weights or not self.has_stream:
            return words
        flat = words.reshape(-1)
        found = torch.empty(flat.shape, dtype=torch.int16, device=words.device)
        for fmt, spans in self.spans_of_formats:
            put(found, where := _joined(spans, flat.device), fmt.windows(take(flat, where)))
        return found.reshape(words.shape)

    @cached_property
    def has_stream(self) -> bool:
        """Whether weights of a section are read from several words."""
        return any(fmt.levels.is_stream for fmt, _ in self.spans_of_formats)

    def corrupt(self, words: torch.Tensor, fault: FaultModel, *, seed: int, place: str = "") -> torch.Tensor:
        """Words as read once through the protections; arguments as for `read`."""
        flat = words.reshape(-1)
        read = torch.empty_like(flat) if len(self.spans_of_formats) > 1 else flat
        for fmt, spans in self.spans_of_formats:
            # A section is cut out of a read of the whole tensor, so that errors do not depend on where a plan splits:
            # plans compare under common random numbers, and the weak cells of a chip stay where they are.
            whole = fmt.corrupt(flat.to(label_dtype(fmt.bits)), fault, seed=seed, place=place)
            if fmt.levels.words_of_a_weight < 1:
                # Places without a word hold nothing that can be read.
                places = _joined(spans, flat.device)
                whole[places[fmt.words(len(places)) :]] = 0
            if read is flat:
                read = whole
                break
            for where in chunks(spans, flat.device):
                put(read, where, take(whole, where))
        return read.reshape(words.shape)

    def read(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        fault: FaultModel,
        *,
        seed: int,
        place: str = "",
        out: torch.Tensor | None = None,
        outliers: Outliers | None = None,
    ) -> torch.Tensor:
        """Weights as read once from the memory.

        Args:
            words: what `encode` returned.
            scale: what `encode` returned.
            fault: how the memory fails.
            seed: the same seed gives the same errors.
            place: name of the tensor; see `FaultModel.corrupt`.
            out: a contiguous floating tensor of the shape of `words`, on their device, to overwrite.
            outliers: what `outliers_of` returned, where there are any.

        Returns:
            `out`, or a new float64 tensor.
        """
        read = self.corrupt(words, fault, seed=seed, place=place)
        return self.decode(read, scale, out=out, outliers=outliers)

    def read_mean(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        fault: FaultModel,
        *,
        out: torch.Tensor | None = None,
        outliers: Outliers | None = None,
    ) -> torch.Tensor:
        """Exact expected weights when read, of the shape of `words`; the rest as for `read`."""
        means = [fmt.read_mean(fault).copy() for fmt, _ in self.spans_of_formats]
        return self._by_label(self.windows(words), scale * self.readout_gain, means, outliers, out)

    def read_bias(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        weights: torch.Tensor,
        fault: FaultModel,
        *,
        out: torch.Tensor | None = None,
        outliers: Outliers | None = None,
    ) -> torch.Tensor:
        """Exact bias of what is read, E[weights read] - weights, of the shape of `words`; the rest as for `read`."""
        check_fit(self.weights, self.granularity, words, scale, weights=weights)
        means = [fmt.read_mean(fault).copy() for fmt, _ in self.spans_of_formats]
        return self._by_label(
            self.windows(words), scale * self.readout_gain, means, outliers, out, less=weights.reshape(-1)
        )

    def read_variance(
        self,
        words: torch.Tensor,
        scale: torch.Tensor,
        fault: FaultModel,
        *,
        out: torch.Tensor | None = None,
        outliers: Outliers | None = None,
    ) -> torch.Tensor:
        """Exact variance of each weight as read, given the stored words, of their shape; the rest as for `read`."""
        variances = [fmt.read_variance(fault).copy() for fmt, _ in self.spans_of_formats]
        exact = outliers and Outliers(outliers.places, torch.zeros_like(outliers.values))
        return self._by_label(self.windows(words), (scale * self.readout_gain).square(), variances, exact, out)

    def summed_variance(
        self, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel, *, outliers: Outliers | None = None
    ) -> float:
        """Exact variance of the weights as read, summed over them, given the stored words; the rest as for `read`."""
        amounts = zip(self.label_amounts(words, scale, outliers=outliers), self.sections, strict=True)
        return sum(float(amount @ section.format.read_variance(fault)) for amount, section in amounts)

    def label_amounts(
        self, words: torch.Tensor, scale: torch.Tensor, *, outliers: Outliers | None = None
    ) -> list[NDArray[np.float64]]:
        """For each section, the sum of (scale x readout gain)**2 over the weights of each label (or window).

        Outliers do not count; they are given as for `read`.
        """
        check_fit(self.weights, self.granularity, words, scale)
        squared_scale, flat = (scale * self.readout_gain).square(), self.windows(words).reshape(-1)
        places = self.places_of(outliers)

        def summed(where: Places, labels: int) -> NDArray[np.float64]:
            # On the CPU: with weights, torch's bincount on CUDA adds in no fixed order.
            found = take(flat, where).cpu().int()
            weights = of_each(squared_scale, where, words.shape, self.granularity).cpu().expand(found.shape)
            return torch.bincount(found, weights=weights, minlength=labels).numpy()

        amounts = []
        for span, section in self._spans():
            labels = section.format.levels.readout_size
            amount = sum((summed(where, labels) for where in chunks([span], words.device)), np.zeros(labels))
            if places is not None:
                amount = amount - summed(places[(places >= span.start) & (places < span.stop)], labels)
            # What is left of a label of outliers alone is 0 but for rounding.
            amounts.append(amount.clip(min=0.0))
        return amounts

    def places_of(self, outliers: Outliers | None) -> torch.Tensor | None:
        """Places of the outliers; raises `ArgumentError` if they are not as many as there have to be."""
        given = 0 if outliers is None else len(outliers.places)
        if given != self.outliers:
            raise ArgumentError(f"outliers must be {self.outliers}, as outliers_of returns them, got {given}")
        return outliers.places if outliers is not None and given else None

    def full(self, *, raw: bool = False) -> torch.Tensor:
        """Words of the flattened tensor, on the CPU, with a 1 for every bit that is stored, or lies in a raw cell."""
        flat = torch.zeros(self.weights, dtype=label_dtype(self.bits), device="cpu")
        for fmt, spans in self.spans_of_formats:
            where = _joined(spans, flat.device)[: fmt.words(sum(span.stop - span.start for span in spans))]
            bits = sum(1 << bit for bit, one in enumerate(fmt.protections) if not raw or one.kind == "raw")
            put(flat, where, torch.full((len(where),), bits, device=flat.device))
        return flat

    def holds(self, words: torch.Tensor) -> bool:
        """Whether every word of a tensor is a label of its format, with no bits where a stream has none."""
        flat = words.reshape(-1)
        alone = [(fmt, spans) for fmt, spans in self.spans_of_formats if fmt.levels.words_of_a_weight < 1]
        places = [(fmt, _joined(spans, words.device)) for fmt, spans in alone]
        return all(
            int(flat[where].int().max()) < 2**section.format.bits
            for span, section in self._spans()
            for where in chunks([span], words.device)
        ) and not any(flat[where[fmt.words(len(where)) :]].any() for fmt, where in places)

    def _by_label(
        self,
        words: torch.Tensor,
        factor: torch.Tensor,
        tables: Sequence[NDArray[np.float64]],
        outliers: Outliers | None,
        out: torch.Tensor | None = None,
        less: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`table[label] * factor - less` for each word, with the table of its format, and `value - less` of outliers.

        Args:
            words: of each weight, its index in its table.
            factor: of `scale_shape`.
            tables: one for each of `spans_of_formats`.
            outliers: as for `read`.
            out: as for `read`.
            less: shape (weights,); 0 if not given.
        """
        check_fit(self.weights, self.granularity, words, factor, out=out)
        places = self.places_of(outliers)
        if out is None:
            out = torch.empty(words.shape, dtype=torch.float64, device=words.device)
        flat, values = words.reshape(-1), out.view(-1)
        for (_, spans), table in zip(self.spans_of_formats, tables, strict=True):
            of_label = torch.from_numpy(table).to(words.device)
            # One factor for all weights goes into the table, which is shorter. With `less` the product stays in
            # float64: rounded to the dtype of `out` first, a small difference would be all rounding error.
            if factor.ndim == 0:
                of_label = (of_label * factor).to(out.dtype if less is None else torch.float64)
            for where in chunks(spans, words.device):
                value = torch.index_select(of_label, 0, take(flat, where).int())
                if factor.ndim:
                    value *= of_each(factor, where, words.shape, self.granularity)
                if less is not None:
                    value -= less[where].double()
                values[where] = value.to(out.dtype)
        if places is not None and outliers is not None:
            kept = outliers.values.double()
            values[places] = (kept if less is None else kept - less[places].double()).to(out.dtype)
        return out

    @cached_property
    def readouts(self) -> list[NDArray[np.float64]]:
        """The readout table of each of `spans_of_formats`."""
        return [fmt.readout() for fmt, _ in self.spans_of_formats]

    def _spans(self) -> Iterator[tuple[slice, Section]]:
        start = 0
        for section in self.sections:
            yield slice(start, start + section.weights), section
            start += section.weights


def _joined(spans: Sequence[slice], device: torch.device) -> torch.Tensor:
    """All places of some runs: a trellis is one stream over them."""
    return torch.cat([torch.arange(span.start, span.stop, device=device) for span in spans])


def _paper_factor(fault: FaultModel, bits: int) -> float:
    rates = fault.rates(bits)
    p = rates.p01[0]
    if any(rate != p for rate in (*rates.p01, *rates.p10)):
        raise ArgumentError(
            f"correction='paper' needs one flip probability for all bits and both directions, got {fault}; "
            "correction='exact' takes any fault model"
        )
    return 1 / (1 - 2 * p)
