"""Why the errors are exact: the tables that the kernels look up add up to the very probabilities, to rounding."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from qtaml.sampling import recipe
from qtaml.sampling.recipe import BLOCK, SLOTS, UNDECIDED, binomial_tails, flip_recipe, split_digits

PROBABILITIES = (1e-12, 1e-9, 1e-6, 1e-3, 0.0155, 1 / 64, 0.02, 0.1, 1 / 3, 0.4999999999999999, 0.5)
CELL = ((0.7, 1e-12, 0.3 - 1e-12, 0.0), (0.0, 1.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25), (1e-3, 0.1, 0.2, 0.699))


@pytest.mark.parametrize("p", PROBABILITIES)
def test_digits_and_events_together_have_the_probability(p: float) -> None:
    """m/256 + (1 - m/256) q is p but for one rounding of q."""
    m, q = split_digits(p)
    exact = Fraction(m, 256) + (1 - Fraction(m, 256)) * Fraction(q)
    assert abs(exact / Fraction(p) - 1) <= Fraction(1, 2**53)
    assert q <= max(1 / 128, 1 / 64 * (m == 0))


@pytest.mark.parametrize("trials", [BLOCK, BLOCK // 2])
@pytest.mark.parametrize("p", PROBABILITIES)
def test_the_tails_have_the_mean_and_the_variance_of_the_binomial_law(trials: int, p: float) -> None:
    """Sums over the tails are its first two moments: exact to 1e-13, ten thousand times less than any test can see."""
    q = split_digits(p)[1]
    tails = binomial_tails(trials, q)
    assert (np.diff(tails) <= 0).all()
    assert tails.sum() == pytest.approx(trials * q, rel=1e-13)
    second = ((2 * np.arange(1, len(tails) + 1) - 1) * tails).sum()
    assert second == pytest.approx(trials * q * (1 - q) + (trials * q) ** 2, rel=1e-12)


def test_the_tails_are_those_of_the_binomial_law_far_out() -> None:
    """Also where they are tiny, they have their digits."""
    tails = binomial_tails(BLOCK, 1e-3)
    assert tails == pytest.approx(stats.binom.sf(np.arange(len(tails)), BLOCK, 1e-3), rel=1e-11)
    assert tails[-1] < 1e-37


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16])
def test_digits_lie_at_the_bits_of_every_word(bits: int) -> None:
    """The digits of a bit are those of its m, in each of the words that 64 bits hold, and bits beyond have none."""
    p01, p10 = tuple(np.linspace(0.05, 0.95, bits)), tuple(np.linspace(0.9, 0.1, bits))
    made, width = flip_recipe(p01, p10), 8 if bits <= 8 else 16
    for side, rates in enumerate((p01, p10)):
        patterns = [[int(pattern) >> i & 1 for i in range(64)] for pattern in made.digits[side]]
        numerators = sum(np.array(pattern) << place for place, pattern in enumerate(patterns))
        inverted = [int(made.inverts[side]) >> i & 1 for i in range(64)]
        for i in range(64):
            p = rates[i % width] if i % width < bits else 0.0
            assert inverted[i] == (p > 0.5)
            assert numerators[i] == split_digits(min(p, 1 - p))[0]


def test_what_is_drawn_for_a_bit_depends_on_its_own_probability_alone() -> None:
    """Digits and events of a bit are the same whatever the others are."""
    one, other = flip_recipe((0.1, 0.2, 0.3), (0.1, 0.2, 0.3)), flip_recipe((0.0, 0.2, 0.0), (0.0, 0.2, 0.0))
    assert ((one.digits[0] & np.uint64(0x0202020202020202)) == other.digits[0]).all()
    kind = list(one.event_bits).index(1)
    assert (one.tails[one.starts[kind] : one.starts[kind + 1]] == other.tails).all()


@pytest.mark.parametrize("classes", [2, 64, 256])
def test_static_rates_are_the_probabilities(classes: int) -> None:
    """A byte below `whole`, or equal to it and with `rest`, has probability (whole + rest) / 256: that given."""
    rates = np.linspace(0, 1, classes) ** 3
    made = recipe.static_recipe([rates] * 9, [rates[::-1]] * 9)
    found = (made.whole + made.rest) / 256
    assert (found[0, :9] == np.repeat(rates, 256 // classes)).all()
    assert (found[1, :9] == np.repeat(rates[::-1], 256 // classes)).all()
    assert (found[:, 9:] == 0).all()


def test_slots_and_bounds_have_the_probabilities_of_the_labels() -> None:
    """The share of each label, summed over slots and over its part of the undecided ones, is its probability."""
    made = recipe.transition_recipe((CELL, ((0.5, 0.5), (1e-9, 1 - 1e-9))))
    assert made.shifts.tolist() == [0, 2]
    for cell, group in enumerate((CELL, ((0.5, 0.5), (1e-9, 1 - 1e-9)))):
        for stored, row in enumerate(group):
            share = np.zeros(len(row))
            for slot, label in enumerate(made.slots[cell, stored]):
                if label != UNDECIDED:
                    share[label] += 1 / SLOTS
                    continue
                ends = (made.bounds[cell, stored, : len(row)] - slot).clip(0, 1)
                np.add.at(share, made.labels[cell, stored, : len(row)], np.diff(ends, prepend=0) / SLOTS)
            assert share == pytest.approx(row, rel=1e-13, abs=1e-30)
            assert (made.slots[cell, stored] == UNDECIDED).sum() < len(row)
