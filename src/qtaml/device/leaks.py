"""Ways in which the voltage of a storage node leaks away beside, or in place of, tunnelling through a gate.

Each leak gives the logarithm of its current over the node's voltage, for a cell `deviate` standard deviations away from
the nominal one: more deviate, more current. Voltages are magnitudes of the stored state, and no current flows at 0 V.
"""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.electrodes import TunnelJunction
from qtaml.device.thermal import log_arrhenius, thermal_energy

# K at which thresholds, swings and reference currents are stated.
REFERENCE_TEMPERATURE = 300.0


@runtime_checkable
class Leak(Protocol):
    """Protocol of leaks."""

    @property
    def name(self) -> str:
        """What leaks, in words."""

    @property
    def spread(self) -> float:
        """What a deviate is the standard deviation of; 0 if all cells leak alike."""

    def log_currents(self, voltage: ArrayLike, temperature: float, deviate: ArrayLike = 0.0) -> Array:
        """Ln of A at node voltages (V, above 0) and deviates, which broadcast; -inf where nothing flows."""

    def enlarged(self, area: float) -> Self:
        """The leak of a cell of `area` times the area: more current, and a spread smaller by its square root."""


@dataclass(frozen=True)
class Subthreshold:
    """Current of the write transistor that is switched off: I (T/300)^2 10^((gate - V_T)/swing(T)) (1 - e^(-V/kT)).

    The swing is proportional to T. With `halving` the currents at 300 K are doubled every so many K in place of that.

    Args:
        current: A, at the threshold and 300 K.
        threshold: V_T at 300 K, V.
        swing: V for each decade of current at 300 K; at least ln 10 kT/q = 0.0595.
        gate: voltage of the gate of the switched-off transistor, V; below 0 it is under-driven.
        threshold_spread: standard deviation of V_T from cell to cell, V.
        barrier_lowering: fall of V_T for each V at the node (DIBL).
        threshold_slope: change of V_T for each K, V/K.
        halving: K in which retention halves, if it follows the exponential law; 26 in NS-Cache.

    Raises:
        ArgumentError: if a quantity is out of its range.

    Source:
        theory.md 2.9; the spread: Edri et al., TCAS-I 2016; `halving`: NS-Cache (exp(-0.0268 dT)).

    Example:
        >>> leak = Subthreshold(1e-7, threshold=0.45, swing=0.07, threshold_spread=0.05)
        >>> more = leak.log_currents(0.6, 300.0, 1.0) - leak.log_currents(0.6, 300.0)
        >>> round(float(more), 2)  # ln 10 sigma/swing
        1.64
    """

    current: float
    threshold: float
    swing: float
    _: KW_ONLY
    gate: float = 0.0
    threshold_spread: float = 0.0
    barrier_lowering: float = 0.0
    threshold_slope: float = 0.0
    halving: float | None = None
    name: str = "subthreshold"

    def __post_init__(self) -> None:
        _checks.positive("current", self.current)
        _checks.real("threshold", self.threshold)
        least = float(np.log(10)) * thermal_energy(REFERENCE_TEMPERATURE)
        _checks.at_least("swing", self.swing, least)
        for name in ("threshold_spread", "barrier_lowering"):
            _checks.non_negative(name, getattr(self, name))
        for name in ("gate", "threshold_slope"):
            _checks.real(name, getattr(self, name))
        if self.halving is not None:
            _checks.positive("halving", self.halving)

    @property
    def spread(self) -> float:
        """Of the threshold, V."""
        return self.threshold_spread

    def log_currents(self, voltage: ArrayLike, temperature: float, deviate: ArrayLike = 0.0) -> Array:
        """Ln of A; see `Leak`."""
        volts, at = np.asarray(voltage, dtype=np.float64), temperature
        if self.halving is not None:
            at = REFERENCE_TEMPERATURE
        ratio = at / REFERENCE_TEMPERATURE
        threshold = self.threshold + self.threshold_slope * (at - REFERENCE_TEMPERATURE)
        over = self.gate - threshold + self.barrier_lowering * volts + self.threshold_spread * np.asarray(deviate)
        off = np.log(10) * over / (self.swing * ratio)
        drain = np.log(-np.expm1(-volts / thermal_energy(at)))
        return np.asarray(np.log(self.current) + 2 * np.log(ratio) + off + drain + _log_gain(self.halving, temperature))

    def enlarged(self, area: float) -> Self:
        """The leak of a larger cell."""
        scale = _checks.positive("area", area)
        return replace(self, current=self.current * scale, threshold_spread=self.threshold_spread / scale**0.5)


@dataclass(frozen=True)
class _StatedCurrent:
    """A leak whose current is stated at a voltage and 300 K, and whose logarithm is normal over cells."""

    current: float
    at: float
    _: KW_ONLY
    log_spread: float = 0.0

    def __post_init__(self) -> None:
        for name in ("current", "at"):
            _checks.positive(name, getattr(self, name))
        _checks.non_negative("log_spread", self.log_spread)

    @property
    def spread(self) -> float:
        """Of ln(current)."""
        return self.log_spread

    def enlarged(self, area: float) -> Self:
        """The leak of a larger cell."""
        scale = _checks.positive("area", area)
        return replace(self, current=self.current * scale, log_spread=self.log_spread / scale**0.5)

    def _stated(self, log_ratio: ArrayLike, deviate: ArrayLike) -> Array:
        """Ln of A, of so many times the stated current."""
        return np.asarray(np.log(self.current) + np.asarray(log_ratio) + self.log_spread * np.asarray(deviate))


@dataclass(frozen=True)
class JunctionLeakage(_StatedCurrent):
    """Generation in the reverse-biased junction at the node: I ~ sqrt(V + V_bi) (1 - e^(-V/2kT)) e^(-E_a/kT).

    Args:
        current: A, of a nominal cell at `at` volts and 300 K.
        at: V.
        built_in: voltage of the junction, V.
        activation_energy: eV; half the gap of silicon for generation at mid-gap.
        log_spread: standard deviation of ln(current) from cell to cell.
        halving: K in which the current doubles, in place of the activation energy.

    Raises:
        ArgumentError: if a quantity is out of its range.

    Source:
        theory.md 2.9 (Sah, Noyce and Shockley 1957; from memory).

    Example:
        >>> leak = JunctionLeakage(1e-16, at=0.6)
        >>> f"{np.exp(leak.log_currents(0.6, 300.0)):.0e}, {np.exp(leak.log_currents(0.6, 358.0)):.0e}"
        '1e-16, 3e-15'
    """

    _: KW_ONLY
    built_in: float = 0.7
    activation_energy: float = 0.56
    halving: float | None = None
    name: str = "junction"

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("built_in", self.built_in)
        _checks.non_negative("activation_energy", self.activation_energy)
        if self.halving is not None:
            _checks.positive("halving", self.halving)

    def log_currents(self, voltage: ArrayLike, temperature: float, deviate: ArrayLike = 0.0) -> Array:
        """Ln of A; see `Leak`."""
        if self.halving is not None:
            at, heated = REFERENCE_TEMPERATURE, _log_gain(self.halving, temperature)
        else:
            at, heated = temperature, _log_activated(self.activation_energy, temperature)
        shape = self._log_shape(voltage, at) - self._log_shape(self.at, REFERENCE_TEMPERATURE)
        return self._stated(shape + heated, deviate)

    def _log_shape(self, voltage: ArrayLike, temperature: float) -> Array:
        volts = np.asarray(voltage, dtype=np.float64)
        return np.asarray(
            np.log(volts + self.built_in) / 2 + np.log(-np.expm1(-volts / (2 * thermal_energy(temperature))))
        )


@dataclass(frozen=True)
class GateInduced(_StatedCurrent):
    """Gate-induced drain leakage of the write transistor: band-to-band tunnelling where its gate overlaps the node.

    I ~ F e^(-B/F) V^3/(c + V^3) with F = (V - gate - band bending)/(3 oxide); none where F is not above 0.

    Args:
        current: A, of a nominal cell at `at` volts and 300 K.
        at: V.
        gate: voltage of the gate of the switched-off transistor, V; under-drive below 0 makes it worse.
        oxide: equivalent oxide thickness, nm.
        bending: band bending, V.
        slope: B, V/nm.
        activation_energy: eV; none for pure tunnelling.
        log_spread: standard deviation of ln(current) from cell to cell.

    Raises:
        ArgumentError: if a quantity is out of its range, or nothing flows at `at` volts.

    Source:
        theory.md 2.9; form and defaults: BSIM4 4.8 (EGIDL 0.8 V, BGIDL 2.3e9 V/m, CGIDL 0.5 V^3).

    Example:
        >>> leak = GateInduced(1e-15, at=1.0, gate=-0.3, oxide=1.0)
        >>> float(leak.log_currents(0.4, 300.0))
        -inf
    """

    _: KW_ONLY
    gate: float
    oxide: float
    bending: float = 0.8
    slope: float = 2.3
    activation_energy: float = 0.0
    name: str = "gate-induced"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("oxide", "slope"):
            _checks.positive(name, getattr(self, name))
        _checks.real("gate", self.gate)
        for name in ("bending", "activation_energy"):
            _checks.non_negative(name, getattr(self, name))
        # The current is stated there, so there has to be one.
        _checks.at_least("at", self.at, float(np.nextafter(self.gate + self.bending, np.inf)))

    def log_currents(self, voltage: ArrayLike, temperature: float, deviate: ArrayLike = 0.0) -> Array:
        """Ln of A; see `Leak`."""
        shape = self._log_shape(voltage) - self._log_shape(self.at)
        heated = _log_activated(self.activation_energy, temperature)
        return self._stated(shape + heated, deviate)

    def _log_shape(self, voltage: ArrayLike) -> Array:
        volts = np.asarray(voltage, dtype=np.float64)
        field = (volts - self.gate - self.bending) / (3 * self.oxide)
        flows = field > 0
        safe = np.where(flows, field, 1.0)
        return np.asarray(
            np.where(flows, np.log(safe) - self.slope / safe + 3 * np.log(volts) - np.log(0.5 + volts**3), -np.inf)
        )


@dataclass(frozen=True)
class GateTunnelling:
    """Tunnelling through the gate of the read transistor, self-consistent: I = C V nu T(V), so dN/dt = -N nu T(V(N)).

    Args:
        junction: node, gate electrode, and the insulator between them.
        capacitance: of that gate, F; its charge is what attempts to tunnel.
        attempt_frequency: nu, Hz.
        thickness_spread: standard deviation of the thickness from cell to cell, nm.
        positive: whether the node stores its charge as a positive voltage, so that electrons enter it from the gate.

    Raises:
        ArgumentError: if a quantity is out of its range.

    Source:
        theory.md 2.2, 2.8.

    Example:
        >>> from qtaml.device import Electrode, insulator
        >>> same = TunnelJunction(Electrode("n+ Si"), Electrode("n+ Si"), insulator("sio2"), 1.8)
        >>> f"{np.exp(GateTunnelling(same, 1e-15, 2e13).log_currents(0.5, 300.0)):.1e}"
        '1.6e-11'
    """

    junction: TunnelJunction
    capacitance: float
    attempt_frequency: float
    _: KW_ONLY
    thickness_spread: float = 0.0
    positive: bool = True
    name: str = "gate tunnelling"

    def __post_init__(self) -> None:
        _checks.positive("capacitance", self.capacitance)
        _checks.positive("attempt_frequency", self.attempt_frequency)
        _checks.non_negative("thickness_spread", self.thickness_spread)

    @property
    def spread(self) -> float:
        """Of the thickness, nm."""
        return self.thickness_spread

    def log_currents(self, voltage: ArrayLike, temperature: float, deviate: ArrayLike = 0.0) -> Array:
        """Ln of A; see `Leak`."""
        volts, extra = np.asarray(voltage, dtype=np.float64), -self.thickness_spread * np.asarray(deviate)
        levels = -volts if self.positive else volts
        passed = self.junction.log_transmissions(levels, temperature, extra)
        return np.asarray(np.log(self.capacitance * volts * self.attempt_frequency) + passed)

    def enlarged(self, area: float) -> Self:
        """The leak of a larger cell."""
        scale = _checks.positive("area", area)
        spread = self.thickness_spread / scale**0.5
        return replace(self, capacitance=self.capacitance * scale, thickness_spread=spread)


def _log_gain(halving: float | None, temperature: float) -> float:
    """Logarithm of the gain in current that halves retention every `halving` K above 300 K."""
    return 0.0 if halving is None else float(np.log(2)) * (temperature - REFERENCE_TEMPERATURE) / halving


def _log_activated(energy: float, temperature: float) -> float:
    """Logarithm of exp(-E_a/kT) against 300 K."""
    return log_arrhenius(energy, temperature) - log_arrhenius(energy, REFERENCE_TEMPERATURE)
