"""Handwritten digits that ship with scikit-learn: 1797 images of 8 x 8 pixels."""

from dataclasses import dataclass

import torch

from qtaml.errors import QtamlError


@dataclass(frozen=True)
class Digits:
    """Images (samples, 1, 8, 8) in [0, 1] and labels (samples,), split into training and test samples."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def load_digits(*, split_seed: int = 0) -> Digits:
    """The digits of scikit-learn, a stratified split with 80% for training.

    Args:
        split_seed: seed of the split.

    Raises:
        QtamlError: if scikit-learn is not installed.

    Source:
        paper, section 5 and B.2.

    Example:
        >>> digits = load_digits()
        >>> len(digits.train_labels), len(digits.test_labels)
        (1437, 360)
    """
    try:
        from sklearn import datasets, model_selection
    except ImportError as error:
        raise QtamlError("the digits come with scikit-learn: pip install 'qtaml[digits]'") from error
    images, labels = datasets.load_digits(return_X_y=True)
    parts = model_selection.train_test_split(images, labels, test_size=0.2, random_state=split_seed, stratify=labels)
    train_images, test_images, train_labels, test_labels = parts
    return Digits(_images(train_images), torch.tensor(train_labels), _images(test_images), torch.tensor(test_labels))


def _images(flat: object) -> torch.Tensor:
    # Pixels are whole numbers from 0 to 16.
    return torch.tensor(flat, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
