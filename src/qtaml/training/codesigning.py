"""`codesign`: encoding and weights optimised together, step by step with fewer cells."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from qtaml import _checks, _files
from qtaml.errors import ArgumentError, BudgetError, StoredFileError
from qtaml.measuring import Metric, Result, evaluate
from qtaml.memory import store
from qtaml.model import Batch, Batches, digest, named_tensors, one_batch, whole_copy
from qtaml.planning import Design, Plan
from qtaml.search import design
from qtaml.training.losses import Loss, loss_name, needs_labels
from qtaml.training.narrowing import narrowed
from qtaml.training.samples import Samples
from qtaml.training.tuning import tune_within
from qtaml.training.tuning_settings import Tune, Tuned

_Attempt = Literal["design", "narrower", "clipped", "longer", "again"]
_BEGINNINGS: tuple[_Attempt, ...] = ("design", "narrower")
"""What is tried first at one budget: a design for the expected weights of the best network; the best plan with fewer
rows of its largest tensors, where a design leaves out too much. SmallCNN at p = 0.1, 95% of its accuracy: designs alone
end at 0.11 cells, with fewer rows at 0.08."""
_REMEDIES: tuple[_Attempt, ...] = ("longer", "again", "longer")
"""What is tried then, if the best of these misses by little: it is tuned on; a design for it; the best tuned on."""
_LITTLE = 0.1
"""Of what is wanted: 30 more epochs took SmallCNN at p = 0.2 from 0.943 to 0.957 of its accuracy. Where more was
missing, none of five more designs, for DeepCNN and SmallCNN, brought it."""
_CLIP = 1.0
"""Largest magnitude of weights, in root mean squares, where none was asked for and what is tried first misses."""
_FINEST = 0.98
"""Share of the cells from which a step is no step any more."""
_TENSORS, _STEP = "tensors.safetensors", "step.json"


@dataclass(frozen=True)
class CodesignStep:
    """A design, and the network that was tuned for it.

    Attributes:
        plan: the design.
        untuned: the metric of the network that it was made for, as read.
        tuned: the metric of the tuned one.
        reached: whether the lower end of the interval of the latter, over reads, is as good as wanted.
        clip: largest magnitude of the weights that it was tuned with, as in `Tune`.
    """

    plan: Plan
    untuned: Result
    tuned: Result
    reached: bool
    clip: float | None = None


@dataclass(frozen=True, eq=False)
class Codesigned:
    """A network and a plan that were made for each other.

    Attributes:
        model: the tuned network with its float weights, in evaluation mode.
        plan: how it is stored: the plan of the fewest cells that reached what was wanted.
        steps: all that was tried, in order.
    """

    model: nn.Module
    plan: Plan
    steps: tuple[CodesignStep, ...]

    def __str__(self) -> str:
        """Cells and metric of each step, a line each."""
        lines = [
            f"{step.plan.cells:.4f} cells: {step.untuned.mean:.4g}, tuned {step.tuned.mean:.4g} "
            f"[{step.tuned.reads_low:.4g}, {step.tuned.reads_high:.4g}]"
            f"{'' if step.clip is None else f', clipped at {step.clip:g}'}{'' if step.reached else ', not enough'}"
            for step in self.steps
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Kept:
    """A step on disk.

    Attributes:
        asked: checksum of all that the step depends on.
        sha256: of the file of tensors.
        step: what was measured.
    """

    asked: str
    sha256: str
    step: CodesignStep


@dataclass(frozen=True, eq=False)
class _Tried:
    """A step, and its network."""

    step: CodesignStep
    network: nn.Module


def codesign(
    model: nn.Module,
    calibration: Batches,
    batches: Batches,
    settings: Design,
    tuning: Tune | None = None,
    *,
    metric: Metric,
    wanted: float,
    loss: Loss = "output_error",
    held_out: Batches | None = None,
    shrink: float = 0.85,
    trials: int = 30,
    folder: str | Path | None = None,
) -> Codesigned:
    """The fewest cells for a wanted metric: design, tune, and design again for the tuned network, with fewer cells.

    What the tuned network computes is what is read of it, so the next design is made for the network of its expected
    weights. Where that misses what is wanted, the best plan with fewer rows of its largest tensors is tuned; then the
    best of these is tuned on with its weights clipped, and so are all that follow if that is better; what misses by
    little is tuned on, and a design is made for it. Then steps become smaller, until one of 2% fails.

    Args:
        model: the trained network; it is not changed.
        calibration: inputs for `design`.
        batches: samples for `tune`.
        settings: the memory and what else `design` is asked; `cells` is where it begins.
        tuning: what `tune` is asked; with `clip`, clipping is not tried but done.
        metric: of the network as read; larger is better.
        wanted: what the lower end of its interval over reads has to reach.
        loss: as for `tune`; without labels the distance is from the outputs of `model`.
        held_out: as for `tune`.
        shrink: cells of a step over those of the step before, at first; between 0 and 1.
        trials: reads of each network that is measured.
        folder: where finished steps are kept, and the one at work: what was interrupted goes on from there. The metric
            has to be the same.

    Returns:
        The tuned network and its plan, and all steps. The metric has chosen among plans: measure the result on samples
        of its own.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or the folder is of another question.
        BudgetError: if the first budget does not reach what is wanted, or is below that of the cheapest formats.
        ModelError: as `design` and `tune`.
        StoredFileError: if the folder cannot be read or written.

    Source:
        paper, section 6 (joint optimisation).
    """
    if settings.cells is None:
        raise ArgumentError(f"settings must have cells, the budget to begin with, got {settings}")
    if settings.feedback:
        raise ArgumentError("settings must have feedback=False: errors are fed back for weights that training moves")
    if settings.known_cells:
        raise ArgumentError("settings must have weak_cells='unknown', for words that all chips share, got 'known'")
    if not 0 < _checks.real("shrink", shrink) <= _FINEST:
        raise ArgumentError(f"shrink must be above 0 and at most {_FINEST}, got {shrink!r}")
    calibration = one_batch(calibration)
    path = _Path(model, calibration, batches, settings, tuning or Tune(), metric, wanted, loss, held_out, trials)
    tried: list[_Tried] = []
    best: _Tried | None = None
    for one in path.walk(shrink, None if folder is None else Path(folder)):
        tried.append(one)
        if one.step.reached and (best is None or one.step.plan.cells < best.step.plan.cells):
            best = one
    if best is None:
        reached = max(one.step.tuned.mean for one in tried)
        raise BudgetError(
            f"cells must be more than {settings.cells:g} to begin with: tuned for them, the metric is {reached:.4g}, "
            f"where {wanted:g} is wanted",
            settings.cells - 1,
        )
    return Codesigned(best.network, best.step.plan, tuple(one.step for one in tried))


class _Path:
    """The steps of a codesign; arguments as there."""

    def __init__(
        self,
        model: nn.Module,
        calibration: Batch,
        batches: Batches,
        settings: Design,
        tuning: Tune,
        metric: Metric,
        wanted: float,
        loss: Loss,
        held_out: Batches | None,
        trials: int,
    ) -> None:
        self._model, self._calibration, self._batches = model, calibration, batches
        self._settings, self._tuning, self._metric, self._wanted = settings, tuning, metric, wanted
        self._loss, self._held_out, self._trials = loss, held_out, _checks.integer("trials", trials, 2)
        given = {"batches": batches} | ({} if held_out is None else {"held_out": held_out})
        samples = [
            Samples(name, one, labelled=needs_labels(loss), batch_size=tuning.batch_size) for name, one in given.items()
        ]
        data = digest([named_tensors(model), calibration, [one.whole for one in samples]])
        goal = repr((_checks.real("wanted", wanted), trials, loss_name(loss)))
        asked = (_files.to_json(settings), _files.to_json(tuning), goal, data)
        self._asked = _files.sha256("\n".join(asked).encode())

    def walk(self, shrink: float, folder: Path | None) -> Iterator[_Tried]:
        """All steps, one after the other; what comes next depends on those before alone."""
        cells, number = self._settings.cells or 0.0, 0
        best: _Tried | None = None
        beginnings, clip = _BEGINNINGS, self._tuning.clip
        while shrink <= _FINEST:
            failed: list[_Tried] = []
            clipped: tuple[_Attempt, ...] = ("clipped",) if clip is None else ()
            for attempt in beginnings + clipped + _REMEDIES:
                limit = _CLIP if attempt == "clipped" else clip
                one = self._step(number, attempt, best, failed, cells, limit, folder)
                number += 1
                if one is None:
                    continue
                yield one
                if attempt == "clipped" and one.step.tuned.mean > max(other.step.tuned.mean for other in failed):
                    clip = limit
                if one.step.reached:
                    best = one
                    # What was enough comes first at the next budget: it saves the other.
                    if attempt in _BEGINNINGS:
                        beginnings = (attempt, *(other for other in _BEGINNINGS if other != attempt))
                    break
                failed.append(one)
            else:
                shrink = shrink**0.5
                if best is None:
                    return
            cells = best.step.plan.cells * shrink

    def _begun(
        self, attempt: _Attempt, best: _Tried | None, failed: list[_Tried], cells: float
    ) -> tuple[nn.Module, Plan, bool] | None:
        """A network and a plan to begin with, and whether its weights are clipped; None if there is none."""
        if attempt == "narrower":
            plan = None if best is None else narrowed(best.step.plan, cells)
            return None if best is None or plan is None else (best.network, plan, best.step.clip is not None)
        last = best
        if attempt == "clipped" or attempt in _REMEDIES:
            last = max(failed, key=lambda one: one.step.tuned.mean, default=None)
            if last is None:
                return None
            if attempt != "clipped" and self._wanted - last.step.tuned.mean > _LITTLE * abs(self._wanted):
                return None
            if attempt != "again":
                return last.network, last.step.plan, last.step.clip is not None
        clipped = last is not None and last.step.clip is not None
        network = self._model if last is None else expected_network(last.network, last.step.plan)
        try:
            return network, design(network, self._calibration, replace(self._settings, cells=cells)), clipped
        except BudgetError:
            if best is None and not failed:
                raise
            return None

    def _step(
        self,
        number: int,
        attempt: _Attempt,
        best: _Tried | None,
        failed: list[_Tried],
        cells: float,
        clip: float | None,
        folder: Path | None,
    ) -> _Tried | None:
        """One step, from the folder if it is there; None if no plan is so small."""
        place = None if folder is None else folder / f"step-{number:03}"
        asked = _files.sha256(f"{self._asked} {number} {attempt} {cells!r}".encode())
        if place is not None and (kept := _load(place, asked, self._model)) is not None:
            return kept
        begun = self._begun(attempt, best, failed, cells)
        if begun is None:
            return None
        network, plan, clipped = begun
        tuned = tune_within(
            # Clipped once more, at the root mean square of clipped weights, they would shrink with each step: DeepCNN
            # at 0.08 cells ended at 0.10 of its accuracy, where it is at 0.94 with the limit kept.
            _largest(network, plan) if clipped else None,
            network,
            plan,
            self._batches,
            replace(self._tuning, seed=self._tuning.seed + number, clip=clip),
            self._loss,
            self._held_out,
            None if folder is None else folder / "tuning" / f"{number:03}",
            None if needs_labels(self._loss) else self._model,
        )
        tried = _Tried(replace(self._measured(number, network, plan, tuned), clip=clip), tuned.model)
        if place is not None:
            _save(place, asked, tried)
        return tried

    def _measured(self, number: int, network: nn.Module, plan: Plan, tuned: Tuned) -> CodesignStep:
        untuned, found = (
            evaluate(store(one, plan), self._metric, trials=self._trials, seed=number) for one in (network, tuned.model)
        )
        return CodesignStep(tuned.plan, untuned, found, found.reads_low >= self._wanted)


def expected_network(model: nn.Module, plan: Plan) -> nn.Module:
    """The network of the expected weights of what is read: of a tuned network, what it computes but for the noise.

    Its float weights are what gives the right labels, and may be far from what is read.

    Args:
        model: the network; it is not changed.
        plan: how it is stored.

    Raises:
        ModelError: if the plan was made for another network.

    Example:
        >>> import qtaml
        >>> model = nn.Linear(2, 1, bias=False)
        >>> model.weight.data = torch.tensor([[1.0, -1.0]])
        >>> plan = qtaml.uniform_msp(model, p=0.1, protected_bits=0, bits=2)
        >>> expected_network(model, plan).weight.tolist()  # read as they are with probability 0.9, each bit
        [[0.800000011920929, -0.800000011920929]]
    """
    memory = store(model, plan)
    expected = whole_copy(model)
    present = named_tensors(expected)
    for entry in plan.tensors:
        stored = memory.tensors[entry.name]
        present[entry.name].copy_(
            entry.storage.read_mean(stored.words, stored.scale, plan.fault, outliers=stored.outliers)
        )
    for own, other in zip(expected.parameters(), model.parameters(), strict=True):
        own.requires_grad_(other.requires_grad)
    return expected


def _largest(network: nn.Module, plan: Plan) -> dict[str, float]:
    """The largest magnitude of each stored tensor."""
    present = named_tensors(network)
    return {entry.name: float(present[entry.name].detach().abs().max()) for entry in plan.tensors}


def _save(place: Path, asked: str, tried: _Tried) -> None:
    network = tried.network
    data = safetensors.torch.save(
        {name: one.detach().cpu().contiguous() for name, one in (*network.named_parameters(), *network.named_buffers())}
    )
    with _files.new_directory(place, _check_step) as new:
        (new / _TENSORS).write_bytes(data)
        (new / _STEP).write_text(_files.to_json(_Kept(asked, _files.sha256(data), tried.step)))


def _load(place: Path, asked: str, model: nn.Module) -> _Tried | None:
    _check_step(place)
    if not (place / _STEP).exists():
        return None
    with _files.opened_together(place, (_STEP, _TENSORS)) as read:
        kept, data = _files.from_json(_Kept, read(_STEP), str(place / _STEP)), read(_TENSORS)
    if kept.asked != asked:
        raise ArgumentError(f"folder must be that of this question, got the steps of another one in {place.parent}")
    if _files.sha256(data) != kept.sha256:
        raise StoredFileError(f"{place / _TENSORS} is damaged: its SHA-256 is not the one in {_STEP}")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise StoredFileError(f"{place / _TENSORS} cannot be read: {error}") from error
    network = whole_copy(model)
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            tensor.copy_(tensors[name])
    for own, other in zip(network.parameters(), model.parameters(), strict=True):
        own.requires_grad_(other.requires_grad)
    for module in network.modules():
        module.training = False
    return _Tried(kept.step, network)


def _check_step(path: Path) -> None:
    _files.check_folder(path)
    if path.exists() and (names := {one.name for one in path.iterdir()}) and names != {_TENSORS, _STEP}:
        raise StoredFileError(f"cannot write {path}: it holds something else than a step of a codesign")
