"""How strongly each tensor acts on the output: the Jacobian gains of all tensors together."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.model import Batch
from qtaml.sensitivity.gradients import check_finite, gradient_statistics

# Numbers widened to float64 at a time: they stay in the cache.
_PIECE = 2**16
# Numbers of a large tensor whose products are added in float32, and the least sum that these tell: what a product loses
# by underflow is below 1e-38.
_NARROW, _TOLD = 2**14, 1e-20

Source = Literal["backward passes", "forward passes", "not reached"]


@dataclass(frozen=True)
class Gain:
    """How much squared output error a unit of squared weight error in one tensor makes.

    Attributes:
        squared: gamma**2 = ||J||_F**2 / n: mean squared output error for each unit of the summed squared weight error,
            when the errors are independent and of mean zero. Averaged over the calibration samples.
        standard_error: standard error of `squared` over the random passes.
        source: how it was found: "backward passes"; "forward passes" where those are not the derivative of the forward
            pass; "not reached" if no calibration sample reaches the tensor, whose gain is then taken from the others.
        unreached_rows: rows (first dimension) that no calibration sample reaches, such as those of tokens that it does
            not hold. Counted by `checked_gains` from backward passes.
    """

    squared: float
    standard_error: float
    source: Source = "backward passes"
    unreached_rows: int = 0

    def __str__(self) -> str:
        """Gain and standard error."""
        return f"{self.squared:.3g} ± {self.standard_error:.1g}"


def jacobian_gains(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    *,
    passes: int = 32,
    seed: int = 0,
    relative_error: float | None = None,
    samples_at_once: int | None = None,
) -> dict[str, Gain]:
    """Gains of all tensors from a few backward passes, whatever the number of tensors.

    Each pass goes back from the outputs with independent random signs. The gradient of a tensor is then a random
    combination of all rows of its Jacobian over samples and outputs, and because E[v v^T] is the identity, its squared
    norm over the number of samples has the mean ||J||_F**2: unbiased, for every tensor at once.

    Args:
        model: any module; BatchNorm and dropout are in evaluation mode; it is not changed.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them; tied weights act through all their uses.
        passes: number of backward passes N, at least 2; with `relative_error`, the largest number.
        seed: seed of the signs.
        relative_error: stop as soon as the standard error of every gain is at most this share of it, looking every 8
            passes. Where `passes` do not suffice, the standard errors say so.
        samples_at_once: samples that go through the network together; all if not given. Fewer take less memory, and
            fewer passes, as the squares of parts of the batch add up without the products between them.

    Returns:
        The gain of each tensor. A tensor that does not act on the output has gain 0.

    Raises:
        ArgumentError: if `passes` is below 2, `relative_error` not above 0 or `samples_at_once` below 1.
        ModelError: if the model fails on the batch, its output does not depend differentiably on any of the weights, or
            a gain is not finite.

    Source:
        theory.md 1.7; paper, lemma 4.3 and algorithm 1, step 1.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = jacobian_gains(model, torch.eye(3), {"weight": model.weight})
        >>> round(gains["weight"].squared, 2)  # the output moves by x dW: every x is a unit vector
        0.33
    """
    squares = gradient_statistics(
        model,
        batch,
        weights,
        lambda _, gradient: squared_norm(gradient),
        passes=passes,
        seed=seed,
        samples_at_once=samples_at_once,
        enough=_within(relative_error),
    )
    return {name: mean_gain(name, value / weights[name].numel()) for name, value in squares.items()}


def averaged_gains(
    model: nn.Module,
    batch: Batch,
    reads: Iterable[Mapping[str, torch.Tensor]],
    *,
    passes: int = 4,
    seed: int = 0,
) -> dict[str, Gain]:
    """Gains averaged over reads of a memory: those of large errors, where first order at the trained weights has ended.

    With independent errors of variances v_i, and g_i = df/dw_i at the weights read, Var f <= sum_i v_i E[g_i**2]
    (Poincare, for Gaussian errors): the expectation stands where the gain at the trained weights stands to first order.

    Args:
        model: as for `jacobian_gains`.
        batch: as for `jacobian_gains`.
        reads: for each read, name to tensor as read, in the dtype of the model.
        passes: backward passes at each read, at least 2.
        seed: as for `jacobian_gains`.

    Returns:
        The mean gain of each tensor, and the standard error over the reads.

    Raises:
        ArgumentError: as `jacobian_gains`, or if there are fewer than 2 reads.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.10.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> reads = [{"weight": model.weight + noise} for noise in (0.1, -0.1)]
        >>> round(averaged_gains(model, torch.eye(3), reads)["weight"].squared, 2)  # the same everywhere
        0.33
    """
    found = [
        jacobian_gains(model, batch, read, passes=passes, seed=child_seed(seed, "read", number))
        for number, read in enumerate(reads)
    ]
    if len(found) < 2:
        raise ArgumentError(f"reads must be at least 2, got {len(found)}")
    return {
        name: mean_gain(name, torch.tensor([one[name].squared for one in found], dtype=torch.float64, device="cpu"))
        for name in found[0]
    }


def row_gains(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    *,
    passes: int = 32,
    seed: int = 0,
    relative_error: float | None = None,
    samples_at_once: int | None = None,
) -> dict[str, torch.Tensor]:
    """Gains of each row (first dimension) of all tensors, from the same passes and at the price of `jacobian_gains`.

    Args:
        model: as for `jacobian_gains`.
        batch: as for `jacobian_gains`.
        weights: as for `jacobian_gains`.
        passes: as for `jacobian_gains`.
        seed: as for `jacobian_gains`.
        relative_error: as for `jacobian_gains`, of whole tensors.
        samples_at_once: as for `jacobian_gains`.

    Returns:
        `Gain.squared` of the rows of each tensor, float64, shape (rows,). Their mean is that of the tensor.

    Raises:
        ArgumentError: as `jacobian_gains`.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.7.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = row_gains(model, torch.eye(3), {"weight": model.weight})
        >>> gains["weight"].round(decimals=2).tolist()
        [0.33, 0.33]
    """
    squares = gradient_statistics(
        model,
        batch,
        weights,
        lambda _, gradient: _row_means(gradient),
        passes=passes,
        seed=seed,
        samples_at_once=samples_at_once,
        enough=_within(relative_error),
    )
    return {name: value.mean(0).expand(rows_of(weights[name])).clone() for name, value in squares.items()}


def weight_gains(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    *,
    passes: int = 32,
    seed: int = 0,
    relative_error: float | None = None,
    samples_at_once: int | None = None,
) -> dict[str, torch.Tensor]:
    """Gains of each single weight, from the same passes; takes the memory of one float32 number for each weight.

    Args:
        model: as for `jacobian_gains`.
        batch: as for `jacobian_gains`.
        weights: as for `jacobian_gains`.
        passes: as for `jacobian_gains`.
        seed: as for `jacobian_gains`.
        relative_error: as for `jacobian_gains`, of whole tensors. That of one weight in one pass is up to sqrt(2).
        samples_at_once: as for `jacobian_gains`.

    Returns:
        For each tensor, the mean squared output error for a unit of squared error in each weight, float32, of its shape
        and on its device. Their mean is `Gain.squared`.

    Raises:
        ArgumentError: as `jacobian_gains`.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.7.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # one input for each column of weights
        >>> weight_gains(model, inputs, {"weight": model.weight})["weight"].tolist()
        [[0.5, 2.0], [0.5, 2.0]]
    """
    with torch.inference_mode(False):
        sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}

    def add(name: str, gradient: torch.Tensor) -> torch.Tensor:
        sums[name].addcmul_(gradient, gradient)
        return squared_norm(gradient)

    squares = gradient_statistics(
        model,
        batch,
        weights,
        add,
        passes=passes,
        seed=seed,
        samples_at_once=samples_at_once,
        enough=_within(relative_error),
    )
    for name, values in squares.items():
        # The statistics are over the number of samples and one for each pass; the sums are over neither.
        if mean := float(values.mean()):
            sums[name].mul_(mean / float(sums[name].sum(dtype=torch.float64)))
    return sums


def with_floor(gains: torch.Tensor, unreached_floor: float) -> torch.Tensor:
    """Gains of rows, those that no calibration sample reaches at the median of the others times a floor.

    Example:
        >>> with_floor(torch.tensor([1.0, 0.0, 3.0]), 0.5).tolist()
        [1.0, 0.5, 3.0]
    """
    reached = gains != 0
    return gains.where(reached, unreached_floor * gains[reached].median()) if reached.any() else gains


def rows_of(weight: torch.Tensor) -> int:
    """Rows of a tensor (its first dimension); one if it has no other dimension.

    Example:
        >>> rows_of(torch.ones(4, 3, 2)), rows_of(torch.ones(4))
        (4, 1)
    """
    return weight.shape[0] if weight.ndim > 1 else 1


def squared_norm(gradient: torch.Tensor) -> torch.Tensor:
    """Sum of squares, float64: single precision loses digits in large tensors, and half precision overflows."""
    return inner_product(gradient, gradient)


def inner_product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Sum of the products of the elements of two tensors of one shape, float64, without wide copies of them.

    Of large float32 tensors, products are added in float32 by the thousand, at a tenth of the time.

    Example:
        >>> inner_product(torch.ones(2, 3), torch.full((2, 3), 2.0))
        tensor(12., dtype=torch.float64)
    """
    if one.numel() > _PIECE and one.dtype == torch.float32 and other.dtype in (torch.float32, torch.bfloat16):
        pairs = _pieces(one, other, _NARROW)
        sums = torch.stack([torch.dot(left, right.float()) for left, right in pairs]).double().sum()
        if _TOLD < float(sums.abs()) < float("inf"):
            return sums
    return torch.stack([torch.dot(left.double(), right.double()) for left, right in _pieces(one, other, _PIECE)]).sum()


def _pieces(one: torch.Tensor, other: torch.Tensor, size: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    return zip(*(torch.split(tensor.reshape(-1), size) for tensor in (one, other)), strict=True)


def _row_means(gradient: torch.Tensor) -> torch.Tensor:
    """Mean square of each row, float64."""
    matrix = gradient.reshape(rows_of(gradient), -1)
    pieces = torch.split(matrix, max(1, _PIECE // matrix.shape[1]))
    return torch.cat([piece.double().square().mean(1) for piece in pieces])


def _within(relative_error: float | None) -> Callable[[Mapping[str, torch.Tensor]], bool] | None:
    """Whether the standard error of the sum of each statistic is at most a share of it."""
    if relative_error is None:
        return None
    share = _checks.positive("relative_error", relative_error)

    def within(found: Mapping[str, torch.Tensor]) -> bool:
        totals = torch.stack([values.flatten(1).sum(1) if values.ndim > 1 else values for values in found.values()])
        return known_within(totals, share)

    return within


def known_within(values: torch.Tensor, share: float) -> bool:
    """Whether the standard error of the mean over passes is at most a share of it, for each row of (rows, passes)."""
    return bool((values.std(1) / values.shape[1] ** 0.5 <= share * values.mean(1)).all())


def mean_gain(name: str, values: torch.Tensor) -> Gain:
    """Gain of a tensor from independent estimates of `squared`, shape (estimates,).

    Raises:
        ModelError: if an estimate is NaN or infinite.
    """
    check_finite(name, values)
    return Gain(float(values.mean()), float(values.std() / len(values) ** 0.5))
