"""A unit of a stored tensor: the smallest run of bytes whose weights depend on no others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qtaml.checkpoints.fields import Bytes, Field, Floats, Integers, Product, Value


@dataclass(frozen=True, eq=False)
class UnitFormat:
    """How units of bytes become weights.

    Attributes:
        name: as its own library calls it, such as "Q4_K".
        weights: weights of a unit.
        fields: its fields; every bit of the unit belongs to one, or stays as it is.
        value: how a weight is made of the fields.
        dequantise: what the format's own library makes of units: the bytes of each part, shape (units, bytes), or (1,
            bytes) for what all units share, to float32 of shape (units, weights).
    """

    name: str
    weights: int
    fields: tuple[Field, ...]
    value: Value
    dequantise: Callable[[Sequence[Bytes]], NDArray[np.float32]]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Its fields by their names."""
        return {field.name: field for field in self.fields}

    def words(self, parts: Sequence[Bytes]) -> dict[str, Integers]:
        """Words of each field in some units, shape (units, words)."""
        return {field.name: field.words(parts[field.part]) for field in self.fields}


def combined(value: Value, leaves: dict[str, Floats]) -> Floats:
    """The value of each weight from those of its fields.

    Example:
        >>> from qtaml.checkpoints.fields import Sum
        >>> leaf = {"scale": np.array([2.0]), "codes": np.array([3.0]), "minimum": np.array([-1.0])}
        >>> float(combined(Sum((Product(("scale", "codes")), "minimum")), leaf)[0])
        5.0
    """
    if isinstance(value, str):
        return leaves[value]
    parts = [combined(part, leaves) for part in value.parts]
    found = parts[0]
    for part in parts[1:]:
        found = found * part if isinstance(value, Product) else found + part
    return found
