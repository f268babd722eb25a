"""Trained networks by name: the paper's five and a language model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from qtaml import _checks, _files
from qtaml.errors import StoredFileError
from qtaml.networks.deep_cnn import DeepCNN
from qtaml.networks.digits import load_digits
from qtaml.networks.language_model import LanguageModel, python_sources
from qtaml.networks.res_cnn import ResCNN
from qtaml.networks.small_cnn import SmallCNN, WideCNN
from qtaml.networks.training import train_classifier
from qtaml.networks.transformer import TransformerClassifier, sum_of_ends

CALIBRATION_SAMPLES = 64
# 16 texts of 128 positions are 2048 predictions, more than the 64 of the images.
_CALIBRATION_TEXTS = 16
_TRANSFORMER_SAMPLES, _TRANSFORMER_TEST = 5000, 1000


@dataclass(frozen=True)
class Data:
    """Training and test samples of a network's task."""

    train_inputs: torch.Tensor
    train_labels: torch.Tensor
    test_inputs: torch.Tensor
    test_labels: torch.Tensor
    calibration_samples: int = CALIBRATION_SAMPLES

    @property
    def calibration(self) -> torch.Tensor:
        """The unlabelled batch of algorithm 1: the first training inputs."""
        return self.train_inputs[: self.calibration_samples]


@dataclass(frozen=True)
class Recipe:
    """Architecture, data and training of a network.

    Attributes:
        build: function that makes the untrained network.
        data: function that makes its data.
        p: flip probability at which it is studied; the paper's for its networks.
        learning_rate: learning rate of the first step.
        epochs: passes over the training data.
        batch_size: samples for each step.
    """

    build: Callable[[], nn.Module]
    data: Callable[[], Data]
    p: float
    learning_rate: float = 3e-3
    epochs: int = 30
    batch_size: int = 64


def _digits() -> Data:
    digits = load_digits()
    return Data(digits.train_images, digits.train_labels, digits.test_images, digits.test_labels)


def _sequences() -> Data:
    # Of 16**8 sequences hardly one occurs twice: the test samples are new to the network.
    tokens, labels = sum_of_ends(_TRANSFORMER_SAMPLES)
    test = slice(_TRANSFORMER_SAMPLES - _TRANSFORMER_TEST, None)
    train = slice(0, _TRANSFORMER_SAMPLES - _TRANSFORMER_TEST)
    return Data(tokens[train], labels[train], tokens[test], labels[test])


def _text() -> Data:
    train, test = python_sources()
    return Data(train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:], _CALIBRATION_TEXTS)


NETWORKS = {
    "SmallCNN": Recipe(SmallCNN, _digits, p=0.10),
    "WideCNN": Recipe(WideCNN, _digits, p=0.10),
    "DeepCNN": Recipe(DeepCNN, _digits, p=0.10),
    "ResCNN": Recipe(ResCNN, _digits, p=0.10),
    "Transformer": Recipe(TransformerClassifier, _sequences, p=0.05, learning_rate=2e-3),
}
"""The five networks of the paper, by name."""

# Apart from the paper's, over which the reproduction loops. One epoch: a language model sees each text once.
RECIPES = NETWORKS | {
    "LanguageModel": Recipe(LanguageModel, _text, p=0.05, learning_rate=2e-3, epochs=1, batch_size=16)
}


def trained(name: str, *, seed: int = 0, cache: str | Path | None = None) -> tuple[nn.Module, Data]:
    """A trained network, and its data.

    Args:
        name: a key of `RECIPES`.
        seed: seed of the training.
        cache: folder of trained weights with their checksums; a network that is not in it is trained and added.

    Returns:
        The network in evaluation mode, and its data.

    Raises:
        ArgumentError: if the name is unknown; the message lists all.
        StoredFileError: if cached weights are damaged.

    Source:
        paper, section 5 and B.2.
    """
    recipe = RECIPES[_checks.one_of("name", name, RECIPES)]
    data = recipe.data()
    path = None if cache is None else Path(cache) / f"{name}-{seed}.safetensors"
    if path is not None and path.exists():
        model = recipe.build()
        # Not strict: tied weights and the names under which they are saved once do not match one to one.
        model.load_state_dict(_read(path), strict=False)
        return model.eval(), data
    model = train_classifier(
        recipe.build,
        data.train_inputs,
        data.train_labels,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=seed,
    )
    if path is not None:
        # named_parameters, not state_dict: safetensors refuses tied weights under two names.
        weights = safetensors.torch.save(dict(model.named_parameters()) | dict(model.named_buffers()))
        # The checksum first: another process that sees the weights then finds it.
        _files.write_text(path.with_suffix(".sha256"), _files.sha256(weights) + "\n")
        _files.write_bytes(path, weights)
    return model, data


def _read(path: Path) -> dict[str, torch.Tensor]:
    data = _files.read_bytes(path)
    expected = _files.read_bytes(path.with_suffix(".sha256")).decode(errors="replace").strip()
    if _files.sha256(data) != expected:
        raise StoredFileError(f"{path} is damaged: its SHA-256 is not the one beside it; delete it to train anew")
    return safetensors.torch.load(data)
