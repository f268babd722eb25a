"""Runs of words that share their errors."""

import pytest
import torch

from qtaml.faults import Clustered, Uniform
from qtaml.protections import BitProtection
from qtaml.sampling import word_dtype


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_run_shares_its_errors_and_runs_do_not(bits, size):
    """Whatever is stored; runs are counted through the tensor as it is flattened, and the last one may be short."""
    words = torch.randint(0, 2**bits, (7, 43)).to(word_dtype(bits))
    wrong = (Clustered(0.3, size).corrupt(words, bits=bits, seed=1) ^ words).int().flatten()
    runs = wrong.split(size)
    assert all((run == run[0]).all() for run in runs)
    first = torch.stack([run[0] for run in runs])
    # Two runs of 8 bits agree with probability 0.58**8 = 0.013, of 12 with 0.0015.
    assert (first[1:] == first[:-1]).float().mean() < 0.25


def test_a_run_may_be_longer_than_the_tensor():
    """Then all words share their errors."""
    read = Clustered(0.3, size=1000).corrupt(torch.zeros(5, dtype=torch.uint8), seed=0)
    assert (read == read[0]).all()


def test_errors_that_depend_on_the_stored_bit_are_shared_too():
    """Behind a protection that leaves losses only, zeros stay and the ones of a run fall together."""

    class Forward(BitProtection):
        block, decoder = (1, 1.0), "none"

        def residual(self, p01, p10):
            return 0.0, p10

    seen = Clustered(0.4, size=5).behind((Forward(),) * 8)
    assert not seen.corrupt(torch.zeros(100, dtype=torch.uint8), seed=3).any()
    fallen = seen.corrupt(torch.full((100,), 255, dtype=torch.uint8), seed=3).reshape(20, 5)
    assert (fallen == fallen[:, :1]).all()
    assert len(fallen[:, 0].unique()) > 10


def test_sums_average_over_fewer_draws():
    """The variance of the number of errors of a tensor is that of independent ones times the size of a run."""
    words = torch.zeros(4000, dtype=torch.uint8)
    variance = {}
    for fault in (Uniform(0.1), Clustered(0.1, 16)):
        sums = [fault.corrupt(words, bits=1, seed=seed).sum() for seed in range(400)]
        variance[fault] = float(torch.stack(sums).double().var()) / (4000 * 0.09)
    # A variance over 400 draws has a relative standard error of 0.071: within five of them.
    assert variance[Uniform(0.1)] == pytest.approx(1, rel=0.36)
    assert variance[Clustered(0.1, 16)] == pytest.approx(16, rel=0.36)
