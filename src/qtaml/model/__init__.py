"""What qtaml needs to know of a network: its stored tensors, its outputs, its residual branches. Changes nothing."""

from qtaml.model.calls import Batch, evaluation_mode, finite_outputs, outputs
from qtaml.model.residual import residual_weights
from qtaml.model.weights import aliases, check_storable, named_tensors, stored_weights

__all__ = [
    "Batch",
    "aliases",
    "check_storable",
    "evaluation_mode",
    "finite_outputs",
    "named_tensors",
    "outputs",
    "residual_weights",
    "stored_weights",
]
