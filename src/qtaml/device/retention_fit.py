"""Maximum likelihood of measured retention times, exact or censored, with a test of what was fitted."""

from typing import Literal

import numpy as np
import scipy
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.fit_records import Alternative, GoodnessOfFit, Share
from qtaml.device.lognormal_mixture import (
    TAIL,
    Law,
    acceleration,
    log_density,
    log_share,
    log_share_between,
    log_share_left,
    mixture,
    names,
)
from qtaml.device.measured_cell import MeasuredCell
from qtaml.device.retention_data import RetentionData
from qtaml.errors import ArgumentError, QtamlError

# A class of the test of fit holds so many cells at least, of expectation.
_FEWEST_EXPECTED = 5.0
# For each temperature: classes in which single retention times are counted, and most windows of failing bits.
_CLASSES, _MOST_WINDOWS = 10, 40
# Standard error above which a logarithm or logit says nothing.
_VAGUE = 2.0
# Below this p-value intervals allow for the scatter: Finney's heterogeneity factor of probit analysis.
_SCATTERED = 0.05
# Single times above so many are rounded before they are joined.
_MANY = 2000
# A step of free parameters in the second differences of the likelihood: they are of order 1.
_STEP = 1e-3


def fit_retention(
    data: RetentionData,
    *,
    law: Literal["arrhenius", "exponential"] | None = None,
    tail: bool | None = None,
    temperature: float | None = None,
) -> MeasuredCell:
    """A cell fitted to measured retention by maximum likelihood.

    Args:
        data: as from `read_retention`.
        law: of temperature; if not given, the likelier one, Arrhenius where both are equally likely.
        tail: whether there is a second, earlier lognormal; if not given, whatever has the smaller Bayesian information
            criterion.
        temperature: K at which the cell works; the highest of the data if not given, which is the worst.

    Returns:
        The cell, with its confidence band and a test of the fit.

    Raises:
        ArgumentError: if an argument is out of its range.
        QtamlError: if the data do not determine the law: too few failures, or all at one time.

    Source:
        theory.md 2.10.

    Example:
        >>> times = np.exp(np.random.default_rng(0).normal(np.log(1e-3), 0.8, 500))
        >>> data = RetentionData(times, times, np.full(500, 300.0), np.ones(500))
        >>> cell = fit_retention(data)
        >>> low, high = cell.band(2e-4)
        >>> bool(low < special.ndtr(np.log(0.2) / 0.8) < high)
        True
    """
    kelvins = np.unique(np.asarray(data.temperature)[np.asarray(data.cells) > 0])
    laws: tuple[Law, ...] = (
        ("none",) if kelvins.size == 1 else (law,) if law is not None else ("arrhenius", "exponential")
    )
    if law is not None and kelvins.size == 1:
        raise ArgumentError(f"law must be left out for data of one temperature, got {law!r}")
    tried = []
    for one in laws:
        for with_tail in (False, True) if tail is None else (tail,):
            try:
                tried.append(_Likelihood(data, one, with_tail).best())
            except QtamlError:
                # A tail that nothing in the data asks for is no reason to refuse the law without.
                if with_tail is False or tail is True:
                    raise
    # Rounded, so that equally likely laws are a tie, which the first one wins.
    found = min(tried, key=lambda fitted: round(fitted.criterion, 2))
    alternatives = tuple(Alternative(one.law, one.tail, one.log_likelihood, one.criterion) for one in tried)
    return found.cell(alternatives, float(kelvins[-1]) if temperature is None else temperature)


class _Likelihood:
    """Log-likelihood of retention data over free parameters, and its maximum."""

    def __init__(self, data: RetentionData, law: Law, tail: bool) -> None:
        self.data, self.law, self.tail = data, law, tail
        self.after, self.by, self.kelvin, self.chip, self.cells = _joined_rows(data)
        self.reference = float(np.round(np.average(self.kelvin, weights=self.cells), 1))
        with np.errstate(divide="ignore"):
            self.log_after, self.log_by = np.log(self.after), np.log(self.by)
        self.exact = self.after == self.by
        self.left, self.right = self.after == 0, np.isinf(self.by)
        self.between = ~(self.exact | self.left | self.right)
        self.estimates: Array = np.empty(0)
        self.covariance: Array = np.empty((0, 0))
        self.log_likelihood = 0.0

    @property
    def criterion(self) -> float:
        """Bayesian information criterion."""
        return float(self.estimates.size * np.log(self.cells.sum()) - 2 * self.log_likelihood)

    def value(self, free: Array) -> float:
        """Log-likelihood; of exact times that of ln t."""
        return float(self.cells @ self.rows(free))

    def rows(self, free: Array) -> Array:
        """Log-likelihood of one cell of each row."""
        of = mixture(free, self.law, self.tail)
        shift = acceleration(self.law, of.slope, self.kelvin, self.reference)
        low, high = self.log_after - shift, self.log_by - shift
        rows = np.empty(low.shape)
        rows[self.exact] = log_density(of, low[self.exact])
        rows[self.left & ~self.right] = log_share(of, high[self.left & ~self.right])
        rows[self.right & ~self.left] = log_share_left(of, low[self.right & ~self.left])
        rows[self.between] = log_share_between(of, low[self.between], high[self.between])
        # Neither bound: it says nothing.
        rows[self.left & self.right] = 0.0
        # Far from the data a row may underflow; the search has to find its way back.
        return np.maximum(rows, -1e6)

    def best(self) -> "_Likelihood":
        """Find the maximum.

        Raises:
            QtamlError: if there is none that the data determine.
        """
        needed = len(names(self.law, self.tail))
        if self.data.failures <= needed:
            raise QtamlError(f"{self.data.failures} failures are too few for {needed} parameters")
        scale = self.cells.sum()

        def loss(free: Array) -> float:
            return -self.value(free) / float(scale)

        results = [
            scipy.optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-7}) for start in self._starts()
        ]
        self.estimates = np.asarray(min(results, key=lambda one: one.fun).x)
        self.log_likelihood = self.value(self.estimates)
        information = -self._second_derivatives()
        spread = np.linalg.eigvalsh(information) if np.isfinite(information).all() else np.array([-1.0])
        if spread[0] <= 1e-9 * spread[-1]:
            raise QtamlError(
                f"the data do not determine {', '.join(names(self.law, self.tail))}: the likelihood has no clear "
                f"maximum (near {', '.join(f'{one:.3g}' for one in self.estimates)})"
            )
        self.covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
        self._check_known()
        if self.chips > needed:
            scores = self._scores_of_chips()
            between = scores.T @ scores * (self.chips / (self.chips - 1))
            self.covariance = self.covariance @ between @ self.covariance
        return self

    def _check_known(self) -> None:
        """Raise `QtamlError` if the spread or a tail is not known even to orders of magnitude."""
        known = dict(zip(names(self.law, self.tail), np.sqrt(np.diag(self.covariance)).tolist(), strict=True))
        vague = [name for name in ("log_sigma", *TAIL) if known.get(name, 0.0) > _VAGUE]
        if vague:
            # A tail is mostly vague where it mends another misfit than that of weak cells.
            advice = ": leave the tail out with tail=False" if self.tail else ": more windows are needed"
            raise QtamlError(f"the data do not determine {', '.join(vague)}{advice}")

    @property
    def chips(self) -> int:
        """Number of chips in the data."""
        return int(np.unique(self.chip).size)

    def _scores_of_chips(self) -> Array:
        """Derivatives of each chip's log-likelihood, of shape (chips, parameters)."""
        steps = _STEP * np.eye(self.estimates.size)
        slopes = [(self.rows(self.estimates + one) - self.rows(self.estimates - one)) / (2 * _STEP) for one in steps]
        weighted = np.stack(slopes, axis=-1) * self.cells[:, None]
        return np.array([weighted[self.chip == chip].sum(axis=0) for chip in np.unique(self.chip)])

    def cell(self, alternatives: tuple[Alternative, ...], temperature: float) -> MeasuredCell:
        """The fitted cell."""
        of = mixture(self.estimates, self.law, self.tail)
        shift = acceleration(self.law, of.slope, self.kelvin, self.reference)
        reduced = np.concatenate([self.log_after - shift, self.log_by - shift])
        reduced = np.exp(reduced[np.isfinite(reduced)])
        shares = self._shares()
        goodness = self._goodness(shares)
        heterogeneity, degrees = 1.0, self.data.failures - self.estimates.size
        if self.chips > self.estimates.size:
            degrees = self.chips - 1
        elif goodness is not None and goodness.p_value_largest < _SCATTERED:
            heterogeneity, degrees = goodness.statistic / goodness.degrees, goodness.degrees
        return MeasuredCell(
            self.law,
            self.tail,
            self.reference,
            tuple(self.estimates.tolist()),
            tuple(map(tuple, (heterogeneity * self.covariance).tolist())),
            heterogeneity,
            degrees,
            (float(reduced.min()), float(reduced.max())),
            (float(self.kelvin.min()), float(self.kelvin.max())),
            self.data.total,
            self.data.failures,
            shares,
            goodness,
            alternatives,
            self.data.source or "given as arrays",
            _checks.positive("temperature", temperature),
        )

    def _starts(self) -> list[Array]:
        """Where to begin: one law without a tail, of which the likelihood has one maximum; three with one."""
        if self.tail:
            base = _Likelihood(self.data, self.law, False).best().estimates
            sigma = float(base[1])
            return [
                np.array([*base, special.logit(weight), np.log(shift) + sigma, sigma])
                for weight, shift in ((0.01, 3.0), (0.05, 2.0), (0.2, 1.0))
            ]
        finite = np.where(np.isinf(self.by), self.after, self.by)
        failed = self.cells[~self.right].sum() / self.cells.sum()
        # Of the lot, nearly all of what is ever to fail has by then.
        last = float(np.log(np.quantile(finite, 0.95)))
        slopes: dict[Law, list[float]] = {"none": [], "arrhenius": [0.4], "exponential": [0.02]}
        return [np.array([last - float(special.ndtri(np.clip(failed, 0.01, 0.99))), 0.0, *slopes[self.law]])]

    def _second_derivatives(self) -> Array:
        """Of the log-likelihood at the estimates, by central differences."""
        steps = _STEP * np.eye(self.estimates.size)

        def mixed(one: Array, other: Array) -> float:
            corners = [(a, b, self.value(self.estimates + a * one + b * other)) for a in (-1, 1) for b in (-1, 1)]
            return sum(a * b * value for a, b, value in corners) / (4 * _STEP**2)

        return np.array([[mixed(one, other) for other in steps] for one in steps])

    def _shares(self) -> tuple[Share, ...]:
        """Cells that had failed by a few windows, of each chip and temperature, as far as all of them are known."""
        shares = []
        for kelvin, chip in np.unique(np.stack([self.kelvin, self.chip]), axis=1).T:
            here = (self.kelvin == kelvin) & (self.chip == chip)
            after, by, cells = self.after[here], self.by[here], self.cells[here]
            ends = np.unique(by[np.isfinite(by)])
            if ends.size > (_CLASSES if (after == by).any() else _MOST_WINDOWS):
                shares_of_cells = np.arange(1, _CLASSES) / _CLASSES
                ends = np.unique(np.quantile(by, shares_of_cells, weights=cells, method="inverted_cdf"))
            for end in ends[np.isfinite(ends)]:
                # Known of a cell at a time that does not lie strictly inside its bounds.
                if not ((after < end) & (end < by) & (after < by)).any():
                    failed = float(cells[by <= end].sum())
                    shares.append(Share(float(kelvin), int(chip), float(end), failed, float(cells.sum())))
        return tuple(shares)

    def _goodness(self, shares: tuple[Share, ...]) -> GoodnessOfFit | None:
        """G^2 of the counts between the windows of shares; classes of few cells are joined."""
        statistic, classes = 0.0, 0
        of = mixture(self.estimates, self.law, self.tail)
        groups = sorted({(share.temperature, share.chip) for share in shares})
        for kelvin, chip in groups:
            here = [share for share in shares if (share.temperature, share.chip) == (kelvin, chip)]
            shift = float(acceleration(self.law, of.slope, kelvin, self.reference))
            fitted = np.exp(log_share(of, np.log([share.window for share in here]) - shift))
            total = here[0].cells
            seen = np.diff([0.0, *(share.failed for share in here), total])
            expected = total * np.diff([0.0, *fitted, 1.0])
            joined = _joined(seen, expected)
            classes += len(joined)
            statistic += 2 * sum(float(special.xlogy(n, n / m)) for n, m in joined)
        most = classes - len(groups)
        degrees = most - self.estimates.size
        if degrees < 1:
            return None
        least = float(scipy.stats.chi2.sf(statistic, degrees))
        exact = bool(self.exact.any())
        return GoodnessOfFit(statistic, degrees, least, float(scipy.stats.chi2.sf(statistic, most)) if exact else least)


def _joined_rows(data: RetentionData) -> tuple[Array, Array, Array, Array, Array]:
    """After, by, temperature, chip and number of cells, with equal rows joined.

    Of many single times those are equal that differ by less than a two-hundredth of a standard deviation of ln t, which
    adds 2e-6 to the variance in units of its own.
    """
    after, by, kelvin, chip, cells = (
        np.asarray(one)[np.asarray(data.cells) > 0]
        for one in (data.after, data.by, data.temperature, data.chip, data.cells)
    )
    exact = after == by
    if exact.sum() > _MANY:
        step = min(float(np.log(after[exact & (kelvin == one)]).std()) for one in np.unique(kelvin[exact])) / 200
        if step > 0:
            rounded = np.exp(np.round(np.log(after[exact]) / step) * step)
            after, by = after.copy(), by.copy()
            after[exact], by[exact] = rounded, rounded
    rows, place = np.unique(np.stack([after, by, kelvin, chip]), axis=1, return_inverse=True)
    joined = np.asarray(np.bincount(place.ravel(), weights=cells), dtype=np.float64)
    return rows[0], rows[1], rows[2], rows[3], joined


def _joined(seen: Array, expected: Array) -> list[tuple[float, float]]:
    """Neighbouring classes joined until each has enough cells of expectation."""
    classes: list[tuple[float, float]] = []
    count, mean = 0.0, 0.0
    for one, other in zip(seen, expected, strict=True):
        count, mean = count + float(one), mean + float(other)
        if mean >= _FEWEST_EXPECTED:
            classes.append((count, mean))
            count, mean = 0.0, 0.0
    if classes and mean > 0:
        last = classes.pop()
        classes.append((last[0] + count, last[1] + mean))
    return classes
