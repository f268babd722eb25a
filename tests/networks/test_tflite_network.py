"""Networks of TFLite files: planned, stored, read and measured by LiteRT, without a graph of PyTorch."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ModelError, StoredFileError
from qtaml.export import write_same_file
from qtaml.measuring import Accuracy
from qtaml.networks import TfliteNetwork
from qtaml.sensitivity import Calibration

litert = pytest.importorskip("ai_edge_litert.interpreter")
from tests.tflite_files import operator, place, schema, tensor, write_tflite  # noqa: E402

KEPT = {"grid": "integer", "scale": "none", "encoding": "twos_complement"}


def samples(count: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise around one of three corners, and which."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    corners = torch.sign(torch.randn(3, 16, generator=generator))
    return corners[labels] + torch.randn(count, 16, generator=generator), labels


@pytest.fixture(scope="module")
def classifier() -> nn.Sequential:
    """Trained."""
    torch.manual_seed(0)
    model, (inputs, labels) = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)), samples()
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(40):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def _dense(relu: bool = False):
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = int(relu)
    return options


def _coded(layer: nn.Linear, before: float):
    """Codes with a scale for each row, and the biases that go with them."""
    scales = layer.weight.abs().amax(1).numpy() / np.float32(127)
    codes = np.rint(layer.weight.numpy() / scales[:, None]).astype(np.int8)
    biases = np.rint(layer.bias.numpy() / (before * scales)).astype(np.int32)
    zeros = [0] * len(scales)
    return tensor(codes, (scales, 0, zeros)), tensor(biases, (before * scales, 0, zeros))


def int8_file(path, classifier, rows: int = 1, *, any_rows: bool = False):
    """The classifier in codes of 8 bits, activations too, as converters write it."""
    inputs, _ = samples()
    hidden = classifier[:2](inputs)
    steps = [float(one.abs().max()) / 127 for one in (inputs, hidden, classifier(inputs))]
    first, first_bias = _coded(classifier[0], steps[0])
    second, second_bias = _coded(classifier[2], steps[1])
    tensors = {"x": place((rows, 16)), "x8": place((rows, 16), "int8", ([steps[0]], 0, [0]))}
    tensors |= {"first": first, "first bias": first_bias, "second": second, "second bias": second_bias}
    tensors |= {"hidden": place((rows, 12), "int8", ([steps[1]], 0, [0]))}
    tensors |= {"y8": place((rows, 3), "int8", ([steps[2]], 0, [0])), "y": place((rows, 3))}
    operators = [
        operator("QUANTIZE", ["x"], ["x8"]),
        operator("FULLY_CONNECTED", ["x8", "first", "first bias"], ["hidden"], _dense(relu=True)),
        operator("FULLY_CONNECTED", ["hidden", "second", "second bias"], ["y8"], _dense()),
        operator("DEQUANTIZE", ["y8"], ["y"]),
    ]
    signature = {"x": [-1, 16]} if any_rows else None
    return write_tflite(path, tensors, operators, ["x"], ["y"], signature)


def float_file(path, classifier, kind=np.float32):
    """The classifier in floats, those of 16 bits behind a DEQUANTIZE."""
    tensors, operators = {"x": place((1, 16)), "hidden": place((1, 12)), "y": place((1, 3))}, []
    for name, one in classifier.state_dict().items():
        tensors[name] = tensor(one.numpy().astype(kind))
        if kind is np.float16:
            tensors[f"{name}, wide"] = place(tuple(one.shape))
            operators.append(operator("DEQUANTIZE", [name], [f"{name}, wide"]))
    end = ", wide" if kind is np.float16 else ""
    for number, taken, made in ((0, "x", "hidden"), (2, "hidden", "y")):
        names = [taken, f"{number}.weight{end}", f"{number}.bias{end}"]
        operators.append(operator("FULLY_CONNECTED", names, [made], _dense(relu=number == 0)))
    return write_tflite(path, tensors, operators, ["x"], ["y"])


@pytest.fixture(scope="module")
def path(classifier, tmp_path_factory):
    """The file of codes."""
    return int8_file(tmp_path_factory.mktemp("tflite") / "classifier.tflite", classifier)


def run(path, inputs: torch.Tensor) -> torch.Tensor:
    """Outputs of a file in an interpreter of its own, sample by sample."""
    interpreter = litert.Interpreter(
        model_path=str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    (given,), (made,), found = interpreter.get_input_details(), interpreter.get_output_details(), []
    for sample in inputs.numpy():
        interpreter.set_tensor(given["index"], sample[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"]))
    return torch.from_numpy(np.concatenate(found))


def test_codes_are_kept_and_go_all_the_way(classifier, path, tmp_path):
    """Words are the codes of the file, reads run as the file that they are written to, and the file comes back."""
    network, (inputs, labels) = TfliteNetwork(path), samples()
    assert torch.equal(network(inputs), run(path, inputs))
    assert (network(inputs).argmax(1) == classifier(inputs).argmax(1)).float().mean() > 0.95
    memory = qtaml.store(network, qtaml.uniform_msp(network, p=0.02, protected_bits=2, **KEPT))
    codes = _coded(classifier[0], 1.0)[0][0]
    np.testing.assert_array_equal(memory.tensors["first"].words.numpy(), codes.view(np.uint8))
    assert len(memory.tensors) == 2
    assert qtaml.evaluate(memory, Accuracy(inputs, labels), trials=5).mean > 0.8
    memory.save(tmp_path / "stored")
    again = qtaml.load(tmp_path / "stored", TfliteNetwork(path))
    write_same_file(again, tmp_path / "stored.tflite")
    assert (tmp_path / "stored.tflite").read_bytes() == path.read_bytes()
    write_same_file(again, tmp_path / "read.tflite", seed=1)
    assert torch.equal(run(tmp_path / "read.tflite", inputs), memory.model(seed=1)(inputs))
    assert not torch.equal(run(tmp_path / "read.tflite", inputs), network(inputs))
    with pytest.raises(ModelError, match=r"a network of a \.tflite file is written as one, got .*read\.onnx"):
        write_same_file(again, tmp_path / "read.onnx")


def test_floats_of_both_widths(classifier, tmp_path):
    """As PyTorch computes them; biases are parameters too, as in any network."""
    inputs, _ = samples(7)
    for kind, close in ((np.float32, 1e-5), (np.float16, 1e-2)):
        network = TfliteNetwork(float_file(tmp_path / "m.tflite", classifier, kind))
        assert {name for name, _ in network.named_parameters()} == classifier.state_dict().keys()
        torch.testing.assert_close(network(inputs), classifier(inputs), rtol=close, atol=close)
        assert copy.deepcopy(network).graph is network.graph


def test_gains_by_probes_are_those_of_gradients(classifier, tmp_path):
    """Within four standard errors of both."""
    inputs, _ = samples(40)
    exact = Calibration(classifier, inputs).gains
    probed = Calibration(TfliteNetwork(float_file(tmp_path / "m.tflite", classifier)), inputs).gains
    assert {gain.source for gain in probed.values()} == {"forward passes"}
    for name, gain in exact.items():
        error = (gain.standard_error**2 + probed[name].standard_error ** 2) ** 0.5
        assert abs(probed[name].squared - gain.squared) < 4 * error
        assert error < 0.5 * gain.squared


def test_any_number_of_samples_at_once(classifier, path, tmp_path):
    """Where the file allows it; otherwise one after the other."""
    inputs, _ = samples(5)
    free = TfliteNetwork(int8_file(tmp_path / "free.tflite", classifier, any_rows=True))
    three = TfliteNetwork(int8_file(tmp_path / "three.tflite", classifier, rows=3))
    assert [one.graph.inputs[0].samples for one in (free, three)] == [None, 3]
    for network in (free, three):
        assert torch.equal(network(inputs), TfliteNetwork(path)(inputs))


def test_what_cannot_be_run_is_refused(classifier, path, tmp_path):
    """Inputs of another shape, weights outside of the memory, an unknown file."""
    inputs, _ = samples(2)
    with pytest.raises(ModelError, match="LiteRT failed on the inputs: "):
        TfliteNetwork(path)(inputs[:, :5])
    with pytest.raises(ModelError, match="the network takes the inputs 'x', got 0"):
        TfliteNetwork(path)(y=inputs)
    wide = tensor(np.ones((3, 16), np.uint16), kind=schema.TensorType.BFLOAT16)
    write_tflite(tmp_path / "wide.tflite", {"w": wide})
    with pytest.raises(ModelError, match=r"weights must be of FLOAT32, .*, got 'w' of BFLOAT16"):
        TfliteNetwork(tmp_path / "wide.tflite")
    (tmp_path / "no.tflite").write_bytes(b"no flatbuffer at all")
    with pytest.raises(StoredFileError, match=r"no\.tflite is no TFLite file"):
        TfliteNetwork(tmp_path / "no.tflite")
    other = TfliteNetwork(int8_file(tmp_path / "other.tflite", nn.Sequential(*[
        one if isinstance(one, nn.ReLU) else _doubled(one) for one in classifier
    ])))  # fmt: skip
    memory = qtaml.store(TfliteNetwork(path), qtaml.uniform_msp(TfliteNetwork(path), p=0.1, protected_bits=2, **KEPT))
    memory.save(tmp_path / "stored")
    with pytest.raises(ModelError, match="stored from another file"):
        qtaml.load(tmp_path / "stored", other).model(seed=None)(inputs)


def _doubled(layer: nn.Linear) -> nn.Linear:
    """The same codes with other scales."""
    made = copy.deepcopy(layer)
    made.weight.mul_(2)
    return made


DAMAGE = """
import sys, numpy as np, torch
from pathlib import Path
from qtaml.errors import QtamlError
from qtaml.networks import TfliteNetwork
content, draw = Path(sys.argv[1]).read_bytes(), np.random.default_rng(int(sys.argv[2]))
for trial in range(int(sys.argv[3])):
    place = int(draw.integers(8, len(content)))
    byte = bytes([draw.choice([0, 1, 127, 128, 255])])
    changed = content[:place] + (byte + content[place + 1:] if trial % 2 else b"")
    Path(sys.argv[1] + ".damaged").write_bytes(changed)
    try:
        TfliteNetwork(sys.argv[1] + ".damaged")(torch.zeros(1, 16))
    except QtamlError:
        pass
print("alive")
"""


@pytest.mark.slow
def test_damaged_files_end_in_our_errors(path):
    """Cut off anywhere, or with a byte changed: the process lives."""
    command = [sys.executable, "-c", DAMAGE, str(path), "0", "60"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout == "alive\n", (found.returncode, found.stderr[-2000:])
