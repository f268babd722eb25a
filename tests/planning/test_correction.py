"""Mean correction is kept where it lowers the measured output deviation."""

from dataclasses import replace

import torch
from torch import nn

from qtaml.faults import Uniform
from qtaml.formats import Format, Section, TensorFormat
from qtaml.planning import measure_correction
from tests.cases import CONVOLUTION, assert_unchanged, snapshot


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
