"""The exact law of a weight that is made of several words: scales, minima and codes, each read with errors."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from qtaml.checkpoints.fields import Floats, Product, Value
from qtaml.checkpoints.word_law import Moments


def weight_moments(value: Value, fields: Mapping[str, Moments]) -> Moments:
    """What is read in the place of weights, from what is read in the place of their words.

    Words fail independently and each occurs once in a weight, so means multiply, and with second moments
    Var(XY) = Var(X) E[Y^2] + E[X]^2 Var(Y): sums of terms that are not negative.

    Args:
        value: how a weight is made of its fields.
        fields: what is read in the place of the words of each, for each weight.

    Source:
        theory.md 6.11.

    Example:
        >>> one = lambda a, b, v: Moments(np.array(a), np.array(b), np.array(v))
        >>> fields = {"scale": one(2.0, 0.0, 1.0), "codes": one(3.0, 1.0, 0.5)}
        >>> made = weight_moments(Product(("scale", "codes")), fields)
        >>> float(made.stored), float(made.drift), float(made.variance)
        (6.0, 2.0, 18.5)
    """
    if isinstance(value, str):
        return fields[value]
    parts = [weight_moments(part, fields) for part in value.parts]
    found = parts[0]
    for part in parts[1:]:
        found = _product(found, part) if isinstance(value, Product) else _sum(found, part)
    return found


class Influence(NamedTuple):
    """What the error e of one word does to the squared error of a weight, beside the errors of its other words.

    The weight is A x + B with x the value of the word. Its expected squared error is that without e, plus
    E[A^2] E[e^2] + 2 E[A R] E[e], R the error of the weight without e.

    Attributes:
        square: E[A^2].
        residual: E[A R].
    """

    square: Floats
    residual: Floats


def influence(value: Value, fields: Mapping[str, Moments], name: str) -> Influence:
    """The influence of one field on the weights.

    Args:
        value: how a weight is made of its fields.
        fields: what is read in the place of the words of each, for each weight.
        name: the field.

    Source:
        theory.md 6.11.
    """
    weight = weight_moments(value, fields).stored
    square, mean, joint = _followed(value, fields, name)
    return Influence(square, joint - mean * weight)


def _followed(value: Value, fields: Mapping[str, Moments], name: str) -> tuple[Floats, Floats, Floats]:
    """E[A^2], E[A] and E[A W] of the value W = A x + B, with the field x as stored."""
    if isinstance(value, str):
        one = np.ones_like(fields[name].stored)
        return one, one, fields[name].stored
    inside = next(part for part in value.parts if name in _names(part))
    square, mean, joint = _followed(inside, fields, name)
    for part in value.parts:
        if part is inside:
            continue
        other = weight_moments(part, fields)
        if isinstance(value, Product):
            square, mean, joint = square * other.square, mean * other.mean, joint * other.square
        else:
            joint = joint + mean * other.mean
    return square, mean, joint


def _names(value: Value) -> Sequence[str]:
    return [value] if isinstance(value, str) else [name for part in value.parts for name in _names(part)]


def _product(one: Moments, other: Moments) -> Moments:
    return Moments(
        one.stored * other.stored,
        one.stored * other.drift + one.drift * other.mean,
        one.variance * other.square + one.mean**2 * other.variance,
    )


def _sum(one: Moments, other: Moments) -> Moments:
    return Moments(one.stored + other.stored, one.drift + other.drift, one.variance + other.variance)
