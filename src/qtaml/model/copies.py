"""Copies of a network: the caller's own is never run, written to, or left with anything that a forward pass keeps."""

import copy
import dis
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from qtaml.errors import ModelError
from qtaml.model.torch_compile import is_wrapper, uncompiled

_OWN: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
_LOCK = threading.Lock()
_TRIES = 10
"""Copies that are begun while another thread, which runs the model, adds attributes to it."""


def private_copy(model: nn.Module) -> nn.Module:
    """A copy to run and to put other weights into, in evaluation mode and not compiled.

    Its parameters and buffers share the memory of the model's, so it costs no memory worth mention; replace them
    (`torch.func.functional_call`), never write to them. All else is the copy's own.

    Args:
        model: any module that can be copied; it is not changed. A copy made here is returned as it is.

    Raises:
        ModelError: as `whole_copy`.
    """
    if is_own(model):
        return model
    memo = {
        id(tensor): nn.Parameter(tensor.detach(), requires_grad=False) if kind is nn.Parameter else tensor.detach()
        for tensor in _tensors(model)
        if (kind := type(tensor)) in (torch.Tensor, nn.Parameter)
    }
    with torch.inference_mode(False):
        network = uncompiled(_copied(model, memo))
    for module in network.modules():
        module.training = False
    return own(network)


def whole_copy(model: nn.Module) -> nn.Module:
    """A copy with tensors of its own, to be written to, whose parameters ask for no gradients.

    Raises:
        ModelError: if the model cannot be copied, or a copy would compute with the weights of the original.
    """
    # What repeats its elements cannot be written to.
    memo = {id(tensor): tensor.detach().contiguous() for tensor in _tensors(model) if _repeats(tensor)}
    return _copied(model, memo).requires_grad_(False)


def own(model: nn.Module) -> nn.Module:
    """Mark a copy as ours, and return it: `evaluation_mode` then runs it as it is."""
    with _LOCK:
        _OWN.add(model)
    return model


def is_own(model: nn.Module) -> bool:
    """Whether a model is a copy that `own` has marked."""
    with _LOCK:
        return model in _OWN


class _Detached(TorchFunctionMode):
    """Copies tensors that a forward pass has left in the model, which torch refuses to copy with their history."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            memo[id(tensor)] = tensor.detach().clone()
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    _check_holds_not_itself(model)
    for left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings(), _Detached():
                # Copying a program of torch.export makes torch warn of its own internals.
                warnings.simplefilter("ignore", FutureWarning)
                return copy.deepcopy(model, dict(memo))
        except TimeoutError:
            raise
        except Exception as error:
            if not left or "changed size during iteration" not in str(error):
                raise ModelError(f"the model cannot be copied, without which it would be changed: {error}") from error
    raise AssertionError("the last try returns or raises")


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            yield from (one for one in tensors.values() if one is not None and not nn.parameter.is_lazy(one))


def _repeats(tensor: torch.Tensor) -> bool:
    """Whether elements share their place in memory, as in a view that `expand` made."""
    if tensor.layout != torch.strided:
        return False
    return any(size > 1 and not stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _check_holds_not_itself(model: nn.Module) -> None:
    """Check that no function kept in the model (a `forward`, a hook) holds the model: `deepcopy` shares functions.

    Raises:
        ModelError: naming the module and the function; or if the compiler makes constants of weights.
    """
    parts = {id(part) for part in (*model.modules(), *_tensors(model))}
    for name, module in model.named_modules():
        if is_wrapper(module):
            continue
        for kept, value in list(vars(module).items()):
            functions = value.values() if kept.endswith("_hooks") and isinstance(value, dict) else (value,)
            if any(id(held) in parts for function in functions for held in _held(function)):
                raise ModelError(
                    f"{kept!r} of {name or 'the model'!r} is a function that holds the model itself, so a copy would "
                    "compute with the weights of the original: make it a method of the class, or wrap the module in "
                    "one that calls it; compile with torch.compile(model), not model.forward"
                )
    inductor = sys.modules.get("torch._inductor.config")
    if getattr(inductor, "freezing", False) and any(map(is_wrapper, model.modules())):
        raise ModelError("the model must be compiled without torch._inductor.config.freezing, which fixes its weights")


def _held(function: Any) -> Iterator[Any]:
    """What a function refers to: in its closure, through functions and containers, and by the names of globals."""
    left: list[Any] = [function] if isinstance(function, FunctionType) else []
    seen = set[int]()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, FunctionType):
            left += [cell.cell_contents for cell in value.__closure__ or () if cell != type(cell)()]
            left += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
            named = (value.__globals__.get(name) for name in _global_names(value.__code__))
            left += [one for one in named if isinstance(one, nn.Module | torch.Tensor)]
        elif isinstance(value, list | tuple | dict):
            left += value.values() if isinstance(value, dict) else value
        elif isinstance(value, MethodType):
            left += [value.__self__, value.__func__]
        elif isinstance(value, partial):
            left += [value.func, *value.args, *value.keywords.values()]


def _global_names(code: CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
