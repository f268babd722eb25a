"""Encoding in one compiled pass, against `Format.encode`."""

from itertools import product

import pytest
import torch

from qtaml.faults import Uniform
from qtaml.formats import (
    EvenLevels,
    Fixed,
    Format,
    Largest,
    NamedLevels,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
    encoding,
    scales,
    tensor_format,
)
from qtaml.formats.scales import largest_magnitude

FAULT = Uniform(0.1)
LEVELS = {
    "even": EvenLevels(8),
    "gray": EvenLevels(3, "gray"),
    "twelve bits": EvenLevels(12),
    "table": TableLevels(tuple(torch.randn(64, generator=torch.Generator().manual_seed(0)).tolist())),
    "equal values": TableLevels((0.5,) * 32),
    "no bits": TableLevels((0.3,)),
    "named": NamedLevels("nf4"),
    "floats": NamedLevels("fp8_e5m2"),
}


def weights(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Weights of which a few are 0, which lies between two levels, and one is the largest of all."""
    drawn = 0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    drawn.view(-1)[::5] = 0
    return drawn.to(dtype)


@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("granularity", ["tensor", "row", 7])
@pytest.mark.parametrize("correction", ["none", "exact", "least_error", "paper"])
def test_the_compiled_labels_are_those_of_the_format(levels, granularity, correction, monkeypatch):
    """Every weight gets the same label, in whole tensors and sections, of any dtype; ties go to either side in turn."""
    if correction == "paper" and not levels.bits:
        pytest.skip("the paper's factor is for words")
    scale = RootMeanSquare() if levels.kind == "table" else Largest()
    for shape, dtype in (((900,), torch.float32), ((37, 41), torch.float64), ((16, 3, 5, 5), torch.bfloat16)):
        size = torch.Size(shape).numel()
        cut = Section(size // 3, Format(levels)), Section(9, Format(EvenLevels(2)))
        for sections in ((Section(size, Format(levels)),), (*cut, Section(size - size // 3 - 9, Format(levels)))):
            storage = TensorFormat(sections, scale, granularity, correction)
            compiled, _ = storage.encode(weights(shape, dtype), FAULT)
            with monkeypatch.context() as patch:
                patch.setattr(tensor_format, "kernel", lambda: None)
                assert torch.equal(compiled.int(), storage.encode(weights(shape, dtype), FAULT)[0].int())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("granularity", ["tensor", "row", 7])
def test_the_compiled_largest_magnitude_is_that_of_torch(granularity, dtype, monkeypatch):
    """Of vectors, matrices and filters, of views of every other weight, and where the last group is smaller; NaN is."""
    for shape in ((900,), (37, 42), (16, 3, 5, 6)):
        drawn = weights(shape, dtype)[..., ::2]
        drawn[(0,) * (drawn.ndim - 1) + (2,)] = torch.nan
        compiled = largest_magnitude(drawn, granularity)
        with monkeypatch.context() as patch:
            patch.setattr(scales, "kernel", lambda: None)
            expected = largest_magnitude(drawn, granularity)
        assert compiled.shape == expected.shape
        assert torch.equal(compiled.nan_to_num(-1), expected.nan_to_num(-1))
        assert compiled.isnan().any()


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_few_boundaries_with_their_ties(offset, monkeypatch):
    """Whatever their number, place and scale; weights on every boundary, ever nearer to it, and beyond."""
    values = offset + torch.arange(-3, 52, dtype=torch.float64).repeat_interleave(3) / 4
    near = [values * (1 + sign * away) for sign in (-1, 1) for away in (1e-9, 3e-8, 1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3)]
    values = torch.cat([values, *near, torch.tensor([torch.inf, -torch.inf])])
    for count, scale in product(range(1, 17), (1.0, 1e-30, 1e30)):
        levels = TableLevels(tuple(offset + min(label, count - 1) for label in range(16)))
        storage = TensorFormat((Section(len(values), Format(levels)),), Fixed(scale))
        compiled, _ = storage.encode(values * scale, FAULT)
        with monkeypatch.context() as patch:
            patch.setattr(tensor_format, "kernel", lambda: None)
            assert torch.equal(compiled, storage.encode(values * scale, FAULT)[0])


def test_there_is_a_compiled_loop():
    """Or the test above compares torch with itself."""
    assert encoding.kernel() is not None
