"""Tables of trellises: fitted ones beat words, and their error is what is read."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, Uniform
from qtaml.formats import Format, RootMeanSquare, Section, TensorFormat, TrellisLevels
from qtaml.planning import REAL_DECODERS, Design
from qtaml.protections import Raw
from qtaml.search import Histogram, fit
from qtaml.search.trellis_fitting import Shape, assess_trellis, fit_trellis, gaussian_weights
from qtaml.search.trellis_menu import assessed_trellis, fitted_trellises, standard_trellis, widened_trellis

TEST = gaussian_weights(20000, 1)


@pytest.mark.parametrize(
    ("shape", "p", "least"),
    [(Shape(1, 6), 0.0, 5.0), (Shape(2, 3), 0.0, 10.0), (Shape(1, 6, 2), 0.0, 2.4), (Shape(2, 3), 0.1, 3.9)],
)
def test_short_windows_beat_words(shape, p, least):
    """Decibels of other Gaussian weights; words have 4.40 and 9.30 without errors, 3.63 in two cells at p = .1."""
    fitted = fit_trellis(gaussian_weights(4096), Uniform(p).law(shape.bits), shape, terms=shape.few_terms)
    assert len(fitted.levels.terms) <= shape.few_terms
    assert -10 * np.log10(assess_trellis(TEST, Uniform(p).law(shape.bits), fitted.levels).error) > least


def test_the_error_is_that_of_reads():
    """On an asymmetric memory, of the very weights that are stored."""
    fault, weights = Asymmetric(0.02, 0.1), gaussian_weights(4000)
    found = fit_trellis(weights, fault.law(2), Shape(2, 3), terms=10)
    storage = TensorFormat((Section(4000, Format(found.levels)),), RootMeanSquare(), correction="least_error")
    given = torch.from_numpy(weights)
    words, scale = storage.encode(given, fault)
    bias = storage.read_mean(words, scale, fault) - given
    exact = float(bias.square().sum()) + storage.summed_variance(words, scale, fault)
    # The scale is rounded to bfloat16.
    assert found.error == pytest.approx(exact / 4000, rel=0.01)
    kept = float(storage.read_mean(words, scale, fault) @ given) / float(given @ given)
    assert found.shrinkage == pytest.approx(1 - kept, abs=0.01)
    reads = [storage.read(words, scale, fault, seed=seed) - given for seed in range(50)]
    assert float(torch.stack(reads).square().mean()) == pytest.approx(found.error, rel=0.03)


def test_more_terms_are_never_worse_than_the_start():
    """A free table begins from a short series."""
    weights, law, shape = gaussian_weights(6000), Uniform(0.1).law(3), Shape(3, 2)
    few = fit_trellis(weights, law, shape, terms=6)
    free = fit_trellis(weights, law, shape, terms=shape.values, start=few.levels)
    assert free.error <= few.error * 1.001
    assert free.levels.side_values == shape.values


def test_a_window_of_one_cell_is_no_better_than_a_word_in_noise():
    """One bit a weight at p = .1 holds no more than a sign: theory says so of both."""
    word = fit(Histogram.of(torch.from_numpy(TEST)), Uniform(0.1).law(1)).error
    trellis = fit_trellis(TEST, Uniform(0.1).law(1), Shape(1, 5), terms=9).error
    assert trellis == pytest.approx(word, rel=0.01)


def test_too_few_weights_are_refused():
    """A window needs its words."""
    with pytest.raises(ArgumentError, match="at least the 6 words"):
        fit_trellis(np.ones(5), Uniform(0.1).law(1), Shape(1, 6), terms=9)


@pytest.mark.long
def test_a_design_with_trellises_errs_less():
    """In the same cells, within the budget, and as predicted; 14,000 weights pay for few tables."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(96, 128), nn.Tanh(), nn.Linear(128, 16))
    for weight in model.parameters():
        nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    batch = torch.randn(64, 96)
    plan = qtaml.design(model, batch, p=0.05, cells=0.6, decoders=(*REAL_DECODERS, "trellis"))
    kinds = {section.format.levels.kind for entry in plan.tensors for section in entry.storage.sections}
    assert "trellis" in kinds
    assert plan.cells <= 0.6
    memory, clean = qtaml.store(model, plan), model(batch)
    errors = [(memory.model(seed=seed)(batch) - clean).square().sum(1).mean().item() for seed in range(30)]
    assert np.mean(errors) == pytest.approx(plan.predicted_error, rel=0.15)
    assert plan.predicted_error < 0.97 * qtaml.design(model, batch, p=0.05, cells=0.6).predicted_error


def test_trellises_are_asked_for():
    """They take long to search: only where "trellis" is among the decoders, and "table" too."""
    assert "trellis" not in REAL_DECODERS
    with pytest.raises(ArgumentError, match="decoders must hold 'table' beside 'trellis', got"):
        Design(p=0.1, cells=1.0, decoders=("none", "trellis"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "p", "least"), [(Shape(1, 12), 0.0, 5.5), (Shape(1, 12, 4), 0.0, 1.3), (Shape(2, 6), 0.1, 4.0)]
)
def test_standard_tables_do_as_well_as_fitted_ones(shape, p, least):
    """On Gaussian weights that they never saw, in dB, by the one that suits the memory; a changed one costs."""
    found = standard_trellis(TEST, shape, (Raw(),) * shape.bits, Uniform(p))
    assert -10 * math.log10(assess_trellis(TEST, Uniform(p).law(shape.bits), found).error) > least
    assert found.side_values == 0
    (mask, value), *rest = found.terms
    assert replace(found, terms=((mask, 1.001 * value), *rest)).side_values == 2 * len(found.terms)


def test_a_menu_has_a_standard_table_beside_fitted_ones():
    """Of few terms no table is worse than the standard it begins from."""
    rough = Format(TrellisLevels(2, 3), (Raw(), Raw()))
    standard, fitted = fitted_trellises(TEST, rough, Uniform(0.05), terms=0)
    errors = [assessed_trellis(TEST[:4096], one, Uniform(0.05)).error for one in (standard, fitted)]
    assert standard.levels.side_values == 0 < fitted.levels.side_values
    assert errors[1] < errors[0] * 1.001


def test_a_wider_table_has_no_more_side_values():
    """Neither of a standard one, nor of one with fewer terms than the standard of the wide shape."""
    for fmt in fitted_trellises(TEST, Format(TrellisLevels(3, 2), (Raw(),) * 3), Uniform(0.05), terms=0):
        wide = widened_trellis(TEST, fmt, Uniform(0.05), 12)
        assert wide.levels.window * wide.levels.bits == 12
        assert wide.levels.side_values <= fmt.levels.side_values
