"""The paper's networks and their data."""

from qtaml.networks.deep_cnn import DeepCNN
from qtaml.networks.digits import Digits, load_digits
from qtaml.networks.res_cnn import ResCNN
from qtaml.networks.small_cnn import SmallCNN, WideCNN
from qtaml.networks.trained import NETWORKS, Data, Recipe, trained
from qtaml.networks.training import train_classifier
from qtaml.networks.transformer import TransformerClassifier, sum_of_ends

__all__ = [
    "NETWORKS",
    "Data",
    "DeepCNN",
    "Digits",
    "Recipe",
    "ResCNN",
    "SmallCNN",
    "TransformerClassifier",
    "WideCNN",
    "load_digits",
    "sum_of_ends",
    "train_classifier",
    "trained",
]
