"""Networks that `torch.compile` has wrapped, whole or in part."""

import sys

from torch import nn

from qtaml.errors import ModelError

_WRAPPED = "_orig_mod"


def uncompiled_name(name: str) -> str:
    """Name of a parameter, buffer or module before `torch.compile` wrapped the model or a part of it.

    Example:
        >>> uncompiled_name("layers.0._orig_mod.weight"), uncompiled_name("_orig_mod")
        ('layers.0.weight', '')
    """
    return ".".join(part for part in name.split(".") if part != _WRAPPED)


def uncompiled(model: nn.Module) -> nn.Module:
    """The network without the wrappers, which are taken out of the model that is given."""
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if child is not None and _WRAPPED in child._modules:
                module._modules[name] = child._modules[_WRAPPED]
    return getattr(model, _WRAPPED, model)


def check_copies_read_their_own_weights(model: nn.Module) -> None:
    """Check that a copy of the model computes with the weights of the copy, whatever is written to them.

    Raises:
        ModelError: if a `forward` was compiled by itself, which stays that of the original, or the compiler makes
            constants of weights.
    """
    for name, module in model.named_modules():
        forward = None if _WRAPPED in module._modules else module.__dict__.get("forward")
        if hasattr(forward, "_torchdynamo_orig_callable"):
            raise ModelError(
                f"forward of {name or 'the model'!r} is compiled by itself and would stay that of the original in a "
                "copy: compile the module, with torch.compile(model)"
            )
    inductor = sys.modules.get("torch._inductor.config")
    if getattr(inductor, "freezing", False) and any(_WRAPPED in module._modules for module in model.modules()):
        raise ModelError("the model must be compiled without torch._inductor.config.freezing, which fixes its weights")
