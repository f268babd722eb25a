"""`qtaml inspect` and `qtaml protect`, and what the other commands say of checkpoints."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from qtaml.checkpoints import CheckpointPlan


@pytest.fixture
def here(tmp_path, monkeypatch, command):
    """The command in a folder with a small file of BF16 and FP8."""
    generator = torch.Generator().manual_seed(0)
    weights = {"a": torch.randn(40, 50, generator=generator).bfloat16()}
    weights["b"] = torch.randn(40, 50, generator=generator).to(torch.float8_e4m3fn)
    save_file(weights, tmp_path / "m.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return command


def test_inspect_shows_fields_or_bits(here):
    """A line for each field, or for each bit with --bits."""
    code, out, _ = here("inspect", "m.safetensors")
    assert code == 0
    assert "m.safetensors: safetensors, 4,000 weights of 12 bits" in " ".join(out.split())
    assert out.count("8 x fp8_e4m3") == 1
    _, every, _ = here("inspect", "m.safetensors", "--bits")
    assert len(every.splitlines()) > len(out.splitlines()) + 20


def test_inspect_as_json(here):
    """All bits, nothing else on standard output."""
    _, out, _ = here("inspect", "m.safetensors", "--json")
    found = json.loads(out)
    assert [one["name"] for one in found["formats"]] == ["BF16", "FP8_E4M3"]
    assert len(found["formats"][0]["fields"][0]["flips"]) == 16


@pytest.mark.slow
def test_protect_plans_measures_and_writes_the_file_as_read(here, tmp_path):
    """The plan, the errors, and the same format with other words."""
    more = ("--reads", 3, "--read-back", "read.safetensors", "--out", "plan.json", "--json", "--decoders", "majority")
    code, out, _ = here("protect", "m.safetensors", "--cells", 1.1, "--p", 0.02, *more)
    assert code == 0
    found, plan = json.loads(out), CheckpointPlan.from_json((tmp_path / "plan.json").read_text())
    assert (found["cells"], found["error"]) == (plan.cells, plan.error)
    assert found["measured"]["reads"] == 3
    assert found["requantised"]["error"] > 0
    assert not torch.equal(load_file("read.safetensors")["a"], load_file("m.safetensors")["a"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "shown"),
    [
        (("--fault", "asymmetric:p01=0,p10=.05"), "Asymmetric(p01=0.0, p10=0.05)"),
        (("--device", "gaincell_2t_sion", "--window", 10e-6), "Uniform(p=0.00257"),
    ],
)
def test_protect_takes_gains_and_a_memory(here, tmp_path, memory, shown):
    """A fault model or a device, as text on the terminal."""
    (tmp_path / "gains.json").write_text('{"a": 1.0, "b": 0.0}')
    code, out, _ = here(
        "protect", "m.safetensors", "--cells", 1.1, "--gains", "gains.json", "--decoders", "majority", *memory
    )
    assert code == 0
    assert shown in out
    assert "quantised anew for this memory" in out


def test_budgets_and_files_that_cannot_be_have_their_exit_codes(here):
    """3 below the least budget, 4 for a file that is none, 2 for arguments."""
    assert here("protect", "m.safetensors", "--cells", 1e-6, "--p", 0.02)[0] == 3
    assert here("inspect", "gone.gguf")[0] == 4
    code, _, err = here("protect", "m.safetensors", "--cells", 1)
    assert (code, "give exactly one of p, fault and device" in err) == (2, True)
    code, _, err = here("protect", "m.safetensors", "--cells", 1, "--p", 0.1, "--decoders", "magic")
    assert (code, "decoders must be a sequence, each one of 'none'" in err) == (2, True)


def test_other_commands_say_what_to_type(here, tmp_path):
    """For a checkpoint, a folder of them, an adapter, and TorchScript."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
    expected = {
        "m.safetensors": "qtaml inspect m.safetensors, qtaml protect m.safetensors",
        "folder": "give one of its files: a.gguf",
        "adapter": "merge it into its network first",
        "net.pt": "net.pt is TorchScript",
    }
    for name, message in expected.items():
        code, _, err = here("predict", name, "--calibration", "c.npz", "--p", 0.1)
        assert (code, message in err) == (2, True), (name, err)
