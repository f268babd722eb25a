"""A metric on one read of a memory after the other, or on several in one forward pass where that is faster."""

import math
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.faults import FaultModel
from qtaml.measuring.accuracy import Accuracy
from qtaml.measuring.activations import ActivationErrors, Streams
from qtaml.measuring.metrics import BatchedMetric, Metric, SampleMetric, tensors_of
from qtaml.memory import Memory
from qtaml.model import Batch, arguments, evaluation_mode, output_tensor, own, replacing, state_kept

_MOST_AT_ONCE = 32
_CPU_WORK = 1 << 21
"""Weights x samples of a forward pass up to which calls of the operators take longer than what they compute."""
_GPU_WORK = 1 << 28
_MOST_WEIGHTS_OF_A_COPY = 1 << 24
_SECONDS_OF_A_PART = 0.02
"""Time of the reads that a thread makes before it hands over their scores."""
_TOLERANCE = 1e-3
"""Relative difference of outputs, far above float rounding and far below what wrong weights do."""


def scores_of_reads(
    memory: Memory, metric: Metric, seeds: Sequence[int], fault: FaultModel, activations: Streams | None = None
) -> Iterator[Any]:
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
        activations: as for `evaluate`; reads then go one after the other.

    Yields:
        Scores of each sample, or whatever another callable returns, in the order of the seeds.
    """
    if activations or not _is_ours(metric):
        model = own(memory.copy_of_model())
        errors = ActivationErrors(model, activations or {})
        for seed in seeds:
            memory.read_into(model, seed=seed, fault=fault)
            with _first_call(model, memory), state_kept(model), errors.at(seed):
                score = metric.scores(model) if isinstance(metric, SampleMetric) else metric(model)
            yield score
        return
    _check(memory, metric.batches[0])
    done, at_once = 0, _reads_at_once(memory, metric)
    # A class derived from Accuracy may score otherwise.
    if type(metric) is Accuracy and at_once > 1:
        model = own(memory.model(seed=seeds[0], fault=fault))
        for start in range(0, len(seeds), at_once):
            together = _outputs_of_reads(memory, model, metric.batches, seeds[start : start + at_once], fault)
            if together is None:
                break
            if start == 0:
                alone = _outputs(model, metric.batches)
                if not _agree(together[0], alone.reshape(len(alone), -1)):
                    break
            for scores in metric.of_reads(together.reshape(-1, *alone.shape)):
                yield scores
                done += 1
    left = seeds[done:]
    threads = torch.get_num_threads()
    # The operators of small networks gain little from more threads each; of large ones they gain as much.
    beside = _on_cpu(memory) and memory.plan.weights <= _MOST_WEIGHTS_OF_A_COPY
    if beside and min(threads, len(left)) > 1:
        yield from _in_threads([_scorer(memory, metric, fault) for _ in range(threads)], left)
    elif left:
        yield from map(_scorer(memory, metric, fault), left)


@contextmanager
def _first_call(model: nn.Module, memory: Memory) -> Iterator[None]:
    """Check a memory, if that was not done yet, on the first inputs of the model inside the block."""
    if memory.unread is not None:
        yield
        return
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, kwargs)) if not calls else None, with_kwargs=True
    )
    try:
        yield
    finally:
        hook.remove()
    if calls:
        memory.check_reads(model, *calls[0])


def _check(memory: Memory, batch: Batch) -> None:
    """Check a memory on a batch, if that was not done yet."""
    if memory.unread is None:
        model = own(memory.model(seed=None))
        try:
            memory.check_reads(model, *arguments(batch, model))
        except (ModelError, TimeoutError):
            raise
        except Exception:
            # What is wrong with the inputs, the metric will say.
            return


def _is_ours(metric: Metric) -> TypeGuard[BatchedMetric]:
    """Whether a metric is known to leave the network that it measures as it is, and not to mind threads."""
    return isinstance(metric, SampleMetric) and type(metric).__module__.startswith("qtaml.")


def _scorer(memory: Memory, metric: SampleMetric, fault: FaultModel) -> Callable[[int], torch.Tensor]:
    """The scores of a read, by its seed, with a copy of the model of its own."""
    model = own(memory.copy_of_model())
    read = memory.reader(model, fault=fault)

    def score(seed: int) -> torch.Tensor:
        read(seed)
        return metric.scores(model)

    return score


def _on_cpu(memory: Memory) -> bool:
    return all(tensor.words.device.type == "cpu" for tensor in memory.tensors.values())


class _Part(NamedTuple):
    """The scores of some reads in turn, the time they took, and the error that ended them."""

    scores: list[torch.Tensor]
    seconds: float
    error: Exception | None


def _in_threads(scorers: list[Callable[[int], torch.Tensor]], seeds: Sequence[int]) -> Iterator[torch.Tensor]:
    """The scores of each read, several reads at a time, each scorer in a thread of its own."""
    own = threading.local()
    threads = len(scorers)

    def start() -> None:
        torch.set_num_threads(1)
        own.score = scorers.pop()

    def run(part: Sequence[int]) -> _Part:
        scores, failure, begun = [], None, time.perf_counter()
        try:
            for seed in part:
                scores.append(own.score(seed))
        except Exception as error:
            # Raised when its turn comes: the caller may have stopped by then.
            failure = error
        return _Part(scores, time.perf_counter() - begun, failure)

    pool = ThreadPoolExecutor(threads, initializer=start)
    try:
        running: deque[Future[_Part]] = deque()
        given, size = 0, 1
        while running or given < len(seeds):
            # No further ahead than keeps all busy, for the caller may stop early.
            while given < len(seeds) and len(running) <= threads:
                running.append(pool.submit(run, seeds[given : given + size]))
                given += size
            part = running.popleft().result()
            # Threads that meet for each of many short reads would mostly wait for each other.
            size = max(int(_SECONDS_OF_A_PART * len(part.scores) / max(part.seconds, 1e-9)), 1)
            yield from part.scores
            if part.error is not None:
                raise part.error
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
    together = memory.read_together(seeds, fault=fault)
    try:
        with evaluation_mode(model) as network, torch.no_grad(), warnings.catch_warnings():
            # Operators without a batching rule are slow, and torch says so.
            warnings.simplefilter("ignore", UserWarning)
            run = replacing(network)
            return torch.cat([torch.vmap(partial(run, batch))(together) for batch in batches], 1)
    except TimeoutError:
        raise
    except Exception:
        # Whatever a network does that cannot be batched; what is wrong with it otherwise, a read alone will tell.
        return None


def _outputs(model: nn.Module, batches: Sequence[Batch]) -> torch.Tensor:
    with evaluation_mode(model) as network, torch.no_grad():
        return torch.cat([output_tensor(network, batch) for batch in batches])


def _agree(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    scale = float(second.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)


def checked_scores(metric: Metric, value: Any, trial: int) -> tuple[NDArray[np.float64], bool]:
    """Scores of one read, shape (samples,) or (1,), and whether each is right or wrong.

    Args:
        metric: what gave them.
        value: what it gave.
        trial: number of the read, for the message.

    Raises:
        ArgumentError: if these are no finite numbers.
    """
    if isinstance(metric, SampleMetric):
        scores = torch.as_tensor(value, device=getattr(value, "device", "cpu"))
        values, proportion = scores.detach().cpu().double().numpy(), scores.dtype == torch.bool
    else:
        try:
            # float() takes texts too, and a number in quotes is more likely a mistake than meant.
            if isinstance(value, str | bytes):
                raise TypeError
            values, proportion = np.array([float(value)]), False
        except OverflowError:
            # A whole number too long for a float is as far out of range as infinity.
            values, proportion = np.array([math.inf]), False
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"metric must return one number, got {value!r} on read {trial}") from error
    if values.ndim != 1 or not values.size or not all(map(math.isfinite, values)):
        raise ArgumentError(f"metric must return finite numbers, got {values!r} on read {trial}")
    return values, proportion


def reads_differ(memory: Memory, seeds: Sequence[int], fault: FaultModel) -> bool:
    """Whether the first two reads of a memory differ."""
    one, other = (memory.read(seed=seed, fault=fault) for seed in seeds[:2])
    return any(not torch.equal(a, b) for (_, a), (_, b) in zip(one, other, strict=True))
