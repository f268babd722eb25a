"""The law of the weight error by its public name, against enumeration of every stored word with every error mask."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import ENCODINGS, GRIDS, EvenLevels, Format, quantisation_step
from qtaml.theory import ErrorLaw, excess_kurtosis
from qtaml.theory.paper import closed_forms
from tests.reference.enumeration import enumerated_transitions
from tests.theory.enumeration import central_moment, values_of
from tests.tolerances import EXACT_MATHS

RELATIVE = 1e-9

PER_BIT_01 = (0.3, 0.0, 0.1, 0.2, 0.05, 0.01, 0.4, 0.02)
PER_BIT_10 = (0.1, 0.2, 0.0, 0.5, 0.01, 0.05, 0.02, 0.4)


def rates_of(kind: str, bits: int) -> dict:
    """Arguments of `ErrorLaw`."""
    return {
        "symmetric": {"p": 0.1},
        "half": {"p": 0.5},
        "per bit": {"p": PER_BIT_01[:bits]},
        "asymmetric": {"p01": 0.03, "p10": 0.2},
        "forward only": {"p01": 0.0, "p10": 0.5},
        "asymmetric per bit": {"p01": PER_BIT_01[:bits], "p10": np.array(PER_BIT_10[:bits])},
        "mixed": {"p01": 0.1, "p10": list(PER_BIT_10[:bits])},
    }[kind]


KINDS = ("symmetric", "half", "per bit", "asymmetric", "forward only", "asymmetric per bit", "mixed")


def reference(law: ErrorLaw) -> tuple[np.ndarray, np.ndarray]:
    """Enumerated transition matrix, and the value of each word in steps, both without `ErrorLaw`'s own code."""
    raw = [np.zeros(law.bits) + given for given in ((law.p, law.p) if law.p is not None else (law.p01, law.p10))]
    left = [np.where(np.arange(law.bits) < law.bits - law.protected, rates, 0.0) for rates in raw]
    levels = law.levels if isinstance(law.levels, EvenLevels) else EvenLevels(law.levels)
    step = quantisation_step(levels.bits, levels.grid)
    matrix = enumerated(*(tuple(rates.tolist()) for rates in left))
    return matrix, values_of(levels.bits, levels.encoding, levels.grid) / step


@lru_cache
def enumerated(p01: tuple[float, ...], p10: tuple[float, ...]) -> np.ndarray:
    """Each transition matrix is made once: all labels share it."""
    return enumerated_transitions(p01, p10)


@pytest.mark.parametrize("labels", ENCODINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("bits", "protected"), [(4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (8, 0), (8, 1), (8, 3), (8, 8)]
)
def test_all_measures_equal_the_enumeration(labels, kind, bits, protected):
    """Mean, variance, skewness and kurtosis of every word; distributions of some; grids in turn."""
    law = ErrorLaw(EvenLevels(bits, labels, GRIDS[protected % 2]), protected=protected, **rates_of(kind, bits))
    matrix, values = reference(law)
    words = np.arange(2**bits)
    np.testing.assert_allclose(law.mean(words), matrix @ values - values, rtol=RELATIVE, atol=2**bits * EXACT_MATHS)
    second, third, fourth = (central_moment(matrix, values, order) for order in (2, 3, 4))
    np.testing.assert_allclose(law.variance(words), second, rtol=RELATIVE, atol=EXACT_MATHS)
    spread = np.where(second > 0, second, 1.0)
    np.testing.assert_allclose(law.skewness(words), third / spread**1.5, rtol=RELATIVE, atol=1e-11)
    excess = np.where(second > 0, fourth / spread**2 - 3, 0.0)
    np.testing.assert_allclose(law.kurtosis(words), excess, rtol=RELATIVE, atol=1e-11)
    for word in range(0, 2**bits, 2**bits // 4 - 1):
        errors, chances = law.pmf(word)
        expected = {}
        for error, chance in zip((values - values[word]).round(6), matrix[word], strict=True):
            if chance > 0:
                expected[error] = expected.get(error, 0.0) + chance
        assert errors.tolist() == sorted(expected)
        np.testing.assert_allclose(chances, [expected[error] for error in sorted(expected)], rtol=RELATIVE)


probabilities = st.floats(0.0, 0.5)


@st.composite
def laws(draw):
    """Any law: 2 to 16 bits, any labels, any grid, one probability or one for each bit, any protection."""
    bits = draw(st.integers(2, 16))
    given = st.one_of(probabilities, st.lists(probabilities, min_size=bits, max_size=bits))
    rates = {"p": draw(given)} if draw(st.booleans()) else {"p01": draw(given), "p10": draw(given)}
    labels, grid = draw(st.sampled_from(ENCODINGS)), draw(st.sampled_from(GRIDS))
    return ErrorLaw(EvenLevels(bits, labels, grid), protected=draw(st.integers(0, bits)), **rates)


@pytest.mark.slow
@given(law=laws(), place=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_distributions_sum_to_one_and_have_the_moments(law, place):
    """Of any stored word, over p in [0, 1/2] with both ends."""
    word = int(place * (2**law.bits - 1))
    errors, chances = law.pmf(word)
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    assert (np.diff(errors) > 0).all()
    drift = chances @ errors
    assert law.mean(word) == pytest.approx(drift, rel=RELATIVE, abs=2**law.bits * 1e-13)
    second, third, fourth = (float(chances @ (errors - drift) ** order) for order in (2, 3, 4))
    # Sums of squares of up to 2**bits steps lose what lies 16 digits below; moments of hardly any error are apart.
    assert law.variance(word) == pytest.approx(second, rel=RELATIVE, abs=1e-20)
    if second > 1e-12:
        assert law.skewness(word) == pytest.approx(third / second**1.5, rel=1e-7, abs=1e-7)
        assert law.kurtosis(word) == pytest.approx(fourth / second**2 - 3, rel=1e-7, abs=1e-7)


@pytest.mark.slow
@given(law=laws(), more=st.integers(1, 16))
@settings(max_examples=30, deadline=None)
def test_protecting_more_bits_never_raises_the_variance(law, more):
    """Of every stored word and for all four labels.

    Given the top bits as read, the variance of the rest does not depend on them: the value of the rest is moved
    (offset binary, two's complement) or mirrored (sign-magnitude, Gray) by them. The law of total variance does the
    rest. Labels of which this is not true could gain variance by protection.
    """
    words = np.arange(2**law.bits)
    after = replace(law, protected=min(law.protected + more, law.bits)).variance(words)
    assert (after <= law.variance(words) * (1 + 1e-12)).all()
    assert (replace(law, protected=law.bits).variance(words[-1:]) == 0).all()


@pytest.mark.slow
@given(p=probabilities, bits=st.integers(2, 16), place=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_closed_forms_of_the_paper_hold_up_to_one_half(p, bits, place):
    """Offset binary: mean -2 p w, variance p (1 - p) (4**B - 1) / 3 for every word."""
    law, word = ErrorLaw(bits, p), int(place * (2**bits - 1))
    # Products with the smallest of floats lose digits, here as in the closed form.
    assert law.mean(word) == pytest.approx(-2 * p * (word - (2**bits - 1) / 2), rel=RELATIVE, abs=1e-300)
    assert law.variance(word) == pytest.approx(p * (1 - p) * (4**bits - 1) / 3, rel=RELATIVE, abs=1e-300)


def test_a_forgotten_memory_is_uniform():
    """At p = 1/2 every word is read as often as any other, whatever is stored and however it is labelled."""
    for labels in ENCODINGS:
        errors, chances = ErrorLaw(EvenLevels(6, labels), 0.5).pmf(11)
        assert (len(errors), set(chances)) == (64, {1 / 64})


def test_hardly_any_errors_keep_their_digits():
    """At p = 1e-300 drift and variance are not lost beside the value of the weight."""
    law = ErrorLaw(8, 1e-300)
    assert law.mean(255) == pytest.approx(-255e-300, rel=RELATIVE)
    assert law.variance(255) == pytest.approx(21845e-300, rel=RELATIVE)
    assert law.kurtosis(255) == pytest.approx(0.6 * 65537 / 65535 / 1e-300, rel=RELATIVE)


def test_it_agrees_with_the_law_of_a_fault_model():
    """`excess_kurtosis` of the same format under the same faults, and the closed form."""
    fmt = Format(EvenLevels(8, "gray", "half_step")).protect(2)
    ours = ErrorLaw(EvenLevels(8, "gray"), 0.1, protected=2).kurtosis(np.arange(256))
    np.testing.assert_allclose(ours, excess_kurtosis(fmt, Uniform(0.1)), rtol=RELATIVE)
    assert ErrorLaw(8, 0.1, protected=2).kurtosis(9) == pytest.approx(
        closed_forms.excess_kurtosis(0.1, 8, protected=2), rel=RELATIVE
    )


def test_words_give_back_their_own_shape():
    """A float for an integer of Python or NumPy, an array for a list or an array."""
    law = ErrorLaw(4, 0.1)
    for measure in (law.mean, law.variance, law.skewness, law.kurtosis):
        assert isinstance(measure(3), float)
        assert isinstance(measure(np.uint8(3)), float)
        assert measure([3]).tolist() == [measure(3)]
        assert measure(np.array([[3, 4, 5]])).shape == (1, 3)


def test_laws_are_values():
    """Equal and hashable whatever the probabilities came as; reading one leaves it unchanged."""
    first, second = ErrorLaw(2, [0.1, 0.2]), ErrorLaw(2, np.array([0.1, 0.2]))
    first.mean(0)
    assert first == second
    assert hash(first) == hash(second)
    assert replace(first, protected=1).p == (0.1, 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 1, "p": 0.1}, "bits must be a whole number from 2 to 16, got 1"),
        ({"levels": 17, "p": 0.1}, "bits must be a whole number from 2 to 16, got 17"),
        ({"p": 0.6}, r"p must be a probability in \[0, 0.5\], got 0.6"),
        ({"p": -0.1}, r"p must be a probability in \[0, 0.5\], got -0.1"),
        ({"p": float("nan")}, "p must be finite, got nan"),
        ({"p": "0.1"}, "p must be a number, got '0.1'"),
        ({"p": [0.1] * 3}, r"p must be one probability, or one for each of 8 bits, got \[0.1, 0.1, 0.1\]"),
        ({"p": [0.1] * 7 + [0.7]}, r"p\[7\] must be a probability in \[0, 0.5\], got 0.7"),
        ({}, "give either p, or both p01 and p10; got none of them"),
        ({"p01": 0.1}, "give either p, or both p01 and p10; got p01"),
        ({"p": 0.1, "p10": 0.1}, "give either p, or both p01 and p10; got p and p10"),
        ({"p01": 0.1, "p10": 0.6}, r"p10 must be a probability in \[0, 0.5\], got 0.6"),
        ({"p": 0.1, "protected": 9}, "protected must be a whole number from 0 to 8, got 9"),
    ],
)
def test_bad_laws_are_refused(arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        ErrorLaw(**{"levels": 8, **arguments})


@pytest.mark.parametrize(
    ("word", "allowed"),
    [*((word, "whole numbers from 0 to 255") for word in (-1, 256, 1.5, [0, 256])), (True, "numbers")],
)
def test_words_out_of_range_are_refused(word, allowed):
    """By every measure."""
    law = ErrorLaw(8, 0.1)
    for measure in (law.pmf, law.mean, law.variance, law.skewness, law.kurtosis):
        with pytest.raises(ArgumentError, match=f"word must be {allowed}"):
            measure(word)


def test_distributions_of_several_words_share_their_errors():
    """An array of words gives one row of probabilities for each, over the errors of any of them."""
    law = ErrorLaw(EvenLevels(4, "gray"), 0.2, protected=1)
    words = np.array([[0, 3], [9, 15]])
    values, probabilities = law.pmf(words)
    assert probabilities.shape == (2, 2, len(values))
    for place in np.ndindex(2, 2):
        single, expected = law.pmf(int(words[place]))
        assert set(single) <= set(values)
        assert probabilities[place][np.isin(values, single)] == pytest.approx(expected)
        assert probabilities[place].sum() == pytest.approx(1)
    with pytest.raises(ArgumentError, match="word must"):
        law.pmf(np.array([0, 16]))
