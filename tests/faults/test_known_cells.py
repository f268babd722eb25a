"""What a map of weak cells leaves of their errors: every class of cells, every outcome of the reads it is made from."""

import itertools

import numpy as np
import pytest
import torch

from qtaml.faults import StaticCells
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import WeakBits
from qtaml.protections import HardenedCell, Raw, Repetition

CELLS = StaticCells(p01=(0.0, 0.3, 1.0, 0.1, 1.0, 0.0, 0.0, 0.6), p10=(0.0, 0.0, 0.0, 0.2, 1.0, 0.7, 1.0, 0.0))


def kind(zeros, ones):
    """What `WeakBits.of_reads` makes of the reads of one cell: free, held at 0, held at 1, turned."""
    weak = WeakBits.of_reads(*([torch.tensor([bit], dtype=torch.uint8) for bit in bits] for bits in (zeros, ones)))
    pair = int(weak.zeros) & 1, int(weak.ones) & 1
    return {(0, 1): 0, (0, 0): 1, (1, 1): 2, (1, 0): 3}[pair]


@pytest.mark.parametrize("reads", [1, 2, 3])
def test_shares_and_what_is_left_by_enumeration(reads):
    """Of all outcomes of the reads of each class, and all bits that may be meant."""
    shares, wrong, meant = np.zeros(4), np.zeros(2), np.zeros(2)
    for p01, p10 in zip(CELLS.p01, CELLS.p10, strict=True):
        for outcome in itertools.product((0, 1), repeat=2 * reads):
            zeros, ones = outcome[:reads], outcome[reads:]
            chance = np.prod([p01 if bit else 1 - p01 for bit in zeros])
            chance *= np.prod([1 - p10 if bit else p10 for bit in ones]) / len(CELLS.p01)
            one = kind(zeros, ones)
            shares[one] += chance
            for bit in {0: (0, 1), 1: (0,), 2: (1,), 3: (0, 1)}[one]:
                written = 1 - bit if one == 3 else bit
                read_as_written = 1 - (p10 if written else p01)
                weight = chance * (0.5 if one in (0, 3) else 1.0)
                meant[bit] += weight
                wrong[bit] += weight * (read_as_written if one == 3 else 1 - read_as_written)
    known = KnownCells(CELLS, reads)
    assert (*known.held_at, known.turned) == pytest.approx(tuple(shares[1:]))
    assert known.left == pytest.approx(tuple(wrong / meant))
    assert sum(share for share, _, _ in known.kinds) == pytest.approx(1)


def test_only_raw_cells_have_a_map():
    """Votes and better cells see all errors, as they do without a map."""
    known = KnownCells(CELLS)
    vote, better = Repetition(3), HardenedCell(2.0, 0.01, 0.02)
    rates = known.behind((Raw(), vote, better)).rates(3)
    without = CELLS.behind((Raw(), vote, better)).rates(3)
    assert (rates.p01[0], rates.p10[0]) == known.left
    assert (rates.p01[1:], rates.p10[1:]) == (without.p01[1:], without.p10[1:])
    assert known.held((Raw(), vote, better)) == (known.held_at, (0.0, 0.0), (0.0, 0.0))


def test_reads_are_as_the_law_says():
    """50,000 cells of a chip with a map: false alarms of one in 10,000 at 4 standard deviations."""
    chip, words = CELLS.of_chip(5), torch.zeros(50_000, dtype=torch.uint8)
    known = KnownCells(CELLS, reads=2)
    weak = WeakBits.of_reads(
        *(
            [chip.corrupt(value, bits=1, seed=seed) for seed in seeds]
            for value, seeds in ((words, (0, 1)), (words + 1, (2, 3)))
        )
    )
    meant = torch.from_numpy(np.random.default_rng(0).integers(0, 2, 50_000).astype(np.uint8))
    meant = torch.where((weak.stuck & 1).bool(), weak.zeros & 1, meant)
    written = meant ^ (weak.turned & 1)
    read = chip.corrupt(written, bits=1, seed=9)
    for asked, law in ((meant, known), (written, known.as_written)):
        for bit in (0, 1):
            some = asked == bit
            rate, expected = float((read != asked)[some].double().mean()), law.left[bit]
            assert abs(rate - expected) < 4 * (expected * (1 - expected) / int(some.sum())) ** 0.5
