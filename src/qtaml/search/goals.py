"""`design`: the best plan of a network for a budget, or the cheapest plan for an output error or an accuracy."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import ParamSpec, Protocol, overload

from torch import nn

from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.measuring.metrics import Metric
from qtaml.model import Batches
from qtaml.planning import Design, Plan, calibrated, takes
from qtaml.search.designer_choice import AnyDesigner, designer_for
from qtaml.search.measured_goal import Goal

# In units of a plain memory. A goal that twice a plain memory does not reach counts as out of reach.
_MOST_CELLS = 2.0
# Relative distance of budgets of the grid: each halving of it costs one more design.
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
        metric: the metric that `accuracy` is in units of; larger is better. See `evaluate`. The least budget is
            searched with it, to one per cent, and the plan is confirmed on reads and chips that had no part in that, or
            the budget raised until one is: `Plan.confirmation`.
        settings: a record `qtaml.planning.Design`; or its fields as keyword arguments:

    Returns:
        The plan; `print(plan)` shows it.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the cheapest formats cost more than `cells`, or twice a plain memory does not reach, or is not
            confirmed to reach, what is wanted.
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
    designer = designer_for(calibrated(model, calibration, settings), without_goal(settings))
    return reached(designer, model, settings, metric)


def without_goal(settings: Design) -> Design:
    """What a designer is asked: one serves every goal."""
    return replace(settings, cells=1.0, error=None, accuracy=None, chips=None)


def check_metric(settings: Design, metric: Metric | None) -> None:
    """Raise `ArgumentError` unless a metric comes with an accuracy, and only then."""
    if (metric is None) != (settings.accuracy is None):
        raise ArgumentError(
            f"metric must be given with accuracy, and only then, got metric={metric!r} and "
            f"accuracy={settings.accuracy!r}"
        )


def reached(designer: AnyDesigner, model: nn.Module, settings: Design, metric: Metric | None) -> Plan:
    """`design` by a designer that was made before; arguments and errors as there."""
    if settings.cells is not None:
        return replace(designer.plan(settings.cells), settings=settings)
    budgets = _Budgets(designer)
    if metric is not None:
        plan = _least_measured(budgets, Goal(model, metric, settings, designer.calibration))
    else:
        error = settings.error or 0.0
        wanted = f"an output error of {error:g}"
        plan = budgets.plan(budgets.least(lambda plan: (plan.predicted_error or 0.0) <= error, wanted))
    return replace(plan, settings=settings)


def _least_measured(budgets: "_Budgets", goal: Goal) -> Plan:
    """The cheapest plan that is confirmed to reach a goal, on reads and chips that had no part in finding it."""
    step, failed = budgets.least(goal.seems_reached, str(goal)), None
    # Of many plans that were tried the cheapest one that seemed good was lucky more often than not. Each attempt is
    # made on errors of its own and may use up a part of the probability of a wrong statement.
    for attempt in count(1):
        plan = budgets.plan(step)
        # The same plan in a larger budget has had its chance.
        if plan.tensors != failed:
            if confirmation := goal.confirmed(plan, attempt):
                return replace(plan, confirmation=confirmation)
            failed = plan.tensors
        if step == 0:
            raise _out_of_reach(f"is confirmed to reach {goal}")
        step = max(step - attempt, 0)
    raise AssertionError("unreachable")


class _Budgets:
    """Plans within budgets on a grid, the largest first, each made once.

    Args:
        designer: makes them.
    """

    def __init__(self, designer: AnyDesigner) -> None:
        self._designer = designer
        self._plans: dict[int, Plan] = {}

    def plan(self, step: int) -> Plan:
        """The plan within a budget of so many steps below the largest.

        Raises:
            BudgetError: if there is none.
        """
        if step not in self._plans:
            self._plans[step] = self._designer.plan(_MOST_CELLS * (1 - _RESOLUTION) ** step)
        return self._plans[step]

    def least(self, reaches: Callable[[Plan], bool], goal: str) -> int:
        """The step of the least budget that reaches a goal, by bisection.

        Raises:
            BudgetError: if the largest budget does not reach it.
        """
        best = self.plan(0)
        if not reaches(best):
            raise _out_of_reach(f"reaches {goal}")
        # The largest plan may leave much of its budget unspent: what lies between need not be looked at.
        good = self._step_of(best.spent)
        bad = max(self._step_of(_MOST_CELLS / 256), good) + 1
        for _ in track(range(math.ceil(math.log2(bad - good))), "searching the least cells"):
            if bad - good <= 1:
                break
            middle = (good + bad) // 2
            try:
                reached = reaches(self.plan(middle))
            except BudgetError:
                # Below the cheapest formats there is no plan: for the search that is a budget that fails.
                reached = False
            good, bad = (middle, bad) if reached else (good, middle)
        return good

    @staticmethod
    def _step_of(cells: float) -> int:
        """The last step whose budget holds so many cells."""
        return max(math.floor(math.log(cells / _MOST_CELLS) / math.log1p(-_RESOLUTION) + 1e-9), 0)


def _out_of_reach(goal: str) -> BudgetError:
    """The error of a goal that the largest budget misses."""
    return BudgetError(f"no design of at most {_MOST_CELLS:g} cells {goal}", _MOST_CELLS - 1)
