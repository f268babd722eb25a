"""Words of tensors that several steps of a plan need, each encoded once."""

from collections.abc import Callable
from dataclasses import replace

import torch

from qtaml.faults import FaultModel
from qtaml.formats import Format, Largest, Section, TensorFormat

Encode = Callable[[TensorFormat, torch.Tensor, FaultModel], tuple[torch.Tensor, torch.Tensor]]
"""`TensorFormat.encode`, or what remembers it."""


class EncodeOnce:
    """`TensorFormat.encode` that remembers what it gave, for as long as it lives.

    Example:
        >>> from qtaml.faults import Uniform
        >>> encode, weights = EncodeOnce(), torch.tensor([1.0, -0.5])
        >>> raw = TensorFormat((Section(2, Format()),))
        >>> protected = TensorFormat((Section(2, Format().protect(2)),))
        >>> encode(raw, weights, Uniform(0.1)) is encode(protected, weights, Uniform(0.1))
        True
    """

    def __init__(self) -> None:
        # With the weights themselves, so that none of their addresses is given to others meanwhile.
        self._known: dict[
            tuple[int, TensorFormat, FaultModel], tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]
        ] = {}

    def __call__(
        self, storage: TensorFormat, weights: torch.Tensor, fault: FaultModel
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Words and scale; arguments as for `TensorFormat.encode`."""
        key = id(weights), _written(storage), fault
        if key not in self._known:
            self._known[key] = weights, storage.encode(weights, fault)
        return self._known[key][1]


def _written(storage: TensorFormat) -> TensorFormat:
    """A tensor format that writes the same words: without a correction, protections and steps do not matter."""
    if storage.correction != "none":
        return replace(storage, readout_gain=1.0)
    sections = tuple(Section(section.weights, Format(section.format.levels)) for section in storage.sections)
    scale = Largest() if storage.scale.kind == "largest" else storage.scale
    return replace(storage, sections=sections, scale=scale, readout_gain=1.0)
