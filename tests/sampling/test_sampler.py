"""The fast sampler of error masks draws from exactly the law that it states.

The statistical tests have a fixed seed and a fixed number of words. Each fails with probability FALSE_ALARM (1e-4, over
seeds) although the law is right; what each would find is said in its docstring.
"""

import itertools
from types import ModuleType

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, Clustered, MultiLevel, StaticCells, TensorVariation, Uniform
from qtaml.sampling import error_mask, flip, flip_asymmetric, recipe, sampler, word_dtype
from qtaml.sampling import numba_kernels as compiled
from qtaml.sampling import numpy_kernels as vectorised
from tests.reference.error_masks import mask_probabilities, plain_error_mask
from tests.reference.statistics import (
    assert_counts_follow,
    assert_rate,
    assert_same_law,
    assert_uncorrelated,
    bits_of,
    counts_of,
    set_bits,
)
from tests.tolerances import FALSE_ALARM

WORDS = 2**21
SAME_FOR_ALL = (0.1,) * 8
DIFFERENT = (0.5, 0.3, 0.26, 0.1, 1 / 3, 0.05, 0.2, 0.45)
ASCENDING = (1e-3, 0.002, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.35, 0.4, 0.45, 0.49, 0.5)
CHUNK = recipe.BLOCK


def mask_of(count: int, probabilities: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """`count` words of a mask, as NumPy integers."""
    return error_mask((count,), probabilities, seed=seed).numpy().astype(np.int64)


# The law


@pytest.mark.parametrize("probabilities", [SAME_FOR_ALL, (0.3,) * 8, (0.5,) * 8, DIFFERENT])
def test_masks_follow_the_product_law(probabilities: tuple[float, ...]) -> None:
    """The 256 masks occur as often as the product law says (finds a root mean square relative error of 0.8 %)."""
    counts = counts_of(mask_of(WORDS, probabilities), 8)
    assert_counts_follow(counts, mask_probabilities(probabilities), FALSE_ALARM)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["compiled", "vectorised"])
@pytest.mark.parametrize("p", [1e-6, 1e-3, 0.1, 0.5])
def test_planes_pairs_and_neighbours(p: float, kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes, pairs of bits of a word and of neighbouring words, and whole words fail as often as independent bits.

    2**23 words at p = 1e-6, 2**21 at others. Each of the four kinds fails falsely with probability 1e-4 at most. Found
    would be a bias of five standard deviations: of p by 0.5 % at 1e-3, of p**2 by 4 % at 0.1 and 0.6 % at 0.5.
    """
    monkeypatch.setattr(sampler, "kernels", lambda: {"compiled": compiled, "vectorised": vectorised}[kernels])
    mask = error_mask((2**23 if p < 1e-4 else 2**21,), [p] * 8, seed=11).numpy()
    planes = [np.packbits(mask >> i & 1) for i in range(8)]
    # Neighbours are the bits of an even word and of the odd one after it.
    even, odd = ([np.packbits(mask[start::2] >> i & 1) for i in range(8)] for start in (0, 1))
    for plane in planes:
        assert_rate(int(np.bitwise_count(plane).sum()), len(mask), p, FALSE_ALARM / 8)
    for first, second in itertools.combinations(planes, 2):
        assert_rate(int(np.bitwise_count(first & second).sum()), len(mask), p * p, FALSE_ALARM / 28)
    for first, second in itertools.product(even, odd):
        assert_rate(int(np.bitwise_count(first & second).sum()), len(mask) // 2, p * p, FALSE_ALARM / 64)
    assert_counts_follow(counts_of(mask, 8), mask_probabilities([p] * 8), FALSE_ALARM)


def test_the_number_of_errors_of_blocks_varies_as_it_should() -> None:
    """Errors of a block are binomial: the variance over 2**10 blocks is that of the law within five standard errors."""
    mask = error_mask((2**10 * CHUNK,), [0.01, 0.1] + [0.0] * 6, seed=3).numpy().reshape(-1, CHUNK)
    for bit, p in enumerate((0.01, 0.1)):
        counts = (mask >> bit & 1).sum(axis=1)
        assert counts.var(ddof=1) == pytest.approx(CHUNK * p * (1 - p), rel=5 * (2 / 2**10) ** 0.5)


@pytest.mark.parametrize("probabilities", [SAME_FOR_ALL, DIFFERENT])
def test_masks_occur_as_in_the_plain_reference(probabilities: tuple[float, ...]) -> None:
    """The fast masks and the plain ones have one law (2**20 words each; finds a relative difference of 1.6 %)."""
    count = 2**20
    plain = plain_error_mask(count, probabilities, seed=1)
    assert_same_law(counts_of(mask_of(count, probabilities), 8), counts_of(plain, 8), FALSE_ALARM)


@pytest.mark.slow
@pytest.mark.parametrize("probabilities", [SAME_FOR_ALL, DIFFERENT, ASCENDING])
def test_bits_of_a_word_are_uncorrelated(probabilities: tuple[float, ...]) -> None:
    """No two bit positions of a word fail together (2**21 words; finds a correlation of 0.5 %)."""
    bits = bits_of(mask_of(WORDS, probabilities), len(probabilities))
    assert_uncorrelated(bits, bits, FALSE_ALARM, skip_diagonal=True)


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1, 2, 7, 8, 9, 64, CHUNK])
def test_bits_of_near_words_are_uncorrelated(distance: int) -> None:
    """No bits of two words fail together, neighbours, lanes or chunks apart (finds a correlation of 0.6 %)."""
    bits = bits_of(mask_of(WORDS, DIFFERENT), 8)
    assert_uncorrelated(bits[:-distance], bits[distance:], FALSE_ALARM)


@pytest.mark.parametrize("probability", [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9])
def test_rate_is_exact_from_one_in_a_billion_to_certain(probability: float) -> None:
    """The number of bits in error is binomial (2**25 bits; finds a bias of 5 standard deviations).

    That is a relative bias of 5/sqrt(2**25 p): 90 % at p = 1e-6, 0.3 % at 0.1. Below, the digits are tested exactly.
    """
    words = mask_of(2**22, (probability,) * 8)
    assert_rate(sum(set_bits(words, 8)), 8 * len(words), probability, FALSE_ALARM)


@pytest.mark.parametrize("bits", range(2, 17))
def test_every_number_of_bits(bits: int) -> None:
    """Each bit fails at its own rate, and no bit beyond the word is ever set (2**18 words; finds 1.2 % at p = 0.5)."""
    probabilities = ASCENDING[-bits:]
    mask = error_mask((2**18,), probabilities, seed=bits)
    assert mask.dtype == word_dtype(bits) == (torch.uint8 if bits <= 8 else torch.uint16)
    words = mask.numpy().astype(np.int64)
    assert words.max() < 2**bits
    for successes, probability in zip(set_bits(words, bits), probabilities, strict=True):
        assert_rate(successes, len(words), probability, FALSE_ALARM / 16)


@pytest.mark.parametrize("bits", [8, 16])
def test_certain_bits_among_uncertain_ones(bits: int) -> None:
    """Probability 0 never fails and probability 1 always does, whatever the neighbours (2**18 words; finds 2 %)."""
    probabilities = [0.0, 1.0, 0.3, 1.0] * (bits // 4)
    counts = set_bits(mask_of(2**18, tuple(probabilities)), bits)
    for successes, probability in zip(counts, probabilities, strict=True):
        assert probability == 0.3 or successes == probability * 2**18
        assert_rate(successes, 2**18, probability, FALSE_ALARM / 16)


# Seeds


def test_same_seed_same_bits_for_any_number_of_threads() -> None:
    """The threads of torch change nothing."""
    before = torch.get_num_threads()
    try:
        masks = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            masks.append(error_mask((3 * CHUNK + 5,), DIFFERENT, seed=3))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


def test_the_shape_does_not_matter() -> None:
    """A mask is drawn in the order of its elements."""
    flat = error_mask((60,), DIFFERENT, seed=0)
    assert torch.equal(error_mask((3, 4, 5), DIFFERENT, seed=0).reshape(-1), flat)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2**40 + 1), (12, 21)])
def test_different_seeds_are_unrelated(first: int, second: int) -> None:
    """Masks of two seeds are uncorrelated (2**20 words; finds a correlation of 0.6 %)."""
    columns = [bits_of(mask_of(2**20, DIFFERENT, seed), 8) for seed in (first, second)]
    assert_uncorrelated(*columns, FALSE_ALARM)


def test_errors_of_a_bit_stay_where_others_are_protected() -> None:
    """Under one seed, plans that protect different bits share all errors of the bits that both leave."""
    mixed = (1e-4, 0.01, 0.3, 0.1, 0.02, 0.1, 0.4, 0.05)
    for protected in (0, 3, 7):
        left = tuple(0.0 if i == protected else p for i, p in enumerate(mixed))
        both = 255 - (1 << protected)
        assert ((mask_of(100_000, mixed) & both) == mask_of(100_000, left)).all()
        words = torch.arange(1000).remainder(256).to(torch.uint8)
        whole, part = (flip_asymmetric(words, rates, (0.2,) * 8, seed=0) ^ words for rates in (mixed, left))
        assert torch.equal(whole & words, part & words)
        assert torch.equal(whole & ~words & both, part & ~words)


# Chunks and tails


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_word_is_drawn_up_to_the_last(count: int, bits: int) -> None:
    """A bit of probability 1 is set everywhere and one of probability 0.5 at its rate, at chunk borders too."""
    words = mask_of(count, (0.5,) + (1.0,) + (0.0,) * (bits - 2))
    assert len(words) == count
    assert (words >> 1 == 1).all()
    if count >= 100:
        assert_rate(int((words & 1).sum()), count, 0.5, FALSE_ALARM)
        # The words after the last whole lane and those on both sides of a border vary like all others.
        for border in range(CHUNK, count + 1, CHUNK):
            assert len(set(words[border - 40 : border].tolist())) == 2


def test_chunks_differ() -> None:
    """The errors do not repeat from chunk to chunk."""
    first, second, third = mask_of(3 * CHUNK, DIFFERENT).reshape(3, CHUNK)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_scalar_and_an_empty_tensor_are_tensors(bits: int) -> None:
    """A mask has any shape, also none."""
    assert error_mask((), [1.0] * bits, seed=0).item() == 2**bits - 1
    assert error_mask((3, 0), [1.0] * bits, seed=0).shape == (3, 0)


# Where the result goes


def test_out_is_overwritten_and_returned() -> None:
    """What was in `out` does not matter."""
    out = torch.full((5, 7), 255, dtype=torch.uint8)
    returned = error_mask((5, 7), DIFFERENT, seed=1, out=out)
    assert returned is out
    assert torch.equal(out, error_mask((5, 7), DIFFERENT, seed=1))


@pytest.mark.parametrize("bits", [3, 8, 9, 16])
def test_flip_is_exclusive_or_with_the_mask(bits: int) -> None:
    """Flipping the same bits again gives the words back, and the caller's words are untouched."""
    probabilities = ASCENDING[-bits:]
    words = torch.arange(1000).remainder(2**bits).to(word_dtype(bits))
    original = words.clone()
    read = flip(words, probabilities, seed=5)
    assert torch.equal(words, original)
    assert torch.equal(read ^ error_mask((1000,), probabilities, seed=5), words)
    assert torch.equal(flip(read, probabilities, seed=5), words)


def test_flip_in_place() -> None:
    """The same words come out, in the memory that went in."""
    words = torch.arange(256, dtype=torch.uint8)
    expected = flip(words, SAME_FOR_ALL, seed=2)
    returned = flip(words, SAME_FOR_ALL, seed=2, in_place=True)
    assert returned is words
    assert torch.equal(words, expected)


def test_flip_of_non_contiguous_words() -> None:
    """A transposed tensor is read like its contiguous copy; in place, only the words that are meant change."""
    words = torch.arange(240, dtype=torch.uint8).reshape(12, 20)
    assert torch.equal(flip(words.t(), SAME_FOR_ALL, seed=2), flip(words.t().contiguous(), SAME_FOR_ALL, seed=2))
    every_other = words[:, ::2]
    expected, others = flip(every_other, SAME_FOR_ALL, seed=2), words[:, 1::2].clone()
    flip(every_other, SAME_FOR_ALL, seed=2, in_place=True)
    assert torch.equal(words[:, ::2], expected)
    assert torch.equal(words[:, 1::2], others)


@pytest.mark.parametrize("in_place", [False, True])
def test_without_errors_words_stay(in_place: bool) -> None:
    """Probability 0 everywhere gives the stored words: the same ones in place, otherwise others."""
    words = torch.arange(10, dtype=torch.uint8)
    read = flip(words, [0.0] * 8, seed=0, in_place=in_place)
    assert torch.equal(read, torch.arange(10, dtype=torch.uint8))
    assert (read is words) == in_place
    assert (read.data_ptr() == words.data_ptr()) == in_place


# What is refused


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    """The message names the bit and the value."""
    with pytest.raises(ArgumentError, match=rf"probabilities\[1\] must be .* in \[0, 1\], got {probability}"):
        error_mask((3,), [0.1, probability], seed=0)


def test_not_a_number_is_refused() -> None:
    """Neither sampler function takes it for a probability."""
    with pytest.raises(ArgumentError, match=r"probabilities must be a sequence, each a number, got \[nan"):
        error_mask((3,), [float("nan")], seed=0)
    with pytest.raises(ArgumentError, match=r"probabilities must be a sequence, each a number, got \[nan"):
        flip(torch.zeros(3, dtype=torch.uint8), [float("nan")] * 8, seed=0)


@pytest.mark.parametrize("bits", [0, 17])
def test_a_word_has_1_to_16_bits(bits: int) -> None:
    """Other numbers of probabilities are refused."""
    with pytest.raises(ArgumentError, match=f"bits must be a whole number from 1 to 16, got {bits}"):
        error_mask((3,), [0.1] * bits, seed=0)


@pytest.mark.parametrize(("bits", "dtype"), [(8, torch.uint16), (9, torch.uint8), (8, torch.int64), (8, torch.float32)])
def test_words_of_another_dtype_are_refused(bits: int, dtype: torch.dtype) -> None:
    """The message says which dtype holds words of so many bits."""
    with pytest.raises(ArgumentError, match=f"words of {bits} bits must be {word_dtype(bits)}, got {dtype}"):
        flip(torch.zeros(3, dtype=dtype), [0.1] * bits, seed=0)


@pytest.mark.parametrize("kernels", [compiled, vectorised], ids=["compiled", "vectorised"])
@pytest.mark.parametrize("bits", [3, 11])
def test_bits_beyond_the_word_stay_as_stored(bits: int, kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under every fault model: a tensor of several formats is read as a whole under each of them."""
    monkeypatch.setattr(sampler, "kernels", lambda: kernels)
    words = torch.arange(2**16).to(torch.int32).bitwise_and(255 if bits <= 8 else 2**16 - 1).to(word_dtype(bits))
    narrow = (words.int() & 2**bits - 1).to(words.dtype)
    faults = [Uniform(0.1), Asymmetric(0.1, 0.2), Clustered(0.1, 2), StaticCells((0.1, 0.2)), TensorVariation(0.1, 0.5)]
    for fault in [*faults, MultiLevel((((0.9, 0.1), (0.2, 0.8)),))]:
        read = fault.corrupt(words, bits=bits, seed=0)
        assert torch.equal(read.int() >> bits, words.int() >> bits)
        assert torch.equal(read.int() & 2**bits - 1, fault.corrupt(narrow, bits=bits, seed=0).int())
        assert not torch.equal(read, words)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_words_of_a_read_only_buffer_are_read() -> None:
    """They are not written to."""
    buffer = np.arange(200, dtype=np.uint8)
    buffer.flags.writeable = False
    read = flip(torch.from_numpy(buffer), SAME_FOR_ALL, seed=1)
    assert torch.equal(read, flip(torch.arange(200).to(torch.uint8), SAME_FOR_ALL, seed=1))
    assert (buffer == np.arange(200)).all()


def test_words_that_do_not_start_at_a_multiple_of_8_bytes_are_read() -> None:
    """Like any others, asymmetric faults too."""
    words = torch.arange(1003).remainder(256).to(torch.uint8)
    shifted = torch.cat([torch.zeros(3, dtype=torch.uint8), words])[3:]
    assert shifted.data_ptr() % 8 != words.data_ptr() % 8
    for falling in (SAME_FOR_ALL, DIFFERENT):
        expected = flip_asymmetric(words, SAME_FOR_ALL, falling, seed=1)
        assert torch.equal(flip_asymmetric(shifted, SAME_FOR_ALL, falling, seed=1), expected)


def test_words_that_are_one_in_memory_are_not_overwritten() -> None:
    """An expanded tensor is read, but not in place: its words could not be read wrong one by one."""
    words = torch.zeros(1, dtype=torch.uint8).expand(100)
    assert torch.equal(flip(words, SAME_FOR_ALL, seed=1), error_mask((100,), SAME_FOR_ALL, seed=1))
    with pytest.raises(ArgumentError, match="words must not share memory with each other to be overwritten"):
        flip(words, SAME_FOR_ALL, seed=1, in_place=True)


@pytest.mark.parametrize(
    "out",
    [
        torch.zeros(4, dtype=torch.uint16),
        torch.zeros(5, dtype=torch.uint8),
        torch.zeros(2, 2, dtype=torch.uint8),
        torch.zeros(8, dtype=torch.uint8)[::2],
    ],
    ids=["dtype", "size", "shape", "not contiguous"],
)
def test_out_that_does_not_fit_is_refused(out: torch.Tensor) -> None:
    """The message says what would fit."""
    with pytest.raises(ArgumentError, match=r"out must be a contiguous torch\.uint8 tensor of shape \(4,\), got"):
        error_mask((4,), SAME_FOR_ALL, seed=0, out=out)


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_what_is_no_seed_is_refused(seed: int) -> None:
    """A seed is a whole number of at least 0."""
    with pytest.raises(ArgumentError, match="seed must be a whole number"):
        error_mask((4,), SAME_FOR_ALL, seed=seed)
