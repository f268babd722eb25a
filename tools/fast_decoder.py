"""Belief propagation of `BlockCoder` for simulations: the same messages and stops, compiled."""

import math
from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from qtaml.protections.block_coder import CERTAIN, FIRST, MAX_ITERATIONS, STEP, BlockCoder

_ONE = np.float32(1)
# As in Sionna: 0 is kept from the products, which below the next count as 0, and none is above the third.
_ALMOST_ZERO, _TINY, _NEARLY_ONE = np.float32(1e-12), np.float32(1e-7), np.float32(1 - 1e-7)
_LOWEST, _HIGHEST = np.float32(math.exp(-CERTAIN)), np.float32(math.exp(CERTAIN))
# Total odds of a bit stay finite. Far beyond the most that one message says.
_SATURATED = np.float32(1e30)
# Elements of a column, of all lanes.
_LONG_ENOUGH = 416
_FAST = {"nnan", "ninf", "nsz", "contract"}


Floats = NDArray[np.float32]
Ints = NDArray[np.int32] | NDArray[np.int64]


class Lifted(NamedTuple):
    """Parity checks as rotated blocks: check i of row r binds bit (i + shift) mod size of each of its columns.

    Attributes:
        size: bits of a column, checks of a row.
        starts: first entry of each row, and the number of entries.
        columns: column of each entry.
        shifts: rotation of each entry.
        checks: number of checks; the last row may be cut short.
    """

    size: int
    starts: Ints
    columns: Ints
    shifts: Ints
    checks: int

    @classmethod
    def of(cls, coder: BlockCoder) -> Self:
        """The checks of a coder."""
        size, matrix = coder.lifting, coder.checks
        firsts = [np.sort(row.indices) for row in (matrix[[row]] for row in range(0, matrix.shape[0], size))]
        places = np.concatenate(firsts).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum([len(first) for first in firsts])]).astype(np.int64)
        return cls(size, starts, places // size, places % size, matrix.shape[0])


@numba.njit(cache=True, fastmath=_FAST, error_model="numpy")
def wrong_data(
    ratios: Floats, data_bits: int, size: int, starts: Ints, columns: Ints, shifts: Ints, checks: int
) -> tuple[Ints, Ints]:
    """Data bits of each block that are decoded as 1, where all were 0.

    Messages are the odds P(0)/P(1) in place of their logarithms: sums become products, and no tanh is needed.

    Args:
        ratios: float32, shape (blocks, bits), log ratios ln P(1)/P(0).
        data_bits: how many of the first bits are data.
        size: this and all others are those of `Lifted`.
        starts: of the rows.
        columns: of the entries.
        shifts: of the entries.
        checks: how many.

    Returns:
        (wrong data bits, iterations) of each block.
    """
    # Bits of a few blocks lie beside each other: loops over a column are then long enough to be worth their start.
    lanes = max(1, _LONG_ENOUGH // size)
    blocks, step = ratios.shape[0], size * lanes
    wrong, spent = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
    bits = (columns.max() + 1) * step
    total, product, channel = np.empty(bits, np.float32), np.empty(bits, np.float32), np.ones(bits, np.float32)
    messages = np.empty((len(columns), step), np.float32)
    tanhs, row_product = np.empty(((starts[1:] - starts[:-1]).max(), step), np.float32), np.empty(step, np.float32)
    parity, failed, going_on = np.empty(step, np.int32), np.empty(lanes, np.bool_), np.empty(lanes, np.bool_)
    for first in range(0, blocks, lanes):
        for lane in range(lanes):
            going_on[lane] = first + lane < blocks
            for i in range(ratios.shape[1]):
                # Lanes beyond the last block repeat it, unheeded.
                channel[i * lanes + lane] = math.exp(-ratios[min(first + lane, blocks - 1), i])
        total[:] = channel
        messages[:] = 1
        for iteration in range(1, MAX_ITERATIONS + 1):
            product[:] = channel
            for row in range(len(starts) - 1):
                _check(row, messages, total, product, tanhs, row_product, step, starts, columns, shifts * lanes)
            total, product = product, total
            if iteration < FIRST or (iteration - FIRST) % STEP:
                continue
            _look(total, parity, failed, step, starts, columns, shifts * lanes, checks * lanes)
            for lane in range(lanes):
                if going_on[lane] and (not failed[lane] or iteration == MAX_ITERATIONS):
                    going_on[lane] = False
                    spent[first + lane] = iteration
                    # A tie counts as wrong, since the data were all 0.
                    wrong[first + lane] = (total[lane : data_bits * lanes : lanes] <= 1).sum()
            if not going_on.any():
                break
    return wrong, spent


@numba.njit(cache=True, fastmath=_FAST, error_model="numpy")
def _check(
    row: int,
    messages: Floats,
    total: Floats,
    product: Floats,
    tanhs: Floats,
    row_product: Floats,
    size: int,
    starts: Ints,
    columns: Ints,
    shifts: Ints,
) -> None:
    """All checks of a row: new messages from the total odds of the bits, multiplied into their next odds."""
    first, last = starts[row], starts[row + 1]
    row_product[:] = 1
    for entry in range(first, last):
        base, cut, tanh = columns[entry] * size, size - shifts[entry], tanhs[entry - first]
        _towards(total[base + size - cut : base + size], messages[entry, :cut], tanh[:cut], row_product[:cut])
        _towards(total[base : base + size - cut], messages[entry, cut:], tanh[cut:], row_product[cut:])
    for entry in range(first, last):
        base, cut, tanh = columns[entry] * size, size - shifts[entry], tanhs[entry - first]
        _back(tanh[:cut], row_product[:cut], messages[entry, :cut], product[base + size - cut : base + size])
        _back(tanh[cut:], row_product[cut:], messages[entry, cut:], product[base : base + size - cut])


@numba.njit(cache=True, fastmath=_FAST, error_model="numpy")
def _towards(total: Floats, message: Floats, tanh: Floats, row_product: Floats) -> None:
    """From bits to checks: tanh of half of the log odds without the check's own message."""
    for i in range(len(tanh)):
        odds = total[i] / message[i]
        odds = _HIGHEST if odds > _HIGHEST else odds
        odds = _LOWEST if odds < _LOWEST else odds
        t = (odds - _ONE) / (odds + _ONE)
        t = _ALMOST_ZERO if t == 0 else t
        tanh[i] = t
        row_product[i] *= t


@numba.njit(cache=True, fastmath=_FAST, error_model="numpy")
def _back(tanh: Floats, row_product: Floats, message: Floats, product: Floats) -> None:
    """From checks to bits: the odds (1 + x)/(1 - x) of x = product of all tanh over that of the bit."""
    for i in range(len(tanh)):
        square, part = tanh[i] * tanh[i], row_product[i] * tanh[i]
        bound = square * _NEARLY_ONE
        part = bound if part > bound else part
        part = -bound if part < -bound else part
        part = np.float32(0) if abs(part) < square * _TINY else part
        odds = (square + part) / (square - part)
        message[i] = odds
        new = product[i] * odds
        new = _SATURATED if new > _SATURATED else new
        product[i] = _ONE / _SATURATED if new < _ONE / _SATURATED else new


@numba.njit(cache=True)
def _look(
    total: Floats,
    parity: Ints,
    failed: NDArray[np.bool_],
    size: int,
    starts: Ints,
    columns: Ints,
    shifts: Ints,
    checks: int,
) -> None:
    """Whether a parity check of each lane fails, by the signs of the odds, into `failed`; `parity` is overwritten."""
    lanes = len(failed)
    failed[:] = False
    for row in range(len(starts) - 1):
        parity[:] = 0
        for entry in range(starts[row], starts[row + 1]):
            base, cut = columns[entry] * size, size - shifts[entry]
            _exclusive_or(total[base + size - cut : base + size], parity[:cut])
            _exclusive_or(total[base : base + size - cut], parity[cut:])
        for i in range(min(size, checks - row * size)):
            if parity[i]:
                failed[i % lanes] = True
        if failed.all():
            return


@numba.njit(cache=True)
def _exclusive_or(total: Floats, parity: Ints) -> None:
    for i in range(len(parity)):
        parity[i] ^= np.int32(total[i] < _ONE)
