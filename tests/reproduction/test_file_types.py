"""The network of file types, and the files that are made for it."""

import hashlib
import json
import pickletools
import zipfile
from io import BytesIO

import pytest
import torch

from reproduction import file_types, pretrained

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def test_what_the_network_sees_of_a_file():
    """Its first 1024 bytes without white space before, its last without any behind; filled up between."""
    long = b"\n\t " + bytes(range(33, 123)) * 60 + b" \n"
    found = file_types.features(long)
    assert len(found) == 2048
    assert bytes(found[:1024]) == long.strip()[:1024]
    assert bytes(found[1024:]) == long.strip()[-1024:]
    assert file_types.features(b" abc ") == [*b"abc ", *[256] * 2040, *b" abc"]


def test_files_are_of_their_types_and_repeat():
    """Readers of the standard library take them; the same seed gives the same ones."""
    files, labels = file_types.made_files(len(file_types.WRITERS), 3)
    assert labels == list(file_types.WRITERS)
    made = dict(zip(labels, files, strict=True))
    assert file_types.made_files(2, 3)[0] == files[:2]
    assert file_types.made_files(2, 4)[0] != files[:2]
    compile(made["python"], "source.py", "exec")
    assert zipfile.ZipFile(BytesIO(made["zip"])).namelist() == ["source.py"]
    assert {"line", "kind", "name"} == json.loads(made["json"])[0].keys()
    assert made["png"].startswith(b"\x89PNG")
    assert list(pickletools.genops(made["pickle"]))[-1][0].name == "STOP"


def test_the_network_is_read_from_its_file(monkeypatch, tmp_path):
    """With files of the types that it names; of one that it does not know nothing can be right."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weight = torch.randn(2048, len(file_types.WRITERS), generator=torch.Generator().manual_seed(0)).numpy()
    nodes = [
        helper.make_node("Cast", ["bytes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["numbers", "weight"], ["types"]),
    ]
    graph = helper.make_graph(
        nodes,
        "types",
        [helper.make_tensor_value_info("bytes", TensorProto.INT32, ["files", 2048])],
        [helper.make_tensor_value_info("types", TensorProto.FLOAT, ["files", len(file_types.WRITERS)])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    named = {"target_labels_space": list(file_types.WRITERS)}
    for name, content in (
        (file_types.FILE, model.SerializeToString()),
        (file_types.CONFIGURATION, json.dumps(named).encode()),
    ):
        monkeypatch.setitem(pretrained.WEIGHTS, name, hashlib.sha256(content).hexdigest())
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    network, samples = file_types.load(tmp_path)
    assert samples.calibration.shape == (file_types.CALIBRATION_FILES, 2048)
    assert samples.metrics["same type"](network) == 1
    assert 0 <= samples.metrics["right type"](network) < 1
