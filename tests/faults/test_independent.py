"""The fault models of independent bits: their stated rates are those of what they do to words."""

import math

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import BitErrorRates, FaultModel, PerBit, Ramp, Uniform
from qtaml.protections import Ideal, Raw
from qtaml.sampling import flip, word_dtype
from tests.reference.error_masks import mask_probabilities
from tests.reference.statistics import assert_counts_follow, counts_of
from tests.tolerances import FALSE_ALARM

EIGHT = (0.01, 0.4, 0.2, 0.1, 0.3, 0.05, 0.25, 0.45)
MODELS = [Uniform(0.1), Uniform(0.0), PerBit(EIGHT), PerBit((0.0,) * 4 + (0.3,) * 4)]


@pytest.mark.parametrize("fault", MODELS, ids=str)
def test_words_fail_at_the_stated_rates(fault: FaultModel) -> None:
    """Reads of one stored word differ from it as the rates say (2**20 words; finds a relative error of 1.2 %)."""
    words = torch.full((2**20,), 0b10110010, dtype=torch.uint8)
    read = fault.corrupt(words, bits=8, seed=0)
    rates = fault.rates(8)
    assert rates.p01 == rates.p10
    assert_counts_follow(counts_of((read ^ words).numpy(), 8), mask_probabilities(rates.p01), FALSE_ALARM)


@pytest.mark.parametrize("fault", [Uniform(0.1), PerBit(EIGHT)], ids=str)
def test_words_behind_protections_fail_at_the_residual_rates(fault: FaultModel) -> None:
    """Bits behind the ideal code never fail; the others fail as before (2**20 words; finds 1 %)."""
    behind = fault.behind((Raw(),) * 5 + (Ideal(),) * 3)
    assert behind.rates(8).p01 == fault.rates(8).p01[:5] + (0.0,) * 3
    mask = behind.corrupt(torch.zeros(2**20, dtype=torch.uint8), bits=8, seed=1)
    assert_counts_follow(counts_of(mask.numpy(), 8), mask_probabilities(behind.rates(8).p01), FALSE_ALARM)


@pytest.mark.parametrize("fault", [Uniform(0.1), PerBit(EIGHT)], ids=str)
def test_a_read_depends_on_the_seed_alone(fault: FaultModel) -> None:
    """The same seed gives the same read, another seed another one, and in place it is written over the words."""
    words = torch.arange(256, dtype=torch.uint8)
    read = fault.corrupt(words, bits=8, seed=0)
    assert torch.equal(fault.corrupt(words, bits=8, seed=0), read)
    assert not torch.equal(fault.corrupt(words, bits=8, seed=1), read)
    assert fault.corrupt(words, bits=8, seed=0, in_place=True) is words
    assert torch.equal(words, read)


@pytest.mark.parametrize("bits", range(2, 17))
def test_uniform_takes_words_of_any_number_of_bits(bits: int) -> None:
    """One probability serves all bits; no bit beyond the word fails."""
    words = torch.zeros(1000, dtype=word_dtype(bits))
    read = Uniform(0.4).corrupt(words, bits=bits, seed=0)
    assert torch.equal(read, flip(words, [0.4] * bits, seed=0))
    assert 0 < read.long().max() < 2**bits
    assert Uniform(0.4).rates(bits) == BitErrorRates((0.4,) * bits, (0.4,) * bits)
    assert Uniform(0.4).rates(bits).bits == bits


@pytest.mark.parametrize("p", [-1e-9, 0.5, 0.7, 1.0])
def test_probability_outside_its_range_is_refused(p: float) -> None:
    """A flip probability lies in [0, 0.5); the message names the argument and its value."""
    with pytest.raises(ArgumentError, match=rf"p must be a flip probability in \[0, 0\.5\), got {p}"):
        Uniform(p)
    with pytest.raises(ArgumentError, match=rf"p01\[1\] must be a flip probability in \[0, 0\.5\), got {p}"):
        PerBit((0.1, p))


@pytest.mark.parametrize(
    ("p", "message"), [(math.nan, "finite, got nan"), (math.inf, "finite, got inf"), ("often", "a number, got 'often'")]
)
def test_what_is_no_number_is_refused(p: float, message: str) -> None:
    """Also a bit's own probability is a finite number."""
    with pytest.raises(ArgumentError, match=f"p must be {message}"):
        Uniform(p)
    with pytest.raises(ArgumentError, match=rf"p01\[0\] must be {message}"):
        PerBit((p, 0.1))


@pytest.mark.parametrize("count", [0, 17])
def test_number_of_probabilities_out_of_range_is_refused(count: int) -> None:
    """A word has at most 16 bits."""
    with pytest.raises(
        ArgumentError, match=f"number of flip probabilities must be a whole number from 1 to 16, got {count}"
    ):
        PerBit((0.1,) * count)


def test_words_of_another_number_of_bits_are_refused() -> None:
    """A model of eight bits says so wherever it is asked for another number."""
    fault, message = PerBit(EIGHT), "bits must be 8, the number of flip probabilities given, got 4"
    with pytest.raises(ArgumentError, match=message):
        fault.rates(4)
    with pytest.raises(ArgumentError, match=message):
        fault.behind((Raw(),) * 4)
    with pytest.raises(ArgumentError, match=message):
        fault.corrupt(torch.zeros(3, dtype=torch.uint8), bits=4, seed=0)


def test_words_of_another_dtype_are_refused() -> None:
    """Words are unsigned integers of 8 or 16 bits."""
    with pytest.raises(ArgumentError, match=r"words of 8 bits must be torch\.uint8, got torch\.int16"):
        Uniform(0.1).corrupt(torch.zeros(3, dtype=torch.int16), bits=8, seed=0)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("most_significant", [0.5, 1.0, 1.5, 2.0])
def test_a_ramp_is_linear_with_mean_p(bits: int, most_significant: float) -> None:
    """From one end to the other, in equal steps."""
    rates = np.array(Ramp(0.1, most_significant).rates(bits).p01)
    assert len(rates) == bits
    assert rates[-1] == pytest.approx(0.1 * most_significant)
    assert rates[0] == pytest.approx(0.1 * (2 - most_significant))
    assert rates.mean() == pytest.approx(0.1, rel=1e-12)
    assert np.diff(rates, 2) == pytest.approx(0, abs=1e-15)
