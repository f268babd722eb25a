"""The output that counts, where a network has several, or where what counts is made of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from qtaml.errors import ModelError

Output = str | Callable[[Any], torch.Tensor]
"""Name of an output, "embedding", or a function of what the network returns."""

_CHOSEN = "_qtaml_output"
"""Attribute of a model that returns what counts already, as its copies do."""
_EMBEDDING, _TOKENS, _MASK = "embedding", "last_hidden_state", "attention_mask"


def returning(model: nn.Module, output: Output) -> nn.Module:
    """The same module, which from now on returns what counts of its outputs.

    Args:
        model: a copy of our own: a hook is registered with it.
        output: a key or attribute of what the model returns, such as "logits"; the place in a tuple, such as "1";
            "embedding", the mean of the "last_hidden_state" over the tokens of the "attention_mask", with norm 1, as
            sentence encoders have it; or a function of what the model returns.

    Returns:
        The model, unchanged if it does so already. A forward pass raises `ModelError` where there is no such output.

    Example:
        >>> class Two(nn.Module):
        ...     def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        ...         return {"first": inputs, "second": 2 * inputs}
        >>> returning(Two(), "second")(torch.ones(1, 2))
        tensor([[2., 2.]])
    """

    def chosen(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], found: Any) -> Any:
        if not isinstance(output, str):
            return output(found)
        named = _named(found, output)
        if named is None and output == _EMBEDDING:
            return _embedding(found, args, kwargs)
        if named is None:
            raise ModelError(f"output must be one that the model returns, {_names(found)}, got {output!r}")
        return named

    if getattr(model, _CHOSEN, None) != output:
        setattr(model, _CHOSEN, output)
        model.register_forward_hook(chosen, with_kwargs=True)
    return model


def output_name(output: Output | None) -> str | None:
    """The name of an output in records: that of a function, in parentheses."""
    return output if output is None or isinstance(output, str) else f"({getattr(output, '__qualname__', output)})"


def _named(found: Any, name: str) -> Any:
    if isinstance(found, Mapping):
        return found.get(name)
    if isinstance(found, tuple | list) and name.isdecimal():
        return found[int(name)] if int(name) < len(found) else None
    return getattr(found, name, None) if not isinstance(found, torch.Tensor) else None


def _names(found: Any) -> str:
    if isinstance(found, Mapping):
        return ", ".join(map(repr, found))
    names = getattr(found, "_fields", None) or (range(len(found)) if isinstance(found, tuple | list) else ())
    return ", ".join(f"'{name}'" for name in names) or f"a single {type(found).__name__}"


def _embedding(found: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    tokens = _named(found, _TOKENS)
    if not isinstance(tokens, torch.Tensor) or tokens.ndim != 3:
        raise ModelError(f"output='embedding' needs a model that returns {_TOKENS!r}, got {_names(found)}")
    given = kwargs.get(_MASK, next((one.get(_MASK) for one in args if isinstance(one, Mapping)), None))
    mask = torch.ones_like(tokens[:, :, :1]) if given is None else given[:, :, None].to(tokens.dtype)
    return nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1).clamp(min=1), dim=1)
