"""Memories of which a chip is one: their law, and the one member of all tensors of a read."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import (
    Asymmetric,
    FaultModel,
    MultiLevel,
    PerBit,
    Several,
    StaticCells,
    TensorVariation,
    Uniform,
    given,
)
from qtaml.formats import transition_matrix
from qtaml.protections import Ideal, Raw, Repetition

LOT = Several((Uniform(0.05), Asymmetric(0.0, 0.3)), weights=(3.0, 1.0))


@pytest.mark.parametrize("protections", [(Raw(),) * 4, (Raw(), Repetition(3), Raw(), Ideal())], ids=["raw", "mixed"])
def test_the_law_is_the_weighted_mean_of_the_members_laws(protections: tuple) -> None:
    """Entry by entry of the transition matrix, raw and behind protections."""
    seen = [transition_matrix(member.behind(protections).law(4)) for member in LOT.members]
    expected = 0.75 * seen[0] + 0.25 * seen[1]
    assert transition_matrix(LOT.behind(protections).law(4)) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_members_without_weights_are_equally_likely() -> None:
    """Where a law is asked for, and among the chips."""
    unknown = Several((Uniform(0.1), Uniform(0.2)))
    assert unknown.shares == (0.5, 0.5)
    assert unknown.rates(3).p01 == pytest.approx((0.15,) * 3, rel=1e-12)


def test_bits_that_no_member_fails_at_stay_by_themselves() -> None:
    """So words of 16 bits have a law where all but ten are ideally protected; raw ones have rates only."""
    sixteen = LOT.behind((Ideal(),) * 3 + (Raw(),) * 10 + (Ideal(),) * 3).law(16)
    assert [len(group).bit_length() - 1 for group in sixteen.groups] == [1, 1, 1, 10, 1, 1, 1]
    assert LOT.rates(16).p01 == pytest.approx((0.0375,) * 16, rel=1e-12)
    with pytest.raises(qtaml.ArgumentError, match="bits must be at most 10 where they fail together, got 16"):
        LOT.law(16)


def test_chips_are_members_as_often_as_their_weights_say() -> None:
    """Of 4,000 chips; the share has a standard error of 0.007. A member of weight 0 is none."""
    lot = Several((Uniform(0.0), *LOT.members), weights=(0.0, 3.0, 1.0))
    chips = [lot.of_chip(chip) for chip in range(4000)]
    assert set(chips) == set(LOT.members)
    assert np.mean([chip == LOT.members[1] for chip in chips]) == pytest.approx(0.25, abs=0.03)
    assert chips[:10] == [lot.of_chip(chip) for chip in range(10)]


@pytest.mark.parametrize(
    ("fault", "chip"),
    [
        (Uniform(0.1), Uniform(0.1)),
        (StaticCells((0.0, 0.1)), StaticCells((0.0, 0.1), chip=7)),
        (TensorVariation(0.1, 0.5), TensorVariation(0.1, 0.5, chip=7)),
        (Several((StaticCells((0.0, 0.1), chip=None),)), StaticCells((0.0, 0.1), chip=7)),
    ],
    ids=str,
)
def test_a_chip_has_its_number(fault: FaultModel, chip: FaultModel) -> None:
    """Where cells or tensors of a chip keep their rates; all chips of the others are alike."""
    assert fault.of_chip(7) == chip


@pytest.fixture
def memory() -> qtaml.memory.Memory:
    """Two tensors of zeros in words of one bit, on chips that read all bits as stored or half of them wrong."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 50, bias=False), nn.Linear(50, 40, bias=False))
    fault = Several((Uniform(0.0), Uniform(0.4)))
    return qtaml.store(model, qtaml.uniform_msp(model, fault=fault, protected_bits=0))


def wrong_tensors(memory, seed: int) -> list[bool]:
    """Whether each tensor of a read differs from what is stored."""
    clean = dict(memory.read(seed=None))
    return [not torch.equal(read, clean[name]) for name, read in memory.read(seed=seed)]


def test_all_tensors_of_a_read_are_of_one_chip(memory) -> None:
    """All have errors or none has, and there are reads of both kinds."""
    reads = {tuple(wrong_tensors(memory, seed)) for seed in range(20)}
    assert reads == {(True, True), (False, False)}


def test_every_way_to_read_draws_the_same_chip(memory) -> None:
    """One read, many together, into a model, and the words behind it: the same numbers."""
    model = memory.copy_of_model()
    read_into = memory.reader(model)
    together = memory.read_together(range(8))
    for seed in range(8):
        read = dict(memory.read(seed=seed))
        read_into(seed)
        words = qtaml.memory.words_as_read(memory.artifact, seed=seed)
        other = dict(memory.with_words(words).read(seed=None))
        for name, tensor in read.items():
            assert torch.equal(together[name][seed], tensor)
            assert torch.equal(model.get_parameter(name), tensor)
            assert torch.equal(other[name], tensor)


def test_a_range_of_probabilities_is_five_memories_with_its_ends() -> None:
    """Evenly spaced in the logarithm, the ends to the last bit; a range of no width is one memory."""
    members = given((0.03, 0.3), None).members
    assert (members[0], members[-1], len(members)) == (Uniform(0.03), Uniform(0.3), 5)
    ratios = [upper.p / lower.p for lower, upper in itertools.pairwise(members)]
    assert ratios == pytest.approx([10**0.25] * 4)
    assert given((0.1, 0.1), None) == Uniform(0.1)


def test_words_are_those_that_all_members_hold() -> None:
    """Their rates are means over members, of the shortest such word."""
    cell = tuple(map(tuple, (0.6 * np.eye(8) + 0.05).tolist()))
    lot = Several((Uniform(0.2), MultiLevel((cell,))))
    assert [bits for bits in range(1, 9) if lot.holds(bits)] == [3, 6]
    assert lot.shortest_word == 3
    # Of the other seven labels, each bit differs in four.
    assert lot.mean_rates == pytest.approx((0.2, 0.2))
    assert Several((Uniform(0.1), MultiLevel((cell,)))).mean_rates == pytest.approx((0.15, 0.15))


def test_it_says_what_it_is() -> None:
    """In a few words, for titles of tables."""
    assert str(LOT) == "one of Uniform(p=0.05), Asymmetric(p01=0.0, p10=0.3), weights 3, 1"
    assert str(given((0.05, 0.2), None)) == "one of Uniform(p=0.05), ... (3 more), Uniform(p=0.2)"


def test_a_list_of_memories_is_several() -> None:
    """As `fault=` of a method and of `evaluate`; a single one is itself."""
    models = [Uniform(0.1), StaticCells((0.0, 0.2))]
    assert given(None, models) == Several(tuple(models))
    assert given(None, models[:1]) == models[0]
    assert qtaml.planning.Tac(fault=models, overhead=0.1).fault == Several(tuple(models))
    assert qtaml.planning.Design(p=(0.05, 0.2), cells=0.5).fault == given((0.05, 0.2), None)


@pytest.mark.slow
def test_a_network_is_designed_for_a_range_and_read_over_it() -> None:
    """From end to end, through JSON; the design knows the mean rates of its members."""
    torch.manual_seed(1)
    model, inputs = nn.Linear(32, 8), torch.randn(64, 32)
    plan = qtaml.design(model, inputs, p=(0.05, 0.2), cells=5.0, decoders=("none", "table"))
    again = qtaml.Plan.from_json(plan.to_json())
    assert again.fault == given((0.05, 0.2), None)
    result = qtaml.evaluate(qtaml.store(model, again), lambda read: float(read.weight.sum()), trials=4)
    assert len(set(result.values)) == 4
    assert qtaml.measuring.Result.from_json(result.to_json()) == result


def test_side_values_are_priced_for_the_worst_memory() -> None:
    """They have to be right on every chip."""
    price = qtaml.planning.side_cells
    for decoders in (("none",), ("none", "majority", "algebraic")):
        both, worse, better = (
            price(fault, 30, decoders) for fault in (given((0.05, 0.2), None), Uniform(0.2), Uniform(0.1))
        )
        assert both == worse > better


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Several(()), r"members must be one or more fault models such as Uniform\(0.1\), got \(\)"),
        (lambda: given(None, []), r"fault must be a fault model such as .*got \[\]"),
        (lambda: Several((0.1,)), r"members\[0\] must be a fault model such as Uniform\(0.1\), got 0.1"),
        (lambda: Several((Uniform(0.1), LOT)), r"members\[1\] must be one memory: name its members instead"),
        (lambda: Several((PerBit((0.1,) * 4), PerBit((0.1,) * 8))), "members must hold words of one length, got"),
        (lambda: Several((Uniform(0.1),), weights=(1.0, 2.0)), "weights must be as many as members, 1, got 2"),
        (lambda: Several((Uniform(0.1),) * 2, weights=(1.0, -1.0)), r"weights\[1\] must be at least 0, got -1.0"),
        (lambda: Several((Uniform(0.1),), weights=(0.0,)), "sum of weights must be above 0, got 0"),
        (lambda: given((0.2, 0.05), None), r"p must be a range from a low end above 0 .*got \(0.2, 0.05\)"),
        (lambda: given((0.0, 0.05), None), r"p must be a range from a low end above 0 .*got \(0.0, 0.05\)"),
        (lambda: given((-0.1, 0.05), None), r"p\[0\] must be a flip probability in \[0, 0.5\), got -0.1"),
        (lambda: given((0.1, 0.5), None), r"p\[1\] must be a flip probability in \[0, 0.5\), got 0.5"),
        (lambda: given((0.1,), None), r"p must be a number, or \(a number, a number\), or None, got \(0.1,\)"),
        (lambda: given((), None), r"p must be a number, or \(a number, a number\), or None, got \(\)"),
    ],
)
def test_bad_lots_are_refused(build, message: str) -> None:
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        build()
