"""A metric on one read of a memory after the other, or on several in one forward pass where that is faster."""

import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import nn

from qtaml.evaluate.metrics import Accuracy, Metric, SampleMetric, tensors_of
from qtaml.faults import FaultModel
from qtaml.memory import Memory
from qtaml.model import Batch, evaluation_mode, outputs

_MOST_AT_ONCE = 32
_CPU_WORK = 1 << 20
"""Weights x samples of a forward pass up to which calls of the operators take longer than what they compute."""
_GPU_WORK = 1 << 28
_MOST_WEIGHTS_OF_A_COPY = 1 << 24
_TOLERANCE = 1e-3
"""Relative difference of outputs, far above float rounding and far below what wrong weights do."""


def scores_of_reads(memory: Memory, metric: Metric, seeds: Sequence[int], fault: FaultModel) -> Iterator[Any]:
    """What a metric gives for each read of a memory.

    Several reads go through `torch.vmap` together if the metric is `Accuracy` and the network and its batches are so
    small that calling operators costs more than what they compute. Larger ones, on a CPU, are faster one after the
    other: grouped convolutions and batched products of many small matrices are slower than single ones. The first
    read is computed both ways; should torch not be able to batch the network, or the outputs differ, reads go one
    after the other. Those of networks of up to 17 million weights do so in as many threads as torch uses.

    Args:
        memory: the stored network.
        metric: as for `evaluate`.
        seeds: one for each read.
        fault: how the memory fails.

    Yields:
        Scores of each sample, or whatever another callable returns, in the order of the seeds.
    """
    model = memory.copy_of_model()
    at_once = _reads_at_once(memory, metric)
    done = 0
    # A class derived from Accuracy may score otherwise.
    if type(metric) is Accuracy and at_once > 1:
        memory.read_into(model, seed=seeds[0], fault=fault)
        for start in range(0, len(seeds), at_once):
            together = _outputs_of_reads(memory, model, metric.batches, seeds[start : start + at_once], fault)
            if together is None or (start == 0 and not _agree(together[0], _outputs(model, metric.batches))):
                break
            for scores in metric.of_outputs(together):
                yield scores
                done += 1
    threads = torch.get_num_threads() if _may_run_beside_itself(memory, metric) else 1
    if threads > 1 and len(seeds) - done > 1:
        yield from _in_threads(memory, metric, seeds[done:], fault, threads)
        return
    for seed in seeds[done:]:
        yield _score(memory, model, metric, seed, fault)


def _score(memory: Memory, model: nn.Module, metric: Metric, seed: int, fault: FaultModel) -> Any:
    memory.read_into(model, seed=seed, fault=fault)
    return metric.scores(model) if isinstance(metric, SampleMetric) else metric(model)


def _on_cpu(memory: Memory) -> bool:
    return all(tensor.words.device.type == "cpu" for tensor in memory.tensors.values())


def _may_run_beside_itself(memory: Memory, metric: Metric) -> bool:
    """Whether reads may be measured in several threads: metrics of ours, and networks small enough to have copies of.

    The operators of small networks gain little from more threads each; of large ones they gain as much.
    """
    ours = isinstance(metric, SampleMetric) and type(metric).__module__.startswith("qtaml.")
    return _on_cpu(memory) and ours and memory.plan.weights <= _MOST_WEIGHTS_OF_A_COPY


def _in_threads(memory: Memory, metric: Metric, seeds: Sequence[int], fault: FaultModel, threads: int) -> Iterator[Any]:
    """What a metric gives for each read, several reads at a time, each in one thread with a model of its own."""
    own = threading.local()
    # Made here: copying silences a warning of torch, which only one thread at a time can do.
    models = [memory.copy_of_model() for _ in range(threads)]

    def start() -> None:
        torch.set_num_threads(1)
        own.model = models.pop()

    def score(seed: int) -> Any:
        return _score(memory, own.model, metric, seed, fault)

    pool = ThreadPoolExecutor(threads, initializer=start)
    try:
        running: deque[Future[Any]] = deque()
        for seed in seeds:
            # No further ahead than keeps all busy, for the caller may stop early.
            if len(running) > threads:
                yield running.popleft().result()
            running.append(pool.submit(score, seed))
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # What a thread sets for itself is also what threads made later begin with.
        torch.set_num_threads(threads)


def _reads_at_once(memory: Memory, metric: Metric) -> int:
    """How many reads share a forward pass, by the work of one."""
    if type(metric) is not Accuracy:
        return 1
    samples = max(len(tensor) for batch in metric.batches for tensor in tensors_of(batch))
    work = samples * sum(tensor.words.numel() for tensor in memory.tensors.values())
    if _on_cpu(memory):
        return _MOST_AT_ONCE if work <= _CPU_WORK else 1
    return max(min(_MOST_AT_ONCE, _GPU_WORK // work), 1)


def _outputs_of_reads(
    memory: Memory, model: nn.Module, batches: Sequence[Batch], seeds: Sequence[int], fault: FaultModel
) -> torch.Tensor | None:
    """Outputs of each read, shape (reads, samples, outputs), or None if torch cannot batch the network."""
    reads = [dict(memory.read(seed=seed, fault=fault)) for seed in seeds]
    together = {name: torch.stack([read[name] for read in reads]) for name in reads[0]}
    try:
        with evaluation_mode(model), torch.no_grad(), warnings.catch_warnings():
            # Operators without a batching rule are slow, and torch says so.
            warnings.simplefilter("ignore", UserWarning)
            return torch.cat([torch.vmap(partial(outputs, model, batch))(together) for batch in batches], 1)
    except Exception:
        # Whatever a network does that cannot be batched; what is wrong with it otherwise, a read alone will tell.
        return None


def _outputs(model: nn.Module, batches: Sequence[Batch]) -> torch.Tensor:
    with evaluation_mode(model), torch.no_grad():
        return torch.cat([outputs(model, batch) for batch in batches])


def _agree(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    scale = float(second.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)
