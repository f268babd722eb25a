"""Tensors with options, and budgets: what the tests of allocation share."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import strategies as st

from qtaml.planning import Choice, Options, allocated_error
from qtaml.planning.allocation import allocated_cells

BITS = 8


def protection(weights: int, score: float, bits: int = BITS) -> Options:
    """Protecting k = 0 .. bits most significant bits of a tensor: bits + k cells a weight, error n a 4^-k."""
    depths = range(bits + 1)
    return Options(weights, tuple(bits + k for k in depths), tuple(weights * score * 4.0**-k for k in depths))


def total_error(options: Sequence[Options], choices: Sequence[Choice]) -> float:
    """Predicted error of all tensors together."""
    return sum(allocated_error(option, choice) for option, choice in zip(options, choices, strict=True))


def assert_allowed(options: Sequence[Options], choices: Sequence[Choice], budget: float) -> None:
    """One choice for each tensor, among its options, together within the budget."""
    assert len(choices) == len(options)
    spent = 0
    for option, choice in zip(options, choices, strict=True):
        assert 0 <= choice.low <= choice.high < len(option.cells), f"{choice} is no choice among {option}"
        assert 0 <= choice.upgraded <= option.weights, f"{choice} upgrades more than {option.weights} weights"
        spent += (option.weights - choice.upgraded) * option.cells[choice.low]
        spent += choice.upgraded * option.cells[choice.high]
    # Fractions of a cell are added up in another order there.
    assert spent == pytest.approx(allocated_cells(options, choices), rel=1e-12)
    assert spent <= budget * (1 + 1e-12), f"{spent} cells are spent of {budget}"


@st.composite
def protections(draw: st.DrawFn, most_weights: int = 100_000) -> tuple[list[Options], int]:
    """Tensors with the error curves of protected bits, and a budget from nothing spare to everything protected."""
    tensors = draw(st.integers(1, 7))
    # Scores over the twelve decades around 1, where gains of real networks lie, and the zero of a dead tensor.
    scores = [draw(st.one_of(st.just(0.0), st.floats(1e-6, 1e6))) for _ in range(tensors)]
    sizes = [draw(st.integers(1, most_weights)) for _ in range(tensors)]
    spare = draw(st.integers(0, BITS * sum(sizes)))
    return [protection(size, score) for size, score in zip(sizes, scores, strict=True)], BITS * sum(sizes) + spare


@st.composite
def any_options(draw: st.DrawFn) -> tuple[list[Options], int]:
    """Options of any errors, falling or not, convex or not, with jumps of several cells, and any possible budget."""
    options = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 4))
        cells = sorted(draw(st.sets(st.integers(1, 9), min_size=count, max_size=count)))
        errors = draw(st.lists(st.integers(0, 100), min_size=count, max_size=count))
        options.append(Options(draw(st.integers(1, 4)), tuple(cells), tuple(map(float, errors))))
    least = sum(option.weights * option.cells[0] for option in options)
    most = sum(option.weights * option.cells[-1] for option in options)
    return options, draw(st.integers(least, most))


@st.composite
def real_options(draw: st.DrawFn) -> tuple[list[Options], float]:
    """A few tensors whose options cost fractions of a cell, as codes and tables do, and any possible budget."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = []
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 5))
        cells = np.sort(random.uniform(0, 10, count))
        errors = random.lognormal(0, 2) * np.exp(-random.uniform(0, 1.5) * cells) * random.uniform(0.7, 1.3, count)
        options.append(Options(int(random.integers(1, 1000)), tuple(cells.tolist()), tuple(errors.tolist())))
    least, most = (sum(option.weights * option.cells[end] for option in options) for end in (0, -1))
    return options, least + draw(st.floats(0, 1)) * (most - least)
