"""The paper's networks, trained and cached."""

import shutil

import pytest
import torch

import qtaml
from qtaml.networks import NETWORKS, sum_of_ends, trained

WEIGHTS = {"SmallCNN": 38_160, "WideCNN": 151_072, "DeepCNN": 49_680, "ResCNN": 26_384, "Transformer": 38_400}
TENSORS = {"SmallCNN": 4, "WideCNN": 4, "DeepCNN": 6, "ResCNN": 7, "Transformer": 10}


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_are_those_of_the_paper(name):
    """Number of weights and of weight tensors; biases, norms and positions are not counted."""
    plan = qtaml.uniform_msp(NETWORKS[name].build(), p=0.1, protected_bits=0)
    assert (plan.weights, len(plan.tensors)) == (WEIGHTS[name], TENSORS[name])


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("WideCNN", "DeepCNN", "ResCNN")]


@pytest.fixture(scope="module", params=["SmallCNN", *OTHERS])
def cache(request, laboratory):
    """A network of digits, and the folder that keeps it."""
    folder = laboratory.folder / "networks"
    return request.param, folder, trained(request.param, cache=folder)


@pytest.mark.slow
def test_they_classify_digits(cache):
    """At least 97.5 per cent of the test digits."""
    _, _, (model, data) = cache
    assert qtaml.Accuracy(data.test_inputs, data.test_labels)(model) >= 0.975


def test_the_cache_gives_the_same_network_back(cache):
    """To the bit."""
    name, folder, (model, _) = cache
    again, _ = trained(name, cache=folder)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_damaged_cache_is_found(cache, tmp_path):
    """Weights that do not match their checksum are not used."""
    name, folder, _ = cache
    shutil.copy(folder / f"{name}-0.sha256", tmp_path)
    content = (folder / f"{name}-0.safetensors").read_bytes()
    (tmp_path / f"{name}-0.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(qtaml.StoredFileError, match=rf"{name}-0\.safetensors is damaged.*delete it to train anew"):
        trained(name, cache=tmp_path)


def test_the_task_needs_both_ends():
    """Labels are the sum of the first and last token, and every class occurs."""
    tokens, labels = sum_of_ends(500, seed=1)
    assert torch.equal((tokens[:, 0] + tokens[:, -1]) % 16, labels)
    assert set(labels.tolist()) == set(range(16))


def test_unknown_names_list_the_known():
    """A misspelt name is an error with the list."""
    with pytest.raises(qtaml.ArgumentError, match="name must be one of 'SmallCNN', 'WideCNN'"):
        trained("smallcnn")
