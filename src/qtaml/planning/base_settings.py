"""What every method is asked, and how settings that several methods have are checked."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, InitVar, dataclass, field, fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import ConfigDict, PlainSerializer

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import FlipProbability, GivenDevice, GivenFault
from qtaml.faults.choice import of_memory
from qtaml.formats.scales import check_granularity
from qtaml.model import output_name

GivenOutput = Annotated[str | Callable[[Any], Any] | None, PlainSerializer(output_name)]
"""The output that counts; of a function, records have the name."""


def check_overhead(overhead: float) -> float:
    """Return an overhead if it is a share from 0 to 1, else raise `ArgumentError`."""
    share = _checks.real("overhead", overhead)
    if not 0 <= share <= 1:
        raise ArgumentError(
            f"overhead must be a share from 0 to 1 (every bit protected), got {overhead!r}; 5 per cent is 0.05"
        )
    return share


def _patterns(name: str, patterns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentError(f"{name} must be a sequence of patterns, got {patterns!r}")
    return tuple(patterns)


def _output(output: Any) -> Any:
    if output is not None and not callable(output) and not (isinstance(output, str) and output):
        raise ArgumentError(f"output must be a name such as 'logits' or a function, got {output!r}")
    return output


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "overhead": check_overhead,
    "bits": partial(_checks.integer, "bits", low=2, high=16),
    "granularity": check_granularity,
    "passes": partial(_checks.integer, "passes", low=2),
    "map_reads": partial(_checks.integer, "map_reads", low=1),
    "trials": partial(_checks.integer, "trials", low=2),
    "seed": partial(_checks.integer, "seed", low=0),
    "include": partial(_patterns, "include"),
    "exclude": partial(_patterns, "exclude"),
    "output": _output,
    "unreached_floor": partial(_checks.non_negative, "unreached_floor"),
}
"""A setting of one name is checked alike in every method."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every method is asked.

    Attributes:
        p: flip probability of a cell, in [0, 0.5), kept as `fault=Uniform(p)`; two of them are the ends of a range in
            which it lies, kept as `faults.Several`; or
        fault: a fault model; a list of them means that a chip is one of these memories, kept as `faults.Several`; or
        device: a preset or its name (`qtaml device list`), a cell, or the file (.json) of a measured one, kept as its
            flip probability, which of a measured cell is a range: its band of 95%.
        window: with a device, s between refreshes; that of the preset if not given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: str = field(default="", repr=False)
    p: InitVar[FlipProbability | None] = None
    fault: GivenFault = None  # type: ignore[assignment]  # `p` or `device` stands for it
    device: InitVar[GivenDevice | None] = None
    window: InitVar[float | None] = None

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None, window: float | None) -> None:
        object.__setattr__(self, "fault", of_memory(p, self.fault, device, window))
        self._check_fields()

    def _check_fields(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if get_origin(setting.type) is Literal:
                _checks.one_of(setting.name, value, get_args(setting.type))
            elif check := _CHECKS.get(setting.name):
                object.__setattr__(self, setting.name, check(value))

    def __str__(self) -> str:
        """The call that makes the record, without what is as it is by default."""
        defaults = {
            one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(self)
        }
        asked = {name: getattr(self, name) for name in defaults}
        told = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value != defaults[name])
        return f"{type(self).__name__}({told})"
