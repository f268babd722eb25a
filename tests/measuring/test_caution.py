"""Results say when a few samples or reads hold so much of a mean that its interval may be too narrow."""

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.measuring import NegativeLogLikelihood, OutputDivergence, as_perplexity, measure
from qtaml.measuring.caution import FEWEST_READS, FEWEST_SAMPLES, caution_of, effective_number

LOSS = (0.0, np.inf)


def scores(reads=30, samples=200):
    """Losses that are much alike."""
    return np.random.default_rng(0).uniform(0.5, 1.5, (reads, samples))


@pytest.fixture(scope="module")
def stored():
    """A stored network of four classes."""
    torch.manual_seed(0)
    model = nn.Linear(6, 4)
    return model, qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=2))


@pytest.mark.parametrize("bounds", [LOSS, (-np.inf, 5.0), (-np.inf, np.inf)])
def test_even_scores_need_no_caution(bounds):
    """Many samples and reads that are alike: nothing is said, whichever end is open."""
    assert caution_of(scores(), bounds) == ""


@pytest.mark.parametrize(("reads", "samples"), [(3, 200), (30, 20), (FEWEST_READS - 1, FEWEST_SAMPLES - 1)])
def test_few_reads_or_samples_are_named(reads, samples):
    """With their number, and how many to take."""
    said = caution_of(scores(reads, samples), LOSS)
    assert (f"{reads} reads" in said) == (reads < FEWEST_READS)
    assert (f"{samples} test samples" in said) == (samples < FEWEST_SAMPLES)
    assert said.endswith(": the interval may be too narrow")


def test_scores_between_two_bounds_need_none():
    """However few they are: their intervals cover what they say."""
    assert caution_of(scores(3, 10) / 2, (0.0, 1.0)) == ""


@pytest.mark.parametrize("place", [(slice(None), slice(3)), (slice(2), slice(None))])
def test_a_few_that_hold_most_are_counted(place):
    """Three of many samples, or two of many reads, with most of the loss; and the same of scores without any bound."""
    table = scores()
    table[place] += 500
    for bounds, values in ((LOSS, table), (-1 * np.array(LOSS[::-1]), -table), ((-np.inf, np.inf), table)):
        held = "total" if np.isfinite(bounds).any() else "spread"
        assert f"hold half of the {held} (take more)" in caution_of(values, tuple(bounds))


def test_a_unit_does_not_matter():
    """The effective number of parts is the same in any unit, even where squares are 0."""
    parts = np.array([1.0, 2.0, 3.0])
    assert effective_number(parts * 1e-200) == pytest.approx(36 / 14)
    assert effective_number(np.ones(7)) == 7


def test_without_errors_reads_are_certain():
    """Where no bit can be read wrong, few reads say as much as many."""
    assert caution_of(scores(3), LOSS) != ""
    assert caution_of(scores(3), LOSS, reads_differ=False) == ""


def test_a_result_carries_it(stored):
    """In text, in JSON, and as an estimate; accuracy, and a loss on enough samples, have none."""
    model, memory = stored
    generator = torch.Generator().manual_seed(1)
    few, many = (torch.randn(count, 6, generator=generator) for count in (12, 400))
    result = qtaml.evaluate(memory, OutputDivergence(model, few), trials=30)
    assert result.caution.startswith("12 test samples of a score without bounds (take 100 or more)")
    assert f"\ncaution: {result.caution}" in str(result)
    assert qtaml.Result.from_json(result.to_json()).caution == result.estimate.caution == result.caution
    for metric in (OutputDivergence(model, many), qtaml.Accuracy(few, model(few).argmax(1))):
        fine = qtaml.evaluate(memory, metric, trials=30)
        assert fine.caution == ""
        assert "caution" not in str(fine)


def test_a_perplexity_keeps_it():
    """That of the log-likelihood from which it comes."""
    model = nn.Embedding(8, 8)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=2))
    tokens = torch.randint(8, (10, 5), generator=torch.Generator().manual_seed(0))
    result = as_perplexity(qtaml.evaluate(memory, NegativeLogLikelihood(tokens), trials=3))
    assert "10 test samples" in result.caution
    assert "3 reads" in result.caution


def test_a_metric_of_one_network_has_it(stored):
    """`measure` knows of samples only."""
    model, _ = stored
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(1))
    assert "12 test samples" in measure(model, OutputDivergence(model, inputs)).caution
    assert measure(model, qtaml.Accuracy(inputs, model(inputs).argmax(1))).caution == ""
