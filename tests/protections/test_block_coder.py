"""Block codes at work, where Sionna is installed; a clear error where it is not."""

import sys

import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.protections import BlockCoder
from qtaml.protections.block_coder import _sionna
from qtaml.protections.block_codes import block_code_table
from tools.simulate_block_codes import LENGTHS, SEED, Task, measure


def test_missing_package(monkeypatch):
    """The error says what to install."""
    _sionna.cache_clear()
    monkeypatch.setitem(sys.modules, "sionna.phy.fec.ldpc", None)
    monkeypatch.setitem(sys.modules, "sionna", None)
    with pytest.raises(ArgumentError, match=r"pip install 'qtaml\[codes\]'"):
        BlockCoder(1000, 1810)


def test_round_trip():
    """Data come back through 5% of wrong bits."""
    pytest.importorskip("sionna")
    coder, generator = BlockCoder(1000, 1810), torch.Generator().manual_seed(0)
    data = torch.randint(2, (4, 1000), dtype=torch.uint8, generator=generator)
    stored = coder.encode(data)
    assert stored.shape == (4, 1810)
    wrong = torch.rand(stored.shape, generator=generator) < 0.05
    assert torch.equal(coder.decode(stored ^ wrong, 0.05), data)


def test_measured_again_is_the_same():
    """A point of the shipped table, from its seed."""
    pytest.importorskip("sionna")
    code = next(code for code in block_code_table().codes if code.code_bits == 1290)
    point = code.points[-1]
    again = measure(Task(1000, 1290, point.p, point.words), SEED)
    assert (again.words, len(again.shares)) == (point.words, len(point.shares))


def test_table_holds_what_the_command_makes():
    """All lengths, no others."""
    sizes = {(bits, length) for bits, rates in LENGTHS.items() for lengths in rates.values() for length in lengths}
    assert {(code.data_bits, code.code_bits) for code in block_code_table().codes} == sizes
