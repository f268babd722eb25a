"""Levels and labels of every encoding, grid and number of bits."""

import numpy as np
import pytest

from qtaml.formats import ENCODINGS, GRIDS, EvenLevels
from tests.tolerances import ROUNDING

EVERY_BITS = range(2, 17)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", EVERY_BITS)
def test_labels_are_a_permutation(bits: int, encoding: str) -> None:
    """Every word is the label of exactly one level."""
    assert sorted(EvenLevels(bits, encoding).storable()) == list(range(2**bits))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", EVERY_BITS)
def test_half_step_grid_is_symmetric_about_zero(bits: int, encoding: str) -> None:
    """From -1 to 1 in equal steps of 2/(2**bits - 1); zero lies half a step from the two middle levels."""
    values = EvenLevels(bits, encoding, "half_step").values()
    step = 2 / (2**bits - 1)
    assert (values[0], values[-1]) == (-1.0, 1.0)
    np.testing.assert_allclose(np.diff(values), step, atol=ROUNDING)
    np.testing.assert_array_equal(values, -values[::-1])
    assert values[2 ** (bits - 1)] == pytest.approx(step / 2, abs=ROUNDING)


@pytest.mark.parametrize("encoding", ["offset_binary", "twos_complement", "gray"])
@pytest.mark.parametrize("bits", EVERY_BITS)
def test_integer_grid_is_that_of_the_paper(bits: int, encoding: str) -> None:
    """From -1 to 1 - step in equal steps of 2/2**bits, all exact binary fractions, zero among them."""
    values = EvenLevels(bits, encoding, "integer").values()
    step = 2.0 ** (1 - bits)
    assert (values[0], values[-1]) == (-1.0, 1.0 - step)
    np.testing.assert_array_equal(np.diff(values), step)
    assert values[2 ** (bits - 1)] == 0.0


@pytest.mark.parametrize("bits", EVERY_BITS)
def test_integer_grid_of_sign_magnitude_holds_zero_twice(bits: int) -> None:
    """From -(1 - step) to 1 - step; the two middle levels are zero with either sign."""
    values = EvenLevels(bits, "sign_magnitude", "integer").values()
    step, half = 2.0 ** (1 - bits), 2 ** (bits - 1)
    assert (values[0], values[-1]) == (step - 1.0, 1.0 - step)
    assert values[half - 1] == values[half] == 0.0
    np.testing.assert_array_equal(np.delete(np.diff(values), half - 1), step)
    np.testing.assert_array_equal(EvenLevels(bits, "sign_magnitude").storable()[half - 1 : half + 1], [half, 0])


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", EVERY_BITS)
def test_levels_ascend(bits: int, encoding: str, grid: str) -> None:
    """A level is never below its predecessor, and above it except between the two zeros of sign-magnitude."""
    steps = np.diff(EvenLevels(bits, encoding, grid).values())
    assert (steps >= 0).all()
    assert (steps == 0).sum() == (encoding == "sign_magnitude" and grid == "integer")


@pytest.mark.parametrize("bits", EVERY_BITS)
def test_labels_by_their_bits(bits: int) -> None:
    """What the words of each encoding mean, bit by bit."""
    number = np.arange(2**bits)
    signed = number - 2 ** (bits - 1)
    weight = 2 ** np.arange(bits)

    def digits(encoding: str) -> np.ndarray:
        return EvenLevels(bits, encoding).storable()[:, np.newaxis] >> np.arange(bits) & 1

    np.testing.assert_array_equal(digits("offset_binary") @ weight, number)
    # The most significant bit of two's complement counts negative.
    np.testing.assert_array_equal(digits("twos_complement") @ np.append(weight[:-1], -weight[-1]), signed)
    # The top bit of sign-magnitude is the sign; levels n steps from the middle have magnitude n.
    sign_magnitude = digits("sign_magnitude")
    np.testing.assert_array_equal(sign_magnitude[:, -1], signed < 0)
    np.testing.assert_array_equal(sign_magnitude[:, :-1] @ weight[:-1], np.where(signed < 0, -signed - 1, signed))
    # Neighbouring levels of a Gray code differ in one bit.
    assert (np.abs(np.diff(digits("gray"), axis=0)).sum(axis=1) == 1).all()
    assert EvenLevels(bits, "gray").storable()[0] == 0
