"""The law of float words, against every word with every error mask, some flips of 32 bits, and samples."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from qtaml.errors import ArgumentError
from qtaml.faults import Uniform, WordLaw
from qtaml.formats import (
    FLOAT_FORMATS,
    NAMED_TABLES,
    EvenLevels,
    Fixed,
    Format,
    Largest,
    NamedLevels,
    Scale,
    Section,
    TensorFormat,
)
from qtaml.formats.transitions import table_error_moments
from qtaml.theory import ErrorLaw, bit_shares, float_error_moments
from qtaml.theory.float_law import moments_by_parts
from tests.reference.enumeration import enumerated_transitions
from tests.tolerances import EXACT_MATHS

TORCH = {
    "fp32": (torch.float32, torch.uint32),
    "bf16": (torch.bfloat16, torch.uint16),
    "fp16": (torch.float16, torch.uint16),
    "fp8_e4m3": (torch.float8_e4m3fn, torch.uint8),
    "fp8_e5m2": (torch.float8_e5m2, torch.uint8),
}
IEEE = ["bf16", "fp16", "fp8_e5m2"]
# Repeated for longer words; some bits fail in one direction only, or never.
P01 = (0.1, 0.003, 0.2, 0.0, 0.05, 0.01, 0.02, 0.15, 0.0)
P10 = (0.02, 0.1, 0.0, 0.3, 0.01, 0.25, 0.04, 0.001, 0.0)
ALL_BITS = {"p01": np.resize(P01, 32), "p10": np.resize(P10, 32)}
SQUARES = 1e-11
"""Relative error of squares by parts: three terms, each a few times as large as their sum."""


def rates(bits: int) -> dict[str, list[float]]:
    """Error probabilities of words of so many bits."""
    return {name: of_bits[:bits].tolist() for name, of_bits in ALL_BITS.items()}


def finite_words(name: str) -> np.ndarray:
    """All words that stand for a number."""
    words = np.arange(2 ** FLOAT_FORMATS[name].bits)
    return words[np.isfinite(FLOAT_FORMATS[name].values(words))]


def chances(word: int, masks: np.ndarray, p01: list[float], p10: list[float]) -> np.ndarray:
    """Probability of each error mask of a word, bit by bit."""
    probability = np.ones(len(masks))
    for bit, (rise, fall) in enumerate(zip(p01, p10, strict=True)):
        rate = fall if word >> bit & 1 else rise
        probability *= np.where(masks >> bit & 1, rate, 1 - rate)
    return probability


@pytest.mark.parametrize("name", TORCH)
def test_words_stand_for_the_numbers_of_torch(name):
    """Every word of up to 16 bits, and 100,000 of 32, infinity and NaN among them."""
    floating, whole = TORCH[name]
    bits = FLOAT_FORMATS[name].bits
    words = np.arange(2**bits) if bits < 32 else np.random.default_rng(0).integers(0, 2**32, 100_000)
    numbers = torch.from_numpy(words).to(whole).view(floating).double().numpy()
    np.testing.assert_array_equal(FLOAT_FORMATS[name].values(words), numbers)
    assert FLOAT_FORMATS[name].largest == torch.finfo(floating).max


def test_small_formats_of_microscaling():
    """The numbers of FP4, and powers of two of scales, of which the last stands for NaN."""
    fp4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    assert FLOAT_FORMATS["fp4_e2m1"].values(np.arange(16)).tolist() == [*fp4, *(-value for value in fp4)]
    assert FLOAT_FORMATS["e8m0"].values([0, 127, 254]).tolist() == [2.0**-127, 1.0, 2.0**127]
    assert np.isnan(FLOAT_FORMATS["e8m0"].values(255))


@pytest.mark.parametrize("nonfinite", ["clamp", "zero"])
@pytest.mark.parametrize("name", sorted(name for name, fmt in FLOAT_FORMATS.items() if fmt.bits <= 8))
def test_moments_of_all_short_words_by_enumeration(name, nonfinite):
    """Every word with every error mask; probabilities of each bit and direction of their own."""
    fmt, words = FLOAT_FORMATS[name], finite_words(name)
    values, matrix = fmt.values(np.arange(2**fmt.bits), nonfinite), enumerated_transitions(*rates(fmt.bits).values())
    errors = values - values[words, np.newaxis]
    found = float_error_moments(words, name, **rates(fmt.bits), nonfinite=nonfinite)
    np.testing.assert_allclose(found.mean, (matrix[words] * errors).sum(1), rtol=EXACT_MATHS, atol=1e-13 * fmt.largest)
    np.testing.assert_allclose(found.mean_square, (matrix[words] * errors**2).sum(1), rtol=EXACT_MATHS)


@pytest.mark.parametrize("nonfinite", ["clamp", "zero"])
@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_moments_and_distribution_of_long_words_by_all_masks(name, nonfinite):
    """Twelve words, the outermost and subnormal ones among them, with each of 65,536 masks."""
    fmt, words, masks = FLOAT_FORMATS[name], finite_words(name), np.arange(2**16)
    chosen = [0, 1, words[-1], *np.random.default_rng(1).choice(words, 9, replace=False)]
    found = float_error_moments(chosen, name, **rates(16), nonfinite=nonfinite)
    law = ErrorLaw(NamedLevels(name, nonfinite), **rates(16))
    for word, mean, square in zip(chosen, *found, strict=True):
        errors, probability = fmt.values(word ^ masks, nonfinite) - fmt.values(word), chances(word, masks, **rates(16))
        assert mean == pytest.approx(probability @ errors, rel=1e-9)
        assert square == pytest.approx(probability @ errors**2, rel=EXACT_MATHS)
        values, pmf = law.pmf(word)
        assert pmf.sum() == pytest.approx(1.0, rel=EXACT_MATHS)
        assert pmf @ (values * fmt.largest) ** 2 == pytest.approx(square, rel=EXACT_MATHS)


@pytest.mark.parametrize("nonfinite", ["clamp", "zero"])
@pytest.mark.parametrize("name", IEEE)
def test_arithmetic_of_parts_is_the_table_for_every_word(name, nonfinite):
    """Sign, exponent and mantissa one by one, against averages over one bit after the other of the whole table."""
    fmt, words = FLOAT_FORMATS[name], finite_words(name)
    mean, variance, _, _ = table_error_moments(
        fmt.values(np.arange(2**fmt.bits), nonfinite), WordLaw.of_bits(*rates(fmt.bits).values())
    )
    parts = moments_by_parts(words, fmt, **rates(fmt.bits), nonfinite=nonfinite)
    np.testing.assert_allclose(parts.mean, mean[words], rtol=1e-9, atol=1e-13 * fmt.largest)
    np.testing.assert_allclose(parts.mean_square, (variance + mean**2)[words], rtol=SQUARES)


@pytest.mark.parametrize("nonfinite", ["clamp", "zero"])
@pytest.mark.parametrize(
    "failing",
    [[31, *range(23, 31), 22, 21, 0], [*range(12)], [30, 29, 23, *range(10, 18)], [31, 24, 25, 22, 20, 3]],
    ids=["sign and exponent", "mantissa", "some of both", "few"],
)
def test_moments_of_32_bits_where_few_bits_fail(failing, nonfinite):
    """Every mask of the bits that fail: subnormal numbers, zero, the largest and 50 others."""
    fmt, masks = FLOAT_FORMATS["fp32"], np.zeros(2 ** len(failing), dtype=np.int64)
    for place, bit in enumerate(failing):
        masks |= (np.arange(2 ** len(failing)) >> place & 1) << bit
    given = {name: [float(of_bits[bit]) * (bit in failing) for bit in range(32)] for name, of_bits in ALL_BITS.items()}
    numbers = np.random.default_rng(2).normal(0, 0.05, 50).astype(np.float32).view(np.uint32)
    words = np.array([0, 1, 0x80000000, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, *numbers], dtype=np.int64)
    found = float_error_moments(words, "fp32", **given, nonfinite=nonfinite)
    for word, mean, square in zip(words.tolist(), *found, strict=True):
        errors, probability = fmt.values(word ^ masks, nonfinite) - fmt.values(word), chances(word, masks, **given)
        assert mean == pytest.approx(probability @ errors, rel=1e-9, abs=1e-13 * np.abs(errors).max())
        assert square == pytest.approx(probability @ errors**2, rel=SQUARES)


def test_moments_of_32_bits_are_those_of_samples():
    """200,000 reads with errors in all bits; five standard errors, one false alarm in a million."""
    fmt, word = FLOAT_FORMATS["fp32"], 0x3DCCCCCD
    given = {"p01": [0.02] * 30 + [0.0, 0.1], "p10": [0.05] * 32}
    generator = np.random.default_rng(3)
    read = np.full(200_000, word)
    for bit in range(32):
        rate = given["p10" if word >> bit & 1 else "p01"][bit]
        read ^= (generator.random(read.shape) < rate).astype(np.int64) << bit
    errors = fmt.values(read, "clamp") - fmt.values(word)
    mean, square = float_error_moments(word, "fp32", **given)
    assert abs(errors.mean() - mean) < 5 * errors.std() / len(read) ** 0.5
    assert abs((errors**2).mean() - square) < 5 * (errors**2).std() / len(read) ** 0.5


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp8_e5m2"])
def test_rare_errors_keep_their_digits(name):
    """Below the exponent, at one in 10**13: the squares of single flips, which nothing cancels."""
    fmt, number = FLOAT_FORMATS[name], 3 << FLOAT_FORMATS[name].mantissa_bits - 1
    failing = [1e-13] * fmt.mantissa_bits + [0.0] * fmt.exponent_bits + [1e-13]
    flips = number ^ 1 << np.array([*range(fmt.mantissa_bits), fmt.bits - 1])
    errors = fmt.values(flips) - fmt.values(number)
    mean, square = float_error_moments(number, name, p01=failing, p10=failing)
    assert mean == pytest.approx(1e-13 * errors.sum(), rel=1e-11)
    assert square == pytest.approx(1e-13 * (errors**2).sum(), rel=1e-11)


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp8_e4m3"])
def test_kept_infinity_has_no_moments(name):
    """Where it can be read; behind a protected exponent moments are those of the other rules."""
    fmt = FLOAT_FORMATS[name]
    failing, width = [0.01] * fmt.bits, fmt.mantissa_bits
    mean, square = float_error_moments([1, 3], name, p01=failing, p10=failing, nonfinite="keep")
    assert np.isnan(mean).all()
    assert np.isinf(square).all()
    protected = [0.01] * width + [0.0] * (fmt.bits - width)
    kept, clamped = (
        float_error_moments([1, 3], name, p01=protected, p10=protected, nonfinite=rule) for rule in ("keep", "clamp")
    )
    np.testing.assert_array_equal(kept, clamped)
    assert np.isfinite(kept.mean_square).all()
    if name in NAMED_TABLES:
        law = ErrorLaw(NamedLevels(name, "keep"), 0.01)
        assert np.isinf(law.variance(3))
        assert np.isnan([law.mean(3), law.skewness(3), law.kurtosis(3)]).all()


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2", "fp4_e2m1", "e8m0"])
def test_the_share_of_a_bit_is_what_its_protection_saves(name):
    """Summed over words, by enumeration with and without the errors of each bit."""
    fmt, words = FLOAT_FORMATS[name], finite_words(name)[3:]
    values, given = fmt.values(np.arange(2**fmt.bits), "clamp"), rates(fmt.bits)
    squares = (values - values[words, np.newaxis]) ** 2
    total = (enumerated_transitions(*given.values())[words] * squares).sum()
    for bit, share in enumerate(bit_shares(words, name, **given)):
        without = [[rate * (i != bit) for i, rate in enumerate(of_bits)] for of_bits in given.values()]
        left = (enumerated_transitions(*without)[words] * squares).sum()
        assert share == pytest.approx(1 - left / total, abs=EXACT_MATHS)


def test_shares_without_errors_and_with_infinite_ones():
    """No error has no shares; one bit alone can make 1.0 infinite, and without it the error is finite."""
    never, top = [0.0] * 16, [0.1] + [0.0] * 13 + [0.5, 0.0]
    assert bit_shares([0x3F80], "bf16", p01=never, p10=never).tolist() == [0.0] * 16
    shares = bit_shares([0x3F80], "bf16", p01=top, p10=never, nonfinite="keep")
    assert shares[14] == 1.0
    assert np.isnan(np.delete(shares, 14)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "p", "as_they_are", "scaled"),
    [
        (EvenLevels(8), 0.001, None, (16.5, 1)),
        (NamedLevels("fp8_e4m3"), 0.001, (-19.0, 3), (19.6, 1)),
        (NamedLevels("fp8_e4m3"), 0.05, (-46.0, 6), (3.2, 6)),
        (NamedLevels("fp8_e5m2"), 0.01, (-79.5, 6), (9.0, 5)),
        (NamedLevels("bf16"), 0.001, (-741.0, 7), (18.6, 1)),
    ],
    ids=str,
)
def test_gaussian_weights_are_as_the_book_says(levels, p, as_they_are, scaled):
    """Decibels of raw words, and the protected bits for 20 dB, from bias and variance of each weight."""
    weights = torch.from_numpy(0.05 * norm.ppf((np.arange(20_001) + 0.5) / 20_001))

    def decibels(protected: int, scale: Scale) -> float:
        storage = TensorFormat((Section(len(weights), Format(levels).protect(protected)),), scale)
        words, scales = storage.encode(weights, Uniform(p))
        bias = storage.read_bias(words, scales, weights, Uniform(p))
        error = bias.square() + storage.read_variance(words, scales, Uniform(p))
        return 10 * float((weights.square().sum() / error.sum()).log10())

    for scale, told in ((Largest(), scaled), (Fixed(largest_of(levels)), as_they_are)):
        if told is not None:
            assert decibels(0, scale) == pytest.approx(told[0], abs=0.051)
            assert decibels(told[1] - 1, scale) < 20 <= decibels(told[1], scale)


def largest_of(levels: EvenLevels | NamedLevels) -> float:
    """The largest number of a named format."""
    return NAMED_TABLES[levels.name].largest if isinstance(levels, NamedLevels) else 1.0


@pytest.mark.parametrize(
    ("words", "name", "count", "message"),
    [
        ([0x7F80], "bf16", 16, "words must be finite numbers of bf16"),
        ([0x7F], "fp8_e4m3", 8, "words must be finite numbers of fp8_e4m3"),
        ([256], "fp8_e4m3", 8, "words must be whole numbers from 0 to 255"),
        ([0], "bf17", 16, "name must be one of 'fp32', 'bf16'.* got 'bf17'"),
        ([0], "bf16", 15, "p01 must be 16 probabilities, one for each bit"),
    ],
)
def test_what_is_refused(words, name, count, message):
    """By name, value and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        float_error_moments(words, name, p01=[0.1] * count, p10=[0.1] * count)
    with pytest.raises(ArgumentError, match="fmt must have a sign and reserve its last exponent"):
        moments_by_parts([0], FLOAT_FORMATS["e8m0"], p01=[0.1] * 8, p10=[0.1] * 8)
