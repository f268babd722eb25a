"""The command line as a user's script sees it: files in, files out, exit codes."""

import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.export import Dim

import qtaml
from tests.cases import CONVOLUTION, TRANSFORMER

FACTORY = """
    from torch import nn

    def network():
        print("building")
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))

    def nothing():
        return 3
"""


def run(folder, *arguments):
    """The command as a process of its own, in a folder."""
    command = [sys.executable, "-m", "qtaml", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: a program, a factory with weights, calibration and test data."""
    path = tmp_path_factory.mktemp("user")
    model = CONVOLUTION.model().eval()
    batch = CONVOLUTION.batch(80)
    program = torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},))
    torch.export.save(program, path / "network.pt2")
    labels = model(batch).argmax(1)
    np.savez(path / "calibration.npz", images=batch[:40].numpy())
    np.savez(path / "test.npz", images=batch.numpy(), labels=labels.numpy())
    safetensors.torch.save_file({"images": batch, "labels": labels}, path / "test.safetensors")
    (path / "user_network.py").write_text(textwrap.dedent(FACTORY))
    scope: dict[str, object] = {}
    exec(textwrap.dedent(FACTORY), scope)
    torch.manual_seed(0)
    safetensors.torch.save_file(scope["network"]().state_dict(), path / "weights.safetensors")
    (path / "damaged.pt2").write_bytes((path / "network.pt2").read_bytes()[:1000])
    (path / "damaged.npz").write_bytes((path / "test.npz").read_bytes()[:100])
    np.savez(path / "number.npz", images=np.float32(1))
    np.savez(path / "float_labels.npz", images=batch.numpy(), labels=labels.numpy() + 0.5)
    np.savez(path / "objects.npz", images=np.array([{"a": 1}], dtype=object))
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


COMPENSATE = ("--calibration", "calibration.npz", "--p", "0.1", "--overhead", "0.1")


@pytest.mark.slow
def test_a_program_is_compensated_and_evaluated(folder, here):
    """The way of the README: a .pt2 goes in, a stored network comes out, its accuracy has an interval."""
    ended, out, err = here("compensate", "network.pt2", *COMPENSATE, "--out", "stored")
    assert ended == 0, err
    assert "conv.weight" in out
    assert "stored network: stored" in out
    ended, out, err = here(
        "evaluate", "stored", "--model", "network.pt2", "--test", "test.npz", "--trials", "5", "--json"
    )
    assert ended == 0, err
    result = qtaml.Result.from_json(out)
    assert result.samples == 80
    assert len(result.values) == 5
    data = ("--model", "network.pt2", "--test", "test.safetensors", "--batch-size", "9")
    _, again, _ = here("evaluate", "stored", *data, "--trials", "5", "--json")
    assert qtaml.Result.from_json(again).values == result.values
    assert result.caution == ""
    # 80 samples and 5 reads of a score without bounds are few, and the command says so as the library does.
    kl = ("evaluate", "stored", *data, "--metric", "kl", "--trials", "5")
    assert "caution: 80 test samples of a score without bounds (take 100 or more) and 5 reads" in here(*kl)[1]
    assert "80 test samples" in qtaml.Result.from_json(here(*kl, "--json")[1]).caution


@pytest.mark.slow
def test_a_factory_with_weights_is_compensated_and_evaluated(here):
    """package.module:factory with a .safetensors state dict; the plan comes as JSON."""
    options = ("--out", "from_factory", "--json", "--include", "*.bias", "--granularity", "row")
    ended, out, err = here(
        "compensate", "user_network:network", "--weights", "weights.safetensors", *COMPENSATE, *options
    )
    assert ended == 0, err
    plan = qtaml.Plan.from_json(out)
    assert [tensor.name for tensor in plan.tensors] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    ended, _, err = here("evaluate", "from_factory", "--test", "test.npz")
    assert ended == 2
    assert "was made from user_network:network with --weights " in err
    assert "weights.safetensors: name the network with --model" in err
    data = ("--test", "test.npz", "--trials", "3")
    ended, out, err = here("evaluate", "from_factory", *data, "--model", "user_network:network")
    assert ended == 0, err
    assert "95% over reads and test samples; 3 reads" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("compensate", "network.pt2", "--calibration", "calibration.npz", "--p", "0.7", "--overhead", "0.1"),
            2,
            "p must",
        ),
        (("compensate", "missing.pt2", *COMPENSATE), 4, "cannot read missing.pt2"),
        (("compensate", "damaged.pt2", *COMPENSATE), 4, "damaged.pt2 is not a program of torch.export"),
        (
            ("compensate", "network.h5", *COMPENSATE),
            2,
            "MODEL must be a .pt2, .onnx, .tflite or .gguf file, a Hugging Face directory, or package.module",
        ),
        (("compensate", "user_network:missing", *COMPENSATE), 2, "cannot be imported"),
        (("compensate", "no_such_module:network", *COMPENSATE), 2, "No module named 'no_such_module'"),
        (("compensate", "user_network:nothing", *COMPENSATE), 2, "must return a torch.nn.Module, got int"),
        (
            ("compensate", "user_network:network", "--weights", "test.safetensors", *COMPENSATE),
            2,
            "do not fit the model",
        ),
        (("compensate", "user_network:network", "--weights", "network.pt2", *COMPENSATE), 4, "cannot read network.pt2"),
        (("compensate", "network.pt2", *COMPENSATE, "--calibration", "damaged.npz"), 4, "cannot read damaged.npz"),
        (("compensate", "network.pt2", *COMPENSATE, "--calibration", "objects.npz"), 4, "cannot read objects.npz"),
        (
            ("compensate", "network.pt2", *COMPENSATE, "--calibration", "network.pt2"),
            4,
            "must be an .npz or .safetensors",
        ),
        (("compensate", "network.pt2", *COMPENSATE, "--encoding", "unary"), 2, "Invalid value for '--encoding'"),
        (
            ("compensate", "network.pt2", *COMPENSATE, "--floor", "head"),
            2,
            "floor must be a pattern and a number of bits",
        ),
        (("compensate", "network.pt2", *COMPENSATE, "--floor", "head*=8"), 3, "overhead must be at least"),
        (("compensate", "network.pt2", *COMPENSATE, "--overhead", "5"), 2, "5 per cent is 0.05"),
        (
            ("compensate", "network.pt2", *COMPENSATE, "--calibration", "number.npz"),
            4,
            "must hold arrays with samples first",
        ),
        (("compensate", "network.pt2", *COMPENSATE, "--calibration", "float_labels.npz"), 4, "must hold whole numbers"),
        (
            ("compensate", "user_network:network", "--weights", ".", *COMPENSATE),
            4,
            "cannot read .: it is a directory",
        ),
        (("evaluate", "nowhere", "--test", "test.npz"), 4, "cannot read nowhere/manifest.json"),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(here, folder, arguments, code, message):
    """No traceback, no partial output, and an exit code that says what kind of mistake it was."""
    extra = ("--out", "mistake") if arguments[0] == "compensate" else ()
    ended, out, err = here(*arguments, *extra)
    assert ended == code, err
    assert message in err.replace("\n", " ")
    assert out == ""
    assert not (folder / "mistake").exists()


def test_a_program_with_pickled_objects_is_refused(here, folder, tmp_path):
    """They could run code."""
    spoiled = tmp_path / "spoiled.pt2"
    spoiled.write_bytes((folder / "network.pt2").read_bytes())
    with zipfile.ZipFile(spoiled, "a") as archive:
        archive.writestr("network/data/constants/custom_obj_0", b"pickled")
    ended, _, err = here("predict", spoiled, "--calibration", "calibration.npz", "--p", 0.1)
    assert (
        ended,
        "spoiled.pt2 is not loaded: it holds pickled objects, 'network/data/constants/custom_obj_0'" in err,
    ) == (4, True)


def test_a_place_that_holds_something_else_is_refused_at_once(here, folder, tmp_path):
    """Before anything is loaded or computed."""
    for way in (("compensate", "missing.pt2", *COMPENSATE), ("design", "missing.pt2", *COMPENSATE[:4], "--cells", "1")):
        ended, _, err = here(*way, "--out", folder)
        assert (ended, "exists and has no manifest.json: it is not overwritten" in err.replace("\n", " ")) == (4, True)


def test_tied_weights_may_have_one_name_or_each(here, tmp_path):
    """As safetensors saves a model, or as a state dict has them; weights that differ are of another network."""
    model = TRANSFORMER.model(seed=3)
    once, each, untied = (tmp_path / f"{name}.safetensors" for name in ("once", "each", "untied"))
    safetensors.torch.save_model(model, once)
    names = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(names, each)
    safetensors.torch.save_file(names | {"head.weight": names["head.weight"] + 1}, untied)
    np.savez(tmp_path / "tokens.npz", tokens=TRANSFORMER.batch(40).numpy())
    predict = ("predict", "tests.cases:Transformer", "--p", 0.1, "--calibration", tmp_path / "tokens.npz", "--json")
    found = [here(*predict, "--weights", path) for path in (once, each)]
    assert found[0][0] == 0, found[0][2]
    assert found[0] == found[1]
    ended, _, err = here(*predict, "--weights", untied)
    assert ended == 2
    assert "do not fit the model, which ties 'embed.weight' and 'head.weight': there they differ" in err


@pytest.mark.slow
def test_an_insufficient_budget_has_its_own_code(here, folder):
    """Exit code 3, and the least overhead in the message."""
    arguments = ("--overhead", "0.01", "--residual-floor", "2", "--out", "too_little")
    ended, _, err = here("compensate", "tests.cases:ResidualNet", *COMPENSATE, *arguments)
    assert ended == 3
    assert "overhead must be at least 0." in err
    assert not (folder / "too_little").exists()


@pytest.mark.slow
def test_no_traceback_reaches_the_user(folder):
    """As a process of its own, a mistake leaves one line on standard error."""
    done = run(folder, "compensate", "missing.pt2", *COMPENSATE, "--out", "mistake")
    assert done.returncode == 4
    assert done.stderr == "qtaml: cannot read missing.pt2: No such file or directory\n"


@pytest.mark.slow
def test_a_damaged_stored_network_has_its_own_code(here, tmp_path):
    """Exit code 4 for a file whose checksum differs."""
    here("compensate", "network.pt2", *COMPENSATE, "--out", tmp_path / "stored")
    words = tmp_path / "stored" / "planes.safetensors"
    words.write_bytes(words.read_bytes()[:-1] + b"!")
    ended, _, err = here("evaluate", tmp_path / "stored", "--test", "test.npz")
    assert ended == 4
    assert "planes.safetensors is damaged" in err


def test_a_program_for_one_number_of_samples_says_so(here, folder):
    """What `torch.export` makes unless told otherwise takes batches of one size only; the error says what to do."""
    batch = CONVOLUTION.batch(4)
    torch.export.save(torch.export.export(CONVOLUTION.model().eval(), (batch,)), folder / "four.pt2")
    ended, _, err = here("compensate", "four.pt2", "--out", "four", *COMPENSATE)
    assert ended == 2
    assert "it was exported for other sizes: export it with dynamic_shapes={0: Dim('samples')}" in err


@pytest.mark.slow
def test_the_weights_of_a_factory_are_remembered(here, folder, tmp_path):
    """As a hint: they are named where they are missing, never loaded unasked, and never written over."""
    (tmp_path / "w.safetensors").write_bytes(before := (folder / "weights.safetensors").read_bytes())
    arguments = ("user_network:network", "--weights", tmp_path / "w.safetensors", "--out", tmp_path / "stored")
    assert here("compensate", *arguments, *COMPENSATE)[0] == 0
    verify = ("verify", tmp_path / "stored", "--model", "user_network:network")
    ended, _, err = here(*verify)
    assert (ended, f"(without --weights; it was made with {tmp_path / 'w.safetensors'})" in err) == (4, True)
    ended, out, err = here(*verify, "--weights", tmp_path / "w.safetensors")
    assert (ended, "all equal" in out) == (0, True), err
    arguments = ("export", tmp_path / "stored", tmp_path / "w.safetensors", "--model", "user_network:network")
    ended, _, err = here(*arguments)
    assert (ended, "OUT must lie outside" in err) == (2, True)
    assert (tmp_path / "w.safetensors").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("way", [("evaluate", "--test", "test.npz"), ("verify",), ("export", "out.safetensors")])
def test_a_stored_network_never_names_what_is_loaded(here, tmp_path, way):
    """A program runs code: the one that a stored network remembers is a hint, under the name it was given."""
    (tmp_path / "content").write_bytes(Path("network.pt2").read_bytes())
    (tmp_path / "linked.pt2").symlink_to(tmp_path / "content")
    stored = tmp_path / "stored"
    assert here("compensate", tmp_path / "linked.pt2", "--out", stored, *COMPENSATE)[0] == 0
    (tmp_path / "content").write_bytes(b"not even read")
    ended, _, err = here(way[0], stored, *way[1:])
    assert ended == 2
    assert f"was made from {tmp_path / 'linked.pt2'}: name the network with --model" in err
    ended, _, err = here(way[0], stored, *way[1:], "--model", "network.pt2")
    assert ended == 0, err


def test_control_characters_of_a_file_are_escaped(here, tmp_path):
    """A stored network that others made cannot write to the terminal."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    memory.save(tmp_path / "stored", source="\x1b[31mred\r\u202e.pt2")
    ended, _, err = here("verify", tmp_path / "stored")
    assert ended == 2
    assert r"was made from \x1b[31mred\r\u202e.pt2: name" in err


@pytest.mark.slow
def test_what_is_read_is_never_in_the_folder_that_is_replaced(here, tmp_path, monkeypatch):
    """Weights and data of an older stored network would be gone before they are stored."""
    stored = tmp_path / "stored"
    assert here("compensate", "network.pt2", *COMPENSATE, "--out", stored)[0] == 0
    again = ("compensate", "tests.cases:ConvolutionNet", *COMPENSATE, "--out", stored, "--weights")
    ended, _, err = here(*again, stored / "rest.safetensors")
    assert (ended, "--out must hold nothing that is read, got" in err) == (2, True)
    monkeypatch.chdir(stored)
    ended, _, err = here(*again[:-3], "--out", ".", "--weights", "rest.safetensors")
    assert (ended, "--out must hold nothing that is read, got . and rest.safetensors" in err) == (2, True)


def test_the_saving_is_predicted(here):
    """`qtaml predict` says whether TAC pays, as a table and as JSON."""
    ended, out, err = here("predict", "network.pt2", "--calibration", "calibration.npz", "--p", 0.1)
    assert ended == 0, err
    assert "saturation ratio" in out
    _, out, _ = here("predict", "network.pt2", "--calibration", "calibration.npz", "--p", 0.1, "--json")
    assert 0 < json.loads(out)["saturation_ratio"] <= 1


def test_help_names_the_commands_and_exit_codes(here):
    """`qtaml --help` is where a newcomer starts."""
    _, text, _ = here("--help")
    for word in ("demo", "compensate", "design", "predict", "evaluate", "export", "device", "Exit codes"):
        assert word in text


def test_the_version_is_told(here):
    """That of the package."""
    assert here("--version") == (0, f"qtaml {qtaml.__version__}\n", "")


def test_the_demo_asks_for_its_extras_before_it_trains(here, tmp_path, monkeypatch):
    """In one line, with the command that installs them."""
    monkeypatch.setattr("qtaml.cli.demo.find_spec", lambda name: None)
    ended, out, err = here("demo", "--out", tmp_path)
    assert (ended, out) == (2, "")
    assert err == "qtaml: the demo needs scikit-learn and matplotlib: pip install 'qtaml[digits,plot]'\n"


@pytest.mark.slow
def test_demo_writes_a_picture_and_numbers(here, tmp_path, monkeypatch):
    """The first command of the README, with few reads of few budgets and in this process."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("qtaml.cli.demo.DEMO_CELLS", (0.3, 1.0))
    monkeypatch.setattr("qtaml.cli.demo.DEMO_PLAIN_CELLS", (1.0, 1.05))
    ended, out, err = here("demo", "--out", tmp_path, "--trials", "2", "--json")
    assert ended == 0, err
    curve = json.loads(out)
    points = [row for row in curve["rows"] if row["part"] == "curve"]
    assert min(row["clean"] for row in points) >= 0.98
    assert {row["method"] for row in points} >= {"TAC, ideal code", "Uniform-MSP, ideal code", "design, every decoder"}
    assert json.loads((tmp_path / "storage.json").read_text()) == curve
    assert (tmp_path / "storage.png").read_bytes().startswith(b"\x89PNG")
