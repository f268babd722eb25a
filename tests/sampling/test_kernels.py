"""The compiled kernels and those in NumPy draw the same bits, whatever the blocks are shared among."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from qtaml.faults import (
    Asymmetric,
    Clustered,
    FaultModel,
    MultiLevel,
    PerBit,
    Ramp,
    StaticCells,
    TensorVariation,
    Uniform,
)
from qtaml.sampling import flip_asymmetric, recipe, sampler, word_dtype
from qtaml.sampling import numba_kernels as compiled
from qtaml.sampling import numpy_kernels as vectorised

NEIGHBOURS = tuple(tuple(0.05 if abs(i - j) == 1 else (1 - 0.05 * (1 + (0 < i < 15))) * (i == j) for j in range(16))
                   for i in range(16))  # fmt: skip
FAULTS = {
    "uniform": Uniform(0.1),
    "one half, almost": Uniform(0.4999999999999999),
    "rare": Uniform(1e-4),
    "ramp": Ramp(0.1),
    "rare and often": PerBit((1e-3, 0.01, 0.0155, 0.016, 0.1, 0.25, 0.4, 0.0) * 2),
    "asymmetric": Asymmetric(0.01, 0.3),
    "forward only": Asymmetric(0.0, 1e-3),
    "clusters": Clustered(0.1, 3),
    "lognormal": StaticCells.lognormal(0.1, 1.0, chip=2),
    "two classes": StaticCells((0.0, 1.0), (0.5, 0.25)),
    "tensors": TensorVariation(0.1, 0.5),
    "multi-level": MultiLevel((NEIGHBOURS,)),
    "cells of one bit": MultiLevel((((0.9, 0.1), (0.3, 0.7)),)),
}
KEY = np.array([3, 2**63 + 1], dtype=np.uint64)


def words_of(count: int, bits: int) -> torch.Tensor:
    """Words of all values."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 2**bits, count)).to(word_dtype(bits))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_both_draw_the_same_bits(fault: FaultModel, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For sizes around those of a row of lanes and of a block."""
    if isinstance(fault, PerBit):
        fault = PerBit(fault.p01[:bits])
    for count in (1, 511, 2 * recipe.BLOCK + 777):
        words = words_of(count, bits)
        with monkeypatch.context() as patched:
            patched.setattr(sampler, "kernels", lambda: vectorised)
            plain = fault.corrupt(words, bits=bits, seed=5, place="a")
        assert torch.equal(fault.corrupt(words, bits=bits, seed=5, place="a"), plain)


@pytest.mark.parametrize("bits", [3, 11])
def test_both_draw_the_same_bits_at_any_probability(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certain, impossible and above one half; more blocks than NumPy takes at a time."""
    words = words_of((vectorised._BLOCKS_AT_A_TIME + 1) * recipe.BLOCK + 5, bits)
    p01, p10 = ((0.0, 1.0, 0.7, 0.001) * 3)[:bits], ((1.0, 1.0, 0.1, 0.9999) * 3)[:bits]
    fast = flip_asymmetric(words, p01, p10, seed=1)
    monkeypatch.setattr(sampler, "kernels", lambda: vectorised)
    assert torch.equal(flip_asymmetric(words, p01, p10, seed=1), fast)


def test_the_generator_is_that_of_numpy() -> None:
    """From the same state, the streams are NumPy's SFC64."""
    numbers = np.array([0, 1, 2**40], dtype=np.int64)
    streams = vectorised.Streams(KEY, numbers)
    drawn = np.array([streams.next() for _ in range(5)])
    for number, own in zip(numbers, drawn.T, strict=True):
        reference = np.random.SFC64()
        state = reference.state
        state["state"]["state"] = np.array([*KEY, number, 1], dtype=np.uint64)
        reference.state = state
        assert (reference.random_raw(recipe.WARM_UP + 5)[recipe.WARM_UP :] == own).all()


def test_uniform_numbers_of_indices_are_uniform() -> None:
    """The mean of 2**16 of them is a half within five standard errors, and all differ; compiled ones are the same."""
    indices = np.arange(2**16)
    drawn = vectorised._uniform(KEY, indices)
    assert len(set(drawn.tolist())) == 2**16
    assert drawn.mean() == pytest.approx(0.5, abs=5 * 12**-0.5 / 256)
    assert [compiled._uniform(KEY, i) for i in range(100)] == drawn[:100].tolist()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_threads_change_nothing(fault: FaultModel) -> None:
    """One thread and three, over more blocks than one thread takes for itself."""
    words = words_of(40 * recipe.BLOCK + 9, 16)
    before = torch.get_num_threads()
    try:
        reads = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            reads.append(fault.corrupt(words, bits=16, seed=3, place="a"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*reads)


def test_several_threads_may_draw_at_once() -> None:
    """Masks drawn side by side are those drawn one after the other."""
    words = words_of(100_000, 8)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: Uniform(0.1).corrupt(words, seed=seed), range(16)))
    for seed, read in enumerate(together):
        assert torch.equal(read, Uniform(0.1).corrupt(words, seed=seed))


@pytest.mark.slow
def test_without_numba_the_same_bits_are_drawn() -> None:
    """In a process that cannot import Numba; and qtaml alone imports it in no process."""
    code = (
        "import sys; import qtaml, torch; assert 'numba' not in sys.modules; sys.modules['numba'] = None;"
        "from qtaml.sampling import error_mask, sampler;"
        "print(error_mask((20,), [0.3] * 8, seed=4).tolist(), sampler.kernels().__name__)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    expected = sampler.error_mask((20,), [0.3] * 8, seed=4).tolist()
    assert output.strip() == f"{expected} qtaml.sampling.numpy_kernels"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fewer_words_are_read_like_the_first_of_more(fault: FaultModel, bits: int) -> None:
    """What is drawn for a word does not depend on how many follow."""
    if isinstance(fault, PerBit):
        fault = PerBit(fault.p01[:bits])
    words = words_of(recipe.BLOCK + 900, bits)
    whole = fault.corrupt(words, bits=bits, seed=2, place="a")
    for count in (1, 600, recipe.BLOCK + 3):
        assert torch.equal(fault.corrupt(words[:count], bits=bits, seed=2, place="a"), whole[:count])
