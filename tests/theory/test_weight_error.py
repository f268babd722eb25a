"""The law of the weight error against enumeration of every stored word with every error mask."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, FaultModel, MultiLevel, PerBit, Uniform
from qtaml.formats import ENCODINGS, GRIDS, EvenLevels, Format, central_moments, read_moments
from qtaml.theory import characteristic_function, error_distribution, excess_kurtosis, skewness
from qtaml.theory.paper import bit_weights, lyapunov_ratio, variance_shares
from tests.theory.enumeration import central_moment, share_of_bit, transitions_of, values_of
from tests.tolerances import EXACT_MATHS

RELATIVE = 1e-9
"""What the issue asks of every formula; where a number may be 0, `EXACT_MATHS` is the absolute tolerance."""

LEAK = ((1.0, 0.0, 0.0, 0.0), (0.125, 0.875, 0.0, 0.0), (0.0, 0.0625, 0.1875, 0.75), (1 / 64, 11 / 64, 11 / 16, 1 / 8))
"""A two-bit cell whose bits fail together, in binary fractions: its rows sum to 1 without rounding."""

FAULTS: dict[str, FaultModel] = {
    "symmetric": Uniform(0.1),
    "rare": Uniform(1e-7),
    "asymmetric": Asymmetric(0.03, 0.2),
    "forward only": Asymmetric(0.0, 0.1),
    "per bit": PerBit((0.3, 0.0, 0.1, 0.2, 0.05, 0.01, 0.4, 0.02), (0.1, 0.2, 0.0, 0.3, 0.01, 0.05, 0.02, 0.4)),
    "two-bit cells": MultiLevel((LEAK,)),
}

FORMATS = [(encoding, grid) for encoding in ENCODINGS for grid in GRIDS]
ADDITIVE = [(encoding, grid) for encoding, grid in FORMATS if encoding in ("offset_binary", "twos_complement")]


def cases(formats, faults=tuple(FAULTS)):
    """Every format with every fault model named, without protection, with two and with all bits protected."""
    return pytest.mark.parametrize(
        ("fmt", "fault"),
        [
            pytest.param(
                Format(EvenLevels(8, encoding, grid)).protect(protected),
                FAULTS[name],
                id=f"{encoding}-{grid}-{name}-{protected}",
            )
            for encoding, grid in formats
            for name in faults
            for protected in (0, 2, 8)
        ],
    )


_MATRICES: dict[tuple[Format, FaultModel], np.ndarray] = {}


def reference(fmt: Format, fault: FaultModel) -> tuple[np.ndarray, np.ndarray]:
    """Enumerated transition matrix (kept, as grids and encodings share it) and textbook values of a format."""
    key = (Format(EvenLevels(fmt.bits), fmt.protections), fault)
    if key not in _MATRICES:
        _MATRICES[key] = transitions_of(fmt.law(fault))
    return _MATRICES[key], values_of(fmt.bits, fmt.levels.encoding, fmt.levels.grid)


def as_table(values: np.ndarray, probabilities: np.ndarray) -> dict[float, float]:
    """Probability of each value, values that differ by rounding taken together."""
    table: dict[float, float] = {}
    for value, probability in zip(values.round(9), probabilities, strict=True):
        if probability > 0:
            table[value + 0.0] = table.get(value + 0.0, 0.0) + probability
    return table


@cases(FORMATS)
def test_distributions_equal_the_enumeration(fmt, fault):
    """Values and probabilities of the error, for stored words all over the range."""
    matrix, table = reference(fmt, fault)
    for stored in (0, 1, 100, 127, 128, 200, 255):
        values, probabilities = error_distribution(fmt, fault, stored)
        assert (np.diff(values) > 0).all()
        assert as_table(values, probabilities) == pytest.approx(
            as_table(table - table[stored], matrix[stored]), rel=RELATIVE
        )


def test_equal_values_are_merged():
    """Sign-magnitude on the integer grid holds zero twice: one error value has the probability of both words."""
    values, probabilities = error_distribution(
        Format(EvenLevels(4, "sign_magnitude", "integer")), Uniform(0.1), stored=0
    )
    assert len(values) == 15
    assert probabilities[values == 0].item() == pytest.approx(0.9**3)


@cases(FORMATS)
def test_shapes_equal_the_enumeration(fmt, fault):
    """Skewness and excess kurtosis of every stored word; 0 where nothing varies."""
    matrix, values = reference(fmt, fault)
    variance = central_moment(matrix, values, 2)
    varies = variance > 0
    assert (read_moments(fmt, fault)[1] > 0).tolist() == varies.tolist()
    for exact, order, normal in ((skewness(fmt, fault), 3, 0), (excess_kurtosis(fmt, fault), 4, 3)):
        expected = central_moment(matrix, values, order)[varies] / variance[varies] ** (order / 2) - normal
        np.testing.assert_allclose(exact[varies], expected, rtol=RELATIVE, atol=1e-9)
        assert (exact[~varies] == 0).all()


@cases(FORMATS)
def test_shares_equal_the_enumeration(fmt, fault):
    """The first-order share of every bit for every stored word; 0 where nothing varies."""
    matrix, values = reference(fmt, fault)
    shares = variance_shares(fmt, fault)
    varies = read_moments(fmt, fault)[1] > 0
    assert shares.shape == (256, 8)
    assert (shares[~varies] == 0).all()
    for bit in range(fmt.bits if varies.any() else 0):
        expected = share_of_bit(matrix, values, bit)[varies]
        np.testing.assert_allclose(shares[varies, bit], expected, rtol=RELATIVE, atol=EXACT_MATHS)


@cases(ADDITIVE, [name for name in FAULTS if name != "two-bit cells"])
def test_shares_of_independent_bits_sum_to_one(fmt, fault):
    """Where the value is a sum over independent bits, each share is beta**2 times the variance of the bit."""
    shares, varies = variance_shares(fmt, fault), read_moments(fmt, fault)[1] > 0
    np.testing.assert_allclose(shares.sum(1)[varies], 1, rtol=EXACT_MATHS)
    rates, words = fmt.rates(fault), np.arange(256)
    for bit, weight in enumerate(bit_weights(fmt)):
        p = np.where(words >> bit & 1, rates.p10[bit], rates.p01[bit])
        own = weight**2 * p * (1 - p)
        np.testing.assert_allclose((shares[:, bit] * read_moments(fmt, fault)[1])[varies], own[varies], rtol=RELATIVE)


def test_shares_of_bits_that_act_together_leave_a_rest():
    """In sign-magnitude the sign multiplies the magnitude: the single bits do not explain everything."""
    total = variance_shares(Format(EvenLevels(encoding="sign_magnitude")), Uniform(0.1)).sum(1)
    assert (total < 1).all()
    assert total.min() < 0.95


@cases(ADDITIVE)
def test_lyapunov_ratios_equal_the_enumeration(fmt, fault):
    """Third absolute central moments of each independent part by direct sums, over the enumerated variance."""
    matrix, values = reference(fmt, fault)
    law, variance = fmt.law(fault), central_moment(matrix, values, 2)
    ratios = lyapunov_ratio(fmt, fault)
    for stored in range(0, 256, 17):
        third, start = 0.0, 0
        for group in law.groups:
            part = len(group) - 1
            others = stored & ~(part << start)
            of_part = np.array([values[others | state << start] for state in range(len(group))])
            chances = group[stored >> start & part]
            third += float(chances @ np.abs(of_part - chances @ of_part) ** 3)
            start += part.bit_length()
        expected = third / variance[stored] ** 1.5 if variance[stored] > 0 else 0.0
        assert ratios[stored] == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("encoding", ["sign_magnitude", "gray"])
def test_values_that_are_no_sum_over_bits_are_refused(encoding):
    """The Lyapunov ratio and the weights of bits ask for a sum."""
    for refused in (
        lambda: bit_weights(Format(EvenLevels(encoding=encoding))),
        lambda: lyapunov_ratio(Format(EvenLevels(encoding=encoding)), Uniform(0.1)),
    ):
        with pytest.raises(ArgumentError, match=f"must be a sum over the bits, .* got .*{encoding}"):
            refused()


@pytest.mark.parametrize(("encoding", "grid"), FORMATS)
@pytest.mark.parametrize("name", ["asymmetric", "two-bit cells"])
def test_characteristic_functions_equal_the_enumeration(encoding, grid, name):
    """E[exp(i t error)] by a direct sum over the words read, at slow and fast frequencies."""
    fmt = Format(EvenLevels(8, encoding, grid)).protect(2)
    matrix, table = reference(fmt, FAULTS[name])
    frequencies = np.array([[-3.0, 0.0, 0.01], [2.0, 50.0, 1000.0]])
    for stored in (0, 77, 255):
        expected = np.exp(1j * frequencies[..., np.newaxis] * (table - table[stored])) @ matrix[stored]
        found = characteristic_function(fmt, FAULTS[name], stored, frequencies)
        np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT_MATHS)


@st.composite
def laws(draw: st.DrawFn) -> tuple[Format, FaultModel]:
    """Any format of 2 to 16 bits with some top bits protected, and rates for each bit and direction."""
    bits = draw(st.integers(2, 16))
    rates = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 0.499)), min_size=bits, max_size=bits)
    fmt = Format(EvenLevels(bits, draw(st.sampled_from(ENCODINGS)), draw(st.sampled_from(GRIDS))))
    return fmt.protect(draw(st.integers(0, bits))), PerBit(tuple(draw(rates)), tuple(draw(rates)))


@pytest.mark.slow
@given(law=laws(), place=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_distribution_has_the_exact_moments(law, place):
    """Any PMF sums to 1, and its moments are those that `read_moments` gives for every word at once."""
    fmt, fault = law
    stored = int(place * (2**fmt.bits - 1))
    values, probabilities = error_distribution(fmt, fault, stored)
    mean, variance, third, fourth = (moment[stored] for moment in read_moments(fmt, fault))
    assert probabilities.sum() == pytest.approx(1, rel=EXACT_MATHS)
    error = probabilities @ values
    assert error == pytest.approx(mean - fmt.readout()[stored], rel=RELATIVE, abs=EXACT_MATHS)
    for moment, order in ((variance, 2), (third, 3), (fourth, 4)):
        assert probabilities @ (values - error) ** order == pytest.approx(moment, rel=RELATIVE, abs=EXACT_MATHS)


@pytest.mark.slow
@given(law=laws(), place=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_characteristic_function_begins_at_one_with_the_slope_of_the_mean(law, place):
    """It is 1 at 0, never above 1, and its derivative at 0 is i times the mean error."""
    fmt, fault = law
    stored, t = int(place * (2**fmt.bits - 1)), 1e-4
    at_zero, ahead, behind, far = characteristic_function(fmt, fault, stored, [0.0, t, -t, 30.0])
    assert at_zero == pytest.approx(1, rel=EXACT_MATHS)
    assert abs(far) <= 1 + EXACT_MATHS
    mean = read_moments(fmt, fault)[0][stored] - fmt.readout()[stored]
    # The central difference is off by at most t**2 / 6 times the third moment, at most 8; rounding is 1e-16 / t.
    assert (ahead - behind) / (2 * t) == pytest.approx(1j * mean, abs=8 / 6 * t**2 + 1e-11)


@pytest.mark.slow
@given(law=laws())
@settings(max_examples=30, deadline=None)
def test_shares_are_shares(law):
    """For independent bits every share lies in [0, 1], and all together at most 1."""
    fmt, fault = law
    shares = variance_shares(fmt, fault)
    assert shares.min() >= 0
    assert shares.sum(1).max() <= 1 + 1e-9


@pytest.mark.slow
@given(law=laws())
@settings(max_examples=40, deadline=None)
def test_protecting_one_bit_more_never_raises_the_variance(law):
    """For any format and rates, of every stored word."""
    fmt, fault = law
    more = min(fmt.protected_bits + 1, fmt.bits)
    before, after = read_moments(fmt, fault)[1], read_moments(fmt.protect(more), fault)[1]
    assert (after <= before + EXACT_MATHS).all()


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "grid"), FORMATS)
def test_sixteen_bits_by_direct_sums(encoding, grid):
    """Spot checks of long words: bit rates multiplied one by one, moments summed over all 65536 words read."""
    fmt, stored, words = Format(EvenLevels(16, encoding, grid)).protect(1), 51234, np.arange(2**16)
    table, chances = values_of(16, encoding, grid), np.ones(2**16)
    for bit in range(15):
        p = 0.2 if stored >> bit & 1 else 0.03
        chances *= np.where((words ^ stored) >> bit & 1, p, 1 - p)
    chances *= (words ^ stored) >> 15 == 0
    mean = chances @ table
    second, third, fourth = (chances @ (table - mean) ** order for order in (2, 3, 4))
    fault = Asymmetric(0.03, 0.2)
    assert skewness(fmt, fault)[stored] == pytest.approx(third / second**1.5, rel=RELATIVE)
    assert excess_kurtosis(fmt, fault)[stored] == pytest.approx(fourth / second**2 - 3, rel=RELATIVE)
    values, probabilities = error_distribution(fmt, fault, stored)
    assert probabilities @ values == pytest.approx(mean - table[stored], rel=RELATIVE)
    row = chances[np.newaxis]
    shares = variance_shares(fmt, fault)[stored]
    for bit in (0, 7, 14, 15):
        read_one = (words >> bit & 1).astype(bool)
        one = float(chances[read_one].sum())
        explained = 0.0
        if 0 < one < 1:
            means = [float(row[0, part] @ table[part]) / float(chances[part].sum()) for part in (~read_one, read_one)]
            explained = one * (1 - one) * (means[1] - means[0]) ** 2
        assert shares[bit] == pytest.approx(explained / second, rel=RELATIVE, abs=EXACT_MATHS)


@pytest.mark.parametrize("fault", [Uniform(0.0), PerBit((0.0,) * 8), MultiLevel((((1.0, 0.0), (0.0, 1.0)),))])
@pytest.mark.parametrize("protected", [0, 8])
def test_memories_without_errors_have_no_shape(fault, protected):
    """One certain error value, and 0 for every measure of shape, without a warning."""
    fmt = Format().protect(protected)
    assert [part.tolist() for part in error_distribution(fmt, fault, 9)] == [[0.0], [1.0]]
    assert characteristic_function(fmt, fault, 9, 5.0).item() == 1
    for measure in (skewness, excess_kurtosis, lyapunov_ratio, variance_shares):
        assert (measure(fmt, fault) == 0).all()


def test_hardly_any_errors_do_not_underflow():
    """At p = 1e-200 the variance to the power 3/2 is below the smallest float, its skewness p**-1/2 is not."""
    fmt, p = Format(EvenLevels(4)), 1e-200
    middle = 8 ** np.arange(4.0) @ np.ones(4) / (85.0) ** 1.5
    assert skewness(fmt, Uniform(p))[0] == pytest.approx(middle / math.sqrt(p), rel=RELATIVE)
    assert excess_kurtosis(fmt, Uniform(p))[0] == pytest.approx(0.6 * 257 / 255 / p, rel=RELATIVE)
    assert lyapunov_ratio(fmt, Uniform(p))[0] == pytest.approx(middle / math.sqrt(p), rel=RELATIVE)
    assert np.isposinf(excess_kurtosis(fmt, Uniform(1e-309))[0])


@pytest.mark.parametrize("stored", [-1, 256])
def test_labels_out_of_range_are_refused(stored):
    """A label must be a word of the format."""
    with pytest.raises(ArgumentError, match=f"stored must be a whole number from 0 to 255, got {stored}"):
        error_distribution(Format(), Uniform(0.1), stored)


def test_the_comparison_can_fail():
    """The enumeration tells a wrong law from the right one: one bit of another rate, one value of another encoding."""
    matrix, values = reference(Format(), FAULTS["per bit"])
    other = central_moments(values, Format().law(PerBit((0.3, 0.0, 0.1, 0.2, 0.05, 0.01, 0.4, 0.03))))
    assert not np.allclose(other[1], central_moment(matrix, values, 2), rtol=RELATIVE)
    assert not np.allclose(values, values_of(8, "twos_complement", "half_step"))
