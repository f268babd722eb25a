"""The kernel for CUDA, run by Triton's interpreter on the CPU, and compiled for GPUs that need not be there.

Statistical tests have a fixed seed and fail with probability FALSE_ALARM although the law is right.
"""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from qtaml._random import child_seed
from qtaml.sampling import error_mask, flip_asymmetric, sampler
from tests.reference.error_masks import mask_probabilities
from tests.reference.interpreted import Read, interpreter
from tests.reference.philox import philox, plain_read
from tests.reference.statistics import (
    assert_counts_follow,
    assert_rate,
    assert_uncorrelated,
    bits_of,
    counts_of,
    set_bits,
)
from tests.tolerances import FALSE_ALARM

pytest.importorskip("triton", reason="the kernel for CUDA is written in Triton, which is not installed")

WORDS = 2**19
CERTAIN_AND_NOT = (0.0, 1e-3, 0.1, 1 / 3, 0.5, 0.9, 1 - 2**-53, 1.0)
pytestmark = pytest.mark.slow  # a process that interprets kernels, and compilers
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """The sampler as on a CUDA device, interpreted."""
    with interpreter() as function:
        yield function


def words_of(count: int, bits: int) -> np.ndarray:
    """Words of all values."""
    return np.random.default_rng(0).integers(0, 2**bits, count).astype(np.uint8 if bits <= 8 else np.uint16)


def mask_of(read: Read, count: int, rates: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """A mask of the kernel, as 64-bit integers."""
    dtype = np.uint8 if len(rates) <= 8 else np.uint16
    return read(np.zeros(count, dtype), rates, rates, seed).astype(np.int64)


# Exactness


def test_philox_of_the_reference() -> None:
    """The reference draws the numbers that its authors published (Random123, known answers)."""
    assert philox((0, 0, 0, 0), 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    counter = 0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344
    assert philox(counter, 0x299F31D0A4093822) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


@pytest.mark.parametrize("bits", [3, 8, 11, 16])
def test_every_bit_is_that_of_exact_fractions(bits: int, read: Read) -> None:
    """Random digits and comparison, in plain Python, give the same words."""
    p01, p10 = (CERTAIN_AND_NOT * 2)[:bits], (CERTAIN_AND_NOT[::-1] * 2)[:bits]
    words = words_of(301, 8 if bits <= 8 else 16)
    expected = plain_read(words.tolist(), 8 * words.itemsize, p01, p10, child_seed(7, "error mask"))
    assert read(words, p01, p10, 7).tolist() == expected


@pytest.mark.parametrize("bits", [8, 16])
def test_the_table_holds_the_probabilities_themselves(bits: int) -> None:
    """Its digits add up to the very floats, for each bit of a lane and each stored value."""
    from qtaml.sampling import triton_kernel as fused

    p01, p10 = (CERTAIN_AND_NOT * 2)[:bits], (1e-9, 5e-324, *CERTAIN_AND_NOT * 2)[:bits]
    table = fused._table(p01, p10, torch.device("cpu")).numpy().view(np.uint32)
    assert (len(table) - 2) % 4 == 0
    for column, rates in zip(table.T, (p01, p10), strict=True):
        for bit in range(32):
            p = Fraction(rates[bit % bits])
            certain, uncertain, *places = (int(pattern) >> bit & 1 for pattern in column)
            assert (certain, uncertain) == (p == 1, 0 < p < 1)
            assert sum(Fraction(digit, 2**place) for place, digit in enumerate(places, start=1)) == p % 1


# The law


@pytest.mark.parametrize("p", [1e-3, 0.1, 0.5])
def test_planes_pairs_and_neighbours(p: float, read: Read) -> None:
    """Planes, pairs of bits of a word and of neighbouring words, and whole words fail as often as independent bits.

    Each of the four kinds fails falsely with probability 1e-4 at most. Found would be a bias of five standard
    deviations: of p by 22 % at 1e-3 and 2 % at 0.1, of p**2 by 7 % at 0.1 and 1.2 % at 0.5.
    """
    mask = mask_of(read, WORDS, (p,) * 8, seed=11)
    planes = [mask >> bit & 1 for bit in range(8)]
    for plane in planes:
        assert_rate(int(plane.sum()), WORDS, p, FALSE_ALARM / 8)
    for first, second in itertools.combinations(planes, 2):
        assert_rate(int((first & second).sum()), WORDS, p * p, FALSE_ALARM / 28)
    for first, second in itertools.product(planes, planes):
        assert_rate(int((first[::2] & second[1::2]).sum()), WORDS // 2, p * p, FALSE_ALARM / 64)
    assert_counts_follow(counts_of(mask, 8), mask_probabilities([p] * 8), FALSE_ALARM)


def test_sixteen_bits_each_at_its_own_rate(read: Read) -> None:
    """No two positions fail together (finds a correlation of 0.7 %); 0 never fails and 1 always does."""
    rates = (*CERTAIN_AND_NOT, 0.002, 0.01, 0.02, 0.05, 0.25, 0.4, 0.49, 0.0)
    mask = mask_of(read, WORDS, rates)
    for successes, p in zip(set_bits(mask, 16), rates, strict=True):
        assert_rate(successes, WORDS, p, FALSE_ALARM / 16)
    bits = bits_of(mask, 16)[:, [2, 3, 4, 5, 9, 10, 11, 12, 13, 14]]
    assert_uncorrelated(bits, bits, FALSE_ALARM, skip_diagonal=True)
    assert_uncorrelated(bits[:-2], bits[2:], FALSE_ALARM)


@pytest.mark.parametrize("bits", [8, 16])
def test_stored_zeros_and_ones_fail_at_their_own_rates(bits: int, read: Read) -> None:
    """Where a 0 is stored with p01, where a 1 is with p10 (finds 3 % at p = 0.1)."""
    p01, p10 = (0.1, 0.0, 1.0, 1e-3, 0.5, 0.3, 0.2, 0.0) * (bits // 8), (0.3, 0.1, 0.0, 0.5, 1e-3, 1.0, 0.2, 0.0)
    p10 *= bits // 8
    words = words_of(WORDS, bits)
    wrong = (read(words, p01, p10, 2) ^ words).astype(np.int64)
    for bit in range(bits):
        held = words >> bit & 1
        for stored, p in enumerate((p01[bit], p10[bit])):
            errors = wrong[held == stored] >> bit & 1
            assert_rate(int(errors.sum()), len(errors), p, FALSE_ALARM / (2 * bits))


# Seeds and sizes


def test_programs_of_any_size_draw_the_same_bits(read: Read) -> None:
    """The number of lanes of a program changes nothing."""
    words = words_of(3001, 8)
    reads = [read(words, CERTAIN_AND_NOT, (0.2,) * 8, 1, lanes=lanes) for lanes in (64, 128, 2**14)]
    assert (reads[0] == reads[1]).all()
    assert (reads[0] == reads[2]).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_fewer_words_are_read_like_the_first_of_more(bits: int, read: Read) -> None:
    """Down to one and none, in any shape."""
    words, rates = words_of(1000, bits), (0.3,) * bits
    whole = read(words, rates, rates, 1)
    for count in (0, 1, 2, 3, 5, 511, 999):
        assert (read(words[:count], rates, rates, 1) == whole[:count]).all()
    assert (read(words.reshape(10, 100), rates, rates, 1) == whole.reshape(10, 100)).all()
    assert read(words[:1].reshape(()), rates, rates, 1) == whole[0]
    assert read(words[:0].reshape(3, 0), rates, rates, 1).shape == (3, 0)


def test_seeds(read: Read) -> None:
    """The same seed gives the same mask, and two seeds give unrelated ones (finds a correlation of 1 %)."""
    masks = [bits_of(mask_of(read, 2**18, (0.3,) * 8, seed), 8) for seed in (3, 3, 4)]
    assert (masks[0] == masks[1]).all()
    assert_uncorrelated(masks[0], masks[2], FALSE_ALARM)


def test_errors_depend_on_their_own_probability_alone_and_grow_with_it(read: Read) -> None:
    """Bits keep their errors when others are protected or fail more often."""
    low, high = (mask_of(read, 10_000, rates) for rates in ((0.1, 0.0, 0.3, 0.2), (0.1, 0.5, 0.4, 0.0)))
    assert (low & 1 == high & 1).all()
    assert (low & 4 & ~high == 0).all()
    assert (low & 4 != high & 4).any()


def test_in_place_and_not_contiguous(read: Read) -> None:
    """Every other word is read like their copy, and in place only they change."""
    words = words_of(2000, 8)
    expected = read(words[::2].copy(), CERTAIN_AND_NOT, CERTAIN_AND_NOT, 5)
    assert (read(words[::2], CERTAIN_AND_NOT, CERTAIN_AND_NOT, 5) == expected).all()
    for part in (words[::2].copy(), words[:1000].copy()):
        expected = read(part, CERTAIN_AND_NOT, CERTAIN_AND_NOT, 5)
        assert (read(part, CERTAIN_AND_NOT, CERTAIN_AND_NOT, 5, in_place=True) == expected).all()


# With Triton, without, and on a GPU


@pytest.mark.parametrize("capability", [pytest.param(80, marks=pytest.mark.long), 90])
@pytest.mark.parametrize(("word", "bits"), [("u8", 8), ("u16", 16)])
def test_the_kernel_compiles(
    word: str, bits: int, capability: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code for GPUs that are not there; patterns of bits are compared as numbers without a sign."""
    from triton import compile as compiled_by_triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from qtaml.sampling import triton_kernel as fused

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = {"source": f"*{word}", "target": f"*{word}", "size": "i64", "key": "i64", "table": "*i32", "rows": "i32"}
    constants = {"WORD": bits, "LANES": fused.LANES_OF_A_PROGRAM}
    source = ASTSource(fused._kernel, types | dict.fromkeys(constants, "constexpr"), constants)
    made = compiled_by_triton(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 1})
    assert made.asm["cubin"]
    assert "max.u32" in made.asm["ptx"]


def test_only_cuda_has_the_kernel_and_only_with_triton() -> None:
    """PyTorch draws elsewhere; and qtaml imports Triton when errors are drawn on CUDA, not before."""
    assert sampler.fused_kernel("mps") is None
    assert sampler.fused_kernel("cuda") is not None
    code = (
        "import sys; import qtaml.sampling.sampler as sampler; assert 'triton' not in sys.modules;"
        "sys.modules['triton'] = None; assert sampler.fused_kernel('cuda') is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_c_compiler_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton would fail at the first call of it."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert sampler.fused_kernel.__wrapped__("cuda") is None
    monkeypatch.setenv("CC", "/opt/cc")
    assert sampler.fused_kernel.__wrapped__("cuda") is not None


@needs_cuda
@pytest.mark.parametrize("bits", [3, 8, 16])
def test_cuda_draws_the_bits_of_the_interpreter(bits: int, read: Read) -> None:
    """Compiled or interpreted, a seed has the same bits; words of any alignment."""
    p01, p10 = (CERTAIN_AND_NOT * 2)[:bits], (CERTAIN_AND_NOT[::-1] * 2)[:bits]
    words = words_of(100_001, 8 if bits <= 8 else 16)
    for part in (words, words[1:]):
        on_device = torch.from_numpy(words).to("cuda")[len(words) - len(part) :]
        found = flip_asymmetric(on_device, p01, p10, seed=4)
        assert (found.cpu().numpy() == read(part, p01, p10, 4)).all()
    mask = error_mask((100_001,), p01, seed=4, device="cuda").cpu().numpy()
    assert (mask == read(np.zeros_like(words), p01, p01, 4)).all()
