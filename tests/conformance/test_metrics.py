"""Every metric that scores samples: scores, their mean, batches, order, and a network that stays as it is."""

import inspect

import pytest
import torch
from torch import nn

import qtaml
from qtaml import measuring
from qtaml.measuring import Metric, SampleMetric
from tests.cases import assert_unchanged, snapshot

METRICS: dict[str, type] = {
    name: value
    for name in measuring.__all__
    if isinstance(value := getattr(measuring, name), type) and hasattr(value, "scores") and value is not SampleMetric
}
"""All that the room offers."""

SAMPLES, LENGTH, TOKENS = 9, 4, 7
every_metric = pytest.mark.parametrize("name", METRICS)


@pytest.fixture
def network() -> nn.Module:
    """A language model of its last token, whose outputs all metrics understand; in training mode, with dropout."""
    return nn.Sequential(nn.Embedding(TOKENS, 6), nn.Dropout(0.5), nn.Linear(6, TOKENS))


def build(name: str, network: nn.Module, order: torch.Tensor | slice = slice(None), **more: object) -> Metric:
    """A metric, with its arguments by their names: samples in an order, and a clean network with other weights."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(TOKENS, (SAMPLES, LENGTH), generator=generator)[order]
    clean = nn.Sequential(nn.Embedding(TOKENS, 6), nn.Linear(6, TOKENS))
    with torch.no_grad():
        for own, other in zip(clean.parameters(), network.parameters(), strict=True):
            own.copy_(other + 0.3 * torch.randn(other.shape, generator=generator))
    labels = clean(tokens).argmax(-1)
    known = {"inputs": tokens, "batch": tokens, "tokens": tokens, "labels": labels, "model": clean}
    wanted = inspect.signature(METRICS[name]).parameters
    return METRICS[name](**{key: value for key, value in known.items() if key in wanted}, **more)


@every_metric
def test_it_is_the_mean_of_a_score_for_each_sample(name, network):
    """In float64, or whether each is right; twice the same."""
    metric = build(name, network)
    assert isinstance(metric, SampleMetric)
    scores = metric.scores(network)
    assert scores.shape == (SAMPLES,)
    assert scores.dtype in (torch.float64, torch.bool)
    assert metric(network) == float(scores.double().mean())
    assert torch.equal(metric.scores(network), scores)


@every_metric
@pytest.mark.parametrize("batch_size", [1, 4, SAMPLES, 100])
def test_batches_do_not_matter(name, network, batch_size):
    """Also where they do not divide the samples; to the rounding of float32."""
    whole, cut = (build(name, network, **more).scores(network) for more in ({}, {"batch_size": batch_size}))
    torch.testing.assert_close(cut, whole, rtol=1e-5, atol=1e-6)


@every_metric
def test_a_sample_keeps_its_score_wherever_it_stands(name, network):
    """Scores follow the order of the samples."""
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1))
    scores = build(name, network).scores(network)
    assert scores.double().unique().numel() > 1
    torch.testing.assert_close(build(name, network, order).scores(network), scores[order], rtol=1e-5, atol=1e-6)


@every_metric
def test_the_network_and_the_random_numbers_stay(name, network):
    """It is measured in evaluation mode, and is in its own mode afterwards."""
    metric, before, state = build(name, network), snapshot(network), torch.random.get_rng_state()
    in_training = metric.scores(network)
    assert_unchanged(network, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(metric.scores(network.eval()), in_training)


@every_metric
def test_reads_of_a_memory_are_measured_with_it(name, network):
    """Each value is that of the network as read; the interval holds their mean."""
    memory = qtaml.store(network, qtaml.uniform_msp(network, p=0.1, protected_bits=2))
    metric = build(name, network)
    result = qtaml.evaluate(memory, metric, trials=4, seed=5)
    assert result.low <= result.mean <= result.high
    assert result == qtaml.evaluate(memory, metric, trials=4, seed=5)
    assert result.mean == pytest.approx(sum(result.values) / 4, rel=1e-12)
    alone = qtaml.evaluate(memory, lambda read: metric(read), trials=4, seed=5)
    assert alone.values == pytest.approx(result.values, rel=1e-5, abs=1e-6)


@every_metric
def test_no_samples_in_a_batch_are_refused(name, network):
    """The message says what a batch holds at least."""
    with pytest.raises(qtaml.ArgumentError, match="batch_size must be a whole number of at least 1, got 0"):
        build(name, network, batch_size=0)
