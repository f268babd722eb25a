"""The weights of a stored tensor at its levels, and the law of their errors beside what reads give."""

import math
from typing import cast

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.formats import Format
from qtaml.formats.scales import of_each
from qtaml.formats.transitions import LARGEST_MATRIX_BITS, transition_matrix
from qtaml.memory import StoredTensor
from qtaml.overview.records import ErrorsOfWeights, WeightsOverview
from qtaml.planning import TensorPlan
from qtaml.protections import Protection

_BINS, _MOST_LEVELS = 40, 256
_READ, _MOST_READS = 2**16, 200
"""Weights that are read of a tensor, and reads of a small one, to be seen beside the law."""

Floats = NDArray[np.float64]


def weights_overview(
    entry: TensorPlan, stored: StoredTensor, trained: torch.Tensor | None, fault: FaultModel, seed: int
) -> WeightsOverview:
    """The weights of a tensor in units of its scale.

    Args:
        entry: how it is stored.
        stored: its words.
        trained: the trained weights; None if they are not known.
        fault: how the memory fails.
        seed: of the errors that are drawn.
    """
    values, counts = _levels(entry, stored)
    edges, shares = ((), ()) if trained is None else _histogram(entry, stored, trained)
    errors = _errors(entry, stored, fault, seed)
    return WeightsOverview(entry.name, values, tuple((counts / counts.sum()).tolist()), edges, shares, errors)


def label_counts(entry: TensorPlan, stored: StoredTensor) -> list[tuple[Format, Floats]]:
    """Number of weights of each label, or window of a trellis, for each format of a tensor."""
    flat = entry.storage.windows(stored.words).reshape(-1).cpu()
    counted = []
    for fmt, spans in entry.storage.spans_of_formats:
        count = np.zeros(fmt.levels.readout_size)
        for span in spans:
            count += np.bincount(flat[span].numpy(), minlength=len(count))
        counted.append((fmt, count))
    return counted


def _levels(entry: TensorPlan, stored: StoredTensor) -> tuple[tuple[float, ...], Floats]:
    counted = label_counts(entry, stored)
    every = np.concatenate([fmt.readout() for fmt, _ in counted]) * entry.storage.readout_gain
    # What is read as infinity or NaN is never stored.
    stored_as = np.isfinite(every)
    values, place = np.unique(every[stored_as], return_inverse=True)
    counts = np.bincount(place, np.concatenate([count for _, count in counted])[stored_as])
    if len(values) > _MOST_LEVELS:
        step = math.ceil(len(values) / _MOST_LEVELS)
        starts = np.arange(0, len(values), step)
        values = np.array([values[start : start + step].mean() for start in starts])
        counts = np.add.reduceat(counts, starts)
    return tuple(values.tolist()), counts.astype(np.float64)


def _histogram(
    entry: TensorPlan, stored: StoredTensor, trained: torch.Tensor
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    flat = trained.detach().reshape(-1).double().cpu()
    if stored.outliers:
        flat = stored.outliers.to(flat.device).left_of(flat)
    scale = of_each(stored.scale.cpu(), slice(0, len(flat)), entry.shape, entry.storage.granularity)
    # A row of zeros has scale 0, and stands at 0.
    relative = torch.where(scale > 0, flat / scale, 0.0).numpy()
    counts, edges = np.histogram(relative, _BINS)
    return tuple(edges.tolist()), tuple((counts / len(flat)).tolist())


def _errors(entry: TensorPlan, stored: StoredTensor, fault: FaultModel, seed: int) -> ErrorsOfWeights | None:
    tables = [levels.readout() for levels in entry.storage.levels]
    if max(map(len, tables)) > 2**LARGEST_MATRIX_BITS or not all(np.isfinite(table).all() for table in tables):
        return None
    gain = entry.storage.readout_gain
    laws = [_law(fmt, count, fault, gain) for fmt, count in label_counts(entry, stored)]
    errors, weights = (np.concatenate(parts) for parts in zip(*laws, strict=True))
    probabilities = weights / entry.storage.weights
    drawn = _drawn(entry, stored, fault, seed)
    wrong, seen = errors != 0, drawn[drawn != 0]
    reach = max(float(np.abs(errors[wrong & (probabilities > 0)]).max(initial=0.0)), 1e-9)
    edges = np.linspace(-reach, reach, _BINS + 1)
    # A hair wider, so that rounding leaves no error outside.
    edges[[0, -1]] *= 1 + 1e-9
    expected, _ = np.histogram(errors[wrong], edges, weights=probabilities[wrong])
    counts, _ = np.histogram(seen, edges)
    low, high = _clopper_pearson(counts, len(drawn))
    return ErrorsOfWeights(
        edges=tuple(edges.tolist()),
        expected=tuple(expected.tolist()),
        seen=tuple((counts / len(drawn)).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        right=float(probabilities[~wrong].sum()),
        right_seen=float((drawn == 0).mean()),
        read=len(drawn),
    )


def _law(fmt: Format, counts: Floats, fault: FaultModel, gain: float) -> tuple[Floats, Floats]:
    """Errors that can occur and the number of weights that have each, for all weights of one format."""
    if fmt.bits == 0:
        return np.zeros(1), counts
    # At the rates at which reads draw errors: those that a plan reckons with may be bounds.
    protections = tuple(cast(Protection, protection.as_read) for protection in fmt.protections)
    seen = Format(fmt.levels, protections)
    values = fmt.readout() * gain
    errors = values[None, :] - values[:, None]
    return errors.reshape(-1), (counts[:, None] * transition_matrix(seen.window_law(fault))).reshape(-1)


def _drawn(entry: TensorPlan, stored: StoredTensor, fault: FaultModel, seed: int) -> Floats:
    """Errors of the weights in a few reads, one after the other."""
    storage, words = entry.storage, stored.words
    reads = min(max(_READ // storage.weights, 1), _MOST_READS)
    found = []
    for number in range(reads):
        one = child_seed(seed, "law", number)
        read = storage.corrupt(words, fault.of_read(one), seed=child_seed(one, "read", entry.name), place=entry.name)
        found.append(_difference(entry, words, read))
    return np.concatenate(found)


def _difference(entry: TensorPlan, words: torch.Tensor, read: torch.Tensor) -> Floats:
    before, after = (entry.storage.windows(tensor).reshape(-1).cpu() for tensor in (words, read))
    errors = np.empty(entry.storage.weights)
    for fmt, spans in entry.storage.spans_of_formats:
        values = fmt.readout() * entry.storage.readout_gain
        for span in spans:
            errors[span] = values[after[span].numpy()] - values[before[span].numpy()]
    return errors


def _clopper_pearson(counts: NDArray[np.int64], of: int, confidence: float = 0.95) -> tuple[Floats, Floats]:
    tail = (1 - confidence) / 2
    low = np.where(counts > 0, scipy.stats.beta.ppf(tail, np.maximum(counts, 1), of - counts + 1), 0.0)
    high = np.where(counts < of, scipy.stats.beta.isf(tail, counts + 1, np.maximum(of - counts, 1)), 1.0)
    return low, high
