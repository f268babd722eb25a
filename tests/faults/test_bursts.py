"""Wrong blocks of a code come as bursts: the mean rate stays, neighbours fail together, bits of a word do not."""

import numpy as np
import pytest
import torch
from scipy import stats

from qtaml.faults import Asymmetric, PerBit, StaticCells, TensorVariation, Uniform
from qtaml.faults.bursts import flip_bursts
from qtaml.formats import EvenLevels, Format
from qtaml.protections import BlockCode, Bursts, Raw
from tests.tolerances import FALSE_ALARM

P = 0.125
CODE = BlockCode(1000, 2480)
"""At P about a fifth of its blocks is wrong, in a fifteenth of their bits."""

FORMAT = Format(EvenLevels(3), (Raw(), CODE, CODE))
BLOCKS = 600


def wrong_bits(fault):
    """Which bits of so many blocks of stored words are read wrong: bit positions, blocks, words of a block."""
    words = torch.arange(BLOCKS * CODE.data_bits).remainder(8).to(torch.uint8)
    wrong = (FORMAT.corrupt(words, fault, seed=0) ^ words).numpy()
    return (wrong >> np.arange(3)[:, None] & 1).reshape(3, BLOCKS, CODE.data_bits)


@pytest.mark.parametrize("fault", [Uniform(P), Asymmetric(0.05, 0.2), PerBit((0.3, P, P))], ids=repr)
def test_blocks_are_wrong_at_the_estimated_rate(fault):
    """So many of 600 blocks, and of their bits so large a share; the raw bit beside them fails by itself."""
    rate, share = CODE.rates.estimate(P)
    wrong = wrong_bits(fault)
    for position in wrong[1:]:
        counts = position.sum(1)
        assert stats.binomtest(int((counts > 0).sum()), BLOCKS, rate).pvalue > FALSE_ALARM
        failed = counts[counts > 0]
        assert stats.binomtest(int(failed.sum()), len(failed) * CODE.data_bits, share).pvalue > FALSE_ALARM
    # Independent bits: the counts of blocks vary as binomial ones do.
    raw = wrong[0].sum(1)
    mean = raw.mean() / CODE.data_bits
    spread = raw.var(ddof=1) / (CODE.data_bits * mean * (1 - mean))
    assert stats.chi2.ppf(FALSE_ALARM, BLOCKS - 1) < spread * (BLOCKS - 1) < stats.chi2.isf(FALSE_ALARM, BLOCKS - 1)


def test_bits_of_a_word_lie_in_different_blocks():
    """Two positions behind one code fail independently of each other: the exact law of a word holds."""
    _, first, second = wrong_bits(Uniform(P)).max(2)
    both = np.histogram2d(first, second, bins=2)[0]
    assert both.min() > 5
    assert stats.chi2_contingency(both).pvalue > FALSE_ALARM


def test_plans_reckon_with_the_bound_and_reads_draw_the_estimate():
    """Two rates of one format, never mixed up."""
    bound, estimate = (one.residual(P, P)[0] for one in (CODE, CODE.as_read))
    assert FORMAT.rates(Uniform(P)).p01 == pytest.approx((P, bound, bound))
    assert Uniform(P).behind([one.as_read for one in FORMAT.protections]).rates(3).p01 == pytest.approx(
        (P, estimate, estimate)
    )
    assert estimate < bound


@pytest.mark.parametrize(
    "fault", [StaticCells.lognormal(P, sigma=0.5, chip=1), TensorVariation(P, sigma=0.2)], ids=repr
)
def test_other_memories_read_the_same_mean_rate(fault):
    """Where cells differ, the estimated rate of the mean cell or of the tensor, with or without bursts."""
    wrong = wrong_bits(fault)[1:].mean()
    assert 0 < wrong < FORMAT.rates(fault).p01[1] * 3


def test_the_same_bits_from_the_same_seed():
    """A prepared reader and a single read agree; another seed gives other bits; uint16 up to the sixteenth bit."""
    words = torch.zeros(5000, dtype=torch.uint8)
    once = FORMAT.corrupt(words, Uniform(P), seed=3)
    assert torch.equal(once, FORMAT.reader(words, Uniform(P))(3))
    assert not torch.equal(once, FORMAT.corrupt(words, Uniform(P), seed=4))
    assert torch.equal(words, torch.zeros(5000, dtype=torch.uint8))
    long = flip_bursts(torch.zeros(4, dtype=torch.uint16), [None] * 15 + [Bursts(3, 1.0, 1.0)], seed=0)
    assert long.tolist() == [1 << 15] * 4
