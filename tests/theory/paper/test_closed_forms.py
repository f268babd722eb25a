"""The closed forms of the paper and of theory.md 1.2 to 1.5 and 3 against enumeration of every code and error mask."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, Uniform
from qtaml.formats import ENCODINGS, GRIDS, EvenLevels, Format, quantisation_step, read_moments
from qtaml.theory import characteristic_function as exact_characteristic_function
from qtaml.theory.paper import bit_weights, closed_forms, encoding_forms
from tests.reference.enumeration import enumerated_transitions, protected_rates
from tests.theory.enumeration import central_moment, values_of
from tests.tolerances import EXACT_MATHS

RELATIVE = 1e-9
MOMENTS = {
    "offset_binary": encoding_forms.offset_binary_moments,
    "twos_complement": encoding_forms.twos_complement_moments,
    "sign_magnitude": encoding_forms.sign_magnitude_moments,
}
CHANNELS = [(0.1, 0.1), (1e-6, 1e-6), (0.49, 0.49), (0.0, 0.1), (0.03, 0.2)]


@pytest.fixture(scope="module")
def enumerated():
    """Transition matrices by enumeration, each made once."""
    made: dict[tuple[float, float, int, int], np.ndarray] = {}

    def matrix(p01: float, p10: float, bits: int, protected: int) -> np.ndarray:
        key = (p01, p10, bits, protected)
        if key not in made:
            rates = (protected_rates(p, bits, protected) for p in (p01, p10))
            made[key] = enumerated_transitions(*rates)
        return made[key]

    return matrix


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", MOMENTS)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("p01", "p10"), CHANNELS)
def test_means_and_variances_of_each_encoding(enumerated, p01, p10, bits, encoding, grid):
    """Theory.md 1.3, 1.4 and 3: every code, no to all bits protected, symmetric and asymmetric, both grids."""
    codes, values = np.arange(2**bits), values_of(bits, encoding, grid)
    for protected in range(bits + 1):
        matrix = enumerated(p01, p10, bits, protected)
        mean, variance = MOMENTS[encoding](codes, p01=p01, p10=p10, bits=bits, protected=protected, grid=grid)
        np.testing.assert_allclose(mean, matrix @ values, rtol=RELATIVE, atol=EXACT_MATHS)
        np.testing.assert_allclose(variance, central_moment(matrix, values, 2), rtol=RELATIVE, atol=1e-20)


@pytest.mark.parametrize("encoding", MOMENTS)
def test_means_and_variances_of_ten_bits(enumerated, encoding):
    """A longer word, a quarter of a million pairs of codes with masks times four."""
    matrix, values = enumerated(0.03, 0.2, 10, 1), values_of(10, encoding, "half_step")
    mean, variance = MOMENTS[encoding](np.arange(1024), p01=0.03, p10=0.2, bits=10, protected=1)
    np.testing.assert_allclose(mean, matrix @ values, rtol=RELATIVE, atol=EXACT_MATHS)
    np.testing.assert_allclose(variance, central_moment(matrix, values, 2), rtol=RELATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", MOMENTS)
def test_means_and_variances_of_sixteen_bits(encoding, grid):
    """All 65536 codes against the moments that are exact for any format."""
    fmt, fault = Format(EvenLevels(16, encoding, grid)).protect(3), Asymmetric(0.03, 0.2)
    mean, variance = MOMENTS[encoding](np.arange(2**16), p01=0.03, p10=0.2, bits=16, protected=3, grid=grid)
    np.testing.assert_allclose(mean, read_moments(fmt, fault)[0], rtol=RELATIVE, atol=EXACT_MATHS)
    np.testing.assert_allclose(variance, read_moments(fmt, fault)[1], rtol=RELATIVE)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("bits", [4, 8, 10])
def test_the_drift_without_protection_is_affine(enumerated, bits, grid):
    """Theorem 3.2: -2 p w on the half-step grid, -2 p w - p D on the paper's."""
    values = values_of(bits, "offset_binary", grid)
    drift = enumerated(0.1, 0.1, bits, 0) @ values - values
    np.testing.assert_allclose(closed_forms.mean_drift(values, 0.1, bits, grid=grid), drift, rtol=0, atol=EXACT_MATHS)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("p", [1e-6, 0.05, 0.1, 0.3, 0.49])
def test_shape_in_offset_binary(enumerated, bits, p):
    """Theorems A.11, A.13, A.14 and lemma 4.2 for every code and number of protected bits."""
    codes = np.arange(2**bits)
    for protected in range(bits):
        matrix = enumerated(p, p, bits, protected)
        for grid in GRIDS:
            values = values_of(bits, "offset_binary", grid)
            second, third, fourth = (central_moment(matrix, values, order) for order in (2, 3, 4))
            variance = closed_forms.variance(p, bits, protected=protected, grid=grid)
            np.testing.assert_allclose(second, variance, rtol=RELATIVE)
            skewness = closed_forms.skewness(codes, p, bits, protected=protected)
            np.testing.assert_allclose(third / second**1.5, skewness, rtol=RELATIVE, atol=1e-11)
            kurtosis = closed_forms.excess_kurtosis(p, bits, protected=protected)
            np.testing.assert_allclose(fourth / second**2 - 3, kurtosis, rtol=RELATIVE, atol=1e-11)


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.4])
@pytest.mark.parametrize("protected", [0, 3])
def test_lyapunov_ratio_in_offset_binary(p, protected):
    """Theorem 3.4: the two outcomes of each bit summed one by one."""
    step, bits = quantisation_step(8), range(8 - protected)
    third = sum((step * 2**i) ** 3 * (p * (1 - p) ** 3 + (1 - p) * p**3) for i in bits)
    second = sum((step * 2**i) ** 2 * p * (1 - p) for i in bits)
    assert closed_forms.lyapunov_ratio(p, 8, protected=protected) == pytest.approx(third / second**1.5, rel=RELATIVE)


def test_more_bits_make_no_gaussian():
    """Theorem 3.4: the Lyapunov ratio falls with the bits to its limit, 0.74231 / sqrt(p) for rare errors."""
    ratios = [closed_forms.lyapunov_ratio(0.1, bits) for bits in range(2, 17)]
    assert all(longer < shorter for shorter, longer in pairwise(ratios))
    assert closed_forms.lyapunov_ratio(0.1) == pytest.approx(ratios[-1], rel=1e-8)
    assert closed_forms.lyapunov_ratio(1e-8) * math.sqrt(1e-8) == pytest.approx(0.74231, abs=1e-5)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_share_of_the_top_bits(bits):
    """Proposition A.12: what the top bits bring of the sum of 4**i, and the numbers of theory.md 1.2."""
    for count in range(bits + 1):
        share = sum(4**i for i in range(bits - count, bits)) / sum(4**i for i in range(bits))
        assert closed_forms.top_bits_share(bits, count) == pytest.approx(share, rel=EXACT_MATHS)
    numbers = {2: 0.8, 4: 0.75294, 8: 0.750011}
    assert closed_forms.top_bits_share(bits) == pytest.approx(numbers.get(bits, 0.75), abs=5e-6)


@pytest.mark.parametrize(("p01", "p10"), CHANNELS)
@pytest.mark.parametrize("encoding", ["offset_binary", "twos_complement"])
@pytest.mark.parametrize("protected", [0, 2])
def test_the_product_form_is_the_characteristic_function(enumerated, p01, p10, encoding, protected):
    """Theorem 3.1 and its asymmetric form, against direct sums over the words read and the form for any format."""
    fmt, values = Format(EvenLevels(8, encoding)).protect(protected), values_of(8, encoding, "half_step")
    matrix, frequencies = enumerated(p01, p10, 8, protected), np.array([0.0, 0.3, -7.0, 400.0])
    rates = fmt.rates(Asymmetric(p01, p10))
    for stored in (0, 100, 255):
        product = closed_forms.characteristic_function(
            stored, frequencies, bit_weights=bit_weights(fmt), p01=rates.p01, p10=rates.p10
        )
        expected = np.exp(1j * frequencies[:, np.newaxis] * (values - values[stored])) @ matrix[stored]
        np.testing.assert_allclose(product, expected, rtol=0, atol=EXACT_MATHS)
        exact = exact_characteristic_function(fmt, Asymmetric(p01, p10), stored, frequencies)
        np.testing.assert_allclose(product, exact, rtol=0, atol=EXACT_MATHS)


def test_theorem_3_1_is_the_case_of_equal_bits():
    """In offset binary the weights of the bits are D 2**i."""
    step = quantisation_step(8, "integer")
    np.testing.assert_allclose(
        bit_weights(Format(EvenLevels(8, grid="integer"))), step * 2.0 ** np.arange(8), rtol=EXACT_MATHS
    )


@given(p=st.floats(1e-9, 0.4999), bits=st.integers(2, 16), data=st.data())
@settings(max_examples=100, deadline=None)
def test_protecting_more_never_raises_the_variance(p, bits, data):
    """The variance falls with every protected bit, and lemma 4.2 is its form on the integer grid."""
    protected = data.draw(st.integers(0, bits - 1))
    for grid in GRIDS:
        before, after = closed_forms.variance(p, bits, protected=[protected, protected + 1], grid=grid)
        assert after < before
    lemma = 4 / 3 * p * (1 - p) * (4.0**-protected - 4.0**-bits)
    assert closed_forms.variance(p, bits, protected=protected, grid="integer") == pytest.approx(lemma, rel=RELATIVE)


def test_numbers_of_theory_md():
    """Section 1.2: skewness 1.980 and kurtosis 3.067 at p = 0.1; section 1.5: sigma of an unprotected weight."""
    assert closed_forms.skewness(0, 0.1, 8) == pytest.approx(1.980, abs=6e-4)
    assert closed_forms.excess_kurtosis(0.1, 8) == pytest.approx(3.067, abs=5e-4)
    for p, sigma in ((0.05, 0.2517), (0.1, 0.3464)):
        assert math.sqrt(closed_forms.variance(p, 8, grid="integer")) == pytest.approx(sigma, abs=5e-5)


def test_rare_errors_are_the_least_gaussian():
    """Skewness grows as p**-1/2 and kurtosis as 3 / (5 p) (A.6 of the paper)."""
    assert closed_forms.excess_kurtosis(1e-6, 16) * 1e-6 == pytest.approx(0.6, rel=1e-5)
    ratio = closed_forms.skewness(0, 1e-8, 8) / closed_forms.skewness(0, 1e-6, 8)
    assert ratio == pytest.approx(10, rel=1e-5)


@pytest.fixture(scope="module")
def gaussian():
    """A Gaussian tensor on its quantiles, its largest weight 3.95 standard deviations (the tensor of theory.md 1.4)."""
    quantiles = (torch.arange(16384, dtype=torch.float64) + 0.5) / 16384
    return (torch.special.ndtri(quantiles) / 3.95).clamp(-1, 1)


@pytest.mark.parametrize(
    ("protected", "plain", "paper", "exact"),
    [
        (0, 0.0506, 0.0043, 0.0043),
        (1, 0.0672, 0.1004, 0.0338),
        (2, 0.0290, 0.0689, 0.0144),
        (3, 0.0147, 0.0646, 0.0080),
        (4, 0.0076, 0.0633, 0.0049),
    ],
)
def test_bias_of_the_three_corrections(gaussian, protected, plain, paper, exact):
    """Theory.md 1.4, table at p = 0.1: RMS bias without correction, with the paper's factor, with the exact rule.

    The table's Gaussian tensor was drawn, this one is on its quantiles, so the last digits differ. Without protection
    the corrected bias is that of the weights that are clipped, some 26 of 16384: that number was drawn to 20 per cent.
    """
    fmt, p = Format().protect(protected), 0.1
    stored = (
        (plain, fmt.encode(gaussian)),
        (paper, fmt.encode(gaussian / (1 - 2 * p))),
        (exact, fmt.encode(gaussian, rule="expected", expecting=Uniform(p))),
    )
    for expected, words in stored:
        mean, _ = encoding_forms.offset_binary_moments(words.long().numpy(), p01=p, p10=p, bits=8, protected=protected)
        bias = math.sqrt(float(np.mean((mean - gaussian.numpy()) ** 2)))
        assert bias == pytest.approx(expected, rel=0.03 if protected or expected == plain else 0.2, abs=1e-4)


def test_protection_contracts_towards_the_cell_not_towards_zero():
    """Theory.md 1.4: E = w - 2p (w - c_h), and the paper's factor then makes a bias of 2p c_h."""
    p, bits, protected = 0.1, 8, 2
    codes = np.arange(256)
    weight, size = (2 * codes - 255) / 255, 2 ** (bits - protected)
    centre = (2 * (codes // size * size + (size - 1) / 2) - 255) / 255
    mean, _ = encoding_forms.offset_binary_moments(codes, p01=p, p10=p, bits=bits, protected=protected)
    np.testing.assert_allclose(mean, weight - 2 * p * (weight - centre), atol=EXACT_MATHS)
    np.testing.assert_allclose(mean - (1 - 2 * p) * weight, 2 * p * centre, atol=EXACT_MATHS)


def test_a_forward_only_memory_slides_to_the_negative_rail():
    """Theory.md 3: with p01 = 0, E = (1 - p10) w - p10 in offset binary, a pure factor in two's complement."""
    codes, weights = np.arange(256), np.linspace(-1, 1, 256)
    mean, _ = encoding_forms.offset_binary_moments(codes, p01=0.0, p10=0.1, bits=8)
    np.testing.assert_allclose(mean, 0.9 * weights - 0.1, atol=EXACT_MATHS)
    mean, _ = encoding_forms.twos_complement_moments(codes ^ 128, p01=0.0, p10=0.1, bits=8, grid="integer")
    np.testing.assert_allclose(mean, 0.9 * (codes - 128) / 128, atol=EXACT_MATHS)


@pytest.mark.parametrize("grid", GRIDS)
def test_means_of_a_8(grid):
    """Paper A.8 for symmetric errors: two's complement drifts as offset binary, sign-magnitude twice as fast."""
    p, bits, words = 0.1, 8, np.arange(256)
    step = quantisation_step(bits, grid)
    weight = values_of(bits, "twos_complement", grid)
    mean, _ = encoding_forms.twos_complement_moments(words, p01=p, p10=p, bits=bits, grid=grid)
    np.testing.assert_allclose(mean - weight, closed_forms.mean_drift(weight, p, bits, grid=grid), atol=EXACT_MATHS)
    weight, sign = values_of(bits, "sign_magnitude", grid), np.where(words < 128, 1.0, -1.0)
    offset = 127 if grid == "integer" else 128
    mean, _ = encoding_forms.sign_magnitude_moments(words, p01=p, p10=p, bits=bits, grid=grid)
    expected = (1 - 2 * p) ** 2 * weight + p * (1 - 2 * p) * step * offset * sign
    np.testing.assert_allclose(mean, expected, atol=EXACT_MATHS)


@pytest.mark.parametrize(("p", "protected"), [(0.0, 0), (0.1, 8)])
def test_nothing_that_varies_has_no_shape(p, protected):
    """Without errors, or with every bit protected, all measures of shape are 0, without a warning."""
    assert closed_forms.variance(p, 8, protected=protected) == 0
    assert (closed_forms.skewness([0, 77], p, 8, protected=protected) == 0).all()
    assert closed_forms.excess_kurtosis(p, 8, protected=protected) == 0
    assert closed_forms.lyapunov_ratio(p, 8, protected=protected) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantisation_step(17), "bits must be a whole number from 2 to 16, got 17"),
        (lambda: quantisation_step(8, "half"), "grid must be one of 'half_step', 'integer', got 'half'"),
        (lambda: closed_forms.mean_drift(0.5, 0.5, 8), r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        (lambda: closed_forms.variance(0.1, 8, protected=9), "protected must lie between 0 and 8 bits, got 9"),
        (lambda: closed_forms.variance(0.1, 8, protected=math.nan), "protected must lie between 0 and 8 bits, got nan"),
        (lambda: closed_forms.top_bits_share(8, 9), "count must be a whole number from 0 to 8, got 9"),
        (
            lambda: closed_forms.skewness([0, 256], 0.1, 8),
            r"stored must be whole numbers from 0 to 255, got \[0, 256\]",
        ),
        (lambda: closed_forms.skewness(0.5, 0.1, 8), r"stored must be whole numbers from 0 to 255, got 0\.5"),
        (
            lambda: closed_forms.excess_kurtosis(0.1, 8, protected=9),
            "protected must be a whole number from 0 to 8, got 9",
        ),
        (
            lambda: encoding_forms.offset_binary_moments(0, p01=0.1, p10=0.7, bits=8),
            r"p10 must be a flip probability in \[0, 0\.5\), got 0\.7",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    """Each names the argument, what is allowed and what was given."""
    with pytest.raises(ArgumentError, match=message):
        call()


def test_every_encoding_but_gray_has_a_closed_form():
    """A new encoding asks for its closed form here, or for a reason why it has none (Gray: bits act together)."""
    assert set(ENCODINGS) - set(MOMENTS) == {"gray"}
