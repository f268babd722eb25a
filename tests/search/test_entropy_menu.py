"""Entropy-coded formats: near what entropy coding can reach, with the error that reads have, and asked for."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.planning import REAL_DECODERS, Design
from qtaml.protections import BlockCode, pareto_front
from qtaml.search.entropy_menu import _levels as block_levels
from qtaml.search.entropy_menu import entropy_menu, quantisers
from qtaml.search.histogram import Histogram
from tests.formats.test_entropy import laplacian

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_artifact.py"


def decibels(weights, bits):
    """Signal to noise of the quantisers of some weights at an entropy."""
    found = quantisers(Histogram.of(weights, bins=4096))
    return np.interp(bits, [one.bits for one in found], [-10 * np.log10(one.error) for one in found])


@pytest.mark.parametrize(
    ("bits", "gaussian", "heavy"), [(0.5, 2.1, 3.1), (1, 4.6, 5.8), (2, 10.5, 11.4), (3, 16.5, 17.2)]
)
def test_quantisers_reach_the_known_figures(bits, gaussian, heavy):
    """Of theory.md 6.13, within 0.15 dB: the noise of 30,000 weights and of interpolation."""
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal(30_000))
    normal /= normal.square().mean().sqrt()
    other = laplacian(30_000)
    other /= other.square().mean().sqrt()
    assert decibels(normal, bits) == pytest.approx(gaussian, abs=0.15)
    assert decibels(other, bits) == pytest.approx(heavy, abs=0.15)


def test_the_error_of_a_candidate_is_that_of_reads():
    """Rounding to blocks that fit included, for which fine levels leave little room; some blocks are lost."""
    weights, fault = laplacian(20_000), Uniform(0.1)
    found = entropy_menu(
        Histogram.of(weights, bins=4096), pareto_front(0.1, 0.1, decoders=("iterative",)), fault, 20_000
    )
    assert len(found) > 20
    for one in found[::7]:
        words = one.format.encode(weights)
        error = float((one.format.decode(words) - weights).square().mean())
        lost = one.format.lost_blocks(fault)
        power = float(weights.square().mean())
        within = 0.04 if one.format.levels.bits <= 4 else 0.12
        assert one.error == pytest.approx((1 - lost) * error + lost * power, rel=within)
        assert one.format.words(20_000) * sum(bit.cells for bit in one.format.protections) == pytest.approx(
            20_000 * one.format.cells, rel=0.02
        )


def test_every_part_of_a_tensor_fits_into_its_places():
    """Near a whole number of bits a weight too, where parts of blocks are rounded up to bytes."""
    quantiser = min(quantisers(Histogram.of(laplacian(20_000), bins=4096)), key=lambda one: abs(one.bits - 4.9))
    found = [one for size in range(250, 1057, 9) if (one := block_levels(quantiser, size))]
    for levels in found:
        counts = range(levels.block_weights, 4 * levels.block_weights, 101)
        assert all(levels.fits(count) for count in counts), levels
    assert {levels.bits for levels in found} == {5, 6}


def test_only_block_codes_serve_and_only_tensors_that_fill_a_block():
    """Anything else loses blocks by the wrong bits that are left."""
    weights, fault = Histogram.of(laplacian(5_000)), Uniform(0.1)
    assert not entropy_menu(weights, pareto_front(0.1, 0.1, decoders=("none", "majority")), fault, 5_000)
    code = BlockCode(1000, 2480)
    assert entropy_menu(weights, (code,), fault, 5_000)
    assert not entropy_menu(weights, (code,), fault, 240)


def test_sequential_decoders_are_asked_for():
    """Beside tables and block codes; not for words that are written for each chip."""
    assert "sequential" not in REAL_DECODERS
    with pytest.raises(ArgumentError, match="decoders must hold 'table' and 'iterative' beside 'sequential', got"):
        Design(p=0.1, cells=1.0, decoders=("none", "table", "sequential"))


@pytest.mark.slow
def test_a_design_with_an_entropy_code(tmp_path):
    """Heavy tails: within the budget, errors as predicted; stored, saved and read, by the reader in NumPy too."""
    model = nn.Linear(160, 160, bias=False)
    with torch.no_grad():
        model.weight.copy_(laplacian(160 * 160).reshape(160, 160) / 16)
    batch, decoders = torch.randn(32, 160), ("none", "table", "iterative", "sequential")
    plan = qtaml.design(model, batch, p=0.02, cells=0.4, decoders=decoders, beyond_first_order=False)
    kinds = {section.format.levels.kind for entry in plan.tensors for section in entry.storage.sections}
    assert "entropy" in kinds
    assert plan.cells <= 0.4
    memory, clean = qtaml.store(model, plan), model(batch)
    errors = [(memory.model(seed=seed)(batch) - clean).square().sum(1).mean().item() for seed in range(200)]
    # Few reads lose a block, so that eight reads of a plan that met none say nothing of it. Plans reckon with the upper
    # bounds of how often that is.
    mean, uncertainty = np.mean(errors), 3 * np.std(errors) / len(errors) ** 0.5
    assert mean - uncertainty <= plan.predicted_error <= 1.25 * mean
    memory.save(tmp_path / "stored")
    loaded = qtaml.load(tmp_path / "stored", model)
    assert torch.equal(dict(loaded.read(seed=7))["weight"], dict(memory.read(seed=7))["weight"])
    read_weights = runpy.run_path(str(EXAMPLE))["read_weights"]
    assert np.array_equal(read_weights(tmp_path / "stored")["weight"], dict(memory.read(seed=None))["weight"].numpy())
