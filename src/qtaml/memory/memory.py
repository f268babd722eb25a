"""A network in the leaking memory: its stored words, and the network as read back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from qtaml import _checks, _tables
from qtaml._random import child_seed
from qtaml.errors import ArgumentError, ModelError
from qtaml.faults import FaultModel
from qtaml.formats import TensorReader, WeakBits
from qtaml.memory.artifact import Artifact, StoredTensor, read_artifact, write_artifact
from qtaml.memory.same_tensors import check_fits, check_same_tensors, rest_names
from qtaml.model import (
    Batches,
    Run,
    check_repeats_on_few,
    check_storable,
    check_unused,
    evaluation_mode,
    first_samples,
    is_wrapper_tensor,
    named_tensors,
    own_names,
    state_kept,
    unmoved,
    whole_copy,
)
from qtaml.planning import Plan, TensorPlan, calibrated, curvature_for
from qtaml.planning.weak_cells import check_map
from qtaml.sensitivity import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW_SAMPLES = 2
"""Samples of the first look at whether tensors act on the outputs."""
_MOST_PREPARED = 16
"""Fault models of which a reader keeps what all reads under them share."""


class Memory:
    """A network stored under a plan.

    Made by `qtaml.store` or `qtaml.load`. The model that it was made with serves as the pattern of what is read back
    and is never changed.

    Attributes:
        plan: how it is stored.
        tensors: the stored words of each tensor of the plan.
        rest: the parameters and buffers that are not in the leaking memory.
        artifact: these three, without the model.
        calibration: by what rounding errors are fed back when a chip is written anew; None if they are not, or if the
            memory was loaded.
    """

    def __init__(self, artifact: Artifact, model: nn.Module, calibration: Calibration | None = None) -> None:
        self.plan = artifact.plan
        self.tensors = artifact.tensors
        self.rest = artifact.rest
        self.artifact = artifact
        self.calibration = calibration
        self._pattern = model
        self._unread: tuple[str, ...] | None = None

    @property
    def unread(self) -> tuple[str, ...] | None:
        """Stored tensors that did not act on the inputs of the first metric; None before, or if it ran no model."""
        return self._unread

    def __str__(self) -> str:
        """What is stored, in one line."""
        plan = self.plan
        what = f"{plan.weights:,} weights in {len(plan.tensors)} tensors stored by {plan.method}"
        return f"{what}; {plan.fault}; cells {plan.cells:.4f} of a plain memory"

    def _repr_html_(self) -> str:
        return _tables.as_html(self.plan.table())

    def plot(self) -> "Figure":
        """The plan as a figure; see `Plan.plot`."""
        return self.plan.plot()

    def read(self, *, seed: int | None, fault: FaultModel | None = None) -> Iterator[tuple[str, torch.Tensor]]:
        """Read every stored tensor once.

        Args:
            seed: the same seed gives the same errors; None reads without any, what the stored words stand for.
            fault: how the memory fails; the plan's own fault model if not given.

        Yields:
            Name of each tensor and what is read, in the dtype of the model.
        """
        fault = self._of_read(fault, seed)
        for entry in self.plan.tensors:
            new = self._new(entry)
            self._reader(entry, fault).into(new)(_seed_of_tensor(seed, entry.name))
            yield entry.name, new

    def read_together(self, seeds: Sequence[int], *, fault: FaultModel | None = None) -> dict[str, torch.Tensor]:
        """Several reads of every stored tensor, by each of its names; the first dimension counts them; as `read`."""
        reads: dict[str, torch.Tensor] = {}
        memories = [self._of_read(fault, seed) for seed in seeds]
        for entry in self.plan.tensors:
            together = self._new(entry, len(seeds))
            readers = {memory: self._reader(entry, memory) for memory in memories}
            for seed, memory, out in zip(seeds, memories, together, strict=True):
                readers[memory].into(out)(_seed_of_tensor(seed, entry.name))
            # The pattern of a loaded memory may not tie what was tied when it was stored.
            reads |= dict.fromkeys((entry.name, *entry.aliases), together)
        return reads

    def state_dict(self, *, seed: int | None, fault: FaultModel | None = None) -> dict[str, Any]:
        """State dict of the network as read once, such as the model itself makes: for `load_state_dict` of a new one.

        Args:
            seed: as for `read`.
            fault: as for `read`.

        Returns:
            Names and tensors as the model saves them, its extra state too; no buffers that it makes anew.

        Raises:
            ModelError: as `copy_of_model`.
        """
        state = self.model(seed=seed, fault=fault).state_dict()
        own = own_names(self._pattern)
        # A forward pass may have made buffers since, which are none of the network's.
        for name in set(rest_names(self.plan, self._pattern)) - self.rest.keys():
            state.pop(own[name], None)
        return state

    def model(self, *, seed: int | None, fault: FaultModel | None = None) -> nn.Module:
        """The network as read once, in evaluation mode; arguments as for `read`.

        Without inputs it cannot be checked that the network computes with what is read. One that has run before and
        keeps weights elsewhere (a cache) computes with those: `evaluate` and the writers of programs refuse it.
        """
        model = self.copy_of_model()
        self.read_into(model, seed=seed, fault=fault)
        return model

    def copy_of_model(self) -> nn.Module:
        """A copy of the model for `read_into`, whose parameters ask for no gradients.

        Raises:
            ModelError: if the model cannot be copied, or a copy would not compute with its own weights.
        """
        return whole_copy(self._pattern)

    def read_into(self, model: nn.Module, *, seed: int | None, fault: FaultModel | None = None) -> None:
        """Overwrite a copy of the model with the network as read once, and set it to evaluation mode.

        Args:
            model: what `copy_of_model` returned; all its parameters and buffers are overwritten.
            seed: as for `read`.
            fault: as for `read`.
        """
        self.reader(model, fault=fault)(seed)

    def reader(self, model: nn.Module, *, fault: FaultModel | None = None) -> Callable[[int | None], None]:
        """What reads into a copy of the model again and again: `read_into` without what is the same for every read.

        Args:
            model: what `copy_of_model` returned.
            fault: as for `read`.

        Returns:
            A function of the seed of a read.
        """
        prepared: dict[FaultModel, Callable[[int | None], None]] = {}
        places = _places(model)

        def read(seed: int | None) -> None:
            nonlocal places
            # Some networks replace their tensors, or what these hold, when they are run or measured.
            if _places(model) != places:
                prepared.clear()
                places = _places(model)
            memory = self._of_read(fault, seed)
            if memory not in prepared:
                # A handful of members of `Several`, or one model for all reads; what is of one read only is not kept.
                if len(prepared) >= _MOST_PREPARED:
                    prepared.clear()
                prepared[memory] = self._prepared(model, memory)
            with torch.no_grad():
                prepared[memory](seed)

        return read

    def check_reads(self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """`unread_on`, once for each memory; what it returns is `unread`."""
        if self._unread is None:
            self._unread = self.unread_on(model, args, kwargs)

    def unread_on(self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """Check that the network computes with what is read, and with nothing else.

        Other numbers are put into one stored tensor after the other, and have to move the outputs of a few samples, or
        else of all.

        Args:
            model: what `own(copy_of_model())` returned, read into.
            args: positional arguments of a call of it.
            kwargs: named ones.

        Returns:
            Names of the tensors that do not act on the outputs.

        Raises:
            ModelError: if the model fails, equal passes give unequal outputs, or numbers kept elsewhere are computed
                with.
        """
        present = named_tensors(model)
        targets = {entry.name: [present[name] for name in (entry.name, *entry.aliases)] for entry in self.plan.tensors}
        weights = {name: same[0] for name, same in targets.items()}

        def outputs_of(inputs: tuple[tuple[Any, ...], Mapping[str, Any]]) -> Run:
            def run(changes: Mapping[str, torch.Tensor]) -> Any:
                before = [(target, target.clone()) for name in changes for target in targets[name]]
                try:
                    for name, numbers in changes.items():
                        for target in targets[name]:
                            target.copy_(numbers)
                    with state_kept(model):
                        return model(*inputs[0], **inputs[1])
                finally:
                    for target, numbers in before:
                        target.copy_(numbers)

            return run

        run, few = outputs_of((args, kwargs)), outputs_of(first_samples((args, kwargs), _FEW_SAMPLES))
        with evaluation_mode(model), torch.no_grad():
            few, clean = check_repeats_on_few(model, few, run)
            left = unmoved(few, weights, clean)
            if left and few is not run:
                left = unmoved(run, {name: weights[name] for name in left}, run({}))
            if left:
                check_unused(few, left, weights, (args, kwargs, present))
        return tuple(left)

    def _prepared(self, model: nn.Module, fault: FaultModel) -> Callable[[int | None], None]:
        """What reads into the tensors that a model has now."""
        targets = named_tensors(model)
        _checks.covers("model", targets, [*self.rest, *self.tensors])
        # What keeps its numbers elsewhere may refuse to be written to, and the copy of the model has it already.
        kept = [(targets[name], tensor) for name, tensor in self.rest.items() if not is_wrapper_tensor(tensor)]
        reads: list[tuple[str, Callable[[int | None], None]]] = []
        copied = []
        for entry in self.plan.tensors:
            target = into = targets[entry.name]
            if not target.is_contiguous() or (target.dtype, target.device) != self._kind(entry):
                into = self._new(entry)
                copied.append((target, into))
            reads.append((entry.name, self._reader(entry, fault).into(into.detach())))
            # The pattern of a loaded memory may not tie what was tied when it was stored.
            copied += [(targets[name], into) for name in entry.aliases if targets[name] is not target]
        for module in model.modules():
            module.training = False

        def read(seed: int | None) -> None:
            for target, tensor in kept:
                target.copy_(tensor)
            for name, read_tensor in reads:
                read_tensor(_seed_of_tensor(seed, name))
            for target, tensor in copied:
                target.copy_(tensor)

        return read

    def with_words(self, words: Mapping[str, torch.Tensor]) -> "Memory":
        """This memory with other stored words, such as those that a piece of hardware has given back.

        Args:
            words: for each tensor of the plan, words of the same shape and dtype, each a label of its format.

        Raises:
            ArgumentError: if a tensor is missing, or its words do not fit.
        """
        return Memory(self.artifact.with_words(words), self._pattern, self.calibration)

    def _new(self, entry: TensorPlan, *reads: int) -> torch.Tensor:
        dtype, device = self._kind(entry)
        return torch.empty((*reads, *entry.shape), dtype=dtype, device=device)

    def _kind(self, entry: TensorPlan) -> tuple[torch.dtype, torch.device]:
        return getattr(torch, entry.dtype), self.tensors[entry.name].words.device

    def _of_read(self, fault: FaultModel | None, seed: int | None) -> FaultModel:
        """The fault model of all tensors of a read, which may be of one of several memories."""
        fault = fault or self.plan.fault
        return fault if seed is None else fault.of_read(seed)

    def _reader(self, entry: TensorPlan, fault: FaultModel) -> TensorReader:
        stored, dtype = self.tensors[entry.name], self._kind(entry)[0]
        return TensorReader(
            entry.storage, stored.words, stored.scale, fault, place=entry.name, outliers=stored.outliers, dtype=dtype
        )

    def save(self, path: str | Path, *, source: str = "", weights: str = "") -> None:
        """Write the memory to a directory, all at once; `qtaml.load` reads it.

        Args:
            path: the directory; an older memory there is replaced, anything else is not.
            source: how the network can be made again (for the command line).
            weights: file of its weights (likewise).

        Raises:
            StoredFileError: if the directory holds something else, or cannot be written.
            ModelError: if a tensor has a name or a layout that no file can hold.
        """
        write_artifact(path, self.artifact, source=source, weights=weights)


def store(
    model: nn.Module,
    plan: Plan,
    *,
    weak_cells: Mapping[str, WeakBits] | None = None,
    calibration: Batches | Calibration | None = None,
) -> Memory:
    """Store a network under a plan: step 4 of algorithm 1.

    Args:
        model: the trained network; it is not changed. It stays the pattern of what is read back.
        plan: how each tensor is stored.
        weak_cells: what the weak cells of the chip do to the words of each tensor, if the writer knows (`weak_bits`, or
            what the chip gave back of two patterns): then words are chosen that are read right, and only this chip
            reads them right. The plan's fault model is for what else fails, or, of a design with
            `weak_cells="known"`, for all that does.
        calibration: the inputs that the plan was made with, where it feeds rounding errors back (`Plan.fed_back`).

    Returns:
        The memory.

    Raises:
        ModelError: if the plan was made for other tensors, or one cannot be stored.
        ArgumentError: if weak cells are given, but not those of every tensor; if the plan feeds rounding errors back,
            and no calibration inputs are given, or weak cells that it was not made for.

    Warns:
        UserWarning: if far more or fewer cells are weak than the plan is for.

    Source:
        paper, algorithm 1, step 4; theory.md 6.9.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Linear(4, 2)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=8))
        >>> read = memory.model(seed=0)
        >>> bool((read.weight - model.weight).abs().max() <= model.weight.abs().max() / 255)
        True
    """
    check_fits(plan, model)
    present = named_tensors(model)
    written = plan.expected
    if weak_cells is not None:
        _checks.covers("weak_cells", weak_cells, [entry.name for entry in plan.tensors])
        check_map(plan, weak_cells)
    measured = _for_feedback(model, plan, weak_cells, calibration)
    tensors = {}
    for entry in plan.tensors:
        weights = check_storable(entry.name, present[entry.name])
        weak = weak_cells[entry.name] if weak_cells is not None else None
        curvature = curvature_for(entry, measured) if measured else None
        words, scale = entry.storage.encode(weights, written, weak, curvature)
        tensors[entry.name] = StoredTensor(words, scale, entry.storage.outliers_of(weights))
    rest = {name: present[name].detach().clone() for name in rest_names(plan, model)}
    return Memory(Artifact(plan, tensors, rest), model, measured if plan.by_chip else None)


def _for_feedback(
    model: nn.Module,
    plan: Plan,
    weak_cells: Mapping[str, WeakBits] | None,
    calibration: Batches | Calibration | None,
) -> Calibration | None:
    """What is measured of a network whose rounding errors are fed back; None where they are not."""
    if not plan.fed_back:
        return None
    if calibration is None:
        raise ArgumentError(
            "calibration must be the inputs that the plan was made with, since it feeds rounding errors back "
            f"({len(plan.fed_back)} tensors), got None: store(model, plan, calibration=...)"
        )
    if weak_cells is not None and not plan.by_chip:
        raise ArgumentError(
            "weak_cells must be None for a plan that feeds rounding errors back and was not made for known weak cells "
            "(weak_cells='known'), got a map"
        )
    output = getattr(plan.settings, "output", None)
    if not isinstance(calibration, Calibration) and isinstance(output, str) and output.startswith("("):
        raise ArgumentError(
            f"calibration must be Calibration(model, inputs, output=...) for a plan whose output is the function "
            f"{output}, which no plan can hold, got inputs"
        )
    measured = calibration if isinstance(calibration, Calibration) else calibrated(model, calibration, plan.settings)
    if unknown := [name for name in plan.fed_back if name not in measured.curvatures]:
        raise ArgumentError(
            f"calibration must be of the network of the plan, got one that knows no errors of {unknown[0]!r}"
        )
    return measured


def load(path: str | Path, model: nn.Module) -> Memory:
    """Read a memory from a directory.

    Args:
        path: what `memory.save` wrote.
        model: a network of the same architecture; its own weights do not matter, and it is not changed.

    Returns:
        The memory, equal to the one saved, on the devices of the model.

    Raises:
        StoredFileError: if a file is missing, damaged, or not of a qtaml memory.
        ModelError: if the model has other tensors than the one stored, or is on the device "meta".
    """
    return attach(read_artifact(path), model)


def attach(artifact: Artifact, model: nn.Module) -> Memory:
    """The memory of a stored network that was read from a directory.

    Args:
        artifact: what `read_artifact` returned.
        model: as for `load`.

    Raises:
        ModelError: as `load`.
    """
    for name, tensor in named_tensors(model).items():
        if tensor.is_meta:
            raise ModelError(f"tensor {name!r} of the model is on device meta, where nothing can be read into it")
    check_same_tensors(artifact, model)
    device = {name: tensor.device for name, tensor in named_tensors(model).items()}
    tensors = {name: tensor.to(device[name]) for name, tensor in artifact.tensors.items()}
    rest = {name: tensor.to(device[name]) for name, tensor in artifact.rest.items()}
    return Memory(Artifact(artifact.plan, tensors, rest), model)


def words_as_read(artifact: Artifact, *, seed: int, fault: FaultModel | None = None) -> dict[str, torch.Tensor]:
    """The words of each tensor as read once with errors: those behind `Memory.read` with the same seed.

    Args:
        artifact: the stored network.
        seed: the same seed gives the same errors.
        fault: how the memory fails; the plan's own fault model if not given.
    """
    plan = artifact.plan
    memory = (fault or plan.fault).of_read(seed)
    return {
        entry.name: entry.storage.corrupt(
            artifact.tensors[entry.name].words,
            memory,
            seed=child_seed(seed, "read", entry.name),
            place=entry.name,
        )
        for entry in plan.tensors
    }


def _places(model: nn.Module) -> list[tuple[int, int]]:
    """Which tensors a model has, and where their numbers are."""
    return [
        (id(tensor), tensor.data_ptr() if tensor.layout == torch.strided else 0)
        for module in model.modules()
        for tensors in (module._parameters, module._buffers)
        for tensor in tensors.values()
        if tensor is not None
    ]


def _seed_of_tensor(seed: int | None, name: str) -> int | None:
    return None if seed is None else child_seed(seed, "read", name)
