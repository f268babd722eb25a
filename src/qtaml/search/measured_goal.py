"""A wanted accuracy: whether a plan seems to reach it, and whether it is confirmed to."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from torch import nn

from qtaml._random import child_seed
from qtaml.measuring import Metric, Result, chips_needed, evaluate, values_of_chips
from qtaml.measuring.reads_of_chips import values_of_rewritten_chips
from qtaml.memory import Memory, store
from qtaml.planning import Confirmation, Design, Plan
from qtaml.search.share_test import share_is_reached
from qtaml.sensitivity import Calibration

# Of the statement about the plan that is returned, whatever was tried before.
_ERROR = 0.05
# In the search a wrong answer costs cells, or an attempt to confirm.
_ERROR_OF_SEARCH = 0.1
# Chips of a test, in units of the least number that can decide it. With 16, a plan of which 98% of the chips are good
# is confirmed for 95% by its first attempt in 99 of 100 cases (exact), one of 97% in 64.
_PATIENCE, _PATIENCE_OF_SEARCH = 16, 6


@dataclass(frozen=True)
class Goal:
    """The accuracy that a design is asked for, on average over reads or by a share of the chips.

    Attributes:
        model: the network.
        metric: its metric, larger is better.
        settings: what is asked.
        calibration: what was measured of the network.
    """

    model: nn.Module
    metric: Metric
    settings: Design
    calibration: Calibration

    def __str__(self) -> str:
        """What is wanted, in words."""
        accuracy, chips = self.settings.accuracy, self.settings.chips
        return f"a metric of {accuracy}" + (f" on {chips:.6g} of the chips" if chips is not None else "")

    def seems_reached(self, plan: Plan) -> bool:
        """Whether a plan reaches the goal, with the same errors for every plan."""
        seed, chips = self.settings.seed, self.settings.chips
        if chips is None:
            return self._reads_low(plan, seed, 1 - _ERROR) >= self._wanted
        return self._on_chips(plan, chips, seed, _ERROR_OF_SEARCH, _PATIENCE_OF_SEARCH)[0]

    def confirmed(self, plan: Plan, attempt: int) -> Confirmation | None:
        """What confirms that a plan reaches the goal, on errors of this attempt alone; None if nothing does.

        Attempt k may be wrong with a probability of 0.05 / 2**k, all of them together with 0.05.

        Args:
            plan: found by other errors.
            attempt: its number, from 1 up.
        """
        seed, error = child_seed(self.settings.seed, "confirm", attempt), _ERROR / 2**attempt
        if (chips := self.settings.chips) is None:
            low = self._reads_low(plan, seed, 1 - error)
            return Confirmation(1 - _ERROR, self._trials, low=low) if low >= self._wanted else None
        reached, good, of = self._on_chips(plan, chips, seed, error, _PATIENCE)
        return Confirmation(1 - _ERROR, self._trials, good=good, chips=of) if reached else None

    @property
    def _wanted(self) -> float:
        return self.settings.accuracy or 0.0

    @property
    def _trials(self) -> int:
        return self.settings.trials or 0

    def _reads_low(self, plan: Plan, seed: int, confidence: float) -> float:
        """The lower end of the interval over reads; of equal reads their value."""
        asked: dict[str, Any] = {"trials": self._trials, "seed": seed, "confidence": confidence}
        rewrite = self.model if plan.by_chip else None
        result: Result = evaluate(self._stored(plan), self.metric, rewrite=rewrite, **asked)
        # The interval of equal values is as wide as what the metric could be, which the best of plans would not reach.
        return result.mean if len(set(result.values)) == 1 else result.reads_low

    def _stored(self, plan: Plan) -> Memory:
        return store(self.model, plan, calibration=self.calibration)

    def _on_chips(self, plan: Plan, share: float, seed: int, error: float, patience: int) -> tuple[bool, int, int]:
        """Whether a share of the chips is known to reach the accuracy, how many did, and of how many."""
        most = patience * chips_needed(share, 1 - error)
        outcomes: list[bool] = []
        asked: dict[str, Any] = {"trials": self._trials, "fault": plan.fault, "seed": seed}
        if plan.by_chip:
            values = values_of_rewritten_chips(
                self.model, plan, self.metric, range(most), calibration=self.calibration, **asked
            )
        else:
            values = values_of_chips(self._stored(plan), self.metric, range(most), **asked)
        with closing(values):
            reached = share_is_reached(_kept((value >= self._wanted for value in values), outcomes), share, error=error)
        # What is not known by the last chip counts as a failure.
        return reached is True, sum(outcomes), len(outcomes)


def _kept(outcomes: Iterable[bool], seen: list[bool]) -> Iterator[bool]:
    """The outcomes, as many of them as are asked for, each of which is added to those seen."""
    for outcome in outcomes:
        seen.append(outcome)
        yield outcome
