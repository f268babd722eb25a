"""What evaluation makes of the bounds of a metric, and of reads that all gave one value."""

import math

import pytest
import torch
from torch import nn

import qtaml
from qtaml.measuring import OutputCosine, OutputDivergence, measure
from tests.cases import CONVOLUTION


@pytest.fixture(scope="module")
def model():
    """A convolution network."""
    return CONVOLUTION.model().eval()


@pytest.fixture(scope="module")
def memory(model):
    """It stored, with errors in all bits."""
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))


@pytest.fixture(scope="module")
def safe(model):
    """It stored, every bit protected by the ideal code."""
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=8))


def always(value, bounds=None):
    """A metric that gives one value, whatever it gets."""

    def metric(_):
        return value

    if bounds is not None:
        metric.bounds = bounds
    return metric


@pytest.mark.filterwarnings("ignore:every read gave")
@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        (always(1.0), 0.025 ** (1 / 10), 1.0),
        (always(0.5), 0.5 * 0.025 ** (1 / 10), 1 - 0.5 * 0.025 ** (1 / 10)),
        (always(7.0), -math.inf, math.inf),
        (always(0.0, (0.0, math.inf)), 0.0, math.inf),
        (always(50.0, (0, 100)), 50 * 0.025 ** (1 / 10), 100 - 50 * 0.025 ** (1 / 10)),
    ],
)
def test_equal_reads_are_as_uncertain_as_bounds_allow(memory, metric, low, high):
    """Numbers in [0, 1] are taken for shares; without bounds the ends are infinite; JSON keeps them."""
    result = qtaml.evaluate(memory, metric, trials=10)
    assert (result.low, result.high) == pytest.approx((low, high))
    assert qtaml.Result.from_json(result.to_json()) == result


@pytest.mark.parametrize("value", [1.0, 7.0])
def test_reads_without_errors_are_certain(memory, safe, value):
    """Behind the ideal code, and where the memory does not fail, a single number has no uncertainty."""
    for one, fault in ((safe, None), (memory, qtaml.faults.Uniform(0.0))):
        result = qtaml.evaluate(one, always(value), trials=3, fault=fault)
        assert result.low == result.mean == result.high == value


def test_reads_without_errors_leave_the_samples(safe, model):
    """The interval is that of one network: Clopper and Pearson's, or that of the scores."""
    inputs = CONVOLUTION.batch(30)
    labels = model(inputs).argmax(1)
    for metric in (qtaml.Accuracy(inputs, labels), OutputDivergence(model, inputs)):
        result = qtaml.evaluate(safe, metric, trials=4)
        alone = measure(safe.model(seed=None), metric)
        assert (result.low, result.high) == pytest.approx((alone.low, alone.high))
        assert result.reads_low == result.reads_high == result.mean
        assert result.low < result.high


def test_scores_of_0_and_1_are_right_or_wrong(memory, model):
    """Whether a metric of the user says so by their dtype or not."""
    inputs = CONVOLUTION.batch(30)
    right = qtaml.Accuracy(inputs, model(inputs).argmax(1))

    class Own:
        def scores(self, model):
            return right.scores(model).float()

    expected, result = (qtaml.evaluate(memory, metric, trials=5) for metric in (right, Own()))
    assert result.estimate == expected.estimate
    assert result.reads_estimate == expected.reads_estimate


def test_intervals_stay_within_the_bounds(memory, model):
    """Divergences are not below 0, cosines not above 1, whatever the confidence."""
    inputs = CONVOLUTION.batch(10)
    divergence = qtaml.evaluate(memory, OutputDivergence(model, inputs), trials=3, confidence=0.999)
    assert 0 <= divergence.low < divergence.mean < divergence.high
    cosine = qtaml.evaluate(memory, OutputCosine(model, inputs), trials=3, confidence=0.999)
    assert -1 <= cosine.low < cosine.mean < cosine.high <= 1


def test_stopping_early_widens_all_intervals(memory, model):
    """They are those of a risk of 0.7 (1 - confidence), at as many reads; the result says what was asked."""
    metric = OutputDivergence(model, CONVOLUTION.batch(10))
    stopped = qtaml.evaluate(memory, metric, trials=50, stop_width=1e9)
    wider = qtaml.evaluate(memory, metric, trials=10, confidence=0.965)
    assert stopped.values == wider.values
    assert (stopped.low, stopped.high) == pytest.approx((wider.low, wider.high))
    assert (stopped.reads_low, stopped.reads_high) == pytest.approx((wider.reads_low, wider.reads_high))
    assert stopped.confidence == 0.95


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0, 0.5), r"metric must lie within its bounds \(0, 0.5\), got values from 1 to 1"),
        ((2, 1), r"metric must lie within its bounds \(2, 1\)"),
        ("01x", "bounds of metric must be two numbers, got '01x'"),
        (1.0, "bounds of metric must be two numbers, got 1.0"),
    ],
)
def test_bounds_that_do_not_hold_are_refused(memory, bounds, message):
    """Intervals that stop at a wrong bound would be wrong without a word."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        qtaml.evaluate(memory, always(1.0, bounds), trials=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:every read gave")
def test_a_single_number_needs_no_spread_to_be_designed_for():
    """The interval of equal values is wide; they reach an accuracy all the same."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    inputs = torch.randn(64, 16)
    plan = qtaml.design(model, inputs, metric=lambda _: 1.0, p=0.1, accuracy=0.99, trials=3, decoders=("none",))
    assert plan.cells <= 1.0
