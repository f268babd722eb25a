"""Formats where the writer knows the weak cells: errors by enumeration, and tables that make use of it."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from qtaml.faults import StaticCells
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import Format, TableLevels
from qtaml.formats.nearest_label import least_error_regions
from qtaml.planning import Design
from qtaml.protections import Raw, Repetition
from qtaml.search.candidates import law_behind
from qtaml.search.known_chips import drawn
from qtaml.search.mapped_weights import assessed, fitted_known, known_menu
from qtaml.search.menus import Menus
from qtaml.search.trellis_fitting import Shape, assess_trellis, fit_trellis, gaussian_weights
from qtaml.search.trellis_menu import assessed_trellis
from qtaml.sensitivity import Calibration
from tests.formats.test_entropy import laplacian


def weak_cells(share, rest=0.0):
    """Cells of which a share is held, at 0 as often as at 1; the others fail now and then."""
    held = round(128 * share)
    good = (rest,) * (256 - 2 * held)
    return StaticCells(p01=(*good, *(1.0,) * held, *(0.0,) * held), p10=(*good, *(0.0,) * held, *(1.0,) * held))


TENTH = KnownCells(weak_cells(0.1))
TEST = gaussian_weights(2**14, 9)


def decibels(error):
    """Of weights of mean square 1."""
    return -10 * np.log10(error)


@pytest.mark.parametrize("word", [(Raw(),) * 3, (Raw(), Raw(), Repetition(3))], ids=["raw", "vote"])
def test_the_error_is_that_of_every_chip(word):
    """Of all ways in which the bits of a word may be held, for each weight; the sample's standard error is 1%."""
    fault = KnownCells(weak_cells(0.25, rest=0.02))
    fmt = Format(TableLevels((-1.5, 0.3, 1.2, -0.6, 0.5, -1.0, -0.2, 1.8)), word)
    mean, variance = fmt.read_mean(fault), fmt.read_variance(fault)
    square, labels, error = variance + mean**2, np.arange(8), 0.0
    shares = [{None: 1 - low - high, 0: low, 1: high} for low, high in fault.held(word)]
    for held in itertools.product((None, 0, 1), repeat=3):
        chance = np.prod([share[one] for share, one in zip(shares, held, strict=True)])
        can = np.array([all(one in (None, label >> bit & 1) for bit, one in enumerate(held)) for label in labels])
        thresholds, regions = least_error_regions(mean[can], square[can])
        read = labels[can][regions[np.searchsorted(thresholds, TEST)]]
        error += chance * float((TEST**2 - 2 * TEST * mean[read] + square[read]).mean())
    assert assessed(TEST, fmt, fault).error == pytest.approx(error, rel=0.03)


@pytest.mark.slow
def test_tables_of_words_are_made_for_weak_cells():
    """Evenly spaced levels of 8 bits have 9 dB if 10% are weak and known; fitted ones three times as many."""
    menu = {one.format.cells: one for one in known_menu((Raw(),), TENTH, 80.0)}
    for bits, least in ((2, 6.5), (4, 13.0), (6, 20.0), (8, 26.0)):
        assert decibels(assessed(TEST, menu[bits].format, TENTH, seed=7).error) > least
    laplace = np.random.default_rng(1).laplace(size=6000)
    laplace /= np.sqrt((laplace**2).mean())
    free, even = fitted_known(laplace, [menu[4]], TENTH)
    assert decibels(free.error) > 10.5 > decibels(even.error) > 6
    assert even.format.levels.side_values == 2
    (mean,) = fitted_known(laplace + 1.0, [menu[0]], TENTH)
    assert mean.format.readout() == pytest.approx([1.0], abs=0.05)


@pytest.mark.slow
def test_tables_of_trellises_are_made_for_what_else_fails():
    """One cell in 100 that the map misses: the table for it has half a decibel more than one for no other errors."""
    fault = KnownCells(weak_cells(0.1, rest=0.01))
    word, law = (Raw(),) * 2, law_behind((Raw(),) * 2, fault)
    held, weights = fault.held(word), gaussian_weights(4096)
    made = fit_trellis(weights, law, Shape(2, 3), terms=10, held=held).levels
    other = fit_trellis(weights, law_behind(word, TENTH), Shape(2, 3), terms=10, held=held).levels
    errors = [assess_trellis(TEST, law, one, held=held, seed=3).error for one in (made, other)]
    assert decibels(errors[0]) > decibels(errors[1]) + 0.3
    fmt = Format(made, word)
    assert assessed(TEST, fmt, fault).error == pytest.approx(assessed_trellis(TEST, fmt, fault).error, rel=0.05)


def test_a_chip_is_drawn_by_its_shares():
    """And none where no bit is held."""
    weak = drawn([(0.1, 0.2), (0.0, 0.0), (0.3, 0.0)], 40_000, seed=1)
    for bit, (low, high) in enumerate([(0.1, 0.2), (0.0, 0.0), (0.3, 0.0)]):
        stuck, value = (weak.stuck >> bit & 1).bool(), weak.zeros >> bit & 1
        assert float((stuck & (value == 0)).double().mean()) == pytest.approx(low, abs=0.01)
        assert float((stuck & (value == 1)).double().mean()) == pytest.approx(high, abs=0.01)
    assert not weak.turned.any()
    assert drawn([(0.0, 0.0)] * 2, 10, seed=0) is None
    assert torch.equal(drawn([(0.5, 0.5)] * 9, 10, seed=0).stuck.int() & 511, torch.full((10,), 511, dtype=torch.int32))


@pytest.mark.slow
def test_a_format_that_keeps_nothing_leaves_all():
    """Of a tensor of which a part is looked at, whose mean square is another; or it would be stored for nothing."""
    model = nn.Linear(200, 200, bias=False)
    with torch.no_grad():
        model.weight.copy_(laplacian(40_000).reshape(200, 200) / 14)
    cells = StaticCells(p01=(1.0,) + (0.0,) * 15, p10=(0.0, 1.0) + (0.0,) * 14)
    settings = Design(fault=cells, cells=0.2, decoders=("none", "table"), weak_cells="known")
    menu = Menus(Calibration(model, torch.randn(8, 200), passes=2), settings).first("weight")
    assert menu.menu[0].format.bits == 0
    assert menu.menu[0].effect(menu.power, 1.0) == pytest.approx(menu.power, rel=1e-3)
