"""Reading a tensor again and again gives what reading it once gives."""

import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import Clustered, FaultModel, PerBit, StaticCells, Uniform
from qtaml.formats import EvenLevels, Format, Section, TableLevels, TensorFormat, TensorReader
from qtaml.protections import Bch, Ideal, Repetition

FAULTS = [Uniform(0.0), Uniform(0.1), Clustered(0.1, 3), StaticCells((0.0, 0.4))]
FITTED = Format(TableLevels((-1.5, -0.5, 0.5, 1.5)), (Repetition(3), Bch(15, 5, 3)))
STORAGES = {
    "one format": TensorFormat((Section(30, Format().protect(2)),)),
    "corrected, with a gain": TensorFormat((Section(30, Format()),), correction="exact", readout_gain=0.75),
    "two formats in turn": TensorFormat(
        (Section(7, Format().protect(8)), Section(11, Format()), Section(5, Format().protect(8)), Section(7, Format()))
    ),
    "words of 16 bits": TensorFormat((Section(30, Format(EvenLevels(16)).protect(4)),)),
    "a scale for each row": TensorFormat((Section(12, Format().protect(4)), Section(18, Format())), granularity="row"),
    "a scale for each group": TensorFormat((Section(30, Format(EvenLevels(4)).protect(1)),), granularity=4),
    "nothing stored": TensorFormat((Section(30, Format(TableLevels((0.0,)))),)),
    "no bits, two and twelve": TensorFormat(
        (
            Section(10, Format(TableLevels((0.25,)))),
            Section(10, FITTED),
            Section(10, Format(TableLevels(tuple(i / 256 - 2 for i in range(1024))), (Ideal(),) * 10)),
        )
    ),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_reader_gives_what_one_read_gives(storage: TensorFormat, fault: FaultModel, dtype: torch.dtype) -> None:
    """To the bit, for any seed, also without errors, into tensors of several reads."""
    weights = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    words, scale = storage.encode(weights, fault)
    reader = TensorReader(storage, words, scale, fault, place="a", dtype=dtype)
    reads = torch.empty(2, 5, 6, dtype=dtype)
    first, second = map(reader.into, reads)
    for seed in (3, 4, 3):
        first(seed)
        expected = storage.read(words, scale, fault, seed=seed, place="a", out=torch.empty_like(weights))
        assert torch.equal(reads[0], expected)
    second(None)
    assert torch.equal(reads[1], storage.decode(words, scale, out=torch.empty_like(weights)))
    assert torch.equal(reads[0], expected)


class AllOnes(PerBit):
    """Reads ones everywhere, also beyond the bits of a word."""

    def behind(self, protections):
        return self

    def corrupt(self, words, *, bits=8, seed, place="", in_place=False):
        return torch.full_like(words, 255)


def test_words_that_are_no_labels_are_refused() -> None:
    """Whatever a fault model of one's own makes of words of four bits."""
    storage = TensorFormat((Section(3, Format(EvenLevels(4))),))
    words, scale = storage.encode(torch.ones(3), Uniform(0.0))
    read = TensorReader(storage, words, scale, AllOnes((0.1,) * 4), place="a", dtype=torch.float32).into(torch.empty(3))
    with pytest.raises(ArgumentError, match="words of 'a' must be below 16"):
        read(0)


def test_what_is_read_without_errors_needs_no_fault_that_fits() -> None:
    """Nothing is drawn."""
    storage, out = TensorFormat((Section(3, Format()),)), torch.empty(3)
    words, scale = storage.encode(torch.ones(3), Uniform(0.0))
    TensorReader(storage, words, scale, PerBit((0.1,) * 4), dtype=torch.float32).into(out)(None)
    assert torch.equal(out, torch.ones(3))
