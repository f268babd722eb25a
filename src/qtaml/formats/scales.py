"""The scale: what weights are divided by before they are stored, and its granularity (tensor, row or group)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats.chunks import CHUNK, Places
from qtaml.formats.encoding import kernel

Step = Literal["keep", "recompute"]
Granularity = Literal["tensor", "row"] | int

_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Largest:
    """The largest magnitude, max |w|.

    Attributes:
        step: "keep" the step of the uncorrected weights and clip what a correction moves outside, or "recompute" it so
            that the largest corrected weight is just reached.

    Raises:
        ArgumentError: if the step is neither.
    """

    step: Step = "keep"
    kind: Literal["largest"] = field(default="largest", repr=False)

    def __post_init__(self) -> None:
        _checks.one_of("step", self.step, STEPS)


@dataclass(frozen=True)
class RootMeanSquare:
    """The root mean square, sqrt(mean w**2), rounded to bfloat16, in which it is stored."""

    kind: Literal["root_mean_square"] = field(default="root_mean_square", repr=False)


@dataclass(frozen=True)
class Fixed:
    """One value for the whole tensor, whatever the weights; what lies outside the levels is clipped.

    Attributes:
        value: above 0, in units of the weights.

    Raises:
        ArgumentError: if the value is not above 0.
    """

    value: float
    kind: Literal["fixed"] = field(default="fixed", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.positive("value", self.value))


Scale = Annotated[Largest | RootMeanSquare | Fixed, Field(discriminator="kind")]
"""Any rule for the scale; a new rule is one more class here."""


def check_granularity(granularity: Granularity) -> Granularity:
    """Return "tensor", "row", or the weights of a group, a whole number of at least 2; else raise `ArgumentError`."""
    if isinstance(granularity, str):
        _checks.one_of("granularity", granularity, ("tensor", "row"))
        return granularity
    try:
        return _checks.integer("granularity", granularity, 2)
    except ArgumentError:
        raise ArgumentError(
            f"granularity must be 'tensor', 'row' or the weights of a group, at least 2, got {granularity!r}"
        ) from None


def check_fit(
    weights: int, granularity: Granularity, words: torch.Tensor, scale: torch.Tensor, /, **beside: torch.Tensor | None
) -> None:
    """Check that the words of a tensor, its scale and tensors of its shape go together.

    Raises:
        ArgumentError: naming the first that does not fit.
    """
    if words.numel() != weights or words.is_floating_point() or words.is_complex():
        raise ArgumentError(f"words must be {weights} whole numbers, got {words.dtype} of shape {tuple(words.shape)}")
    wanted = {
        "scale": (scale, scale_shape(words.shape, granularity)),
        **{name: (tensor, words.shape) for name, tensor in beside.items() if tensor is not None},
    }
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != tuple(shape) or not tensor.is_floating_point():
            raise ArgumentError(
                f"{name} must be floating of shape {tuple(shape)}, got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )


def scale_shape(shape: Sequence[int], granularity: Granularity) -> tuple[int, ...]:
    """Shape of the scales of a tensor.

    A vector (a bias kept in the same memory) is one row: it has one scale, or one for each group.

    Args:
        shape: of the tensor; its rows are its first dimension, the output channels of a linear or convolution layer.
        granularity: "tensor", "row", or the weights of a group along a row, the last of which may be smaller.

    Returns:
        (), (rows, 1, ...) or (rows, groups).

    Example:
        >>> scale_shape((4, 10), "tensor"), scale_shape((4, 10), "row"), scale_shape((4, 10), 3)
        ((), (4, 1), (4, 4))
    """
    check_granularity(granularity)
    if granularity == "tensor" or (granularity == "row" and len(shape) < 2):
        return ()
    if granularity == "row":
        return (shape[0], *(1,) * (len(shape) - 1))
    return _rows(shape), -(-row_length(shape) // granularity)


def of_each(scale: torch.Tensor, where: Places, shape: Sequence[int], granularity: Granularity) -> torch.Tensor:
    """The scale of each weight at the given places of a flattened tensor.

    Args:
        scale: of `scale_shape`.
        where: places in the flattened tensor.
        shape: shape of the tensor.
        granularity: as for `scale_shape`.

    Returns:
        Shape (), or one scale for each place.

    Example:
        >>> of_each(torch.tensor([[1.0], [2.0]]), slice(1, 4), (2, 2), "row")
        tensor([1., 2., 2.])
        >>> of_each(torch.tensor([[1.0, 2.0]]), slice(0, 3), (3,), 2)
        tensor([1., 1., 2.])
    """
    if scale.ndim == 0:
        return scale
    if isinstance(where, slice):
        where = torch.arange(where.start, where.stop, device=scale.device)
    # By index instead of by expansion: scales are spread over the places at hand, never over the whole tensor.
    length = row_length(shape)
    if isinstance(granularity, str):
        return scale.reshape(-1)[where // length]
    return scale.reshape(-1)[where // length * scale.shape[1] + where % length // granularity]


def smallest_and_largest(weights: torch.Tensor, granularity: Granularity) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest and largest weight that share a scale, float64, of `scale_shape`."""
    shape = scale_shape(weights.shape, granularity)
    low = _over(weights, granularity, lambda rows: rows.amin(1))
    high = _over(weights, granularity, lambda rows: rows.amax(1))
    return low.double().reshape(shape), high.double().reshape(shape)


def largest_magnitude(weights: torch.Tensor, granularity: Granularity) -> torch.Tensor:
    """Largest magnitude of the weights that share a scale, float64, of `scale_shape`."""
    bits = _BITS.get(weights.dtype)
    if bits is None or weights.device.type != "cpu" or kernel() is None:
        low, high = smallest_and_largest(weights, granularity)
        return torch.maximum(-low, high)
    from qtaml.formats.encoding_kernel import largest

    found = torch.empty(shape := scale_shape(weights.shape, granularity), dtype=weights.dtype, device="cpu")
    flat = weights.detach().contiguous().reshape(-1).view(bits).numpy()
    row = row_length(weights.shape) if shape else weights.numel()
    group = granularity if isinstance(granularity, int) else 0
    largest(flat, flat.dtype.type(torch.iinfo(bits).max), row, group, found.view(-1).view(bits).numpy())
    return found.double()


def mean_square(weights: torch.Tensor, granularity: Granularity) -> torch.Tensor:
    """Mean square of the weights that share a scale, float64, of `scale_shape`."""
    return _over(weights, granularity, _mean_square).reshape(scale_shape(weights.shape, granularity))


def _over(
    weights: torch.Tensor, granularity: Granularity, reduce: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Reduce over the weights that share a scale; `reduce` makes a vector of the rows of a matrix."""
    if isinstance(granularity, str):
        by_row = granularity == "row" and weights.ndim > 1
        return reduce(weights.reshape(len(weights) if by_row else 1, -1))
    rows = weights.reshape(_rows(weights.shape), -1)
    # The last, shorter group apart: filled up with zeros, its mean and its extremes would be others.
    whole = rows.shape[1] // granularity * granularity
    parts = [reduce(rows[:, :whole].reshape(-1, granularity)).reshape(len(rows), -1)] if whole else []
    rest = [reduce(rows[:, whole:]).unsqueeze(1)] if whole < rows.shape[1] else []
    return torch.cat(parts + rest, 1)


def _mean_square(rows: torch.Tensor) -> torch.Tensor:
    # In chunks, so that no float64 copy of a large tensor is made. The order of the sums follows CHUNK: another size
    # moves the last bits.
    sums = [
        torch.stack([part.double().square().sum(1) for part in torch.split(some, CHUNK, 1)]).sum(0)
        for some in torch.split(rows, max(CHUNK // rows.shape[1], 1))
    ]
    return torch.cat(sums) / rows.shape[1]


def _rows(shape: Sequence[int]) -> int:
    return shape[0] if len(shape) > 1 else 1


def row_length(shape: Sequence[int]) -> int:
    """Weights of a row of a tensor of a shape; a vector is one row.

    Example:
        >>> row_length((4, 3, 3)), row_length((7,))
        (9, 7)
    """
    return math.prod(shape[1:]) if len(shape) > 1 else math.prod(shape)
