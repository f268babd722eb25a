"""The law of the weight error against Monte Carlo through the fault sampler (figure 1 of the paper)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from qtaml import _checks
from qtaml._progress import track
from qtaml._random import child_seed, torch_generator
from qtaml._tables import captioned_table
from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import EvenLevels, Format, quantisation_step
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.sampling import word_dtype
from qtaml.showing import Curve, Panel, columns, panels_figure
from qtaml.theory import ErrorLaw
from qtaml.theory.paper import closed_forms
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIDENCE = 0.95
GROUPS = 40
"""Groups of draws that the jackknife leaves out in turn."""

SHARE_BITS = (2, 3, 4, 5, 6, 8, 10, 12)
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
SHOWN_WEIGHT = 0.25
"""The weight whose distribution is shown, in units of the full scale."""

PANELS = {
    "distribution": ("probability of an error", "error (steps)"),
    "mean": ("mean error (steps)", "stored weight (full scale)"),
    "variance": ("variance (squared steps)", "stored weight (full scale)"),
    "top_bit_share": ("share of the most significant bit", "bits of a word"),
    "output_kurtosis": ("excess kurtosis of a sum", "weights in the sum"),
}
"""What each panel compares, and over what: theorems 3.1, 3.2, A.11, 3.4 and remark 3.5."""

# Rarer errors, with their wide intervals, would hide the shape; the numbers hold them all.
_FEWEST_SHOWN = 30
_WORDS_AT_ONCE = 1 << 20
_Floats = NDArray[np.float64]
_Statistic = Callable[[_Floats], _Floats]
_Point = tuple[float, float, Estimate]
"""Abscissa, theory, and the estimate."""


@dataclass(frozen=True)
class Row:
    """One number by theory and by Monte Carlo.

    Attributes:
        panel: what is compared, a key of `PANELS`.
        x: what it is compared over.
        theory: exact value.
        measured: estimate from the draws, with its 95 per cent interval.
        bits: bits of a word.
        p: flip probability.
        draws: reads for each row.
    """

    panel: str
    x: float
    theory: float
    measured: Estimate
    bits: int
    p: float
    draws: int

    @property
    def holds(self) -> bool:
        """Whether theory lies in the interval."""
        return self.measured.low <= self.theory <= self.measured.high


def compute(laboratory: Laboratory, *, bits: int = 8, p: float = 0.10, draws: int = 200_000) -> tuple[Row, ...]:
    """Read words many times through the fault sampler and compare their errors with theory.

    The intervals of the distribution are exact binomial ones (Clopper and Pearson). All others come from a jackknife
    over 40 groups of draws with Student's t, which needs no assumption about the shape of the error.

    Args:
        laboratory: only its seed is used; nothing is trained.
        bits: bits of a word B, 2 to 16.
        p: flip probability, in (0, 0.5).
        draws: reads for each row, at least 1000; what does not divide by 40 is left out in all but the distribution.

    Returns:
        The rows of the five panels, in order.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, section 5.1 and figure 1.
    """
    _checks.integer("draws", draws, 1000)
    if _checks.flip_probability("p", p) == 0:
        raise ArgumentError(f"p must be above 0 for errors to be seen, got {p!r}")
    fmt, fault, seed = Format(EvenLevels(bits)), Uniform(p), laboratory.seed
    points = {
        "distribution": _distribution(fmt, fault, draws, seed),
        **_moments_over_words(fmt, fault, draws, seed),
        "top_bit_share": _top_bit_share(fault, draws, seed),
        "output_kurtosis": _output_kurtosis(fmt, fault, draws, seed),
    }
    return tuple(Row(panel, *point, bits, p, draws) for panel in PANELS for point in points[panel])


def table(rows: Sequence[Row]) -> Table:
    """Up to five rows of each panel, and how many of all its intervals hold the theory."""
    grid = captioned_table(
        title=f"Error of a {rows[0].bits}-bit weight at p = {rows[0].p:g}: theory and {rows[0].draws} reads",
        caption="[95% interval: exact binomial for probabilities, jackknife over groups of reads for the others]",
    )
    for column in ("quantity", "at", "theory", "Monte Carlo", "intervals that hold"):
        grid.add_column(column, justify="left" if column == "quantity" else "right")
    for panel, (quantity, place) in PANELS.items():
        own = [row for row in rows if row.panel == panel]
        holding = f"{sum(row.holds for row in own)} of {len(own)}"
        for number, row in enumerate(own[:: -(-len(own) // 5)]):
            names = (f"{quantity} over {place}", holding) if number == 0 else ("", "")
            grid.add_row(names[0], f"{row.x:.3g}", f"{row.theory:.4g}", str(row.measured), names[1])
        grid.add_section()
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Five panels: theory as lines, Monte Carlo as points with their 95% intervals."""
    own = {panel: [row for row in rows if row.panel == panel] for panel in PANELS}
    largest = max(row.theory for row in own["variance"])
    return panels_figure(
        [
            Panel(
                _curves(own["distribution"]),
                f"Distribution of the error of weight {SHOWN_WEIGHT}",
                PANELS["distribution"][1],
                "probability",
                log_y=(_FEWEST_SHOWN / rows[0].draws, 1.0),
                legend="upper left",
            ),
            Panel(_curves(own["mean"]), "Mean: drift to zero", PANELS["mean"][1], PANELS["mean"][0], legend="best"),
            Panel(
                _curves(own["variance"]),
                "Variance: the same for every weight",
                PANELS["variance"][1],
                PANELS["variance"][0],
                limits=(0.9 * largest, 1.1 * largest),
            ),
            Panel(
                _curves(own["top_bit_share"]),
                "The most significant bit's share of the variance",
                PANELS["top_bit_share"][1],
                "share",
                reference=("limit 3/4", 0.75),
                legend="best",
            ),
            Panel(
                _curves(own["output_kurtosis"]),
                "Sums of weight errors become Gaussian",
                PANELS["output_kurtosis"][1],
                "excess kurtosis",
                reference=("Gaussian", 0.0),
                log_x=True,
                legend="best",
            ),
        ],
        columns=3,
        caption=f"{sum(row.holds for row in rows)} of {len(rows)} intervals hold the exact value of theory; 95% or "
        f"more are expected. A weight of {rows[0].bits} bits, {100 * rows[0].p:g}% of them read wrong, {rows[0].draws} "
        "reads through the fault sampler for each point.",
    )


FIGURE1 = Experiment("The law of the weight error against Monte Carlo", compute, table, draw)


def _distribution(fmt: Format, fault: Uniform, draws: int, seed: int) -> list[_Point]:
    word = int(fmt.encode(torch.tensor([SHOWN_WEIGHT])).item())
    errors, chances = ErrorLaw(fmt.bits, fault.p).pmf(word)
    drawn = _errors(fmt, fault, torch.full((draws,), word), child_seed(seed, "distribution"))
    found = dict(zip(*(part.tolist() for part in np.unique(drawn, return_counts=True)), strict=True))
    points = []
    for error, chance in zip(errors.tolist(), chances.tolist(), strict=True):
        count = int(found.get(error, 0))
        interval = stats.binomtest(count, draws).proportion_ci(CONFIDENCE, method="exact")
        points.append(
            (float(error), chance, Estimate(count / draws, float(interval.low), float(interval.high), "reads"))
        )
    return points


def _moments_over_words(fmt: Format, fault: Uniform, draws: int, seed: int) -> dict[str, list[_Point]]:
    law, words, weights = ErrorLaw(fmt.bits, fault.p), np.arange(2**fmt.bits), fmt.readout()
    theory = {"mean": np.asarray(law.mean(words)), "variance": np.asarray(law.variance(words))}
    statistics = {"mean": _mean, "variance": _variance}
    points: dict[str, list[_Point]] = {"mean": [], "variance": []}
    for word in track(np.unique(np.linspace(0, words[-1], 17).round().astype(int)).tolist(), "reading words"):
        sums = _power_sums(
            _errors(fmt, fault, torch.full((_whole_groups(draws),), word), child_seed(seed, "word", word))
        )
        for name, into in points.items():
            into.append(_point(weights[word], theory[name][word], statistics[name], sums))
    return points


def _top_bit_share(fault: Uniform, draws: int, seed: int) -> list[_Point]:
    points = []
    for bits in track(SHARE_BITS, "reading words of each length"):
        fmt, word, top = Format(EvenLevels(bits)), 2**bits // 3, 2 ** (bits - 1)
        drawn = _errors(fmt, fault, torch.full((_whole_groups(draws),), word), child_seed(seed, "share", bits))
        # The top bit is wrong where the word is read in the other half.
        wrong = (drawn + word >= top) != (word >= top)
        sums = np.concatenate([_power_sums(drawn), _power_sums(top * wrong.astype(np.float64))], axis=1)
        points.append(_point(bits, closed_forms.top_bits_share(bits), _share, sums))
    return points


def _output_kurtosis(fmt: Format, fault: Uniform, draws: int, seed: int) -> list[_Point]:
    one_weight, points = float(ErrorLaw(fmt.bits, fault.p).kurtosis(0)), []
    for width in track(WIDTHS, "reading layers of each width"):
        stored = torch.randint(0, 2**fmt.bits, (width,), generator=torch_generator(seed, "stored", width))
        sums = _power_sums(_outputs(fmt, fault, stored, draws, seed))
        points.append(_point(width, one_weight / width, _kurtosis, sums))
    return points


def _outputs(fmt: Format, fault: Uniform, stored: torch.Tensor, draws: int, seed: int) -> _Floats:
    """Change of an output with equal inputs 1 to `stored` weights, in steps, for each read."""
    reads, parts = _whole_groups(draws), []
    rows = max(1, _WORDS_AT_ONCE // len(stored))
    for start in range(0, reads, rows):
        words = stored.repeat(min(rows, reads - start), 1)
        parts.append(_errors(fmt, fault, words, child_seed(seed, "width", len(stored), start)).sum(1))
    return np.concatenate(parts)


def _errors(fmt: Format, fault: Uniform, words: torch.Tensor, seed: int) -> _Floats:
    """Errors of one read of the words, in steps."""
    stored = words.to(word_dtype(fmt.bits))
    away = fmt.decode(fmt.corrupt(stored, fault, seed=seed)) - fmt.decode(stored)
    # Whole steps in offset binary; the division leaves them a rounding off.
    return np.asarray((away / quantisation_step(fmt.bits)).round().numpy())


def _whole_groups(draws: int) -> int:
    return draws // GROUPS * GROUPS


def _power_sums(drawn: _Floats) -> _Floats:
    """Sums of powers 0 to 4 over each group, shape (groups, 5)."""
    groups = drawn.reshape(GROUPS, -1)
    return np.stack([(groups**power).sum(1) for power in range(5)], axis=1)


def _point(x: float, theory: float, statistic: _Statistic, sums: _Floats) -> _Point:
    """Estimate and interval from power sums of each group: the jackknife leaves out one group after the other."""
    total = sums.sum(0)
    whole, without = float(statistic(total)), statistic(total - sums)
    pseudo = len(sums) * whole - (len(sums) - 1) * without
    estimate, error = float(pseudo.mean()), float(pseudo.std(ddof=1)) / len(sums) ** 0.5
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(sums) - 1)) * error
    return float(x), float(theory), Estimate(estimate, estimate - half, estimate + half, "reads")


def _mean(sums: _Floats) -> _Floats:
    return np.asarray(sums[..., 1] / sums[..., 0])


def _variance(sums: _Floats) -> _Floats:
    return np.asarray(sums[..., 2] / sums[..., 0] - _mean(sums) ** 2)


def _share(sums: _Floats) -> _Floats:
    """Variance of the second five sums over that of the first."""
    return _ratio(_variance(sums[..., 5:]), _variance(sums))


def _kurtosis(sums: _Floats) -> _Floats:
    first, second, third, fourth = (sums[..., power] / sums[..., 0] for power in (1, 2, 3, 4))
    central = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    return _ratio(central, _variance(sums) ** 2) - 3


def _ratio(above: _Floats, below: _Floats) -> _Floats:
    """The ratio; 0 where no error was drawn at all."""
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0))


def _curves(rows: Sequence[Row]) -> Sequence[Curve]:
    x = [row.x for row in rows]
    return [
        Curve("Monte Carlo, 95% intervals", x, *columns(row.measured for row in rows), points=True),
        Curve("theory", x, [row.theory for row in rows]),
    ]
