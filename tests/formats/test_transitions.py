"""The law of a read word, and mean and variance of its value, against enumeration of all words and all masks."""

import numpy as np
import pytest

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import central_moments, transition_matrix
from tests.reference.enumeration import enumerated_moments, enumerated_transitions
from tests.tolerances import EXACT_MATHS, ROUNDING

KINDS = ["symmetric", "asymmetric", "one way", "some certain"]


def some_law(bits: int, kind: str) -> WordLaw:
    """Random error rates for each bit position."""
    p01, p10 = np.random.default_rng(bits).random((2, bits))
    if kind == "symmetric":
        p10 = p01 / 2
        p01 = p10
    if kind == "one way":
        p01 = np.zeros(bits)
    if kind == "some certain":
        p01[::2], p10[1::2] = 0.0, 1.0
    return WordLaw.of_bits(tuple(map(float, p01)), tuple(map(float, p10)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_matrix_is_that_of_enumeration(bits: int, kind: str) -> None:
    """Every entry is the probability of that read word given that stored word."""
    law = some_law(bits, kind)
    rates = law.rates()
    np.testing.assert_allclose(
        transition_matrix(law), enumerated_transitions(rates.p01, rates.p10), rtol=EXACT_MATHS, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 11))
def test_rows_of_the_matrix_sum_to_one(bits: int, kind: str) -> None:
    """Some word is read."""
    matrix = transition_matrix(some_law(bits, kind))
    assert matrix.shape == (2**bits, 2**bits)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=EXACT_MATHS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 11))
def test_moments_are_those_of_enumeration(bits: int, kind: str) -> None:
    """Mean and variance of any readout values, for any rates in both directions."""
    law = some_law(bits, kind)
    rates = law.rates()
    values = np.random.default_rng(0).standard_normal(2**bits)
    mean, variance, _, _ = central_moments(values, law)
    expected_mean, expected_variance = enumerated_moments(values, rates.p01, rates.p10)
    np.testing.assert_allclose(mean, expected_mean, rtol=0, atol=EXACT_MATHS)
    np.testing.assert_allclose(variance, expected_variance, rtol=EXACT_MATHS, atol=EXACT_MATHS)


@pytest.mark.parametrize("p", [1e-15, 1e-100, 1e-300])
def test_the_variance_of_very_rare_errors_keeps_its_digits(p: float) -> None:
    """Rare errors leave a variance of p x the sum of the squared jumps, far below the square of the mean."""
    values = 1e3 + np.arange(8.0)
    _, variance, _, _ = central_moments(values, WordLaw.of_bits((p,) * 3, (p,) * 3))
    np.testing.assert_allclose(variance, p * (1 + 4 + 16), rtol=EXACT_MATHS)


def test_without_errors_the_stored_value_is_read() -> None:
    """Mean is the value, variance is zero, and the matrix is the identity."""
    law = WordLaw.of_bits((0.0,) * 4, (0.0,) * 4)
    values = np.linspace(-1, 1, 16)
    mean, variance, _, _ = central_moments(values, law)
    np.testing.assert_allclose(mean, values, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(variance, 0.0)
    np.testing.assert_array_equal(transition_matrix(law), np.eye(16))


def test_sixteen_bits_have_moments() -> None:
    """Where no matrix fits, the moments of a linear code with one-way errors have the closed form of theory.md 3."""
    bits, p10 = 16, 0.1
    words = np.arange(2**bits)
    mean, variance, _, _ = central_moments(words / 2**bits, WordLaw.of_bits((0.0,) * bits, (p10,) * bits))
    spread = sum((words >> position & 1) * 4.0**position for position in range(bits))
    np.testing.assert_allclose(mean, (1 - p10) * words / 2**bits, atol=ROUNDING)
    np.testing.assert_allclose(variance, p10 * (1 - p10) * spread / 4.0**bits, rtol=EXACT_MATHS, atol=ROUNDING)


def test_a_matrix_of_more_than_ten_bits_is_refused() -> None:
    """It would have 4**11 entries; the message names what to use instead."""
    with pytest.raises(ArgumentError, match="at most 10 bits, got 11; central_moments has no such limit"):
        transition_matrix(WordLaw.of_bits((0.1,) * 11, (0.1,) * 11))
