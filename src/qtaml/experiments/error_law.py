"""The law of the weight error against Monte Carlo through the fault sampler (figure 1 of the paper)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from qtaml import _checks, _files
from qtaml._progress import track
from qtaml._random import child_seed, torch_generator
from qtaml.errors import ArgumentError
from qtaml.faults import Uniform, word_dtype
from qtaml.formats import Format
from qtaml.report import Curve, Panel, panels_figure
from qtaml.theory import ErrorLaw, closed_forms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIDENCE = 0.95
GROUPS = 40
"""Groups of draws that the jackknife leaves out in turn."""

SHARE_BITS = (2, 3, 4, 5, 6, 8, 10, 12)
WIDTHS = (1, 2, 4, 8, 16, 32, 64)
SHOWN_WEIGHT = 0.25
"""The weight whose distribution is shown, in units of the full scale."""

# Rarer errors, with their wide intervals, would hide the shape; the numbers hold them all.
_FEWEST_SHOWN = 30
_WORDS_AT_ONCE = 1 << 20
_Floats = NDArray[np.float64]
_Statistic = Callable[[_Floats], _Floats]


@dataclass(frozen=True)
class Point:
    """One number by theory and by Monte Carlo.

    Attributes:
        x: abscissa.
        theory: exact value.
        measured: estimate from the draws.
        low: lower end of its 95 per cent interval.
        high: upper end.
    """

    x: float
    theory: float
    measured: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether theory lies in the interval."""
        return self.low <= self.theory <= self.high


@dataclass(frozen=True)
class Comparison:
    """One panel: a quantity by theory as a line, and by Monte Carlo at some places.

    Attributes:
        quantity: what is compared.
        place: what it is compared over.
        x: abscissae of the theory.
        theory: exact values there.
        points: where it was measured.
    """

    quantity: str
    place: str
    x: tuple[float, ...]
    theory: tuple[float, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class ErrorLawFigure:
    """The law of the weight error against Monte Carlo.

    Attributes:
        bits: bits of a word.
        p: flip probability.
        draws: reads for each point.
        seed: seed of the reads.
        word: the stored word whose distribution is shown.
        distribution: probability of each error of that word, over the error in steps (theorem 3.1).
        mean: mean error in steps over the stored weight in units of the full scale (theorem 3.2).
        variance: variance in squared steps over the same (theorem A.11).
        top_bit_share: share of the most significant bit in the variance, over the bits of a word (theorem 3.4).
        output_kurtosis: excess kurtosis of a sum of so many weight errors, over their number (remark 3.5).
        versions: versions of what made the figure.
    """

    bits: int
    p: float
    draws: int
    seed: int
    word: int
    distribution: Comparison
    mean: Comparison
    variance: Comparison
    top_bit_share: Comparison
    output_kurtosis: Comparison
    versions: dict[str, str] = field(default_factory=_files.versions)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every panel, in order."""
        return self.distribution, self.mean, self.variance, self.top_bit_share, self.output_kurtosis

    def to_json(self) -> str:
        """The figure's numbers as JSON."""
        return _files.to_json(self)


def compute(*, bits: int = 8, p: float = 0.10, draws: int = 200_000, seed: int = 0) -> ErrorLawFigure:
    """Read words many times through the fault sampler and compare their errors with theory.

    The intervals of the distribution are exact binomial ones (Clopper and Pearson). All others come from a jackknife
    over 40 groups of draws with Student's t, which needs no assumption about the shape of the error.

    Args:
        bits: bits of a word B, 2 to 16.
        p: flip probability, in (0, 0.5).
        draws: reads for each point, at least 1000; what does not divide by 40 is left out in all but the distribution.
        seed: the same seed gives the same result.

    Returns:
        The five comparisons.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, section 5.1 and figure 1.
    """
    _checks.integer("draws", draws, 1000)
    _checks.integer("seed", seed, 0)
    if _checks.flip_probability("p", p) == 0:
        raise ArgumentError(f"p must be above 0 for errors to be seen, got {p!r}")
    fmt, fault = Format(bits), Uniform(p)
    word = int(fmt.encode(torch.tensor([SHOWN_WEIGHT])).item())
    mean, variance = _moments_over_words(fmt, fault, draws, seed)
    return ErrorLawFigure(
        bits,
        p,
        draws,
        seed,
        word,
        _distribution(fmt, fault, word, draws, seed),
        mean,
        variance,
        _top_bit_share(fault, draws, seed),
        _output_kurtosis(fmt, fault, draws, seed),
    )


def table(result: ErrorLawFigure) -> Table:
    """Up to five points of each panel, and how many of all its intervals hold the theory."""
    grid = Table(
        title=f"Error of a {result.bits}-bit weight at p = {result.p:g}: theory and {result.draws} reads",
        caption="[95% interval: exact binomial for probabilities, jackknife over groups of reads for the others]",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("quantity", "at", "theory", "Monte Carlo", "intervals that hold"):
        grid.add_column(column, justify="left" if column == "quantity" else "right")
    for comparison in result.comparisons:
        points = comparison.points
        holding = f"{sum(point.holds for point in points)} of {len(points)}"
        for number, point in enumerate(points[:: -(-len(points) // 5)]):
            measured = f"{point.measured:.4g} [{point.low:.4g}, {point.high:.4g}]"
            names = (comparison.quantity, holding) if number == 0 else ("", "")
            grid.add_row(names[0], f"{point.x:.3g}", f"{point.theory:.4g}", measured, names[1])
        grid.add_section()
    return grid


def draw(result: ErrorLawFigure) -> "Figure":
    """Five panels: theory as lines, Monte Carlo as points with their 95% intervals."""
    largest = max(result.variance.theory)
    share, kurtosis = result.top_bit_share, result.output_kurtosis
    return panels_figure(
        [
            Panel(
                _curves(result.distribution),
                f"Distribution of the error of word {result.word}",
                result.distribution.place,
                "probability",
                log_y=(_FEWEST_SHOWN / result.draws, 1.0),
                legend="upper left",
            ),
            Panel(_curves(result.mean), "Mean: drift to zero", result.mean.place, "mean error (steps)", legend="best"),
            Panel(
                _curves(result.variance),
                "Variance: the same for every weight",
                result.variance.place,
                "variance (squared steps)",
                limits=(0.9 * largest, 1.1 * largest),
            ),
            Panel(
                _curves(share),
                "The most significant bit's share of the variance",
                share.place,
                "share",
                reference=("limit 3/4", 0.75),
                legend="best",
            ),
            Panel(
                _curves(kurtosis),
                "Sums of weight errors become Gaussian",
                kurtosis.place,
                "excess kurtosis",
                reference=("Gaussian", 0.0),
                log_x=True,
                legend="best",
            ),
        ],
        columns=3,
    )


def _distribution(fmt: Format, fault: Uniform, word: int, draws: int, seed: int) -> Comparison:
    errors, chances = ErrorLaw(fmt.bits, fault.p).pmf(word)
    drawn = _errors(fmt, fault, torch.full((draws,), word), child_seed(seed, "distribution"))
    found = dict(zip(*(part.tolist() for part in np.unique(drawn, return_counts=True)), strict=True))
    points = []
    for error, chance in zip(errors.tolist(), chances.tolist(), strict=True):
        count = int(found.get(error, 0))
        interval = stats.binomtest(count, draws).proportion_ci(CONFIDENCE, method="exact")
        points.append(Point(error, chance, count / draws, float(interval.low), float(interval.high)))
    return Comparison(
        "probability of an error", "error (steps)", tuple(errors.tolist()), tuple(chances.tolist()), tuple(points)
    )


def _moments_over_words(fmt: Format, fault: Uniform, draws: int, seed: int) -> tuple[Comparison, Comparison]:
    law, words = ErrorLaw(fmt.bits, fault.p), np.arange(2**fmt.bits)
    weights, lines = fmt.readout(), (np.asarray(law.mean(words)), np.asarray(law.variance(words)))
    points: tuple[list[Point], list[Point]] = ([], [])
    for word in track(np.unique(np.linspace(0, words[-1], 17).round().astype(int)).tolist(), "reading words"):
        drawn = _errors(fmt, fault, torch.full((_whole_groups(draws),), word), child_seed(seed, "word", word))
        sums = _power_sums(drawn)
        for line, into, statistic in zip(lines, points, (_mean, _variance), strict=True):
            into.append(_point(weights[word], line[word], statistic, sums))
    shown = slice(None, None, max(1, len(words) // 256))
    x = tuple(weights[shown].tolist())
    names = ("mean error (steps)", "variance (squared steps)")
    mean, variance = (
        Comparison(name, "stored weight (full scale)", x, tuple(line[shown].tolist()), tuple(of_line))
        for name, line, of_line in zip(names, lines, points, strict=True)
    )
    return mean, variance


def _top_bit_share(fault: Uniform, draws: int, seed: int) -> Comparison:
    points = []
    for bits in track(SHARE_BITS, "reading words of each length"):
        fmt, word, top = Format(bits), 2**bits // 3, 2 ** (bits - 1)
        drawn = _errors(fmt, fault, torch.full((_whole_groups(draws),), word), child_seed(seed, "share", bits))
        # The top bit is wrong where the word is read in the other half.
        wrong = (drawn + word >= top) != (word >= top)
        sums = np.concatenate([_power_sums(drawn), _power_sums(top * wrong.astype(np.float64))], axis=1)
        points.append(_point(bits, closed_forms.top_bits_share(bits), _share, sums))
    return Comparison(
        "share of the most significant bit",
        "bits of a word",
        tuple(float(bits) for bits in SHARE_BITS),
        tuple(point.theory for point in points),
        tuple(points),
    )


def _output_kurtosis(fmt: Format, fault: Uniform, draws: int, seed: int) -> Comparison:
    one_weight, points = float(ErrorLaw(fmt.bits, fault.p).kurtosis(0)), []
    for width in track(WIDTHS, "reading layers of each width"):
        stored = torch.randint(0, 2**fmt.bits, (width,), generator=torch_generator(seed, "stored", width))
        points.append(
            _point(width, one_weight / width, _kurtosis, _power_sums(_outputs(fmt, fault, stored, draws, seed)))
        )
    x = np.geomspace(WIDTHS[0], WIDTHS[-1], 61)
    return Comparison(
        "excess kurtosis of a sum",
        "weights in the sum",
        tuple(x.tolist()),
        tuple((one_weight / x).tolist()),
        tuple(points),
    )


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
    return np.asarray((away / closed_forms.quantisation_step(fmt.bits)).round().numpy())


def _whole_groups(draws: int) -> int:
    return draws // GROUPS * GROUPS


def _power_sums(drawn: _Floats) -> _Floats:
    """Sums of powers 0 to 4 over each group, shape (groups, 5)."""
    groups = drawn.reshape(GROUPS, -1)
    return np.stack([(groups**power).sum(1) for power in range(5)], axis=1)


def _point(x: float, theory: float, statistic: _Statistic, sums: _Floats) -> Point:
    """Estimate and interval from power sums of each group: the jackknife leaves out one group after the other."""
    total = sums.sum(0)
    whole, without = float(statistic(total)), statistic(total - sums)
    pseudo = len(sums) * whole - (len(sums) - 1) * without
    estimate, error = float(pseudo.mean()), float(pseudo.std(ddof=1)) / len(sums) ** 0.5
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(sums) - 1)) * error
    return Point(float(x), float(theory), estimate, estimate - half, estimate + half)


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


def _curves(comparison: Comparison) -> Sequence[Curve]:
    columns = ([getattr(point, name) for point in comparison.points] for name in ("x", "measured", "low", "high"))
    return [
        Curve("Monte Carlo, 95% intervals", *columns, points=True),
        Curve("theory", comparison.x, comparison.theory),
    ]
