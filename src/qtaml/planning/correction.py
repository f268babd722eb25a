"""Whether the mean correction of each tensor helps: predicted for all at once, or measured one after the other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.formats import TensorFormat
from qtaml.model import Batch
from qtaml.planning.encode_once import Encode
from qtaml.sensitivity import gradient_statistics, output_deviations

# Numbers widened to float64 at a time: 512 KiB stay in the cache.
_PIECE = 2**16
# Weights up to which their moments are kept over all passes, which was measured to take half the time. Beyond it they
# are made anew for each pass: words take a fraction of the memory of the four float32 numbers of each weight.
_MOST_KEPT = 2**22
# Pairs of reads before it is asked whether they are enough.
_FEW = 4


@dataclass(frozen=True)
class CorrectionTest:
    """Squared output deviation with errors in one tensor alone, without and with its mean correction.

    Attributes:
        without: mean over the trials, uncorrected.
        corrected: mean over the same trials, corrected.
        standard_error: of their difference, from the paired trials.
    """

    without: float
    corrected: float
    standard_error: float

    @property
    def helps(self) -> bool:
        """Whether the correction lowers the deviation."""
        return self.corrected < self.without

    def __str__(self) -> str:
        """Both deviations in one line."""
        difference = f"difference {self.corrected - self.without:.3g} ± {self.standard_error:.1g}"
        return f"output error {self.without:.3g} uncorrected, {self.corrected:.3g} corrected; {difference}"


def measure_correction(
    model: nn.Module,
    batch: Batch,
    name: str,
    weight: torch.Tensor,
    stored: TensorFormat,
    fault: FaultModel,
    *,
    trials: int,
    seed: int,
    enough: float = 0.0,
    encode: Encode = TensorFormat.encode,
) -> CorrectionTest | None:
    """Measure the output deviation with and without the correction of one tensor, all others free of errors.

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        name: name of the tensor in the model.
        weight: its trained weights.
        stored: how it is stored, with the correction that is on trial.
        fault: how the memory fails.
        trials: reads with and reads without the correction, at least 2; paired by common random numbers.
        seed: seed of the errors.
        enough: standard error of the difference, as a share of the deviation, at which the first four trials do.
        encode: what encodes a tensor.

    Returns:
        The two deviations, or None if the correction changes no stored word.

    Raises:
        ModelError: if the model fails on the batch.

    Source:
        paper, algorithm 1, step 3.
    """
    ways = _both_ways(weight, stored, fault, encode)
    if ways is None:
        return None

    read = torch.empty_like(ways[0][1], dtype=weight.dtype)

    def pairs(numbers: range) -> torch.Tensor:
        changes = (
            # The same seeds for both ways, so that trials are pairs. Made one by one: a single read is held at a time.
            {name: way.read(words, scale, fault, seed=child_seed(seed, "correction", name, trial), out=read)}
            for way, words, scale in ways
            for trial in numbers
        )
        return output_deviations(model, batch, changes).reshape(2, len(numbers))

    first = range(min(trials, _FEW) if enough else trials)
    found = pairs(first)
    test = _test(*found)
    if len(first) == trials or test.standard_error <= enough * test.without:
        return test
    return _test(*torch.cat([found, pairs(range(len(first), trials))], dim=1))


def predict_corrections(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    stored: Mapping[str, TensorFormat],
    fault: FaultModel,
    *,
    passes: int = 32,
    seed: int = 0,
    samples_at_once: int | None = None,
    encode: Encode = TensorFormat.encode,
) -> dict[str, CorrectionTest | None]:
    """First-order prediction of `measure_correction` for all tensors, from the same few backward passes.

    To first order in the weight errors of a tensor, of mean b and variance v, its output deviation is
    ||J b||**2 + sum_w J_w**2 v_w. A backward pass from random signs gives a gradient g with E[g g^T] = J^T J, so
    (g . b)**2 + sum_w g_w**2 v_w has that mean, for every tensor, with and without its correction. Takes the memory of
    two stored words for each weight; up to four million weights also that of four float32 numbers, for speed.

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        weights: name to trained tensor, as `stored_weights` gives them.
        stored: how each is stored, with the correction that is on trial.
        fault: how the memory fails.
        passes: backward passes, at least 2.
        seed: seed of the signs.
        samples_at_once: samples that go through the network together; all if not given. Fewer give smaller errors.
        encode: what encodes a tensor.

    Returns:
        For each tensor the two deviations, or None if the correction changes no stored word.

    Raises:
        ArgumentError: if `passes` is below 2 or `samples_at_once` below 1.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.7; in place of algorithm 1, step 3.
    """
    _checks.covers("stored", stored, weights)
    ways = {name: _both_ways(weight, stored[name], fault, encode) for name, weight in weights.items()}
    differing = {name: both for name, both in ways.items() if both is not None}
    if not differing:
        return dict.fromkeys(weights)

    def moments(name: str) -> list[Iterable[torch.Tensor]]:
        return [_bias_and_variance(weights[name], *way, fault) for way in differing[name]]

    kept: dict[str, list[Iterable[torch.Tensor]]] = {}
    if sum(weights[name].numel() for name in differing) <= _MOST_KEPT:
        kept = {name: [tuple(both) for both in moments(name)] for name in differing}

    def deviations(name: str, gradient: torch.Tensor) -> torch.Tensor:
        return torch.stack([_deviation(gradient, both) for both in kept.get(name) or moments(name)])

    found = gradient_statistics(
        model,
        batch,
        {name: weights[name] for name in differing},
        deviations,
        passes=passes,
        seed=seed,
        samples_at_once=samples_at_once,
    )
    # A tensor that does not act on the output has one zero for each pass.
    pairs = {name: values.reshape(len(values), -1).expand(-1, 2).T for name, values in found.items()}
    return {name: _test(*pairs[name]) if name in pairs else None for name in weights}


def _both_ways(
    weight: torch.Tensor, stored: TensorFormat, fault: FaultModel, encode: Encode
) -> list[tuple[TensorFormat, torch.Tensor, torch.Tensor]] | None:
    """Format, words and scale without the correction and with it, or None if these are the same."""
    ways = [(way, *encode(way, weight, fault)) for way in (replace(stored, correction="none"), stored)]
    (_, words, scale), (_, corrected_words, corrected_scale) = ways
    return None if torch.equal(words, corrected_words) and torch.equal(scale, corrected_scale) else ways


def _bias_and_variance(
    weight: torch.Tensor, way: TensorFormat, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel
) -> Iterator[torch.Tensor]:
    """Mean error of each weight when read, then its variance, float32; only one of them is held at a time."""
    yield way.read_bias(words, scale, weight.detach(), fault, out=torch.empty_like(words, dtype=torch.float32))
    yield way.read_variance(words, scale, fault, out=torch.empty_like(words, dtype=torch.float32))


def _deviation(gradient: torch.Tensor, bias_and_variance: Iterable[torch.Tensor]) -> torch.Tensor:
    """(g . b)**2 + sum_w g_w**2 v_w, float64."""
    moments = iter(bias_and_variance)
    # Terms of g . b have both signs and largely cancel: float32 would lose the sum.
    bias = torch.stack([torch.dot(g, b) for g, b in _pieces(gradient, next(moments))]).sum()
    variance = torch.stack([torch.dot(g.square(), v) for g, v in _pieces(gradient, next(moments))]).sum()
    return bias.square() + variance


def _pieces(gradient: torch.Tensor, moment: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    flat = (torch.split(tensor.reshape(-1), _PIECE) for tensor in (gradient, moment))
    return ((g.double(), number.double()) for g, number in zip(*flat, strict=True))


def _test(without: torch.Tensor, corrected: torch.Tensor) -> CorrectionTest:
    """The test from paired deviations, shape (pairs,) each."""
    # Of the pairs: the errors that both share cancel.
    error = (corrected - without).std() / len(without) ** 0.5
    return CorrectionTest(float(without.mean()), float(corrected.mean()), float(error))
