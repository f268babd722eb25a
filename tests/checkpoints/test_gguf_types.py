"""Every type of GGUF: its values are those of `gguf`, and each of its bits is where the fields say."""

import numpy as np
import pytest

from qtaml.checkpoints.gguf_types import gguf_type, gguf_types
from qtaml.checkpoints.unit_format import combined
from qtaml.checkpoints.word_law import values_of_weights
from tests.gguf_files import gguf, random_units


@pytest.mark.parametrize("name", gguf_types())
def test_values_are_those_of_the_library_bit_for_bit(name):
    """Of random bits, NaN and infinity among them."""
    kind = gguf.GGMLQuantizationType[name]
    units = np.random.default_rng(1).integers(0, 256, (64, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(units, kind).astype(np.float32)
    found = gguf_type(name).dequantise([units])
    assert np.array_equal(found.view(np.uint32), expected.reshape(found.shape).view(np.uint32))


@pytest.mark.parametrize("name", gguf_types())
def test_every_bit_belongs_to_one_field(name):
    """The fields share out the bits of a block among them."""
    unit = gguf_type(name)
    weights, width = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    places = np.concatenate([field.places.ravel() for field in unit.fields])
    assert unit.weights == weights
    assert np.array_equal(np.sort(places), np.arange(8 * width))


@pytest.mark.parametrize("name", gguf_types())
def test_weights_are_made_of_the_words_as_the_fields_say(name):
    """Words, levels and the formula give the values of the library, but for the rounding of float32."""
    unit, units = gguf_type(name), random_units(name, 50)
    words = unit.words([units])
    values = {field.name: values_of_weights(field, words[field.name], "keep") for field in unit.fields}
    terms = combined(unit.value, {name: np.abs(value) for name, value in values.items()})
    off = np.abs(combined(unit.value, values) - unit.dequantise([units]))
    assert (off <= 4 * np.finfo(np.float32).eps * terms).all()


@pytest.mark.parametrize("name", gguf_types())
def test_a_flipped_bit_changes_what_it_changes_in_the_library(name):
    """Each bit of each field: flipped in the word, or in the raw block, gives the same block; other weights stay."""
    unit, stored = gguf_type(name), random_units(name, 1)
    before = unit.dequantise([stored])[0]
    for field in unit.fields:
        word = field.words_of_unit - 1
        for bit, place in enumerate(field.places[word].tolist()):
            raw, ours = stored.copy(), stored.copy()
            raw[0, place // 8] ^= 1 << place % 8
            words = field.words(ours)
            words[0, word] ^= 1 << bit
            field.put(ours, words)
            assert np.array_equal(raw, ours)
            changed = unit.dequantise([raw])[0] != before
            assert not changed[field.word_of != word].any()


def test_a_type_that_is_not_read_has_no_format():
    """Of codes that are looked up in grids."""
    assert gguf_type("IQ2_XXS") is None
