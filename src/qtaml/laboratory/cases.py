"""A case: a network, the settings of the method that stores it, and the fault model under which it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.measuring import SampleMetric
from qtaml.model import Batch
from qtaml.networks import RECIPES, Data
from qtaml.planning import (
    MEASURED,
    AnySettings,
    Design,
    FixedPoint,
    Magnitude,
    Plan,
    RandomProtection,
    Sensitivity,
    Settings,
    Tac,
    UniformMsp,
    WeightScaling,
    fixed_point,
    magnitude_protection,
    random_protection,
    sensitivity_protection,
    tac,
    uniform_msp,
    weight_scaling,
)
from qtaml.search import AnyDesigner, design, designer_for
from qtaml.sensitivity import Calibration
from qtaml.training import LossName, Tune


# Compared by identity: it is part of the key of a memo, and the equality of tensors is a tensor.
@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of the task of a network that is not built in.

    Attributes:
        calibration: unlabelled inputs, samples first.
        metrics: metrics on test samples by the name that a case asks for; the first is that of the clean network.
        train: inputs to train on, and their labels if there are any; None where no case tunes.
    """

    calibration: Batch
    metrics: Mapping[str, SampleMetric]
    train: tuple[Batch, torch.Tensor | None] | None = None

    def __post_init__(self) -> None:
        if self.train is not None and not (isinstance(self.train, tuple) and len(self.train) == 2):
            raise ArgumentError(f"train must be (inputs, labels or None), got {type(self.train).__name__}")


@dataclass(frozen=True)
class OwnNetwork:
    """A network that is not built in, named by the content of its files.

    Attributes:
        model: "package.module:factory", or the name of a `.pt2`, `.onnx`, `.tflite` or `.gguf` file.
        code: SHA-256 of the module's source; empty for a file.
        weights: name of the file of the state dict; None for the weights that the model comes with.
        calibration: name of the file of calibration inputs.
        test: name of the file of test inputs and labels.
        train: name of the file of samples to train on; None where nothing is tuned.
    """

    model: str
    code: str
    weights: str | None
    calibration: str
    test: str
    train: str | None = None


def _calibrated(model: nn.Module, data: Data | Samples, settings: Settings) -> Calibration:
    return _calibration(model, data, tuple((name, getattr(settings, name)) for name in MEASURED))


@lru_cache(maxsize=4)
def _calibration(model: nn.Module, data: Data | Samples, asked: tuple[tuple[str, Any], ...]) -> Calibration:
    return Calibration(model, data.calibration, **dict(asked))


# Few: each holds gains and fitted candidates of a network. Tasks are sorted by network, so more are seldom used.
@lru_cache(maxsize=4)
def _designer(model: nn.Module, data: Data | Samples, settings: Design) -> AnyDesigner:
    return designer_for(_calibrated(model, data, settings), settings)


def _design(model: nn.Module, data: Data | Samples, settings: Design) -> Plan:
    if settings.cells is None:
        return design(model, data.calibration, settings)
    # The budget is left out of the key of the memo: gains and fitted candidates of a network serve every budget.
    return _designer(model, data, replace(settings, cells=1.0)).plan(settings.cells)


METHODS: dict[type[Settings], Callable[[nn.Module, Data | Samples, Any], Plan]] = {
    UniformMsp: lambda model, data, settings: uniform_msp(model, settings),
    Tac: lambda model, data, settings: tac(_calibrated(model, data, settings), settings),
    Magnitude: lambda model, data, settings: magnitude_protection(model, settings),
    Sensitivity: lambda model, data, settings: sensitivity_protection(model, data.calibration, settings),
    RandomProtection: lambda model, data, settings: random_protection(model, settings),
    FixedPoint: lambda model, data, settings: fixed_point(model, settings),
    WeightScaling: lambda model, data, settings: weight_scaling(model, settings),
    Design: _design,
}
"""The planning function of each method, by the class of its settings."""

METRICS = ("accuracy", "output_error", "log_likelihood")
"""What can be measured of a built-in network."""


@dataclass(frozen=True)
class Case:
    """One network, the settings of the method that stores it, and the fault model under which it is read.

    Attributes:
        network: a key of `qtaml.networks.RECIPES`; any name for a network of one's own.
        settings: of the method, with the fault model that is planned for. Their seed is that of the laboratory.
        read_fault: fault model of the reads; None for the planned one, also if that one is given: equal cases are one
            measurement.
        metric: "accuracy" on the test samples, squared output deviation on the calibration samples ("output_error"),
            negative log-likelihood of the test texts ("log_likelihood"); or one of the network's own.
        own: the network if it is not built in.
        tune: training of the network for the memory of its plan, before it is stored; None for none. Its seed is that
            of the laboratory.
        loss: of that training, by its name.
        tune_for: what it is trained for in place of its plan, such as plain words; the plan is then made for what was
            trained.
    """

    network: str
    settings: AnySettings
    read_fault: AnyFault | None = None
    metric: str = "accuracy"
    own: OwnNetwork | None = None
    tune: Tune | None = None
    loss: LossName = "output_error"
    tune_for: AnySettings | None = None

    def __post_init__(self) -> None:
        # Records are named by a hash of their case: two spellings of one case would be measured twice.
        if self.read_fault == self.settings.fault:
            object.__setattr__(self, "read_fault", None)
        if self.tune_for is not None and self.tune is None:
            raise ArgumentError(f"tune must be given with tune_for, got tune_for={self.tune_for}")

    def check(self) -> None:
        """Refuse a network that does not exist, or a plan that no method makes.

        Raises:
            ArgumentError: naming it, and those that exist.
        """
        if self.own is None:
            _checks.one_of("network", self.network, RECIPES)
            _checks.one_of("metric", self.metric, METRICS)
        _checks.one_of("method", self.settings.kind, [record.kind for record in METHODS])

    def plan(self, model: nn.Module, data: Data | Samples, seed: int) -> Plan:
        """Plan of this case for a trained network; `seed` replaces that of the settings."""
        # Methods without randomness have no seed.
        seeded: dict[str, Any] = {"seed": seed} if hasattr(self.settings, "seed") else {}
        return METHODS[type(self.settings)](model, data, replace(self.settings, **seeded))
