"""The one fast sampler of error masks: independent bit errors, exact in distribution, on CPU and CUDA.

A bit is in error when a uniform number U in [0, 1) lies below its probability p. Only as many binary digits of U are
drawn as the comparison needs: 64 bits of the memory advance together, one random digit each, until their digit differs
from that of p. After a few digits almost all are decided, and only the lanes that still hold an undecided bit go on.
A float has finitely many binary digits, so no probability is rounded at all; the errors are independent by
construction; and the cost depends neither on p nor on whether the bit positions share it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from qtaml import _checks
from qtaml._random import child_seed, torch_generator
from qtaml.errors import ArgumentError

_LANE_BITS = 64
_LANES_PER_CHUNK = 1 << 17
_DIGITS_PER_PASS = 9

_RandomLanes = Callable[[int], torch.Tensor]


def word_dtype(bits: int) -> torch.dtype:
    """The integer dtype that holds words of `bits` bits: uint8 up to 8 bits, uint16 up to 16.

    Example:
        >>> word_dtype(8), word_dtype(9)
        (torch.uint8, torch.uint16)
    """
    return torch.uint8 if _checks.integer("bits", bits, 1, 16) <= 8 else torch.uint16


def error_mask(
    shape: Sequence[int],
    probabilities: Sequence[float],
    *,
    seed: int,
    device: torch.device | str = "cpu",
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Draw a word for each stored weight whose set bits are the bits read wrong.

    Args:
        shape: shape of the mask.
        probabilities: probability of an error for each bit position, bit 0 (least significant) first; 1 to 16 of them.
        seed: the same seed gives the same bits on the same kind of device, whatever the number of threads.
        device: where the mask is made; ignored when `out` is given.
        out: a contiguous tensor of `word_dtype(len(probabilities))` and of the given shape to overwrite.

    Returns:
        The mask: words of `word_dtype(len(probabilities))`.

    Raises:
        ArgumentError: if a probability is outside [0, 1], their number is, or `out` does not fit.

    Example:
        >>> error_mask((4,), [0.0, 1.0], seed=0)
        tensor([2, 2, 2, 2], dtype=torch.uint8)
    """
    dtype = word_dtype(len(probabilities))
    rates = [_checks.probability(f"probabilities[{i}]", p) for i, p in enumerate(probabilities)]
    if out is None:
        out = torch.empty(tuple(shape), dtype=dtype, device=device)
    elif out.dtype != dtype or out.shape != torch.Size(shape) or not out.is_contiguous():
        raise ArgumentError(
            f"out must be a contiguous {dtype} tensor of shape {tuple(shape)}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    target = out.reshape(-1).view(torch.uint8)
    bytes_per_chunk = _LANES_PER_CHUNK * _LANE_BITS // 8
    for chunk, start in enumerate(range(0, target.numel(), bytes_per_chunk)):
        part = target[start : start + bytes_per_chunk]
        lanes = -(-part.numel() * 8 // _LANE_BITS)
        mask = _chunk(lanes, rates, child_seed(seed, "error mask", chunk), out.device)
        part.copy_(mask.view(torch.uint8)[: part.numel()])
    return out


def flip(words: torch.Tensor, probabilities: Sequence[float], *, seed: int, in_place: bool = False) -> torch.Tensor:
    """Words with independent bit errors, each bit position with its own probability.

    Args:
        words: contiguous or not, of `word_dtype(len(probabilities))`.
        probabilities: as for `error_mask`.
        seed: as for `error_mask`.
        in_place: overwrite `words` instead of returning new ones.

    Returns:
        The words as read.

    Raises:
        ArgumentError: if the words have another dtype, or as `error_mask`.

    Example:
        >>> flip(torch.tensor([0, 3], dtype=torch.uint8), [1.0, 0.0], seed=0)
        tensor([1, 2], dtype=torch.uint8)
    """
    if words.dtype != word_dtype(len(probabilities)):
        raise ArgumentError(
            f"words of {len(probabilities)} bits must be {word_dtype(len(probabilities))}, got {words.dtype}"
        )
    if not any(probabilities):
        return words if in_place else words.clone()
    mask = error_mask(words.shape, probabilities, seed=seed, device=words.device)
    return words.bitwise_xor_(mask) if in_place else words ^ mask


def flip_asymmetric(
    words: torch.Tensor, p01: Sequence[float], p10: Sequence[float], *, seed: int, in_place: bool = False
) -> torch.Tensor:
    """Words with independent bit errors whose probability depends on the stored bit.

    Args:
        words: contiguous or not, of `word_dtype(len(p01))`.
        p01: probability of reading 1 where 0 is stored, bit 0 first.
        p10: probability of reading 0 where 1 is stored, bit 0 first.
        seed: as for `error_mask`.
        in_place: overwrite `words` instead of returning new ones.

    Returns:
        The words as read.

    Raises:
        ArgumentError: as `flip`.

    Example:
        >>> flip_asymmetric(torch.tensor([0, 3], dtype=torch.uint8), [0.0, 0.0], [1.0, 0.0], seed=0)
        tensor([0, 2], dtype=torch.uint8)
    """
    rising = flip(torch.zeros_like(words), p01, seed=child_seed(seed, "0 to 1"), in_place=True)
    falling = flip(torch.zeros_like(words), p10, seed=child_seed(seed, "1 to 0"), in_place=True)
    mask = rising ^ ((rising ^ falling) & words)
    return words.bitwise_xor_(mask) if in_place else words ^ mask


def _chunk(lanes: int, rates: list[float], seed: int, device: torch.device) -> torch.Tensor:
    """Error mask of `lanes` 64-bit lanes."""
    undecided = torch.full((lanes,), _lane([0 < p < 1 for p in rates]), dtype=torch.int64, device=device)
    error = _decide(undecided, _binary_digits(rates), _random_lanes(seed, device))
    certain = _lane([p == 1 for p in rates])
    return error.bitwise_or_(certain) if certain else error


def _decide(undecided: torch.Tensor, digits: Sequence[int], random: _RandomLanes) -> torch.Tensor:
    """Errors among the undecided bits, given the digits of their probabilities from here on.

    The random digit is drawn as 'differs from that of p', which is as likely as not whatever the digit of p. Where it
    differs and that of p is one, U lies below p: an error.
    """
    error = torch.zeros_like(undecided)
    for pattern in digits[:_DIGITS_PER_PASS]:
        differs = random(len(undecided)).bitwise_and_(undecided)
        undecided.bitwise_xor_(differs)
        if pattern:
            error.bitwise_or_(differs.bitwise_and_(pattern))
    rest = digits[_DIGITS_PER_PASS:]
    where = undecided.nonzero().squeeze(1) if rest else ()
    if len(where):
        error[where] |= _decide(undecided[where], rest, random)
    return error


def _binary_digits(rates: list[float]) -> list[int]:
    """Lane patterns of the binary digits of all probabilities, most significant first: exact, for floats end."""
    digits = []
    left = [p if p < 1 else 0.0 for p in rates]
    while any(left):
        digits.append(_lane([x >= 0.5 for x in left]))
        left = [2 * x - (x >= 0.5) for x in left]
    return digits


def _lane(positions: Sequence[bool]) -> int:
    """64-bit pattern, as a signed integer, that repeats the given bits of one word in each word of the lane."""
    word = sum(1 << i for i, is_set in enumerate(positions) if is_set)
    width = 8 if len(positions) <= 8 else 16
    unsigned = sum(word << start for start in range(0, _LANE_BITS, width))
    return unsigned - (1 << _LANE_BITS) if unsigned >> (_LANE_BITS - 1) else unsigned


def _random_lanes(seed: int, device: torch.device) -> _RandomLanes:
    """A source of random 64-bit lanes on `device`."""
    if device.type == "cpu":
        # NumPy's SFC64 is twice as fast as torch's generator on a CPU.
        host = np.random.Generator(np.random.SFC64(seed))
        return lambda count: torch.from_numpy(host.integers(-(2**63), 2**63, count, dtype=np.int64))
    generator = torch_generator(seed, device=device)
    return lambda count: torch.empty(count, dtype=torch.int64, device=device).random_(
        -(2**63), None, generator=generator
    )
