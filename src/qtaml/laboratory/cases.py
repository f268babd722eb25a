"""What can be asked of a laboratory: a network, a way to store it, and a way in which the memory fails."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, Uniform
from qtaml.model import Batch
from qtaml.networks import RECIPES, Data, Recipe
from qtaml.planning import (
    Plan,
    Setting,
    compensate,
    fixed_point,
    magnitude_protection,
    random_protection,
    sensitivity_protection,
    uniform_msp,
    weight_scaling,
)
from qtaml.search import REAL_DECODERS, Decoding, Designer

Settings = dict[str, Setting]
Method = Literal["uniform_msp", "tac", "magnitude", "sensitivity", "random", "fixed_point", "weight_scaling", "design"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a network's task.

    Attributes:
        calibration: unlabelled inputs, samples first.
        test_inputs: test inputs, samples first.
        test_labels: right class of each, shape (samples,).
    """

    calibration: Batch
    test_inputs: Batch
    test_labels: torch.Tensor


@dataclass(frozen=True)
class OwnNetwork:
    """A network that is not built in, named by the content of its files.

    Attributes:
        model: "package.module:factory", or the name of a `.pt2` file.
        code: SHA-256 of the module's source; empty for a file.
        weights: name of the file of the state dict; None for the weights that the model comes with.
        calibration: name of the file of calibration inputs.
        test: name of the file of test inputs and labels.
    """

    model: str
    code: str
    weights: str | None
    calibration: str
    test: str


@lru_cache(maxsize=4)
def _designer(
    model: nn.Module, data: Data | Samples, fault: AnyFault, seed: int, decoders: tuple[Decoding, ...], rows: bool
) -> Designer:
    return Designer(model, data.calibration, fault=fault, decoders=decoders, rows=rows, seed=seed)


def _design(
    model: nn.Module,
    data: Data | Samples,
    *,
    fault: AnyFault,
    cells: float,
    decoders: Sequence[Decoding] = REAL_DECODERS,
    rows: bool = False,
    seed: int = 0,
) -> Plan:
    return _designer(model, data, fault, seed, tuple(decoders), rows).plan(cells)


METHODS: dict[Method, Callable[..., Plan]] = {
    "uniform_msp": uniform_msp,
    "tac": compensate,
    "magnitude": magnitude_protection,
    "sensitivity": sensitivity_protection,
    "random": random_protection,
    "fixed_point": fixed_point,
    "weight_scaling": weight_scaling,
    "design": _design,
}
"""How each method plans the storage of a network; the settings are its keyword arguments."""


@dataclass(frozen=True)
class Case:
    """One network, one way to store it, and one way in which the memory fails.

    Faults that go without saying are None, however they were given: cases that are the same are one measurement.

    Attributes:
        network: a key of `qtaml.networks.RECIPES`; any name for a network of one's own.
        method: a key of `METHODS`.
        settings: its keyword arguments.
        fault: what is planned for; None for the flip probability at which the network is studied.
        read_fault: how the memory really fails; None for as planned.
        metric: accuracy on the test samples, squared output deviation on the calibration samples, or negative
            log-likelihood of the test texts.
        own: the network if it is not built in; it needs a fault.
    """

    network: str
    method: Method = "tac"
    settings: Settings = field(default_factory=dict)
    fault: AnyFault | None = None
    read_fault: AnyFault | None = None
    metric: Literal["accuracy", "output_error", "log_likelihood"] = "accuracy"
    own: OwnNetwork | None = None

    def __post_init__(self) -> None:
        known = self._known
        if known and self.fault == Uniform(known.p):
            object.__setattr__(self, "fault", None)
        if self.read_fault is not None and self.read_fault == self.planned_fault:
            object.__setattr__(self, "read_fault", None)

    @property
    def _known(self) -> Recipe | None:
        return None if self.own else RECIPES.get(self.network)

    @property
    def planned_fault(self) -> AnyFault | None:
        """What is planned for; None if the network is unknown."""
        known = self._known
        return self.fault or (Uniform(known.p) if known else None)

    def check(self) -> None:
        """Refuse a network or a method that does not exist.

        Raises:
            ArgumentError: naming it, and those that exist.
        """
        if self.own is None:
            _checks.one_of("network", self.network, RECIPES)
        elif self.fault is None:
            raise ArgumentError(f"fault must be given for {self.network!r}, which is not built in")
        _checks.one_of("method", self.method, METHODS)

    def plan(self, model: nn.Module, data: Data | Samples, seed: int) -> Plan:
        """How the case stores a trained network of its kind."""
        method = METHODS[self.method]
        offered = {"calibration": data.calibration, "data": data, "seed": seed}
        wanted = inspect.signature(method).parameters
        given = {name: value for name, value in offered.items() if name in wanted}
        return method(model, **given, fault=self.planned_fault, **self.settings)
