"""Checkpoints that run: a metric of the network with the words as read, and what a weight error does to its output."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import Checkpoint
from qtaml.checkpoints.checkpoint_plan import CheckpointPlan, ProtectedTensor
from qtaml.checkpoints.read_checkpoint import ReadCheckpoint
from qtaml.errors import ModelError
from qtaml.faults import Uniform
from qtaml.measuring import Metric, Result, SampleMetric
from qtaml.measuring.monte_carlo import result_of_scores
from qtaml.model import Batch, evaluation_mode, output_tensor
from qtaml.protections import Ideal, Raw

Load = Callable[[Path], nn.Module]
"""Makes the network of a checkpoint file."""


def evaluate_reads(
    checkpoint: Checkpoint, plan: CheckpointPlan, metric: Metric, load: Load, *, reads: int = 10, seed: int = 0
) -> Result:
    """Measure a metric of the network of a checkpoint whose words are kept as they are, over independent reads.

    Each read is a file of the same format with the words that were read, which `load` makes a network of: errors go
    through whatever dequantises them to the outputs.

    Args:
        checkpoint: the file.
        plan: how it is stored.
        metric: as for `qtaml.evaluate`.
        load: makes the network of a file, such as `qtaml.networks.OnnxNetwork`, `TfliteNetwork`, or for GGUF
            `lambda path: AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)` of transformers.
        reads: how many, at least 2.
        seed: the same seed gives the same reads.

    Returns:
        As `qtaml.evaluate`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or the metric gives no finite number.
        StoredFileError: if the plan is for another checkpoint, or the file has changed.
        QtamlError: what `load` raises.
    """
    _checks.integer("reads", reads, 2)
    scores = [
        _score(metric, network)
        for number in track(range(reads), "reads")
        for network in _network(ReadCheckpoint(checkpoint, plan, child_seed(seed, "read", number)), load)
    ]
    possible = any(
        rate > 0 for one in plan.tensors for own in one.fields for both in own.rates(plan.fault) for rate in both
    )
    return result_of_scores(scores, metric, fault=plan.fault, seed=seed, errors_possible=possible)


def checkpoint_gains(
    checkpoint: Checkpoint, plan: CheckpointPlan, load: Load, inputs: Batch, *, reads: int = 8, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """What a squared error of a weight of each tensor does to the output: the `gains` of `protect`.

    One tensor alone is read with errors under a plan, scales and all: its gain is the squared change of the output,
    mean over samples, for each unit of squared error of its weights, both summed over the reads. So no gradients are
    needed, and errors that weights of a scale have together count as they act. Where fewer than half of the reads meet
    an error, the lowest quarter of the bits of each of its fields is read with errors instead, one in four.

    Args:
        checkpoint: the file.
        plan: whose errors are drawn; best that of the same memory, planned without gains.
        load: makes the network of a file, as for `evaluate_reads`.
        inputs: a batch of inputs.
        reads: of each tensor, at least 2.
        seed: the same seed gives the same reads.

    Returns:
        (gain, its standard error over reads) by the name of the tensor; of one whose errors are all nothing, such as
        zeros, the mean of the others, and 0.

    Raises:
        ArgumentError: if `reads` is below 2.
        ModelError: if the network fails on the inputs, or gives outputs that are no finite numbers.
        StoredFileError: if the plan is for another checkpoint, or the file has changed.

    Source:
        theory.md 6.11.
    """
    _checks.integer("reads", reads, 2)
    clean = _output(load(checkpoint.source.path), inputs)
    gains: dict[str, tuple[float, float]] = {}
    nothing = []
    for entry in track(list(plan.tensors), "gains"):
        for own in (plan, _with_frequent_errors(plan, entry)):
            read = [ReadCheckpoint(checkpoint, own, one, (entry.name,)) for one in _seeds(entry, reads, seed)]
            changes, errors = _changes_and_errors(read, entry, load, inputs, clean)
            if 2 * np.count_nonzero(errors) >= reads:
                break
        gains[entry.name] = _ratio(changes, errors)
        nothing += [] if sum(errors) else [entry.name]
    known = [gain for name, (gain, _) in gains.items() if name not in nothing]
    # A gain of 0 would say that its words may be anything.
    return gains | {name: (sum(known) / max(len(known), 1), 0.0) for name in nothing}


def _with_frequent_errors(plan: CheckpointPlan, entry: ProtectedTensor) -> CheckpointPlan:
    """A plan in which the lowest quarter of the bits of each field of a tensor errs, and no other bit of it.

    Those errors are small beside the weights: with more bits, exponents among them, activations saturate.
    """
    fields = tuple(
        replace(
            one, bits=tuple(Raw() if 4 * bit < len(one.bits) else Ideal() for bit in range(len(one.bits))), range=None
        )
        for one in entry.fields
    )
    tensors = tuple(replace(one, fields=fields) if one.name == entry.name else one for one in plan.tensors)
    return replace(plan, fault=Uniform(0.25), tensors=tensors)


def field_gains(
    checkpoint: Checkpoint, plan: CheckpointPlan, load: Load, inputs: Batch, *, reads: int = 8, seed: int = 0
) -> dict[str, dict[str, tuple[float, float]]]:
    """`checkpoint_gains` of each field: weights of one scale are wrong together, which acts otherwise than codes.

    One field of one tensor alone is read with errors. A gain of codes is that of single errors; one of scales that of
    errors along all of a scale's weights at once.

    Args:
        checkpoint: as for `checkpoint_gains`.
        plan: as there; where it leaves a field without errors, nothing is measured of that.
        load: as there.
        inputs: as there.
        reads: of each field, at least 2.
        seed: the same seed gives the same reads.

    Returns:
        (gain, its standard error over reads) by the names of tensor and field, for `protect` without the second;
        without fields that no read met an error of, and tensors of nothing but these.

    Raises:
        ArgumentError: if `reads` is below 2.
        ModelError: if the network fails on the inputs, or gives outputs that are no finite numbers.
        StoredFileError: if the plan is for another checkpoint, or the file has changed.

    Source:
        theory.md 6.11.
    """
    _checks.integer("reads", reads, 2)
    clean = _output(load(checkpoint.source.path), inputs)
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for entry in track(list(plan.tensors), "gains"):
        for field in entry.fields:
            seeds = _seeds(entry, reads, seed)
            read = [ReadCheckpoint(checkpoint, plan, one, (entry.name,), field.name) for one in seeds]
            changes, errors = _changes_and_errors(read, entry, load, inputs, clean)
            if sum(errors):
                found.setdefault(entry.name, {})[field.name] = _ratio(changes, errors)
    return found


def _seeds(entry: ProtectedTensor, reads: int, seed: int) -> list[int]:
    return [child_seed(seed, "gain", entry.name, number) for number in range(reads)]


def _changes_and_errors(
    reads: Sequence[ReadCheckpoint], entry: ProtectedTensor, load: Load, inputs: Batch, clean: torch.Tensor
) -> tuple[list[float], list[float]]:
    """What each read of a tensor changes in the output, squared and mean over samples; and its squared error."""
    networks = (network for read in reads for network in _network(read, load))
    changes = [float(((_output(network, inputs) - clean) ** 2).sum() / len(clean)) for network in networks]
    return changes, [read.relative_errors()[entry.name] * entry.power for read in reads]


def _ratio(changes: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Sum over sum, and its standard error by leaving out one read after the other.

    To first order that is the spread of the residuals; but where one read has most of the error, its residual is nearly
    nothing. Where it has all, nothing is known of others.
    """
    if not sum(errors):
        return 0.0, 0.0
    ratio, others = sum(changes) / sum(errors), 1 - np.eye(len(changes))
    left = others @ np.array(errors)
    if not left.all():
        return ratio, ratio
    without = others @ np.array(changes) / left
    return ratio, float(np.sqrt((len(changes) - 1) * without.var()))


def _network(read: ReadCheckpoint, load: Load) -> Iterator[nn.Module]:
    """The network of one read, while its file is there: weights may be mapped from it."""
    with tempfile.TemporaryDirectory(prefix="qtaml-read-") as folder:
        path = Path(folder, read.checkpoint.source.path.name)
        read.save(path)
        yield load(path)


def _score(metric: Metric, network: nn.Module) -> Any:
    # Run on a copy: whoever loads may hand out one network again and again.
    with evaluation_mode(network) as copy:
        return metric.scores(copy) if isinstance(metric, SampleMetric) else metric(copy)


def _output(network: nn.Module, inputs: Batch) -> torch.Tensor:
    with evaluation_mode(network) as copy, torch.no_grad():
        found = output_tensor(copy, inputs).double()
    if not torch.isfinite(found).all():
        raise ModelError("the outputs of the network must be finite numbers to measure gains, got others")
    return found
