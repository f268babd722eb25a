"""A cell fitted to measured retention: its flip probability over time and temperature, with a confidence band."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike
from rich.table import Table
from scipy import special

from qtaml import _checks, _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.device._arrays import Array, Quantity, like
from qtaml.device.fit_records import Alternative, GoodnessOfFit, Share
from qtaml.device.lognormal_mixture import Law, Mixture, acceleration, log_share, mixture, names
from qtaml.device.mechanisms import DRAWN
from qtaml.device.retention import RetentionCell
from qtaml.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of a free parameter, for derivatives of the fitted curve: they are of order 1.
_STEP = 1e-4


class ExtrapolationWarning(UserWarning):
    """A measured cell was asked about a window or a temperature outside its data."""


@dataclass(frozen=True)
class MeasuredCell(RetentionCell):
    """A cell whose retention was measured: as from `fit_retention`, saved and loaded as JSON.

    ln t is normal, with a second normal for a tail of weak cells if the data ask for it; temperature moves all of it.
    Windows and temperatures outside the data give an `ExtrapolationWarning`.

    Attributes:
        law: of temperature: "arrhenius", "exponential", or "none" for data of one temperature.
        tail: whether there is a second normal.
        reference: K, to which times are reduced.
        estimates: free parameters in the order of `lognormal_mixture.names`.
        covariance: of the estimates; from the scatter of chips if there are more of them than parameters.
        heterogeneity: factor in it, above 1 where the counts scatter more about the law than chance explains.
        degrees: of freedom of the band: failures less parameters, those of the heterogeneity, or chips less one.
        windows: of the data, reduced to the reference temperature, s.
        temperatures: of the data, K.
        cells: number in the data.
        failures: number of them that failed.
        shares: what was measured, for pictures.
        goodness: test of the fit, None where the data leave nothing to test.
        alternatives: laws that were tried.
        source: where the data come from.
        temperature: K at which the cell works.

    Source:
        theory.md 2.10.
    """

    law: Law
    tail: bool
    reference: float
    estimates: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    heterogeneity: float
    degrees: int
    windows: tuple[float, float]
    temperatures: tuple[float, float]
    cells: int
    failures: int
    shares: tuple[Share, ...]
    goodness: GoodnessOfFit | None
    alternatives: tuple[Alternative, ...]
    source: str
    temperature: float

    def __post_init__(self) -> None:
        for name in ("reference", "temperature"):
            _checks.positive(name, getattr(self, name))
        wanted = names(self.law, self.tail)
        if len(self.estimates) != len(wanted) or np.shape(self.covariance) != (len(wanted),) * 2:
            raise ArgumentError(f"estimates must be {', '.join(wanted)}, with their covariance, got {self.estimates!r}")

    @property
    def fitted(self) -> Mixture:
        """The fitted law at the reference temperature."""
        return mixture(self.estimates, self.law, self.tail)

    def parameters(self) -> dict[str, str]:
        """Estimates with intervals of 95%, and what they rest on."""
        rows = {
            "measured": f"{self.failures} of {self.cells} cells failed; {self.source}",
            f"median at {self.reference:.4g} K (s)": self._with_interval("log_median", np.exp),
            "standard deviation of ln t": self._with_interval("log_sigma", np.exp),
        }
        if self.law == "arrhenius":
            rows["activation energy (eV)"] = self._with_interval("slope", lambda x: x)
        elif self.law == "exponential":
            # Halving falls with the slope, so its ends change places.
            rows["halved every (K)"] = self._with_interval("slope", lambda x: np.log(2) / x)
        if self.tail:
            rows["share of the tail"] = self._with_interval("logit_weight", special.expit)
            rows["ln t of the tail earlier by"] = self._with_interval("log_shift", np.exp)
            rows["standard deviation of the tail"] = self._with_interval("log_tail_sigma", np.exp)
        rows["data, reduced to the reference (s)"] = f"{self.windows[0]:.3g} to {self.windows[1]:.3g}"
        rows["temperatures of the data (K)"] = f"{self.temperatures[0]:.4g} to {self.temperatures[1]:.4g}"
        rows["goodness of fit"] = self._goodness_text()
        rows["laws tried (information criterion)"] = ", ".join(
            f"{one.law}{' with tail' if one.tail else ''} {one.criterion:.1f}" for one in self.alternatives
        )
        rows["temperature (K)"] = f"{self.temperature:g}"
        return rows

    def table(self) -> Table:
        """The parameters."""
        table = Table(show_header=False)
        for row in self.parameters().items():
            table.add_row(*row)
        return table

    def __str__(self) -> str:
        """The table as text."""
        return _tables.as_text(self.table())

    def interval(self, name: str, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval of a free parameter, one of `lognormal_mixture.names`.

        Raises:
            ArgumentError: if the fit has no such parameter.
        """
        known = names(self.law, self.tail)
        place = known.index(_checks.one_of("name", name, known))
        reach = self._quantile(confidence) * self.covariance[place][place] ** 0.5
        return self.estimates[place] - reach, self.estimates[place] + reach

    def at(self, temperature: float) -> Self:
        """The same cell at another temperature, K.

        Raises:
            ArgumentError: if it is not above 0, or all data are of one temperature, which is another.
        """
        _checks.positive("temperature", temperature)
        if self.law == "none" and temperature != self.reference:
            raise ArgumentError(
                f"temperature must be {self.reference:g} K: all data are of that one, got {temperature!r}"
            )
        return replace(self, temperature=temperature)

    def flip_probability(self, window: Quantity, temperature: float | None = None) -> Quantity:
        """Share of the cells that have lost their bit, by the fitted law; see `RetentionCell.flip_probability`.

        Warns:
            ExtrapolationWarning: if the window or the temperature lies outside the data.
        """
        cell = self if temperature is None else self.at(temperature)
        return like(window, np.exp(cell.log_flip_probability(window)))

    def log_flip_probability(self, window: Quantity) -> Quantity:
        """Logarithm of `flip_probability`, exact where p underflows.

        Warns:
            ExtrapolationWarning: if the window or the temperature lies outside the data.
        """
        found = like(window, self.log_flip_probabilities(window))
        self._warn(window)
        return found

    def window_for(self, p: Quantity) -> Quantity:
        """Retention time: the window at which the fitted law reaches p; see `RetentionCell.window_for`.

        Warns:
            ExtrapolationWarning: if it or the temperature lies outside the data.
        """
        found = super().window_for(p)
        self._warn(found)
        return found

    def log_flip_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of the share of cells that have lost their bit, over windows in s."""
        return self._log_share(np.asarray(self.estimates), np.log(_checks.positive_array("window", window)))

    def typical_log_window(self, p: ArrayLike) -> Array:
        """Logarithm of the window in s at which the bulk of the cells, without tail, reaches p."""
        of = self.fitted
        scores = special.ndtri(np.asarray(p, dtype=np.float64))
        return np.asarray(of.median + of.sigma * scores + self._shift(of))

    def band(self, window: float, temperature: float | None = None, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval of p at a window: the pair that `design(p=...)` takes as a reserve.

        By the delta method on the scale of normal deviates of p, with Student's t.

        Args:
            window: s.
            temperature: K; that of the cell if not given.
            confidence: of the interval.

        Returns:
            (low, high), for this window and temperature alone.

        Raises:
            ArgumentError: if an argument is out of its range.

        Warns:
            ExtrapolationWarning: if the window or the temperature lies outside the data.

        Source:
            theory.md 2.10.
        """
        cell = self if temperature is None else self.at(temperature)
        cell._warn(_checks.positive("window", window))
        low, high = cell.band_at(np.array([window]), confidence)
        return float(low[0]), float(high[0])

    def band_at(self, windows: Array, confidence: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper p over windows in s, each for its window alone; `band` with no word of extrapolation."""
        log_windows, estimates = np.log(windows), np.asarray(self.estimates)

        def scores(values: Array) -> Array:
            return np.asarray(special.ndtri_exp(self._log_share(values, log_windows)))

        steps = _STEP * np.eye(estimates.size)
        slopes = np.array([scores(estimates + step) - scores(estimates - step) for step in steps]) / (2 * _STEP)
        variance = np.einsum("iw,ij,jw->w", slopes, np.asarray(self.covariance), slopes)
        middle, reach = scores(estimates), self._quantile(confidence) * np.sqrt(variance)
        return special.ndtr(middle - reach), special.ndtr(middle + reach)

    @property
    def reach(self) -> tuple[float, float]:
        """Shortest and longest window of the data, moved to the cell's temperature by the fitted law, s."""
        low, high = np.exp(np.log(self.windows) + self._shift(self.fitted))
        return float(low), float(high)

    def extrapolation(self, window: ArrayLike) -> str:
        """Why a question at these windows, in s, is an extrapolation; empty if it is not one."""
        low, high = self.temperatures
        if not low - 0.5 <= self.temperature <= high + 0.5:
            return f"temperature of {self.temperature:g} K is an extrapolation: data are of {low:g} to {high:g} K"
        reach, times = self.reach, np.asarray(window, dtype=np.float64)
        outside = (times < reach[0] * (1 - 1e-9)) | (times > reach[1] * (1 + 1e-9))
        if not outside.any():
            return ""
        worst = float(times[outside].flat[0])
        return (
            f"window of {worst:.3g} s at {self.temperature:g} K is an extrapolation: data reach from {reach[0]:.3g} to "
            f"{reach[1]:.3g} s at that temperature"
        )

    def mechanisms(self) -> dict[str, RetentionCell]:
        """The fitted law: what leaks, data of retention do not say."""
        return {"as measured": self}

    def enlarged(self, area: float) -> Self:
        """Refused: what a larger cell would do was not measured.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(f"area must be 1 for a measured cell: larger ones were not measured, got {area!r}")

    def save(self, path: str | Path) -> None:
        """Write the cell as JSON, all at once.

        Raises:
            StoredFileError: if it cannot be written.
        """
        _files.write_text(path, _files.to_json(self))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The cell of a file that `save` wrote.

        Raises:
            StoredFileError: if the file is missing, or holds no such cell.
        """
        return _files.from_json(cls, _files.read_bytes(Path(path)), str(path))

    def plot(self, windows: tuple[float, float] | None = None) -> "Figure":
        """Fitted curves with bands of 95% over time, and what was measured, temperature by temperature.

        Args:
            windows: from and to, s; those of the data and a decade before if not given.

        Raises:
            ArgumentError: if the range is empty or not above 0.
            QtamlError: if matplotlib is not installed.
        """
        panels = []
        for kelvin in sorted({share.temperature for share in self.shares}) or [self.temperature]:
            cell, measured = self.at(kelvin), [share for share in self.shares if share.temperature == kelvin]
            seen = [share.window for share in measured] or list(cell.reach)
            times = self.times_around(windows or (min(seen) / 10, max(seen) * 2), 41)
            low, high = cell.band_at(times, 0.95)
            fitted = np.exp(cell.log_flip_probabilities(times)).tolist()
            curves = [
                Curve("fit, 95% band", times.tolist(), fitted, low.tolist(), high.tolist(), band=True),
                _measured_curve(measured),
            ]
            panels.append(
                Panel(
                    curves,
                    f"{kelvin:.4g} K",
                    "time since refresh (s)",
                    "flip probability",
                    log_x=True,
                    log_y=(max(float(low.min()) / 2, DRAWN[0]), DRAWN[1]),
                )
            )
        return panels_figure(panels, columns=2)

    def _log_share(self, estimates: Array, log_window: Array) -> Array:
        of = mixture(estimates, self.law, self.tail)
        return log_share(of, log_window - self._shift(of))

    def _shift(self, of: Mixture) -> Array:
        return acceleration(self.law, of.slope, self.temperature, self.reference)

    def _quantile(self, confidence: float) -> float:
        return float(scipy.stats.t.isf((1 - _checks.confidence(confidence)) / 2, self.degrees))

    def _with_interval(self, name: str, shown: Callable[[float], float]) -> str:
        value = self.estimates[names(self.law, self.tail).index(name)]
        low, high = sorted(shown(end) for end in self.interval(name))
        return f"{shown(value):.4g} ({low:.4g} to {high:.4g})"

    def _goodness_text(self) -> str:
        if self.goodness is None:
            return "too few classes to test"
        found = self.goodness
        verdict = "; the law does not describe the data" if found.p_value_largest < 0.01 else ""
        if self.heterogeneity > 1:
            verdict += f"; intervals are {self.heterogeneity**0.5:.2g} times as wide for that"
        between = f"{found.p_value:.3g}" + (
            f" to {found.p_value_largest:.3g}" if found.p_value_largest > found.p_value else ""
        )
        return f"G^2 = {found.statistic:.3g} with {found.degrees} degrees of freedom, p-value {between}{verdict}"

    def _warn(self, window: ArrayLike) -> None:
        if said := self.extrapolation(window):
            warnings.warn(said, ExtrapolationWarning, stacklevel=3)


def _measured_curve(measured: list[Share]) -> Curve:
    """Shares that failed, with exact intervals of 95% (Clopper and Pearson)."""
    failed = np.array([share.failed for share in measured])
    cells = np.array([share.cells for share in measured])
    beta = scipy.stats.beta
    low = np.where(failed > 0, beta.ppf(0.025, np.maximum(failed, 1), cells - failed + 1), 0.0)
    high = np.where(failed < cells, beta.ppf(0.975, failed + 1, np.maximum(cells - failed, 1)), 1.0)
    times = [share.window for share in measured]
    return Curve("measured", times, (failed / cells).tolist(), low.tolist(), high.tolist(), points=True)
