"""The kernels of the sampler, compiled by Numba; `numpy_kernels` draws the same bits without it.

Random numbers come from SFC64 (Doty-Humphrey; also in NumPy). A stream is seeded with 128 bits of key and its own
number, and all count their steps from 1. Two streams under one key never share a state: the step is invertible and the
count is part of the state. The generator passes the usual batteries of statistical tests.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qtaml.sampling.recipe import BLOCK, DIGITS, LANES, SLOTS, STREAMS_OF_A_BLOCK, UNDECIDED, WARM_UP, Floats

Bytes = NDArray[np.uint8]
Lane = np.uint64
Lanes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint8] | NDArray[np.uint16]
Function = TypeVar("Function", bound=Callable[..., Any])

# Every shift, mask and factor is a uint64: Numba (0.68) types a sum or product with a signed integer as signed, and a
# right shift of it drags the sign along.
_ONE = np.uint64(1)
_3, _11, _24, _27, _30, _31, _40 = (np.uint64(shift) for shift in (3, 11, 24, 27, 30, 31, 40))
_8, _16, _56, _BYTE, _TWO_BYTES = (np.uint64(n) for n in (8, 16, 56, 0xFF, 0xFFFF))
_GATHER = np.uint64(0x0102040810204080)
# Increment and multipliers of SplitMix64 (Steele, Lea, Flood 2014).
_GOLDEN, _FIRST, _SECOND = (np.uint64(m) for m in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_SLOT_BITS, _SLOT_SHIFT = np.uint64(SLOTS.bit_length() - 1), np.uint64(17 - SLOTS.bit_length())
_UNDECIDED = np.uint64(UNDECIDED)


def compiled(function: Function) -> Function:
    """Compile with Numba at the first call, without the interpreter lock; cached on disk where a folder is writable."""
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder can be written to
        return cast(Function, njit(nogil=True)(function))


@compiled
def _next(a: Lane, b: Lane, c: Lane, counter: Lane) -> tuple[Lane, Lane, Lane, Lane]:
    """Number that a step of SFC64 draws, and the state (a, b, c) after it."""
    drawn = a + b + counter
    return drawn, b ^ (b >> _11), c + (c << _3), ((c << _24) | (c >> _40)) + drawn


@compiled
def _started(key: Lanes, number: int) -> tuple[Lane, Lane, Lane]:
    """State (a, b, c) of a stream after its warm-up."""
    a, b, c, counter = key[0], key[1], np.uint64(number), _ONE
    for _ in range(WARM_UP):
        _, a, b, c = _next(a, b, c, counter)
        counter += _ONE
    return a, b, c


@compiled
def _start_lanes(a: Lanes, b: Lanes, c: Lanes, key: Lanes, first: int) -> None:
    """Start `LANES` streams, `first`, `first` + 1, ..., in the arrays a, b, c of their states."""
    for lane in range(LANES):
        a[lane], b[lane], c[lane] = key[0], key[1], np.uint64(first + lane)
    for step in range(WARM_UP):
        counter = np.uint64(step + 1)
        for lane in range(LANES):
            _, a[lane], b[lane], c[lane] = _next(a[lane], b[lane], c[lane], counter)


@compiled
def _uniform(key: Lanes, index: int) -> np.float64:
    """Uniform number in [0, 1) as a hash of an index under the key: two rounds of SplitMix64.

    A hash, not a stream: ties are rare, and a stream would have to draw a number for every cell, tied or not.
    """
    x = key[0] + np.uint64(index) * _GOLDEN
    for k in range(2):
        x = (x ^ (x >> _30)) * _FIRST
        x = (x ^ (x >> _27)) * _SECOND
        x = x ^ (x >> _31)
        if k == 0:
            x ^= key[1]
    return np.float64(x >> _11) * 2.0**-53


@compiled
def _draw_digits(
    error: Lanes, stored: Lanes, rows: int, key: Lanes, block: int, asymmetric: bool, digits: Lanes
) -> None:
    """Errors of probability m/256: from the last digit up, a digit 1 of m is `or` of a random bit, a 0 is `and`."""
    a, b, c = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    _start_lanes(a, b, c, key, block * STREAMS_OF_A_BLOCK)
    zeros, differ = digits[0], digits[0] ^ digits[1]
    for row in range(rows):
        # Eight digits whatever m is: the same numbers of a stream then belong to the same words at every rate.
        counter = np.uint64(WARM_UP + 1 + row * DIGITS)
        held, drawn_errors = stored[row * LANES : (row + 1) * LANES], error[row * LANES : (row + 1) * LANES]
        if asymmetric:
            for lane in range(LANES):
                x, y, z, result = a[lane], b[lane], c[lane], np.uint64(0)
                for place in range(DIGITS):
                    drawn, x, y, z = _next(x, y, z, counter + np.uint64(place))
                    digit = zeros[place] ^ (held[lane] & differ[place])
                    # Per bit: `or` where the digit is 1, `and` where it is 0, without a branch.
                    result = (drawn & (result | digit)) | (result & digit)
                a[lane], b[lane], c[lane], drawn_errors[lane] = x, y, z, result
        else:
            # A loop of its own: symmetric errors load no stored words.
            for lane in range(LANES):
                x, y, z, result = a[lane], b[lane], c[lane], np.uint64(0)
                for place in range(DIGITS):
                    drawn, x, y, z = _next(x, y, z, counter + np.uint64(place))
                    result = (drawn & (result | zeros[place])) | (result & zeros[place])
                a[lane], b[lane], c[lane], drawn_errors[lane] = x, y, z, result


@compiled
def _draw_events(events: Bytes, element: int, key: Lanes, number: int, bit: int, tails: Floats) -> None:
    """Set a bit in K distinct uniform words of a block, K binomial with the upper tail probabilities `tails`."""
    a, b, c = _started(key, number)
    counter = np.uint64(WARM_UP + 1)
    high, a, b, c = _next(a, b, c, counter)
    low, a, b, c = _next(a, b, c, counter + _ONE)
    counter += np.uint64(2)
    # Small numbers have all their digits, for the sake of the far tail.
    uniform = (np.float64(high) + np.float64(low) * 2.0**-64) * 2.0**-64
    # K is the number of tails above the uniform number; they fall, so bisection counts them.
    missing, end = 0, tails.size
    while missing < end:
        middle = (missing + end) // 2
        if tails[middle] > uniform:
            missing = middle + 1
        else:
            end = middle
    # Blocks hold a power of 2 of words, so a mask makes a place of 16 random bits without bias.
    last_word = np.uint64(events.size // element - 1)
    byte, position = bit // 8, np.uint8(bit % 8)
    flag = np.uint8(1) << position
    while missing > 0:
        drawn, a, b, c = _next(a, b, c, counter)
        counter += _ONE
        for _ in range(4):
            if missing == 0:
                break
            place = np.int64(drawn & last_word) * element + byte
            drawn >>= _16
            # A word drawn again does not count: rejection makes the set of words uniform, without replacement.
            before = events[place]
            events[place] = before | flag
            missing -= int(before >> position & 1 ^ 1)


@compiled
def flip_blocks(
    source: Bytes,
    target: Bytes,
    first: int,
    last: int,
    key: Lanes,
    element: int,
    dense: bool,
    asymmetric: bool,
    digits: Lanes,
    inverts: Lanes,
    event_bits: Ints,
    event_sides: Ints,
    starts: Ints,
    tails: Floats,
) -> None:
    """Blocks `first` to `last` of `source` with the errors of a `FlipRecipe`, into `target`."""
    error, stored = np.zeros(BLOCK // 8, np.uint64), np.zeros(BLOCK // 8, np.uint64)
    rising, falling = np.zeros(BLOCK // 8, np.uint64), np.zeros(BLOCK // 8, np.uint64)
    stored_bytes, error_bytes = stored.view(np.uint8), rising.view(np.uint8)
    invert, differ = inverts[0], inverts[0] ^ inverts[1]
    for block in range(first, last):
        # Slices, not sums of indices: only those become vector instructions.
        before, after = source[block * BLOCK : (block + 1) * BLOCK], target[block * BLOCK : (block + 1) * BLOCK]
        rows = (before.size + 8 * LANES - 1) // (8 * LANES)
        if asymmetric:
            for i in range(before.size):
                stored_bytes[i] = before[i]
        if dense:
            _draw_digits(error, stored, rows, key, block, asymmetric, digits)
        for kind in range(event_bits.size):
            side, bit = event_sides[kind], event_bits[kind]
            events = falling.view(np.uint8) if side else rising.view(np.uint8)
            number = block * STREAMS_OF_A_BLOCK + LANES + 16 * side + bit
            _draw_events(events, element, key, number, bit, tails[starts[kind] : starts[kind + 1]])
        if asymmetric:
            # Select per bit: the events of stored ones where a one is stored, else those of stored zeros.
            for i in range(rows * LANES):
                rising[i] ^= stored[i] & (rising[i] ^ falling[i])
            falling[:] = 0
        if dense:
            for i in range(rows * LANES):
                rising[i] = (rising[i] | error[i]) ^ invert ^ (stored[i] & differ)
        # By way of a buffer: source and target may be the same, and such a loop would not become vector instructions.
        for i in range(before.size):
            error_bytes[i] ^= before[i]
        for i in range(before.size):
            after[i] = error_bytes[i]
        rising[:] = 0


@compiled
def _decide_ties(
    wrong: Bytes,
    tied: Bytes,
    first: int,
    ties: Lanes,
    byte: int,
    held: np.uint8,
    plane: int,
    kinds: Bytes,
    rest: Floats,
) -> None:
    """Decide the cells of a byte of memory whose random byte equals the bound, by a second random number."""
    for bit in range(8):
        if tied[first + bit]:
            side = np.int64(held) >> bit & 1
            share = rest[side, 8 * plane + bit, np.int64(kinds[first + bit])]
            wrong[first + bit] = _uniform(ties, 8 * byte + bit) < share


@compiled
def static_blocks(
    source: Bytes,
    target: Bytes,
    first: int,
    last: int,
    key: Lanes,
    chip: Lanes,
    ties: Lanes,
    element: int,
    asymmetric: bool,
    whole: Bytes,
    rest: Floats,
) -> None:
    """Blocks of `source` with the errors of a `StaticRecipe`; classes of cells are drawn under the key `chip`."""
    # Two sets of streams in step: another `key` is another read of the same chip, whose cells keep their classes.
    a, b, c = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    d, e, f = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    uniforms, classes = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    kinds, bounds = classes.view(np.uint8), np.empty(8 * LANES, np.uint8)
    numbers, wrong = uniforms.view(np.uint8), np.empty(8 * LANES, np.uint8)
    tied, lanes_bounds = np.empty(8 * LANES, np.uint8), bounds.view(np.uint64)
    lanes_wrong, lanes_tied = wrong.view(np.uint64), tied.view(np.uint64)
    table, ones = whole.reshape(-1), np.uint64(whole.size // 2)
    for block in range(first, last):
        _start_lanes(a, b, c, key, block * STREAMS_OF_A_BLOCK)
        _start_lanes(d, e, f, chip, block * STREAMS_OF_A_BLOCK)
        counter = np.uint64(WARM_UP + 1)
        for start in range(block * BLOCK, min((block + 1) * BLOCK, source.size), LANES):
            before, after = source[start : start + LANES], target[start : start + LANES]
            for lane in range(LANES):
                uniforms[lane], a[lane], b[lane], c[lane] = _next(a[lane], b[lane], c[lane], counter)
                classes[lane], d[lane], e[lane], f[lane] = _next(d[lane], e[lane], f[lane], counter)
            counter += _ONE
            for lane in range(before.size):
                # Unsigned, so that no index needs the check for a negative one, which Python counts from the end.
                place = np.uint64(lane & (element - 1)) << _11
                kind, held, of_cells = classes[lane], np.uint64(before[lane]), np.uint64(0)
                if asymmetric:
                    for bit in range(8):
                        shift = np.uint64(bit)
                        side = ((held >> shift) & _ONE) * ones
                        bound = table[side + place + (shift << _8) + (kind & _BYTE)]
                        of_cells |= np.uint64(bound) << (_8 * shift)
                        kind >>= _8
                else:
                    for bit in range(8):
                        shift = np.uint64(bit)
                        bound = table[place + (shift << _8) + (kind & _BYTE)]
                        of_cells |= np.uint64(bound) << (_8 * shift)
                        kind >>= _8
                lanes_bounds[lane] = of_cells
            for cell in range(8 * LANES):
                wrong[cell] = numbers[cell] < bounds[cell]
                tied[cell] = numbers[cell] == bounds[cell]
            # One in 256 cells is tied, so this loop is apart from the one above, which becomes vector instructions.
            for lane in range(before.size):
                if lanes_tied[lane]:
                    plane = lane & (element - 1)
                    _decide_ties(wrong, tied, 8 * lane, ties, start + lane, before[lane], plane, kinds, rest)
            for lane in range(before.size):
                # The lowest bits of 8 bytes, side by side in the highest byte.
                after[lane] = before[lane] ^ np.uint8(lanes_wrong[lane] * _GATHER >> _56)


@compiled
def transition_blocks(
    source: Words,
    target: Words,
    first: int,
    last: int,
    key: Lanes,
    ties: Lanes,
    shifts: Ints,
    widths: Ints,
    slots: Bytes,
    labels: Bytes,
    bounds: Floats,
) -> None:
    """Blocks of `source`, of words of 8 or 16 bits, with the errors of a `TransitionRecipe`."""
    a, b, c = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    draws = (shifts.size + 3) // 4
    uniforms, table = np.empty(draws * LANES, np.uint64), slots.reshape(-1)
    masks = ((1 << widths) - 1).astype(np.uint64)
    # Bits above the last cell belong to no cell and stay as stored.
    beyond = ~np.uint64((1 << (shifts[-1] + widths[-1])) - 1)
    for block in range(first, last):
        _start_lanes(a, b, c, key, block * STREAMS_OF_A_BLOCK)
        counter = np.uint64(WARM_UP + 1)
        for start in range(block * BLOCK, min((block + 1) * BLOCK, source.size), LANES):
            for draw in range(draws):
                drawn = uniforms[draw * LANES : (draw + 1) * LANES]
                for lane in range(LANES):
                    drawn[lane], a[lane], b[lane], c[lane] = _next(a[lane], b[lane], c[lane], counter)
                counter += _ONE
            before, after = source[start : start + LANES], target[start : start + LANES]
            for lane in range(before.size):
                word = np.uint64(before[lane])
                read = word & beyond
                for cell in range(shifts.size):
                    stored = (word >> np.uint64(shifts[cell])) & masks[cell]
                    uniform = uniforms[(cell & ~3) * (LANES // 4) + lane] >> np.uint64(16 * (cell & 3)) & _TWO_BYTES
                    slot = uniform >> _SLOT_SHIFT
                    label = np.uint64(table[((np.uint64(16 * cell) + stored) << _SLOT_BITS) | slot])
                    if label == _UNDECIDED:
                        # A border between labels lies in the slot: 53 more bits place the number inside of it.
                        inside = _uniform(ties, 16 * (start + lane) + cell)
                        place = 0
                        while bounds[cell, stored, place] - np.float64(slot) <= inside:
                            place += 1
                        label = np.uint64(labels[cell, stored, place])
                    read |= label << np.uint64(shifts[cell])
                after[lane] = read
