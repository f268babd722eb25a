"""Plans of a network over a ladder of flip probabilities and budgets, measured once and kept in a folder."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from qtaml import _files
from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError, StoredFileError
from qtaml.measuring import evaluate
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.memory import store
from qtaml.model import digest, evaluation_mode, private_copy
from qtaml.planning import Decoding, Plan
from qtaml.search import Study
from qtaml.theory.rate_distortion import least_bits

LADDER = (1e-6, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 7e-2, 0.1, 0.15, 0.2, 0.3)
"""Flip probabilities for which plans are made: of a device point, the next above its own."""


@dataclass(frozen=True)
class StoredPlan:
    """A plan, and what its reads gave.

    Attributes:
        p: flip probability for which it was made, and at which it was read.
        decoders: what was allowed to be needed to read.
        budget: share of a plain memory that was allowed.
        plan: the plan.
        accuracy: the metric, mean over reads.
        low: lower end of its interval over reads.
        high: upper end.
        least_cells: share of a plain memory that no code or format can be below at the same predicted output error,
            for weights of a Gaussian's information; None where nothing is predicted.
    """

    p: float
    decoders: tuple[str, ...]
    budget: float
    plan: Plan
    accuracy: float
    low: float
    high: float
    least_cells: float | None

    @property
    def name(self) -> str:
        """What tells it from other plans for the network."""
        return plan_name(self.p, self.decoders, self.budget)


def plan_name(p: float, decoders: Sequence[str], budget: float) -> str:
    """Name of a plan.

    Example:
        >>> plan_name(0.07, ("none", "table"), 0.5)
        '0.07_none+table_0.5'
    """
    return f"{p:.9g}_{'+'.join(decoders)}_{budget:.9g}"


@dataclass(frozen=True)
class PlanMaker:
    """Makes and measures plans; what a folder has of them is not made again.

    Args:
        study: of the network.
        model: the network.
        metric: what is measured; larger is better.
        trials: reads of each plan.
        folder: where plans are kept; None to keep none.
        thorough: search beyond first order too, as `qtaml.design` does by default.
    """

    study: Study
    model: nn.Module
    metric: Metric
    trials: int
    folder: Path | None
    thorough: bool

    def plans(
        self, rates: Collection[float], decoders: Sequence[Sequence[Decoding]], budgets: Sequence[float]
    ) -> list[StoredPlan]:
        """A plan for each combination, but for budgets below the cheapest formats.

        Args:
            rates: flip probabilities.
            decoders: sets of what may be needed to read.
            budgets: shares of a plain memory.

        Raises:
            ArgumentError: if a list is empty, or nothing fits into a budget.
            StoredFileError: if a kept plan cannot be read.
        """
        if not decoders or not budgets:
            empty = "budgets" if decoders else "decoders"
            raise ArgumentError(f"{empty} must hold at least one, got {() if decoders else decoders!r}")
        jobs = [(p, tuple(kinds), budget) for p in sorted(rates) for kinds in decoders for budget in budgets]
        question = self._question()
        found = [self._plan(question, *job) for job in track(jobs, "planning and reading")]
        if not any(found):
            raise ArgumentError(f"budgets must hold one in which something can be stored, got {list(budgets)}")
        return [one for one in found if one is not None]

    def _plan(self, question: str, p: float, kinds: tuple[Decoding, ...], budget: float) -> StoredPlan | None:
        path = self._path(question, p, kinds, budget)
        if path is not None and path.exists():
            return _files.from_json(_Kept, _files.read_bytes(path), str(path)).plan
        made = self._made(p, kinds, budget)
        if path is not None:
            _files.write_text(path, _files.to_json(_Kept(made)))
        return made

    def _made(self, p: float, kinds: tuple[Decoding, ...], budget: float) -> StoredPlan | None:
        try:
            plan = self.study.design(p=p, cells=budget, decoders=kinds, beyond_first_order=self.thorough)
        except BudgetError:
            return None
        result = evaluate(store(self.model, plan), self.metric, trials=self.trials)
        return StoredPlan(
            p, kinds, budget, plan, result.mean, result.reads_low, result.reads_high, self._least_cells(plan)
        )

    def _least_cells(self, plan: Plan) -> float | None:
        """Reverse water filling at the plan's predicted error, over the capacity of a cell."""
        if not plan.first_order_error:
            return None
        weights, gains = self.study.calibration.weights, self.study.calibration.gains
        importances = [gains[name].squared * float(weight.double().square().sum()) for name, weight in weights.items()]
        sizes = [weight.numel() for weight in weights.values()]
        bits = least_bits(importances, sizes, plan.first_order_error)
        return bits / plan.cell_capacity / (plan.bits * plan.weights)

    def _question(self) -> str:
        """Hash of all that plans and their accuracy depend on."""
        measured = self.study.calibration
        # A metric may be any function: what it gives for the clean network tells other test data.
        with evaluation_mode(private_copy(self.model)) as clean, torch.no_grad():
            known = self.metric.scores(clean) if isinstance(self.metric, SampleMetric) else self.metric(clean)
        asked = (
            measured.weights,
            measured.batch,
            known,
            str(self.study),
            self.trials,
            self.thorough,
            _files.versions(),
        )
        return digest(asked)[:16]

    def _path(self, question: str, p: float, kinds: tuple[str, ...], budget: float) -> Path | None:
        if self.folder is None:
            return None
        _files.check_folder(self.folder)
        folder = self.folder / "plans"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoredFileError(f"cannot write {folder}: {error.strerror}") from error
        return folder / f"{question}_{plan_name(p, kinds, budget)}.json"


@dataclass(frozen=True)
class _Kept:
    """What a file holds: a plan, or None where the budget is below the cheapest formats."""

    plan: StoredPlan | None
