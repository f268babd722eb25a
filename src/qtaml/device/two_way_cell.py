"""A cell between two electrodes: p10 by electrons that escape and p01 by electrons that are injected."""

from dataclasses import KW_ONLY, dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.device import escape
from qtaml.device._arrays import Array, Quantity, like
from qtaml.device.averaging import log_normal_average
from qtaml.device.electrodes import TunnelJunction
from qtaml.device.inverse import required_log_exposure
from qtaml.device.retention import RetentionCell, enlarged_charge
from qtaml.device.tails import log_binomial_tail


@dataclass(frozen=True)
class TwoWayCell(RetentionCell):
    """A cell whose places for electrons lose and gain them, each at the rates of its junction.

    Each of N_e places changes between full and empty at constant rates: a full one is empty after the window with
    probability out/(out + in) (1 - exp(-(out + in) tau)), an empty one full with in/(out + in) of the same. A charged
    cell starts with all places full and is lost when more than n_th are empty; an empty one starts with none and is
    wrong when so many are full that it reads as charged.

    Args:
        junction: both electrodes and the insulator.
        electrons: N_e, in a charged cell.
        threshold: n_th, largest number of missing electrons at which a cell reads as charged.
        attempt_frequency: nu, Hz.
        charged: level of a charged node above the gate, eV.
        empty: level of an empty one, eV; below 0 where the gate's electrons are drawn in.
        temperature: K; above 0.
        thickness_spread: standard deviation of the thickness from cell to cell, nm.

    Raises:
        ArgumentError: if there is no electron, the threshold is not below their number, or a quantity is out of range.

    Source:
        theory.md 2.8.

    Example:
        >>> from qtaml.device import Electrode, TunnelJunction, insulator
        >>> junction = TunnelJunction(Electrode("n+ Si"), Electrode("TiN"), insulator("sio2"), 2.0)
        >>> shift = junction.neutral_level  # of a floating node
        >>> cell = TwoWayCell(junction, 200, 100, 1e13, charged=0.4 + shift, empty=shift, thickness_spread=0.05)
        >>> p01, p10 = cell.rates(5e-4)
        >>> f"{p01:.3f}, {p10:.3f}"
        '0.000, 0.495'
    """

    junction: TunnelJunction
    electrons: int
    threshold: int
    attempt_frequency: float
    _: KW_ONLY
    charged: float
    empty: float
    temperature: float = 300.0
    thickness_spread: float = 0.0

    def __post_init__(self) -> None:
        escape.check_electrons(self.electrons, self.threshold)
        _checks.positive("attempt_frequency", self.attempt_frequency)
        _checks.positive("temperature", self.temperature)
        _checks.non_negative("thickness_spread", self.thickness_spread)
        for level in (self.charged, self.empty):
            self.junction.barrier(level)

    def parameters(self) -> dict[str, str]:
        """All parameters as text, by their names with units."""
        node, gate = self.junction.node, self.junction.gate
        return {
            "electrodes, node and gate": f"{node.material}, {gate.material}",
            "work functions (eV)": f"{node.work_function:g} ({node.source}), {gate.work_function:g} ({gate.source})",
            "insulator, thickness (nm)": f"{self.junction.insulator.name}, {self.junction.thickness:g}",
            "electrons, threshold": f"{self.electrons}, {self.threshold}",
            "level of a charged and of an empty node (eV)": f"{self.charged:g}, {self.empty:g}",
            "attempt frequency (Hz)": f"{self.attempt_frequency:.3g}",
            "temperature (K)": f"{self.temperature:g}",
            "spread of thickness (nm)": f"{self.thickness_spread:g}",
        }

    def rates(self, window: Quantity, charged: int = 1) -> tuple[Quantity, Quantity]:
        """Error rates (p01, p10) by injection into empty cells and escape from charged ones.

        Args:
            window: s, a float or an array.
            charged: the bit that a charged cell stands for.

        Returns:
            (p01, p10): P(read 1 | stored 0) and P(read 0 | stored 1).

        Raises:
            ArgumentError: if a window is not above 0 or `charged` is not a bit.

        Source:
            theory.md 2.8.
        """
        lost = like(window, np.exp(self.log_flip_probabilities(window)))
        gained = like(window, np.exp(self.log_gain_probabilities(window)))
        return (gained, lost) if _checks.integer("charged", charged, 0, 1) == 1 else (lost, gained)

    def log_flip_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of the probability that a charged cell is lost, over windows in s."""
        return self._log_average(window, self.charged, 0, self.threshold)

    def log_gain_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of the probability that an empty cell reads as charged, over windows in s."""
        # It does from N_e - n_th electrons on.
        return self._log_average(window, self.empty, 1, self.electrons - self.threshold - 1)

    def log_worst_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of the larger of both probabilities, over windows in s."""
        return np.maximum(self.log_flip_probabilities(window), self.log_gain_probabilities(window))

    def typical_log_window(self, p: ArrayLike) -> Array:
        """Logarithm of the window in s at which escape alone, without spread, reaches p."""
        log_rate = self.junction.log_rates(self.charged, self.temperature, self.attempt_frequency)[0]
        return required_log_exposure(p, self.electrons, self.threshold) - log_rate

    def enlarged(self, area: float) -> Self:
        """The same cell with `area` times the electrons and the threshold, and a spread smaller by sqrt(area).

        Raises:
            ArgumentError: if the area is below 1.

        Source:
            theory.md 2.7.
        """
        return enlarged_charge(self, area)

    def _log_average(self, window: ArrayLike, level: float, way: int, threshold: int) -> Array:
        """Logarithm of the probability that more than `threshold` places change, out (0) or in (1), mean over cells."""
        log_window = np.log(_checks.positive_array("window", window))

        def log_changed(extra: Array, log_tau: Array) -> Array:
            rates = self.junction.log_rates(level, self.temperature, self.attempt_frequency, extra)
            both = np.logaddexp(*rates)
            changed = rates[way] - both + escape.log_escape_probability(both + log_tau)
            exposure = escape.log_exposure(changed, 0.0)
            return log_binomial_tail(self.electrons, threshold, exposure)

        if self.thickness_spread == 0:
            return log_changed(np.zeros_like(log_window), log_window)
        return log_normal_average(
            lambda z: log_changed(self.thickness_spread * z, log_window[..., None]), log_window.shape
        )
