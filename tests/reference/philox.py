"""Philox4x32-10 (Salmon et al. 2011), one number at a time, and errors drawn with its digits by exact fractions."""

from collections.abc import Sequence
from fractions import Fraction

_FACTORS = 0xD2511F53, 0xCD9E8D57
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_WORD = 2**32
_DRAWS = 16


def philox(counter: tuple[int, int, int, int], key: int) -> tuple[int, int, int, int]:
    """Four random words of 32 bits that belong to a counter and a key of 64 bits."""
    keys = [key % _WORD, key >> 32]
    for _ in range(10):
        first, second = _FACTORS[0] * counter[0], _FACTORS[1] * counter[2]
        counter = (
            second >> 32 ^ counter[1] ^ keys[0],
            second % _WORD,
            first >> 32 ^ counter[3] ^ keys[1],
            first % _WORD,
        )
        keys = [(word + step) % _WORD for word, step in zip(keys, _KEY_STEPS, strict=True)]
    return counter


def plain_read(words: Sequence[int], width: int, p01: Sequence[float], p10: Sequence[float], key: int) -> list[int]:
    """Words as read: a bit is wrong if the fraction with its 64 first random digits lies below its probability.

    A lane of 32 bits of memory has the digits 2, 3, ... (Philox makes four at once) for all of its bits.
    """
    read = []
    for index, word in enumerate(words):
        lane, start = divmod(index * width, 32)
        drawn = [digits for place in range(_DRAWS) for digits in philox((lane, 0, 4 * place + 2, 0), key)]
        for bit, rates in enumerate(zip(p01, p10, strict=True)):
            uniform = sum(Fraction(digit >> start + bit & 1, 2 ** (i + 1)) for i, digit in enumerate(drawn))
            word ^= (uniform < Fraction(rates[word >> bit & 1])) << bit
        read.append(word)
    return read
