"""Count the words of each weight of BCH codes anew: python -m tools.bch_weights.

Writes `bch_weights.json`, which makes the residual rates of `Bch` exact; half a minute of one core.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qtaml import protections
from qtaml._files import to_json, write_text
from qtaml._progress import track
from qtaml.protections.bch import CODES, WEIGHTS, BchWeights
from qtaml.protections.polynomial import signed_binomials

# Codes of at most so many dimensions, or with so many checks, are counted word by word.
_COUNTABLE = 30
# Primitive polynomials of GF(2**m), as bits.
_PRIMITIVE = {4: 0b10011, 5: 0b100101, 6: 0b1000011, 7: 0b10001001}
_WORD = 64
_TABLE_BITS = 15


def generator_polynomial(n: int, corrects: int) -> int:
    """Generator of the narrow-sense primitive BCH code of length n that corrects so many errors, as bits.

    Example:
        >>> bin(generator_polynomial(15, 2))
        '0b111010001'
    """
    m = n.bit_length()
    powers = [1]
    for _ in range(n - 1):
        power = powers[-1] << 1
        powers.append(power ^ _PRIMITIVE[m] if power >> m else power)
    logs = {power: i for i, power in enumerate(powers)}
    roots = {(exponent << i) % n for exponent in range(1, 2 * corrects + 1) for i in range(m)}
    product = [1]
    for root in roots:  # times (x + alpha**root)
        shifted = [0, *product]
        scaled = [powers[(logs[c] + root) % n] if c else 0 for c in product] + [0]
        product = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
    return sum(1 << i for i, c in enumerate(product) if c)


def weights(n: int, data_bits: int, corrects: int) -> list[int]:
    """Number of code words of each weight 0 to n, through the dual code where that is smaller."""
    generator = generator_polynomial(n, corrects)
    if data_bits <= n - data_bits:
        return _counted([generator << i for i in range(data_bits)], n)
    checks = [_reversed(_divided((1 << n) | 1, generator), data_bits) << i for i in range(n - data_bits)]
    dual = _counted(checks, n)
    total = [0] * (n + 1)
    for weight, count in enumerate(dual):
        if count:
            total = [t + count * k for t, k in zip(total, signed_binomials(weight, n - weight), strict=True)]
    return [t >> n - data_bits for t in total]


def _counted(basis: Sequence[int], n: int) -> list[int]:
    """Weights of all sums of the basis words: a table of the first ones, XORed with each sum of the others."""
    parts = -(-n // _WORD)
    rows = np.array([[row >> _WORD * i & (1 << _WORD) - 1 for i in range(parts)] for row in basis], dtype=np.uint64)
    table = np.zeros((1, parts), dtype=np.uint64)
    for row in rows[:_TABLE_BITS]:
        table = np.concatenate([table, table ^ row])
    table = np.ascontiguousarray(table.T)
    total = np.zeros(n + 1, dtype=np.int64)
    others, offset = rows[_TABLE_BITS:], np.zeros(parts, dtype=np.uint64)
    for step in range(1 << len(others)):
        if step:  # Gray code: one basis word comes or goes
            offset = offset ^ others[(step & -step).bit_length() - 1]
        heavy = sum(np.bitwise_count(part ^ o) for part, o in zip(table, offset, strict=True))
        total += np.bincount(heavy, minlength=n + 1)
    return [int(count) for count in total]


def _divided(dividend: int, divisor: int) -> int:
    """Quotient of polynomials over GF(2) that divide without rest."""
    quotient = 0
    while dividend.bit_length() >= divisor.bit_length():
        shift = dividend.bit_length() - divisor.bit_length()
        quotient |= 1 << shift
        dividend ^= divisor << shift
    return quotient


def _reversed(polynomial: int, degree: int) -> int:
    return sum(1 << degree - i for i in range(degree + 1) if polynomial >> i & 1)


def countable() -> list[tuple[int, int, int]]:
    """The codes whose weights are counted."""
    return [code for code in CODES if min(code[1], code[0] - code[1]) <= _COUNTABLE]


if __name__ == "__main__":
    counted = [BchWeights(*code, tuple(map(str, weights(*code)))) for code in track(countable(), "BCH weights")]
    write_text(Path(protections.__file__).with_name(WEIGHTS), to_json(tuple(counted)))
