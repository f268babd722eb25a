"""`qtaml tune` as a user's script sees it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

import qtaml
import qtaml.memory

TUNE = ("tune", "network.pt2", "--train", "train.npz", "--epochs", 2)


@pytest.fixture
def here(tmp_path, monkeypatch, command):
    """The command in a folder with a program, labelled samples and a plan."""
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).eval()
    batch = torch.randn(40, 6)
    torch.export.save(torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},)), "network.pt2")
    np.savez("train.npz", inputs=batch.numpy(), labels=model(batch).argmax(1).numpy())
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    plan.save("plan.json")
    qtaml.store(model, plan).save("stored")
    return command


def test_a_tuned_network_is_stored_and_evaluated(here):
    """With labels, by the plan of a file; the words are others than those of the network before."""
    ended, out, err = here(*TUNE, "--plan", "plan.json", "--loss", "cross_entropy", "--out", "tuned")
    assert ended == 0, err
    assert "stored network: tuned" in out
    assert "in epoch 2 of 2" in err
    asked = ("evaluate", "tuned", "--model", "network.pt2", "--test", "train.npz", "--trials", 3)
    ended, out, err = here(*asked, "--json")
    assert ended == 0, err
    assert 0 < qtaml.Result.from_json(out).mean <= 1


def test_the_same_command_goes_on_from_its_checkpoint(here):
    """Without labels, by the plan of a stored network: what is finished is not done again, and the same is written."""
    for out in ("first", "second"):
        ended, _, err = here(*TUNE, "--plan", "stored", "--checkpoint", "checkpoint", "--out", out)
        assert ended == 0, err
    planes = [qtaml.memory.read_artifact(out).tensors["0.weight"].words for out in ("first", "second")]
    assert torch.equal(*planes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of --plan and --cells"),
        (("--plan", "stored", "--cells", 1), "give one of --plan and --cells"),
        (("--cells", 1), "give --p or --fault with --cells"),
        (("--plan", "stored", "--learning-rate", 0), "--learning-rate must be above 0"),
        (("--plan", "stored", "--out", "stored"), "--out must hold nothing that is read"),
        (("--plan", "stored", "--checkpoint", "tuned/checkpoint"), "--out must hold nothing that is read"),
        (("--plan", "missing.json"), "cannot read missing.json"),
    ],
)
def test_wrong_options_are_told(here, options, message):
    """Before anything is trained, with an exit code."""
    ended, _, err = here(*TUNE, "--out", "tuned", *options)
    assert ended in (2, 4)
    assert message in err
