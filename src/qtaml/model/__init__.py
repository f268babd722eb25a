"""What qtaml needs to know of a network: its stored tensors, its outputs, its residual branches. Changes nothing."""

from qtaml.model.calls import (
    Batch,
    Batches,
    arguments,
    cut_samples,
    evaluation_mode,
    finite_outputs,
    first_samples,
    first_tensor,
    one_batch,
    output_tensor,
    outputs,
    replaced,
    sample_count,
    state_kept,
)
from qtaml.model.copies import own, private_copy, whole_copy
from qtaml.model.reach import Run, check_repeats, check_unused, other_numbers, unmoved
from qtaml.model.residual import residual_weights
from qtaml.model.torch_compile import uncompiled, uncompiled_name
from qtaml.model.weights import (
    aliases,
    check_storable,
    made_buffers,
    named_tensors,
    own_names,
    share_of_numbers,
    stored_weights,
)

__all__ = [
    "Batch",
    "Batches",
    "Run",
    "aliases",
    "arguments",
    "check_repeats",
    "check_storable",
    "check_unused",
    "cut_samples",
    "evaluation_mode",
    "finite_outputs",
    "first_samples",
    "first_tensor",
    "made_buffers",
    "named_tensors",
    "one_batch",
    "other_numbers",
    "output_tensor",
    "outputs",
    "own",
    "own_names",
    "private_copy",
    "replaced",
    "residual_weights",
    "sample_count",
    "share_of_numbers",
    "state_kept",
    "stored_weights",
    "uncompiled",
    "uncompiled_name",
    "unmoved",
    "whole_copy",
]
