"""Levels fitted to the weights: every error against the sum over all weights and words, and the best known figures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import transition_matrix
from qtaml.search import Fitted, Histogram, assess, fit
from tests.tolerances import EXACT_MATHS

CODED = 1e-5
"""Residual flip probability of a well coded bit."""

ONE_WAY = WordLaw.of_bits((0.0,) * 4, (0.1,) * 4)
MULTI_LEVEL = WordLaw((np.array([[0.8, 0.2, 0, 0], [0.1, 0.8, 0.1, 0], [0, 0.1, 0.8, 0.1], [0, 0, 0.2, 0.8]]),) * 2)
LAWS = {
    "one bit": WordLaw.of_bits((0.1,), (0.1,)),
    "raw": WordLaw.of_bits((0.1,) * 4, (0.1,) * 4),
    "one way": ONE_WAY,
    "coded and raw": WordLaw.of_bits((CODED, CODED, 0.1), (CODED, CODED, 0.1)),
    "multi-level": MULTI_LEVEL,
    "without errors": WordLaw.of_bits((0.0,) * 3, (0.0,) * 3),
    "no bits": WordLaw(()),
}


def symmetric(*rates: float) -> WordLaw:
    """The law of bits with these flip probabilities, bit 0 first."""
    return WordLaw.of_bits(rates, rates)


def gaussian() -> Histogram:
    """The unit Gaussian up to 5.8 standard deviations; beyond lies 1e-7 of the power."""
    edges = np.linspace(-5.8, 5.8, 8193)
    mass, total = np.diff(ndtr(edges)), -np.diff(np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi))
    return Histogram(total / mass, mass, 1 - float((total**2 / mass).sum()))


def laplacian() -> Histogram:
    """The Laplacian of unit variance up to 14 standard deviations."""
    edges = np.linspace(0, 14, 4097)
    tail = np.exp(-math.sqrt(2) * edges) / 2
    mass, total = -np.diff(tail), -np.diff(tail * (edges + 1 / math.sqrt(2)))
    points = np.concatenate((-(total / mass)[::-1], total / mass))
    return Histogram(points, np.concatenate((mass[::-1], mass)), 1 - 2 * float((total**2 / mass).sum()))


def decibels(fitted: Fitted) -> float:
    """Power of weights of mean square 1 over the mean squared error."""
    return -10 * math.log10(fitted.error)


def skewed_weights(count: int = 300) -> NDArray[np.float64]:
    """Weights with a mean, a skew and repeated values."""
    random = np.random.default_rng(5)
    return np.concatenate((random.gamma(2.0, 0.3, count) - 0.2, np.zeros(count // 10)))


def read_error(fitted: Fitted, weights: NDArray[np.float64], law: WordLaw) -> tuple[float, float, float]:
    """Error, bias part and noise part of each weight stored by the thresholds, summed over every word read."""
    matrix = transition_matrix(law)
    errors, biases, noises = [], [], []
    for weight in weights:
        label = fitted.labels[sum(weight > threshold for threshold in fitted.thresholds)]
        mean = sum(matrix[label, word] * fitted.table[word] for word in range(len(matrix)))
        errors.append(sum(matrix[label, word] * (fitted.table[word] - weight) ** 2 for word in range(len(matrix))))
        biases.append((mean - weight) ** 2)
        noises.append(sum(matrix[label, word] * (fitted.table[word] - mean) ** 2 for word in range(len(matrix))))
    return float(np.mean(errors)), float(np.mean(biases)), float(np.mean(noises))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_errors_are_those_of_every_weight_and_every_word(law: WordLaw) -> None:
    """Error, bias and noise are exact."""
    weights = skewed_weights()
    fitted = fit(Histogram.of(torch.from_numpy(weights)), law, patience=2)
    error, bias, noise = read_error(fitted, weights, law)
    np.testing.assert_allclose(
        (fitted.error, fitted.bias, fitted.noise), (error, bias, noise), rtol=EXACT_MATHS, atol=EXACT_MATHS
    )


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_stored_label_is_the_cheapest_of_all(law: WordLaw) -> None:
    """For any table, no label has a smaller expected squared error than the one of the thresholds."""
    weights = skewed_weights()
    table = np.random.default_rng(2).standard_normal(2**law.bits)
    matrix = transition_matrix(law)
    costs = (matrix[np.newaxis] * (table - weights[:, np.newaxis, np.newaxis]) ** 2).sum(axis=2)
    assessed = assess(Histogram.of(torch.from_numpy(weights)), law, table)
    np.testing.assert_allclose(assessed.error, costs.min(axis=1).mean(), rtol=EXACT_MATHS)
    assert (np.diff(assessed.thresholds) > 0).all()


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_table_is_the_posterior_mean(law: WordLaw) -> None:
    """Each label that can be read stands for the mean of the weights read as it, to what the last round still moves."""
    weights = skewed_weights()
    fitted = fit(Histogram.of(torch.from_numpy(weights)), law, patience=2)
    stored = fitted.labels[np.searchsorted(fitted.thresholds, weights)]
    read = transition_matrix(law)[stored]
    share = read.sum(axis=0)
    known = share > 0
    np.testing.assert_allclose(fitted.table[known], (weights @ read)[known] / share[known], rtol=0, atol=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.05, 0.01])
def test_one_bit_has_the_closed_form(p: float) -> None:
    """theory.md 6.2: D = 1 - (1 - 2p)**2 x 2 / pi, here within what the histogram leaves out."""
    assert fit(gaussian(), symmetric(p)).error == pytest.approx(1 - (1 - 2 * p) ** 2 * 2 / math.pi, abs=1e-5)


@pytest.mark.parametrize(
    ("bits", "p", "best_known"),
    [
        *((2, p, snr) for p, snr in ((0.1, 3.63), (0.05, 5.20), (0.01, 7.88))),
        *((3, p, snr) for p, snr in ((0.1, 4.67), (0.05, 6.77), (0.01, 10.59))),
        *((4, p, snr) for p, snr in ((0.1, 5.87), (0.05, 8.27), (0.01, 12.96))),
        *((5, p, snr) for p, snr in ((0.1, 6.81), (0.05, 9.80), (0.01, 15.25))),
        *((6, p, snr) for p, snr in ((0.1, 7.78), (0.05, 11.19), (0.01, 17.46))),
    ],
)
def test_a_gaussian_reaches_the_best_known_figures(bits: int, p: float, best_known: float) -> None:
    """theory.md 6.2, within 0.1 dB."""
    assert decibels(fit(gaussian(), symmetric(*[p] * bits))) > best_known - 0.1


@pytest.mark.parametrize(("p", "best_known"), [(0.1, 9.70), (0.05, 13.92), (0.01, 21.54)])
def test_the_quick_search_reaches_the_best_known_figures_at_eight_bits(p: float, best_known: float) -> None:
    """theory.md 6.2, within 0.1 dB."""
    assert decibels(fit(gaussian(), symmetric(*[p] * 8), patience=0)) > best_known - 0.1


@pytest.mark.parametrize(("bits", "p", "best_known"), [(2, 0.1, 2.80), (4, 0.05, 6.84), (6, 0.1, 6.61), (8, 0.1, 8.38)])
def test_a_laplacian_reaches_the_best_known_figures(bits: int, p: float, best_known: float) -> None:
    """theory.md 6.2, within 0.1 dB."""
    assert decibels(fit(laplacian(), symmetric(*[p] * bits), patience=4)) > best_known - 0.1


@pytest.mark.parametrize(("bits", "best"), [(1, 4.40), (2, 9.30), (3, 14.62), (4, 20.22), (5, 26.01), (6, 31.9)])
@pytest.mark.parametrize("p", [0.0, 1e-9])
def test_without_errors_it_is_the_quantiser_of_lloyd_and_max(bits: int, best: float, p: float) -> None:
    """theory.md 6.3, to the digits given there."""
    fitted = fit(gaussian(), symmetric(*[p] * bits), patience=0)
    assert decibels(fitted) == pytest.approx(best, abs=0.015)
    assert len(np.unique(fitted.labels)) == 2**bits


@pytest.mark.parametrize(("protected", "one_start"), [(1, 13.5), (2, 17.6), (3, 22.3), (4, 27.0)])
def test_protected_bits_carry_the_coarse_part(protected: int, one_start: float) -> None:
    """Not worse than one start of theory.md 6.4: raw bits at p = 0.1 below protected ones, eight in all."""
    law = symmetric(*[0.1] * (8 - protected), *[0.0] * protected)
    assert decibels(fit(gaussian(), law, patience=0)) > one_start


def test_the_place_of_the_reliable_bits_does_not_matter() -> None:
    """The search finds the strong bits wherever they are."""
    last, first = (fit(gaussian(), symmetric(*rates)) for rates in ((0.1, CODED, CODED), (CODED, CODED, 0.1)))
    assert decibels(last) == pytest.approx(decibels(first), abs=0.005)
    assert decibels(last) > 11.79


def test_a_longer_search_is_not_worse() -> None:
    """And where the first descent ends in a poor optimum, it is better."""
    quick, long = (fit(gaussian(), symmetric(*[0.01] * 4), patience=patience) for patience in (0, 16))
    assert long.error < 0.97 * quick.error


def test_the_same_seed_gives_the_same_table() -> None:
    """Bit for bit."""
    first, second = (fit(laplacian(), symmetric(*[0.02] * 4), patience=3, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.table, second.table)


def test_a_start_is_never_made_worse() -> None:
    """Even without any search, the table of similar weights is a start that only improves."""
    law = symmetric(*[0.01] * 4)
    good = fit(gaussian(), law)
    similar = Histogram.of(torch.randn(2000, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    started = fit(similar, law, patience=0, starts=[good.table])
    assert started.error <= assess(similar, law, good.table).error
    assert started.error < fit(similar, law, patience=0).error


@pytest.mark.slow
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_scale_and_shift_of_the_weights_carry_over_to_the_table(scale: float, shift: float) -> None:
    """Nothing in the search depends on the unit of the weights."""
    weights = torch.from_numpy(skewed_weights(60))
    law = symmetric(0.1, 0.1, 0.01)
    plain = fit(Histogram.of(weights), law, patience=1)
    moved = fit(Histogram.of(scale * (weights + shift)), law, patience=1)
    assert moved.error / scale**2 == pytest.approx(plain.error, rel=1e-3)


def test_without_bits_every_weight_is_the_mean() -> None:
    """The error is the variance."""
    weights = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
    fitted = fit(Histogram.of(weights), WordLaw(()))
    assert fitted.table.tolist() == [3.0]
    assert fitted.thresholds.size == 0
    assert fitted.error == pytest.approx(float(weights.var(correction=0)))


@pytest.mark.parametrize("value", [0.0, 0.1, -3e-8, 1e20])
@pytest.mark.parametrize("count", [1, 10_000])
def test_a_constant_tensor_is_read_without_error(value: float, count: int) -> None:
    """Whatever is read stands for the one value."""
    weights = torch.full((count,), value, dtype=torch.float64)
    fitted = fit(Histogram.of(weights), symmetric(0.1, 0.1))
    np.testing.assert_allclose(fitted.table, value, rtol=EXACT_MATHS)
    assert fitted.error <= 1e-24 * value**2


def test_fewer_values_than_labels_are_kept_exactly_without_errors() -> None:
    """Labels that are not needed stay unused."""
    fitted = fit(Histogram.of(torch.tensor([-1.0, 0.25, 4.0])), symmetric(0.0, 0.0, 0.0))
    assert fitted.error < EXACT_MATHS
    weights = [-1.0, 0.25, 4.0]
    assert fitted.table[fitted.labels[np.searchsorted(fitted.thresholds, weights)]] == pytest.approx(weights, rel=1e-9)


def test_all_unreliable_bits_still_say_something() -> None:
    """At p just below 1/2 the error is just below the power."""
    fitted = fit(gaussian(), symmetric(*[0.499] * 3))
    assert 0.9999 < fitted.error < 1


def test_the_error_on_a_histogram_is_that_on_the_weights() -> None:
    """Of many weights with one far out, to the little that whole bins on one side of a threshold cost."""
    weights = torch.randn(100_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights[7] = 60.0
    law = symmetric(*[0.0] * 6)
    fitted = fit(Histogram.of(weights), law, patience=0)
    values = weights.numpy()
    read = fitted.table[fitted.labels[np.searchsorted(fitted.thresholds, values)]]
    assert fitted.error == pytest.approx(float(np.mean((read - values) ** 2)), rel=1e-3)


def test_what_cannot_be_fitted_is_refused() -> None:
    """Nothing can be stored at p = 1/2; matrices end at ten bits; tables have a value for each label."""
    with pytest.raises(ArgumentError, match="flip probability 1/2: nothing can be stored"):
        fit(gaussian(), symmetric(0.5, 0.5))
    with pytest.raises(ArgumentError, match="at most 10 bits, got 11"):
        fit(gaussian(), symmetric(*[0.1] * 11))
    with pytest.raises(ArgumentError, match="a start must be 4 finite values"):
        fit(gaussian(), symmetric(0.1, 0.1), starts=[np.zeros(3)])
    with pytest.raises(ArgumentError, match="table must be 2 finite values"):
        assess(gaussian(), symmetric(0.1), np.array([0.0, math.inf]))
