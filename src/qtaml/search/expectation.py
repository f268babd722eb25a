"""What a plan is expected to do: the output error of its expected weights, and of the noise around them."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from qtaml._memory import give_back
from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import CHUNK, Outliers, TensorFormat
from qtaml.model import evaluation_mode, finite, replacing
from qtaml.planning import TensorPlan
from qtaml.planning.weak_cells import weak_bits_of
from qtaml.search.chip_average import chip_average
from qtaml.search.readout import LIMITS, ROUNDS, balance_readout, read_at
from qtaml.sensitivity import Calibration, Curvature

Storages = Mapping[str, TensorFormat]
"""How each tensor is stored, by name."""

_WEIGHTS_OF_CHIPS, _MOST_CHIPS = 2**14, 64
"""Weights of chips with a map, of which the expectation is taken, and the most chips: one chip of a small tensor may
have a large error or none."""
_LEAST_KEPT, _PLANS_KEPT, _PLANS_OF_LARGE = 2**22, 4, 2
"""Expected weights that are kept, 32 MiB, or of so many plans where that is more; of a large network words."""
_ROUNDS_OF_GAIN, _SAME_GAIN = 4, 0.05
"""Readout gains for which words with feedback are chosen at most, and relative steps that are none."""


@dataclass(frozen=True)
class Outlook:
    """What a plan is expected to do.

    Attributes:
        gains: readout gain of each tensor.
        bias: squared output deviation of the network of the expected weights.
        errors: output error of the noise in each tensor.
    """

    gains: dict[str, float]
    bias: float
    errors: dict[str, float]

    @property
    def error(self) -> float:
        """Predicted output error."""
        return self.bias + sum(self.errors.values())


@dataclass(frozen=True)
class _Part:
    """What one tensor is expected to be read as.

    Attributes:
        read: the expected weights at a readout gain, in a dtype.
        variance: summed over its weights.
        power: squared norm of the trained weights, without outliers.
        slope: share of them that is left on average.
        rest: squared norm of what the expected weights are off besides.
        gain: readout gain for which its words were chosen, if they were chosen for one.
    """

    read: Callable[[float, torch.dtype], torch.Tensor]
    variance: float
    power: float
    slope: float
    rest: float
    gain: float | None

    def best_gain(self, coherence: float) -> float:
        """Readout gain of least error of the tensor alone (`Candidate.effect`)."""
        if self.gain is not None:
            return self.gain
        whole, rest = coherence * self.power, self.variance + self.rest
        kept = whole * self.slope
        return min(max(kept / (rest + kept * self.slope), LIMITS[0]), LIMITS[1]) if kept > 0 else 1.0


def as_kept(gains: Mapping[str, float]) -> dict[str, float]:
    """Readout gains in 32 bits, as they are kept."""
    return {name: float(np.float32(gain)) for name, gain in gains.items()}


class Expectations:
    """Outlooks for plans of one network.

    Args:
        calibration: what was measured of the network.
        fault: how the memory fails; with `KnownCells`, on average over chips that are written with a map.
        adjust: whether readout gains are allowed.
    """

    def __init__(self, calibration: Calibration, fault: FaultModel, *, adjust: bool) -> None:
        self._calibration, self._fault, self._adjust = calibration, fault, adjust
        self._mapped = fault if isinstance(fault, KnownCells) else None
        self._known: dict[tuple[str, TensorFormat], _Part] = {}
        self._fed_formats: dict[tuple[str, TensorFormat], TensorFormat] = {}
        self._shares: dict[tuple[str, TensorFormat], float] = {}
        self._held = 0
        weights = sum(weight.numel() for weight in calibration.weights.values())
        self._most_kept = _PLANS_OF_LARGE * weights if calibration.large else max(_LEAST_KEPT, _PLANS_KEPT * weights)
        # Names and ties once: the model of a calibration is a copy, which stays as it is.
        self._run = replacing(calibration.model)

    def outlook(self, storages: Storages, squared: Mapping[str, float], gains: Mapping[str, float] | None) -> Outlook:
        """An outlook from one forward pass or two.

        Args:
            storages: how each tensor is stored.
            squared: squared gain of each tensor (`Gain.squared`).
            gains: readout gains that were best for a similar plan, tried beside those of each tensor by itself.
        """
        parts = self._parts(storages)
        own = {n: p.best_gain(self._calibration.coherence[n]) if self._adjust else 1.0 for n, p in parts.items()}
        tried = [own, dict(gains)] if gains is not None and self._adjust else [own]
        return min((self._at(parts, squared, one) for one in tried), key=lambda outlook: outlook.error)

    def _at(self, parts: Mapping[str, _Part], squared: Mapping[str, float], gains: dict[str, float]) -> Outlook:
        weights = self._calibration.weights
        bias = self._bias({name: part.read(gains[name], weights[name].dtype) for name, part in parts.items()})
        errors = {name: squared[name] * gains[name] ** 2 * part.variance for name, part in parts.items()}
        return Outlook(gains, bias, errors)

    def _bias(self, weights: Mapping[str, torch.Tensor]) -> float:
        """Squared output deviation of the network of other weights."""
        model, batch = self._calibration.model, self._calibration.few
        with evaluation_mode(model), torch.no_grad():
            moved = finite(self._run(batch, weights), batch) - self._calibration.few_clean
        return float(moved.double().square().sum() / len(moved))

    def balanced(self, storages: Storages, squared: Mapping[str, float], gains: Mapping[str, float]) -> Outlook:
        """The outlook at the best readout gains, begun from some."""
        parts = self._parts(storages)
        balanced = balance_readout(
            self._calibration.model,
            self._calibration.few,
            {name: part.read for name, part in parts.items()},
            {name: squared[name] * part.variance for name, part in parts.items()},
            start=gains,
            rounds=ROUNDS if self._adjust else 0,
            clean=self._calibration.few_clean,
        )
        return self._at(parts, squared, as_kept(balanced.gains))

    def at(self, storages: Storages, squared: Mapping[str, float], gains: Mapping[str, float]) -> Outlook:
        """The outlook at given readout gains."""
        return self._at(self._parts(storages), squared, dict(gains))

    def fed_back(self, storages: Storages) -> dict[str, TensorFormat]:
        """The same formats with rounding errors fed back, where the layers of a tensor show how they act together."""
        known = self._calibration.curvatures

        def feeds(name: str, one: TensorFormat) -> bool:
            # Of a chip with a map only streams are chosen for the errors of others.
            return one.correction == "least_error" and name in known and (self._mapped is None or one.has_stream)

        return {name: self._fed(name, one) if feeds(name, one) else one for name, one in storages.items()}

    def _fed(self, name: str, storage: TensorFormat) -> TensorFormat:
        """With feedback, at a readout gain of little error of the words that are chosen for it.

        Fewer than one bit a weight act together best if each is read as more than it stands for by itself: the gain
        that is best for the words of one gain leads to the next.
        """
        found = replace(storage, correction="fed_back")
        if self._mapped is not None:
            return found
        if (key := (name, storage)) not in self._fed_formats:
            tried, gain = list[tuple[float, TensorFormat]](), 1.0
            for _ in range(_ROUNDS_OF_GAIN):
                one = replace(found, feedback_gain=float(np.float32(gain)))
                error, best = self._curved_gain(name, one)
                tried.append((error, one))
                if not self._adjust or abs(math.log(best / gain)) < _SAME_GAIN:
                    break
                # Half as far again: steps in one direction get shorter.
                gain = min(max(best * (best / gain) ** 0.5, LIMITS[0]), LIMITS[1])
            self._fed_formats[key] = min(tried, key=lambda pair: pair[0])[1]
        return self._fed_formats[key]

    def _curved_gain(self, name: str, storage: TensorFormat) -> tuple[float, float]:
        """`_curved_error` of a tensor with feedback, and the readout gain at which that would be least."""
        weight, curvature = self._calibration.weights[name], self._calibration.curvatures[name]
        part, gain = self._part(name, storage), storage.feedback_gain
        read = part.read(gain, torch.float64)
        noise = gain**2 * part.variance * _mean_diagonal(curvature)
        power, error = curvature.error(read) + noise, curvature.error(weight - read) + noise
        # <w, r> from |w - r|**2, |w|**2 and |r|**2.
        kept = (curvature.error(weight.double()) + power - error) / 2
        best = gain * kept / power if power > 0 < kept else gain
        return error, min(max(best, LIMITS[0]), LIMITS[1])

    def shares_left(self, storages: Storages, fed_back: Storages) -> dict[str, float]:
        """The share of the error of each tensor that feedback leaves.

        Args:
            storages: formats without.
            fed_back: the same with feedback, where there is any.

        Source:
            theory.md 6.12.
        """
        fed = {name: one for name, one in fed_back.items() if one.correction == "fed_back"}
        if self._mapped is not None:
            return {name: self._share_of_chips(self._mapped, name, one) for name, one in fed.items()}
        return {
            name: self._curved_error(name, one) / self._curved_error(name, storages[name]) for name, one in fed.items()
        }

    def _curved_error(self, name: str, storage: TensorFormat) -> float:
        """What a tensor does to the output, by its curvature and up to a factor: expected weights and noise."""
        # Above 0, so that shares are numbers where nothing is left of a tensor of zeros.
        return max(self._curved_gain(name, storage)[0], sys.float_info.min)

    def _parts(self, storages: Storages) -> dict[str, _Part]:
        if self._calibration.large:
            give_back()
        return {name: self._part(name, storage) for name, storage in storages.items()}

    def _part(self, name: str, storage: TensorFormat) -> _Part:
        key = name, storage
        if key not in self._known:
            weight = self._calibration.weights[name]
            outliers = storage.outliers_of(weight)
            read, variance = self._read(name, weight, storage, outliers)
            power, kept, size = _products(weight, read(1.0, torch.float64), outliers)
            slope = kept / power if power else 1.0
            gain = storage.feedback_gain if storage.correction == "fed_back" else None
            part = _Part(read, variance, power, slope, max(size - slope**2 * power, 0.0), gain)
            while self._known and self._held + weight.numel() > self._most_kept:
                first, _ = oldest = next(iter(self._known))
                del self._known[oldest]
                self._held -= self._calibration.weights[first].numel()
            self._held += weight.numel()
        else:
            part = self._known.pop(key)
        # What was asked for last is what is kept longest.
        self._known[key] = part
        return part

    def _read(
        self, name: str, weight: torch.Tensor, storage: TensorFormat, outliers: Outliers | None
    ) -> tuple[Callable[[float, torch.dtype], torch.Tensor], float]:
        """What makes the expected weights, and the variance around them, summed."""
        if self._mapped:
            # Errors of one chip that are fed back are larger one by one, and act less together: what they are without,
            # times the share that is left.
            fed = storage.correction == "fed_back"
            mean, variance = self._over_chips(self._mapped, name, storage.without_feedback(), outliers)
            if not fed:
                return partial(_scaled, mean, outliers), variance
            share = self._share_of_chips(self._mapped, name, storage)
            return partial(_scaled, weight + share**0.5 * (mean - weight), outliers), share * variance
        curvature = self._calibration.curvatures.get(name) if storage.correction == "fed_back" else None
        words, scale = storage.encode(weight, self._fault, curvature=curvature)
        variance = storage.summed_variance(words, scale, self._fault, outliers=outliers)
        if self._calibration.large:
            # Words take an eighth of the memory, and little time beside forward passes.
            return partial(_looked_up, storage, words, scale, self._fault, outliers), variance
        return partial(_scaled, storage.read_mean(words, scale, self._fault, outliers=outliers), outliers), variance

    def _of_chips(
        self, known: KnownCells, name: str, storage: TensorFormat, curvature: Curvature | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What chips that are written with a map read without further errors, words and scale."""
        weight = self._calibration.weights[name]
        entry = TensorPlan.of(name, (), weight, storage)
        for number in range(min(max(_WEIGHTS_OF_CHIPS // weight.numel(), 1), _MOST_CHIPS)):
            chip = known.cells.of_chip(child_seed(self._calibration.seed, "chip of trials", number))
            weak = weak_bits_of(entry, chip, known.reads)
            words, scale = storage.encode(weight, known, weak, curvature)
            yield weak.read(words), scale

    def _share_of_chips(self, known: KnownCells, name: str, fed: TensorFormat) -> float:
        """The share of the error of a tensor that feedback leaves, over chips; at most 1."""
        if (key := (name, fed)) not in self._shares:
            weight, curvature = self._calibration.weights[name], self._calibration.curvatures[name]
            outliers, errors = fed.outliers_of(weight), []
            for storage, by in ((fed, curvature), (fed.without_feedback(), None)):
                found = 0.0
                for meant, scale in self._of_chips(known, name, storage, by):
                    found += curvature.error(weight - storage.read_mean(meant, scale, known, outliers=outliers))
                    found += curvature.noise(storage.read_variance(meant, scale, known, outliers=outliers))
                errors.append(found)
            self._shares[key] = errors[0] / errors[1] if 0 < errors[0] < errors[1] else 1.0
        return self._shares[key]

    def _over_chips(
        self, known: KnownCells, name: str, storage: TensorFormat, outliers: Outliers | None
    ) -> tuple[torch.Tensor, float]:
        """The same over chips: what one chip does to a weight is noise, but for the mean over chips."""
        weight, reads, variances = self._calibration.weights[name], [], []
        for meant, scale in self._of_chips(known, name, storage, None):
            read = storage.read_mean(meant, scale, known, outliers=outliers)
            reads.append(outliers.left_of(read) if outliers else read)
            variances.append(storage.summed_variance(meant, scale, known, outliers=outliers))
        left = outliers.left_of(weight) if outliers else weight.detach()
        mean, of_chips = chip_average(left, reads, scale, storage)
        if outliers:
            outliers.put(mean)
        return mean, sum(variances) / len(variances) + of_chips


def _mean_diagonal(curvature: Curvature) -> float:
    """Of all factors together."""
    sides = (one for one in (curvature.rows, curvature.columns) if one is not None)
    return math.prod(float(one.diagonal().mean()) for one in sides)


def _scaled(mean: torch.Tensor, outliers: Outliers | None, gain: float, dtype: torch.dtype) -> torch.Tensor:
    """Expected weights at a readout gain, from those at a gain of 1."""
    return read_at(mean, gain, outliers).to(dtype)


def _looked_up(
    storage: TensorFormat,
    words: torch.Tensor,
    scale: torch.Tensor,
    fault: FaultModel,
    outliers: Outliers | None,
    gain: float,
    dtype: torch.dtype,
) -> torch.Tensor:
    """The same from words, without a wide copy."""
    out = torch.empty_like(words, dtype=dtype)
    return storage.read_mean(words, scale * gain, fault, out=out, outliers=outliers)


def _products(weight: torch.Tensor, mean: torch.Tensor, outliers: Outliers | None) -> tuple[float, float, float]:
    """Squared norm of the weights, their product with what is expected to be read, and its squared norm."""
    sums = torch.zeros(3, dtype=torch.float64, device="cpu")
    for start in range(0, weight.numel(), CHUNK):
        places = slice(start, start + CHUNK)
        flat, read = (one.reshape(-1)[places].to(torch.float64, copy=True) for one in (weight.detach(), mean))
        if outliers:
            within = outliers.places[(outliers.places >= start) & (outliers.places < start + CHUNK)] - start
            flat[within], read[within] = 0.0, 0.0
        sums += torch.stack([flat @ flat, flat @ read, read @ read]).cpu()
    power, kept, size = sums.tolist()
    return power, kept, size
