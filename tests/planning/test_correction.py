"""Mean correction is kept where it lowers the output deviation, measured or predicted."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qtaml.faults import Asymmetric, Uniform
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.model import stored_weights
from qtaml.networks import trained
from qtaml.planning import CorrectionTest, correction, measure_correction, predict_corrections
from tests.cases import CONVOLUTION, Chain, assert_unchanged, snapshot


def measured(storage: TensorFormat, weight: torch.Tensor, p: float = 0.2, trials: int = 64):
    """The measured test of one matrix, read from inputs of ones."""
    model = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        model.weight.copy_(weight)
    batch = torch.ones(4, weight.shape[1])
    return measure_correction(model, batch, "weight", weight, storage, Uniform(p), trials=trials, seed=0)


def test_a_coherent_drift_is_worth_correcting():
    """Equal weights summed over many inputs drift together: the correction removes most of the deviation."""
    weight = torch.full((1, 512), 0.25)
    weight[0, 0] = 1.0
    test = measured(TensorFormat((Section(512, Format()),), correction="exact"), weight)
    assert test.corrected < 0.3 * test.without
    assert test.standard_error < 0.1 * test.without


def test_the_papers_factor_hurts_under_protection():
    """With three protected bits the factor 1/(1-2p) itself makes a coherent bias (theory.md 1.4)."""
    weight = torch.full((1, 512), 0.42)
    weight[0, 0] = 1.0
    storage = TensorFormat((Section(512, Format().protect(3)),), correction="paper")
    assert measured(storage, weight).corrected > 10 * measured(replace(storage, correction="exact"), weight).corrected


def test_nothing_is_measured_where_nothing_changes():
    """Full protection, or no errors, leave the same words with and without correction."""
    weight = torch.randn(4, 4)
    assert measured(TensorFormat((Section(16, Format().protect(8)),), correction="exact"), weight) is None
    assert measured(TensorFormat((Section(16, Format()),), correction="exact"), weight, p=0.0) is None


def test_the_model_is_not_changed():
    """Weights, statistics and modes are as before."""
    model = CONVOLUTION.model()
    before = snapshot(model)
    storage = TensorFormat((Section(model.conv.weight.numel(), Format()),), correction="exact")
    weight = model.conv.weight.detach()
    measure_correction(model, CONVOLUTION.batch(), "conv.weight", weight, storage, Uniform(0.1), trials=2, seed=0)
    assert_unchanged(model, before)


def exact_deviation(weight: torch.Tensor, storage: TensorFormat, fault: Asymmetric, batch: torch.Tensor) -> float:
    """||dW x||**2 averaged over the inputs x of a linear layer, from the exact moments of each weight read."""
    words, scale = storage.encode(weight, fault)
    mean = storage.read_mean(words, scale, fault) - weight
    variance = storage.read_variance(words, scale, fault)
    return float(((batch @ mean.T).square().sum(1) + (batch.square() @ variance.T).sum(1)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("samples_at_once", [None, 3])
@pytest.mark.parametrize("encoding", ["offset_binary", "sign_magnitude"])
def test_prediction_is_unbiased(encoding, samples_at_once):
    """For a linear layer the first order is all there is: within 4.5 standard errors over 2000 passes.

    The variance of sign-magnitude words depends on what is stored, so both parts of the deviation are seen: they are
    required to be at least a tenth of it.
    """
    torch.manual_seed(0)
    model = nn.Linear(12, 5, bias=False).double()
    weight, batch, fault = model.weight.detach(), torch.randn(7, 12).double(), Asymmetric(0.05, 0.15)
    storage = TensorFormat((Section(60, Format(EvenLevels(encoding=encoding)).protect(1)),), correction="exact")
    found = predict_corrections(
        model, batch, {"weight": weight}, {"weight": storage}, fault, passes=2000, samples_at_once=samples_at_once
    )["weight"]
    without = exact_deviation(weight, replace(storage, correction="none"), fault, batch)
    corrected = exact_deviation(weight, storage, fault, batch)
    assert abs(found.corrected - found.without - (corrected - without)) < 4.5 * found.standard_error
    assert abs(found.without / without - 1) < 0.1
    assert abs(found.corrected / corrected - 1) < 0.1
    assert found.standard_error < 0.2 * abs(corrected - without)


@pytest.fixture(scope="module")
def residual_network():
    """The paper's residual network, trained, and its calibration batch."""
    model, data = trained("ResCNN")
    return model, data.calibration


@pytest.mark.slow
@pytest.mark.parametrize(("correction", "least"), [("exact", 1), ("paper", 5)])
def test_prediction_agrees_with_the_measurement_where_that_is_significant(residual_network, correction, least):
    """At the paper's p = 0.1, seven tensors with 0 and 3 protected bits, wherever 8 paired trials show a difference.

    Significant is one in a thousand: Student's t above 5.41. At least `least` of the 14 are, whatever the reads.
    """
    model, batch = residual_network
    weights, fault = stored_weights(model), Uniform(0.1)
    significant = 0
    for protected in (0, 3):
        stored = {
            name: TensorFormat((Section(weight.numel(), Format().protect(protected)),), correction=correction)
            for name, weight in weights.items()
        }
        predicted = predict_corrections(model, batch, weights, stored, fault)
        for name, weight in weights.items():
            test = measure_correction(model, batch, name, weight, stored[name], fault, trials=8, seed=0)
            if abs(test.corrected - test.without) > 5.41 * test.standard_error:
                significant += 1
                assert predicted[name].helps == test.helps, (name, protected, test, predicted[name])
    assert significant >= least


def test_prediction_leaves_out_what_does_not_change():
    """None where both ways store the same; no deviation where a tensor does not act; the model as before."""
    parts = {"used": nn.Linear(3, 2), "same": nn.Linear(2, 2), "unused": nn.Linear(3, 4)}
    model = Chain(parts, "used", "same")
    before = snapshot(model)
    weights = stored_weights(model)
    stored = {
        name: TensorFormat((Section(w.numel(), Format().protect(8 if "same" in name else 0)),), correction="exact")
        for name, w in weights.items()
    }
    found = predict_corrections(model, torch.randn(5, 3), weights, stored, Uniform(0.1), passes=4)
    assert list(found) == list(weights)
    assert found["same.weight"] is None
    assert found["used.weight"].without > 0
    assert found["unused.weight"] == CorrectionTest(0.0, 0.0, 0.0)
    assert_unchanged(model, before)
    assert predict_corrections(model, torch.randn(5, 3), {}, {}, Uniform(0.1)) == {}


def test_large_networks_get_the_same_prediction(monkeypatch):
    """Whether moments are kept or worked out anew in every pass."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    weights = stored_weights(model)
    stored = {name: TensorFormat((Section(w.numel(), Format()),), correction="exact") for name, w in weights.items()}
    kept = predict_corrections(model, batch, weights, stored, Uniform(0.1), passes=4)
    monkeypatch.setattr(correction, "_MOST_KEPT", 0)
    assert predict_corrections(model, batch, weights, stored, Uniform(0.1), passes=4) == kept
