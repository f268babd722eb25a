"""The kernels of the sampler in NumPy, for where Numba cannot be imported: slower, the same bits as `numba_kernels`."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qtaml.sampling.recipe import BLOCK, LANES, SLOTS, STREAMS_OF_A_BLOCK, UNDECIDED, WARM_UP, Floats

Bytes = NDArray[np.uint8]
Lanes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint8] | NDArray[np.uint16]

# Blocks of a batch: many, so that calls of NumPy cost little beside their work; 2 MiB for each of the four work arrays.
_BLOCKS_AT_A_TIME = 128
# Beyond every word of a block, so that it sorts behind all of them.
_NOWHERE = np.uint16(2**16 - 1)
# Arrays of dimension 0, which NumPy takes faster than numbers.
_9, _11, _24, _40 = (np.array(n, np.uint64) for n in (9, 11, 24, 40))
_GOLDEN, _FIRST, _SECOND = (np.uint64(m) for m in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Streams:
    """Streams of SFC64 side by side, one for each of `numbers`, under one key of 128 bits."""

    def __init__(self, key: Lanes, numbers: NDArray[np.integer]) -> None:
        self._c = numbers.astype(np.uint64)
        self._a, self._b = np.full_like(self._c, key[0]), np.full_like(self._c, key[1])
        self._spare = np.empty_like(self._c)
        self._counter = 1
        for _ in range(WARM_UP):
            self.next()

    def next(self) -> Lanes:
        """The next number of each stream."""
        a, b, c, spare = self._a, self._b, self._c, self._spare
        # Only `drawn` is new memory, since it is returned; this order lets the rest be overwritten in place.
        drawn = a + b
        drawn += np.uint64(self._counter)
        np.right_shift(b, _11, out=a)
        a ^= b
        np.multiply(c, _9, out=b)  # c + (c << 3)
        np.left_shift(c, _24, out=spare)
        c >>= _40
        c |= spare
        c += drawn
        self._counter += 1
        return drawn


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
    # One piece of memory for all batches: fresh pages cost more than what is done with them.
    work = np.zeros((4, min(last - first, _BLOCKS_AT_A_TIME) * BLOCK), np.uint8)
    planes = [work[2 + side, bit // 8 :: element] for side, bit in zip(event_sides, event_bits, strict=True)]
    flags = [1 << bit % 8 for bit in event_bits.tolist()]
    for blocks, span in _batches(first, last, source.size):
        count = span.stop - span.start
        held, error, rising, falling = (
            part[: len(blocks) * BLOCK].view(np.uint64).reshape(len(blocks), -1) for part in work
        )
        if asymmetric:
            work[0, :count] = source[span]
        if dense:
            rows = min(BLOCK // (8 * LANES), -(-count // (8 * LANES)))
            # Rows of all blocks side by side, the order in which the streams draw them: written in one piece.
            error = error.reshape(-1, len(blocks) * LANES)
            _draw_digits(error, held, _lanes(key, blocks), rows, digits if asymmetric else digits[[0, 0]])
        if len(event_bits):
            numbers = (LANES + 16 * event_sides + event_bits)[:, np.newaxis] + blocks * STREAMS_OF_A_BLOCK
            kinds = [tails[start:stop] for start, stop in pairwise(starts)]
            _draw_events(Streams(key, numbers.reshape(-1)), kinds, planes, flags, BLOCK // element)
        if asymmetric:
            falling ^= rising
            falling &= held
            rising ^= falling
        if dense:
            by_rows = rising.reshape(len(blocks), -1, LANES).swapaxes(0, 1)
            by_rows |= error.reshape(by_rows.shape)
            rising ^= inverts[0]
            if asymmetric:
                rising ^= held & (inverts[0] ^ inverts[1])
        np.bitwise_xor(source[span], work[2, :count], out=target[span])
        work[2:] = 0


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
    # Index into the flattened tables of each of the 8 cells of neighbouring bytes, for class 0 and stored zeros.
    planes = ((np.arange(LANES) % element * 8)[:, np.newaxis] + np.arange(8)) << 8
    for blocks, span in _batches(first, last, source.size):
        words = _padded(source, blocks, span).view(np.uint8)
        numbers, classes = _lanes(key, blocks), _lanes(chip, blocks)
        for row in range(-(-min(span.stop - span.start, BLOCK) // LANES)):
            stored = words[:, row]
            place = planes + classes.next().view(np.uint8).reshape(len(blocks), LANES, 8)
            if asymmetric:
                place += np.unpackbits(stored[..., np.newaxis], axis=2, bitorder="little") * np.int64(whole[0].size)
            number, bound = numbers.next().view(np.uint8).reshape(place.shape), whole.reshape(-1)[place]
            wrong = number < bound
            block, lane, bit = np.nonzero(number == bound)
            # The index of a cell in the whole memory, as in the compiled kernel: ties do not depend on the batches.
            index = 8 * ((blocks[block] * BLOCK) + row * LANES + lane) + bit
            wrong[block, lane, bit] = _uniform(ties, index) < rest.reshape(-1)[place[block, lane, bit]]
            stored ^= np.packbits(wrong, axis=2, bitorder="little")[..., 0]
        target[span] = words.reshape(-1)[: span.stop - span.start]


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
    for blocks, span in _batches(first, last, source.size):
        words = _padded(source, blocks, span)
        streams = _lanes(key, blocks)
        for row in range(-(-min(span.stop - span.start, BLOCK) // LANES)):
            stored_words = words[:, row].astype(np.int64)
            read = stored_words & (-1 << int(shifts[-1] + widths[-1]))
            for cell, (shift, width) in enumerate(zip(shifts.tolist(), widths.tolist(), strict=True)):
                if cell % 4 == 0:
                    drawn = streams.next().view(np.uint16).reshape(len(blocks), LANES, 4)
                stored, slot = stored_words >> shift & (1 << width) - 1, (drawn[..., cell % 4] // (2**16 // SLOTS))
                label = slots[cell, stored, slot]
                block, lane = np.nonzero(label == UNDECIDED)
                if len(block):
                    inside = _uniform(ties, 16 * (blocks[block] * BLOCK + row * LANES + lane) + cell)
                    held, start = stored[block, lane], slot[block, lane]
                    passed = bounds[cell, held, : 1 << width] - start[:, np.newaxis] <= inside[:, np.newaxis]
                    label[block, lane] = labels[cell, held, passed.sum(axis=1)]
                read |= label.astype(np.int64) << shift
            words[:, row] = read
        target[span] = words.reshape(-1)[: span.stop - span.start]


def _batches(first: int, last: int, size: int) -> Iterator[tuple[Ints, slice]]:
    """Batches of block numbers, each with the slice of its words."""
    for start in range(first, last, _BLOCKS_AT_A_TIME):
        stop = min(start + _BLOCKS_AT_A_TIME, last)
        yield np.arange(start, stop), slice(start * BLOCK, min(stop * BLOCK, size))


def _padded(source: Words, blocks: Ints, span: slice) -> Words:
    """Copy of the words, padded with zeros to whole blocks: shape (blocks, rows, LANES)."""
    words: Words = np.zeros(len(blocks) * BLOCK, source.dtype)
    words[: span.stop - span.start] = source[span]
    return words.reshape(len(blocks), -1, LANES)


def _lanes(key: Lanes, blocks: Ints) -> Streams:
    """The digit streams of the given blocks, all side by side."""
    return Streams(key, (blocks[:, np.newaxis] * STREAMS_OF_A_BLOCK + np.arange(LANES)).reshape(-1))


def _draw_digits(error: Lanes, held: Lanes, streams: Streams, rows: int, digits: Lanes) -> None:
    """Errors of probability m/256: from the last digit up, a digit 1 of m is `or` of a random bit, a 0 is `and`.

    Errors are in the order of the draws: a row of all blocks, then the next.
    """
    # Bits with any digit at all. The others are cleared in the end, so that a digit which all active bits share takes
    # one pass, whatever it does to the rest.
    active = np.bitwise_or.reduce(digits, axis=None)
    for row in range(rows):
        result = np.zeros(error.shape[1], np.uint64)
        for zeros, ones in digits.T:
            drawn = streams.next()
            if zeros != ones:
                digit = zeros ^ (held[:, row * LANES : (row + 1) * LANES].reshape(-1) & (zeros ^ ones))
                result = (drawn & (result | digit)) | (result & digit)
            elif zeros == active:
                result |= drawn
            elif zeros == 0:
                result &= drawn
            else:
                result = (drawn & (result | zeros)) | (result & zeros)
        np.bitwise_and(result, active, out=error[row])


def _draw_events(
    streams: Streams, kinds: Sequence[Floats], planes: Sequence[Bytes], flags: Sequence[int], words: int
) -> None:
    """Set the flag of each kind of event in K distinct uniform words of each block, K binomial.

    Args:
        streams: those of each block for the first kind, then for the next.
        kinds: tails of the binomial law of each kind.
        planes: for each kind, one byte of each word of all blocks, the flag not set.
        flags: the bit to set.
        words: number in a block.
    """
    high, low = streams.next().astype(np.float64), streams.next().astype(np.float64)
    uniform = ((high + low * 2.0**-64) * 2.0**-64).reshape(len(kinds), -1)
    counts = [np.searchsorted(-tails, -drawn, side="left") for tails, drawn in zip(kinds, uniform, strict=True)]
    places = np.empty((*uniform.shape, 0), np.uint16)
    for kind, (count, plane, flag) in enumerate(zip(counts, planes, flags, strict=True)):
        # All missing words at once. The compiled kernel draws singly until none is missing, which takes at least as
        # many draws: both use the same numbers of the stream and get the same words.
        missing, taken = count, np.zeros_like(count)
        while len(block := np.flatnonzero(missing)[:, np.newaxis]):
            column = np.arange(missing.max())
            most = taken.max() + len(column)
            if most > places.shape[2]:
                # Enough for the largest count of all kinds and a few repeats, so that there are few such rounds.
                most = max(most, *map(np.max, counts)) + 8
                more = np.stack([streams.next() for _ in range(-(-(most - places.shape[2]) // 4))], axis=1)
                places = np.concatenate([places, more.view(np.uint16).reshape(*uniform.shape, -1)], axis=2)
            place = places[kind, block, taken[block] + column] & words - 1
            place[column >= missing[block]] = _NOWHERE
            place.sort(axis=1, kind="stable")  # radix sort: fast on any processor
            # Sorted, a word drawn twice in this round stands beside itself.
            again = np.zeros(place.shape, bool)
            np.equal(place[:, 1:], place[:, :-1], out=again[:, 1:])
            inside = place != _NOWHERE
            word = (place + block * words)[inside]
            held = plane[word]
            plane[word] = held | flag
            drawn_before = again[inside] | (held & flag > 0)
            taken += missing
            missing = np.bincount(word[drawn_before] // words, minlength=len(count))


def _uniform(key: Lanes, index: Ints) -> Floats:
    """Uniform numbers in [0, 1) as hashes of indices under the key: two rounds of SplitMix64."""
    x = key[0] + index.astype(np.uint64) * _GOLDEN
    for rounds in range(2):
        x = (x ^ (x >> np.uint64(30))) * _FIRST
        x = (x ^ (x >> np.uint64(27))) * _SECOND
        x ^= x >> np.uint64(31)
        if rounds == 0:
            x ^= key[1]
    return np.asarray((x >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
