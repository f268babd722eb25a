"""Reliability statement: failures in time of a network's function, from the flip probability over a mission profile."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml.device.escape import log_escape_probability, log_exposure
from qtaml.device.measured_cell import MeasuredCell
from qtaml.device.retention import RetentionCell
from qtaml.device.tails import log_binomial_tail
from qtaml.device.unit_table import read_table
from qtaml.errors import ArgumentError, StoredFileError

# A failure in time is one in so many hours.
_HOURS = 1e9


@dataclass(frozen=True)
class Phase:
    """A part of a mission.

    Args:
        temperature: of the memory, K.
        hours: that it lasts, in all.

    Raises:
        ArgumentError: if a number is not above 0.

    Source:
        theory.md 2.11.

    Example:
        >>> Phase(temperature=358.15, hours=2000).hours
        2000
    """

    temperature: float
    hours: float

    def __post_init__(self) -> None:
        for name in ("temperature", "hours"):
            _checks.positive(name, getattr(self, name))


@dataclass(frozen=True)
class PhaseFailures:
    """What a phase contributes.

    Attributes:
        phase: temperature and hours.
        p: flip probability of a bit in one window.
        p_before_writing: that it is wrong at the last of the refreshes between two writes.
        log_failure: ln of the probability that the function fails between two writes.
        log_chip_failure: ln of that probability for a single window.
        fit: failures in 1e9 hours of this phase.
    """

    phase: Phase
    p: float
    p_before_writing: float
    log_failure: float
    log_chip_failure: float
    fit: float


@dataclass(frozen=True)
class Reliability:
    """Failures in time of the function, phase by phase and over the mission.

    Attributes:
        phases: what each contributes.
        window: s between refreshes.
        refreshes: between two writes of right data.
        bits: number of stored bits.
        tolerated: share of wrong bits up to which the function works.
        basis: what p is: an estimate, or the upper end of an interval.
        cautions: extrapolations.

    Source:
        theory.md 2.11.
    """

    phases: tuple[PhaseFailures, ...]
    window: float
    refreshes: int
    bits: int
    tolerated: float
    basis: str
    cautions: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Of the mission."""
        return sum(one.phase.hours for one in self.phases)

    @property
    def fit(self) -> float:
        """Failures in 1e9 hours, mean over the mission."""
        return sum(one.fit * one.phase.hours for one in self.phases) / self.hours

    @property
    def failure_probability(self) -> float:
        """That the function fails at least once in the mission."""
        return float(-np.expm1(-self.fit / _HOURS * self.hours))

    @property
    def chip_failure_probability(self) -> float:
        """Share of chips whose function fails, if the weak cells of a chip are the same in every window."""
        return float(np.exp(max(one.log_chip_failure for one in self.phases)))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the statement rests on, in sentences."""
        return (
            f"The function works while at most {self.tolerated:g} of the {self.bits} stored bits are wrong, and fails "
            "beyond.",
            "Bits fail independently of each other, and anew after each write of right data. Where the weak cells of a "
            "chip are always the same, as where cells differ for good, there is no rate: a chip fails in the first "
            f"window of its worst phase or never, and of {self.chip_failure_probability:.3g} of the chips it does.",
            f"Right data are written every {self.refreshes} refreshes, {self.window:g} s apart. A refresh writes back "
            "what it reads, so that lost bits stay lost until then.",
            "Every bit is counted as one of the state that is lost more often.",
            f"p is {self.basis}.",
            "Temperatures are those of the memory; each phase is at one temperature.",
            "Retention alone: no soft errors, no wear, no failure of the refresh or of anything else.",
            *self.cautions,
        )

    def table(self) -> Table:
        """A row for each phase, and one for the mission."""
        table = _tables.captioned_table("failures in time of the function", "\n".join(self.assumptions))
        for column in ("temperature (K)", "hours", "p", "p before writing", "failure between writes", "FIT"):
            table.add_column(column, justify="right")
        for one in self.phases:
            table.add_row(
                f"{one.phase.temperature:.2f}",
                f"{one.phase.hours:g}",
                f"{one.p:.3g}",
                f"{one.p_before_writing:.3g}",
                f"{np.exp(one.log_failure):.3g}",
                f"{one.fit:.3g}",
            )
        table.add_row("mission", f"{self.hours:g}", "", "", f"{self.failure_probability:.3g} in all", f"{self.fit:.3g}")
        return table

    def __str__(self) -> str:
        """The table as text."""
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def to_csv(self) -> str:
        """Phases, mission and assumptions as CSV, to be pasted."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(
            ["temperature (K)", "time (h)", "p of a bit", "p before writing", "failure between writes", "FIT (1/1e9 h)"]
        )
        for one in self.phases:
            numbers = (one.phase.temperature, one.phase.hours, one.p, one.p_before_writing, np.exp(one.log_failure))
            rows.writerow([*(f"{number:.6g}" for number in numbers), f"{one.fit:.6g}"])
        rows.writerow(["mission", f"{self.hours:.6g}", "", "", f"{self.failure_probability:.6g}", f"{self.fit:.6g}"])
        rows.writerows([f"assumption {number}", said] for number, said in enumerate(self.assumptions, 1))
        return text.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the CSV, all at once.

        Raises:
            StoredFileError: if it cannot be written.
        """
        _files.write_text(path, self.to_csv())


def reliability(
    cell: RetentionCell,
    profile: Sequence[Phase],
    *,
    window: float,
    bits: int,
    tolerated: float,
    refreshes: int = 1,
    confidence: float | None = None,
) -> Reliability:
    """Failures in time of a network's function over a mission.

    With p of a bit in a window, 1 - (1 - p)^R is wrong after R refreshes that write back what they read. The function
    fails between two writes with q = P(Binomial(bits, that) > tolerated bits): 1e9 h q/(R window) times in 1e9 hours.

    Args:
        cell: any cell; it gives p at each temperature.
        profile: phases of the mission.
        window: between refreshes, s.
        bits: number of stored bits.
        tolerated: share of wrong bits up to which the network works, such as the upper p of a reserve that it was
            planned for.
        refreshes: R, from one write of right data to the next.
        confidence: of a measured cell: p is the upper end of its interval of this confidence; the estimate if not
            given.

    Returns:
        The statement, with what it assumes.

    Raises:
        ArgumentError: if an argument is out of its range, or a confidence is asked of a cell that was not measured.

    Source:
        theory.md 2.11.

    Example:
        >>> from qtaml.device import preset
        >>> cell = preset("gaincell_3t_16nm")
        >>> found = reliability(cell, [Phase(300.0, 1000.0)], window=1e-3, bits=1_000_000, tolerated=1e-3)
        >>> round(found.phases[0].p, 6), f"{found.fit:.0e}"
        (0.000669, '2e-17')
    """
    _checks.positive("window", window)
    _checks.integer("bits", bits, 1)
    _checks.integer("refreshes", refreshes, 1)
    # 0.0003 x 10,000 falls short of 3 by a rounding, which is a whole bit.
    wrong = int(_checks.probability("tolerated", tolerated) * bits * (1 + 4 * np.finfo(float).eps))
    if not profile:
        raise ArgumentError("profile must be one or more phases, got none")
    if confidence is not None and not isinstance(cell, MeasuredCell):
        raise ArgumentError(f"confidence must be left out for a cell that was not measured, got {confidence!r}")
    phases, cautions = [], []
    for phase in profile:
        at = cell.at(phase.temperature)
        if isinstance(at, MeasuredCell) and (said := at.extrapolation(window)):
            cautions.append(f"The {said}.")
        log_p = float(at.log_worst_probabilities(window)) if confidence is None else _log_upper(at, window, confidence)
        phases.append(_failures(phase, log_p, window, bits, wrong, refreshes))
    basis = "the estimate of its mean over cells"
    if confidence is not None:
        basis = f"the upper end of its interval of {confidence:.0%}, which covers the fit's parameters"
    return Reliability(
        tuple(phases), float(window), refreshes, bits, float(tolerated), basis, tuple(dict.fromkeys(cautions))
    )


def read_profile(path: str | Path) -> tuple[Phase, ...]:
    """A mission profile from a CSV file with the columns `temperature (C)` and `time (h)`, units as they are given.

    Raises:
        StoredFileError: if the file cannot be read, or a column, a unit or a number is missing or wrong.

    Source:
        theory.md 2.11.
    """
    table = read_table(Path(path))
    for name in ("temperature", "time"):
        if name not in table.columns:
            raise StoredFileError(f"{path} must have columns `temperature (C)` and `time (h)`, got no {name!r}")
    if other := [name for name in table.columns if name not in ("temperature", "time")]:
        raise StoredFileError(f"{path}: a phase must have a temperature and a time, got {other[0]!r} beside them")
    try:
        return tuple(Phase(table.number(row, "temperature"), table.number(row, "time") / 3600) for row in table.rows)
    except ArgumentError as error:
        raise StoredFileError(f"{path}: {error}") from error


def _log_upper(cell: RetentionCell, window: float, confidence: float) -> float:
    assert isinstance(cell, MeasuredCell)
    return float(np.log(cell.band_at(np.array([window]), confidence)[1][0]))


def _failures(phase: Phase, log_p: float, window: float, bits: int, wrong: int, refreshes: int) -> PhaseFailures:
    """Of a phase: -ln(1 - p_R) = -R ln(1 - p), so that exposures of a bit add up, and do not underflow."""
    log_once = float(log_exposure(log_p, 0.0))
    log_all = log_once + float(np.log(refreshes))
    once, several = (float(log_binomial_tail(bits, wrong, one)) for one in (log_once, log_all))
    rate = float(np.exp(several + np.log(3600 * _HOURS / (refreshes * window))))
    before_writing = float(np.exp(log_escape_probability(log_all)))
    return PhaseFailures(phase, float(np.exp(log_p)), before_writing, several, once, rate)
