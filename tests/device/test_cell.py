"""The cell: probabilities, directions, inverse questions, against theory.md 1.1, 2.4, 2.6 and Monte Carlo."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from qtaml.device import Cell, ImageForce, Layer, Rectangular, Regime, Stack, insulator, regime
from qtaml.errors import ArgumentError

YEAR = 365.25 * 86400
BARRIER = Rectangular(3.15, 2.5, 0.42)
CELL = Cell(BARRIER, 200, 100, 1e13)
SPREAD = replace(CELL, thickness_spread=0.05, temperature=300.0)

cells = st.builds(
    lambda thickness, electrons, share, spread, kelvin: Cell(
        Rectangular(3.15, thickness, 0.42),
        electrons,
        int(share * electrons),
        1e13,
        thickness_spread=spread,
        temperature=kelvin,
    ),
    st.floats(1.0, 6.0),
    st.integers(1, 500),
    st.floats(0.0, 0.95),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.sampled_from([0.0, 300.0]),
)


def test_flip_probability_is_a_python_float_or_an_array():
    """What goes in comes out."""
    assert type(CELL.flip_probability(0.3)) is float
    assert type(SPREAD.log_flip_probability(0.3)) is float
    assert CELL.flip_probability(np.array([[0.1, 0.2], [0.3, 0.4]])).shape == (2, 2)
    assert type(CELL.window_for(0.1)) is float
    assert type(CELL.thickness_for(0.1, 1.0)) is float


def test_flip_probability_from_first_principles():
    """T, then p_e, then the binomial tail, each by its formula."""
    transmission = np.exp(-BARRIER.action())
    escape = -np.expm1(1e13 * 0.33 * np.log1p(-transmission))
    assert CELL.escape_probability(0.33) == pytest.approx(escape, rel=1e-12)
    assert CELL.flip_probability(0.33) == pytest.approx(special.betainc(101, 100, escape), rel=1e-10)
    assert CELL.escape_count(0.33).mean() == pytest.approx(200 * escape, rel=1e-12)


def test_few_electron_cell_of_the_theory(check_printed):
    """2.38 nm, N = 20 at 64 ms."""
    check_printed(Cell(Rectangular(3.15, 2.38, 0.42), 20, 10, 1e13).flip_probability(64e-3), "0.047")


def test_monte_carlo_of_electrons():
    """20000 cells, electron by electron, fixed seed: |z| < 4, which a bias of 4 % of p would exceed."""
    cell, cells_drawn = Cell(Rectangular(3.15, 2.4, 0.42), 12, 5, 1e13), 20_000
    window = cell.window_for(0.3)
    escaped = np.random.default_rng(5).random((cells_drawn, 12)) < cell.escape_probability(window)
    lost = (escaped.sum(axis=1) > 5).mean()
    assert abs(lost - 0.3) < 4 * np.sqrt(0.3 * 0.7 / cells_drawn)


def test_spread_of_the_theory(check_printed):
    """N = 100 where the lognormal law gives 0.169: 61 Gauss-Hermite nodes give 0.17747, the graded panels 0.1775."""
    cell = Cell(Rectangular(3.15, 2.0, 0.42), 100, 50, 1e13, thickness_spread=0.05)
    ideal = replace(cell, thickness_spread=0.0)
    sigma = 0.05 * insulator("sio2").action_per_nm
    check_printed(sigma, "0.59")
    window = ideal.window_for(0.5) * np.exp(sigma * special.ndtri(0.1692048))
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    p = np.exp(ideal.log_flip_probabilities(window, 0.05 * nodes))
    check_printed(p @ weights / weights.sum(), "0.17747")
    assert cell.flip_probability(window) == pytest.approx(0.17749, abs=1e-5)


@pytest.mark.slow
def test_spread_average_agrees_with_a_monte_carlo_of_thicknesses():
    """200000 cells, fixed seed: |z| < 4, which a bias of 4 % of p would exceed."""
    window, drawn = 0.15, 200_000
    extra = 0.05 * np.random.default_rng(3).standard_normal(drawn)
    p = np.exp(replace(SPREAD, thickness_spread=0.0).log_flip_probabilities(window, extra))
    assert abs(p.mean() - SPREAD.flip_probability(window)) < 4 * p.std() / np.sqrt(drawn)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(cells, st.floats(-9.0, 9.0), st.floats(0.05, 3.0))
def test_p_is_a_probability_that_grows_with_time_and_falls_with_thickness(cell, log10_window, decades):
    """Whatever the cell, without a warning and without nan."""
    windows = 10.0 ** np.array([log10_window, log10_window + decades])
    less, more = cell.log_flip_probability(windows)
    assert np.isfinite(less)
    assert less <= more + 1e-11
    assert more <= 0.0
    thicker = cell.thickened(0.2).log_flip_probability(windows)
    assert (thicker <= np.array([less, more]) + 1e-11).all()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(cells, st.floats(1e-9, 0.999))
def test_window_for_is_the_inverse_of_p(cell, p):
    """At the retention time p is reached."""
    assert cell.flip_probability(cell.window_for(p)) == pytest.approx(p, rel=1e-7)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(cells, st.floats(1e-9, 0.999), st.floats(-6.0, 8.0))
def test_thickness_for_is_the_inverse_of_p(cell, p, log10_window):
    """With the wanted thickness p is reached at the window."""
    extra = cell.thickness_for(p, 10.0**log10_window) - cell.barrier.thickness
    assert np.exp(cell.log_flip_probabilities(10.0**log10_window, extra)) == pytest.approx(p, rel=1e-7)


@pytest.mark.slow
def test_inverses_take_arrays():
    """One answer for each p, the same as one by one."""
    wanted = np.array([1e-9, 1e-3, 0.1])
    assert SPREAD.window_for(wanted) == pytest.approx([SPREAD.window_for(float(p)) for p in wanted], rel=1e-12)
    assert SPREAD.thickness_for(wanted, 1.0) == pytest.approx(
        [SPREAD.thickness_for(float(p), 1.0) for p in wanted], rel=1e-12
    )


def test_closed_inverse_of_the_thickness():
    """D = -ln T/(2 kappa) with T = -expm1(log1p(-p_e)/(nu tau)) for a rectangle."""
    escape = special.betaincinv(101, 100, 0.05)
    closed = -np.log(-np.expm1(np.log1p(-escape) / (1e13 * 0.064))) / insulator("sio2").action_per_nm
    assert CELL.thickness_for(0.05, 0.064) == pytest.approx(closed, rel=1e-13)


OPERATING_POINTS = [  # theory.md 2.6: window in s, thickness in nm for p = 0.05 to 0.1
    (1e-6, "1.41"),
    (1e-3, "2.00"),
    (64e-3, "2.35"),
    (1.0, "2.58"),
    (3600.0, "3.28"),
    (86400.0, "3.55"),
    (30 * 86400.0, "3.84"),
    (YEAR, "4.05"),
    (10 * YEAR, "4.24"),
]


@pytest.mark.parametrize(("window", "printed"), OPERATING_POINTS)
def test_thicknesses_where_the_papers_p_sits(window, printed, check_printed):
    """The middle of the narrow band between p = 0.05 and p = 0.1, to its printed digits."""
    thick, thin = CELL.thickness_for(np.array([0.05, 0.1]), window)
    check_printed((thick + thin) / 2, printed)
    assert 0.003 < thick - thin < 0.005


@pytest.mark.parametrize(
    ("material", "at_1_s", "at_10_years"), [("hbn", "3.33", "5.47"), ("al2o3", "3.70", "6.08"), ("hfo2", "5.9", "9.7")]
)
def test_other_insulators_at_the_same_windows(material, at_1_s, at_10_years, check_printed):
    """P = 0.05, N = 200."""
    oxide = insulator(material)
    cell = Cell(Rectangular(oxide.height, 3.0, oxide.mass), 200, 100, 1e13)
    check_printed(cell.thickness_for(0.05, 1.0), at_1_s)
    check_printed(cell.thickness_for(0.05, 10 * YEAR), at_10_years)


BANDS = [  # theory.md 2.4: electrons, threshold, thickness from p = 1e-6 to 0.1 and from 0.05 to 0.1 in nm
    (1, 0, "0.98", "0.061"),
    (5, 2, "0.35", "0.025"),
    (10, 5, "0.20", "0.016"),
    (20, 10, "0.127", "0.011"),
    (100, 50, "0.049", "0.0047"),
    (1000, 500, "0.014", "0.0014"),
    (30000, 15000, "0.002", "0.0003"),
]


@pytest.mark.parametrize(("electrons", "threshold", "wide", "narrow"), BANDS)
def test_knife_edge_in_thickness(electrons, threshold, wide, narrow, check_printed):
    """How much oxide lies between two flip probabilities."""
    cell = Cell(BARRIER, electrons, threshold, 1e13)
    sound, edge, failing = cell.thickness_for(np.array([1e-6, 0.05, 0.1]), 1.0)
    check_printed(sound - failing, wide)
    check_printed(edge - failing, narrow)


def test_thickness_example_of_the_appendix():
    """theory.md 8 prints [2.352, 2.348] at 64 ms, and p = 0.1000 back."""
    assert CELL.thickness_for(np.array([0.05, 0.1]), 0.064).round(3).tolist() == [2.352, 2.348]
    hardened, extra = CELL.hardened(0.1, 0.064)
    assert hardened.flip_probability(0.064) == pytest.approx(0.1, rel=1e-9)
    assert extra == pytest.approx(2.348392 - 2.5, abs=1e-6)


def test_time_ratios_of_the_theory(check_printed):
    """t(0.1)/t(1e-6) at N = 100 and 1000 (2.6)."""
    for electrons, printed in ((100, "1.8"), (1000, "1.18")):
        failing, sound = replace(CELL, electrons=electrons, threshold=electrons // 2).window_for(np.array([0.1, 1e-6]))
        check_printed(failing / sound, printed)


@pytest.mark.parametrize("cell", [CELL, SPREAD])
def test_hardened_cell_reaches_its_residual(cell):
    """The same cell, thicker, and nothing else changed."""
    hardened, extra = cell.hardened(1e-12, 64e-3)
    assert hardened.flip_probability(64e-3) == pytest.approx(1e-12, rel=1e-6)
    assert hardened == replace(cell, barrier=cell.barrier.thickened(extra))


def test_forward_only_pair_and_polarities():
    """One direction only; a random polarity halves p and ends at 1/2."""
    p = CELL.flip_probability(0.33)
    assert CELL.rates(0.33) == (0.0, p)
    assert CELL.rates(0.33, charged=0) == (p, 0.0)
    assert CELL.random_polarity_probability(0.33) == pytest.approx(p / 2, rel=1e-15)
    assert CELL.random_polarity_probability(1e9) == 0.5
    zeros, lost = CELL.rates(np.array([0.1, 0.33]))
    assert zeros.tolist() == [0.0, 0.0]
    assert lost[1] == p


def test_regimes_follow_the_window():
    """Rare, transition, saturated."""
    times = CELL.window_for(np.array([1e-6, 0.3, 0.999]))
    regimes = [regime(p) for p in CELL.flip_probability(times)]
    assert regimes == [
        Regime.RARE,
        Regime.TRANSITION,
        Regime.SATURATED,
    ]


def test_deep_logarithms_do_not_underflow():
    """Ln T below -1e5 and ln p below -1e6, and a retention time beyond every float."""
    thick = Cell(Rectangular(4.0, 5500.0, 1.0), 100, 50, 1e13)
    assert thick.log_transmission() < -1e5
    assert thick.log_flip_probability(1.0) < -1e6
    assert thick.flip_probability(1.0) == 0.0
    assert thick.window_for(0.1) == np.inf
    assert CELL.log_flip_probability(1e300) == 0.0


def test_spread_is_exact_far_below_underflow():
    """Deep in the tail the average still is the probability of a cell thin enough."""
    cell = Cell(Rectangular(3.15, 3.87, 0.42), 30000, 15000, 1e13, thickness_spread=0.05)
    ideal = replace(cell, thickness_spread=0.0)
    window = 1e-3
    thinner = (ideal.thickness_for(0.5, window) - 3.87) / 0.05
    # Far out the randomness of 30000 escapes still helps a little: a hundredth of a standard deviation.
    assert cell.log_flip_probability(window) == pytest.approx(special.log_ndtr(thinner), rel=1e-3)
    assert cell.log_flip_probability(window) < np.log(1e-300)


def test_temperature_raises_p_as_its_factor_says():
    """In the rare regime of a single electron p is proportional to <T>."""
    cold, warm = (Cell(Rectangular(3.15, 3.0, 0.42), 1, 0, 1e13, temperature=kelvin) for kelvin in (0.0, 300.0))
    assert warm.flip_probability(1e-9) / cold.flip_probability(1e-9) == pytest.approx(1.17, abs=0.005)


def test_any_barrier_makes_a_cell():
    """A stack and a barrier with image charges answer the same questions."""
    stack = Cell(Stack((Layer(3.15, 0.8, 0.42), Layer(1.5, 1.7, 0.17, 25.0))), 1200, 600, 2e13, thickness_spread=0.02)
    rounded = Cell(Rectangular(3.15, 2.0, 0.42, image_force=ImageForce()), 20, 10, 1e13)
    for cell in (stack, rounded):
        window = cell.window_for(0.1)
        assert cell.flip_probability(window) == pytest.approx(0.1, rel=1e-6)
        assert cell.thickness_for(0.1, window) == pytest.approx(cell.barrier.thickness, abs=1e-6)


def test_cells_are_frozen_and_equal_by_value():
    """Records, not objects with a life."""
    assert Cell(BARRIER, 200, 100, 1e13) == CELL
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'electrons'"):
        CELL.electrons = 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"electrons": 0}, "electrons must be a whole number of at least 1, got 0"),
        ({"electrons": 2.5}, r"electrons must be a whole number of at least 1, got 2\.5"),
        ({"threshold": 200}, r"threshold must be below the 200 electrons .*, got 200"),
        ({"threshold": -1}, "threshold must be a whole number of at least 0, got -1"),
        ({"attempt_frequency": 0.0}, "attempt_frequency must be above 0, got 0.0"),
        ({"temperature": -3.0}, "temperature must be at least 0, got -3.0"),
        ({"thickness_spread": -0.1}, r"thickness_spread must be at least 0, got -0\.1"),
        ({"barrier": 3.15}, r"barrier must be a Rectangular, Stack or Profile, got 3\.15"),
    ],
)
def test_impossible_cells_are_refused(arguments, message):
    """The message names the argument, what is allowed, and the value."""
    given_arguments = {"barrier": BARRIER, "electrons": 200, "threshold": 100, "attempt_frequency": 1e13}
    with pytest.raises(ArgumentError, match=message):
        Cell(**(given_arguments | arguments))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CELL.flip_probability(-1.0), "window must be above 0 and finite, got -1.0"),
        (lambda: CELL.flip_probability(0.0), "window must be above 0 and finite, got 0.0"),
        (
            lambda: CELL.log_flip_probability(np.array([1.0, np.nan])),
            r"window must be .*, none of them NaN, got array\(\[ 1., nan",
        ),
        (lambda: CELL.flip_probability("long"), "window must be a number, or an array of numbers, .*, got 'long'"),
        (lambda: CELL.escape_count(-1.0), "window must be above 0, got -1.0"),
        (lambda: CELL.window_for(1.0), "p must be above 0 and below 1, got 1.0"),
        (lambda: CELL.thickness_for(0.0, 1.0), "p must be above 0 and below 1, got 0.0"),
        (lambda: CELL.thickness_for(0.1, -1.0), "window must be above 0, got -1.0"),
        (lambda: CELL.rates(1.0, charged=2), "charged must be a whole number from 0 to 1, got 2"),
        (lambda: CELL.log_lost_probabilities(0.0, traps=1), "traps must be 0 for a cell without Traps, got 1"),
    ],
)
def test_impossible_questions_are_refused(call, message):
    """The message names the argument, what is allowed, and the value."""
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_p_that_no_thickness_gives_is_refused():
    """Under a strong field the triangle is complete, and more oxide does not help."""
    cell = replace(CELL, barrier=Rectangular(3.15, 6.0, 0.42, field=1.5))
    with pytest.raises(ArgumentError, match=r"p must be reachable by some thickness at a window of 1\.0 s, got 1e-06"):
        cell.thickness_for(1e-6, 1.0)
