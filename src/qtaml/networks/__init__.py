"""The paper's networks, a language model, and their data; networks of ONNX and TFLite files."""

from qtaml._kinds import guard_doors
from qtaml.networks.deep_cnn import DeepCNN
from qtaml.networks.digits import Digits, load_digits
from qtaml.networks.file_network import NETWORK_FILES
from qtaml.networks.language_model import LanguageModel, python_sources
from qtaml.networks.onnx_network import OnnxNetwork
from qtaml.networks.res_cnn import ResCNN
from qtaml.networks.small_cnn import SmallCNN, WideCNN
from qtaml.networks.tflite_network import TfliteNetwork
from qtaml.networks.trained import NETWORKS, RECIPES, Data, Recipe, trained
from qtaml.networks.training import train_classifier
from qtaml.networks.transformer import TransformerClassifier, sum_of_ends

__all__ = [
    "NETWORKS",
    "NETWORK_FILES",
    "RECIPES",
    "Data",
    "DeepCNN",
    "Digits",
    "LanguageModel",
    "OnnxNetwork",
    "Recipe",
    "ResCNN",
    "SmallCNN",
    "TfliteNetwork",
    "TransformerClassifier",
    "WideCNN",
    "load_digits",
    "python_sources",
    "sum_of_ends",
    "train_classifier",
    "trained",
]

guard_doors(__name__)
