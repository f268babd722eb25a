"""The paper's networks and their data."""

from qtaml.networks.digits import Digits, load_digits
from qtaml.networks.small_cnn import SmallCNN
from qtaml.networks.training import train_classifier

__all__ = ["Digits", "SmallCNN", "load_digits", "train_classifier"]
