"""Rounding with feedback: words that make up for each other's errors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import (
    EntropyLevels,
    Fixed,
    Format,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
    TrellisLevels,
    WeakBits,
    entropy,
)
from qtaml.formats.feedback import fed_back
from qtaml.formats.levels import standard_trellises
from qtaml.formats.roundings import Rounding
from qtaml.protections import Raw
from qtaml.sensitivity import Curvature

FAULT = Uniform(0.02)


def positive_definite(size: int, seed: int, samples: int = 3) -> torch.Tensor:
    """A factor of a few samples, of mean diagonal 1."""
    drawn = torch.randn(samples, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = drawn.T @ drawn + 0.3 * torch.eye(size, dtype=torch.float64)
    return found / found.diagonal().mean()


def one_by_one(weights, read_of, curvature: Curvature, rows_first: bool) -> np.ndarray:
    """What is read if each weight gets the reading nearest to what would be best if all later ones were free."""
    lines, width = weights.shape
    rows = np.eye(lines) if curvature.rows is None else curvature.rows.numpy()
    columns = np.eye(width) if curvature.columns is None else curvature.columns.numpy()
    by_row, by_column = (np.argsort(-one.diagonal(), kind="stable") for one in (rows, columns))
    order = [(r, c) for r in by_row for c in by_column] if rows_first else [(r, c) for c in by_column for r in by_row]
    places = np.array([r * width + c for r, c in order])
    hessian = np.kron(rows, columns)[np.ix_(places, places)]
    flat, errors, read = weights.reshape(-1)[places], np.zeros(len(places)), np.zeros(len(places))
    for k in range(len(places)):
        free = np.linalg.solve(hessian[k:, k:], -hessian[k:, :k] @ errors[:k])
        read[k] = read_of(flat[k] - free[0])
        errors[k] = flat[k] - read[k]
    found = np.empty(len(places))
    found[places] = read
    return found.reshape(weights.shape)


@pytest.mark.parametrize("sides", [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (70, 2)])
def test_each_label_is_the_best_if_the_rest_were_free(shape, sides) -> None:
    """Against a solution of the whole quadratic form for each weight."""
    rows, columns = (positive_definite(size, 7) if kept else None for size, kept in zip(shape, sides, strict=True))
    curvature = Curvature(rows, columns)
    fmt = Format(TableLevels((-1.5, -0.4, 0.5, 1.2)))
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    decision = fmt.decision("least_error", FAULT)
    rounding = Rounding(decision.boundaries, decision.labels, fmt.read_mean(FAULT))
    labels, _ = fed_back(weights, np.full(shape, 0.8), np.zeros(shape, np.int16), [rounding], curvature)

    def read_of(value: float) -> float:
        label = fmt.encode(torch.tensor([value / 0.8]), rule="least_error", expecting=FAULT)
        return float(fmt.read_mean(FAULT)[int(label)] * 0.8)

    rows_first = rows is None or (columns is not None and shape[0] >= shape[1])
    expected = one_by_one(weights.double().numpy(), read_of, curvature, rows_first)
    assert np.allclose(fmt.read_mean(FAULT)[labels] * 0.8, expected)


def test_fine_levels_leave_the_product_of_the_pivots() -> None:
    """The share of the error that theory.md 6.12 gives."""
    curvature = Curvature(positive_definite(40, 1, samples=20), positive_definite(60, 2, samples=20))
    storage = TensorFormat((Section(2400, Format()),), correction="least_error")
    weights = torch.randn(40, 60, generator=torch.Generator().manual_seed(3))

    def error(one: TensorFormat) -> float:
        words, scale = one.encode(weights, Uniform(0.0), curvature=curvature)
        return curvature.error(weights - one.decode(words, scale))

    left = error(replace(storage, correction="fed_back")) / error(storage)
    shares = []
    for one in (curvature.rows, curvature.columns):
        order = one.diagonal().argsort(descending=True)
        shares.append(
            float(torch.linalg.cholesky(one[order][:, order].inverse(), upper=True).diagonal().pow(-2).mean())
        )
    # 2,400 rounding errors: their mean square is known to 2% (one standard error), both of the ratio's to 3%.
    assert left == pytest.approx(math.prod(shares), rel=0.12)
    assert left < 0.5


@pytest.mark.parametrize("granularity", ["tensor", "row", 5])
def test_scales_of_rows_and_groups_stay_with_their_weights(granularity) -> None:
    """Less error of the whole, with the same scales; without a curvature the words are those of least error."""
    weights = torch.randn(8, 16, generator=torch.Generator().manual_seed(4)) * torch.arange(1, 9)[:, None]
    curvature = Curvature(None, positive_definite(16, 5))
    fmt = Format(TableLevels((-1.5, -0.5, 0.5, 1.5)))
    plain = TensorFormat((Section(128, fmt),), RootMeanSquare(), granularity, "least_error")
    fed = replace(plain, correction="fed_back")
    (before, scale), (after, same) = plain.encode(weights, FAULT), fed.encode(weights, FAULT, curvature=curvature)
    assert torch.equal(scale, same)
    assert torch.equal(fed.encode(weights, FAULT)[0], before)
    errors = [curvature.error(weights - fed.read_mean(words, scale, FAULT)) for words in (before, after)]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("sides", [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("shared", [1, 2])
def test_streams_are_fed_back_too(shared, sides) -> None:
    """Words of a trellis make up for each other's errors, beside outliers."""
    weights = torch.randn(32, 64, generator=torch.Generator().manual_seed(4))
    table = next(one for one in standard_trellises() if (one.bits, one.weights_per_word) == (1, shared))
    plain = TensorFormat((Section(2048, Format(table)),), RootMeanSquare(), correction="least_error", outliers=5)
    fed, exact = replace(plain, correction="fed_back"), plain.outliers_of(weights)
    factors = (
        positive_definite(size, 6, size // 2) if kept else None for size, kept in zip((32, 64), sides, strict=True)
    )
    curvature = Curvature(*factors)
    (before, scale), (after, _) = (one.encode(weights, FAULT, curvature=curvature) for one in (plain, fed))
    errors = [weights - plain.read_mean(words, scale, FAULT, outliers=exact) for words in (before, after)]
    assert plain.holds(after)
    assert curvature.error(errors[1]) < 0.75 * curvature.error(errors[0])


@pytest.mark.parametrize(("shape", "samples", "most"), [((8, 64), 3, 0.5), ((64, 8), 3, 0.1), ((128, 128), 1, 0.1)])
def test_streams_that_act_strongly_together(shape, samples, most) -> None:
    """Chosen many at a time, they would err more than before: fewer are, from where they were."""
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    stream = Format(TrellisLevels(2, 2, ((1, -0.5), (2, -0.25), (4, -0.7), (8, 0.3))))
    half = weights.numel() // 2
    sections = (Section(half, stream), Section(half, Format(TableLevels((-1.0, 0.0, 1.0, 2.0)))))
    storage = TensorFormat(sections, RootMeanSquare(), correction="fed_back")
    curvature = Curvature(*(positive_definite(size, 6, samples) for size in shape))
    (plain, scale), (words, _) = storage.encode(weights, FAULT), storage.encode(weights, FAULT, curvature=curvature)
    errors = [curvature.error(weights - storage.read_mean(one, scale, FAULT)) for one in (plain, words)]
    assert not torch.equal(words.reshape(-1)[:half], plain.reshape(-1)[:half])
    assert not torch.equal(words.reshape(-1)[half:], plain.reshape(-1)[half:])
    assert errors[1] < most * errors[0]


def test_streams_are_fed_back_around_weak_cells() -> None:
    """What is stuck or turns over is known: words are chosen among those that can be read, and what is read counts."""
    weights = torch.randn(32, 64, generator=torch.Generator().manual_seed(4))
    table = next(one for one in standard_trellises() if (one.bits, one.window, one.weights_per_word) == (2, 4, 1))
    none = Uniform(0.0)
    plain = TensorFormat((Section(2048, Format(table)),), RootMeanSquare(), correction="least_error")
    random = np.random.default_rng(0)
    zeros, ones = (torch.from_numpy(random.integers(0, 4, (32, 64), np.uint8)) for _ in range(2))
    kept = torch.from_numpy(random.random((32, 64)) < 0.8)
    weak = WeakBits(torch.where(kept, 0, zeros).byte(), torch.where(kept, 3, ones).byte())
    curvature = Curvature(positive_definite(32, 6, 16), positive_definite(64, 6, 32))
    errors = []
    for one in (plain, replace(plain, correction="fed_back")):
        words, scale = one.encode(weights, none, weak, curvature)
        read = weak.read(words)
        assert torch.equal(read & weak.stuck, weak.zeros & weak.stuck)
        assert int(words.max()) < 4
        errors.append(curvature.error(weights - one.decode(read, scale)))
    assert weak.turned.any()
    assert errors[1] < 0.6 * errors[0]


def test_no_single_label_would_do_better() -> None:
    """What sweeps end with, against every other label of every weight."""
    curvature = Curvature(positive_definite(6, 6), positive_definite(5, 5))
    fmt = Format(TableLevels((-1.5, -0.4, 0.5, 1.2)))
    storage = TensorFormat((Section(30, fmt),), RootMeanSquare(), correction="fed_back")
    weights = torch.randn(6, 5, generator=torch.Generator().manual_seed(4))
    words, scale = storage.encode(weights, FAULT, curvature=curvature)

    def error(found: torch.Tensor) -> float:
        left = curvature.error(weights - storage.read_mean(found, scale, FAULT))
        return left + curvature.noise(storage.read_variance(found, scale, FAULT))

    least = error(words)
    for place in range(30):
        for label in range(4):
            other = words.clone()
            other.view(-1)[place] = label
            assert error(other) >= least * (1 - 1e-6)


def test_rows_of_zeros_keep_their_words() -> None:
    """Whatever their label is: it is read as 0."""
    weights = torch.randn(4, 32, generator=torch.Generator().manual_seed(4))
    weights[1] = 0
    curvature = Curvature(positive_definite(4, 6), positive_definite(32, 5))
    fmt = Format(TableLevels((-1.5, -0.5, 0.5, 1.5)))
    storage = TensorFormat((Section(128, fmt),), RootMeanSquare(), "row", "fed_back")
    (plain, scale), (words, _) = storage.encode(weights, FAULT), storage.encode(weights, FAULT, curvature=curvature)
    assert torch.equal(words[1], plain[1])
    errors = [curvature.error(weights - storage.read_mean(one, scale, FAULT)) for one in (plain, words)]
    assert errors[1] < 0.7 * errors[0]


def entropy_coded() -> Format:
    """Seven labels in blocks of 200 weights with 2.4 bits each."""
    shares = (100, 400, 900, 1296, 900, 400, 100)
    return Format(EntropyLevels((-2.4, -1.6, -0.8, 0.0, 0.8, 1.6, 2.4), shares, block_weights=200, block_bytes=66))


def test_labels_of_blocks_are_fed_back_and_fit() -> None:
    """Entropy-coded weights err less together in the same blocks, beside outliers."""
    weights = torch.randn(40, 64, generator=torch.Generator().manual_seed(4))
    curvature = Curvature(positive_definite(40, 6, samples=60), positive_definite(64, 5, samples=90))
    plain = TensorFormat((Section(2560, entropy_coded()),), RootMeanSquare(), correction="least_error", outliers=8)
    fed = replace(plain, correction="fed_back")
    exact = plain.outliers_of(weights)
    none = Uniform(0.0)
    (before, scale), (after, same) = plain.encode(weights, none), fed.encode(weights, none, curvature=curvature)
    assert scale == same
    read = [fed.read_mean(words, scale, none, outliers=exact) for words in (before, after)]
    errors = [curvature.error(weights - one) for one in read]
    assert errors[1] < 0.7 * errors[0]


def test_blocks_that_get_too_long_are_rounded_more_coarsely() -> None:
    """Labels that do not fit are chosen anew for their block; those of others stay."""
    weights = torch.randn(400, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    levels = entropy_coded().levels
    first, second = (where for where, _, _ in levels.blocks(400))
    chosen = entropy.labels_of(entropy.encode(weights, levels), levels).numpy()
    asked = chosen.copy()
    asked[first], asked[second[:3]] = 0, 3
    kept = entropy.labels_of(entropy.encode(weights, levels, asked), levels).numpy()
    assert np.array_equal(kept[first], chosen[first])
    assert np.array_equal(kept[second], asked[second])


@pytest.mark.parametrize("kind", ["table", "trellis"])
def test_words_are_chosen_for_a_readout_gain(kind: str) -> None:
    """Those for twice what is read are those of half the weights; without a curvature there is nothing to choose."""
    levels = TableLevels((-1.5, -0.5, 0.5, 1.5)) if kind == "table" else TrellisLevels(1, 4, ((1, 0.8), (6, 0.5)))
    format_ = Format(levels, (Raw(),) * levels.bits)
    weights = torch.randn(16, 24, generator=torch.Generator().manual_seed(3))
    one = TensorFormat((Section(weights.numel(), format_),), Fixed(1.0), correction="fed_back")
    two = replace(one, feedback_gain=2.0)
    curvature = Curvature(positive_definite(16, 0), positive_definite(24, 1))
    words, _ = two.encode(weights, FAULT, curvature=curvature)
    assert torch.equal(words, one.encode(weights / 2, FAULT, curvature=curvature)[0])
    assert not torch.equal(words, one.encode(weights, FAULT, curvature=curvature)[0])
    assert torch.equal(two.encode(weights, FAULT)[0], one.encode(weights, FAULT)[0])
    # Words that are chosen one by one are read without it.
    plain = replace(two, readout_gain=2.5).without_feedback()
    assert (plain.correction, plain.readout_gain, plain.feedback_gain) == ("least_error", 1.25, 1.0)
    assert plain.without_feedback() is plain


def test_outliers_keep_their_words() -> None:
    """Outliers are read exactly: their words stay zeros."""
    weights = torch.randn(8, 16, generator=torch.Generator().manual_seed(4))
    curvature = Curvature(None, positive_definite(16, 5))
    fmt = Format(TableLevels((-1.0, 0.0, 1.0, 2.0)))
    storage = TensorFormat((Section(128, fmt),), RootMeanSquare(), correction="fed_back", outliers=4)
    words, scale = storage.encode(weights, FAULT, curvature=curvature)
    plain, same = storage.encode(weights, FAULT)
    kept = storage.outliers_of(weights)
    assert scale == same
    assert torch.equal(words.reshape(-1)[kept.places], plain.reshape(-1)[kept.places])
    assert not torch.equal(words, plain)


@pytest.mark.slow
def test_feedback_lowers_the_error_on_other_inputs() -> None:
    """Inputs of few directions: what is left goes where none of them are, and on inputs that no plan saw too."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(6, 48, generator=generator)
    inputs = torch.randn(200, 6, generator=generator) @ mixed + 0.1 * torch.randn(200, 48, generator=generator)
    model = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 8))
    calibration, test = inputs[:64], inputs[64:]
    asked = {"p": 1e-4, "cells": 0.5, "decoders": ("table",), "beyond_first_order": False}
    plain = qtaml.design(model, calibration, **asked)
    fed = qtaml.design(model, calibration, feedback=True, **asked)
    assert fed.fed_back
    assert any("so `store` needs the calibration inputs" in one for one in fed.remarks)
    assert any("not fed back" in one for one in replace(plain, settings=fed.settings).remarks)
    clean = model(test)
    errors = []
    for plan in (plain, fed):
        memory = qtaml.store(model, plan, calibration=calibration)
        reads = [memory.model(seed=seed)(test) - clean for seed in range(5)]
        errors.append(float(torch.stack(reads).square().mean().detach()))
    assert errors[1] < 0.3 * errors[0]
    # What is trained moves: it is read without, and stored so.
    moved = qtaml.noisy(model, fed).plan
    assert not moved.fed_back
    assert moved.remarks == ()
    with pytest.raises(ArgumentError, match=r"calibration must be the inputs that the plan was made with"):
        qtaml.store(model, fed)
    with pytest.raises(ArgumentError, match=r"weak_cells must be None for a plan that .* was not made for known weak"):
        qtaml.store(model, fed, calibration=calibration, weak_cells=_no_weak_cells(fed))


def _no_weak_cells(plan: qtaml.Plan) -> dict[str, qtaml.formats.WeakBits]:
    cells = {one.name: torch.zeros(one.shape, dtype=torch.uint8) for one in plan.tensors}
    return {name: qtaml.formats.WeakBits(zero, zero.bitwise_not()) for name, zero in cells.items()}
