"""Planning: allocation to many groups of weights, and fitting formats to many weights."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.harness import Measurement, median_seconds, medians, threads
from qtaml.faults import WordLaw
from qtaml.planning import ALLOCATIONS, Allocation, Options, allocate
from qtaml.search import Histogram, fit

BITS = 8
CELLS = 8.3
P = 0.05
_LEVEL_BITS = 4
_BINS = 1024


def measure(quick: bool = False) -> list[Measurement]:
    """Time allocation next to sorting all options, and fitting next to passes over the weights, on one thread.

    Args:
        quick: smaller sizes.
    """
    with threads(1):
        groups = (10, 20, 40) if quick else (100, 1000, 10_000)
        allocated = [_allocation(number, method) for method in ALLOCATIONS for number in groups]
        sizes = (10_000, 20_000, 40_000) if quick else (1_000_000, 10_000_000, 100_000_000)
        fitted = [row for size in sizes for row in _fitting(size)]
    return [*allocated, *fitted]


def _allocation(groups: int, method: Allocation) -> Measurement:
    """Groups of many sizes whose errors spread over six decades, each with 0 to 8 protected bits."""
    random = np.random.default_rng(0)
    cells = tuple(float(BITS + bits) for bits in range(BITS + 1))
    options = [
        Options(int(weights), cells, tuple(float(scale) * 4.0**-bits for bits in range(BITS + 1)))
        for weights, scale in zip(random.integers(64, 65536, groups), random.lognormal(0, 2, groups), strict=True)
    ]
    budget = CELLS * sum(option.weights for option in options)
    benefits = [error / option.weights for option in options for error in option.errors]
    call = partial(allocate, options, budget, method)
    repetitions = 1 if method == "integer" else 5
    seconds, floor = median_seconds(call, repetitions), median_seconds(partial(sorted, benefits), 5)
    return Measurement("planning", f"allocation, {method}", groups, "tensors", seconds, "sorting all options", floor)


def _fitting(size: int) -> list[Measurement]:
    """Gaussian weights: their histogram, and 16 levels fitted to them with the plain levels to start from."""
    weights = torch.randn(size, generator=torch.Generator().manual_seed(0))
    law = WordLaw.of_bits((P,) * _LEVEL_BITS, (P,) * _LEVEL_BITS)
    start = np.linspace(-1.5, 1.5, 2**_LEVEL_BITS)

    def fitted() -> object:
        return fit(Histogram.of(weights, bins=_BINS), law, patience=0, starts=[start])

    calls: list[Callable[[], object]] = [fitted, weights.clone, partial(torch.histc, weights, _BINS)]
    seconds, copy, equal_bins = medians(calls, 3)
    what = f"fitting {_LEVEL_BITS}-bit levels"
    note = f"{seconds / size * 1e9:.0f} ns for each weight"
    return [
        Measurement("planning", what, size, "weights", seconds, reference, reference_seconds, note)
        for reference, reference_seconds in (("torch.histc", equal_bins), ("a copy", copy))
    ]
