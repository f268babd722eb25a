"""Every family of protections in the union: its price, what it leaves, what Shannon allows, and a bit in a word."""

from itertools import chain, pairwise
from typing import get_args

import numpy as np
import pydantic
import pytest
import torch
from scipy import stats

from qtaml._files import from_json, to_json
from qtaml.faults import Uniform
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.protections import DECODERS, BitProtection, HardenedCell, Protection, Raw
from qtaml.protections.pareto_front import AnyProtection
from qtaml.theory import capacity
from tests.tolerances import EXACT_MATHS

FAMILIES: tuple[type[BitProtection], ...] = get_args(AnyProtection)
GIVEN: dict[type[BitProtection], tuple[BitProtection, ...]] = {HardenedCell: (HardenedCell(2.5, 0.0, 0.01),)}
"""Members of the families that offer no candidates of their own."""

RATES = ((0.05, 0.05), (0.0, 0.1), (0.3, 0.01))


def some(members: tuple[BitProtection, ...]) -> tuple[BitProtection, ...]:
    """At most about a hundred, evenly spread: there are a thousand block codes."""
    return members[:: 1 + len(members) // 100]


MEMBERS = {
    family: GIVEN.get(family)
    or some(tuple(dict.fromkeys(chain.from_iterable(family.candidates(*rates) for rates in RATES))))
    for family in FAMILIES
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def information(p01: float, p10: float) -> float:
    """Bits that are known of an even bit once it is read with these error rates."""
    joint = np.array([[1 - p01, p01], [p10, 1 - p10]]) / 2
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    return float((joint * np.log2(joint / independent, where=joint > 0, out=np.zeros((2, 2)))).sum())


def has_cells_of_its_own(protection: BitProtection) -> bool:
    """Whether its errors are not those of the memory's cells."""
    return protection.residual(0.0, 0.0) == protection.residual(0.3, 0.3)


@every_family
def test_it_has_members(family):
    """It offers candidates, or is given some members above."""
    assert MEMBERS[family]
    assert all(type(member) is family for member in MEMBERS[family])


@every_family
def test_files_keep_it(family):
    """By the name of its kind, alone and in a format."""
    adapter = pydantic.TypeAdapter(Protection)
    for protection in MEMBERS[family]:
        assert adapter.validate_json(adapter.dump_json(protection)) == protection
        stored = TensorFormat((Section(3, Format(EvenLevels(2), (Raw(), protection))),))
        assert from_json(TensorFormat, to_json(stored), "here") == stored


@every_family
def test_the_price_is_that_of_blocks(family):
    """A full block costs the cells of its bits, a bit more at least the parity of another and at most all of it."""
    for protection in MEMBERS[family]:
        bits, cells = protection.block
        assert protection.decoder in DECODERS
        assert protection.cells == pytest.approx(cells / bits, rel=EXACT_MATHS)
        prices = [protection.cells_for(count) for count in (0, bits, 10 * bits)]
        assert prices == [0, cells, 10 * cells], protection
        counts = range(0, 2 * bits + 1)
        steps = [after - before for before, after in pairwise(map(protection.cells_for, counts))]
        assert all(0 <= step <= cells for step in steps), protection
        assert protection.cells_for(bits + 1) - cells == protection.cells_for(1) >= cells - bits + 1, protection


@every_family
def test_more_raw_errors_never_leave_fewer(family):
    """From none at all, which leave none, to one half; always probabilities."""
    for protection in MEMBERS[family]:
        left = [protection.residual(p, p) for p in np.linspace(0, 0.5, 26)]
        assert left[0] == (0.0, 0.0) or has_cells_of_its_own(protection), protection
        assert all(0 <= rate <= 1 for pair in left for rate in pair), protection
        assert all(sum(after) >= sum(before) - EXACT_MATHS for before, after in pairwise(left)), protection


@every_family
@pytest.mark.parametrize("rates", [*RATES, (1e-4, 1e-4), (0.45, 0.45)])
def test_nothing_real_beats_shannon(family, rates):
    """What is known of a bit is at most the capacity of its cells. A bound above one half says nothing of it."""
    for protection in MEMBERS[family]:
        left = protection.residual(*rates)
        assert protection.residual(*map(np.float64, rates)) == left
        if protection.is_bound:
            left = tuple(min(rate, 0.5) for rate in left)
        if protection.decoder != "ideal" and not has_cells_of_its_own(protection):
            most = protection.cells * capacity(*rates)
            assert information(*left) <= most * (1 + EXACT_MATHS) + EXACT_MATHS, protection


@every_family
def test_codes_see_scrambled_bits(family):
    """Behind a decoder of blocks only the mean of the two raw rates counts, and both bits are wrong equally often."""
    for protection in MEMBERS[family]:
        if protection.decoder in ("algebraic", "iterative"):
            p01, p10 = protection.residual(0.0, 0.1)
            assert p01 == p10, protection
            assert (p01, p10) == protection.residual(0.05, 0.05), protection


@pytest.mark.slow
@every_family
def test_a_bit_of_a_word_fails_at_its_residual_rates(family):
    """And the bit beside it at its own: 20,000 reads, false alarms 1e-6; rates above 1/2 are for no memory."""
    words = torch.arange(20_000).remainder(4).to(torch.uint8)
    for protection in MEMBERS[family]:
        left = protection.residual(0.05, 0.05)
        if max(left) > 0.5:
            continue
        memory = Uniform(0.05).behind((Raw(), protection))
        assert (memory.rates(2).p01[1], memory.rates(2).p10[1]) == pytest.approx(left, rel=EXACT_MATHS), protection
        wrong = (memory.corrupt(words, bits=2, seed=0) ^ words).numpy()
        for bit, rates in enumerate(((0.05, 0.05), left)):
            for side, rate in enumerate(rates):
                seen = (wrong >> bit & 1)[(words.numpy() >> bit & 1) == side]
                assert stats.binomtest(int(seen.sum()), len(seen), rate).pvalue > 1e-6, protection
