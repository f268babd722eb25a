"""Networks that `torch.compile` has wrapped, whole or in part."""

from torch import nn

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


def is_wrapper(module: nn.Module) -> bool:
    """Whether a module is what `torch.compile` has put around another one."""
    return _WRAPPED in module._modules
