"""The law of a weight of several words, against the enumeration of everything that can be read."""

from itertools import product

import numpy as np
import pytest

from qtaml.checkpoints.fields import Field, Product, Sum, in_a_row
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw
from qtaml.checkpoints.unit_format import UnitFormat, combined
from qtaml.checkpoints.word_law import drift_and_variance, finite_words

SHAPES = {
    "product": Product(("scale", "codes", "minimum")),
    "sum": Sum((Product(("scale", "codes")), "minimum")),
    "difference inside": Product(("scale", Sum(("codes", "minimum")))),
}


def _unit(value):
    generator = np.random.default_rng(3)
    names = ("scale", "codes", "minimum")
    fields = tuple(
        Field(
            name,
            "look-up",
            in_a_row(place, 1, 2),
            generator.normal(1, 1, (1, 4)),
            np.zeros(1, dtype=np.int64),
        )
        for place, name in enumerate(names)
    )
    return UnitFormat("three words", 1, fields, value, lambda parts: np.zeros((1, 1), np.float32))


def _whole(field):
    return UnitFormat("one word", 1, (field,), field.name, lambda parts: np.zeros((1, 1), np.float32))


def _rates():
    generator = np.random.default_rng(4)
    return {name: tuple(map(tuple, generator.uniform(0, 0.4, (2, 2)))) for name in ("scale", "codes", "minimum")}


def _chance(stored, read, rates):
    chance = 1.0
    for bit, both in enumerate(rates):
        rate = both[stored >> bit & 1]
        chance *= rate if (stored ^ read) >> bit & 1 else 1 - rate
    return chance


def _enumerated(unit, words, rates):
    """Mean error and mean squared error of the weight, over all 64 combinations of words read."""
    level = {field.name: field.levels[0] for field in unit.fields}
    stored = combined(unit.value, {name: level[name][word] for name, word in words.items()})
    drift = square = 0.0
    for read in product(range(4), repeat=3):
        chance = np.prod([_chance(words[name], one, rates[name]) for name, one in zip(words, read, strict=True)])
        error = combined(unit.value, {name: level[name][one] for name, one in zip(words, read, strict=True)}) - stored
        drift, square = drift + chance * error, square + chance * error**2
    return drift, square


@pytest.mark.parametrize("shape", SHAPES)
def test_moments_of_a_weight_are_those_of_the_enumeration(shape):
    """Mean and mean square of the error."""
    unit, rates, words = _unit(SHAPES[shape]), _rates(), {"scale": 2, "codes": 1, "minimum": 3}
    law = TensorLaw(unit, {name: np.array([[word]]) for name, word in words.items()}, "clamp")
    found = law.moments([FieldReads(rates[field.name]) for field in unit.fields])
    expected = _enumerated(unit, words, rates)
    assert [found.drift.item(), found.error.item()] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["scale", "codes", "minimum"])
def test_the_effect_of_a_bit_is_that_of_the_enumeration(shape, name):
    """What the error gains from a bit that is always wrong over one that is never, beside the errors of the others."""
    unit, rates, words = _unit(SHAPES[shape]), _rates(), {"scale": 2, "codes": 1, "minimum": 3}
    law = TensorLaw(unit, {key: np.array([[word]]) for key, word in words.items()}, "clamp")
    reads = [FieldReads(rates[field.name]) for field in unit.fields]
    harms = law.harms(reads)[list(words).index(name)]
    for bit, effect in enumerate(next(effects for field, effects in law.effects(reads) if field.name == name)):
        never, always = (
            {**rates, name: tuple((rate, rate) if place == bit else both for place, both in enumerate(rates[name]))}
            for rate in (0.0, 1.0)
        )
        expected = _enumerated(unit, words, always)[1] - _enumerated(unit, words, never)[1]
        assert effect.item() == pytest.approx(expected, rel=1e-11)
        stored = words[name] >> bit & 1
        assert harms[bit].tolist() == [pytest.approx(expected * (stored == value), rel=1e-11) for value in (0, 1)]


def test_drift_keeps_its_digits_where_errors_are_rare():
    """A drift of 1e-15 beside values of 1."""
    drift, variance = drift_and_variance(np.array([[1.0, 1.5]]), ((1e-15, 1e-15),))
    assert drift.tolist() == pytest.approx(np.array([[5e-16, -5e-16]]), rel=1e-12)
    assert variance.tolist() == pytest.approx(np.array([[2.5e-16, 2.5e-16]]), rel=1e-12)


def test_float_words_follow_the_rule_for_numbers_that_are_not_finite():
    """Infinity is the largest number of its sign or 0, and NaN is 0; the moments know it too."""
    field = Field("scale", "fp16", in_a_row(0, 1, 16), None, np.zeros(1, dtype=np.int64))
    words = np.array([[0x7C00], [0xFC00], [0x7E00], [0x3C00]])
    assert finite_words(field, words, "clamp").ravel().tolist() == [0x7BFF, 0xFBFF, 0, 0x3C00]
    assert finite_words(field, words, "zero").ravel().tolist() == [0, 0x8000, 0, 0x3C00]
    assert finite_words(field, words, "keep") is words
    # 1.75 with exponent 15: the flip of the top bit of the exponent gives NaN, which is read as 0.
    rates = (*((0.0, 0.0),) * 14, (1.0, 1.0), (0.0, 0.0))
    law = TensorLaw(_whole(field), {"scale": np.array([[0x3F00]])}, "clamp")
    assert law.moments([FieldReads(rates)]).drift.item() == -1.75
