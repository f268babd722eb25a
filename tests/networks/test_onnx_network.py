"""Networks of ONNX files: planned, stored, read and measured by onnxruntime, without a graph of PyTorch."""

import copy
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError, ModelError, StoredFileError
from qtaml.export import write_onnx, write_program
from qtaml.model import stored_weights
from qtaml.networks import OnnxNetwork
from qtaml.sensitivity import Calibration, averaged_gains, averaged_probe_gains

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.onnx_files import Classifier, graph_of, images, quantise  # noqa: E402

KEPT = {"grid": "integer", "scale": "none"}
"""Codes are stored as they are."""


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Trained."""
    torch.manual_seed(0)
    model, (inputs, labels) = Classifier(), images()
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def path(classifier, tmp_path_factory):
    """Its file."""
    file = tmp_path_factory.mktemp("onnx") / "classifier.onnx"
    onnx.save(graph_of(classifier), file)
    return file


@pytest.fixture(scope="module")
def quantised(path):
    """Its files with int8 codes for each channel (QDQ), with uint8 codes, and with integer operators."""
    return {
        "QDQ": quantise(path, "QDQ"),
        "QDQ uint8": quantise(path, "QDQ", "QUInt8", per_channel=False),
        "integer operators": quantise(path, "QOperator", per_channel=False),
    }


def run(file: object, inputs: torch.Tensor) -> torch.Tensor:
    """Outputs of a file in a session of its own."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": inputs.numpy()})[0])


def test_the_outputs_are_those_of_the_network(classifier, path):
    """To rounding; parameters have the names of the file, and copies share the session."""
    network, (inputs, _) = OnnxNetwork(path), images(7)
    assert {name for name, _ in network.named_parameters()} == classifier.state_dict().keys()
    torch.testing.assert_close(network(inputs), classifier(inputs))
    torch.testing.assert_close(network(images=inputs.double()), classifier(inputs))
    assert copy.deepcopy(network).graph is network.graph
    assert network.to_bytes() == path.read_bytes()


def test_gains_by_probes_are_those_of_gradients(classifier, path):
    """Within four standard errors of both, at the trained weights and at reads."""
    inputs, _ = images(60)
    by_gradients, by_probes = Calibration(classifier, inputs).gains, Calibration(OnnxNetwork(path), inputs).gains
    assert {gain.source for gain in by_probes.values()} == {"forward passes"}
    noise = torch.Generator().manual_seed(1)
    reads = [
        {
            name: w + 0.05 * torch.randn(w.shape, generator=noise)
            for name, w in classifier.named_parameters()
            if w.ndim > 1
        }
        for _ in range(30)
    ]
    pairs = [
        (by_gradients, by_probes),
        (averaged_gains(classifier, inputs, reads), averaged_probe_gains(OnnxNetwork(path), inputs, reads)),
    ]
    for exact, probed in pairs:
        for name, gain in exact.items():
            error = (gain.standard_error**2 + probed[name].standard_error ** 2) ** 0.5
            assert abs(probed[name].squared - gain.squared) < 4 * error
            assert error < 0.4 * gain.squared


def test_a_float_network_goes_all_the_way(classifier, path, tmp_path):
    """Planned as the network of PyTorch, with the same accuracy, saved, loaded, and out as the same file."""
    (inputs, labels), network = images(), OnnxNetwork(path)
    accuracy = qtaml.measuring.Accuracy(inputs, labels)
    results = []
    for model in (classifier, network):
        plan = qtaml.compensate(model, inputs[:60], p=0.05, overhead=0.4, decision="always", beyond_first_order=False)
        results.append(qtaml.evaluate(qtaml.store(model, plan), accuracy, trials=20))
    theirs, ours = results
    assert ours.low <= theirs.mean <= ours.high
    assert ours.mean > 0.6
    memory = qtaml.store(network, plan)
    memory.save(tmp_path / "stored")
    again = qtaml.load(tmp_path / "stored", OnnxNetwork(path))
    write_onnx(again, tmp_path / "read.onnx", seed=3)
    torch.testing.assert_close(run(tmp_path / "read.onnx", inputs), memory.model(seed=3)(inputs))
    assert not torch.allclose(run(tmp_path / "read.onnx", inputs), network(inputs))
    with pytest.raises(ModelError, match="a network of a \\.onnx file cannot be traced"):
        write_program(memory, tmp_path / "read.pt2", inputs)


@pytest.mark.parametrize("form", ["QDQ", "QDQ uint8", "integer operators"])
def test_codes_of_a_quantised_network_are_kept(quantised, form, tmp_path):
    """The words are the codes of the file; what runs is what the file would give with the codes that are read."""
    network, (inputs, labels) = OnnxNetwork(quantised[form]), images()
    assert torch.equal(network(inputs), run(quantised[form], inputs))
    encoding = "offset_binary" if "uint8" in form else "twos_complement"
    codes = [
        numpy_helper.to_array(one) for one in onnx.load(quantised[form]).graph.initializer
        if len(one.dims) > 1 and one.data_type in (TensorProto.INT8, TensorProto.UINT8)
    ]  # fmt: skip
    plan = qtaml.uniform_msp(network, p=0.02, protected_bits=2, encoding=encoding, **KEPT)
    memory = qtaml.store(network, plan)
    assert len(codes) == len(memory.tensors) == 2
    for stored, expected in zip(memory.tensors.values(), codes, strict=True):
        np.testing.assert_array_equal(stored.words.numpy(), expected.view(np.uint8))
    result = qtaml.evaluate(memory, qtaml.measuring.Accuracy(inputs, labels), trials=10)
    assert result.mean > 0.6
    write_onnx(memory, tmp_path / "stored.onnx")
    assert (tmp_path / "stored.onnx").read_bytes() == network.to_bytes()
    write_onnx(memory, tmp_path / "read.onnx", seed=1)
    assert torch.equal(run(tmp_path / "read.onnx", inputs), memory.model(seed=1)(inputs))


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4], ids=["int4", "uint4"])
def test_codes_of_four_bits(classifier, tmp_path, kind):
    """Two in a byte in the file, words of 4 bits in the memory."""
    model, zero = graph_of(classifier), 8 if kind == TensorProto.UINT4 else 0
    model.opset_import[0].version = 21
    for name in ("filters.weight", "head.weight"):
        tensor = next(one for one in model.graph.initializer if one.name == name)
        weight = numpy_helper.to_array(tensor)
        scale = np.float32(np.abs(weight).max() / 7)
        codes = np.rint(weight / scale).astype(np.int8) + zero
        tensor.CopyFrom(helper.make_tensor(f"{name}.codes", kind, codes.shape, codes.reshape(-1)))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        point = helper.make_tensor(f"{name}.zero", kind, [], [zero])
        model.graph.initializer.append(point)
        taken = [f"{name}.codes", f"{name}.scale", f"{name}.zero"]
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", taken, [name]))
    onnx.save(model, tmp_path / "four.onnx")
    network, (inputs, labels) = OnnxNetwork(tmp_path / "four.onnx"), images()
    assert torch.equal(network(inputs), run(tmp_path / "four.onnx", inputs))
    encoding = "offset_binary" if zero else "twos_complement"
    memory = qtaml.store(
        network, qtaml.uniform_msp(network, p=0.05, protected_bits=1, bits=4, encoding=encoding, **KEPT)
    )
    stored = memory.tensors["filters.weight.codes"].words.numpy()
    expected = np.rint(classifier.filters.weight.numpy() / np.abs(classifier.filters.weight.numpy()).max() * 7)
    np.testing.assert_array_equal(stored, (expected.astype(np.int64) + zero) % 16)
    assert qtaml.evaluate(memory, qtaml.measuring.Accuracy(inputs, labels), trials=5).mean > 0.5
    for seed in (None, 1):
        write_onnx(memory, tmp_path / "read.onnx", seed=seed)
        read = network if seed is None else memory.model(seed=seed)
        assert torch.equal(run(tmp_path / "read.onnx", inputs), read(inputs))


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_short_floats_are_kept(classifier, tmp_path, kind):
    """The words of the file are those of the memory, and what is beyond the largest one is that."""
    model, number, levels = graph_of(classifier), TensorProto.DataType.Value(kind), {"BFLOAT16": "bf16"}
    model.opset_import[0].version = 21
    for name in ("filters.weight", "head.weight"):
        tensor = next(one for one in model.graph.initializer if one.name == name)
        short = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(number))
        tensor.CopyFrom(numpy_helper.from_array(short, f"{name}.short"))
        model.graph.node.insert(0, helper.make_node("Cast", [f"{name}.short"], [name], to=TensorProto.FLOAT))
    onnx.save(model, tmp_path / "short.onnx")
    network, (inputs, _) = OnnxNetwork(tmp_path / "short.onnx"), images()
    assert torch.equal(network(inputs), run(tmp_path / "short.onnx", inputs))
    own = levels.get(kind, f"fp8_{kind[6:10].lower()}")
    memory = qtaml.store(network, qtaml.uniform_msp(network, p=1e-4, protected_bits=0, levels=own, scale="none"))
    np.testing.assert_array_equal(
        memory.tensors["head.weight.short"].words.numpy().astype(int), short.view(f"u{short.itemsize}")
    )
    assert network.to_bytes() == (tmp_path / "short.onnx").read_bytes()
    write_onnx(memory, tmp_path / "read.onnx", seed=1)
    torch.testing.assert_close(run(tmp_path / "read.onnx", inputs), memory.model(seed=1)(inputs))
    with torch.no_grad():
        network.get_parameter("head.weight.short").mul_(1e38)
    again = onnx.load_model_from_string(network.to_bytes()).graph.initializer
    assert all(np.isfinite(numpy_helper.to_array(one).astype(float)).all() for one in again)


def test_another_file_is_another_network(quantised, tmp_path):
    """The same codes with other scales are refused; what is no weight counts among the numbers of the network."""
    network = OnnxNetwork(quantised["QDQ"])
    plan = qtaml.uniform_msp(network, p=0.1, protected_bits=2)
    assert 0.3 < plan.covered < 0.9
    qtaml.store(network, plan).save(tmp_path / "stored")
    model = onnx.load(quantised["QDQ"])
    scale = next(one for one in model.graph.initializer if one.name == "head.weight_scale")
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))
    onnx.save(model, tmp_path / "other.onnx")
    assert qtaml.load(tmp_path / "stored", OnnxNetwork(quantised["QDQ"])).plan == plan
    memory, (inputs, labels) = qtaml.load(tmp_path / "stored", OnnxNetwork(tmp_path / "other.onnx")), images(10)
    with pytest.raises(ModelError, match=r"stored from another file: 'head.weight_scale' differs in .*other.onnx"):
        qtaml.evaluate(memory, qtaml.measuring.Accuracy(inputs, labels), trials=2)


def test_budgets_of_a_quantised_network(quantised):
    """TAC by probes alone, without changing a code; what it predicts is measured."""
    network, (inputs, _) = OnnxNetwork(quantised["QDQ"]), images(60)
    plan = qtaml.compensate(
        network, inputs, p=0.002, overhead=0.2, encoding="twos_complement", correction="none", trials=4, **KEPT
    )
    assert {entry.gain.source for entry in plan.tensors} == {"forward passes"}
    assert "no gradients" in str(plan)
    result = qtaml.evaluate(qtaml.store(network, plan), qtaml.measuring.OutputError(network, inputs), trials=30)
    assert result.reads_low <= 2 * plan.predicted_error
    with pytest.raises(ArgumentError, match=r"no whole numbers, got 'none', and 'filters.weight'"):
        qtaml.uniform_msp(Classifier(), p=0.1, protected_bits=0, **KEPT)


def test_files_for_a_fixed_number_of_samples(classifier, tmp_path):
    """Run in parts, the last one filled up."""
    onnx.save(graph_of(classifier, samples=4), tmp_path / "four.onnx")
    inputs, _ = images(10)
    for samples in (10, 8, 4, 3):
        torch.testing.assert_close(OnnxNetwork(tmp_path / "four.onnx")(inputs[:samples]), classifier(inputs[:samples]))


def test_weights_in_other_places(classifier, tmp_path):
    """External data in the folder, and constants."""
    external, constant = graph_of(classifier), graph_of(classifier)
    onnx.save(external, tmp_path / "external.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    tensor = constant.graph.initializer.pop(0)
    constant.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    onnx.save(constant, tmp_path / "constant.onnx")
    inputs, _ = images(5)
    for name in ("external", "constant"):
        network = OnnxNetwork(tmp_path / f"{name}.onnx")
        assert {one for one, _ in network.named_parameters()} == classifier.state_dict().keys()
        torch.testing.assert_close(network(inputs), classifier(inputs))


def test_biases_with_ones_in_their_shape_are_vectors(classifier, tmp_path):
    """Stored only where they are asked for, as those of PyTorch; the file keeps its shapes."""
    model = graph_of(classifier)
    for place, output, weight, shape in ((1, "found", "filters", (1, 6, 1, 1)), (6, "logits", "head", (1, 3))):
        node = next(one for one in model.graph.node if one.output[0] == output)
        bias = next(one for one in model.graph.initializer if one.name == f"{weight}.bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias).reshape(shape), bias.name))
        del node.input[2]
        node.output[0] = f"{output} before"
        model.graph.node.insert(place, helper.make_node("Add", [node.output[0], bias.name], [output]))
    onnx.save(model, tmp_path / "ones.onnx")
    network, (inputs, _) = OnnxNetwork(tmp_path / "ones.onnx"), images(7)
    torch.testing.assert_close(network(inputs), classifier(inputs))
    assert list(stored_weights(network)) == ["filters.weight", "head.weight"]
    assert network.get_parameter("filters.bias").shape == (6,)
    assert network.to_bytes() == (tmp_path / "ones.onnx").read_bytes()
    assert "head.bias" in stored_weights(network, include=["*.bias"])


def test_gains_that_many_outputs_tell_take_few_passes(classifier, path, monkeypatch):
    """A gain within 5% ends its probes; one that few outputs tell takes all of them."""
    network, passes = OnnxNetwork(path), []
    run = type(network.graph).run
    monkeypatch.setattr(type(network.graph), "run", lambda *given: passes.append(1) or run(*given))
    inputs, _ = images()
    few = Calibration(network, inputs[:3]).gains
    among_few = len(passes)
    passes.clear()
    many = Calibration(network, inputs).gains
    assert len(passes) < among_few
    assert min(gain.standard_error / gain.squared for gain in many.values()) <= 0.05
    assert min(gain.standard_error / gain.squared for gain in few.values()) > 0.05


def test_what_is_no_input(path):
    """Said by name."""
    network, (inputs, _) = OnnxNetwork(path), images(2)
    for call in (lambda: network(), lambda: network(inputs, inputs), lambda: network(pictures=inputs)):
        with pytest.raises(ModelError, match="the network takes the inputs 'images', got"):
            call()
    with pytest.raises(ModelError, match="onnxruntime failed on the inputs"):
        network(inputs[:, :, :2, :2].repeat(1, 3, 1, 1))


def _external(location: str, **told: object) -> object:
    """A change of a file: the data of its first tensor lie elsewhere."""

    def change(model: "onnx.ModelProto") -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **told}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def _of_type(kind: int) -> object:
    def change(model: "onnx.ModelProto") -> None:
        model.graph.initializer[0].data_type = kind

    return change


def _inside_a_node(model: "onnx.ModelProto") -> None:
    _external("data.bin")(model)
    tensor = model.graph.initializer.pop(0)
    model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))


CHANGES = {
    "outside": (_external("../data.bin"), StoredFileError, "must lie in the folder of the file, got '../data.bin'"),
    "absolute": (_external("/etc/passwd"), StoredFileError, "must lie in the folder of the file, got '/etc/passwd'"),
    "a link that leaves": (
        _external("link.bin"),
        StoredFileError,
        "must lie in the folder of the file, got 'link.bin'",
    ),
    "no name": (_external(""), StoredFileError, "must lie in the folder of the file, got ''"),
    "missing": (_external("none.bin"), StoredFileError, "cannot read .*none.bin"),
    "beyond the end": (_external("data.bin", offset=64), StoredFileError, "must be 216 bytes within 'data.bin' of 256"),
    "negative": (_external("data.bin", offset=-4), StoredFileError, "must be 216 bytes within 'data.bin'"),
    "no number": (_external("data.bin", offset="x"), StoredFileError, "must be 216 bytes within 'data.bin'"),
    "inside a node": (_inside_a_node, StoredFileError, "which is inside a node, must be in the file"),
    "too short": (
        lambda model: setattr(model.graph.initializer[0], "raw_data", b"123"),
        StoredFileError,
        "does not hold the numbers of 'filters.weight'",
    ),
    "negative shape": (
        lambda model: model.graph.initializer[0].dims.__setitem__(0, -6),
        StoredFileError,
        r"holds 'filters.weight' of shape \(-6, 1, 3, 3\)",
    ),
    "twice": (
        lambda model: model.graph.initializer.append(model.graph.initializer[0]),
        StoredFileError,
        "holds two tensors named 'filters.weight'",
    ),
    "float4": (
        _of_type(TensorProto.FLOAT4E2M1),
        ModelError,
        "weights must be of FLOAT, .*got 'filters.weight' of FLOAT4E2M1",
    ),
    "int2": (_of_type(TensorProto.INT2), ModelError, "got 'filters.weight' of INT2"),
    "int4": (_of_type(TensorProto.INT4), StoredFileError, "27 bytes are needed, and there are 216"),
    "no operator": (
        lambda model: setattr(model.graph.node[0], "op_type", "Magic"),
        ModelError,
        "onnxruntime cannot run .*Magic",
    ),
    "no nodes": (lambda model: model.graph.ClearField("node"), StoredFileError, "it holds no graph"),
    "a name that no module can have": (
        lambda model: setattr(model.graph.initializer[0], "name", "filters..weight"),
        ModelError,
        "'filters..weight' cannot be a parameter",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_bad_files_are_refused(classifier, tmp_path, name):
    """By what is wrong with them; nothing is loaded."""
    change, kind, message = CHANGES[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "data.bin").write_bytes(bytes(256))
    (folder / "data.bin").write_bytes(bytes(256))
    (folder / "link.bin").symlink_to(tmp_path / "data.bin")
    model = graph_of(classifier)
    change(model)
    (folder / "bad.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(kind, match=message):
        OnnxNetwork(folder / "bad.onnx")


def test_damaged_files_end_in_our_errors(path, tmp_path):
    """Cut off anywhere, or with a byte changed; what still is a network runs or says why not."""
    content, generator = path.read_bytes(), np.random.default_rng(0)
    inputs, _ = images(2)
    for trial in range(60):
        place = int(generator.integers(len(content)))
        changed = content[:place] + (bytes([generator.integers(256)]) + content[place + 1 :] if trial % 2 else b"")
        (tmp_path / "damaged.onnx").write_bytes(changed)
        with suppress(qtaml.QtamlError):
            OnnxNetwork(tmp_path / "damaged.onnx")(inputs)
