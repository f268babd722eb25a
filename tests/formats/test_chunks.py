"""A tensor worked on in parts gives what it gives in one piece."""

import pytest
import torch

from qtaml.faults import Asymmetric, Uniform
from qtaml.formats import (
    EvenLevels,
    Format,
    Largest,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
    chunks,
    scales,
)

WEIGHTS = 7 * 30
FEW, MANY = Format().protect(1), Format().protect(3)
MIXED = tuple(Section(weights, fmt) for weights, fmt in ((1, MANY), (63, FEW), (50, MANY), (36, FEW), (60, MANY)))
WIDE = tuple(Section(weights, Format(EvenLevels(12)).protect(one)) for weights, one in ((101, 1), (8, 3), (101, 1)))
TABLE = (Section(WEIGHTS, Format(TableLevels((-1.5, -0.4, 0.4, 1.5)))),)
FITTED = {"scale": RootMeanSquare(), "correction": "least_error"}
CASES = {
    "one format": ((Section(WEIGHTS, FEW),), {}),
    "two formats in turn": (MIXED, {}),
    "words of 12 bits": (WIDE, {}),
    "rows": (MIXED, {"granularity": "row"}),
    "paper": (MIXED, {"correction": "paper", "granularity": "row", "scale": Largest("recompute")}),
    "exact": (MIXED, {"correction": "exact"}),
    "table": (TABLE, FITTED),
    "table by row": (TABLE, FITTED | {"granularity": "row"}),
    "table by groups": (TABLE, FITTED | {"granularity": 4}),
}


def small_chunks(monkeypatch, size):
    """Work on that many weights at once."""
    for module in (chunks, scales):
        monkeypatch.setattr(module, "CHUNK", size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [6, 64])
@pytest.mark.parametrize("name", CASES)
def test_parts_and_the_whole_are_the_same(monkeypatch, name, size):
    """Words and reads are equal to the bit, weights just between two levels included; sums to rounding."""
    sections, fields = CASES[name]
    stored, fault = TensorFormat(sections, **fields), Uniform(0.1) if "paper" in name else Asymmetric(0.05, 0.1)
    weights = torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(0))
    weights.view(-1)[::4] = 0
    weights.view(-1)[1::9] = 0
    found = []
    for one in (chunks.CHUNK, size):
        small_chunks(monkeypatch, one)
        words, scale = stored.encode(weights, fault)
        read = stored.read(words, scale, fault, seed=1)
        found.append((words, scale, read, stored.read_mean(words, scale, fault), stored.label_amounts(words, scale)))
        assert stored.holds(words)
    (words, scale, read, mean, amounts), parts = found
    assert torch.equal(words, parts[0])
    torch.testing.assert_close(scale, parts[1], rtol=1e-14, atol=0)
    torch.testing.assert_close(read, parts[2], rtol=1e-14, atol=0)
    torch.testing.assert_close(mean, parts[3], rtol=1e-14, atol=1e-14)
    for whole, part in zip(amounts, parts[4], strict=True):
        torch.testing.assert_close(torch.from_numpy(whole), torch.from_numpy(part), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_a_read_into_a_tensor_is_the_read_rounded_to_its_dtype(dtype, granularity):
    """`out` gets the float64 values, rounded once."""
    stored = TensorFormat(MIXED, granularity=granularity)
    words, scale = stored.encode(torch.randn(7, 30, generator=torch.Generator().manual_seed(0)), Uniform(0.1))
    out = torch.empty(7, 30, dtype=dtype)
    assert stored.read(words, scale, Uniform(0.1), seed=2, out=out) is out
    assert torch.equal(out, stored.read(words, scale, Uniform(0.1), seed=2).to(dtype))
