"""What worker processes share: claims, one thread, one version of everything."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import threadpoolctl
import torch

import qtaml
from qtaml._threads import one_thread
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Task
from qtaml.laboratory.tasks import claimed, measure, plan_key
from qtaml.planning import UniformMsp

HOLDER = """
import sys
from pathlib import Path
from qtaml.laboratory.tasks import claimed
with claimed(Path(sys.argv[1]), sys.argv[2], wait=True) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""
TASK = Task(Case("SmallCNN", UniformMsp(p=0.1, protected_bits=0)), training_seed=0, trials=2, seed=0)


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """A function that has another process claim something in the folder: the process."""
    held = []

    def call(name):
        command = [sys.executable, "-c", HOLDER, str(tmp_path), name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        held.append(subprocess.Popen(command, **pipes))
        assert held[-1].stdout.readline() == "True\n"
        return held[-1]

    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    yield call
    for process in held:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_a_claim_keeps_others_away_until_its_process_ends(hold, tmp_path):
    """Another process cannot have it, but anything else; tasks under it are left alone. A killed process lets go."""
    place = Laboratory(tmp_path, workers=1).place
    holder = hold(repr(plan_key(TASK)))
    with claimed(tmp_path, "something else", wait=False) as mine:
        assert mine
    assert measure((TASK,), place, wait=False) == []
    assert not (tmp_path / "measurements").exists()
    holder.kill()
    with claimed(tmp_path, repr(plan_key(TASK)), wait=True) as mine:
        assert mine


def test_another_version_is_refused(tmp_path):
    """A worker whose numbers would be others measures nothing."""
    place = dataclasses.replace(Laboratory(tmp_path, workers=1).place, origin="other sources")
    with pytest.raises(qtaml.QtamlError, match="must run the same sources and versions"):
        measure((TASK,), place, wait=True)
    assert not (tmp_path / "measurements").exists()


@pytest.fixture
def threads_put_back():
    """Torch computes with as many threads as before; its own copy of MKL is out of the reach of threadpoolctl."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("threads_put_back")
def test_one_thread_is_one_thread_everywhere():
    """Sums of NumPy depend on the threads of its BLAS as well: of 16384 products they really do on two processors."""
    left, right = np.random.default_rng(0).random((2, 2**14))
    with threadpoolctl.threadpool_limits(1):
        expected = left @ right
    with threadpoolctl.threadpool_limits(2):
        before = torch.get_num_threads()
        with one_thread():
            assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
            assert torch.get_num_threads() == 1
            assert left @ right == expected
        assert torch.get_num_threads() == before


@pytest.mark.usefixtures("threads_put_back")
def test_blocks_of_one_thread_that_overlap_end_in_any_order():
    """Two searches at once in two threads of a program: the first to begin ends first."""

    def blas():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2):
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas() == {1}
        second.__exit__(None, None, None)
        assert blas() == {2}
