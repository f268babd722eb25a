"""One memory cell: from its barrier and its electrons to the probability that its bit is read wrong."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from qtaml import _checks
from qtaml.device import escape
from qtaml.device._arrays import Array, Quantity, like
from qtaml.device.averaging import log_normal_average
from qtaml.device.barriers import Barrier
from qtaml.device.inverse import double_until, find_root, required_log_exposure, solve
from qtaml.device.retention import RetentionCell, enlarged_charge
from qtaml.device.tails import log_binomial_tail, log_sum_tail
from qtaml.device.thermal import log_thermal_factor
from qtaml.device.traps import Traps
from qtaml.errors import ArgumentError

# Largest extra thickness in nm that an inverse question tries: far beyond any insulator, and a power of 2, so that
# doubling from 1 nm ends there.
_THICKEST = 1024.0


@dataclass(frozen=True)
class Cell(RetentionCell):
    """A cell that stores one bit as charge behind a tunnelling barrier.

    Each of N_e electrons tries to escape nu times a second; the bit is lost when more than n_th have escaped:
    p = P(Binomial(N_e, p_e) > n_th) with p_e = 1 - (1 - T)^(nu tau). With a spread of thickness, every probability
    below is the average over cells; which cells fail is then mostly fixed (`qtaml.device.static_flip_probabilities`).
    With a few hundred electrons p of a single cell is nearly a step in time and thickness; it is the spread that makes
    a p of 0.05 to 0.1 a natural operating point.

    Args:
        barrier: `Rectangular`, `Stack` or `Profile`.
        electrons: N_e, stored in a charged cell.
        threshold: n_th, largest number of escaped electrons at which the bit is still read right.
        attempt_frequency: nu, Hz.
        temperature: K; at 0 the thermal factor is left out.
        thickness_spread: standard deviation of the barrier's thickness from cell to cell, nm.
        traps: a second way out of the cell, absent unless given.

    Raises:
        ArgumentError: if there is no electron, the threshold is not below their number, or a quantity is negative.

    Source:
        paper section 3 and A.2; theory.md 1.1, 2.4, 4.

    Example:
        >>> from qtaml.device import Rectangular
        >>> cell = Cell(Rectangular(3.15, 2.38, 0.42), electrons=20, threshold=10, attempt_frequency=1e13)
        >>> round(cell.flip_probability(64e-3), 3)
        0.047
    """

    barrier: Barrier
    electrons: int
    threshold: int
    attempt_frequency: float
    _: KW_ONLY
    temperature: float = 0.0
    thickness_spread: float = 0.0
    traps: Traps | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.barrier, Barrier):
            raise ArgumentError(f"barrier must be a Rectangular, Stack or Profile, got {self.barrier!r}")
        escape.check_electrons(self.electrons, self.threshold)
        _checks.positive("attempt_frequency", self.attempt_frequency)
        _checks.non_negative("temperature", self.temperature)
        _checks.non_negative("thickness_spread", self.thickness_spread)

    def parameters(self) -> dict[str, str]:
        """All parameters as text, by their names with units."""
        return {
            "barrier (eV, nm, electron masses, V/nm)": str(self.barrier),
            "electrons, threshold": f"{self.electrons}, {self.threshold}",
            "attempt frequency (Hz)": f"{self.attempt_frequency:.3g}",
            "temperature (K)": f"{self.temperature:g}",
            "spread of thickness (nm)": f"{self.thickness_spread:g}",
            "traps": str(self.traps or "none"),
        }

    def log_transmission(self, extra: ArrayLike = 0.0) -> Array:
        """Logarithm of T of one attempt with the thermal factor: -S - ln(1 - kT d ln T/dE), at most 0.

        Args:
            extra: nm on top of the nominal thickness.

        Returns:
            Natural logarithms, of the shape of `extra`.

        Raises:
            ArgumentError: if the temperature is too high for the closed form.

        Source:
            paper Lemma A.7; theory.md 2.2.
        """
        action = self.barrier.actions(0.0, extra)
        if self.temperature == 0:
            return -action
        factor = log_thermal_factor(self.barrier.action_slopes(0.0, extra), self.temperature)
        # The thermal factor is a leading term: for a vanishing barrier it would lift T above 1.
        return np.asarray(np.minimum(factor - action, 0.0))

    def escape_probability(self, window: Quantity) -> Quantity:
        """p_e = 1 - (1 - T)^(nu tau): the probability that a given electron tunnels out of a nominal cell.

        Args:
            window: s, a float or an array.

        Returns:
            p_e, a float for a float.

        Raises:
            ArgumentError: if a window is not above 0.

        Source:
            paper Lemma A.8; theory.md 1.1.

        Example:
            >>> from qtaml.device import preset
            >>> round(preset("fg_dt_3p0").escape_probability(100.0), 3)
            0.403
        """
        log_window = np.log(_checks.positive_array("window", window))
        return like(window, np.exp(escape.log_escape_probability(self._log_exposure(log_window, 0.0))))

    def escape_count(self, window: float) -> Any:
        """Binomial(N_e, p_e): law of the number of electrons that tunnel out of a nominal cell, traps left out.

        Args:
            window: s.

        Returns:
            A frozen scipy distribution.

        Raises:
            ArgumentError: if the window is not above 0.

        Source:
            paper A.2; theory.md 1.1.

        Example:
            >>> from qtaml.device import preset
            >>> round(float(preset("fg_dt_3p0").escape_count(100.0).std()), 2)
            6.94
        """
        log_window = np.log(_checks.positive("window", window))
        return escape.escape_count(self.electrons, float(self._log_exposure(log_window, 0.0)))

    def log_flip_probabilities(self, window: ArrayLike, extra: ArrayLike = 0.0) -> Array:
        """Logarithm of p over windows and extra thicknesses, which broadcast: ln E_z[p(tau, d + extra + sigma z)].

        Args:
            window: s.
            extra: nm on top of the nominal thickness; a total below 0 counts as no barrier.

        Returns:
            Natural logarithms, of the broadcast shape.

        Raises:
            ArgumentError: if a window is not above 0.

        Source:
            theory.md 1.1, 2.4.

        Example:
            >>> from qtaml.device import preset
            >>> preset("fg_dt_3p0").log_flip_probabilities(60.0, extra=[0.0, 0.5, 1.0]).round(1)
            array([  -2.4,  -66.1, -225. ])
        """
        return self._log_average(np.log(_checks.positive_array("window", window)), np.asarray(extra, dtype=np.float64))

    def window_for(self, p: Quantity) -> Quantity:
        """Retention time: the window at which p is reached.

        tau = ln(1 - p_e)/(nu ln(1 - T)) with p_e = I^-1(p; n_th + 1, N_e - n_th); by root finding with spread or traps.

        Args:
            p: in (0, 1), a float or an array.

        Returns:
            s; infinite where it is longer than the largest float.

        Raises:
            ArgumentError: if a p is not in (0, 1).

        Source:
            theory.md 1.1 "Closed inverses".

        Example:
            >>> from qtaml.device import preset
            >>> round(preset("fg_dt_3p0").window_for(0.1), 1)
            63.0
        """
        log_window = self.typical_log_window(p)
        # Spread and traps move the root, traps by many decades, so the closed form only starts the search.
        if self.thickness_spread > 0 or self.traps is not None:
            wanted, nominal = np.log(np.asarray(p, dtype=np.float64)), np.asarray(0.0)
            log_window = solve(lambda u, log_p: self._log_average(u, nominal) - log_p, log_window, wanted)
        with np.errstate(over="ignore"):
            return like(p, np.exp(log_window))

    def typical_log_window(self, p: ArrayLike) -> Array:
        """Logarithm of the window in s at which a cell without spread and traps reaches p: the closed form."""
        return np.asarray(required_log_exposure(p, self.electrons, self.threshold) - self._log_exposure(0.0, 0.0))

    def thickness_for(self, p: Quantity, window: float) -> Quantity:
        """Thickness in nm (of the barrier's varied layer) that gives p at a window.

        By root finding, for every barrier; for a rectangle without spread it is d = -ln T/(2 kappa), where
        ln(1 - T) = ln(1 - p_e)/(nu tau) and p_e is that of `window_for`.

        Args:
            p: in (0, 1), a float or an array.
            window: s.

        Returns:
            nm.

        Raises:
            ArgumentError: if a p is not in (0, 1), the window not above 0, or no thickness gives that p.

        Source:
            theory.md 1.1 "Closed inverses".

        Example:
            >>> from qtaml.device import preset
            >>> round(preset("fg_dt_3p0").thickness_for(0.1, window=1.0), 2)
            2.65
        """
        wanted = np.log(_checks.open_probability_array("p", p))
        log_window = np.log(_checks.positive("window", window))

        def excess(extra: Array, log_p: Array) -> Array:
            """Wanted ln p minus ln p: increasing in the thickness."""
            return log_p - self._log_average(log_window, extra)

        low = np.full(wanted.shape, -self.barrier.thickness)
        high = double_until(lambda extra: excess(extra, wanted), np.ones(wanted.shape), _THICKEST)
        if (excess(low, wanted) > 0).any() or (excess(high, wanted) < 0).any():
            raise ArgumentError(f"p must be reachable by some thickness at a window of {window!r} s, got {p!r}")
        return like(p, self.barrier.thickness + find_root(excess, low, high, wanted))

    def hardened(self, p: float, window: float) -> tuple[Self, float]:
        """The same cell with the thickness at which p is reached only at `window`.

        Args:
            p: wanted residual probability, in (0, 1).
            window: s.

        Returns:
            The cell, and its extra thickness in nm (negative if this cell is better than asked).

        Raises:
            ArgumentError: as in `thickness_for`.

        Source:
            theory.md 2.7.

        Example:
            >>> from qtaml.device import preset
            >>> hardened, extra = preset("fg_dt_3p0").hardened(1e-9, window=60.0)
            >>> round(extra, 2), f"{hardened.flip_probability(60.0):.0e}"
            (0.24, '1e-09')
        """
        extra = self.thickness_for(p, window) - self.barrier.thickness
        return self.thickened(extra), extra

    def thickened(self, extra: float) -> Self:
        """The same cell with a barrier `extra` nm thicker."""
        return replace(self, barrier=self.barrier.thickened(extra))

    def enlarged(self, area: float) -> Self:
        """The same cell with `area` times the electrons and the threshold, and a spread smaller by sqrt(area).

        Args:
            area: in cells of this size, at least 1; electrons and threshold are rounded.

        Raises:
            ArgumentError: if the area is below 1.

        Source:
            theory.md 2.7.

        Example:
            >>> from qtaml.device import preset
            >>> f"{preset('gaincell_2t_sion').enlarged(4.0).flip_probability(20e-6):.1e}"
            '6.1e-04'
        """
        return enlarged_charge(self, area)

    def mechanisms(self) -> dict[str, RetentionCell]:
        """Direct tunnelling alone, and if there are traps, both together."""
        direct: dict[str, RetentionCell] = {"direct tunnelling": replace(self, traps=None)}
        return direct if self.traps is None else direct | {"tunnelling and traps": self}

    def kinds_of_cells(self, window: float, number: int) -> tuple[Array, Array]:
        """Lost-bit probabilities over quantiles of thickness and numbers of traps, and the share of cells of each.

        Args:
            window: s.
            number: quantiles of the thickness times numbers of traps.
        """
        log_window = np.log(_checks.positive("window", window))
        counts, log_shares = self.traps.counts() if self.traps is not None else ((0,), np.zeros(1))
        quantiles = max(_checks.integer("number", number, 1) // len(counts), 1)
        extra = self.thickness_spread * special.ndtri((np.arange(quantiles) + 0.5) / quantiles)
        p = np.concatenate([np.exp(self.log_lost_probabilities(log_window, extra, count)) for count in counts])
        return p, np.repeat(np.exp(log_shares), quantiles) / quantiles

    def log_lost_probabilities(self, log_window: ArrayLike, extra: ArrayLike = 0.0, traps: int = 0) -> Array:
        """Logarithm of P(X + Y > n_th) of cells of known thickness and number of traps: nothing is averaged.

        X ~ Binomial(N_e, p_e) are the electrons that tunnel, Y ~ Poisson(traps x rate x window) those through traps.

        Args:
            log_window: ln of seconds.
            extra: nm on top of the nominal thickness.
            traps: number of traps of each of these cells.

        Returns:
            Natural logarithms, of the broadcast shape.

        Raises:
            ArgumentError: if there are traps but the cell has no `traps` to describe them.

        Source:
            paper Definition A.9; theory.md 4.
        """
        exposure = self._log_exposure(log_window, extra)
        if traps == 0:
            return log_binomial_tail(self.electrons, self.threshold, exposure)
        if self.traps is None:
            raise ArgumentError(f"traps must be 0 for a cell without Traps, got {traps!r}")
        rate = self.traps.log_rate(self.barrier, self.electrons, self.attempt_frequency, self.temperature, extra)
        return log_sum_tail(self.electrons, self.threshold, exposure, np.log(traps) + np.asarray(log_window) + rate)

    def _log_exposure(self, log_window: ArrayLike, extra: ArrayLike) -> Array:
        """Logarithm of nu tau (-ln(1 - T))."""
        # A sum of logarithms: the number of attempts nu tau itself may overflow when a root is searched in ln tau.
        log_attempts = np.log(self.attempt_frequency) + np.asarray(log_window)
        return escape.log_exposure(self.log_transmission(extra), log_attempts)

    def _log_average(self, log_window: ArrayLike, extra: Array) -> Array:
        """Logarithm of p averaged over the number of traps and over the spread of thickness."""
        counts, log_shares = self.traps.counts() if self.traps is not None else ((0,), np.zeros(1))
        terms = [self._log_spread_average(np.asarray(log_window), extra, count) for count in counts]
        log_p = special.logsumexp(np.stack(terms, axis=-1) + log_shares, axis=-1)
        return np.asarray(np.minimum(log_p, 0.0))

    def _log_spread_average(self, log_window: Array, extra: Array, traps: int) -> Array:
        """Logarithm of p of cells with so many traps, averaged over the spread of thickness."""
        if self.thickness_spread == 0:
            return self.log_lost_probabilities(log_window, extra, traps)
        shape = np.broadcast_shapes(log_window.shape, extra.shape)
        return log_normal_average(
            lambda z: self.log_lost_probabilities(
                log_window[..., None], extra[..., None] + self.thickness_spread * z, traps
            ),
            shape,
        )
