"""Multi-level cells against theory.md 4, enumeration and Monte Carlo."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qtaml.device import Cell, MultiLevelCell, Rectangular, level_labels, level_transition_matrix
from qtaml.errors import ArgumentError

LEVELS, REFERENCES = (0, 100, 200, 300), (50, 150, 250)


def cell_and_window(escape, labels="gray"):
    """The cell of theory.md 4, and the window at which p_e is as given."""
    cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), LEVELS, REFERENCES, 1e13, labels=labels)
    return cell, float(-np.log1p(-escape) / 1e13 / -np.log1p(-np.exp(-cell.barrier.action())))


@pytest.mark.parametrize(
    ("escape", "stay", "gray", "natural"),
    [
        (0.15, {2: ".9998", 3: ".769"}, "0.029", "0.029"),
        (0.20, {2: ".951", 3: ".062"}, ".123", ".130"),
        (0.25, {2: ".473", 3: "2e-4"}, ".191", ".257"),
    ],
)
def test_four_levels_of_the_theory(escape, stay, gray, natural, check_printed):
    """Levels that stay, and bit error rates of both labellings."""
    for labels, printed in (("gray", gray), ("natural", natural)):
        cell, window = cell_and_window(escape, labels)
        check_printed(cell.bit_error_rate(window), printed)
        for level, text in stay.items():
            check_printed(cell.level_matrix(window)[level, level], text)
        assert cell.level_matrix(window).diagonal()[:2] == pytest.approx([1.0, 1.0], abs=1e-6)


def test_matrix_agrees_with_enumeration_of_the_escape_count():
    """Every number of escaped electrons, weighted with its binomial probability."""
    levels, references, escape = np.array([3, 10, 18, 40]), np.array([5, 12, 25]), 0.35
    expected = np.zeros((4, 4))
    for j, electrons in enumerate(levels):
        lost = np.arange(electrons + 1)
        read = np.searchsorted(references, electrons - lost, side="left")
        np.add.at(expected[j], read, stats.binom.pmf(lost, electrons, escape))
    actual = level_transition_matrix(levels, references, float(np.log(-np.log1p(-escape))))
    assert actual == pytest.approx(expected, abs=1e-13)


def test_monte_carlo_of_the_fullest_level():
    """200000 cells, fixed seed: each share within 4 standard errors."""
    drawn = 200_000
    matrix = level_transition_matrix(LEVELS, REFERENCES, float(np.log(-np.log1p(-0.3))))
    remaining = 300 - np.random.default_rng(9).binomial(300, 0.3, size=drawn)
    shares = np.bincount(np.searchsorted(REFERENCES, remaining), minlength=4) / drawn
    assert (np.abs(shares - matrix[3]) <= 4 * np.sqrt(matrix[3] * (1 - matrix[3]) / drawn) + 1e-12).all()


@given(st.integers(1, 4), st.integers(1, 60), st.floats(-30.0, 5.0))
def test_only_downward_moves(bits, spacing, log_exposure):
    """Rows are probability laws, nothing moves to a higher level, and the empty level stays."""
    levels = spacing * 2 * np.arange(2**bits)
    matrix = level_transition_matrix(levels, levels[:-1] + spacing, log_exposure)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(2**bits), abs=1e-12)
    assert matrix.min() >= 0.0
    assert np.triu(matrix, 1).max() == 0.0
    assert matrix[0, 0] == 1.0


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_gray_labels_of_neighbours_differ_in_one_bit(bits):
    """And every word is used once."""
    labels = level_labels(bits)
    assert sorted(labels) == list(range(2**bits))
    assert all(int(a ^ b).bit_count() == 1 for a, b in pairwise(labels))
    assert level_labels(bits, "natural").tolist() == list(range(2**bits))


@pytest.mark.parametrize("labels", ["gray", "natural"])
def test_word_moments_agree_with_the_full_matrix(labels):
    """Mean and variance of every 8-bit word over four cells, from the 256 x 256 matrix."""
    cell, window = cell_and_window(0.2, labels)
    matrix, words = cell.word_matrix(window, 8), np.arange(256)
    mean = matrix @ words - words
    variance = matrix @ words.astype(float) ** 2 - (matrix @ words) ** 2
    moments = cell.word_moments(window, 8)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(256), rel=1e-12)
    assert moments[0] == pytest.approx(mean, abs=1e-9)
    assert moments[1] == pytest.approx(variance, abs=1e-8)


def test_word_matrix_places_the_most_significant_cell_first():
    """A word whose low digit is empty and whose high digit is full loses steps of 4 only."""
    cell, window = cell_and_window(0.2, "natural")
    matrix = cell.word_matrix(window, 4)
    assert matrix[0b1100, 0b1000] == pytest.approx(cell.level_matrix(window)[3, 2], rel=1e-13)
    assert np.flatnonzero(matrix[0b1100] > 1e-9).tolist() == [0b1000, 0b1100]


def test_two_levels_are_the_single_bit_cell():
    """The bit is lost when more than n_th = 50 of 100 electrons escape, that is when fewer than 50 remain."""
    cell = MultiLevelCell(Rectangular(3.15, 2.5, 0.42), (0, 100), (49,), 1e13, temperature=300.0)
    single = Cell(cell.barrier, 100, 50, 1e13, temperature=300.0)
    window = single.window_for(0.2)
    assert cell.label_matrix(window)[1] == pytest.approx([0.2, 0.8], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level_electrons": (0, 100, 200)}, r"references must be 2 whole numbers, got \(50, 150, 250\)"),
        ({"level_electrons": (0, 100, 50, 300)}, "references must lie between neighbouring levels"),
        ({"references": (50, 150, 300)}, "references must lie between neighbouring levels"),
        (
            {"level_electrons": (0, 100, 200), "references": (50, 150)},
            "level_electrons must be a power of 2 many, got 3",
        ),
        (
            {"level_electrons": (0,), "references": ()},
            "level_electrons must be two or more whole numbers of at least 0",
        ),
        ({"level_electrons": (0, 1.5, 3, 4)}, "level_electrons must be two or more whole numbers of at least 0"),
        ({"labels": "grey"}, "labels must be one of 'gray', 'natural', got 'grey'"),
        ({"attempt_frequency": -1.0}, "attempt_frequency must be above 0, got -1.0"),
    ],
)
def test_impossible_multilevel_cells_are_refused(arguments, message):
    """The message names the argument and its value."""
    usual = {
        "barrier": Rectangular(3.15, 3.0, 0.42),
        "level_electrons": LEVELS,
        "references": REFERENCES,
        "attempt_frequency": 1e13,
    }
    with pytest.raises(ArgumentError, match=message):
        MultiLevelCell(**(usual | arguments))


def test_words_that_do_not_fill_cells_are_refused():
    """And words too long for a full matrix."""
    cell, window = cell_and_window(0.2)
    with pytest.raises(ArgumentError, match="bits must be a multiple of the 2 bits in a cell, got 7"):
        cell.word_matrix(window, 7)
    with pytest.raises(ArgumentError, match="bits must be a whole number from 1 to 12, got 16"):
        cell.word_matrix(window, 16)
