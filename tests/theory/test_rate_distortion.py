"""The fewest bits for a wanted output error, against every choice of what is stored and a general optimiser."""

import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from qtaml.errors import ArgumentError
from qtaml.theory import entropy_power, least_bits, least_error
from tests.tolerances import EXACT_MATHS, LINE_SEARCH


def test_one_tensor_needs_half_the_logarithm():
    """n/2 log2 of the error without any bits over the wanted one."""
    assert least_bits([6.0], [100], 6.0 / 16) == pytest.approx(200, rel=EXACT_MATHS)


def test_tensors_in_proportion_are_one():
    """Two tensors of equal importance a weight need what their union needs."""
    assert least_bits([2.0, 6.0], [10, 30], 0.5) == pytest.approx(least_bits([8.0], [40], 0.5), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_split_of_the_error_needs_fewer_bits(seed):
    """Against a general optimiser over the error that each tensor keeps, from none to all of its own."""
    random = np.random.default_rng(seed)
    sizes, importances = random.integers(1, 50, 6), random.lognormal(0, 2, 6)
    wanted = float(importances.sum()) * random.uniform(0.05, 0.8)

    share = sizes / sizes.sum()
    # In logarithms of the part of the error that is kept, the bits are linear.
    found = optimize.minimize(
        lambda logs: -float(share @ logs),
        np.full(6, np.log(wanted / importances.sum())),
        jac=lambda _: -share,
        bounds=[(None, 0.0)] * 6,
        constraints={
            "type": "ineq",
            "fun": lambda logs: 1 - float(importances @ np.exp(logs)) / wanted,
            "jac": lambda logs: -importances * np.exp(logs) / wanted,
        },
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert found.success
    least = least_bits(importances.tolist(), sizes.tolist(), wanted)
    assert least == pytest.approx(found.fun * sizes.sum() / (2 * np.log(2)), rel=LINE_SEARCH)


def levels_of_all_choices(importances, sizes, level_of):
    """Which tensors are stored, and their common error of a weight, for every choice in which storing raises no error.

    `level_of` gets what is stored, and the error of the rest.
    """
    for bools in itertools.product([False, True], repeat=len(sizes)):
        stored = np.array(bools)
        if stored.any():
            level = level_of(stored, float(importances[~stored].sum()))
            if 0 < level <= (importances / sizes)[stored].min() * (1 + EXACT_MATHS):
                yield stored, level


@pytest.mark.parametrize("seed", range(12))
def test_no_other_choice_of_what_is_stored_is_better(seed):
    """Fewest bits and least error among all 2^6 choices, tensors of equal and of no importance among them."""
    random = np.random.default_rng(seed)
    sizes, importances = random.integers(1, 1000, 6), random.lognormal(0, 3, 6)
    importances[: seed % 3] = 0
    importances[4:] = importances[5] / sizes[5] * sizes[4:]
    each = importances / sizes
    wanted, given = float(importances.sum()) * 10 ** random.uniform(-4, -0.01), float(random.uniform(0.01, 12) * 1000)

    def bits(stored, level):
        return (sizes[stored] * np.log2(each[stored] / level)).sum() / 2

    fewest = min(
        bits(stored, level)
        for stored, level in levels_of_all_choices(
            importances, sizes, lambda stored, rest: (wanted - rest) / sizes[stored].sum()
        )
    )
    assert least_bits(importances.tolist(), sizes.tolist(), wanted) == pytest.approx(fewest, rel=1e-12)

    def level_of_bits(stored, _):
        if not each[stored].all():
            return 0.0
        return 2 ** (((sizes[stored] * np.log2(each[stored])).sum() - 2 * given) / sizes[stored].sum())

    least = min(
        float(importances[~stored].sum() + sizes[stored].sum() * level)
        for stored, level in levels_of_all_choices(importances, sizes, level_of_bits)
    )
    assert least_error(importances.tolist(), sizes.tolist(), given) == pytest.approx(least, rel=1e-12)


def test_more_bits_than_floats_can_tell_leave_the_least_error():
    """1e-300, of which a logarithm can be taken."""
    assert least_error([1.0, 2.0], [10, 10], 1e6) == 1e-300


def test_tensors_that_do_not_matter_need_no_bits():
    """And a large error needs none at all."""
    assert least_bits([4.0, 0.0], [10, 1000], 1.0) == pytest.approx(10, rel=EXACT_MATHS)
    assert least_bits([4.0, 1.0], [10, 10], 5.0) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1, 2], 0.1), "sizes must be one number for each tensor, as importances"),
        (([1.0], [0], 0.1), r"sizes must be above 0, got \[0\]"),
        (([1.0], [1], 0.0), "error must be above 0, got 0"),
        (([-1.0], [1], 0.1), "importances"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    """Each names the argument."""
    with pytest.raises(ArgumentError, match=message):
        least_bits(*arguments)
    importances, sizes, _ = arguments
    if "error" not in message:
        with pytest.raises(ArgumentError, match=message):
            least_error(importances, sizes, 1.0)


@pytest.mark.parametrize("bits", [0.5, 30.0, 400.0])
def test_the_least_error_is_the_inverse(bits):
    """The bits that it needs are those that were given; more bits leave less."""
    importances, sizes = [10.0, 3.0, 0.2], [10, 100, 20]
    error = least_error(importances, sizes, bits)
    assert least_bits(importances, sizes, error) == pytest.approx(bits, rel=1e-9)
    assert least_error(importances, sizes, bits + 1) < error


def test_without_bits_or_without_importance_nothing_can_be_lowered():
    """The error is that of storing nothing."""
    assert least_error([2.0, 3.0], [4, 5], 0.0) == 5.0
    assert least_error([0.0, 0.0], [4, 5], 7.0) == 0.0


@pytest.mark.parametrize(
    ("law", "power"),
    [
        (stats.norm(), 1.0),
        (stats.uniform(-1, 2), 4 / (2 * np.pi * np.e)),
        (stats.laplace(), (2 * np.e) ** 2 / (2 * np.pi * np.e)),
    ],
    ids=["gaussian", "uniform", "laplace"],
)
def test_the_entropy_power_is_that_of_the_law(law, power):
    """Of a fine sample of known laws, within a fiftieth."""
    sample = law.ppf((np.arange(50_000) + 0.5) / 50_000)
    assert entropy_power(sample) == pytest.approx(power, rel=0.02)


def test_few_weights_give_a_bound_that_is_too_low_never_too_high():
    """100 Gaussian weights, averaged over 200 draws; and never above their own mean square."""
    random = np.random.default_rng(0)
    found = [entropy_power(random.normal(size=100)) for _ in range(200)]
    assert 0.7 < np.mean(found) < 1.0


def test_equal_weights_have_no_entropy():
    """They need no bits."""
    assert entropy_power(np.zeros(50)) == 0.0
    with pytest.raises(ArgumentError, match="weights must be at least 4 finite values, got 3"):
        entropy_power([1.0, 2.0, 3.0])
