"""Error masks with PyTorch's operators alone, on any device: the fallback where no kernel of the sampler runs.

A bit is in error when a uniform number U in [0, 1) lies below its probability p. Only as many binary digits of U are
drawn as the comparison needs: 64 bits of the memory advance together, one random digit each, until their digit differs
from that of p. After a few digits almost all are decided, and only the lanes that still hold an undecided bit go on.
A float has finitely many binary digits, so no probability is rounded.
"""

from collections.abc import Callable, Sequence

import torch

from qtaml._random import child_seed, torch_generator

_LANE_BITS = 64
# A chunk is 1 MiB of mask, so that temporaries stay small, and has a generator of its own. Its size is part of what a
# seed means, and so is that of a pass.
_LANES_PER_CHUNK = 1 << 17
# Digits before undecided lanes are gathered: after 9, 12% of the lanes of 64 bits still hold an undecided bit.
_DIGITS_PER_PASS = 9

_RandomLanes = Callable[[int], torch.Tensor]


def draw_mask(out: torch.Tensor, rates: Sequence[float], seed: int) -> None:
    """Overwrite words with an error mask.

    Args:
        out: contiguous words, uint8 or uint16, on any device.
        rates: probability of an error of each bit, in [0, 1], bit 0 first.
        seed: the same seed gives the same bits on the same kind of device.
    """
    target = out.reshape(-1).view(torch.uint8)
    bytes_per_chunk = _LANES_PER_CHUNK * _LANE_BITS // 8
    for chunk, start in enumerate(range(0, target.numel(), bytes_per_chunk)):
        part = target[start : start + bytes_per_chunk]
        lanes = -(-part.numel() * 8 // _LANE_BITS)
        mask = _chunk(lanes, rates, child_seed(seed, "error mask", chunk), out.device)
        part.copy_(mask.view(torch.uint8)[: part.numel()])


def _chunk(lanes: int, rates: Sequence[float], seed: int, device: torch.device) -> torch.Tensor:
    """Error mask of `lanes` 64-bit lanes."""
    undecided = torch.full((lanes,), lane_pattern([0 < p < 1 for p in rates]), dtype=torch.int64, device=device)
    error = _decide(undecided, binary_digits(rates), _random_lanes(seed, device))
    certain = lane_pattern([p == 1 for p in rates])
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


def binary_digits(rates: Sequence[float]) -> list[int]:
    """Lane patterns of the binary digits of all probabilities, most significant first: exact, for floats end."""
    digits = []
    left = [p if p < 1 else 0.0 for p in rates]
    while any(left):
        digits.append(lane_pattern([x >= 0.5 for x in left]))
        left = [2 * x - (x >= 0.5) for x in left]
    return digits


def lane_pattern(positions: Sequence[bool]) -> int:
    """64-bit pattern, as a signed integer, that repeats the given bits of one word in each word of the lane."""
    word = sum(1 << i for i, is_set in enumerate(positions) if is_set)
    width = 8 if len(positions) <= 8 else 16
    unsigned = sum(word << start for start in range(0, _LANE_BITS, width))
    return unsigned - (1 << _LANE_BITS) if unsigned >> (_LANE_BITS - 1) else unsigned


def _random_lanes(seed: int, device: torch.device) -> _RandomLanes:
    """Return `count -> count random 64-bit lanes` on `device`."""
    generator = torch_generator(seed, device=device)
    # From -2^63 without an upper end, since 2^63 is no int64: all 64 bits are random.
    return lambda count: torch.empty(count, dtype=torch.int64, device=device).random_(
        -(2**63), None, generator=generator
    )
