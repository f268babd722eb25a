"""What side values cost: by hand for votes, against simulation for codes, and never less for more."""

import math

import numpy as np
import pytest
import scipy

from qtaml.faults import Asymmetric, StaticCells, Uniform
from qtaml.faults.static_cells import KnownCells
from qtaml.planning.side_values import SIDE_FAILURE, _bch_codes, _coded, _copies, _wrong_votes, side_cells
from qtaml.protections import HardenedCell, Repetition
from qtaml.protections.bch import CODES

ALGEBRAIC, EVERY = ("none", "majority", "algebraic"), ("none", "majority", "algebraic", "iterative")


def test_a_vote_has_as_many_copies_as_it_takes() -> None:
    """The fewest with which 160 bits are all right but for a chance of a millionth."""
    copies = side_cells(Uniform(0.1), 10, ("none",)) / 160
    wrong = [160 * max(Repetition(int(copies) - less).residual(0.1, 0.1)) for less in (0, 2)]
    assert wrong[0] <= SIDE_FAILURE < wrong[1]


@pytest.mark.parametrize("bits", [16, 333, 20_000])
def test_the_cheapest_way_is_found_however_many_are_looked_at_at_once(monkeypatch, bits: int) -> None:
    """One after the other, and all of them, which is the least by its definition."""
    copies = _copies()
    ways = copies, _wrong_votes(copies, 0.1, 0.1)
    found = []
    for count in (1, 10**6):
        monkeypatch.setattr("qtaml.planning.side_values._AT_ONCE", count)
        found.append(_coded(bits, *ways, least=math.inf))
    assert found[0] == found[1] == _coded(bits, *ways, least=found[0] + 1)
    assert _coded(bits, *ways, least=found[0] - 1) == found[0] - 1


def test_the_codes_are_those_of_the_table() -> None:
    """Lengths, data bits and corrected errors of 31 to 127 bits."""
    found = {tuple(map(int, code)) for code in zip(*_bch_codes(), strict=True)}
    assert {code for code in CODES if code[0] > 15} <= found


def test_a_code_in_a_vote_is_checked_by_hand() -> None:
    """One BCH(31, 16, 3) word for one value of 16 bits: the cheapest where three errors in 31 are rare enough."""
    p = 3e-4
    assert scipy.stats.binom.sf(3, 31, p) <= SIDE_FAILURE < scipy.stats.binom.sf(2, 31, p) * 100
    assert side_cells(Uniform(p), 1, ALGEBRAIC) <= 31


@pytest.mark.parametrize("fault", [Uniform(0.01), Uniform(0.2), Asymmetric(0.0, 0.3)], ids=str)
def test_more_decoders_and_fewer_values_never_cost_more(fault: Uniform | Asymmetric) -> None:
    """And none is below the capacity of the cells."""
    costs = np.array(
        [[side_cells(fault, n, allowed) for n in (1, 10, 100, 10_000)] for allowed in (("none",), ALGEBRAIC, EVERY)]
    )
    assert (np.diff(costs, axis=0) <= 0).all()
    assert (np.diff(costs, axis=1) > 0).all()


def test_ends() -> None:
    """Nothing costs nothing, perfect cells their bits, useless cells anything, and a better cell its area."""
    assert side_cells(Uniform(0.1), 0, EVERY) == 0
    assert side_cells(Uniform(0.0), 10, EVERY) == 160
    assert side_cells(Uniform(0.1), 10, ("ideal",)) == 320
    assert 10**6 < side_cells(Uniform(0.499), 10, ("none",)) < math.inf
    assert side_cells(Uniform(0.2), 10, ("none",), (HardenedCell(1.5, 0.0, 0.0),)) == 240


@pytest.mark.slow
def test_a_mask_keeps_votes_that_stuck_cells_decide() -> None:
    """Random linear masks fail no more often than (1 + f)^n 2^-h says; with them a value takes a sixth of the cells."""
    random, bits, number, decided, failed = np.random.default_rng(0), 40, 6, 0.05, 0
    masks = np.indices((2,) * number).reshape(number, -1).T
    for _ in range(2000):
        rows = random.integers(0, 2, (number, int((random.random(bits) < decided).sum())))
        failed += not (masks @ rows % 2 == random.integers(0, 2, rows.shape[1])).all(1).any()
    assert 0 < failed / 2000 <= (1 + decided) ** bits * 2**-number
    weak = KnownCells(StaticCells(p01=(0.0,) * 30 + (1.0, 0.0), p10=(0.0,) * 31 + (1.0,)))
    assert 40 < side_cells(weak, 100, ("none",)) / 100 < side_cells(weak.cells, 100, ("none",)) / 100 / 5
    noisy = KnownCells(StaticCells(p01=(1e-4,) * 30 + (1.0, 0.0), p10=(1e-4,) * 30 + (0.0, 1.0)))
    assert side_cells(weak, 100, ("none",)) < side_cells(noisy, 100, ("none",)) < side_cells(weak.cells, 100, ("none",))
