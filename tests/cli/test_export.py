"""`qtaml export` as a user's script sees it, and networks of transformers and timm all the way to it."""

import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.export import Dim

import qtaml
from qtaml.cli.inputs import load_model
from qtaml.faults import Uniform
from qtaml.model import arguments, output_tensor
from tests.cases import CONVOLUTION, TRANSFORMER
from tests.full_disk import full_disk
from tests.hugging_face import fill, save_timm

WAYS = {
    "compensate": ("compensate", "--overhead", 0.25),
    "design": ("design", "--cells", 2, "--decoders", "none,majority"),
}


NAMED = ("--model", "network.pt2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: a program and a factory with their data, and both of them stored."""
    path = tmp_path_factory.mktemp("user")
    model, batch = CONVOLUTION.model().eval(), CONVOLUTION.batch(40)
    program = torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},))
    torch.export.save(program, path / "network.pt2")
    np.savez(path / "images.npz", images=batch.numpy())
    np.savez(path / "tokens.npz", tokens=TRANSFORMER.batch(40).numpy())
    loaded = torch.export.load(path / "network.pt2").module()
    for name, network, source in (
        ("stored", loaded, str(path / "network.pt2")),
        ("from_factory", TRANSFORMER.model(), "tests.cases:Transformer"),
        ("from_nowhere", model, ""),
    ):
        plan = qtaml.uniform_msp(network, p=0.1, protected_bits=1)
        qtaml.store(network, plan).save(path / name, source=source)
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


def run(path, batch):
    """Outputs of an exported network, by whatever runs it."""
    args, kwargs = arguments(batch, torch.nn.Identity())
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(*args, **kwargs)
    session = pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    values = [value.numpy() for value in (*args, *kwargs.values())]
    return torch.from_numpy(session.run(None, dict(zip(names, values, strict=True)))[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [(), ("--seed", 3)], ids=["as stored", "as read"])
def test_a_program_goes_out_in_each_form(here, folder, tmp_path, seed):
    """Without errors, or as read once; nothing but the networks and, to trace, inputs are named."""
    memory = qtaml.load(folder / "stored", load_model(str(folder / "network.pt2")))
    read = memory.model(seed=3) if seed else memory.model(seed=0, fault=Uniform(0))
    expected = output_tensor(read, CONVOLUTION.batch(5))
    said = "read with seed 3" if seed else "stored"
    for suffix, inputs in (
        (".pt2", ("--data", "images.npz")),
        (".onnx", ("--data", "images.npz")),
        (".safetensors", ()),
    ):
        out = tmp_path / f"network{suffix}"
        ended, text, err = here("export", "stored", out, "--model", "network.pt2", *inputs, *seed)
        assert (ended, err) == (0, "")
        assert text.replace("\n", "") == f"network as {said}: {out}"
    elsewhere = CONVOLUTION.model(seed=9).eval()
    elsewhere.load_state_dict(safetensors.torch.load_file(tmp_path / "network.safetensors"))
    assert torch.equal(elsewhere(CONVOLUTION.batch(5)), expected)
    assert torch.equal(run(tmp_path / "network.pt2", CONVOLUTION.batch(5)), expected)
    torch.testing.assert_close(run(tmp_path / "network.onnx", CONVOLUTION.batch(5)), expected)


@pytest.mark.slow
def test_what_was_exported_comes_in_again(here, tmp_path):
    """The program as a network, the state dict, with tied weights, as weights of the factory."""
    factory = "tests.cases:Transformer"
    for asked in ((tmp_path / "a.safetensors",), (tmp_path / "a.pt2", "--data", "tokens.npz")):
        ended, _, err = here("export", "from_factory", *asked, "--model", factory)
        assert ended == 0, err
    ended, _, err = here("predict", tmp_path / "a.pt2", "--p", "0.1", "--calibration", "tokens.npz")
    assert ended == 0, err
    of_factory = load_model(factory, tmp_path / "a.safetensors").eval()
    of_program = load_model(str(tmp_path / "a.pt2"))
    torch.testing.assert_close(of_program(TRANSFORMER.batch(3)), of_factory(TRANSFORMER.batch(3)))


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A user's folder with directories of transformers and timm."""
    pytest.importorskip("transformers")
    path = fill(tmp_path_factory.mktemp("directories"))
    save_timm(path / "timm_resnet", "resnet10t", {"stem_width": 8, "channels": [8, 8, 8, 16]})
    settings = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}
    save_timm(path / "timm_vit", "vit_tiny_patch16_224", settings)
    arrays = safetensors.torch.load_file(path / "images.safetensors")
    np.savez(path / "timm.npz", images=arrays["pixel_values"].numpy(), labels=arrays["labels"].numpy())
    return path


DIRECTORIES = {
    "decoder": ("text.txt", "perplexity"),
    "encoder": ("text.txt", "cosine"),
    "vision": ("images.safetensors", "accuracy"),
    "timm_resnet": ("timm.npz", "accuracy"),
    "timm_vit": ("timm.npz", "agreement"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "decoder" else [pytest.mark.long]) for name in DIRECTORIES]
)
def test_a_directory_goes_all_the_way(directories, tmp_path, monkeypatch, command, name, way):
    """Planned and saved, loaded and measured, exported in each form, and run elsewhere: the same outputs."""
    monkeypatch.chdir(directories)
    data, metric = DIRECTORIES[name]
    text = ("--length", 16)
    first, *goal = WAYS[way]
    stored = tmp_path / "stored"
    ended, _, err = command(
        first, name, "--calibration", data, *text, "--samples", 8, "--p", 0.01, *goal, "--out", stored
    )
    assert ended == 0, err
    ended, out, err = command(
        "evaluate", stored, "--model", name, "--test", data, *text, "--metric", metric, "--trials", 2, "--json"
    )
    assert ended == 0, err
    assert len(qtaml.Result.from_json(out).values) == 2
    for suffix in (".pt2", ".onnx", ".safetensors"):
        ended, _, err = command(
            "export", stored, tmp_path / f"a{suffix}", "--model", name, "--data", data, *text, "--seed", 4
        )
        assert (ended, err) == (0, "")
    network = load_model(name)
    read = qtaml.load(stored, network).model(seed=4)
    batch = inputs_of(directories, name)
    expected = output_tensor(read, batch)
    assert torch.equal(run(tmp_path / "a.pt2", batch), expected)
    torch.testing.assert_close(
        run(tmp_path / "a.onnx", batch), expected, rtol=0, atol=3e-6 * float(expected.abs().max())
    )
    network.load_state_dict(safetensors.torch.load_file(tmp_path / "a.safetensors"))
    assert torch.equal(output_tensor(network.eval(), batch), expected)


def inputs_of(path, name):
    """Three samples for a network."""
    if name in ("decoder", "encoder"):
        return torch.from_numpy(np.load(path / "tokens.npz")["tokens"])[:3]
    return safetensors.torch.load_file(path / "images.safetensors")["pixel_values"][:3]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("stored", "a.txt"), 2, "suffix of OUT must be one of '.onnx', '.tflite', '.pt2', '.safetensors'"),
        (("stored", "a"), 2, "suffix of OUT must be one of"),
        (("stored", "a.pt2"), 2, "--data must name a file with inputs of the network for .pt2, got none"),
        (("stored", "a.onnx"), 2, "--data must name a file with inputs of the network for .onnx, got none"),
        (("stored", "a.onnx", "--data", "none.npz", *NAMED), 4, "cannot read none.npz"),
        (("stored", "a.onnx", "--data", "tokens.npz", *NAMED), 2, "the model failed on inputs of shape (2, 5) int64"),
        (("stored", "folder.pt2", "--data", "images.npz", *NAMED), 4, "cannot write folder.pt2: it is a directory"),
        (("stored", "network.pt2/a.safetensors", *NAMED), 2, "OUT must lie outside"),
        (("stored", "network.pt2", "--data", "images.npz", *NAMED), 2, "which is read, got network.pt2"),
        (("stored", "stored/rest.safetensors"), 2, "which is read, got stored/rest.safetensors"),
        (("stored", "images.npz", "--data", "images.npz", *NAMED), 2, "suffix of OUT must be one of"),
        (("stored", "data.pt2", "--data", "data.pt2", *NAMED), 2, "which is read, got data.pt2"),
        (("stored", "a.safetensors"), 2, "network.pt2: name the network with --model"),
        (("stored", "images.npz/a.safetensors", *NAMED), 4, "cannot write images.npz/a.safetensors"),
        (("from_factory", "a.safetensors"), 2, "was made from tests.cases:Transformer: name the network with --model"),
        (("from_nowhere", "a.safetensors"), 2, "does not say where its network is: name the network with --model"),
        (("from_nowhere", "a.safetensors", "--model", "tests.cases:Recurrent"), 2, "the model has no tensor"),
        (("nowhere", "a.safetensors"), 4, "cannot read nowhere/manifest.json"),
        (("folder.pt2", "a.safetensors"), 4, "cannot read folder.pt2/manifest.json"),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(here, folder, arguments, code, message):
    """Nothing is written, and nothing that was there is touched."""
    (folder / "folder.pt2").mkdir(exist_ok=True)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended, out, err = here("export", *arguments)
    assert (ended, out) == (code, ""), err
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_missing_extra_is_named(here, tmp_path, monkeypatch):
    """Only ONNX needs it."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    ended, _, err = here("export", "stored", tmp_path / "a.onnx", "--data", "images.npz", *NAMED)
    assert ended == 2
    assert "pip install 'qtaml[onnx]'" in err
    ended, _, err = here("export", "stored", tmp_path / "a.pt2", "--data", "images.npz", *NAMED)
    assert ended == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt2"]


def test_a_full_disk_leaves_nothing_half_written(here, tmp_path):
    """One line, exit code 4."""
    with full_disk():
        ended, out, err = here("export", "stored", tmp_path / "a.safetensors", *NAMED)
    assert (ended, out, err.count("\n")) == (4, "", 1)
    assert f"cannot write {tmp_path / 'a.safetensors'}: " in err
    assert "ile too large" in err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_the_older_file(here, tmp_path, monkeypatch):
    """Also when it is stopped while it writes."""

    def interrupted(tensors, path, **_):
        path.write_text("half")
        raise KeyboardInterrupt

    (tmp_path / "a.safetensors").write_text("older")
    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    ended, _, _ = here("export", "stored", tmp_path / "a.safetensors", *NAMED)
    assert ended == 130
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]
