"""Error rates of words that were read back."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Asymmetric, Clustered, MultiLevel, Ramp, TensorVariation, Uniform
from qtaml.formats import EvenLevels, Format, Section, TableLevels, TensorFormat
from qtaml.measuring import observed_errors
from qtaml.memory import words_as_read
from qtaml.planning import ByHand, Plan, TensorPlan
from qtaml.protections import Bch, Repetition
from tests.tolerances import FALSE_ALARM

MIXED = TensorFormat(
    (
        Section(20_000, Format(EvenLevels(6)).protect(2, Repetition(3))),
        Section(20_000, Format(EvenLevels(6)).protect(1)),
    )
)


def artifact(fault, storage=MIXED):
    """A linear layer stored in two sections."""
    torch.manual_seed(0)
    model = nn.Linear(storage.weights, 1, bias=False)
    plan = Plan(ByHand(fault=fault), (TensorPlan.of("weight", (), model.weight, storage),))
    return qtaml.store(model, plan).artifact


def as_read(stored, fault, seed):
    """Words of every tensor as a memory gives them back after its decoders."""
    return {
        "weight": torch.cat(
            [
                fmt.corrupt(stored.tensors["weight"].words[0, span], fault, seed=seed + i)
                for i, (fmt, (span,)) in enumerate(stored.plan.tensors[0].storage.spans_of_formats)
            ]
        ).reshape(1, -1)
    }


@pytest.mark.parametrize("fault", [Uniform(0.1), Asymmetric(0.02, 0.2), Ramp(0.1)], ids=str)
def test_errors_as_assumed_are_found_so(fault):
    """No rate departs, and none lies far outside its interval."""
    stored = artifact(fault)
    rows = observed_errors(stored, as_read(stored, fault, 7), confidence=1 - FALSE_ALARM)
    assert len(rows) == 2 * (6 + 2)  # both values of six bits under one protection or another; two bits have two
    assert all(row.low <= row.assumed <= row.high for row in rows)
    assert not any(row.departs for row in rows)
    assert sum(row.of for row in rows) == 6 * 40_000


PAIRS = MultiLevel((((0.9, 0.1, 0.0, 0.0), (0.05, 0.85, 0.1, 0.0), (0.0, 0.1, 0.85, 0.05), (0.0, 0.0, 0.05, 0.95)),))


@pytest.mark.long
@pytest.mark.parametrize(
    "fault", [Uniform(0.1), PAIRS, Clustered(0.1, 4), TensorVariation(0.1, 0.5, chip=None)], ids=str
)
def test_false_alarms_are_as_rare_as_is_said(fault):
    """Of 100 memories that fail as assumed, few have a rate that departs, however errors are tied to each other.

    5 are expected; more than 15 come up once in 30,000 times.
    """
    stored = artifact(
        fault, TensorFormat((Section(2000, Format(EvenLevels(4)).protect(1)), Section(1000, Format(EvenLevels(4)))))
    )
    alarms = 0
    for seed in range(100):
        rows = observed_errors(stored, words_as_read(stored, seed=seed), reads=39, seed=seed)
        assert len(rows) == 2 * 5  # the most significant bit is under two protections
        alarms += any(row.departs for row in rows)
    assert alarms <= 15


@pytest.mark.slow
def test_rates_are_those_of_the_words_that_are_stored():
    """In cells of two bits the rate of a bit depends on the other: the assumed one is the mean of very many reads."""
    stored = artifact(PAIRS, TensorFormat((Section(1000, Format(EvenLevels(4))),)))
    reads = [observed_errors(stored, words_as_read(stored, seed=seed), reads=19) for seed in range(60)]
    for rows in zip(*reads, strict=True):
        error = (rows[0].assumed * (1 - rows[0].assumed) / rows[0].of / len(rows)) ** 0.5
        assert abs(sum(row.rate for row in rows) / len(rows) - rows[0].assumed) < 5 * error


def test_the_interval_is_as_wide_as_errors_are_tied():
    """Errors in clusters of 8 tell less than as many independent ones."""
    storage = TensorFormat((Section(8000, Format(EvenLevels(4))),))
    widths = []
    for fault in (Uniform(0.1), Clustered(0.1, 8)):
        stored = artifact(fault, storage)
        row = observed_errors(stored, words_as_read(stored, seed=0))[0]
        widths.append(row.high - row.low)
    assert widths[1] > 1.5 * widths[0]


def test_other_errors_are_seen():
    """A memory of another p departs in every row where errors are assumed, and only in one direction if so."""
    stored = artifact(Uniform(0.1))
    rows = observed_errors(stored, as_read(stored, Asymmetric(0.1, 0.13), 0))
    raw = [row for row in rows if row.protection.kind == "raw"]
    assert all(row.departs for row in raw if row.stored)
    assert not any(row.departs for row in raw if not row.stored)


def test_fewer_errors_than_a_bound_are_no_departure():
    """Behind a code whose rate is an upper bound, BCH or LDPC, a memory without errors is as the plan assumes."""
    bound = Bch(127, 64, 10)
    assert bound.is_bound
    stored = artifact(Uniform(0.1), TensorFormat((Section(40_000, Format(EvenLevels(2)).protect(2, bound)),)))
    rows = observed_errors(stored, {"weight": stored.tensors["weight"].words})
    assert all(row.at_most and row.assumed > 0.01 and not row.departs for row in rows)
    exact = artifact(Uniform(0.1), TensorFormat((Section(40_000, Format(EvenLevels(2)).protect(2, Bch(15, 7, 2))),)))
    rows = observed_errors(exact, {"weight": exact.tensors["weight"].words})
    assert all(not row.at_most and row.departs for row in rows)


def test_one_error_where_none_is_assumed_is_enough():
    """Under the ideal code nothing may be wrong."""
    stored = artifact(Uniform(0.1))
    words = stored.tensors["weight"].words.clone()
    words[0, -1] ^= 1 << 5
    (row,) = [row for row in observed_errors(stored, {"weight": words}) if row.wrong]
    assert (row.protection.kind, row.bit, row.wrong, row.assumed, row.departs) == ("ideal", 5, 1, 0.0, True)


def test_words_that_do_not_fit_are_refused():
    """Missing, of another shape, or no labels."""
    stored = artifact(Uniform(0.1))
    words = stored.tensors["weight"].words
    for wrong, message in (
        ({}, "words of 'weight' must be torch.uint8 of shape .*, got none"),
        ({"weight": words[0]}, "got torch.uint8 of shape"),
        ({"weight": words | 0xC0}, "must be labels of their formats"),
    ):
        with pytest.raises(qtaml.ArgumentError, match=message):
            observed_errors(stored, wrong)
    with pytest.raises(qtaml.ArgumentError, match="reads must be"):
        observed_errors(stored, {"weight": words}, reads=5)
    with pytest.raises(qtaml.ArgumentError, match="confidence must lie between 0 and 1, got 1"):
        observed_errors(stored, {"weight": words}, confidence=1)


def test_a_network_without_stored_bits_has_no_rates():
    """Formats of no bits leave nothing that could be read wrong."""
    stored = artifact(Uniform(0.1), TensorFormat((Section(10, Format(TableLevels((0.0,)))),)))
    assert observed_errors(stored, {"weight": stored.tensors["weight"].words}).rates == ()
