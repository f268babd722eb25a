"""Which tensors of a network are stored in the memory."""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.model.torch_compile import uncompiled_name

_NORM = re.compile(r"Norm(\d+d)?$")


def stored_weights(
    model: nn.Module, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> dict[str, torch.Tensor]:
    """The tensors of a network that are kept in the leaking memory.

    The rule: every floating-point parameter of two or more dimensions, except biases (a name that ends in "bias") and
    the parameters of normalisation layers (a class named like `LayerNorm` or `BatchNorm2d`). A tensor under several
    names (tied weights) is stored once, under its first name; patterns may match any of its names.

    Args:
        model: any module; it is not changed.
        include: patterns of names of further parameters or buffers to store, such as "*.bias" (paper B.5).
        exclude: patterns of names that are not stored, such as "head.*". Stronger than `include`.

    Returns:
        Name to tensor (detached, sharing memory with the model), in the order of the model.

    Raises:
        ArgumentError: if a pattern matches nothing.
        ModelError: if no tensor is left, or one has no elements, no data, holds NaN or infinity, or is not floating.

    Source:
        paper B.2 and B.5.

    Example:
        >>> list(stored_weights(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))))
        ['0.weight', '2.weight']
        >>> list(stored_weights(nn.Sequential(nn.Linear(3, 2)), include=["*.bias"]))
        ['0.weight', '0.bias']
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    tensors = named_tensors(model)
    _check_patterns("include", include, tensors)
    _check_patterns("exclude", exclude, tensors)
    parameters = {uncompiled_name(name) for name, _ in model.named_parameters(remove_duplicate=False)}
    norms = _norm_modules(model)
    stored: dict[str, torch.Tensor] = {}
    for names in same_tensors(tensors):
        chosen = any(
            _matches(name, include) or (name in parameters and _is_weight(name, tensors[name], norms)) for name in names
        )
        if chosen and not any(_matches(name, exclude) for name in names):
            stored[names[0]] = check_storable(names[0], tensors[names[0]])
    _check_overlaps(stored)
    if not stored:
        raise ModelError(
            "the model has no tensor to store: no floating-point parameter of two or more dimensions outside "
            "normalisation layers is left; name others with include"
        )
    return stored


def named_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer of a model by its name before `torch.compile`, tied ones under each name.

    Example:
        >>> list(named_tensors(torch.compile(nn.Linear(2, 1))))
        ['weight', 'bias']
    """
    return {uncompiled_name(name): tensor for name, tensor in _named(model)}


def own_names(model: nn.Module) -> dict[str, str]:
    """What the model itself calls each tensor of `named_tensors`: another name where `torch.compile` wrapped it."""
    return {uncompiled_name(name): name for name, _ in _named(model)}


def _named(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def aliases(model: nn.Module, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Other names under which the model holds the same tensor, for each of the given names.

    Example:
        >>> model = nn.ModuleDict({"embed": nn.Embedding(3, 2), "head": nn.Linear(2, 3, bias=False)})
        >>> model["head"].weight = model["embed"].weight
        >>> aliases(model, ["embed.weight"])
        {'embed.weight': ('head.weight',)}
    """
    groups = {name: group for group in same_tensors(named_tensors(model)) for name in group}
    return {name: tuple(other for other in groups.get(name, ()) if other != name) for name in names}


def same_tensors(tensors: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """Names grouped by tensor: the same object, or the same elements of the same memory."""
    groups: dict[Hashable, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault(_identity(tensor), []).append(name)
    return list(groups.values())


def made_buffers(model: nn.Module) -> set[str]:
    """Names of the buffers that are not part of the model's state: its constructor or its forward pass makes them."""
    return {
        uncompiled_name(f"{name}.{buffer}" if name else buffer)
        for name, module in model.named_modules(remove_duplicate=False)
        for buffer in module._non_persistent_buffers_set
    }


def share_of_numbers(model: nn.Module, names: Iterable[str]) -> float:
    """Share of the numbers of a model's state that the named tensors hold, each tied one counted once.

    What is not floating-point holds a number in each 8 bits: layers of quantised weights pack several into one.

    Example:
        >>> share_of_numbers(nn.Linear(4, 2), ["weight"])
        0.8
    """
    present = named_tensors(model)
    made = made_buffers(model)
    kept = {name: one for name, one in present.items() if name not in made and not nn.parameter.is_lazy(one)}
    # Layers of torch.ao hold theirs in objects that only the state dict shows, in tuples.
    for name, value in model.state_dict(keep_vars=True).items():
        parts = value if isinstance(value, tuple) else (value,)
        kept |= {f"{name}.{place}": one for place, one in enumerate(parts) if isinstance(one, torch.Tensor)}
    numbers = {group[0]: _numbers(kept[group[0]]) for group in same_tensors(kept)}
    return sum(_numbers(present[name]) for name in names) / max(sum(numbers.values()), 1)


def _numbers(tensor: torch.Tensor) -> int:
    return tensor.numel() * (1 if tensor.is_floating_point() else tensor.element_size())


def _identity(tensor: torch.Tensor) -> Hashable:
    if (
        nn.parameter.is_lazy(tensor)
        or is_wrapper_tensor(tensor)
        or tensor.layout != torch.strided
        or not tensor.data_ptr()
    ):
        # No data, or an address that says nothing.
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def is_wrapper_tensor(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one of a class that says itself what operators do, and keeps its numbers elsewhere.

    Example:
        >>> is_wrapper_tensor(torch.ones(2)), is_wrapper_tensor(nn.Parameter(torch.ones(2)))
        (False, False)
    """
    return type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__


def _check_overlaps(stored: Mapping[str, torch.Tensor]) -> None:
    spans = []
    for name, tensor in stored.items():
        extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        spans.append((tensor.data_ptr(), tensor.data_ptr() + extent * tensor.element_size(), name))
    for (_, end, name), (start, _, other) in pairwise(sorted(spans)):
        if start < end:
            raise ModelError(
                f"tensors {name!r} and {other!r} share memory in different shapes: "
                "name one of them in exclude, or untie them"
            )


def _check_patterns(name: str, patterns: Sequence[str], tensors: Mapping[str, torch.Tensor]) -> None:
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentError(f"{name} must be a sequence of patterns, got {patterns!r}")
    for pattern in patterns:
        if not any(fnmatchcase(other, pattern) for other in tensors):
            raise ArgumentError(f"{name} pattern {pattern!r} matches none of: {', '.join(tensors) or 'no tensors'}")


def _norm_modules(model: nn.Module) -> set[str]:
    modules = model.named_modules(remove_duplicate=False)
    return {uncompiled_name(name) for name, module in modules if _NORM.search(type(module).__name__)}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_weight(name: str, tensor: torch.Tensor, norms: set[str]) -> bool:
    module, _, leaf = name.rpartition(".")
    if nn.parameter.is_lazy(tensor):
        return True
    real_or_complex = tensor.is_floating_point() or tensor.is_complex()
    return real_or_complex and tensor.ndim >= 2 and not leaf.endswith("bias") and module not in norms


def check_storable(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, detached, if it can be stored.

    Raises:
        ModelError: if it has no elements, no data, holds NaN or infinity, or is not dense and floating-point of 16 bits
            or more.
    """
    if nn.parameter.is_lazy(tensor) or tensor.is_meta:
        raise ModelError(f"tensor {name!r} has no data yet: load the weights before storing the model")
    if tensor.layout != torch.strided:
        raise ModelError(f"tensor {name!r} must be dense, got layout {tensor.layout}")
    if is_wrapper_tensor(tensor):
        raise ModelError(
            f"tensor {name!r} must be an ordinary one, got a {type(tensor).__name__}: give its dequantised values, "
            "nn.Parameter(weight.dequantize()), which are quantised anew for the memory; or name it in exclude, to "
            "measure the network without errors in it"
        )
    if tensor.is_complex():
        raise ModelError(
            f"tensor {name!r} must be real, got {tensor.dtype}: keep torch.view_as_real(weight) as the parameter and "
            "take torch.view_as_complex of it in the forward pass, or name it in exclude"
        )
    if not tensor.is_floating_point():
        raise ModelError(
            f"tensor {name!r} must be floating-point, got {tensor.dtype}: give its dequantised values, which are "
            "rescaled in floating point and quantised once (paper B.4)"
        )
    if tensor.dtype.itemsize < 2:
        raise ModelError(
            f"tensor {name!r} must have a dtype of 16 bits or more, got {tensor.dtype}: give it in one in which the "
            "network can run, such as weight.to(torch.bfloat16) times its scales if it has some, or name it in exclude"
        )
    if tensor.numel() == 0:
        raise ModelError(f"tensor {name!r} has no elements, shape {tuple(tensor.shape)}; name it in exclude")
    # NaN and infinity show in the extremes, which need no memory of the size of the tensor.
    if not all(bool(end.isfinite()) for end in torch.aminmax(tensor.detach())):
        bad = int((~torch.isfinite(tensor)).sum())
        raise ModelError(f"tensor {name!r} must be finite, got {bad} NaN or infinite of {tensor.numel()} weights")
    return tensor.detach()
