"""Plans of a network over memories and budgets, made and measured by processes, and kept in a folder."""

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from qtaml import _files
from qtaml._progress import track
from qtaml._threads import one_thread
from qtaml.cost import Contents
from qtaml.errors import ArgumentError, BudgetError, StoredFileError
from qtaml.exploration.rungs import Rung
from qtaml.laboratory.tasks import origin
from qtaml.laboratory.workers import LostError, workers
from qtaml.measuring import evaluate
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.memory import store
from qtaml.model import Batches, Output, digest, evaluation_mode, named_tensors, other_numbers, whole_copy
from qtaml.planning import Decoding, Plan
from qtaml.planning.hardened_cells import Hardening
from qtaml.search import Study
from qtaml.theory.rate_distortion import least_bits

# Root mean squares of what is added to the weights, over theirs, where a metric is asked what it is.
_SHARES = (0.1, 0.3, 1.0, 1.0)

Reload = Callable[[], tuple[nn.Module, Batches, Metric]]
"""Makes the model, its calibration inputs and the metric anew in another process."""


@dataclass(frozen=True)
class StoredPlan:
    """A plan, and what its reads gave.

    Attributes:
        p: flip probability of a plain cell, for which it was made, and at which it was read.
        hardening: what a bit may have of its own.
        decoders: what was allowed to be needed to read.
        budget: share of a plain memory, or of its refreshes, that was allowed.
        plan: the plan.
        accuracy: the metric, mean over reads.
        low: lower end of its interval over reads.
        high: upper end.
        least_cells: share of a plain memory that no code or format can be below at the same predicted output error,
            for weights of a Gaussian's information; None where nothing is predicted, or cells are not all alike.
    """

    p: float
    hardening: tuple[Hardening, ...]
    decoders: tuple[str, ...]
    budget: float
    plan: Plan
    accuracy: float
    low: float
    high: float
    least_cells: float | None

    @cached_property
    def contents(self) -> Contents:
        """What the plan puts into the memory: counted once for thousands of device points."""
        return self.plan.contents

    @property
    def name(self) -> str:
        """What tells it from other plans for the network."""
        return plan_name(self.p, self.hardening, self.decoders, self.budget)


def plan_name(p: float, hardening: Sequence[str], decoders: Sequence[str], budget: float) -> str:
    """Name of a plan.

    Example:
        >>> plan_name(0.07, (), ("none", "table"), 0.5), plan_name(0.07, ("refresh",), ("none",), 0.5)
        ('0.07_none+table_0.5', '0.07_refresh_none_0.5')
    """
    return "_".join([f"{p:.9g}", *(["+".join(hardening)] if hardening else []), "+".join(decoders), f"{budget:.9g}"])


@dataclass(frozen=True, eq=False)
class PlanMaker:
    """Makes and measures plans of a network.

    Args:
        model: the network.
        calibration: a batch of inputs.
        metric: what is measured; larger is better.
        trials: reads of each plan.
        thorough: search beyond first order too, as `qtaml.design` does by default.
        seed: of calibration and plans.
        output: the output that counts.
    """

    model: nn.Module
    calibration: Batches
    metric: Metric
    trials: int
    thorough: bool
    seed: int
    output: Output | None

    @cached_property
    def study(self) -> Study:
        """The calibration, once for all plans."""
        return Study(self.model, self.calibration, seed=self.seed, output=self.output)

    def make(self, rung: Rung, decoders: tuple[Decoding, ...], budget: float) -> StoredPlan | None:
        """A plan and its reads; None for a budget below the cheapest formats."""
        asked: dict[str, Any] = {"decoders": decoders, "beyond_first_order": self.thorough}
        try:
            plan = self.study.design(p=rung.p, cells=budget, hardened=rung.hardened, price=rung.price, **asked)
        except BudgetError:
            return None
        result = evaluate(store(self.model, plan), self.metric, trials=self.trials)
        least = None if rung.hardened else self._least_cells(plan)
        found = (result.mean, result.reads_low, result.reads_high, least)
        return StoredPlan(rung.p, rung.hardening, decoders, budget, plan, *found)

    def _least_cells(self, plan: Plan) -> float | None:
        """Reverse water filling at the plan's predicted error, over the capacity of a cell."""
        if not plan.first_order_error:
            return None
        weights, gains = self.study.calibration.weights, self.study.calibration.gains
        importances = [gains[name].squared * float(weight.double().square().sum()) for name, weight in weights.items()]
        sizes = [weight.numel() for weight in weights.values()]
        bits = least_bits(importances, sizes, plan.first_order_error)
        return bits / plan.cell_capacity / (plan.bits * plan.weights)

    @cached_property
    def question(self) -> str:
        """Hash of all that plans and their accuracy depend on besides the memory and the budget."""
        measured = self.study.calibration
        asked = (measured.weights, measured.batch, self._told(), str(self.study), self.trials, self.thorough)
        return digest((*asked, origin()))

    def _told(self) -> list[torch.Tensor]:
        """What tells the metric from others, which may be any function: its values for a few networks.

        The clean one alone would not do: all its labels may be its own, and every test set of as many samples the same.
        """
        told = []
        with evaluation_mode(whole_copy(self.model)) as network, torch.no_grad():
            tensors = {name: named_tensors(network)[name] for name in self.study.calibration.weights}
            clean = {name: tensor.clone() for name, tensor in tensors.items()}
            for number, share in enumerate((0.0, *_SHARES)):
                for name, tensor in tensors.items():
                    tensor.copy_(other_numbers(name, clean[name], share, number))
                value = self.metric.scores(network) if isinstance(self.metric, SampleMetric) else self.metric(network)
                told.append(torch.as_tensor(value))
        return told


@dataclass(frozen=True)
class PlanFolder:
    """A folder that keeps plans, so that the same question goes on where it stopped.

    Args:
        path: of the folder; None to keep none.
        question: hash of what is asked of which network.
    """

    path: Path | None
    question: str

    def read(self, rung: Rung, decoders: tuple[str, ...], budget: float) -> "_Kept | None":
        """What is kept of a plan; None if nothing is."""
        path = self._file(rung, decoders, budget)
        if path is None or not path.exists():
            return None
        return _files.from_json(_Kept, _files.read_bytes(path), str(path))

    def write(self, rung: Rung, decoders: tuple[str, ...], budget: float, plan: StoredPlan | None) -> None:
        """Keep a plan, or that there is none."""
        if (path := self._file(rung, decoders, budget)) is not None:
            _files.write_text(path, _files.to_json(_Kept(plan)))

    def _file(self, rung: Rung, decoders: tuple[str, ...], budget: float) -> Path | None:
        if self.path is None:
            return None
        _files.check_folder(self.path)
        folder = self.path / "plans"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoredFileError(f"cannot write {folder}: {error.strerror}") from error
        asked = digest((self.question, repr(rung.hardened)))[:16]
        return folder / f"{asked}_{plan_name(rung.p, rung.hardening, decoders, budget)}.json"


@dataclass(frozen=True)
class _Kept:
    """What a file holds: a plan, or None where the budget is below the cheapest formats."""

    plan: StoredPlan | None


def make_plans(
    maker: PlanMaker,
    rungs: Sequence[Rung],
    decoders: Sequence[Sequence[Decoding]],
    budgets: Sequence[float],
    *,
    folder: Path | None = None,
    count: int | None = 1,
    ray: str | None = None,
    reload: Reload | None = None,
) -> list[StoredPlan]:
    """A plan for each combination, but for budgets below the cheapest formats; what a folder has is not made again.

    Args:
        maker: makes a plan.
        rungs: memories.
        decoders: sets of what may be needed to read.
        budgets: shares of a plain memory, or of its refreshes.
        folder: where plans are kept.
        count: processes; as many as processors if None.
        ray: address of a Ray cluster, or "local".
        reload: for a network that cannot be pickled for other processes.

    Raises:
        ArgumentError: if a list is empty, nothing fits into a budget, or the network cannot be sent to a process.
        StoredFileError: if a kept plan cannot be read, or one cannot be written.
        QtamlError: if a process dies again and again.
    """
    if not decoders or not budgets:
        empty = "budgets" if decoders else "decoders"
        raise ArgumentError(f"{empty} must hold at least one, got {() if decoders else decoders!r}")
    with one_thread():
        kept = PlanFolder(folder, maker.question if folder is not None else "")
        asked = [(rung, tuple(kinds), budget) for rung in rungs for kinds in decoders for budget in budgets]
        found = {key: entry.plan for key in asked if (entry := kept.read(*key)) is not None}
        missing = [key for key in asked if key not in found]
        for key, plan in _made(maker, missing, count, ray, reload):
            kept.write(*key, plan)
            found[key] = plan
    if not any(found.values()):
        raise ArgumentError(f"budgets must hold one in which something can be stored, got {list(budgets)}")
    return [plan for key in asked if (plan := found[key]) is not None]


_Key = tuple[Rung, tuple[Decoding, ...], float]


def _made(
    maker: PlanMaker, missing: Sequence[_Key], count: int | None, ray: str | None, reload: Reload | None
) -> Iterator[tuple[_Key, StoredPlan | None]]:
    """Make plans. Those of one memory share fitted levels, and are one job."""
    shared = list(dict.fromkeys((rung, decoders) for rung, decoders, _ in missing))
    jobs = [(pair, tuple(budget for *other, budget in missing if tuple(other) == pair)) for pair in shared]
    with workers(count, ray, len(jobs)) as call:
        alone = ray is None and min(os.cpu_count() or 1 if count is None else count, len(jobs)) <= 1
        sent = maker if alone else _packed(maker, reload)
        sent_jobs = [(sent, *pair, budgets) for pair, budgets in jobs]
        for (_, rung, decoders, budgets), plans in track(sent_jobs, "planning and reading", call(_job, sent_jobs)):
            if isinstance(plans, LostError):
                raise plans
            for budget, plan in zip(budgets, plans, strict=True):
                yield (rung, decoders, budget), plan


def _packed(maker: PlanMaker, reload: Reload | None) -> bytes:
    """The maker for other processes, without what it has measured."""
    plain = replace(maker, calibration=maker.study.calibration.batch)
    emptied = plain if reload is None else replace(plain, model=nn.Identity(), calibration=(), metric=float)  # type: ignore[arg-type]
    try:
        return pickle.dumps((emptied, reload))
    # Whatever a model's or a metric's own pickling raises.
    except Exception as error:
        raise ArgumentError(
            f"workers must be 1 for a model, a metric or an output that cannot be pickled, or give reload: {error}"
        ) from error


@lru_cache(maxsize=1)
def _unpacked(sent: bytes) -> PlanMaker:
    maker: PlanMaker
    reload: Reload | None
    maker, reload = pickle.loads(sent)
    if reload is None:
        return maker
    model, calibration, metric = reload()
    return replace(maker, model=model, calibration=calibration, metric=metric)


def _job(
    sent: PlanMaker | bytes, rung: Rung, decoders: tuple[Decoding, ...], budgets: Sequence[float]
) -> list[StoredPlan | None]:
    maker = _unpacked(sent) if isinstance(sent, bytes) else sent
    with one_thread():
        return [maker.make(rung, decoders, budget) for budget in budgets]
