"""Whether to correct the mean of each tensor: predicted for all together, against the paper's test of one by one."""

import time

from benchmarks.chain import chain, samples
from benchmarks.harness import Measurement, threads
from benchmarks.sensitivity import backward_passes
from qtaml.faults import Uniform
from qtaml.formats import Format, Section, TensorFormat
from qtaml.model import stored_weights
from qtaml.planning import measure_correction, predict_corrections

P = 0.05
PASSES = 32
TRIALS = 8
_SAMPLES = 64
# Student's t of 8 paired trials above which they are significant at one in a thousand.
_SIGNIFICANT = 5.41


def measure(quick: bool = False) -> list[Measurement]:
    """Time the decisions as the number of tensors grows, on one thread.

    Args:
        quick: smaller sizes.
    """
    with threads(1):
        _decisions(3)  # to warm up
        return [_decisions(tensors) for tensors in ((4, 8) if quick else (10, 50, 200))]


def _decisions(tensors: int) -> Measurement:
    """All decisions of one network, once by either procedure: the paper's takes long."""
    model, batch, fault = chain(tensors), samples(_SAMPLES), Uniform(P)
    weights = stored_weights(model)
    # Every other tensor has its top bits protected, as allocations do to networks.
    stored = {
        name: TensorFormat((Section(weight.numel(), Format().protect(number % 2 * 3)),), correction="paper")
        for number, (name, weight) in enumerate(weights.items())
    }
    start = time.perf_counter()
    predicted = predict_corrections(model, batch, weights, stored, fault, passes=PASSES)
    middle = time.perf_counter()
    measured = {
        name: measure_correction(model, batch, name, weight, stored[name], fault, trials=TRIALS, seed=0)
        for name, weight in weights.items()
    }
    end = time.perf_counter()
    backward = backward_passes(model, lambda: predict_corrections(model, batch, weights, stored, fault, passes=PASSES))
    clear = [
        (test, predicted[name])
        for name, test in measured.items()
        if test and abs(test.corrected - test.without) > _SIGNIFICANT * test.standard_error
    ]
    same = sum(guess is not None and guess.helps == test.helps for test, guess in clear)
    forward = tensors * (2 * TRIALS + 1)
    note = f"{backward} backward against {forward:,} forward passes; {same} of {len(clear)} significant ones agree"
    times = middle - start, end - middle
    return Measurement(
        "corrections", "decisions of all tensors", tensors, "tensors", times[0], "the paper's test", times[1], note
    )
