"""A valid value for each parameter of the public callables: by callable, by name, by kind."""

import types
from collections.abc import Callable
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import save_file
from torch import nn

import qtaml
from qtaml.checkpoints import (
    Checkpoint,
    CheckpointPlan,
    CheckpointTensor,
    Inspection,
    LeftOut,
    MeasuredErrors,
    ReadCheckpoint,
    WordRange,
    inspect,
    open_checkpoint,
    protect,
    read_errors,
)
from qtaml.cost import Array, Contents, CostLine, Figure, Logic, array_named
from qtaml.device import (
    Alternative,
    Barrier,
    Cell,
    Electrode,
    GoodnessOfFit,
    Insulator,
    Layer,
    MeasuredCell,
    MultiLevelCell,
    Phase,
    PhaseFailures,
    RetentionCell,
    RetentionData,
    Share,
    StorageNode,
    TunnelJunction,
    fit_retention,
    insulator,
    preset,
)
from qtaml.device._arrays import Quantity
from qtaml.exploration import Exploration, ExplorationPoint, explore
from qtaml.export import write_binary, write_verilog
from qtaml.faults import AnyFault, FaultModel, Uniform, WordLaw
from qtaml.formats import (
    FLOAT_FORMATS,
    EvenLevels,
    FloatFormat,
    Format,
    Outliers,
    Section,
    TensorFormat,
    TrellisLevels,
    WeakBits,
)
from qtaml.laboratory import Case, Laboratory, Manifest, Measured, Samples
from qtaml.laboratory.tasks import Record
from qtaml.measuring import Accuracy, Estimate, ObservedRate, Result, SampleMetric, Yield
from qtaml.memory import Artifact, Memory, StoredTensor, pack
from qtaml.networks import Data
from qtaml.overview import BitCells, NetworkOverview, Overview, TensorOverview, summarise
from qtaml.planning import AnySettings, Choice, Design, Options, Plan, Predict, Settings, Tac, TensorPlan, UniformMsp
from qtaml.planning.prediction import Saving, TensorScore
from qtaml.protections import Protection, Raw
from qtaml.search import Histogram, Study
from qtaml.sensitivity import Calibration, Curvature, Gain
from qtaml.showing import Curve, Panel, panels_figure
from qtaml.training import Codesigned, CodesignStep, Epoch, NoisyNetwork, Tune, noisy


@cache
def model() -> nn.Module:
    """The network of all calls."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@cache
def batch() -> torch.Tensor:
    """Samples of its inputs."""
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


def fingerprint() -> bytes:
    """All numbers of the model."""
    return b"".join(tensor.detach().numpy().tobytes() for tensor in model().state_dict().values())


@cache
def plan() -> Plan:
    """A plan for it."""
    return qtaml.uniform_msp(model(), p=0.1, protected_bits=2)


@cache
def memory() -> Memory:
    """The network as stored."""
    return qtaml.store(model(), plan())


@cache
def result() -> Result:
    """A measurement of it."""
    return qtaml.evaluate(memory(), accuracy(), trials=2)


@cache
def accuracy() -> Accuracy:
    """A metric."""
    return Accuracy(batch(), torch.tensor([0, 1, 0, 1, 0, 1]))


@cache
def calibration() -> Calibration:
    """What is measured of it, with two passes."""
    return Calibration(model(), batch(), passes=2)


@cache
def study() -> Study:
    """Questions to it."""
    return Study(model(), batch(), passes=2)


@cache
def overview() -> Overview:
    """What a report of its plan shows."""
    return summarise({"text": plan()})


@cache
def retention_data() -> RetentionData:
    """Measured times of cells."""
    times = np.exp(np.random.default_rng(0).normal(-7.0, 1.0, 60))
    return RetentionData(times, times, np.full(60, 300.0), np.ones(60))


@cache
def measured_cell() -> MeasuredCell:
    """A cell fitted to them."""
    return fit_retention(retention_data(), tail=False)


def weights() -> dict[str, torch.Tensor]:
    """Its matrices by name."""
    return {name: tensor.detach() for name, tensor in model().named_parameters() if tensor.ndim == 2}


CELL = preset("fg_dt_3p0")
JUNCTION = TunnelJunction(Electrode("TiN"), Electrode("TiN"), insulator("sio2"), 2.0)
FORMAT = Format(EvenLevels(8))
TENSOR_FORMAT = TensorFormat((Section(12, FORMAT),))
WORDS = torch.arange(12, dtype=torch.uint8).reshape(4, 3)
TABLE = np.array([-1.0, 0.0, 1.0, 2.0])
LAW = WordLaw.of_bits((0.1, 0.1), (0.1, 0.1))
FLOAT_WORDS = {"name": lambda: "fp8_e5m2", "p01": lambda: [0.1] * 8, "p10": lambda: [0.1] * 8}


def _case() -> Case:
    return Case("SmallCNN", UniformMsp(p=0.1, protected_bits=2))


def _record() -> Record:
    return Record(Laboratory(".", trials=2).task(_case(), 0), 0.1, None, 0.9, result(), 1.0)


def _along() -> dict[float, AnyFault]:
    return {0.1: Uniform(0.1)}


FOLDER = Path("doors")
_NUMBERS = count()


def words() -> dict[str, torch.Tensor]:
    """The words of each of its tensors."""
    return {name: tensor.words for name, tensor in memory().tensors.items()}


@cache
def saved(name: str, save: Callable[[Path], Any]) -> Path:
    """A file or folder, written."""
    save(FOLDER / name)
    return FOLDER / name


@cache
def checkpoint() -> Checkpoint:
    """A file of one tensor, outside the folders of single tests."""
    weights = {"w": torch.linspace(-1, 1, 24).reshape(4, 6).bfloat16()}
    path = Path(mkdtemp()) / "m.safetensors"
    save_file(weights, path)
    return open_checkpoint(path)


@cache
def checkpoint_plan() -> CheckpointPlan:
    """How it is stored."""
    return protect(checkpoint(), p=0.1, cells=1.5, decoders=("none", "majority"))


@cache
def explored() -> Exploration:
    """A small exploration of the network."""
    asked = {name: value() for name, value in EXPLORED.items()}
    return explore(model(), batch(), metric=accuracy(), **asked)


BY_KIND: dict[Any, Callable[[], Any]] = {
    Checkpoint: checkpoint,
    CheckpointTensor: lambda: checkpoint()["w"],
    CheckpointPlan: checkpoint_plan,
    ReadCheckpoint: lambda: ReadCheckpoint(checkpoint(), checkpoint_plan(), 0),
    Inspection: lambda: inspect(checkpoint()),
    MeasuredErrors: lambda: read_errors(checkpoint(), checkpoint_plan(), reads=2),
    LeftOut: lambda: LeftOut(0, 1.0),
    WordRange: lambda: WordRange(2, 5, 1.0),
    nn.Module: model,
    Plan: plan,
    Memory: memory,
    Artifact: lambda: memory().artifact,
    FaultModel: lambda: Uniform(0.1),
    Format: lambda: FORMAT,
    FloatFormat: lambda: FLOAT_FORMATS["fp8_e5m2"],
    TensorFormat: lambda: TENSOR_FORMAT,
    WordLaw: lambda: LAW,
    Cell: lambda: CELL,
    RetentionCell: lambda: CELL,
    Array: lambda: array_named("gain_cell_3t", 28.0),
    Contents: lambda: Contents(1000.0, 1000.0, 100),
    CostLine: lambda: CostLine("area", "text", Figure(0.5, "a test")),
    Exploration: explored,
    ExplorationPoint: lambda: explored().points[0],
    Figure: lambda: Figure(0.5, "a test"),
    Logic: lambda: Logic("majority_3", "combinational"),
    Barrier: lambda: CELL.barrier,
    Electrode: lambda: Electrode("TiN"),
    TunnelJunction: lambda: JUNCTION,
    StorageNode: lambda: preset("gaincell_3t_16nm"),
    MeasuredCell: measured_cell,
    RetentionData: retention_data,
    Insulator: lambda: insulator("sio2"),
    Share: lambda: Share(300.0, 0, 1.0, 1.0, 2.0),
    GoodnessOfFit: lambda: GoodnessOfFit(1.0, 1, 0.3, 0.3),
    Alternative: lambda: Alternative("none", False, -1.0, 1.0),
    Phase: lambda: Phase(300.0, 10.0),
    PhaseFailures: lambda: PhaseFailures(Phase(300.0, 10.0), 0.1, 0.1, -1.0, -1.0, 1.0),
    MultiLevelCell: lambda: MultiLevelCell(CELL.barrier, (0, 100), (50,), 1e13),
    Histogram: lambda: Histogram(TABLE, np.ones(4)),
    Gain: lambda: Gain(1.0, 0.1),
    Result: result,
    Yield: lambda: Yield((0.5, 0.6, 0.7), trials=1, fault=Uniform(0.1), seed=0, confidence=0.95),
    Calibration: calibration,
    Study: study,
    Settings: lambda: Tac(p=0.1, overhead=0.1),
    Tac: lambda: Tac(p=0.1, overhead=0.1),
    Estimate: lambda: Estimate(0.5, 0.4, 0.6, "reads"),
    SampleMetric: accuracy,
    Case: _case,
    Measured: lambda: Measured((_record(),)),
    Manifest: lambda: Laboratory(".", trials=2).manifest(),
    TensorPlan: lambda: plan().tensors[0],
    Choice: lambda: Choice(0, 1, 2),
    Options: lambda: Options(10, (0.0, 1.0), (2.0, 1.0)),
    Design: lambda: Design(p=0.1, cells=1.0),
    Predict: lambda: Predict(p=0.1),
    Tune: lambda: Tune(epochs=1),
    NoisyNetwork: lambda: noisy(model(), plan()),
    CodesignStep: lambda: CodesignStep(plan(), result(), result(), True),
    Codesigned: lambda: Codesigned(model(), plan(), (BY_KIND[CodesignStep](),)),
    np.random.Generator: lambda: np.random.default_rng(0),
    torch.dtype: lambda: torch.float32,
    slice: lambda: slice(0, 4),
    Path: lambda: Path("file"),
    str | Path: lambda: Path("file"),
    ArrayLike: lambda: 0.5,
    NDArray[np.float64]: lambda: TABLE,
    type[Settings]: lambda: UniformMsp,
    Protection: Raw,
    AnySettings: lambda: UniformMsp(p=0.1, protected_bits=2),
    AnyFault: lambda: Uniform(0.1),
    Quantity: lambda: 0.1,
    torch.Tensor: lambda: torch.rand(4, 3),
    Uniform: lambda: Uniform(0.1),
    Raw: Raw,
    ObservedRate: lambda: ObservedRate(8, 0, Raw(), 0, 1, 10, 0.0, 0.3, 0.1, False, False),
    TensorScore: lambda: TensorScore("text", 2, 1.0),
    Saving: lambda: Saving(1, 0.1, 0.2),
    StoredTensor: lambda: next(iter(memory().tensors.values())),
    Layer: lambda: Layer(3.0, 1.0, 0.5),
    Section: lambda: TENSOR_FORMAT.sections[0],
    WeakBits: lambda: WeakBits(WORDS, ~WORDS),
    torch.device: lambda: torch.device("cpu"),
    Curvature: lambda: Curvature(None, torch.eye(3, dtype=torch.float64)),
    Outliers: lambda: Outliers.of(torch.arange(12.0).reshape(4, 3), 2),
    Record: _record,
    Data: lambda: Data(batch(), torch.zeros(6).long(), batch(), torch.zeros(6).long(), 4),
    Curve: lambda: Curve("text", [1.0, 2.0], [1.0, 2.0]),
    Panel: lambda: Panel([Curve("text", [1.0, 2.0], [1.0, 2.0])], "text", "text", "text"),
    Overview: overview,
    NetworkOverview: lambda: overview().networks[0],
    BitCells: lambda: BitCells(7, "raw", 12.0),
    TensorOverview: lambda: overview().networks[0].tensors[0],
    types.NoneType: lambda: None,
    bool: lambda: True,
    str: lambda: "text",
    float: lambda: 0.1,
    int: lambda: 2,
}
"""A value of each kind."""

BY_NAME: dict[str, tuple[Callable[[], Any], ...]] = {
    "calibration": (batch, lambda: "text"),
    "batch": (batch,),
    "batches": (batch,),
    "inputs": (batch,),
    "test_inputs": (batch,),
    "labels": (lambda: torch.tensor([0, 1, 0, 1, 0, 1]), lambda: np.arange(2)),
    "test_labels": (lambda: torch.tensor([0, 1, 0, 1, 0, 1]),),
    "metric": (accuracy,),
    "tokens": (lambda: torch.zeros(2, 3, dtype=torch.int64),),
    "protections": (lambda: (Raw(), Raw()),),
    "words": (lambda: torch.arange(12, dtype=torch.uint8).reshape(4, 3), lambda: 2),
    "scale": (lambda: torch.tensor(1.0),),
    "out": (lambda: torch.empty(4, 3),),
    "weights": (weights, lambda: weights()["0.weight"], lambda: 12, lambda: "text"),
    "weight": (lambda: weights()["0.weight"],),
    "stored": (lambda: {entry.name: entry.storage for entry in plan().tensors}, lambda: TENSOR_FORMAT, lambda: 3),
    "gains": (lambda: dict.fromkeys(weights(), Gain(1.0, 0.1)),),
    "changes": (lambda: [{"0.weight": weights()["0.weight"]}],),
    "name": (lambda: "0.weight",),
    "values": (lambda: np.array([0.5, 0.6, 0.7]), lambda: [0.5, 0.6, 0.7], lambda: (0.5, 0.6), lambda: [[0.5, 0.6]]),
    "p01": (lambda: 0.1, lambda: (0.1, 0.1)),
    "p10": (lambda: 0.1, lambda: (0.1, 0.1)),
    "sizes": (lambda: [10, 20],),
    "options": (lambda: [Options(10, (0.0, 1.0), (2.0, 1.0))],),
    "shape": (lambda: (4, 3),),
    "seed": (lambda: 0,),
    "attempt_frequency": (lambda: 1e13,),
    "frequency": (lambda: 1e13,),
    "electrons": (lambda: 10,),
    "threshold": (lambda: 4,),
    "factors": (lambda: [1.5, 2.0],),
    "rates": (lambda: [2.0, 4.0],),
    "area": (lambda: 2.0,),
    "groups": (lambda: (((0.9, 0.1), (0.2, 0.8)), ((0.9, 0.1), (0.2, 0.8))), lambda: LAW.groups),
    "table": (lambda: TABLE, lambda: (0.0, 1.0), lambda: {"kind": "uniform", "p": 0.1}),
    "packed": (lambda: pack(TENSOR_FORMAT, torch.arange(12, dtype=torch.uint8)),),
    "confidence": (lambda: 0.95,),
    "training_seeds": (lambda: (0,),),
    "training_seed": (lambda: 0,),
    "word": (lambda: 3,),
    "rows": (list,),
    "tasks": (list,),
    "cases": (list,),
    "potential": (lambda: lambda x: np.full_like(x, 3.0),),
    "function": (lambda: lambda x: x,),
    "sections": (lambda: TENSOR_FORMAT.sections,),
    "record": (lambda: UniformMsp,),
    "build": (lambda: lambda: nn.Linear(3, 2),),
    "data": (lambda: lambda: None,),
    "levels": (lambda: EvenLevels(4), lambda: ()),
    "figure": (lambda: panels_figure([BY_KIND[Panel]()]),),
    "path": (lambda: FOLDER / f"file{next(_NUMBERS)}",),
}
"""A value for the parameters of a name, where the kind does not tell."""

EXPLORED: dict[str, Callable[[], Any]] = {
    "device": lambda: "gaincell_2t_sion",
    "array": lambda: "gain_cell_3t",
    "node": lambda: 28.0,
    "windows": lambda: [2e-5],
    "budgets": lambda: [4.0],
    "trials": lambda: 2,
}
"""A small exploration."""

BY_DOOR: dict[str, dict[str, Callable[[], Any]]] = {
    "checkpoints.Checkpoint": {"source": lambda: checkpoint().source, "tensors": lambda: tuple(checkpoint().values())},
    "checkpoints.CheckpointTensor": {
        name: partial(lambda name: getattr(checkpoint()["w"], name), name)
        for name in ("shape", "format", "parts", "source")
    },
    "checkpoints.CheckpointTensor.words": {"name": lambda: "words"},
    "checkpoints.CheckpointTensor.raw": {"start": lambda: 0, "stop": lambda: 1},
    "checkpoints.CheckpointPlan": {"tensors": lambda: checkpoint_plan().tensors, "fault": lambda: Uniform(0.1)},
    "checkpoints.CheckpointPlan.from_json": {"text": lambda: checkpoint_plan().to_json()},
    "checkpoints.ReadCheckpoint.values": {"name": lambda: "w"},
    "checkpoints.ReadCheckpoint.save": {"path": lambda: FOLDER / "read.safetensors"},
    "checkpoints.Inspection": {"formats": lambda: inspect(checkpoint()).formats},
    "checkpoints.MeasuredErrors": {"tensors": lambda: BY_KIND[MeasuredErrors]().tensors},
    "checkpoints.open_checkpoint": {"path": lambda: checkpoint().source.path},
    "checkpoints.protect": {"cells": lambda: 1.5},
    "checkpoints.checkpoint_gains": {"load": lambda: lambda path: model(), "reads": lambda: 2},
    "checkpoints.field_gains": {"load": lambda: lambda path: model(), "reads": lambda: 2},
    "checkpoints.evaluate_reads": {"load": lambda: lambda path: model(), "reads": lambda: 2},
    "checkpoints.WordRange": {"low": lambda: 2, "high": lambda: 5},
    "checkpoints.WordRange.read_as": {"bits": lambda: 4},
    "Accuracy.of_outputs": {"logits": lambda: torch.zeros(6, 2)},
    "Memory.unread_on": {"model": lambda: memory().copy_of_model(), "args": lambda: (batch(),), "kwargs": dict},
    "Memory.check_reads": {"model": lambda: memory().copy_of_model(), "args": lambda: (batch(),), "kwargs": dict},
    "Memory.read_into": {"model": lambda: memory().copy_of_model()},
    "Memory.reader": {"model": lambda: memory().copy_of_model()},
    "faults.given": {"p": lambda: None},
    "Memory.with_words": {"words": words},
    "memory.Artifact.with_words": {"words": words},
    "measuring.observed_errors": {"stored": lambda: memory().artifact, "words": words},
    "Plan": {"tensors": lambda: plan().tensors},
    "faults.MultiLevel.corrupt": {"bits": lambda: 2, "words": lambda: WORDS % 4},
    "faults.PerBit.corrupt": {"bits": lambda: 2, "words": lambda: WORDS % 4},
    "faults.PerBit.reader": {"bits": lambda: 2, "words": lambda: WORDS % 4},
    "measuring.NegativeLogLikelihood.scores": {"model": lambda: nn.Sequential(nn.Embedding(3, 3))},
    "measuring.check_causal": {"model": lambda: nn.Sequential(nn.Embedding(3, 3))},
    "measuring.networks_interval": {"values": lambda: np.array([[0.5, 0.6], [0.4, 0.7]])},
    "explore": EXPLORED,
    "exploration.explore": EXPLORED,
    "exploration.device_points": {"device": lambda: "gaincell_2t_sion", "windows": lambda: [2e-5]},
    "exploration.Exploration.best": {"axes": lambda: ("window",)},
    "exploration.Exploration.accuracy_table": {"axes": lambda: ("window",), "budget": lambda: 1.0},
    "cost.array_named": {"name": lambda: "gain_cell_3t", "node": lambda: 28.0},
    "cost.logic": {"name": lambda: "majority_3"},
    "cost.memory_cost": {"array": lambda: "gain_cell_3t", "node": lambda: 28.0, "window": lambda: 1e-3},
    "Plan.cost": {"array": lambda: "gain_cell_3t", "node": lambda: 28.0, "window": lambda: 1e-3},
    "cost.nvsim_cell": {"kind": lambda: "gcDRAM"},
    "cost.read_nvsim": {"path": lambda: Path(__file__).parents[1] / "cost/fixtures/nvsim_1t1r.txt"},
    "cost.Numbers.load": {"path": lambda: saved("numbers.json", lambda path: path.write_text("{}"))},
    "report": {"stored": plan, "along": lambda: {0.1: Uniform(0.1)}, "axis": lambda: "p"},
    "overview.summarise": {
        "stored": lambda: {"text": plan()},
        "along": lambda: {0.1: Uniform(0.1)},
        "axis": lambda: "p",
    },
    "overview.Overview.from_json": {"text": lambda: overview().to_json()},
    "laboratory.read_results": {
        "path": lambda: saved("results.json", lambda path: path.write_text('{"title": "text", "rows": []}'))
    },
    "showing.explorer_page": {"rows": lambda: [{"cells": 0.5, "accuracy": 0.9}]},
    "showing.save_explorer": {"rows": lambda: [{"cells": 0.5, "accuracy": 0.9}]},
    "Plan.from_json": {"text": lambda: plan().to_json()},
    "Plan.load": {"path": lambda: saved("plan.json", plan().save)},
    "load": {"path": lambda: saved("memory", memory().save)},
    "memory.read_artifact": {"path": lambda: saved("memory", memory().save)},
    "Result.from_json": {"text": lambda: result().to_json()},
    "export.read_binary": {"path": lambda: saved("image", partial(write_binary, memory().artifact))},
    "export.read_verilog": {"path": lambda: saved("image.mem", partial(write_verilog, memory().artifact))},
    "device.insulator": {"name": lambda: "sio2"},
    "device.level_transition_matrix": {"electrons": lambda: (0, 100), "references": lambda: (50,)},
    "device.GateInduced": {"current": lambda: 1e-15, "at": lambda: 1.0, "gate": lambda: -0.5, "oxide": lambda: 1.0},
    "device.Subthreshold": {"current": lambda: 1e-7, "threshold": lambda: 0.5},
    "device.GateTunnelling": {"capacitance": lambda: 1e-15},
    "device.StorageNode": {
        "capacitance": lambda: 1e-15,
        "voltage": lambda: 0.6,
        "margin": lambda: 0.3,
        "leaks": lambda: preset("gaincell_3t_16nm").leaks,
    },
    "device.MeasuredCell": {
        "law": lambda: "none",
        "tail": lambda: False,
        "estimates": lambda: (0.1, 0.1),
        "covariance": lambda: ((0.1, 0.0), (0.0, 0.1)),
    },
    "device.cell_and_window": {"device": lambda: "fg_dt_3p0"},
    "faults.of_device": {"device": lambda: "fg_dt_3p0"},
    "device.preset": {"name": lambda: "fg_dt_3p0"},
    "device.preset_record": {"name": lambda: "fg_dt_3p0"},
    "device.MultiLevelCell": {"level_electrons": lambda: (0, 100), "references": lambda: (50,)},
    "formats.NamedLevels": {"name": lambda: "int4"},
    "formats.FloatFormat": {"exponent_bits": lambda: 4, "reserved": lambda: "none"},
    "formats.FloatFormat.values": {"words": lambda: [3]},
    "theory.float_error_moments": {"words": lambda: [3], "exponents": lambda: list(range(32)), **FLOAT_WORDS},
    "theory.bit_shares": {"words": lambda: [3], **FLOAT_WORDS},
    "formats.TrellisLevels": {"bits": lambda: 2, "window": lambda: 3},
    "formats.EntropyLevels": {
        "values": lambda: (-1.0, 0.0, 1.0),
        "counts": lambda: (256, 3584, 256),
        "block_weights": lambda: 800,
        "block_bytes": lambda: 80,
    },
    "formats.WeakBits": {"zeros": lambda: WORDS, "ones": lambda: ~WORDS},
    "formats.walsh": {"series": lambda: np.array([1.0, 0.5])},
    "theory.neighbour_covariance": {"fmt": lambda: Format(TrellisLevels(1, 3, ((1, 1.0),))), "lag": lambda: 1},
    "formats.TableLevels": {"values": lambda: (0.0, 1.0)},
    "formats.Format.protect": {"most_significant": lambda: 2},
    "formats.central_moments": {"values": lambda: TABLE},
    "formats.error_moments": {"values": lambda: TABLE},
    "formats.even_or_named": {"name": lambda: None},
    "theory.error_distribution": {"stored": lambda: 3},
    "theory.characteristic_function": {"stored": lambda: 3},
    "theory.ErrorLaw": {"p": lambda: 0.1, "levels": lambda: 4},
    "measuring.check_prediction": {
        "memory": lambda: qtaml.store(model(), qtaml.compensate(model(), batch(), p=0.1, overhead=0.1)),
        "trials": lambda: 2,
    },
    "design": {"p": lambda: 0.1, "cells": lambda: 4.0},
    "planning.Design": {"p": lambda: 0.1, "cells": lambda: 4.0},
    "protections.Bch": {"code_bits": lambda: 15, "data_bits": lambda: 7, "corrects": lambda: 2},
    "protections.BlockCode": {"data_bits": lambda: 1000, "code_bits": lambda: 1260},
    "protections.BlockCoder": {"data_bits": lambda: 12, "code_bits": lambda: 24},
    "protections.BlockCoder.encode": {"data": lambda: torch.zeros(1, 12, dtype=torch.bool)},
    "protections.BlockCoder.decode": {"read": lambda: torch.zeros(1, 24, dtype=torch.bool)},
    "protections.Repetition": {"copies": lambda: 3},
    "protections.Repetition.best": {"copies": lambda: 3},
    "Study.compensate": {"p": lambda: 0.1, "overhead": lambda: 0.1},
    "Study.design": {"p": lambda: 0.1, "cells": lambda: 4.0},
    "Study.predict": {"p": lambda: 0.1},
    "Study.load": {"path": lambda: saved("study.json", study().save), "calibration": batch},
    "search.Designer.plan": {"cells": lambda: 4.0},
    "search.Histogram": {"points": lambda: TABLE, "counts": lambda: np.ones(4)},
    "sensitivity.gradient_statistics": {"statistic": lambda: lambda name, gradients: gradients.flatten(1).sum(1)},
    "laboratory.Case.plan": {
        "data": lambda: Samples(batch(), {"accuracy": Accuracy(batch(), torch.tensor([0, 1, 0, 1, 0, 1]))})
    },
    "laboratory.Laboratory.network": {"name": lambda: "SmallCNN"},
    "tune": {"epochs": lambda: 1},
    "codesign": {"settings": lambda: Design(p=0.1, cells=4.0, passes=2), "tuning": lambda: Tune(epochs=1)},
    "training.Tuned": {"history": lambda: (Epoch(0.5),)},
    "training.Codesigned": {"steps": lambda: (BY_KIND[CodesignStep](),)},
    "training.AdaptedLinear": {"layer": lambda: nn.Linear(3, 4)},
    "training.clip_weights": {"limits": lambda: {"0.weight": 1.0}},
    "networks.trained": {"name": lambda: "SmallCNN"},
    "sampling.error_mask": {"probabilities": lambda: [0.1] * 8},
}
"""Values for the parameters of one callable."""
