"""Benchmarks of reads, large networks and their designs run at quick sizes; the plain loop reads what qtaml reads."""

import pytest
import torch

import qtaml
from benchmarks import large_designs, large_networks, reads
from qtaml.faults import Uniform


@pytest.mark.long
@pytest.mark.parametrize("module", [reads, large_networks, large_designs], ids=lambda module: module.__name__)
def test_quick_sizes_run(module):
    """Every row has times of both sides."""
    rows = module.measure(quick=True)
    assert rows
    assert all(row.seconds > 0 and row.reference_seconds > 0 and row.size > 0 for row in rows)


@pytest.mark.slow
def test_the_plain_loop_reads_what_qtaml_reads():
    """Without errors both give the same network, to the float rounding of levels and ties."""
    model, data = reads.network("SmallCNN")
    plain = reads.PlainLoop(model, 0.0, data.test_inputs, data.test_labels)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    read = plain.decoded(plain.masked()).state_dict()
    for name, tensor in memory.read(seed=0, fault=Uniform(0)):
        assert (plain.words[name].int() - memory.tensors[name].words.int()).abs().max() <= 1
        assert (read[name] - tensor).abs().max() <= tensor.abs().max() / 127


def test_plain_masks_have_the_asked_rate():
    """Within 5 standard errors of 305,280 bits (false alarm 6e-7)."""
    model, data = reads.network("SmallCNN")
    plain = reads.PlainLoop(model, 0.1, data.test_inputs, data.test_labels)
    wrong = torch.cat([(plain.words[name] ^ read).reshape(-1) for name, read in plain.masked().items()])
    rate = sum(int((wrong >> bit & 1).sum()) for bit in range(8)) / (8 * len(wrong))
    assert abs(rate - 0.1) < 5 * (0.1 * 0.9 / (8 * len(wrong))) ** 0.5
