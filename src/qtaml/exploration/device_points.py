"""Flip probabilities of a device over a grid of thicknesses, heights, voltages, temperatures and windows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.device import Cell, ExtrapolationWarning, MeasuredCell, Preset, RetentionCell, cell_and_window
from qtaml.errors import ArgumentError

AXES = ("thickness", "height", "voltage", "temperature", "window")
"""What a device is explored over."""


@runtime_checkable
class Device(Protocol):
    """Anything that knows its flip probability after a window; `Cell` can be varied in all axes."""

    def flip_probability(self, window: Any) -> Any:
        """Flip probability after windows in s."""


@dataclass(frozen=True)
class DevicePoint:
    """A device at one place of the grid.

    Attributes:
        thickness: of the barrier (of the varied layer of a stack), nm; None where the device has none.
        height: of the barrier, eV; None where that is no single number.
        voltage: across the barrier, V; None where the device is as it came.
        temperature: K; None where the device is as it came.
        window: s between refreshes.
        p: flip probability, of the state that is lost more often; of a measured cell the upper end of its band.
        cell: the device there; None for a point without one, which has no better cells.
    """

    thickness: float | None
    height: float | None
    voltage: float | None
    temperature: float | None
    window: float
    p: float
    cell: Device | None = field(default=None, repr=False, compare=False)


def device_points(
    device: Device | Preset | str,
    windows: Sequence[float],
    *,
    thicknesses: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    voltages: Sequence[float] | None = None,
    temperatures: Sequence[float] | None = None,
) -> tuple[DevicePoint, ...]:
    """The grid of all combinations.

    Args:
        device: a preset or its name, a cell or the file (.json) of a measured one, of which the upper end of its band
            of 95% counts, or anything with `flip_probability(window)`.
        windows: s between refreshes.
        thicknesses: of the barrier, nm; that of the cell if not given, as for all others.
        heights: of the barrier, eV.
        voltages: across the barrier, V: the field is voltage over thickness.
        temperatures: K.

    Returns:
        A point for each combination, windows last.

    Raises:
        ArgumentError: if a list is empty, a number is not above 0 (a voltage below), or the device cannot be varied so.

    Warns:
        ExtrapolationWarning: if a measured cell is asked about windows outside its data.

    Example:
        >>> points = device_points("gaincell_2t_sion", [20e-6], thicknesses=[1.75, 1.8])
        >>> [f"{one.p:.2g}" for one in points]
        ['0.27', '0.053']
    """
    times = _axis("windows", windows)
    if None in times:
        raise ArgumentError("windows must be given, in s")
    if isinstance(device, str | Preset):
        device, _ = cell_and_window(device, times[0])
    axes = (
        _axis("thicknesses", thicknesses),
        _axis("heights", heights),
        _axis("voltages", voltages, zero=True),
        _axis("temperatures", temperatures),
    )
    found = []
    for thickness, height, voltage, temperature in product(*axes):
        cell = _varied(device, thickness, height, voltage, temperature)
        barrier = getattr(cell, "barrier", None)
        shown = (getattr(barrier, "thickness", None), getattr(barrier, "height", None), voltage)
        rates = _rates(cell, np.array(times))
        kelvin = getattr(cell, "temperature", None) if temperature is None else temperature
        pairs = zip(times, rates, strict=True)
        found += [DevicePoint(*shown, kelvin, float(window), float(p), cell) for window, p in pairs]
    return tuple(found)


def _rates(device: Any, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flip probabilities of the state that is lost more often; of a measured cell the upper ends of its band."""
    if isinstance(device, MeasuredCell):
        # Once for all windows: thousands of points would say it thousands of times.
        if said := device.extrapolation(windows):
            warnings.warn(said, ExtrapolationWarning, stacklevel=4)
        return device.band_at(windows)[1]
    if isinstance(device, RetentionCell):
        return np.exp(device.log_worst_probabilities(windows))
    return np.asarray(device.flip_probability(windows), dtype=np.float64)


def _axis(name: str, values: Sequence[float] | None, *, zero: bool = False) -> list[Any]:
    if values is None:
        return [None]
    check = _checks.non_negative if zero else _checks.positive
    if not len(values):
        raise ArgumentError(f"{name} must hold at least one number, got {values!r}")
    return [check(name, value) for value in values]


def _varied(
    device: Device, thickness: float | None, height: float | None, voltage: float | None, temperature: float | None
) -> Any:
    """The device at one place but for the window."""
    changed: Any = device
    if (thickness, height, voltage) != (None, None, None):
        if not isinstance(device, Cell):
            raise ArgumentError(
                f"thicknesses, heights and voltages need a Cell, whose barrier they are of, got {device!r}"
            )
        changed = replace(device, barrier=_barrier(device.barrier, thickness, height, voltage))
    if temperature is not None:
        if not hasattr(changed, "temperature") and not hasattr(changed, "at"):
            raise ArgumentError(f"temperatures need a device that has one, got {device!r}")
        # Cells whose law over temperature is their own say with `at` what they are at another one.
        changed = changed.at(temperature) if hasattr(changed, "at") else replace(changed, temperature=temperature)
    return changed


def _barrier(barrier: Any, thickness: float | None, height: float | None, voltage: float | None) -> Any:
    if thickness is not None:
        barrier = barrier.thickened(thickness - barrier.thickness)
    for name, axis, value in (("height", "heights", height), ("field", "voltages", voltage)):
        if value is not None and not hasattr(barrier, name):
            raise ArgumentError(f"{axis} need a barrier with one {name}, got {barrier}")
    if height is not None:
        barrier = replace(barrier, height=height)
    return barrier if voltage is None else replace(barrier, field=voltage / barrier.thickness)
