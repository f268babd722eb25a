"""Figure 1: theory against Monte Carlo through the fault sampler."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import qtaml
from qtaml import report
from qtaml.experiments import error_law
from qtaml.theory import ErrorLaw
from tests.tolerances import FALSE_ALARM


@pytest.fixture(scope="module")
def result():
    """At the paper's p, from fewer reads."""
    return error_law.compute(draws=20_000, seed=0)


def assert_intervals_hold(comparison):
    """No more intervals miss theory than 95% coverage explains, and none by far.

    Intervals of the mean and so on are of independent reads: their misses are binomial. The second check takes an
    interval as 1.96 standard errors of a Gaussian, which is near enough for a jackknife of 40 groups.
    """
    misses = sum(not point.holds for point in comparison.points)
    assert stats.binom.sf(misses - 1, len(comparison.points), 0.05) >= FALSE_ALARM
    limit = stats.t.isf(FALSE_ALARM / 2 / len(comparison.points), error_law.GROUPS - 1) / stats.t.isf(0.025, 39)
    for point in comparison.points:
        assert abs(point.measured - point.theory) <= limit * (point.high - point.low) / 2


@pytest.mark.parametrize("panel", ["mean", "variance", "top_bit_share", "output_kurtosis"])
def test_theory_lies_in_the_intervals(result, panel):
    """With a false-alarm rate of 2e-4 for each panel, were the seed not fixed."""
    assert_intervals_hold(getattr(result, panel))


def test_the_distribution_holds(result):
    """Every error of the word has its probability and count; the exact intervals cover at least 95%."""
    points = result.distribution.points
    assert sum(point.measured for point in points) == pytest.approx(1)
    assert sum(point.theory for point in points) == pytest.approx(1)
    assert all(0 <= point.low <= point.measured <= point.high <= 1 for point in points)
    misses = sum(not point.holds for point in points)
    assert stats.binom.sf(misses - 1, len(points), 0.05) >= FALSE_ALARM


def test_the_comparison_can_fail(result):
    """A variance that is 10% larger is seen."""
    wrong = tuple(replace(point, theory=1.1 * point.theory) for point in result.variance.points)
    with pytest.raises(AssertionError):
        assert_intervals_hold(replace(result.variance, points=wrong))


def test_lines_are_the_theory_of_the_paper(result):
    """Mean -2 p w, one variance for all words, a share that falls to 3/4, kurtosis of one weight over the width."""
    steps = np.array(result.mean.x) * 255 / 2
    np.testing.assert_allclose(result.mean.theory, -2 * 0.1 * steps, atol=1e-12)
    np.testing.assert_allclose(result.variance.theory, 0.09 * 65535 / 3)
    assert result.top_bit_share.theory[0] == 0.8
    assert result.top_bit_share.theory[-1] == pytest.approx(0.75, abs=1e-6)
    assert list(result.top_bit_share.theory) == sorted(result.top_bit_share.theory, reverse=True)
    law = ErrorLaw(8, 0.1)
    assert result.output_kurtosis.theory[-1] == pytest.approx(law.kurtosis(0) / error_law.WIDTHS[-1])


@pytest.mark.parametrize(("bits", "p"), [(2, 0.05), (8, 0.05), (10, 0.4), (6, 1e-9)])
def test_all_panels_are_drawn(bits, p, tmp_path):
    """Theory as a line and Monte Carlo as points with error bars in each of five, also where no error is drawn."""
    result = error_law.compute(bits=bits, p=p, draws=1000)
    figure = error_law.draw(result)
    assert len(figure.axes) == 5
    for axes in figure.axes:
        assert len(axes.containers) == 1
        assert {text.get_text() for text in axes.get_legend().get_texts()} >= {"theory", "Monte Carlo, 95% intervals"}
        assert axes.containers[0].lines[0].get_linestyle() == "None"
    assert report.save_figure(figure, tmp_path / "figure1.png").stat().st_size > 10_000
    assert error_law.table(result).row_count > 10


def test_the_same_seed_gives_the_same_figure():
    """And another seed another one."""
    first, again, other = (error_law.compute(draws=1000, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.mean != other.mean
    assert '"top_bit_share"' in first.to_json()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 999}, "draws must be a whole number of at least 1000, got 999"),
        ({"p": 0.0}, r"p must be above 0 for errors to be seen, got 0\.0"),
        ({"p": 0.5}, r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        ({"bits": 1}, "bits must be a whole number from 2 to 16, got 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        error_law.compute(**arguments)
