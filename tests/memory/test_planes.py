"""Bit planes: where each stored bit lies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qtaml.formats import EvenLevels, Format, Section, TableLevels, TensorFormat, label_dtype
from qtaml.memory.planes import filled_up_with_zeros, pack, regions, unpack


@st.composite
def storages(draw):
    """Tensors of one to four sections, of plain words or of fitted ones of several lengths."""
    if draw(st.booleans()):
        bits = draw(st.integers(2, 16))
        formats = [Format(EvenLevels(bits)).protect(count) for count in range(min(bits, 3))]
    else:
        formats = [Format(TableLevels(tuple(range(2**bits)))) for bits in (0, 1, 3, 9)]
    sections = draw(st.lists(st.tuples(st.integers(1, 40), st.sampled_from(formats)), min_size=1, max_size=4))
    return TensorFormat(tuple(Section(*section) for section in sections))


def random_words(storage, seed):
    """A label for each weight."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        torch.randint(0, 2**section.format.bits, (section.weights,), generator=generator)
        for section in storage.sections
    ]
    return torch.cat(parts).to(label_dtype(storage.bits))


@pytest.mark.slow
@given(storages(), st.integers(0, 9))
def test_every_bit_is_where_the_map_says(storage, seed):
    """Bit b of the i-th weight of a region is bit i of plane b, counted from the least significant bit of a byte."""
    words = random_words(storage, seed)
    packed = pack(storage, words)
    for region in regions(storage):
        labels = torch.cat([words[span] for span in region.spans]).tolist()
        for bit in region.bits:
            plane = packed[region.plane(bit)].tolist()
            assert [plane[i // 8] >> i % 8 & 1 for i in range(len(labels))] == [label >> bit & 1 for label in labels]


@pytest.mark.slow
@given(storages(), st.integers(0, 9))
def test_unpacking_undoes_packing(storage, seed):
    """Words come back; planes follow each other without gaps; what fills them up is zero."""
    words = random_words(storage, seed)
    packed = pack(storage, words)
    assert torch.equal(unpack(storage, packed), words)
    assert filled_up_with_zeros(storage, packed)
    planes = [region.plane(bit) for region in regions(storage) for bit in region.bits]
    assert [plane.start for plane in planes] == [0, *(plane.stop for plane in planes)][: len(planes)]
    assert len(packed) == (planes[-1].stop if planes else 0)


def test_more_weights_than_are_packed_at_once():
    """Weights beyond the first million, in two regions."""
    fmt = Format(EvenLevels(4))
    storage = TensorFormat((Section(1_100_003, fmt), Section(5, fmt.protect(1)), Section(1_200_000, fmt)))
    words = random_words(storage, 0)
    packed = pack(storage, words)
    assert torch.equal(unpack(storage, packed), words)
    bits = np.unpackbits(packed[regions(storage)[0].plane(2)], bitorder="little")
    labels = torch.cat([words[:1_100_003], words[1_100_008:]]).numpy()
    assert np.array_equal(bits[: len(labels)], labels >> 2 & 1)


def test_a_bit_set_among_those_that_fill_up_is_seen():
    """Eleven weights leave five bits of a byte."""
    storage = TensorFormat((Section(11, Format(EvenLevels(2))),))
    packed = pack(storage, torch.zeros(11, dtype=torch.uint8))
    packed[3] |= 1 << 3
    assert not filled_up_with_zeros(storage, packed)
