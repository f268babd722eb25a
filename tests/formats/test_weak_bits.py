"""Weak cells that the writer knows: what is read is the best of what can be read."""

import itertools

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import (
    EvenLevels,
    Format,
    NamedLevels,
    RootMeanSquare,
    Section,
    TensorFormat,
    TrellisLevels,
    WeakBits,
)
from qtaml.search.trellis_fitting import Shape, fit_trellis, gaussian_weights


def chip(count, bits, share, seed=0, turned=0.0):
    """Weak bits of both kinds at random."""
    random = np.random.default_rng(seed)
    kinds = random.random((2, count, bits))
    stuck, high, over = kinds[0] < share, kinds[1] < 0.5, (kinds[0] >= share) & (kinds[0] < share + turned)
    place = 1 << np.arange(bits)
    patterns = ((stuck & high) | over, (stuck & high) | ~(stuck | over))
    return WeakBits(*(torch.from_numpy((one @ place).astype(np.uint8)) for one in patterns))


@pytest.mark.parametrize("rule", ["nearest", "expected", "least_error"])
@pytest.mark.parametrize("levels", [EvenLevels(4), EvenLevels(4, "gray"), NamedLevels("fp8_e4m3")], ids=str)
def test_words_are_the_best_that_can_be_read(levels, rule):
    """Of all labels, one by one."""
    fmt, fault = Format(levels).protect(1), Uniform(0.05)
    weights = torch.from_numpy(np.random.default_rng(1).uniform(-1.2, 1.2, 300))
    weak = chip(300, fmt.bits, 0.2, turned=0.1)
    words = fmt.encode(weights, rule=rule, expecting=fault, weak=weak)
    mean, square = fmt.lines(rule, fault)
    everything = torch.arange(2**fmt.bits, dtype=torch.uint8)
    possible = WeakBits(weak.zeros[:, None], weak.ones[:, None]).read(everything) & (2**fmt.bits - 1)
    costs = square[possible] - 2 * weights[:, None].numpy() * mean[possible]
    costs[~np.isin(possible, levels.storable())] = np.inf
    read = (weak.read(words) & (2**fmt.bits - 1)).numpy()
    assert np.isin(read, levels.storable()).all()
    np.testing.assert_allclose(square[read] - 2 * weights.numpy() * mean[read], costs.min(1), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [1, 2])
def test_a_stream_is_the_best_that_can_be_read(shared):
    """Nearly: by enumeration of all short streams; the state at the joint is chosen first."""
    random = np.random.default_rng(2)
    levels = TrellisLevels(1, 3, ((1, -0.75), (2, 0.5), (6, 0.25)), shared)
    count = 10
    storage = TensorFormat((Section(count * shared, Format(levels)),), RootMeanSquare())
    weights = torch.from_numpy(random.standard_normal(count * shared))
    weak = chip(count * shared, 1, 0.3, turned=0.1)
    words, scale = storage.encode(weights, Uniform(0.0), weak)
    rest = [0] * (count * shared - count)

    def error_of(written):
        read = weak.read(written) & storage.full()
        return float((storage.decode(read, scale) - weights).square().sum())

    streams = itertools.product((0, 1), repeat=count)
    errors = [error_of(torch.tensor((*some, *rest), dtype=torch.uint8)) for some in streams]
    error = error_of(words)
    assert error >= min(errors) - 1e-9
    assert np.mean(np.array(errors) < error - 1e-9) < 0.02


@pytest.mark.parametrize(
    ("bits", "share", "least"),
    [
        (2, 0.1, 9.5),
        *(pytest.param(*one, marks=pytest.mark.long) for one in ((3, 0.1, 14.3), (4, 0.1, 19.0), (4, 0.05, 20.5))),
    ],
)
@pytest.mark.slow
def test_weak_cells_cost_a_trellis_little(bits, share, least):
    """Decibels of Gaussian weights, without any parity; no code brings a writer who does not know above 17.2."""
    shape = Shape(bits, 12 // bits)
    levels = fit_trellis(gaussian_weights(4096), Uniform(0.0).law(bits), shape, terms=16).levels
    weights = torch.from_numpy(gaussian_weights(20000, 1))
    weak = chip(20000, bits, share)
    storage = TensorFormat((Section(20000, Format(levels)),), RootMeanSquare())
    words, scale = storage.encode(weights, Uniform(0.0), weak)
    read = storage.decode(weak.read(words) & storage.full(), scale)
    assert -10 * np.log10(float((read - weights).square().mean())) > least


def test_no_weak_cells_change_nothing():
    """And all of them leave one word."""
    fmt, weights = Format(EvenLevels(3)), torch.linspace(-1, 1, 50)
    none = WeakBits(torch.zeros(50, dtype=torch.uint8), torch.full((50,), 7, dtype=torch.uint8))
    assert torch.equal(fmt.encode(weights, weak=none), fmt.encode(weights))
    same = torch.full((50,), 5, dtype=torch.uint8)
    assert (fmt.encode(weights, weak=WeakBits(same, same)) == 5).all()


def test_a_map_of_another_tensor_is_refused():
    """By shape, by dtype, and where no label is left."""
    storage = TensorFormat((Section(6, Format(EvenLevels(4))),))
    with pytest.raises(ArgumentError, match=r"weak must be of torch\.uint8 and shape"):
        storage.encode(torch.ones(6), Uniform(0.0), chip(5, 4, 0.1))
    with pytest.raises(ArgumentError, match="of one shape"):
        WeakBits(torch.zeros(2, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8))
    reserved = Format(NamedLevels("fp8_e4m3"))
    nan = torch.tensor([0x7F], dtype=torch.uint8)
    with pytest.raises(ArgumentError, match="leave a label"):
        reserved.encode(torch.ones(1), weak=WeakBits(nan, nan))
