"""Running a network on a batch, with other weights where wanted, without changing it."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.utils._named_member_accessor import swap_tensor
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._pytree import tree_leaves

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.errors import ArgumentError, ModelError
from qtaml.model.copies import private_copy
from qtaml.model.slipped_labels import check_no_labels, places_of_labels
from qtaml.model.weights import named_tensors, own_names, same_tensors

Batch = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""Inputs of a model: a tensor, a tuple of positional inputs, or a dictionary of named ones. Samples come first."""

Batches = Batch | Iterable[Batch]
"""A batch, or an iterable of them such as a DataLoader. A list of tensors is one batch of several inputs."""

_Place = tuple[nn.Module, str]
"""The module that holds a tensor, and its name there."""

MOST_OUTPUTS = 2**15
"""Outputs of a sample above which deviations are measured on a sample of them."""


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """A copy in evaluation mode to run inside the block. The model and all random states are left as they were.

    A copy marked by `own` is run as it is. Autocast of the caller is off inside: what is computed depends on the model
    and its inputs alone; a network that needs autocast switches it on in its own forward pass. Modes are set one by
    one: `eval()` is refused by exported programs and does more than that in some modules.
    """
    network = private_copy(model)
    for module in network.modules():
        if module.training:
            module.training = False
    with random_states_kept(), _without_autocast():
        yield network


@contextmanager
def _without_autocast() -> Iterator[None]:
    accelerator = torch.accelerator.current_accelerator()
    with ExitStack() as stack:
        for kind in ("cpu", *([accelerator.type] if accelerator else [])):
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Give the global generators back their states, only where something was drawn: other threads may be drawing."""
    ours, pythons, numpys = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        if not torch.equal(torch.get_rng_state(), ours):
            torch.set_rng_state(ours)
        if random.getstate() != pythons:
            random.setstate(pythons)
        if not all(map(np.array_equal, np.random.get_state(), numpys)):
            np.random.set_state(numpys)


def outputs(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Outputs of the model for each sample of a batch, as a matrix; arguments and errors as for `output_tensor`.

    Returns:
        Floating matrix of shape (samples, outputs).

    Raises:
        ModelError: as `output_tensor`, or if neither the batch nor the output has a dimension for samples.
    """
    return _matrix(output_tensor(model, batch), batch)


def _matrix(output: torch.Tensor, batch: Batch) -> torch.Tensor:
    inputs = _tensors(batch)
    if output.ndim == 1 and inputs and max(one.ndim for one in inputs) < 2 and len(output) not in lengths(batch):
        raise ModelError(
            f"inputs must have a first dimension for samples, got {describe(batch)} and outputs of {describe(output)}; "
            "a single sample is a batch of one: inputs[None]"
        )
    return output.reshape(len(output), -1)


def output_tensor(model: nn.Module, batch: Batch) -> torch.Tensor:
    """The output of the model for a batch.

    Args:
        model: in evaluation mode; neither parameters nor buffers are changed.
        batch: its inputs.

    Returns:
        Floating tensor, samples first: a tensor output as it is, otherwise the output named "logits", or the first of
        a tuple or of a record such as those of transformers.

    Raises:
        ModelError: if the model fails on the batch, or its output has no such tensor. The error of the model is its
            cause. A `TimeoutError`, which the caller's alarm may raise in the midst of a forward pass, goes through.
    """
    return _called(model, batch, [], None)


def _called(
    model: nn.Module, batch: Batch, others: Sequence[tuple[_Place, torch.Tensor]], held: "_Held | None"
) -> torch.Tensor:
    """`output_tensor` with other tensors in their places; what the modules hold where that is known."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "the model must be an ordinary or exported module; scripted ones cannot be called with other weights"
        )
    args, kwargs = arguments(batch, model)
    try:
        with (held or _Held(model)).kept(), _in_place_of_own(others):
            output = model(*args, **kwargs)
    except TimeoutError:
        raise
    except Exception as error:
        hint = ""
        if "Guard failed" in str(error):
            hint = "; it was exported for other sizes: export it with dynamic_shapes={0: Dim('samples')} for its inputs"
        elif isinstance(batch, tuple | list) and places_of_labels(batch):
            hint = "; if the inputs come with labels, leave these out"
        raise ModelError(f"the model failed on inputs of {describe(batch)}: {error}{hint}") from error
    tensor = first_tensor(output)
    if not tensor.numel():
        raise ModelError(
            f"the model gives no outputs on inputs of {describe(batch)}; a batch needs at least one sample"
        )
    return tensor


@contextmanager
def _in_place_of_own(others: Sequence[tuple[_Place, torch.Tensor]]) -> Iterator[None]:
    """Other tensors inside the block, as by `torch.func.functional_call`, which looks for names and ties each time."""
    before = [(place, swap_tensor(*place, one)) for place, one in others]
    try:
        yield
    finally:
        for place, one in before:
            swap_tensor(*place, one)


@contextmanager
def state_kept(model: nn.Module) -> Iterator[None]:
    """Give all modules of a model back after the block what they held; inside it buffers are copies."""
    with _Held(model).kept():
        yield


class _Held:
    """What all modules of a model hold, to be given back after each forward pass."""

    def __init__(self, model: nn.Module) -> None:
        buffers: list[MutableMapping[str, Any]] = []
        held: list[MutableMapping[str, Any]] = []
        for module in model.modules():
            buffers.append(module._buffers)
            # Parts of scripted modules are no dictionaries.
            held += () if isinstance(module, torch.jit.ScriptModule) else (vars(module), module._parameters)
        self._before = [
            (current, dict(current.items()), list(map(id, current.values()))) for current in (*held, *buffers)
        ]
        self._buffers = [current for current in buffers if current]
        self._tied: dict[int, torch.Tensor] = {}
        if any(isinstance(buffer, nn.Parameter) for current in self._buffers for buffer in current.values()):
            self._tied = {id(parameter): parameter for parameter in model.parameters()}

    @contextmanager
    def kept(self) -> Iterator[None]:
        copies = dict(self._tied)
        try:
            for current in self._buffers:
                for name, buffer in list(current.items()):
                    if buffer is not None:
                        current[name] = copies.setdefault(id(buffer), buffer.clone())
            yield
        finally:
            for current, kept, identities in self._before:
                if list(map(id, current.values())) != identities:
                    for name in [name for name, _ in current.items() if name not in kept]:
                        del current[name]
                    for name, value in kept.items():
                        current[name] = value


def finite_outputs(model: nn.Module, batch: Batch) -> torch.Tensor:
    """`outputs` for measuring deviations: finite, and not more than can be handled.

    Of more than 32,768 outputs for each sample (the logits of a large vocabulary at each place), so many are drawn, the
    same ones on every call, and scaled so that squared deviations are unbiased estimates of those of all outputs.

    Raises:
        ModelError: if an output is NaN or infinite, or as `outputs`.
    """
    return finite(outputs(model, batch), batch)


def replacing(model: nn.Module) -> Callable[[Batch, Mapping[str, torch.Tensor]], torch.Tensor]:
    """Return `(batch, tensors) -> outputs` of a model with other tensors, names and ties worked out once.

    Args:
        model: as for `output_tensor`; while the function is in use, its modules hold what they do now.

    Returns:
        A function of a batch and the tensors that replace those of the same name (and all tied to them) for this call;
        it raises `ModelError` as `outputs`.

    Example:
        >>> run = replacing(nn.Linear(2, 1, bias=False))
        >>> run(torch.ones(3, 2), {"weight": torch.tensor([[1.0, 2.0]])}).tolist()
        [[3.0], [3.0], [3.0]]
    """
    paths = {name: [tied.rpartition(".") for tied in group] for name, group in _all_names(model).items()}
    places = {name: [(model.get_submodule(path), own) for path, _, own in group] for name, group in paths.items()}
    held = _Held(model)

    def run(batch: Batch, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        others = [(place, tensor) for name, tensor in tensors.items() for place in places[name]]
        return _matrix(_called(model, batch, others, held), batch)

    return run


def _all_names(model: nn.Module) -> dict[str, list[str]]:
    """What the model itself calls each tensor of a name, and all that are tied to it."""
    own = own_names(model)
    return {name: [own[tied] for tied in group] for group in same_tensors(named_tensors(model)) for name in group}


@contextmanager
def replaced(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Other tensors in a copy of ours, for a backward pass that runs parts of the forward pass again (checkpoints)."""
    names = _all_names(model)
    _checks.covers("the model", names, tensors)
    with _reparametrize_module(model, {tied: one for name, one in tensors.items() for tied in names[name]}):
        yield


def finite(output: torch.Tensor, batch: Batch, when: str = "") -> torch.Tensor:
    """The outputs of a batch, or as many of them as `finite_outputs` gives; `when` is said in the error.

    Raises:
        ModelError: if an output is NaN or infinite.
    """
    if not bool(torch.isfinite(output.detach()).all()):
        raise ModelError(f"the model gives NaN or infinite outputs on inputs of {describe(batch)}{when}")
    count = output.shape[1]
    if count <= MOST_OUTPUTS:
        return output
    drawn: torch.Tensor = output[:, _drawn(count).to(output.device)] * (count / MOST_OUTPUTS) ** 0.5
    return drawn


@lru_cache(maxsize=4)
def _drawn(count: int) -> torch.Tensor:
    return torch.randint(count, (MOST_OUTPUTS,), generator=torch_generator(0, "outputs", count), device="cpu")


def one_batch(batches: Batches) -> Batch:
    """A batch as it is; the batches of an iterable joined, so that means over samples stay means over all of them.

    Args:
        batches: a tensor, a tuple or list of tensors, a dictionary; or batches, without labels, in a list or another
            iterable such as a DataLoader.

    Raises:
        ArgumentError: if it is none of these, is empty, or its batches cannot be joined.

    Example:
        >>> one_batch(torch.ones(2, 3) * number for number in range(4)).shape
        torch.Size([8, 3])
    """
    listed = isinstance(batches, list) and all(isinstance(one, Mapping | tuple | list) for one in batches)
    if isinstance(batches, torch.Tensor | Mapping | tuple) or (isinstance(batches, list) and not listed):
        return batches
    parts = list(batches) if isinstance(batches, Iterable) else [batches]
    if wrong := [part for part in parts if not isinstance(part, torch.Tensor | Mapping | tuple | list)]:
        raise ArgumentError(
            "a batch must be a tensor, a tuple of inputs or a dictionary of them, or an iterable of such batches, got "
            f"{type(wrong[0]).__name__}"
        )
    if not parts:
        raise ArgumentError("calibration must hold at least one batch, got none")
    return cast(Batch, parts[0] if len(parts) == 1 else _joined(parts))


def _joined(parts: list[Any]) -> Any:
    """Values of the same place in several batches as one: tensors one after the other, everything else must agree."""
    first = parts[0]
    if isinstance(first, Mapping) and all(isinstance(one, Mapping) and one.keys() == first.keys() for one in parts):
        return {name: _joined([one[name] for one in parts]) for name in first}
    if isinstance(first, tuple | list) and all(
        isinstance(one, tuple | list) and len(one) == len(first) for one in parts
    ):
        return tuple(_joined(list(values)) for values in zip(*parts, strict=True))
    if all(isinstance(one, torch.Tensor) for one in parts):
        try:
            return torch.cat(parts)
        except RuntimeError as error:
            shapes = ", ".join(dict.fromkeys(describe(one) for one in parts))
            raise ArgumentError(
                f"batches must differ in their number of samples only, got {shapes}; pad them to one length"
            ) from error
    if any(type(one) is not type(first) or isinstance(one, torch.Tensor | Mapping | tuple | list) for one in parts):
        kinds = ", ".join(dict.fromkeys(type(one).__name__ for one in parts))
        raise ArgumentError(f"batches must all hold the same inputs, got {kinds} in the same place")
    if any(one != first for one in parts):
        raise ArgumentError(f"batches must agree in what is no tensor, got {first!r} and others")
    return first


def sample_count(batch: Any) -> int | None:
    """Length of the first tensor of a batch."""
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else None
    values = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((length for length in map(sample_count, values) if length is not None), None)


def lengths(batch: Any) -> set[int]:
    """First dimensions of all tensors of a batch.

    Example:
        >>> lengths({"tokens": torch.ones(4, 7), "factor": torch.tensor(2.0)})
        {4}
    """
    return {len(tensor) for tensor in _tensors(batch) if tensor.ndim}


def _tensors(batch: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(batch) if isinstance(leaf, torch.Tensor)]


def cut_samples(value: Any, samples: int, span: slice | torch.Tensor) -> Any:
    """Some samples of a batch: its tensors of so many samples are cut, what else it holds stays."""
    if isinstance(value, torch.Tensor):
        return value[span] if value.ndim and len(value) == samples else value
    if isinstance(value, Mapping):
        return {name: cut_samples(item, samples, span) for name, item in value.items()}
    return tuple(cut_samples(item, samples, span) for item in value) if isinstance(value, tuple | list) else value


def first_samples(batch: Any, count: int) -> Any:
    """The first samples of a batch; all if it has no more, or none at all."""
    samples = sample_count(batch)
    return batch if samples is None else cut_samples(batch, samples, slice(count))


def arguments(batch: Batch, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a call of the model on a batch, moved to the model's device."""
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))

    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_meta and device.type != "meta":
            raise ArgumentError(f"a batch must hold data, got a tensor of {describe(value)} on device meta")
        return value.to(device) if isinstance(value, torch.Tensor) else value

    if isinstance(batch, torch.Tensor):
        return (move(batch),), {}
    if isinstance(batch, Mapping):
        return (), {name: move(value) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        check_no_labels(batch, model)
        return tuple(move(value) for value in batch), {}
    raise ArgumentError(
        f"a batch must be a tensor, a tuple of inputs or a dictionary of them, got {type(batch).__name__}"
    )


def describe(batch: Batch) -> str:
    """Shapes and dtypes of a batch, for messages.

    Example:
        >>> describe(torch.zeros(2, 3))
        'shape (2, 3) float32'
    """
    if isinstance(batch, torch.Tensor):
        return f"shape {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{name}: {describe(value)}" for name, value in batch.items())
    return ", ".join(describe(value) for value in batch) if isinstance(batch, tuple | list) else repr(batch)


def first_tensor(output: Any) -> torch.Tensor:
    """What counts of what a model returned; see `output_tensor`.

    Raises:
        ModelError: if there is no such tensor.
    """
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else next(iter(output.values()), None)
    elif isinstance(output, tuple | list) and output:
        output = getattr(output, "logits", output[0])
    if not isinstance(output, torch.Tensor) or not output.is_floating_point() or output.ndim == 0:
        got = describe(output) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ModelError(
            "the model must give a floating-point tensor with samples first, or a tuple or dictionary that starts "
            f"with one or names one 'logits'; got {got}"
        )
    return output
