"""The words that a method is asked for: their levels, and what these are in units of."""

from collections.abc import Mapping
from typing import Literal, Protocol

import torch

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats import (
    NAMED_TABLES,
    WEIGHT_TABLES,
    Encoding,
    EvenLevels,
    Fixed,
    Grid,
    Largest,
    NamedLevels,
    Nonfinite,
    Scale,
    even_or_named,
)

WordScale = Literal["largest", "none"]
"""What words are in units of: the largest weight of a tensor, row or group, or 1: a float format is stored as it is."""


class WordSettings(Protocol):
    """What the settings of a method say of its words."""

    @property
    def bits(self) -> int: ...  # noqa: D102
    @property
    def encoding(self) -> Encoding: ...  # noqa: D102
    @property
    def grid(self) -> Grid: ...  # noqa: D102
    @property
    def levels(self) -> str | None: ...  # noqa: D102
    @property
    def scale(self) -> WordScale: ...  # noqa: D102
    @property
    def nonfinite(self) -> Nonfinite: ...  # noqa: D102


def word_levels(settings: WordSettings) -> EvenLevels | NamedLevels:
    """The levels of the words that are asked for.

    Raises:
        ArgumentError: if a named table is unknown, comes with what it replaces, or its options without it.
    """
    if settings.levels is not None:
        _checks.one_of("levels", settings.levels, WEIGHT_TABLES)
        even_or_named(settings.levels, settings.bits, settings.encoding, settings.grid)
        return NamedLevels(settings.levels, settings.nonfinite)
    for name, default in (("scale", "largest"), ("nonfinite", "clamp")):
        if (given := getattr(settings, name)) != default:
            raise ArgumentError(f"{name} must come with levels of a named format such as 'bf16', got {name}={given!r}")
    return EvenLevels(settings.bits, settings.encoding, settings.grid)


def word_scale(settings: WordSettings, weights: Mapping[str, torch.Tensor]) -> Scale:
    """What the levels are in units of.

    Args:
        settings: what is asked.
        weights: name to tensor.

    Raises:
        ArgumentError: if numbers are to be stored as they are, and one is beyond the format.
    """
    if settings.scale == "largest" or settings.levels is None:
        return Largest(getattr(settings, "step", "keep"))
    most = NAMED_TABLES[settings.levels].largest
    for name, weight in weights.items():
        if (found := float(weight.abs().max())) > most:
            raise ArgumentError(
                f"scale must be 'largest' where weights are beyond {settings.levels}, which ends at {most:g}; "
                f"got scale='none', and {found:g} in {name!r}"
            )
    return Fixed(most)
