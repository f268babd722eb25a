"""Gains that are held against forward passes, since not every backward pass is the derivative of the forward pass."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from statistics import median

import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml.model import (
    Batch,
    aliases,
    check_repeats,
    check_unused,
    evaluation_mode,
    finite,
    finite_outputs,
    named_tensors,
    other_numbers,
    private_copy,
    replacing,
    unmoved,
)
from qtaml.sensitivity.deviation import CHANGED
from qtaml.sensitivity.gains import Gain, inner_product, known_within, mean_gain, rows_of, squared_norm
from qtaml.sensitivity.gradients import NoGradientError, gradient_statistics, random_signs

_SHARES = (1e-3, 1e-2, 1e-1)
"""Sizes of changes of weights, over their root mean square; one that agrees suffices. The squared difference grows with
the size: on the trained networks of the paper it is at most 0.002, 0.06 and 1.6 of the squared gradient. Small changes
are lost in bfloat16 and in quantised weights."""
_SIGNS = 8
"""Backward passes whose gradients are compared."""
_TOLERANCE = 0.05
"""Squared difference between both, over the squared gradient, up to which they agree."""
_LEAST_PROBES, _PROBES = 6, 16
"""Changes of a tensor whose gain is measured by forward passes: so many until it is known well enough, and at most."""
_RESOLVED = 8
"""Norm of a change of the outputs, in units of the last place of their norm, up to which rounding may hide it: equal
networks that sum in another order differ by about one."""
_ENOUGH = 0.05
"""Relative standard error of gains at which a large network needs no more passes: its many outputs average them. So
does a tensor that is measured by forward passes, of any network."""
_FEW = 2**22
"""Weights up to which all passes are made, whether they are needed or not."""
_TOGETHER, _ALIKE = 8, 4.0
"""Most tensors that one forward pass checks together, and by how much their squared effects may differ."""


def checked_gains(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    *,
    passes: int = 32,
    seed: int = 0,
    unreached_floor: float = 1.0,
) -> dict[str, Gain]:
    """Gains as `jacobian_gains` finds them, each held against the forward pass, and measured by it where they differ.

    For a random change d of one tensor, v . (f(W + d) - f(W)) has to be g . d for the signs v and the gradient g of
    each of the first passes. Where it is not (no_grad, rounding, hard routing, custom functions), or the backward pass
    fails, the gain is the mean of ||f(W + d) - f(W)||**2 / ||d||**2 over 16 changes, or over as few as 6 where these
    tell it within 5%. Of a tensor so weak that the rounding of the outputs hides what d does, a change as large as its
    weights has to do about what the gradient says.

    Args:
        model: as for `jacobian_gains`.
        batch: as for `jacobian_gains`.
        weights: as for `jacobian_gains`.
        passes: as for `jacobian_gains`.
        seed: as for `jacobian_gains`.
        unreached_floor: gain of a tensor that acts on no calibration sample, over the median gain of the others.

    Returns:
        The gain of each tensor, with its source.

    Raises:
        ArgumentError: if `passes` is below 2 or `unreached_floor` below 0.
        ModelError: if the model fails on the batch, is no function of its inputs, or computes with copies of its
            weights that are kept elsewhere; or a gain is not finite.

    Source:
        theory.md 1.7; paper, algorithm 1, step 1.

    Example:
        >>> class Frozen(nn.Linear):
        ...     def forward(self, x):
        ...         with torch.no_grad():
        ...             return super().forward(x)
        >>> model = Frozen(3, 2, bias=False)
        >>> gain = checked_gains(model, torch.eye(3), {"weight": model.weight.detach()})["weight"]
        >>> gain.source, round(gain.squared, 4)
        ('forward passes', 0.3333)
    """
    floor = _checks.non_negative("unreached_floor", unreached_floor)
    network = private_copy(model)
    run = partial(replacing(network), batch)
    with evaluation_mode(network), torch.no_grad():
        clean = check_repeats(network, lambda _: finite_outputs(network, batch))
    gains = _gains_that_hold(network, batch, weights, clean, passes, seed)
    left = {name: weight for name, weight in weights.items() if name not in gains}
    with evaluation_mode(network), torch.no_grad():
        unreached = unmoved(run, left, run({})) if left else []
        if unreached:
            tied = aliases(network, unreached)
            replaced = {name for name in unreached for name in (name, *tied[name])}
            known = [tensor for name, tensor in named_tensors(network).items() if name not in replaced]
            check_unused(run, unreached, weights, (batch, known))
    probed = [name for name in left if name not in unreached]
    if probed:
        exact, names = clean.double(), track(probed, "measuring gains")
        gains |= {name: _measured(network, batch, exact, name, left[name]) for name in names}
    if unreached:
        typical = floor * median(gain.squared for gain in gains.values())
        gains |= {name: Gain(typical, 0.0, "not reached") for name in unreached}
    return {name: gains[name] for name in weights}


def _gains_that_hold(
    network: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    clean: torch.Tensor,
    passes: int,
    seed: int,
) -> dict[str, Gain]:
    """The gains of backward passes that agree with a forward pass; those that are 0 are left out."""
    calls, looked = Counter[str](), False
    few = sum(weight.numel() for weight in weights.values()) <= _FEW
    reached: dict[str, torch.Tensor] = {}
    # Of large networks in 16 bits, whose rounding is a thousandth of the tolerance.
    change = cache(lambda name: _change(name, weights[name]).to(weights[name].dtype if few else torch.bfloat16))

    def statistic(name: str, gradient: torch.Tensor) -> torch.Tensor:
        calls[name] += 1
        # The batch of a large network may come in parts, each with its calls, before one looks whether passes do.
        compared = calls[name] <= _SIGNS if few else not looked
        if compared:
            moved = gradient.reshape(rows_of(gradient), -1).any(1)
            reached[name] = moved | reached.get(name, moved)
        along = inner_product(gradient, change(name)) if compared else gradient.new_zeros(())
        return torch.stack([squared_norm(gradient), along.double()])

    def known(found: Mapping[str, torch.Tensor]) -> bool:
        nonlocal looked
        looked = True
        return _known(found)

    try:
        enough = None if few else known
        found = gradient_statistics(network, batch, weights, statistic, passes=passes, seed=seed, enough=enough)
    except (NoGradientError, RuntimeError):
        return {}
    run = partial(replacing(network), batch)
    with evaluation_mode(network), torch.no_grad():
        norm = float(clean.double().norm())
        signs = torch.stack([random_signs(clean, seed, number).reshape(-1) for number in range(min(_SIGNS, passes))])
        told: dict[str, _Told] = {}
        for name, weight in weights.items():
            squares, along = found[name].reshape(len(found[name]), -1).T[:, : len(signs)].expand(2, -1)
            size = float(squared_norm(change(name))) / weight.numel() / len(clean)
            hidden = _RESOLVED * _last_place(clean, weight) * norm / len(clean)
            if squares.any():
                told[name] = _Told(along, float(_TOLERANCE * squares.mean() * size), hidden)
        change.cache_clear()

        def moved(share: float, names: Sequence[str]) -> torch.Tensor:
            changed = run({name: other_numbers(name, weights[name], share) for name in names})
            return (signs @ (finite(changed, batch) - clean).reshape(-1)).double().cpu() / len(clean)

        held = [name for names in _alike(told) for name in _that_hold(moved, names, told)]
    return {
        name: replace(
            mean_gain(name, found[name][:, 0].contiguous() / weights[name].numel()),
            unreached_rows=int((~reached[name]).sum()),
        )
        for name in held
    }


@dataclass(frozen=True)
class _Told:
    """What the gradients say that a change of a tensor does.

    Attributes:
        along: what a change of 1 moves the outputs along each of the signs.
        tolerance: squared difference up to which a forward pass agrees.
        hidden: movement that the rounding of the outputs can hide.
    """

    along: torch.Tensor
    tolerance: float
    hidden: float


def _alike(told: Mapping[str, _Told]) -> list[list[str]]:
    """Tensors that act about as strongly, a few at a time: one forward pass can tell of all of them."""
    groups: list[list[str]] = []
    for name in sorted(told, key=lambda one: told[one].tolerance):
        least = told[groups[-1][0]].tolerance if groups else 0.0
        if not groups or len(groups[-1]) == _TOGETHER or told[name].tolerance > _ALIKE * least:
            groups.append([])
        groups[-1].append(name)
    return groups


def _that_hold(
    moved: Callable[[float, Sequence[str]], torch.Tensor], names: Sequence[str], told: Mapping[str, _Told]
) -> list[str]:
    """Those of some tensors of which forward passes say what gradients do: together, or else one by one.

    Differences of independent changes add up in squares: together within the least tolerance, each is.
    """
    if len(names) > 1:
        along = torch.stack([told[name].along for name in names]).sum(0)
        difference = moved(_SHARES[0], names) / _SHARES[0] - along
        if difference.square().mean() <= min(told[name].tolerance for name in names):
            return list(names)
    return [name for name in names if _holds(partial(_of_one, moved, name), told[name])]


def _of_one(moved: Callable[[float, Sequence[str]], torch.Tensor], name: str, share: float) -> torch.Tensor:
    return moved(share, [name])


def _holds(moved: Callable[[float], torch.Tensor], told: _Told) -> bool:
    """Whether outputs move along some signs, for changes of some shares, as gradients say, or as far as rounding lets.

    Args:
        moved: what a change of a share moves along each of the signs.
        told: what the gradients say.
    """
    for share in _SHARES:
        seen = moved(share)
        if (seen / share - told.along).square().mean() <= told.tolerance:
            return True
    if max(_size(seen), share * _size(told.along)) > told.hidden:
        return False
    # No longer to first order, so that only the size can be compared.
    large, small = _size(moved(1.0)), _size(told.along)
    return abs(large - small) <= max(told.hidden, max(large, small) / 2)


def _last_place(clean: torch.Tensor, weight: torch.Tensor) -> float:
    """Resolution of outputs: that of the coarser dtype, since a network in half precision may cast up at its end."""
    return max(torch.finfo(clean.dtype).eps, torch.finfo(weight.dtype).eps)


def _size(values: torch.Tensor) -> float:
    """Root mean square. Over random signs it is the norm of what they are multiplied with."""
    return float(values.square().mean().sqrt())


def _measured(network: nn.Module, batch: Batch, clean: torch.Tensor, name: str, weight: torch.Tensor) -> Gain:
    """A gain by forward passes, with changes as large as the weights if small ones do nothing."""
    run = partial(replacing(network), batch)
    with evaluation_mode(network), torch.no_grad():
        for share in (_SHARES[-1], 1.0):
            found: list[torch.Tensor] = []
            for number in range(1, _PROBES + 1):
                changed = other_numbers(name, weight, share, number)
                moved = finite(run({name: changed}), batch, CHANGED).double() - clean
                found.append((moved.square().sum(1).mean() / squared_norm(changed - weight)).cpu())
                if number >= _LEAST_PROBES and known_within(torch.stack(found)[None], _ENOUGH):
                    break
            gain = mean_gain(name, torch.stack(found))
            if gain.squared:
                break
    return replace(gain, source="forward passes")


def _known(found: Mapping[str, torch.Tensor]) -> bool:
    """Whether all gains of a large network are known well enough for fewer passes to do."""
    squares = torch.stack([values.reshape(len(values), -1)[:, 0] for values in found.values()])
    return known_within(squares, _ENOUGH)


def _change(name: str, weight: torch.Tensor) -> torch.Tensor:
    """What `other_numbers` adds for a share of 1."""
    return other_numbers(name, weight).sub_(weight)
