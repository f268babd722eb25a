"""What can be asked of a laboratory: a network, a way to store it, and a way in which the memory fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from torch import nn

from qtaml.faults import AnyFault, Uniform
from qtaml.networks import RECIPES, Data
from qtaml.planning import (
    Decoding,
    Designer,
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

Settings = dict[str, Setting]
Method = Literal["uniform_msp", "tac", "magnitude", "sensitivity", "random", "fixed_point", "weight_scaling", "design"]


@lru_cache(maxsize=4)
def _designer(
    model: nn.Module, data: Data, fault: AnyFault, seed: int, decoders: tuple[Decoding, ...], rows: bool
) -> Designer:
    return Designer(model, data.calibration, fault=fault, decoders=decoders, rows=rows, seed=seed)


METHODS: dict[Method, Callable[[nn.Module, Data, AnyFault, int, dict[str, Any]], Plan]] = {
    "uniform_msp": lambda model, data, fault, seed, given: uniform_msp(model, fault=fault, **given),
    "tac": lambda model, data, fault, seed, given: compensate(model, data.calibration, fault=fault, seed=seed, **given),
    "magnitude": lambda model, data, fault, seed, given: magnitude_protection(model, fault=fault, **given),
    "sensitivity": lambda model, data, fault, seed, given: sensitivity_protection(
        model, data.calibration, fault=fault, seed=seed, **given
    ),
    "random": lambda model, data, fault, seed, given: random_protection(model, fault=fault, seed=seed, **given),
    "fixed_point": lambda model, data, fault, seed, given: fixed_point(model, fault=fault, **given),
    "weight_scaling": lambda model, data, fault, seed, given: weight_scaling(model, fault=fault, **given),
    "design": lambda model, data, fault, seed, given: _designer(
        model, data, fault, seed, tuple(given["decoders"]), given["rows"]
    ).plan(given["cells"]),
}
"""How each method plans the storage of a network; the settings are its keyword arguments."""


@dataclass(frozen=True)
class Case:
    """One network, one way to store it, and one way in which the memory fails.

    Faults that go without saying are None, however they were given: cases that are the same are one measurement.

    Attributes:
        network: a key of `qtaml.networks.RECIPES`.
        method: a key of `METHODS`.
        settings: its keyword arguments.
        fault: what is planned for; None for the flip probability at which the network is studied.
        read_fault: how the memory really fails; None for as planned.
        metric: accuracy on the test samples, squared output deviation on the calibration samples, or negative
            log-likelihood of the test texts.
    """

    network: str
    method: Method = "tac"
    settings: Settings = field(default_factory=dict)
    fault: AnyFault | None = None
    read_fault: AnyFault | None = None
    metric: Literal["accuracy", "output_error", "log_likelihood"] = "accuracy"

    def __post_init__(self) -> None:
        if self.network in RECIPES and self.fault == Uniform(RECIPES[self.network].p):
            object.__setattr__(self, "fault", None)
        if self.read_fault is not None and self.read_fault == self.planned_fault:
            object.__setattr__(self, "read_fault", None)

    @property
    def planned_fault(self) -> AnyFault | None:
        """What is planned for; None if the network is unknown."""
        known = RECIPES.get(self.network)
        return self.fault or (Uniform(known.p) if known else None)

    def plan(self, model: nn.Module, data: Data, seed: int) -> Plan:
        """How the case stores a trained network of its kind."""
        return METHODS[self.method](
            model, data, self.fault or Uniform(RECIPES[self.network].p), seed, dict(self.settings)
        )
