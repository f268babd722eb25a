"""`design`: the best plan of a network for a budget, or the cheapest plan for an output error or an accuracy."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, Protocol, overload

from torch import nn

from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.measuring.metrics import Metric
from qtaml.measuring.monte_carlo import evaluate
from qtaml.memory import store
from qtaml.model import Batches
from qtaml.planning import Design, Plan, calibrated, takes
from qtaml.search.designer import Designer

# In units of a plain memory. A goal that twice a plain memory does not reach counts as out of reach.
_MOST_CELLS = 2.0
# Relative distance of a budget that fails and one that does not at the end: each halving of it costs one more design.
_RESOLUTION = 0.01

P = ParamSpec("P")


class _OfDesign(Protocol[P]):
    """Typed as `OfCalibratedModel`, with a metric added."""

    @overload
    def __call__(
        self, model: nn.Module, calibration: Batches, settings: Design, /, *, metric: Metric | None = None
    ) -> Plan: ...
    @overload
    def __call__(
        self,
        model: nn.Module,
        calibration: Batches,
        metric: Metric | None = None,
        *args: P.args,
        **settings: P.kwargs,
    ) -> Plan: ...


def _takes(record: Callable[P, Design]) -> Callable[[Callable[..., Plan]], _OfDesign[P]]:
    return takes(record)  # type: ignore[return-value]


@_takes(Design)
def design(model: nn.Module, calibration: Batches, settings: Design, *, metric: Metric | None = None) -> Plan:
    """Plan of least predicted output error over all formats: fitted levels, 0 to 10 bits, protections at real prices.

    For each tensor (or row) it lists candidate formats, from no cells to every bit protected, with their errors, and
    allocates the budget of cells among them. Unlike TAC's, its cells count those of codes, tables and scales.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels: a tensor, a tuple of inputs, a dictionary of
            them, or an iterable of such batches, such as a DataLoader.
        metric: the metric that `accuracy` is in units of; larger is better. See `evaluate`.
        settings: a record `qtaml.planning.Design`; or its fields as keyword arguments:

    Returns:
        The plan; `print(plan)` shows it.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the cheapest formats cost more than `cells`, or twice a plain memory does not reach what is
            wanted.
        ModelError: as `compensate`.

    Source:
        theory.md 5 and 6.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> plan = design(model, torch.randn(64, 16), p=0.1, cells=0.75)
        >>> bool(plan.cells <= 0.75)
        True
    """
    check_metric(settings, metric)
    return reached(Designer(calibrated(model, calibration, settings), settings), model, settings, metric)


def check_metric(settings: Design, metric: Metric | None) -> None:
    """Raise `ArgumentError` unless a metric comes with an accuracy, and only then."""
    if (metric is None) != (settings.accuracy is None):
        raise ArgumentError(
            f"metric must be given with accuracy, and only then, got metric={metric!r} and "
            f"accuracy={settings.accuracy!r}"
        )


def reached(designer: Designer, model: nn.Module, settings: Design, metric: Metric | None) -> Plan:
    """`design` by a designer that was made before; arguments and errors as there."""
    if settings.cells is not None:
        return designer.plan(settings.cells)
    if metric is not None:
        plan = _least(designer, _measured(model, metric, settings), f"a metric of {settings.accuracy}")
    else:
        error = settings.error or 0.0
        plan = _least(designer, lambda plan: (plan.predicted_error or 0.0) <= error, f"an output error of {error:g}")
    return replace(plan, settings=settings)


def _measured(model: nn.Module, metric: Metric, settings: Design) -> Callable[[Plan], bool]:
    """A test of plans: the lower end of the interval of the metric over reads reaches the accuracy."""
    wanted, trials, seed = settings.accuracy or 0.0, settings.trials, settings.seed
    return lambda plan: evaluate(store(model, plan), metric, trials=trials, seed=seed).reads_low >= wanted


def _least(designer: Designer, reaches: Callable[[Plan], bool], goal: str) -> Plan:
    """The cheapest plan that reaches a goal, by bisection of the logarithm of the budget."""
    best = designer.plan(_MOST_CELLS)
    if not reaches(best):
        raise BudgetError(f"no design of at most {_MOST_CELLS:g} cells reaches {goal}", _MOST_CELLS - 1)
    low, high = _MOST_CELLS / 256, best.cells
    if high <= low:
        return best
    for _ in track(range(math.ceil(math.log2(math.log(high / low) / _RESOLUTION))), "searching the least cells"):
        middle = math.sqrt(low * high)
        # Below the cheapest formats there is no plan: for the search that is a budget that fails.
        try:
            plan = designer.plan(middle)
        except BudgetError:
            low = middle
            continue
        if reaches(plan):
            best, high = plan, middle
        else:
            low = middle
    return best
