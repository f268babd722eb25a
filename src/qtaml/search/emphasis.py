"""Search over the emphasis on each tensor: factors on their errors, by which cells are allocated."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from qtaml._progress import track
from qtaml._random import child_seed

_WIDEST, _FINEST = 4.0, 1.2
"""Factors on the emphasis of a tensor that are tried: the widest, then its square roots, to the finest."""
_WORTH = 1e-3
"""Least share by which a change has to lower the error."""
_POOL, _CHILDREN = 6, 12
"""Outcomes that a generation is drawn from, and drawn in each."""
_FIRST_SPREAD, _LAST_SPREAD, _SHARE_CHANGED = 1.0, 0.2, 0.5
"""Standard deviation of the logarithms of the factors of the first and of the last generation, and share of the tensors
whose emphasis a child changes, two of them at least."""
_BEAM, _EXCHANGES, _TUNED = 3, 12, 3
"""Best outcomes that exchanges are made from, exchanges of each, and the best of these, which are tuned. From the best
one alone, or without tuning, SmallCNN in 0.30 cells stays at 17.3 where two exchanges together lead to 15.9."""
_SPREAD = 1.5
"""Standard deviation of the logarithm of a drawn emphasis. SmallCNN at p = 0.1 in 0.19 cells: 358 by changes of single
factors from equal ones, 128 as the best of 400 draws, 128 by changes from there."""

Emphasis = Mapping[str, float]


def evened(strengths: Mapping[str, float], share: float) -> Emphasis:
    """Emphasis that evens out how strongly the same relative error of each tensor acts.

    Behind saturating outputs and normalisations first order at the trained weights says little of large errors: a
    tensor that it calls weak cannot be lost either.

    Args:
        strengths: what relative errors of 1 in each tensor do to the output, to first order.
        share: of the logarithm of the differences that is taken away; with 1, relative errors of all tensors count
            alike.

    Example:
        >>> evened({"weak": 1.0, "strong": 4.0}, 1.0)
        {'weak': 2.0, 'strong': 0.5}
    """
    middle = float(np.exp(np.mean([np.log(one) for one in strengths.values() if one > 0] or [0.0])))
    return {name: (middle / one) ** share if one > 0 else 1.0 for name, one in strengths.items()}


class Outcome(Protocol):
    """What an emphasis leads to."""

    @property
    def error(self) -> float:
        """What is to be least."""

    @property
    def emphasis(self) -> Emphasis:
        """The emphasis."""


Found = TypeVar("Found", bound=Outcome)


def drawn(names: Sequence[str], count: int, seed: int) -> Iterator[Emphasis]:
    """Equal emphasis, and then so many that are drawn."""
    yield dict.fromkeys(names, 1.0)
    random = np.random.default_rng(child_seed(seed, "emphasis"))
    for _ in range(count):
        yield dict(zip(names, np.exp(_SPREAD * random.standard_normal(len(names))).tolist(), strict=True))


def improved(
    starts: Sequence[Found], names: Sequence[str], attempt: Callable[[Emphasis, Found], Found], *, trials: int
) -> Found:
    """The best of what changes of single factors lead to, from each start until none is for the better.

    Args:
        starts: outcomes to begin with, one after the other while trials are left.
        names: of the tensors, those first whose changes are tried first.
        attempt: the outcome of an emphasis, and of the outcome that it is near to.
        trials: most attempts.
    """
    best = min(starts, key=lambda one: one.error)
    with closing(track(range(trials), "searching")) as left:

        def changes(of: Found, factor: float) -> Iterator[Found]:
            each = ((name, change) for name in names for change in (factor, 1 / factor))
            for (name, change), _ in zip(each, left, strict=False):
                yield attempt({**of.emphasis, name: of.emphasis[name] * change}, of)

        for start in starts:
            now, factor = start, _WIDEST
            while factor > _FINEST:
                least = now.error * (1 - _WORTH)
                better = next((one for one in changes(now, factor) if one.error < least), None)
                now, factor = (now, factor**0.5) if better is None else (better, factor)
            best = min(best, now, key=lambda one: one.error)
    return best


def evolved(
    starts: Sequence[Found],
    names: Sequence[str],
    attempt: Callable[[Emphasis, Found], Found],
    tuned: Callable[[Found, Found | None], Found],
    *,
    trials: int,
    seed: int,
) -> list[Found]:
    """Outcomes of emphasis drawn around the best ones so far, ever more closely; the best first.

    Args:
        starts: outcomes to begin with.
        names: of the tensors.
        attempt: the outcome of an emphasis, and of the outcome that it is near to.
        tuned: an outcome with what is tuned besides the emphasis, which takes long; or, if another one is given, with
            what was tuned for that where it is for the better.
        trials: attempts.
        seed: of the draws.
    """
    random = np.random.default_rng(child_seed(seed, "generations"))
    first, *others = _best(starts)
    first = tuned(first, None)
    pool = _best([first, *(tuned(one, first) for one in others)])
    generations = max(trials // _CHILDREN, 1)
    spreads = np.geomspace(_FIRST_SPREAD, _LAST_SPREAD, generations)
    share = max(_SHARE_CHANGED, min(2 / len(names), 1.0))
    for spread in track(spreads.tolist(), "searching"):
        children = []
        for _ in range(min(_CHILDREN, trials)):
            parent = pool[int(random.integers(len(pool)))]
            logarithms = spread * random.standard_normal(len(names)) * (random.random(len(names)) < share)
            factors = dict(zip(names, np.exp(logarithms).tolist(), strict=True))
            children.append(attempt({name: parent.emphasis[name] * factors[name] for name in names}, parent))
        best, *others = _best([*pool, *children])
        pool = _best([best if best is pool[0] else tuned(best, None), *others])
    return pool


def exchanged(
    starts: Sequence[Found],
    near: Callable[[Found], Iterable[Found]],
    tuned: Callable[[Found], Found],
    *,
    most: int,
) -> list[Found]:
    """Outcomes of single exchanges, from the best ones so far, until the best lead to no better ones; the best first.

    Args:
        starts: outcomes to begin with.
        near: outcomes of an exchange, the most promising first.
        tuned: an outcome with what is tuned besides, which takes long.
        most: outcomes that are gone on from.
    """
    pool, done = _best(starts), set[float]()
    for _ in range(most):
        now = next((one for one in pool[:_BEAM] if one.error not in done), None)
        if now is None:
            break
        done.add(now.error)
        promising = sorted(islice(near(now), _EXCHANGES), key=lambda one: one.error)[:_TUNED]
        pool = _best([*pool, *map(tuned, promising)])
    return pool


def _best(outcomes: Sequence[Found]) -> list[Found]:
    """The best that differ, the best first: many an emphasis leads to one allocation."""
    different = {one.error: one for one in outcomes}
    return [different[error] for error in sorted(different)[:_POOL]]
