"""Block codes at work, where Sionna is installed; a clear error where it is not."""

import math
import sys

import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.protections import BlockCode, BlockCoder
from qtaml.protections.block_coder import _sionna
from qtaml.protections.block_codes import block_code_table
from tools.fast_decoder import Lifted, wrong_data
from tools.simulate_block_codes import FAMILIES, SEED, lengths, measure, points


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


@pytest.mark.slow
@pytest.mark.parametrize(("data_bits", "code_bits", "p"), [(1000, 5600, 0.2), (500, 2600, 0.19)])
def test_bits_stored_again(data_bits, code_bits, p):
    """Codes longer than the longest of 5G store their first bits twice, and are decoded with both."""
    pytest.importorskip("sionna")
    coder, generator = BlockCoder(data_bits, code_bits), torch.Generator().manual_seed(0)
    data = torch.randint(2, (4, data_bits), dtype=torch.uint8, generator=generator)
    stored = coder.encode(data)
    assert stored.shape == (4, code_bits)
    copies = code_bits - 5 * data_bits
    assert torch.equal(stored[:, :copies], stored[:, -copies:])
    wrong = torch.rand(stored.shape, generator=generator) < p
    assert torch.equal(coder.decode(stored ^ wrong, p), data)


@pytest.mark.slow
def test_a_shortened_block_is_wrong_less_often():
    """Near the limit of a full block; the zeros that fill up the data are stored nowhere, and known."""
    pytest.importorskip("sionna")
    code, generator, p = BlockCode(500, 1211), torch.Generator().manual_seed(0), 0.13
    coder = BlockCoder(code.data_bits, code.code_bits)
    wrong = []
    for data_bits in (500, 200):
        data = torch.randint(2, (16, 500), dtype=torch.uint8, generator=generator)
        data[:, data_bits:] = 0
        errors = torch.rand((16, 1211), generator=generator) < p
        # Of the data, all but the hidden ones are stored, as they are, at the beginning.
        known = torch.zeros(1211, dtype=torch.bool)
        known[data_bits - code.hidden_bits : 500 - code.hidden_bits] = True
        assert not coder.encode(data)[:, known].any()
        assert code.cells_for(data_bits) == int((~known).sum())
        found = coder.decode(coder.encode(data) ^ (errors & ~known), p)
        wrong.append((found != data).any(1).sum())
    assert wrong[0] >= 5
    assert wrong[1] <= 1


@pytest.mark.long
@pytest.mark.parametrize(("data_bits", "code_bits", "p"), [(500, 640, 0.016), (1000, 2360, 0.118)])
def test_the_fast_decoder_decides_as_the_coder(data_bits, code_bits, p):
    """Which blocks are wrong, and in all but a few bits in which places, where about a third of them is."""
    pytest.importorskip("sionna")
    coder, generator = BlockCoder(data_bits, code_bits), torch.Generator().manual_seed(0)
    wrong = torch.rand((32, code_bits), generator=generator) < p
    ratios = coder.ratios((2 * wrong.float() - 1) * math.log((1 - p) / p)).numpy()
    fast, iterations = wrong_data(ratios, data_bits, *Lifted.of(coder))
    slow = coder.decode(wrong.to(torch.uint8), p).sum(1).numpy()
    assert ((fast > 0) == (slow > 0)).all()
    assert 0 < (fast > 0).sum() < 32
    assert ((iterations == 60) | (fast == 0)).all()


@pytest.mark.slow
def test_measured_again_is_the_same():
    """A point of the shipped table, from its seed."""
    pytest.importorskip("sionna")
    code = next(code for code in block_code_table().codes if code.code_bits == 1290)
    p, level = points(1000, 1290)[2]
    assert measure(BlockCoder(1000, 1290), p, level, SEED) in code.points


def test_table_holds_what_the_command_makes():
    """All lengths, no others."""
    sizes = {(bits, length) for bits in FAMILIES for length in lengths(bits)}
    assert {(code.data_bits, code.code_bits) for code in block_code_table().codes} == sizes
    for code in block_code_table().codes:
        rates = sorted(p for p, _ in points(code.data_bits, code.code_bits))
        assert [point.p for point in code.points] == rates


def test_lengths_of_older_plans_are_kept():
    """Plans name the codes of the first table."""
    assert {1260, 1810, 2480, 3400, 4800} < set(lengths(1000))
    assert {4480, 6270, 8450} < set(lengths(3800))
