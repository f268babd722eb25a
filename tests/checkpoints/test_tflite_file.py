"""TFLite files: INT8 with a scale for each channel or one for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.checkpoints import ReadCheckpoint, open_checkpoint, protect
from qtaml.errors import StoredFileError

pytest.importorskip("tflite")
from tests.tflite_files import tensor, write_tflite


def _arrays():
    generator = np.random.default_rng(0)
    codes = generator.integers(-127, 128, (8, 3, 3, 4), dtype=np.int8)
    channels = (0.01 + generator.random(8).astype(np.float32), 0, np.zeros(8))
    depthwise = (0.01 + generator.random(4).astype(np.float32), 3, np.zeros(4))
    return {
        "conv": (codes, channels),
        "depthwise": (codes[:1], depthwise),
        "dense": (codes.reshape(32, 9), ([0.02], 0, [0])),
        "float": (generator.normal(size=(5, 6)).astype(np.float32), None),
        "bias": (np.arange(8, dtype=np.int32), channels),
        "shifted": (codes[0], ([0.02], 0, [3])),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """All kinds of constants."""
    constants = {name: tensor(*one) for name, one in _arrays().items()}
    return write_tflite(tmp_path_factory.mktemp("tflite") / "m.tflite", constants)


def test_values_are_scales_times_codes(file):
    """Along the first axis, the last, or for all; float32 as it is; what is not read is named."""
    checkpoint, arrays = open_checkpoint(file), _arrays()
    assert list(checkpoint) == ["conv", "depthwise", "dense", "float"]
    for name, axes in (("conv", (8, 1, 1, 1)), ("depthwise", (1, 1, 1, 4)), ("dense", (1, 1))):
        codes, (scales, *_) = arrays[name]
        expected = codes.astype(np.float32) * np.asarray(scales, dtype=np.float32).reshape(axes)
        assert np.array_equal(checkpoint[name].values(), expected)
    assert np.array_equal(checkpoint["float"].values(), arrays["float"][0])
    assert checkpoint.others == {
        "bias": "INT32 is not read; FLOAT32, FLOAT16, and INT8 with scales are",
        "shifted": "zero points other than 0 are not read",
    }


def test_a_flipped_bit_of_a_scale_changes_its_channel(file, tmp_path):
    """The lowest bit of the exponent of the last scale, in the file."""
    checkpoint = open_checkpoint(file)
    part, content = checkpoint["conv"].parts[1], bytearray(file.read_bytes())
    content[part.offset + 4 * 7 + 2] ^= 0x80
    (tmp_path / "flipped.tflite").write_bytes(content)
    stored, flipped = (open_checkpoint(path)["conv"].values() for path in (file, tmp_path / "flipped.tflite"))
    assert np.array_equal(stored[:7], flipped[:7])
    assert np.array_equal(flipped[7], 2 * stored[7]) or np.array_equal(2 * flipped[7], stored[7])


@pytest.mark.slow
def test_the_file_as_read_is_a_tflite_file(file, tmp_path):
    """Its values are those of the read."""
    checkpoint = open_checkpoint(file)
    plan = protect(checkpoint, p=0.02, cells=1.2, decoders=("none", "ideal"))
    read = ReadCheckpoint(checkpoint, plan, seed=0)
    read.save(tmp_path / "read.tflite")
    for name, one in open_checkpoint(tmp_path / "read.tflite").items():
        assert np.array_equal(one.values(), read.values(name))


@pytest.mark.slow
@given(data=st.data())
def test_a_damaged_file_gives_an_error_or_a_checkpoint(file, tmp_path_factory, data):
    """Bytes changed anywhere, or the file cut."""
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 4, 127, 128, 255]))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(9, len(content))))
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.unlink(missing_ok=True)
    path.write_bytes(content[:cut])
    try:
        found = open_checkpoint(path)
    except StoredFileError:
        return
    assert all(tensor.values().size == tensor.weights for tensor in found.values())
