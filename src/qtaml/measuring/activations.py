"""Activations that lie in a memory between two layers: a key-value cache, a frame, a feature map."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import InitVar, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError, ModelError
from qtaml.faults import AnyFault, FlipProbability, GivenDevice, GivenFault, given, of_device
from qtaml.formats import Format, Largest, Section, TensorFormat


@dataclass(frozen=True)
class ActivationStream:
    """How the outputs of a module are kept until they are used, and how that memory fails.

    Each output is scaled by its largest magnitude, written once to the nearest levels, and read once; each call of the
    module has errors of its own. What is kept takes no cells of the plan: it is measured only.

    Args:
        p: flip probability of a cell, or a range of it; or
        device: a preset or its name, a cell, or the file (.json) of a measured one, read `lifetime` after it was
            written.

    Attributes:
        fault: a fault model, or a list of them, in place of `p`.
        lifetime: time between writing and reading in seconds, for a device.
        format: levels, and a protection for each bit; 8 raw bits in offset binary if not given.
        granularity: one scale for each sample ("row", the first dimension), or for the whole output ("tensor").

    Raises:
        ArgumentError: if not exactly one of `p`, `fault` and `device` is given, `lifetime` comes without a device or is
            missing, or a value is not allowed.

    Example:
        >>> ActivationStream(p=0.01).fault
        Uniform(p=0.01)
        >>> short = ActivationStream(device="gaincell_2t_sion", lifetime=1e-6)
        >>> short.fault.p < ActivationStream(device="gaincell_2t_sion", lifetime=20e-6).fault.p
        True
    """

    p: InitVar[FlipProbability | None] = None
    device: InitVar[GivenDevice | None] = None
    fault: GivenFault = None  # type: ignore[assignment]  # `p` or `device` stands for it
    lifetime: float | None = None
    format: Format = field(default_factory=Format)
    granularity: Literal["tensor", "row"] = "row"

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None) -> None:
        # None where `p` or `device` stands for it.
        other: AnyFault | None = self.fault
        if device is None and self.lifetime is not None:
            raise ArgumentError(f"lifetime must come with a device, got {self.lifetime!r} without")
        if device is None:
            fault = given(p, other)
        elif p is None and other is None and self.lifetime is not None:
            fault = of_device(device, _checks.positive("lifetime", self.lifetime))
        else:
            raise ArgumentError(
                f"device must come with lifetime and without p or fault, got {device!r}, p={p!r}, fault={other!r}, "
                f"lifetime={self.lifetime!r}"
            )
        object.__setattr__(self, "fault", fault)
        _checks.one_of("granularity", self.granularity, ("tensor", "row"))
        if self.format.levels.is_stream:
            raise ArgumentError(f"format must have words of one weight each, got {self.format.levels.kind} levels")

    def read(self, values: torch.Tensor, fault: AnyFault, *, seed: int, place: str) -> torch.Tensor:
        """Activations as read once, in their dtype.

        Args:
            values: finite floating numbers, samples first.
            fault: how the memory fails in this read.
            seed: of the errors.
            place: of the memory.

        Raises:
            ModelError: if they are not finite.
        """
        if not bool(torch.isfinite(values).all()):
            raise ModelError(f"activations of {place!r} must be finite to be kept, got NaN or infinity")
        if not values.numel():
            return values
        storage = TensorFormat((Section(values.numel(), self.format),), Largest(), self.granularity)
        words, scale = storage.encode(values, fault)
        read = torch.empty(words.shape, dtype=values.dtype, device=words.device)
        return storage.read(words, scale, fault, seed=seed, place=place, out=read)


Streams = Mapping[str, ActivationStream]
"""The stream of each pattern of module names."""


class ActivationErrors:
    """The errors of the outputs of some modules of a network, drawn anew for each read.

    Args:
        model: the network; nothing of it is changed outside `at`.
        streams: the stream of each pattern of module names, such as `{"encoder.*.attention.v": ...}`.

    Raises:
        ArgumentError: if a pattern matches no module, or two match one.
    """

    def __init__(self, model: nn.Module, streams: Streams) -> None:
        modules = {name: module for name, module in model.named_modules() if name}
        self._streams: dict[str, tuple[nn.Module, ActivationStream]] = {}
        self._names: dict[str, list[str]] = {}
        for pattern, stream in streams.items():
            found = [name for name in modules if fnmatchcase(name, pattern)]
            if not found:
                raise ArgumentError(f"activations pattern {pattern!r} matches none of: {', '.join(modules)}")
            if twice := [name for name in found if name in self._streams]:
                raise ArgumentError(f"activations must match each module once, got {twice[0]!r} by {pattern!r} too")
            self._streams |= {name: (modules[name], stream) for name in found}
            self._names[pattern] = found

    @contextmanager
    def at(self, seed: int) -> Iterator[None]:
        """Read outputs with the errors of a seed, inside the block.

        Raises:
            ModelError: if no module of a pattern was called in it: nothing would be read with errors.
        """
        calls = Counter[str]()
        with ExitStack() as hooks:
            for name, (module, stream) in self._streams.items():
                hook = module.register_forward_hook(_hook(name, stream, stream.fault.of_read(seed), seed, calls))
                hooks.callback(hook.remove)
            yield
        for pattern, names in self._names.items():
            if not any(calls[name] for name in names):
                raise ModelError(f"no module that the activations pattern {pattern!r} matches is called: {names[0]!r}")


def _hook(
    name: str, stream: ActivationStream, fault: Any, seed: int, calls: Counter[str]
) -> Callable[[nn.Module, Any, Any], Any]:
    def read(values: torch.Tensor) -> torch.Tensor:
        calls[name] += 1
        own = child_seed(seed, "activations", name, calls[name])
        return stream.read(values, fault, seed=own, place=name) if values.is_floating_point() else values

    return lambda module, args, output: tree_map_only(torch.Tensor, read, output)
