"""The kernel of the sampler on CUDA, in Triton: one pass over memory reads words, draws their errors and writes them.

A bit is read wrong when a uniform number U in [0, 1) lies below its probability, which may depend on the stored bit. U
is drawn digit by digit, for the 32 bits of a lane of memory at once, until all of them differ from their probabilities.
A float has finitely many binary digits, so no probability is rounded. Philox makes the digits from the seed, the number
of the lane and the place of the digit alone: errors at lower probabilities are a subset of those at higher ones, and
the errors of a bit do not depend on the probabilities of the others.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from qtaml._random import child_seed
from qtaml.sampling.torch_digits import binary_digits, lane_pattern

# Lanes of 32 bits for a program of one warp, four to a thread. A program draws digits until all its lanes are decided:
# the more there are, the longer they wait for the slowest bit.
LANES_OF_A_PROGRAM = 128
# Words of 32 bits that a call of Philox makes.
_DIGITS_AT_A_TIME = 4


def read_into(
    target: torch.Tensor, source: torch.Tensor, p01: Sequence[float], p10: Sequence[float], *, seed: int
) -> None:
    """Draw the errors of `source` and write the words read to `target`.

    Args:
        target: contiguous, uint8 or uint16, on a CUDA device.
        source: the stored words, likewise; may be the target itself.
        p01: probability of reading 1 where 0 is stored, in [0, 1], bit 0 first; at most as many as a word has bits.
        p10: probability of reading 0 where 1 is stored, likewise.
        seed: the same seed gives the same bits; those of a word do not depend on how many words follow.
    """
    table = _table(tuple(p01), tuple(p10), target.device)
    programs = triton.cdiv(target.numel() * target.element_size(), 4 * LANES_OF_A_PROGRAM)
    if programs:
        # Triton launches on the current device, which need not be the one that holds the words.
        with torch.cuda.device(target.get_device()):
            _kernel[(programs,)](
                *(source, target, target.numel(), child_seed(seed, "error mask"), table, len(table)),
                WORD=8 * target.element_size(),
                LANES=LANES_OF_A_PROGRAM,
                num_warps=1,
            )


@lru_cache(maxsize=1024)
def _table(p01: tuple[float, ...], p10: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Patterns of 32 bits in two columns, for stored zeros and ones.

    Rows: the bits with p = 1, those with 0 < p < 1, then the binary digits of p, most significant first.
    """
    columns = [
        [lane_pattern([p == 1 for p in rates]), lane_pattern([0 < p < 1 for p in rates]), *binary_digits(rates)]
        for rates in (p01, p10)
    ]
    rows = list(zip_longest(*columns, fillvalue=0))
    # Digits of 0 beyond the last never make an error, so whole calls of Philox need no check inside.
    rows += [(0, 0)] * (-(len(rows) - 2) % _DIGITS_AT_A_TIME)
    return torch.from_numpy(np.array(rows, dtype=np.int64).astype(np.int32)).to(device)


def _jit(function: Callable[..., Any]) -> Any:
    """Compile when first launched, without another variant for numbers that happen to be 1 or multiples of 16."""
    return triton.jit(do_not_specialize=["size", "key", "rows"])(function)


@_jit
def _pattern(table: tl.tensor, row: tl.tensor, held: tl.tensor) -> tl.tensor:
    """A row of the table, for each bit from the column of its stored value."""
    zeros = tl.load(table + 2 * row).to(tl.uint32, bitcast=True)
    ones = tl.load(table + 2 * row + 1).to(tl.uint32, bitcast=True)
    return zeros ^ (held & (zeros ^ ones))


@_jit
def _decide(error: tl.tensor, undecided: tl.tensor, drawn: tl.tensor, digit: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Compare a digit of U with that of p: where they differ, U < p if the digit of p is 1."""
    differs = undecided & (drawn ^ digit)
    return error | (differs & digit), undecided ^ differs


@_jit
def _kernel(
    source: tl.tensor,
    target: tl.tensor,
    size: tl.tensor,
    key: tl.tensor,
    table: tl.tensor,
    rows: tl.tensor,
    WORD: tl.constexpr,
    LANES: tl.constexpr,
) -> None:
    """Read `size` words of `WORD` bits with errors; each program has `LANES` lanes."""
    words: tl.constexpr = 32 // WORD
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    index = lane[:, None] * words + tl.arange(0, words)[None, :]
    shift = (tl.arange(0, words) * WORD).to(tl.uint32)[None, :]
    stored = tl.load(source + index, mask=index < size, other=0)
    held = tl.sum(stored.to(tl.uint32) << shift, axis=1)
    # 64 bits of counter, so that no tensor is too large: a lane number of 32 bits would repeat after 16 GiB.
    low, high = lane.to(tl.uint32), (lane >> 32).to(tl.uint32)
    error, undecided, row = _pattern(table, 0, held), _pattern(table, 1, held), 2
    while (row < rows) & (tl.max(undecided, axis=0) > 0):
        first, second, third, fourth = tl.philox(key, low, high, row, 0)
        error, undecided = _decide(error, undecided, first, _pattern(table, row, held))
        error, undecided = _decide(error, undecided, second, _pattern(table, row + 1, held))
        error, undecided = _decide(error, undecided, third, _pattern(table, row + 2, held))
        error, undecided = _decide(error, undecided, fourth, _pattern(table, row + 3, held))
        row += 4
    tl.store(target + index, stored ^ (error[:, None] >> shift).to(stored.dtype), mask=index < size)
