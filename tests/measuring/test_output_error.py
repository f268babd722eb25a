"""The output error that is measured, and its ratio to the predicted one."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

import qtaml
from qtaml.measuring import OutputError, SampleMetric, check_prediction
from qtaml.sensitivity import output_deviations
from tests.cases import CASES, CONVOLUTION, assert_unchanged, snapshot

CONFIDENCE = 0.999
"""Of the ratio tests: each raises a false alarm in 1 of 1000 seeds; the seeds are fixed."""


def linear(*sizes):
    """A network of linear layers without activations, and inputs for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
        return nn.Sequential(*layers), torch.randn(64, sizes[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scores_are_squared_deviations(case):
    """Their mean is what `output_deviations` measures for the same weights, and a clean network scores 0."""
    model, batch = case.model(), case.batch()
    metric = OutputError(model, batch)
    assert isinstance(metric, SampleMetric)
    assert metric(model) == 0
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    read = memory.model(seed=3)
    expected = output_deviations(model, batch, [dict(memory.read(seed=3))]).item()
    assert metric.scores(read).shape == (len(batch),)
    assert metric(read) == pytest.approx(expected, rel=1e-6)
    assert expected > 0


def corrected(plan):
    """A plan with the exact correction everywhere, whatever chance made the measured decision."""
    tensors = tuple(replace(t, storage=replace(t.storage, correction="exact")) for t in plan.tensors)
    return replace(plan, tensors=tensors)


def test_batches_do_not_change_the_scores():
    """For tensors, tuples and dictionaries."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    read = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1)).model(seed=0)
    whole = OutputError(model, batch).scores(read)
    for inputs in (batch, (batch,), {"images": batch}):
        assert torch.allclose(OutputError(model, inputs, batch_size=5).scores(read), whole, rtol=1e-5)


def test_the_model_is_not_changed():
    """Neither its tensors nor its modes."""
    model = CONVOLUTION.model()
    before = snapshot(model)
    OutputError(model, CONVOLUTION.batch())
    assert_unchanged(model, before)


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.002, 0.05])
def test_one_linear_layer_errs_as_predicted(p):
    """With the exact correction a linear map has no other error than the predicted one: 1000 reads, ratio 1.

    512 passes know the gain to half a per cent; the interval would show an error of 15 per cent (3 at p = 0.05).
    """
    model, inputs = linear(32, 8)
    plan = corrected(qtaml.compensate(model, inputs, p=p, overhead=0.0, passes=512, trials=2))
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=1000, confidence=CONFIDENCE)
    assert check.low < 1 < check.high
    assert check.high - check.low < 0.3


@pytest.mark.slow
def test_two_linear_layers_err_as_predicted_while_errors_are_small():
    """At p = 2e-4 products of errors in both layers count for less than 1 per cent: 3000 reads, ratio 1."""
    model, inputs = linear(24, 16, 8)
    plan = qtaml.compensate(model, inputs, p=2e-4, overhead=0.0, passes=512, trials=2)
    plan = corrected(plan)
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=3000, confidence=CONFIDENCE)
    assert check.low < 1 < check.high
    assert check.high - check.low < 0.5


@pytest.mark.slow
def test_a_drift_that_is_not_corrected_is_predicted_too():
    """Equal weights drift together: without correction most of the error is that of the expected weights."""
    model, inputs = nn.Linear(256, 1, bias=False), torch.ones(8, 256)
    with torch.no_grad():
        model.weight.fill_(0.25)
        model.weight[0, 0] = 1.0
    plan = qtaml.compensate(model, inputs, p=0.1, overhead=0.0, correction="none", passes=512, trials=2)
    assert plan.predicted_bias > 5 * plan.noise_error
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=1000, confidence=CONFIDENCE)
    assert check.low < 1 < check.high
    assert check.high - check.low < 0.4


@pytest.mark.slow
def test_a_wrong_prediction_shows():
    """The check can fail: a plan that promises half the error is outside its interval."""
    model, inputs = linear(32, 8)
    plan = qtaml.compensate(model, inputs, p=0.05, overhead=0.0, passes=512, trials=32)
    halves = tuple(replace(tensor, predicted_error=tensor.predicted_error / 2) for tensor in plan.tensors)
    halved = replace(plan, tensors=halves, measured_error=None)
    check = check_prediction(qtaml.store(model, halved), model, inputs, trials=300, confidence=CONFIDENCE)
    assert check.low > 1.5
    assert str(check).startswith("measured / predicted ")


@pytest.mark.slow
def test_few_passes_widen_the_interval():
    """What the gains leave uncertain is in the interval."""
    model, inputs = linear(32, 8)
    widths = []
    for passes in (4, 256):
        plan = qtaml.compensate(model, inputs, p=0.05, overhead=0.0, passes=passes, trials=2)
        check = check_prediction(qtaml.store(model, plan), model, inputs, trials=300)
        assert check.predicted_standard_error > 0
        widths.append((check.high - check.low) / check.ratio)
    assert widths[0] > widths[1]


def test_full_protection_leaves_the_rounding():
    """It is in the prediction, and every read has it."""
    model, inputs = linear(8, 4)
    plan = qtaml.compensate(model, inputs, p=0.1, overhead=1.0, passes=2, trials=2)
    assert plan.noise_error == 0 < plan.predicted_error
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=2)
    assert check.low == check.high == pytest.approx(1, rel=1e-6)


def test_plans_without_a_prediction_are_refused():
    """Uniform-MSP measures no gains, and what is stored without rounding and fully protected has no error."""
    model, inputs = linear(8, 4)
    with torch.no_grad():
        model[0].weight.sign_()
    for plan, found in (
        (qtaml.uniform_msp(model, p=0.1, protected_bits=1), "None"),
        (qtaml.compensate(model, inputs, p=0.1, overhead=1.0, passes=2, trials=2), r"0\.0"),
    ):
        with pytest.raises(qtaml.ArgumentError, match=f"must predict an output error above 0, got {found}"):
            check_prediction(qtaml.store(model, plan), model, inputs)


def test_bad_batches_are_refused():
    """A batch size below one, inputs that cannot be cut, and a network that gives no numbers."""
    model, inputs = linear(8, 4)
    with pytest.raises(qtaml.ArgumentError, match="batch_size must be a whole number of at least 1, got 0"):
        OutputError(model, inputs, batch_size=0)
    with pytest.raises(qtaml.ArgumentError, match="inputs must hold a tensor with samples first"):
        OutputError(model, ("text",), batch_size=2)
    with pytest.raises(qtaml.ModelError, match="the model gives NaN or infinite outputs"):
        OutputError(model, inputs * float("nan"))
