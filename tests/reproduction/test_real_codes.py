"""Designs read through real decoders, at a small size."""

import pytest
import torch
from torch import nn

from qtaml.formats import Format, Section, TableLevels, TensorFormat
from qtaml.memory import store
from qtaml.planning import ByHand, Plan, TensorPlan
from qtaml.protections import BlockCode, Raw, Repetition
from reproduction import real_codes
from tests.tables import shown

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

pytest.importorskip("sionna", reason="extra `codes`")


def memory(protection, p):
    """A layer of 60 weights, each of 3 bits under one protection."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(10, 6, bias=False)
    table = tuple(float(value) for value in range(-4, 4))
    storage = TensorFormat((Section(60, Format(TableLevels(table), (protection,) * 3)),))
    return store(model, Plan(ByHand(p=p), (TensorPlan("weight", (), (6, 10), "float32", storage),)))


@pytest.mark.parametrize("protection", [Raw(), Repetition(3), BlockCode(1000, 2480)], ids=str)
def test_without_errors_everything_is_read_as_stored(protection):
    """Nearly: the decoder needs a rate above 0."""
    stored, blocks = memory(protection, 0.1), real_codes.Blocks()
    ((name, read),) = real_codes.read_decoded(stored, 1e-12, seed=0, blocks=blocks)
    kept = stored.tensors[name]
    assert torch.equal(read, stored.plan.tensors[0].storage.decode(kept.words, kept.scale).float())
    assert blocks.wrong == 0
    assert blocks.read == isinstance(protection, BlockCode)


def test_votes_are_wrong_as_often_as_their_residual_rate():
    """Of 200 reads of 180 bits, within five standard errors."""
    stored = memory(Repetition(3), 0.2)
    kept = stored.tensors["weight"]
    clean = stored.plan.tensors[0].storage.decode(kept.words, kept.scale)
    scale = float(kept.scale) * stored.plan.tensors[0].storage.readout_gain
    wrong = 0
    for seed in range(200):
        ((_, read),) = real_codes.read_decoded(stored, 0.2, seed=seed, blocks=real_codes.Blocks())
        labels, other = (((one.double() / scale).round() + 4).int() for one in (clean, read))
        wrong += sum(int(((labels ^ other) >> bit & 1).sum()) for bit in range(3))
    rate = Repetition(3).residual(0.2, 0.2)[0]
    assert abs(wrong / (200 * 180) - rate) < 5 * (rate * (1 - rate) / (200 * 180)) ** 0.5


def test_a_block_code_far_beyond_its_rate_is_counted_as_wrong():
    """At three times the rate that it is made for."""
    blocks = real_codes.Blocks()
    list(real_codes.read_decoded(memory(BlockCode(1000, 2480), 0.1), 0.3, seed=0, blocks=blocks))
    assert (blocks.read, blocks.wrong, blocks.bits) == (1, 1, 180)
    assert 0 < blocks.wrong_bits < 180
    assert blocks.promised_bits == 90


@pytest.mark.long
def test_the_experiment_compares_both_ways_to_read(laboratory):
    """One network at one budget: the same plan, errors alike."""
    (row,) = real_codes.compute(laboratory, networks=("SmallCNN",), cells=(0.5,))
    assert row.spent <= 0.5
    assert abs(row.assumed.value - row.decoded.value) < 0.05
    assert row.blocks > 0
    assert f"{row.blocks:,}" in shown(real_codes.table([row]))
    assert real_codes.draw([row]).axes
