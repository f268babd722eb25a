"""Protections: residual rates against enumeration, theory.md 5.2 and each other; costs; the menu."""

import numpy as np
import pytest

from qtaml.errors import ArgumentError
from qtaml.formats import EvenLevels, Format
from qtaml.protections import (
    Bch,
    BlockCode,
    Hamming,
    HardenedCell,
    Ideal,
    Raw,
    Repetition,
    pareto_front,
)
from qtaml.protections.bch import CODES
from tests.reference.block_codes import cyclic_columns, enumerated_residual
from tests.tolerances import EXACT_MATHS
from tools.bch_weights import generator_polynomial, weights

# theory.md 5.2: residual rate at p = 1e-6, 1e-4, 1e-3, 1e-2, 0.05 and 0.1.
TABLE = {
    Hamming(4): (9.0e-12, 9.0e-8, 9.0e-6, 8.7e-4, 0.0194, 0.0669),
    Hamming(4, detects_two=True): (7.0e-12, 7.0e-8, 7.0e-6, 6.9e-4, 0.0158, 0.0563),
    Hamming(8): (1.5e-11, 1.5e-7, 1.5e-5, 1.4e-3, 0.0288, 0.0882),
    Hamming(32, detects_two=True): (3.8e-11, 3.8e-7, 3.7e-5, 3.3e-3, 0.0460, 0.104),
    Hamming(64, detects_two=True): (7.1e-11, 7.1e-7, 6.9e-5, 5.3e-3, 0.0516, 0.103),
    Repetition(3): (3e-12, 3e-8, 3e-6, 3.0e-4, 0.00725, 0.0280),
    Repetition(5): (1e-17, 1e-11, 1e-8, 9.9e-6, 0.00116, 0.00856),
    Repetition(7): (3.5e-23, 3.5e-15, 3.5e-11, 3.4e-7, 1.9e-4, 0.0027),
    Bch(15, 7, 2): (1.15e-16, 1.15e-10, 1.14e-7, 1.06e-4, 0.0095, 0.0506),
    Bch(15, 5, 3): (4.7e-22, 4.7e-14, 4.6e-10, 4.3e-6, 0.0019, 0.0200),
    Bch(63, 36, 5): (6.7e-30, 6.7e-18, 6.4e-12, 4.2e-6, 0.0102, 0.0774),
    Bch(63, 24, 7): (4.9e-40, 4.9e-24, 4.7e-16, 3.0e-8, 0.00174, 0.0428),
    Bch(127, 64, 10): (3.7e-52, 3.6e-30, 3.3e-19, 1.3e-8, 0.0093, 0.140),
    Bch(127, 29, 21): (4.3e-109, 4.3e-65, 3.9e-43, 1.6e-21, 6.2e-8, 0.0014),
}


@pytest.mark.parametrize("code", TABLE, ids=repr)
def test_theory_table(code):
    """The rates of theory.md 5.2 to the digits printed there."""
    for p, expected in zip((1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.1), TABLE[code], strict=True):
        assert code.residual(p, p)[0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("code", [Hamming(4), Hamming(8), Hamming(5, True), Hamming(8, True), Hamming(1)], ids=repr)
def test_hamming_by_enumeration(code, p):
    """Every error pattern through a syndrome decoder gives the same rate."""
    expected = enumerated_residual(code.columns, range(code.data_bits), 1, p)
    assert code.residual(p, p)[0] == pytest.approx(expected, rel=EXACT_MATHS)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.4])
@pytest.mark.parametrize(("k", "t"), [(7, 2), (5, 3)])
def test_bch_by_enumeration(k, t, p):
    """Miscorrections included; the data bits of the systematic cyclic code are the upper ones."""
    columns = cyclic_columns(generator_polynomial(15, t), 15)
    expected = enumerated_residual(columns, range(15 - k, 15), t, p)
    assert Bch(15, k, t).residual(p, p)[0] == pytest.approx(expected, rel=EXACT_MATHS)


def test_sizes():
    """The shortened codes have the lengths that their names say."""
    codes = (Hamming(11), Hamming(8), Hamming(32, True), Hamming(64, True), Hamming(120))
    assert [code.block for code in codes] == [(11, 15), (8, 12), (32, 39), (64, 72), (120, 127)]


def test_sec_ded_columns():
    """Odd weight, all different: no two errors look like one."""
    columns = Hamming(64, detects_two=True).columns
    assert len(set(columns)) == 72
    assert all(column.bit_count() % 2 for column in columns)


@pytest.mark.parametrize("code", [code for code in CODES if code[0] <= 31 or code[1] <= 16])
def test_shipped_weights_are_those_of_the_code(code):
    """Counted anew; the lightest word has at least 2 t + 1 ones."""
    n, k, t = code
    counted = weights(n, k, t)
    assert sum(counted) == 2**k
    assert not any(counted[1 : 2 * t + 1])
    assert not Bch(n, k, t).is_bound


@pytest.mark.parametrize("code", [Bch(*code) for code in CODES], ids=repr)
def test_bch_slope(code):
    """At small p the patterns of t + 1 errors decide: between C(n, t+1) (t+1)/n and (2t+1)/n times p**(t+1)."""
    n, t, p = code.code_bits, code.corrects, 1e-5
    patterns = np.prod([(n - i) / (i + 1) for i in range(t + 1)])
    low, high = (patterns * share / n * p ** (t + 1) for share in (t + 1, 2 * t + 1))
    assert low * (1 - 1e-2) <= code.residual(p, p)[0] <= high * (1 + EXACT_MATHS)


def test_repetition_votes():
    """Asymmetric errors, by hand: three copies, two of which have to be read as 1."""
    a, b = 0.02, 0.3
    p01, p10 = Repetition(3).residual(a, b)
    assert p01 == pytest.approx(3 * a**2 * (1 - a) + a**3, rel=EXACT_MATHS)
    assert p10 == pytest.approx(3 * b**2 * (1 - b) + b**3, rel=EXACT_MATHS)


@pytest.mark.parametrize("copies", [2, 3, 4])
def test_or_decoding_on_a_z_channel(copies):
    """theory.md 5.2: the mean residual rate is p**copies / 2."""
    vote = Repetition.best(copies, 0.0, 0.1)
    assert vote.ones == 1
    assert sum(vote.residual(0.0, 0.1)) / 2 == pytest.approx(0.1**copies / 2, rel=EXACT_MATHS)


def test_best_vote_of_symmetric_errors_is_the_majority():
    """Also where two votes make equally many errors."""
    assert [Repetition.best(copies, 0.1, 0.1).ones for copies in (3, 5, 7)] == [2, 3, 4]
    assert sum(Repetition.best(4, 0.1, 0.1).residual(0.1, 0.1)) == pytest.approx(sum(Repetition(3).residual(0.1, 0.1)))


def test_the_last_block_is_shortened():
    """Its parity is stored whole, its data as far as there are any; 5G hides the first 208 of 1,000."""
    assert BlockCode(1000, 2480).cells_for(10) == 1480 + 208
    assert BlockCode(1000, 2480).cells_for(1999) == 2480 + 2479
    assert Hamming(32, True).cells_for(33) == 39 + 7 + 1
    assert Repetition(3).cells_for(33) == 99


def test_format_with_real_costs():
    """A format adds fractions of cells."""
    fmt = Format(EvenLevels(3), (Raw(), Hamming(4), BlockCode(1000, 2480)))
    assert fmt.cells == pytest.approx(1 + 1.75 + 2.48)


def test_menu_is_a_frontier():
    """Dearer is better, and nothing real beats every price listed."""
    for rates in ((0.05, 0.05), (0.1, 0.1), (0.0, 0.1)):
        menu = pareto_front(*rates)
        errors = [sum(one.residual(*rates)) for one in menu]
        cells = [one.cells for one in menu]
        assert menu[0] == Raw()
        assert cells == sorted(set(cells))
        assert errors == sorted(set(errors), reverse=True)
        assert {one.decoder for one in menu} <= {"none", "majority", "algebraic", "iterative"}


def test_menu_of_some_decoders():
    """Only what is allowed, with the raw cell; the ideal code only when asked for; better cells when given."""
    assert {one.decoder for one in pareto_front(0.1, 0.1, decoders=("none", "majority"))} == {"none", "majority"}
    assert pareto_front(0.1, 0.1, decoders=("ideal",)) == (Raw(), Ideal())
    triple = HardenedCell(3.0, 0.018, 0.018)
    assert triple in pareto_front(0.1, 0.1, decoders=("none", "majority"), hardened=[triple])
    assert pareto_front(0.0, 0.0) == (Raw(),)
    assert {one.decoder for one in pareto_front(0.0, 0.1, bits=1)} == {"none", "majority"}
    assert max(one.block[0] for one in pareto_front(0.1, 0.1, bits=3799)) == 2000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Repetition(4), "ones must be given for an even number of copies, got 4 copies"),
        (lambda: Repetition(1), "copies must be a whole number of at least 2, got 1"),
        (lambda: Repetition(3, ones=4), "ones must be a whole number from 1 to 3, got 4"),
        (lambda: Hamming(0), "data_bits must be a whole number from 1 to 120, got 0"),
        (lambda: Bch(15, 7, 3), r"a BCH code must be one of \(15, 7, 2\), \(15, 5, 3\), got \(15, 7, 3\)"),
        (
            lambda: BlockCode(1000, 1001),
            r"a block code must be one of the table, such as \[\(1000, 1053\), .*got \(1000, 1001\)",
        ),
        (lambda: HardenedCell(0.0, 0.1, 0.1), "area must be above 0, got 0.0"),
        (lambda: HardenedCell(1.0, 1.1, 0.1), "p01 must be a probability"),
        (lambda: pareto_front(0.1, 2.0), "p10 must be a probability"),
        (lambda: pareto_front(0.1, 0.1, decoders=("magic",)), "decoders must be several, each one of 'none'"),
    ],
)
def test_bad_arguments(make, message):
    """A clear error at the door."""
    with pytest.raises(ArgumentError, match=message):
        make()
