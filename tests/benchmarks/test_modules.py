"""Each benchmark runs at its quick sizes, and its plain references compute the same as what they are compared with."""

import math

import pytest
import torch

from benchmarks import checks, corrections, error_masks, peers, planning, sensitivity, training
from benchmarks.chain import chain, samples
from benchmarks.peers_inside import grid_weights, observed, plain_mask, words_of
from qtaml.model import stored_weights
from qtaml.sensitivity import jacobian_gains
from tests.cases import assert_unchanged, snapshot
from tests.tolerances import FALSE_ALARM


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [sensitivity, corrections, planning, pytest.param(checks, marks=pytest.mark.long), training],
    ids=lambda module: module.__name__,
)
def test_quick_sizes_run(module):
    """Every row has times of both sides; curves need three sizes or more, which not all quick ones have."""
    rows = module.measure(quick=True)
    assert rows
    assert all(row.seconds > 0 and row.reference_seconds > 0 and row.size > 0 for row in rows)


def test_the_papers_procedure_finds_the_same_gains():
    """To a twentieth each, so within a fifth of each other; the network is as before."""
    model, batch = chain(4), samples(32)
    before = snapshot(model)
    found, forward = sensitivity.papers_gains(model, batch, 0.05)
    assert_unchanged(model, before)
    assert forward > 4 * 8
    for name, gain in jacobian_gains(model, batch, stored_weights(model), passes=100).items():
        assert found[name] == pytest.approx(gain.squared, rel=0.2)


def test_backward_passes_are_counted():
    """Those of a fixed number, in two parts."""
    model, batch = chain(3), samples(8)
    weights = stored_weights(model)
    assert sensitivity.backward_passes(model, lambda: jacobian_gains(model, batch, weights, passes=5)) == 5
    parts = lambda: jacobian_gains(model, batch, weights, passes=5, samples_at_once=4)  # noqa: E731
    assert sensitivity.backward_passes(model, parts) == 10


@pytest.mark.long
def test_peers_that_are_not_installed_are_left_out(monkeypatch, tmp_path):
    """The row of qtaml says so; nothing fails."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    (row,) = peers.compare("MRFI", 1000, 0.1)
    assert row.what == "qtaml (MRFI not installed), p = 0.1"
    assert row.reference == "plain reference"


@pytest.mark.slow
def test_an_installation_that_fails_is_no_error(monkeypatch, tmp_path):
    """Where there is no network."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path / "missing")
    monkeypatch.setattr(peers, "REQUIREMENTS", (str(tmp_path / "no-such-package"),))
    assert not peers.install()


def test_observed_rates_are_those_of_the_bits():
    """Counted exactly, and right for the plain reference but for a chance of 1e-4 (3.9 standard errors)."""
    before = torch.tensor([0, 255, 7], dtype=torch.uint8)
    assert observed(before, torch.tensor([1, 0, 7], dtype=torch.uint8)) == 9 / 24
    words, p = torch.zeros(100_000, dtype=torch.uint8), 0.1
    error = (p * (1 - p) / (8 * len(words))) ** 0.5
    assert math.erfc(3.9 / 2**0.5) < FALSE_ALARM
    torch.manual_seed(0)
    assert abs(observed(words, words ^ plain_mask(len(words), p)) - p) < 3.9 * error


def test_words_come_back_from_the_weights_of_the_peers():
    """All 256 of them."""
    words = torch.arange(256).to(torch.uint8)
    assert torch.equal(words_of(grid_weights(words)), words)


@pytest.mark.slow
@pytest.mark.parametrize("name", error_masks.faults())
def test_plain_reads_have_the_rates_of_the_fault_model(name):
    """Of each bit, stored as zero and as one; a false alarm in a million runs of all of them."""
    fault, plain = error_masks.faults()[name]
    torch.manual_seed(0)
    words = torch.randint(0, 256, (400_000,), dtype=torch.uint8)
    wrong = plain(words) ^ words
    # Words of a cluster share their errors.
    independent = len(words) // (4 if "clusters" in name else 1)
    for bit in range(8):
        for side, rates in enumerate((fault.rates(8).p01, fault.rates(8).p10)):
            chosen = (words >> bit & 1) == side
            seen = float((wrong[chosen] >> bit & 1).double().mean())
            error = (rates[bit] * (1 - rates[bit]) / (independent / 2)) ** 0.5
            assert abs(seen - rates[bit]) < 6 * error + 1e-12
