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
    if settings.scale == "none" and getattr(settings, "step", "keep") != "keep":
        raise ArgumentError("step must be 'keep' for scale='none', which nothing recomputes, got 'recompute'")
    if settings.levels is not None:
        _checks.one_of("levels", settings.levels, WEIGHT_TABLES)
        even_or_named(settings.levels, settings.bits, settings.encoding, settings.grid)
        return NamedLevels(settings.levels, settings.nonfinite)
    if settings.nonfinite != "clamp":
        raise ArgumentError(f"nonfinite must come with levels of floats such as 'bf16', got {settings.nonfinite!r}")
    if settings.scale == "none" and settings.grid != "integer":
        raise ArgumentError("scale must be 'largest' but for grid='integer' or levels such as 'bf16', got 'none'")
    return EvenLevels(settings.bits, settings.encoding, settings.grid)


def word_scale(settings: WordSettings, weights: Mapping[str, torch.Tensor]) -> Scale:
    """What the levels are in units of.

    Args:
        settings: what is asked.
        weights: name to tensor.

    Raises:
        ArgumentError: if numbers are to be stored as they are, and one is beyond the format, or no whole number where
            only those can be stored.
    """
    if settings.scale == "largest":
        return Largest(getattr(settings, "step", "keep"))
    levels = word_levels(settings)
    unit = NAMED_TABLES[levels.name].largest if isinstance(levels, NamedLevels) else 2.0 ** (levels.bits - 1)
    low, high = (unit * float(value) for value in levels.readout()[levels.storable()[[0, -1]]])
    told = settings.levels or f"integers of {levels.bits} bits"
    for name, weight in weights.items():
        least, largest = (float(one) for one in weight.aminmax())
        if least < low or largest > high:
            found = least if least < low else largest
            raise ArgumentError(
                f"scale must be 'largest' where weights are beyond {told}, from {low:g} to {high:g}; "
                f"got scale='none', and {found:g} in {name!r}"
            )
        if settings.levels is None and not torch.equal(weight, weight.round()):
            raise ArgumentError(
                f"scale must be 'largest' where weights are no whole numbers, got 'none', and {name!r}; exclude it"
            )
    return Fixed(unit)
