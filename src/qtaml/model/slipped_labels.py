"""Labels that came with the inputs of a network, as most data loaders give them, are no inputs."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from qtaml.errors import ArgumentError


def check_no_labels(batch: Sequence[Any], model: nn.Module) -> None:
    """Check that what a model may do without is not given one number for each sample: these are labels, most likely.

    Args:
        batch: positional inputs.
        model: the network that gets them.

    Raises:
        ArgumentError: if it is; the message says how to give such an input.
    """
    for place in places_of_labels(batch):
        name = _optional_names(model, len(batch))[place]
        if name is not None:
            raise ArgumentError(
                f"a batch must be inputs without labels, got {len(batch)} of which number {place + 1}, of shape "
                f"{tuple(batch[place].shape)}, would be {name!r}, which the model may do without: leave labels out; if "
                "it is an input, give a dictionary of the inputs by their names"
            )


def places_of_labels(batch: Sequence[Any]) -> list[int]:
    """Places in a tuple of inputs where one number for each sample stands, which may be a label.

    Example:
        >>> images, labels, weights = torch.ones(4, 1, 8, 8), torch.tensor([0, 2, 1, 0]), torch.ones(4, 3)
        >>> places_of_labels((images, weights, labels))
        [2]
    """
    first = batch[0] if batch else None
    if not isinstance(first, torch.Tensor) or not first.ndim:
        return []
    shapes = {(len(first),), (len(first), 1)} - {tuple(first.shape)}
    return [place for place, one in enumerate(batch) if isinstance(one, torch.Tensor) and tuple(one.shape) in shapes]


def _optional_names(model: nn.Module, count: int) -> list[str | None]:
    """For each of so many positions, the name of what the model takes there if it may do without, else None."""
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return _optional_names(model.module, count)
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return [None] * count
    names: list[str | None] = []
    for one in parameters:
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            names.append(one.name if one.default is not one.empty else None)
        # Arguments of any kind are passed on to another network, which takes them by name too.
        elif one.kind is one.VAR_POSITIONAL and any(other.kind is one.VAR_KEYWORD for other in parameters):
            names += [f"*{one.name}"] * count
    return (names + [None] * count)[:count]
