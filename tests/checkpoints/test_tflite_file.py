"""TFLite files, written by `tflite`: INT8 with a scale for each channel or one for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.checkpoints import ReadCheckpoint, open_checkpoint, protect
from qtaml.errors import StoredFileError

tflite = pytest.importorskip("tflite")
flatbuffers = pytest.importorskip("flatbuffers")


def _vector(builder, start, values, prepend):
    start(builder, len(values))
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()


def _tensor(builder, name, shape, kind, buffer, quantisation):
    text = builder.CreateString(name)
    dimensions = _vector(builder, tflite.TensorStartShapeVector, shape, builder.PrependInt32)
    scaled = None
    if quantisation is not None:
        scales, axis, zeros = quantisation
        scale = builder.CreateNumpyVector(np.asarray(scales, dtype=np.float32))
        zero = builder.CreateNumpyVector(np.asarray(zeros, dtype=np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero)
        tflite.QuantizationParametersAddQuantizedDimension(builder, axis)
        scaled = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, dimensions)
    tflite.TensorAddType(builder, kind)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, text)
    if scaled is not None:
        tflite.TensorAddQuantization(builder, scaled)
    return tflite.TensorEnd(builder)


def write_tflite(path, tensors):
    """A file of constants: (array, (scales, axis, zero points) or None) by name; no operators."""
    builder, types = flatbuffers.Builder(1024), {"int8": 9, "float32": 0, "int32": 2}
    buffers = []
    for array in (np.zeros(0, np.uint8), *(array for array, _ in tensors.values())):
        data = builder.CreateByteVector(array.tobytes())
        tflite.BufferStart(builder)
        tflite.BufferAddData(builder, data)
        buffers.append(tflite.BufferEnd(builder))
    entries = [
        _tensor(builder, name, array.shape, types[str(array.dtype)], number + 1, quantisation)
        for number, (name, (array, quantisation)) in enumerate(tensors.items())
    ]
    listed = _vector(builder, tflite.SubGraphStartTensorsVector, entries, builder.PrependUOffsetTRelative)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, listed)
    graph = tflite.SubGraphEnd(builder)
    graphs = _vector(builder, tflite.ModelStartSubgraphsVector, [graph], builder.PrependUOffsetTRelative)
    stored = _vector(builder, tflite.ModelStartBuffersVector, buffers, builder.PrependUOffsetTRelative)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, stored)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


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
    return write_tflite(tmp_path_factory.mktemp("tflite") / "m.tflite", _arrays())


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
    for name, tensor in open_checkpoint(tmp_path / "read.tflite").items():
        assert np.array_equal(tensor.values(), read.values(name))


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
