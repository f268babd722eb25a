"""`--output`: what counts for the plan counts for its metric."""

import json

import numpy as np
import safetensors.torch
import torch

from tests.model.test_output_choice import INPUTS, Encoder


def test_commands_store_and_measure_the_output_that_counts(command, tmp_path, monkeypatch) -> None:
    """`evaluate` finds it in the plan: cosines of embeddings are near 1, where codes are nearly free of errors."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        safetensors.torch.save_file(Encoder().state_dict(), "weights.safetensors")
    np.savez("inputs.npz", **{name: value.numpy() for name, value in INPUTS.items()})
    network = ("tests.model.test_output_choice:Encoder", "--weights", "weights.safetensors")
    asked = ("--p", 0.02, "--overhead", 0.5, "--output", "embedding", "--passes", 4)
    ended, _, err = command("compensate", *network, "--calibration", "inputs.npz", *asked, "--out", "stored")
    assert ended == 0, err
    measured = ("--test", "inputs.npz", "--metric", "cosine", "--trials", 4, "--json")
    ended, out, err = command("evaluate", "stored", "--model", *network, *measured)
    assert ended == 0, err
    assert 0.9 < np.mean(json.loads(out)["values"]) <= 1
