"""Figure 1: theory against Monte Carlo through the fault sampler."""

from dataclasses import replace

import pytest
from scipy import stats

import qtaml
from qtaml import showing
from qtaml.laboratory.laboratory import Laboratory
from qtaml.theory import ErrorLaw
from reproduction import error_law
from tests.tolerances import FALSE_ALARM

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def panel(rows, name):
    """The rows of one panel."""
    return [row for row in rows if row.panel == name]


@pytest.fixture(scope="module")
def rows(laboratory):
    """At the paper's p, from fewer reads."""
    return error_law.compute(laboratory, draws=20_000)


def assert_intervals_hold(rows):
    """No more intervals miss theory than 95% coverage explains, and none by far.

    Intervals of the mean and so on are of independent reads: their misses are binomial. The second check takes an
    interval as 1.96 standard errors of a Gaussian, which is near enough for a jackknife of 40 groups.
    """
    misses = sum(not row.holds for row in rows)
    assert stats.binom.sf(misses - 1, len(rows), 0.05) >= FALSE_ALARM
    limit = stats.t.isf(FALSE_ALARM / 2 / len(rows), error_law.GROUPS - 1) / stats.t.isf(0.025, 39)
    for row in rows:
        assert abs(row.measured.value - row.theory) <= limit * (row.measured.high - row.measured.low) / 2


@pytest.mark.parametrize("name", ["mean", "variance", "top_bit_share", "output_kurtosis"])
def test_theory_lies_in_the_intervals(rows, name):
    """With a false-alarm rate of 2e-4 for each panel, were the seed not fixed."""
    assert_intervals_hold(panel(rows, name))


def test_the_distribution_holds(rows):
    """Every error of the word has its probability and count; the exact intervals cover at least 95%."""
    own = panel(rows, "distribution")
    assert sum(row.measured.value for row in own) == pytest.approx(1)
    assert sum(row.theory for row in own) == pytest.approx(1)
    assert all(0 <= row.measured.low <= row.measured.value <= row.measured.high <= 1 for row in own)
    misses = sum(not row.holds for row in own)
    assert stats.binom.sf(misses - 1, len(own), 0.05) >= FALSE_ALARM


def test_the_comparison_can_fail(rows):
    """A variance that is 10% larger is seen."""
    wrong = [replace(row, theory=1.1 * row.theory) for row in panel(rows, "variance")]
    with pytest.raises(AssertionError, match=r"binom\.sf|>="):
        assert_intervals_hold(wrong)


def test_lines_are_the_theory_of_the_paper(rows):
    """Mean -2 p w, one variance for all words, a share that falls to 3/4, kurtosis of one weight over the width."""
    for row in panel(rows, "mean"):
        assert row.theory == pytest.approx(-2 * 0.1 * row.x * 255 / 2, abs=1e-12)
    assert [row.theory for row in panel(rows, "variance")] == pytest.approx([0.09 * 65535 / 3] * 17)
    shares = [row.theory for row in panel(rows, "top_bit_share")]
    assert shares[0] == 0.8
    assert shares[-1] == pytest.approx(0.75, abs=1e-6)
    assert shares == sorted(shares, reverse=True)
    last = panel(rows, "output_kurtosis")[-1]
    assert last.theory == pytest.approx(ErrorLaw(8, 0.1).kurtosis(0) / error_law.WIDTHS[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "p"), [(2, 0.05), (8, 0.05), pytest.param(10, 0.4, marks=pytest.mark.long), (6, 1e-9)]
)
def test_all_panels_are_drawn(laboratory, bits, p, tmp_path):
    """Theory as a line and Monte Carlo as points with error bars in each of five, also where no error is drawn."""
    rows = error_law.compute(laboratory, bits=bits, p=p, draws=1000)
    figure = error_law.draw(rows)
    assert len(figure.axes) == 5
    for axes in figure.axes:
        assert len(axes.containers) == 1
        assert {text.get_text() for text in axes.get_legend().get_texts()} >= {"theory", "Monte Carlo, 95% intervals"}
        assert axes.containers[0].lines[0].get_linestyle() == "None"
    assert showing.save_figure(figure, tmp_path / "figure1.png").stat().st_size > 10_000
    assert error_law.table(rows).row_count > 10


def test_the_same_seed_gives_the_same_figure(tmp_path):
    """And another seed another one."""
    first, again, other = (error_law.compute(Laboratory(tmp_path, seed=seed), draws=1000) for seed in (5, 5, 6))
    assert first == again
    assert panel(first, "mean") != panel(other, "mean")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 999}, "draws must be a whole number of at least 1000, got 999"),
        ({"p": 0.0}, r"p must be above 0 for errors to be seen, got 0\.0"),
        ({"p": 0.5}, r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        ({"bits": 1}, "bits must be a whole number from 2 to 16, got 1"),
    ],
)
def test_bad_arguments_are_refused(laboratory, arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        error_law.compute(laboratory, **arguments)
