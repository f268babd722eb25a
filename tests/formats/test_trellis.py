"""Trellises: the stream is the best one, and the law of what is read from it is exact."""

import itertools

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, MultiLevel, Uniform
from qtaml.formats import Format, RootMeanSquare, Section, TensorFormat, TensorReader, TrellisLevels, walsh
from qtaml.formats.trellis import encode, stride, windows
from qtaml.formats.viterbi import best_stream
from qtaml.protections import Repetition
from qtaml.theory import neighbour_covariance


def trellis(bits, window, shared=1, seed=0):
    """Levels with every term."""
    values = np.random.default_rng(seed).standard_normal(shared << bits * window)
    return TrellisLevels(bits, window, tuple(enumerate((walsh(values) / len(values)).tolist())), shared)


def stored_as(fmt, weights):
    """A tensor of one format."""
    return TensorFormat((Section(weights, fmt),), RootMeanSquare(), correction="least_error", readout_gain=1.25)


def test_a_series_of_parities_is_a_table():
    """Whose values are sums of signed coefficients."""
    values = np.random.default_rng(1).standard_normal(16)
    by_hand = [
        sum(c * (-1) ** (mask & u).bit_count() for mask, c in enumerate((walsh(values) / 16).tolist()))
        for u in range(16)
    ]
    np.testing.assert_allclose(by_hand, values, atol=1e-12)
    np.testing.assert_allclose(trellis(2, 2).readout(), np.random.default_rng(0).standard_normal(16), atol=1e-12)


@pytest.mark.parametrize("words", [2, 3, 4, 12, 100, 999, 4096])
def test_the_stream_visits_every_place_once(words):
    """Whatever their number."""
    places = np.arange(words) * stride(words) % words
    assert sorted(places.tolist()) == list(range(words))


def test_neighbours_of_the_stream_lie_apart():
    """The words of a window of 10,000."""
    places = np.arange(13) * stride(10_000) % 10_000
    apart = np.abs(places[:, None] - places[None])[~np.eye(13, dtype=bool)]
    assert np.minimum(apart, 10_000 - apart).min() > 400


@pytest.mark.parametrize("shared", [1, 2])
def test_a_window_is_put_together_by_hand(shared):
    """From the own word up to the oldest."""
    levels, weights = trellis(2, 3, shared), 11
    count = -(-weights // shared)
    words = torch.randint(4, (count,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    places = torch.cat([words, torch.zeros(weights - count, dtype=torch.uint8)])
    found, step = windows(places, levels), stride(count)
    for weight in range(weights):
        word, which = weight % count, weight // count
        window = sum(int(words[(word - back * step) % count]) << 2 * back for back in range(3)) + (which << 6)
        assert int(found[weight]) == window


def total_cost(weights, words, mean, square, levels):
    """Of a stream of words."""
    stored = windows(words, levels).numpy()
    return float((square[stored] - 2 * weights.numpy() * mean[stored]).sum())


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "window", "shared", "count"), [(1, 3, 1, 10), (2, 2, 1, 5), (1, 4, 2, 9)])
def test_the_stream_is_the_best_of_all(bits, window, shared, count):
    """Of all closed streams, by enumeration; the state at the joint is chosen first, which may miss the best."""
    levels, random = trellis(bits, window, shared), np.random.default_rng(3)
    mean, square = levels.readout(), levels.readout() ** 2
    best = 0
    for _ in range(10):
        weights = torch.from_numpy(random.standard_normal(count * shared))
        costs = [
            total_cost(
                weights, torch.tensor((*words, *[0] * (count * (shared - 1))), dtype=torch.uint8), mean, square, levels
            )
            for words in itertools.product(range(2**bits), repeat=count)
        ]
        found = total_cost(weights, encode(weights, mean, square, levels), mean, square, levels)
        assert found >= min(costs) - 1e-9
        assert np.mean(np.array(costs) < found - 1e-9) < 0.01
        best += found <= min(costs) + 1e-9
    assert best >= 8


def plain_viterbi(weights, mean, square, bits, state):
    """The reference: costs and paths of all states, in plain Python."""
    states, words = len(mean) >> bits, 1 << bits
    paths = {state: (0.0, [])}
    for weight in weights:
        after = {}
        for old, (cost, path) in paths.items():
            for word in range(words):
                u = old << bits | word
                new = cost + square[u] - 2 * weight * mean[u]
                if u % states not in after or new < after[u % states][0]:
                    after[u % states] = new, [path, word]
        paths = after
    found, path = [], paths[state][1]
    while path:
        path, word = path
        found.append(word)
    return found[::-1]


@pytest.mark.parametrize(("bits", "window", "count"), [(1, 4, 6000), (2, 2, 200), (3, 2, 100)])
def test_the_compiled_search_is_the_plain_one(bits, window, count):
    """Over more words than are decided at once, too."""
    table, weights = trellis(bits, window).readout(), np.random.default_rng(5).standard_normal(count)
    none = np.zeros(count, np.uint8)
    found = best_stream(weights[:, None], np.ones((count, 1)), table[None], table[None] ** 2, bits, 1, 1, none, none)
    assert found.tolist() == plain_viterbi(weights.tolist(), table.tolist(), (table**2).tolist(), bits, 1)


def channel(levels):
    """Formats and memories, by name."""
    cell = MultiLevel((((0.9, 0.05, 0.03, 0.02), (0.1, 0.8, 0.1, 0.0), (0.0, 0.2, 0.7, 0.1), (0.1, 0.0, 0.1, 0.8)),))
    return {
        "one p": (Format(levels), Uniform(0.1)),
        "directions": (Format(levels), Asymmetric(0.02, 0.2)),
        "votes": (Format(levels, (Repetition(3),) * levels.bits), Uniform(0.1)),
        "one bit voted": (Format(levels).protect(1, Repetition(5)), Asymmetric(0.1, 0.2)),
        **({"cells of two bits": (Format(levels), cell)} if levels.bits == 2 else {}),
    }


CHANNELS = [
    (shape, name)
    for shape in [(1, 3, 1), (2, 2, 1), (1, 2, 2)]
    for name in ("one p", "directions", "votes", "one bit voted", "cells of two bits")
    if name in channel(trellis(*shape))
]


@pytest.mark.parametrize(("shape", "name"), CHANNELS)
def test_mean_variance_and_covariance_by_enumeration(shape, name):
    """Over all streams that can be read in place of a short one."""
    levels = trellis(*shape)
    fmt, fault = channel(levels)[name]
    count, shared = 5, levels.weights_per_word
    storage = stored_as(fmt, count * shared)
    weights = torch.from_numpy(np.random.default_rng(7).standard_normal(count * shared))
    words, scale = storage.encode(weights, fault)
    matrix = fmt.transition_matrix(fault)
    probabilities, values = [], []
    for read in itertools.product(range(2**levels.bits), repeat=count):
        probabilities.append(np.prod([matrix[int(u), v] for u, v in zip(words, read, strict=False)]))
        seen = torch.tensor((*read, *[0] * (count * (shared - 1))), dtype=torch.uint8)
        values.append(storage.decode(seen, scale).numpy())
    share, table = np.array(probabilities), np.array(values)
    assert share.sum() == pytest.approx(1)
    mean = share @ table
    np.testing.assert_allclose(storage.read_mean(words, scale, fault), mean, atol=1e-12)
    around = (table - mean) * np.sqrt(share)[:, None]
    covariance = around.T @ around
    np.testing.assert_allclose(storage.read_variance(words, scale, fault), np.diag(covariance), atol=1e-12)
    assert storage.summed_variance(words, scale, fault) == pytest.approx(float(np.trace(covariance)))
    for lag, first, second in itertools.product(range(levels.window), range(shared), range(shared)):
        exact = neighbour_covariance(fmt, fault, lag, first=first, second=second)
        for word in range(count):
            after = (word + lag * stride(count)) % count
            run = [int(words[(after - back * stride(count)) % count]) for back in range(levels.window + lag)]
            both = sum(value << levels.bits * back for back, value in enumerate(run))
            # Streams this short are closed: the two may meet again the other way around.
            if levels.window + lag <= count:
                expected = covariance[word + first * count, after + second * count]
                assert exact[both] * float(scale * 1.25) ** 2 == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 5, 1), (2, 3, 1), (1, 4, 2), (1, 3, 4)])
def test_a_prepared_reader_reads_the_same(shape):
    """Beside words of another format, in several runs."""
    fmt, words_format = Format(trellis(*shape)), Format().protect(2)
    sections = (Section(101, fmt), Section(30, words_format), Section(88, fmt))
    storage = TensorFormat(sections, RootMeanSquare(), correction="least_error")
    weights = torch.randn(219, generator=torch.Generator().manual_seed(1))
    words, scale = storage.encode(weights, Uniform(0.1))
    assert storage.holds(words)
    out = torch.empty(219)
    read = TensorReader(storage, words, scale, Uniform(0.1), dtype=out.dtype).into(out)
    for seed in range(3):
        read(seed)
        assert torch.equal(out, storage.read(words, scale, Uniform(0.1), seed=seed, out=torch.empty(219)))
    assert storage.holds(storage.corrupt(words, Uniform(0.1), seed=0))


@pytest.mark.slow
def test_reads_have_the_moments_that_are_computed():
    """Over 2000 of them."""
    fmt, fault = Format(trellis(2, 4)), Asymmetric(0.05, 0.1)
    storage, weights = stored_as(fmt, 500), torch.randn(500, generator=torch.Generator().manual_seed(2))
    words, scale = storage.encode(weights, fault)
    reads = torch.stack([storage.read(words, scale, fault, seed=seed) for seed in range(2000)])
    mean, variance = storage.read_mean(words, scale, fault), storage.read_variance(words, scale, fault)
    z = (reads.mean(0) - mean) / (variance / 2000).sqrt()
    assert 0.8 < float(z.square().mean()) < 1.25
    assert float(reads.var(0).sum()) == pytest.approx(float(variance.sum()), rel=0.02)


def test_errors_of_neighbours_do_not_add_up_in_an_output():
    """Weights that share words lie in other rows: the error of a layer's outputs is that of independent weights."""
    fmt, fault, random = Format(trellis(1, 6)), Uniform(0.1), np.random.default_rng(4)
    storage = stored_as(fmt, 64 * 96)
    weights = torch.from_numpy(random.standard_normal((64, 96)))
    # All inputs alike: errors along a row, were they correlated, would add up.
    inputs = torch.ones(96, dtype=torch.float64)
    words, scale = storage.encode(weights, fault)
    reads = torch.stack([storage.read(words, scale, fault, seed=seed) @ inputs for seed in range(400)])
    predicted = float(storage.read_variance(words, scale, fault).sum())
    assert float((reads - storage.read_mean(words, scale, fault) @ inputs).square().mean(0).sum()) == pytest.approx(
        predicted, rel=0.03
    )


def test_too_few_words_are_refused():
    """A window would meet its own word again."""
    storage = stored_as(Format(trellis(1, 5)), 4)
    with pytest.raises(ArgumentError, match="at least the 5 words of its window, got 4"):
        storage.encode(torch.ones(4), Uniform(0.1))


def test_words_of_too_many_bits_are_refused():
    """They would spill over into their neighbours."""
    storage = stored_as(Format(trellis(2, 2)), 4)
    with pytest.raises(ArgumentError, match="below 4, got 4"):
        storage.decode(torch.tensor([1, 4, 0, 0], dtype=torch.uint8), torch.tensor(1.0))
    shared = stored_as(Format(trellis(2, 2, 2)), 4)
    assert not shared.holds(torch.tensor([1, 2, 3, 0], dtype=torch.uint8))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 7}, "bits must be"),
        ({"window": 1}, "window must be"),
        ({"bits": 4, "window": 4}, "up to 12 bits"),
        ({"weights_per_word": 3}, "1, 2 or 4"),
        ({"terms": ((2, 1.0), (1, 1.0))}, "ascending"),
        ({"terms": ((256, 1.0),)}, "below 256"),
        ({"terms": ((1, float("nan")),)}, "terms"),
    ],
)
def test_levels_that_cannot_be_are_refused(fields, message):
    """The message says what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        TrellisLevels(**fields)
