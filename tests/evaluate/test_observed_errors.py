"""Error rates of words that were read back."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.evaluate import observed_errors
from qtaml.faults import Asymmetric, Ramp, Uniform
from qtaml.formats import Format, Repetition, Section, TensorFormat
from qtaml.planning import Plan, TensorPlan
from tests.tolerances import FALSE_ALARM

MIXED = TensorFormat(
    (Section(20_000, Format(bits=6).protect(2, Repetition(3))), Section(20_000, Format(bits=6).protect(1)))
)


def artifact(fault, storage=MIXED):
    """A linear layer stored in two sections."""
    torch.manual_seed(0)
    model = nn.Linear(storage.weights, 1, bias=False)
    plan = Plan("by hand", fault, (TensorPlan.of("weight", (), model.weight, storage),))
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
    assert min(row.p_value for row in rows) > FALSE_ALARM
    assert sum(row.of for row in rows) == 6 * 40_000


def test_other_errors_are_seen():
    """A memory of another p departs in every row where errors are assumed, and only in one direction if so."""
    stored = artifact(Uniform(0.1))
    rows = observed_errors(stored, as_read(stored, Asymmetric(0.1, 0.13), 0))
    raw = [row for row in rows if row.protection.kind == "raw"]
    assert all(row.p_value < 1e-6 for row in raw if row.stored)
    assert all(row.p_value > FALSE_ALARM for row in raw if not row.stored)


def test_one_error_where_none_is_assumed_is_enough():
    """Under the ideal code nothing may be wrong."""
    stored = artifact(Uniform(0.1))
    words = stored.tensors["weight"].words.clone()
    words[0, -1] ^= 1 << 5
    (row,) = [row for row in observed_errors(stored, {"weight": words}) if row.wrong]
    assert (row.protection.kind, row.bit, row.wrong, row.assumed, row.p_value) == ("ideal", 5, 1, 0.0, 0.0)


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
