"""What qtaml needs to know of a network: its stored tensors, its outputs, its residual branches. Changes nothing."""

from qtaml.model.calls import (
    Batch,
    Batches,
    arguments,
    evaluation_mode,
    finite_outputs,
    first_tensor,
    one_batch,
    output_tensor,
    outputs,
)
from qtaml.model.residual import residual_weights
from qtaml.model.weights import aliases, check_storable, named_tensors, stored_weights

__all__ = [
    "Batch",
    "Batches",
    "aliases",
    "arguments",
    "check_storable",
    "evaluation_mode",
    "finite_outputs",
    "first_tensor",
    "named_tensors",
    "one_batch",
    "output_tensor",
    "outputs",
    "residual_weights",
    "stored_weights",
]
