"""What a weight can be stored as."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from qtaml.faults import Asymmetric, FaultModel, Uniform
from qtaml.formats import EvenLevels, Format, Largest, RootMeanSquare, Section, TableLevels, TensorFormat
from qtaml.planning import protection_options
from qtaml.protections import HardenedCell, Ideal, Protection, Raw, Repetition
from qtaml.search import Histogram
from qtaml.search.candidates import (
    Candidate,
    cells_of,
    efficient,
    fitted_menu,
    normalised,
    patterns,
    plain_menu,
    worthwhile,
)
from qtaml.search.gaussian_menu import gaussian_menu
from qtaml.sensitivity import Gain
from tests.tolerances import EXACT_MATHS, ROUNDING

THREE = (Raw(), Repetition(3), Ideal())


def laplacian(*shape: int) -> torch.Tensor:
    """Heavy-tailed weights of root mean square 1."""
    weights = torch.from_numpy(np.random.default_rng(0).laplace(size=shape))
    return weights / weights.square().mean().sqrt()


def test_patterns_are_all_words_of_one_or_two_kinds() -> None:
    """Within the cells, each once, the dearer kind on the most significant bits, cheapest first."""
    words = patterns(THREE, most_cells=9)
    assert len(set(words)) == len(words)
    assert () in words
    assert (Raw(),) * 8 in words
    assert (Ideal(),) * 4 in words
    assert (Raw(), Ideal(), Repetition(3)) not in words
    for word in words:
        cells = [bit.cells for bit in word]
        assert cells == sorted(cells)
        assert sum(cells) <= 9
        assert len(set(word)) <= 2
        assert len(word) <= 6 or len(set(word)) == 1
    mixed = [(Raw(),) * low + (high,) * count for high in THREE[1:] for count in range(1, 6) for low in range(1, 7)]
    assert {word for word in mixed if len(word) <= 6 and sum(bit.cells for bit in word) <= 9} <= set(words)


def test_patterns_of_one_protection_are_its_words() -> None:
    """Eleven words of 0 to 10 bits."""
    assert patterns([Raw()], most_cells=100) == tuple((Raw(),) * bits for bits in range(11))


def test_inefficient_protections_are_left_out() -> None:
    """Each that is kept is four times better than the one before, and none is beaten in both ways."""
    copies = (Raw(), Repetition(3), Repetition(5), Repetition(7))
    assert efficient(copies, Uniform(0.1)) == (Raw(), Repetition(5))  # 0.1, 0.028, 0.0086, 0.0027 remain
    wasteful = HardenedCell(9.0, 0.001, 0.001)  # better than seven copies, but for less information a cell
    assert wasteful not in efficient((*copies[:3], wasteful, HardenedCell(2.0, 0.0009, 0.0009)), Uniform(0.1))


@pytest.mark.parametrize("fault", [Uniform(0.1), Asymmetric(0.0, 0.1), Uniform(0.0)], ids=str)
def test_gaussian_menu_rises_in_cells_and_falls_in_error(fault: FaultModel) -> None:
    """From no cells and the whole variance to the dearest; the errors are those of the channel's exact moments."""
    menu = gaussian_menu((Raw(), Repetition(3)), fault, 10.0)
    assert menu[0].format == Format(menu[0].format.levels)
    assert menu[0].error == pytest.approx(1, abs=1e-6)
    for cheap, dear in pairwise(menu):
        assert cheap.format.cells < dear.format.cells <= 10
        assert cheap.error > dear.error
    if fault == Uniform(0.0):
        assert all(set(one.format.protections) <= {Raw()} for one in menu)


def test_eight_raw_cells_reach_the_best_known_figure() -> None:
    """9.70 dB for a Gaussian source at p = 0.10, within 0.1 dB (theory.md 6.2)."""
    menu = gaussian_menu((Raw(),), Uniform(0.1), 8.0)
    assert -10 * np.log10(menu[-1].error) > 9.60


@pytest.mark.parametrize("fault", [Uniform(0.05), Asymmetric(0.01, 0.15)], ids=str)
def test_fitted_candidates_have_the_error_that_the_format_makes(fault: FaultModel) -> None:
    """Weights encoded by the format itself: squared distance of the mean read, and the exact variance."""
    weights = laplacian(600)
    menu = fitted_menu(Histogram.of(weights), gaussian_menu(THREE, fault, 10.0), fault)
    assert len(menu) > 5
    for one in menu:
        words = one.format.encode(weights, rule="least_error", expecting=fault).long().numpy()
        bias = (one.format.read_mean(fault)[words] - weights.numpy()) ** 2
        assert one.error == pytest.approx(float((bias + one.format.read_variance(fault)[words]).mean()), rel=1e-6)


def test_fitting_never_does_worse_than_the_gaussian_levels() -> None:
    """It starts from them."""
    weights, fault = laplacian(600), Uniform(0.1)
    candidates = gaussian_menu((Raw(), Repetition(3)), fault, 8.0)
    fitted: dict[tuple[Protection, ...], float] = {}
    for one in fitted_menu(Histogram.of(weights), candidates, fault):
        fitted[one.format.protections] = min(one.error, fitted.get(one.format.protections, math.inf))
    for one in candidates:
        words = one.format.encode(weights, rule="least_error", expecting=fault).long().numpy()
        bias = (one.format.read_mean(fault)[words] - weights.numpy()) ** 2
        gaussian = float((bias + one.format.read_variance(fault)[words]).mean())
        assert fitted.get(one.format.protections, 0.0) <= gaussian * (1 + 1e-9)


def test_free_tables_are_offered_whatever_they_cost() -> None:
    """Of raw cells a long word and its table are the code: in 8 bits even levels lose 4.7 dB to it."""
    weights, fault = Histogram.of(laplacian(600)), Uniform(0.1)
    (longest,) = [one for one in gaussian_menu((Raw(),), fault, 8.0) if one.format.bits == 8]
    dear = fitted_menu(weights, [longest], fault, value_cells=100.0)
    even = [one for one in dear if len({round(step, 3) for step in np.diff(one.format.readout())}) == 1]
    assert len(even) == 1
    assert min(one.error for one in dear) < even[0].error / 2.5


def test_weights_are_measured_by_their_root_mean_square() -> None:
    """Of the tensor or each row; zeros stay zeros."""
    weights = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    relative, scale, counts = normalised(weights, RootMeanSquare(), "tensor")
    assert (relative.shape, scale.shape, int(counts)) == ((4,), (), 4)
    assert float(scale) == 2.5
    relative, scale, counts = normalised(weights, RootMeanSquare(), "row")
    kept = float(torch.tensor(12.5**0.5).bfloat16())
    assert scale.tolist() == [[kept], [0.0]]
    assert counts.tolist() == [[2.0], [2.0]]
    assert relative.square().tolist() == pytest.approx([9 / kept**2, 16 / kept**2, 0.0, 0.0], abs=ROUNDING)


def test_the_last_group_of_a_row_may_be_smaller() -> None:
    """Its weights are counted as they are."""
    relative, scale, counts = normalised(torch.tensor([[3.0, -4.0, 2.0], [1.0, 1.0, 8.0]]), Largest(), 2)
    assert scale.tolist() == [[4.0, 2.0], [1.0, 8.0]]
    assert counts.tolist() == [[2.0, 1.0], [2.0, 1.0]]
    assert relative.tolist() == [0.75, -1.0, 1.0, 1.0, 1.0, 1.0]


def test_plain_menu_is_what_tac_chooses_from() -> None:
    """The same cells and errors, in units of the tensor's mean square and size."""
    weights, fault = laplacian(20, 10), Uniform(0.1)
    stored = TensorFormat((Section(200, Format()),))
    options = protection_options(weights, stored, Gain(3.0, 0.0), fault, floor=0)
    protections: list[Protection] = [Raw(), Ideal()]
    menu = plain_menu(weights, protections, fault, 8)
    assert [one.format.cells for one in menu] == list(options.cells)
    for one, error in zip(menu, options.errors, strict=True):
        assert 3.0 * float(weights.square().sum()) * one.error == pytest.approx(error, rel=EXACT_MATHS)


def test_plain_menu_without_errors_is_the_plain_word() -> None:
    """Nothing is left for a protection to improve."""
    (one,) = plain_menu(laplacian(10), [Raw(), Ideal()], Uniform(0.0), 8)
    assert (one.format, one.error) == (Format(EvenLevels(8)), 0.0)


@pytest.mark.parametrize(("error", "shrinkage", "power", "coherence"), [(0.5, 0.4, 1.0, 1.0), (0.3, 0.2, 2.0, 30.0)])
def test_the_effect_is_the_least_over_the_readout_gain(error, shrinkage, power, coherence) -> None:
    """theory.md 6.6, against a fine grid of gains."""
    gains = np.linspace(0, 4, 400_001)
    rest = error - power * shrinkage**2
    errors = gains**2 * rest + coherence * power * (gains * (1 - shrinkage) - 1) ** 2
    one = Candidate(Format(), error, shrinkage)
    assert one.effect(power, coherence) == pytest.approx(errors.min(), rel=1e-6)


def test_the_cheapest_of_all_is_worthwhile_though_nothing_is_left_of_the_weights() -> None:
    """Its error is infinite where shrinkage has to be undone; nothing else is as cheap."""
    plain = Candidate(Format(TableLevels((-1.0, 1.0)), (Raw(),)), 0.5)
    nothing = Candidate(Format(TableLevels((0.0,)), ()), 1.0, 1.0)
    kept = worthwhile([plain, nothing, plain], cells_of, error=lambda one: one.effect(1.0, math.inf))
    assert kept == (nothing, plain)
