"""What qtaml needs to know of a network: its stored tensors, its outputs, its residual branches. Changes nothing."""

from qtaml.model.calls import (
    Batch,
    Batches,
    arguments,
    evaluation_mode,
    finite,
    finite_outputs,
    first_tensor,
    one_batch,
    output_tensor,
    outputs,
    replacing,
)
from qtaml.model.residual import residual_weights
from qtaml.model.torch_compile import check_copies_read_their_own_weights, uncompiled, uncompiled_name
from qtaml.model.weights import aliases, check_storable, named_tensors, own_names, stored_weights

__all__ = [
    "Batch",
    "Batches",
    "aliases",
    "arguments",
    "check_copies_read_their_own_weights",
    "check_storable",
    "evaluation_mode",
    "finite",
    "finite_outputs",
    "first_tensor",
    "named_tensors",
    "one_batch",
    "output_tensor",
    "outputs",
    "own_names",
    "replacing",
    "residual_weights",
    "stored_weights",
    "uncompiled",
    "uncompiled_name",
]
