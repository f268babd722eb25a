"""Memo of encoded tensors, whose words several steps of a plan need."""

from collections.abc import Callable
from dataclasses import replace

import torch

from qtaml.faults import FaultModel
from qtaml.formats import Format, Largest, Section, TensorFormat

Encode = Callable[[TensorFormat, torch.Tensor, FaultModel], tuple[torch.Tensor, torch.Tensor]]
"""`TensorFormat.encode`, or a memo of it."""


class EncodeOnce:
    """A memo of `TensorFormat.encode`, for as long as it lives.

    Example:
        >>> from qtaml.faults import Uniform
        >>> encode, weights = EncodeOnce(), torch.tensor([1.0, -0.5])
        >>> raw = TensorFormat((Section(2, Format()),))
        >>> protected = TensorFormat((Section(2, Format().protect(2)),))
        >>> encode(raw, weights, Uniform(0.1)) is encode(protected, weights, Uniform(0.1))
        True
    """

    def __init__(self) -> None:
        # Keyed by identity: to compare weights is to read all of them. The memo holds the tensors too, or the id of one
        # that was freed could be given to another.
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
    """A canonical tensor format that writes the same words: the key of the memo."""
    # A correction aims at expected read values, which depend on the protections and on how the step is chosen.
    if storage.correction != "none":
        return replace(storage, readout_gain=1.0)
    sections = tuple(Section(section.weights, Format(section.format.levels)) for section in storage.sections)
    scale = Largest() if storage.scale.kind == "largest" else storage.scale
    return replace(storage, sections=sections, scale=scale, readout_gain=1.0)
