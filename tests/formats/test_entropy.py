"""Entropy-coded weights: blocks hold what they were given, and what is read of them has the exact law."""

import itertools
from math import comb

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import EntropyLevels, EvenLevels, Format, RootMeanSquare, Section, TensorFormat, TensorReader
from qtaml.protections import BlockCode, Raw, Repetition

LEVELS = EntropyLevels((-2.0, -0.7, 0.05, 0.8, 2.1), (201, 703, 2291, 695, 206), block_weights=400, block_bytes=99)
TINY = EntropyLevels((-1.0, 0.0, 1.5), (900, 2300, 896), block_weights=8, block_bytes=8)


def laplacian(count, seed=0):
    """Weights of root mean square 1."""
    return torch.from_numpy(np.random.default_rng(seed).laplace(size=count) / 2**0.5)


@pytest.mark.parametrize("weights", [400, 799, 2000, 2399])
def test_every_weight_is_read_as_one_of_the_nearest_values_that_fit(weights):
    """No block is lost, and the error is that of the quantiser: near what entropy coding can reach."""
    fmt, given = Format(LEVELS), laplacian(weights)
    words = fmt.encode(given)
    assert (fmt.windows(words) != LEVELS.lost).all()
    assert int(words[fmt.words(weights) :].sum()) == 0
    nearest = (given[:, None] - torch.tensor(LEVELS.values)).square().min(1).values.mean()
    assert nearest <= (fmt.decode(words) - given).square().mean() < 1.15 * nearest + 0.02


def test_what_a_section_takes():
    """Blocks share what does not fill one; a weight takes as many cells as its block says."""
    sizes, counts = LEVELS.sizes(1000)
    assert (sizes.tolist(), counts.tolist()) == ([500, 500], [6 + 117, 6 + 117])
    assert (LEVELS.bits, LEVELS.words(1000), Format(LEVELS).cells) == (2, 984, 2 * 0.99)
    assert not LEVELS.fits(7)


@pytest.mark.parametrize("weights", [torch.full((800,), 50.0), torch.linspace(-3, 3, 800), torch.zeros(800)])
def test_blocks_that_are_not_typical_are_rounded_coarsely(weights):
    """Until they fit: a block never takes more than its bytes."""
    fmt = Format(LEVELS)
    assert (fmt.windows(fmt.encode(weights)) != LEVELS.lost).all()


def test_one_or_two_wrong_bits_lose_their_block_and_no_other():
    """Every pair of bits of a stream of two short blocks; nothing wrong is read as if it were right."""
    fmt = Format(TINY)
    words = fmt.encode(laplacian(16))
    right, bits, places = fmt.windows(words), 128, [where for where, _, _ in TINY.blocks(16)]
    flips = np.zeros((fmt.bits, 16), np.uint8)
    for wrong in [(), *((bit,) for bit in range(bits)), *itertools.combinations(range(0, bits, 6), 2)]:
        flips.reshape(-1)[:] = 0
        flips.reshape(-1)[list(wrong)] = 1
        read = words ^ torch.from_numpy((flips << np.arange(fmt.bits, dtype=np.uint8)[:, None]).sum(0).astype(np.uint8))
        hit = {bit // 64 for bit in wrong}
        labels = fmt.windows(read)
        for block, own in enumerate(places):
            assert torch.equal(labels[own], torch.full((8,), TINY.lost) if block in hit else right[own])


def test_mean_and_variance_by_enumeration():
    """Over the number of wrong bits of a block: one at least, and it is read as zeros."""
    p, fmt = 0.004, Format(TINY)
    lost = sum(comb(64, wrong) * p**wrong * (1 - p) ** (64 - wrong) for wrong in range(1, 65))
    values = np.array([*TINY.values, 0.0])
    np.testing.assert_allclose(fmt.read_mean(Uniform(p)), (1 - lost) * values, rtol=1e-12)
    np.testing.assert_allclose(fmt.read_variance(Uniform(p)), lost * (1 - lost) * values**2, rtol=1e-9)


def test_reads_of_a_tensor_have_the_law():
    """Behind a vote, 400 reads of 20 blocks: the standard error of the share of lost blocks is a twentieth of it."""
    fault, weights = Uniform(0.01), laplacian(8000)
    storage = TensorFormat((Section(8000, Format(LEVELS, (Repetition(3),) * 2)),), RootMeanSquare())
    words, scale = storage.encode(weights, fault)
    assert storage.holds(words)
    read = torch.empty(8000, dtype=torch.float64)
    reader = TensorReader(storage, words, scale, fault, dtype=torch.float64).into(read)
    lost = []
    for seed in range(40):
        reader(seed)
        lost.append(np.mean([bool((read[where] == 0).all()) for where, _, _ in LEVELS.blocks(8000)]))
    assert torch.equal(read, storage.read(words, scale, fault, seed=39))
    # Rate of a vote 2.98e-4, 792 bits: 0.21 of 800 blocks are lost, give or take 0.0144.
    assert np.mean(lost) == pytest.approx(storage.sections[0].format.lost_blocks(fault), abs=4 * 0.0144)


def test_behind_a_block_code_few_blocks_are_lost():
    """At most the bound of its wrong blocks, once for each that a block meets; reads draw fewer."""
    code = BlockCode(1000, 2480)
    fmt = Format(LEVELS, (code,) * 2)
    assert fmt.lost_blocks(Uniform(0.1)) == pytest.approx(code.rates.wrong_blocks(0.1) * (1 + 791 / 1000))
    assert code.as_read.any_wrong(792, 0.1, 0.1) < code.any_wrong(792, 0.1, 0.1)
    assert Raw().any_wrong(2, 0.1, 0.2) == pytest.approx(1 - 0.85**2)


def test_a_damaged_block_is_read_as_zeros():
    """Of words that a memory may give back; bits where the stream has no words are none of its own."""
    storage = TensorFormat((Section(800, Format(LEVELS)), Section(30, Format(EvenLevels(2)))), RootMeanSquare())
    words, scale = storage.encode(laplacian(830), Uniform(0.0))
    damaged = words.clone()
    damaged[17] ^= 1
    assert storage.holds(words)
    assert storage.holds(damaged)
    assert int((storage.decode(damaged, scale)[:800] == 0).sum()) == 400
    damaged[799] = 1
    assert not storage.holds(damaged)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": (0.0, -1.0, 1.0)}, "values must be 1 to 255 ascending numbers"),
        ({"counts": (1, 2, 3)}, "counts must be one for each of 3 values and sum to 4096"),
        ({"block_bytes": 9}, "block_bytes must be from .* to 8 for these counts, got 9"),
        ({"block_weights": 80}, "block_bytes must be from .* to 80 for these counts, got 8"),
    ],
)
def test_levels_that_cannot_be(change, message):
    """They name the argument, and what is allowed."""
    fields = {"values": TINY.values, "counts": TINY.counts, "block_weights": 8, "block_bytes": 8, **change}
    with pytest.raises(ArgumentError, match=message):
        EntropyLevels(**fields)


def test_what_a_stream_refuses():
    """Too few weights for its words, words of other bits, a map of weak cells."""
    fmt = Format(LEVELS)
    with pytest.raises(ArgumentError, match="enough weights for its 28 words, got 1"):
        fmt.encode(torch.zeros(1))
    with pytest.raises(ArgumentError, match="words of this stream must be below 4, got 9"):
        fmt.windows(torch.full((400,), 9, dtype=torch.uint8))
    with pytest.raises(ArgumentError, match="law of independent bits"):
        fmt.window_law_of(fmt.law(Uniform(0.1)))
