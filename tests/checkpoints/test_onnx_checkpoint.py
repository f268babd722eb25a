"""ONNX files as checkpoints: words, scales and zero points as they are, by the values of onnxruntime."""

import numpy as np
import pytest
import torch

from qtaml.checkpoints import ReadCheckpoint, open_checkpoint, protect
from qtaml.errors import StoredFileError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.onnx_files import Classifier, graph_of, quantise  # noqa: E402

T = TensorProto
# Type of the codes, of the scales, shape of the scales, axis, block, and whether there are zero points.
CASES = {
    "int8, one scale": (T.INT8, T.FLOAT, (), 0, 0, False),
    "int8, rows": (T.INT8, T.FLOAT, (8,), 0, 0, True),
    "uint8, columns": (T.UINT8, T.FLOAT, (6,), 1, 0, True),
    "int8, columns, fp16": (T.INT8, T.FLOAT16, (6,), -1, 0, False),
    "int4, blocks down": (T.INT4, T.FLOAT, (2, 6), 0, 4, False),
    "uint4, blocks across": (T.UINT4, T.FLOAT, (8, 2), 1, 3, True),
    "fp8, rows": (T.FLOAT8E4M3FN, T.FLOAT, (8,), 0, 0, False),
}


def _file(path, codes, scales, shape, axis, block, zero):
    """A product with an 8 x 6 weight of codes."""
    draw, kind = np.random.default_rng(0), helper.tensor_dtype_to_np_dtype(codes)
    least, most = (0, 16) if codes == T.UINT4 else (-8, 8) if codes == T.INT4 else (0, 128)
    values = draw.integers(least, most, (8, 6)).astype(np.int32)
    numbers = {"w": values.astype(kind) if codes != T.FLOAT8E4M3FN else values.astype(np.float32).astype(kind)}
    numbers["s"] = (draw.random(shape) + 0.5).astype(helper.tensor_dtype_to_np_dtype(scales))
    if zero:
        numbers["z"] = draw.integers(0, 7, shape).astype(kind)
    told = {"block_size": block} if block else {}
    node = helper.make_node("DequantizeLinear", list(numbers), ["y"], axis=axis, **told)
    held = [numpy_helper.from_array(np.asarray(one), name) for name, one in numbers.items()]
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", scales, None)], held)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    path.write_bytes(model.SerializeToString())
    return path


def _values(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {})[0].astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_words_and_flips_are_those_of_onnxruntime(tmp_path, case):
    """Values bit for bit; so after a flip of the lowest bit of the last word of each field."""
    checkpoint = open_checkpoint(_file(tmp_path / "m.onnx", *CASES[case]))
    (tensor,) = checkpoint.values()
    assert np.array_equal(tensor.values(), _values(tmp_path / "m.onnx"))
    assert [field.name for field in tensor.format.fields][2:] == ["zero points"] * CASES[case][-1]
    for field in tensor.format.fields:
        part, place = tensor.parts[field.part], int(field.places[-1, 0])
        content = bytearray((tmp_path / "m.onnx").read_bytes())
        content[part.offset + (part.units - 1) * part.width + place // 8] ^= 1 << place % 8
        (tmp_path / "flipped.onnx").write_bytes(content)
        flipped = open_checkpoint(tmp_path / "flipped.onnx")["w"].values()
        assert np.array_equal(flipped, _values(tmp_path / "flipped.onnx"))
        assert not np.array_equal(flipped, tensor.values())


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_short_floats_are_kept(tmp_path, kind):
    """Words of a plain initialiser are those of the file, and values, after a flip too, those of onnxruntime."""
    draw, number = np.random.default_rng(0), T.DataType.Value(kind)
    short = draw.normal(size=(8, 6)).astype(helper.tensor_dtype_to_np_dtype(number))
    node = helper.make_node("Cast", ["w"], ["y"], to=T.FLOAT)
    told = helper.make_tensor_value_info("y", T.FLOAT, (8, 6))
    graph = helper.make_graph([node], "g", [], [told], [numpy_helper.from_array(short, "w")])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    for bit in (None, *range(8 * short.itemsize)):
        words = short.view(f"u{short.itemsize}").copy()
        words[0, 0] ^= 0 if bit is None else 1 << bit
        model.graph.initializer[0].raw_data = words.tobytes()
        onnx.save(model, tmp_path / "m.onnx")
        tensor = open_checkpoint(tmp_path / "m.onnx")["w"]
        assert np.array_equal(tensor.format.words(tensor.raw(0, 48))["words"].ravel(), words.ravel())
        assert np.array_equal(tensor.values(), _values(tmp_path / "m.onnx"), equal_nan=True)


def test_a_quantised_network_is_read_and_written(tmp_path):
    """Codes and scales of `onnxruntime.quantization`, whose zero points are alike; one tensor read with errors."""
    torch.manual_seed(0)
    onnx.save(graph_of(Classifier()), tmp_path / "m.onnx")
    for kind in ("QInt8", "QUInt8"):
        checkpoint = open_checkpoint(quantise(tmp_path / "m.onnx", "QDQ", kind))
        assert [one.format.name for one in checkpoint.values()] == [kind[1:].upper()] * 2
        assert "filters.bias_quantized" in checkpoint.others
    plan = protect(checkpoint, p=0.05, cells=1.2, decoders=("none", "majority"))
    read = ReadCheckpoint(checkpoint, plan, seed=0, only=("head.weight_quantized",))
    read.save(tmp_path / "read.onnx")
    for name, tensor in open_checkpoint(tmp_path / "read.onnx").items():
        assert np.array_equal(tensor.values(), read.values(name))
        assert np.array_equal(tensor.values(), checkpoint[name].values()) == (name != "head.weight_quantized")


def test_what_is_damaged_or_elsewhere_is_refused(tmp_path):
    """Cut anywhere, data in another file, sizes that do not fit, one name twice."""
    model = graph_of(Classifier())
    content = model.SerializeToString()
    for cut in range(9, len(content), 97):
        (tmp_path / "cut.onnx").write_bytes(content[:cut])
        with pytest.raises(StoredFileError, match=r"cut\.onnx"):
            open_checkpoint(tmp_path / "cut.onnx")
    changes = {
        "has 5 bytes, its shape asks for 216": lambda tensors: setattr(tensors[0], "raw_data", b"12345"),
        "is damaged: ValueError: 70 is not in list": lambda tensors: setattr(tensors[0], "data_type", 70),
        "two tensors of one name": lambda tensors: setattr(tensors[1], "name", tensors[0].name),
    }
    for message, change in changes.items():
        other = graph_of(Classifier())
        change(other.graph.initializer)
        (tmp_path / "bad.onnx").write_bytes(other.SerializeToString())
        with pytest.raises(StoredFileError, match=message):
            open_checkpoint(tmp_path / "bad.onnx")
    (tmp_path / "bad.onnx").write_bytes(content.replace(b"filters.bias", b"filters.\xff\xfe\xfd\xfc"))
    with pytest.raises(StoredFileError, match="a tensor has a name that is no text"):
        open_checkpoint(tmp_path / "bad.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    with pytest.raises(StoredFileError, match=r"data of 'filters\.weight' in another file: make one of them by"):
        open_checkpoint(tmp_path / "m.onnx")
