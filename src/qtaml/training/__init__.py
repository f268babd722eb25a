"""Training of networks for the memory that they will be stored in."""

from qtaml._kinds import guard_doors
from qtaml.training.adapters import AdaptedLinear, with_adapters
from qtaml.training.checkpoint import Epoch
from qtaml.training.codesigning import Codesigned, CodesignStep, codesign, expected_network
from qtaml.training.losses import Loss, LossName, loss_of, needs_labels
from qtaml.training.narrowing import narrowed
from qtaml.training.noisy_network import NoisyNetwork, noisy
from qtaml.training.regularisers import clip_weights, clipping_limits, unevenness
from qtaml.training.tuning import tune
from qtaml.training.tuning_settings import Tune, Tuned

__all__ = [
    "AdaptedLinear",
    "CodesignStep",
    "Codesigned",
    "Epoch",
    "Loss",
    "LossName",
    "NoisyNetwork",
    "Tune",
    "Tuned",
    "clip_weights",
    "clipping_limits",
    "codesign",
    "expected_network",
    "loss_of",
    "narrowed",
    "needs_labels",
    "noisy",
    "tune",
    "unevenness",
    "with_adapters",
]

guard_doors(__name__)
