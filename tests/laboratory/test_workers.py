"""Jobs in other processes: the same results on every kind, and what happens when a process dies."""

import secrets
import sys

import pytest

import qtaml
from qtaml.laboratory.workers import LostError, workers
from tests import processes

JOBS = [(2, exponent) for exponent in range(5)]


@pytest.fixture(params=[None, "local"], ids=["processes", "ray"])
def ray(request, monkeypatch):
    """Worker processes of Python or of Ray."""
    if request.param:
        pytest.importorskip("ray")
        monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in the home folder
    return request.param


def test_every_job_is_done_once_in_this_process():
    """With its result beside it."""
    with workers(1, None, len(JOBS)) as call:
        assert list(call(pow, JOBS)) == [(job, pow(*job)) for job in JOBS]


@pytest.mark.slow
def test_dead_processes(ray, tmp_path, monkeypatch):
    """A job whose process dies is done again, one whose process always dies is given up, and no other suffers.

    One test for all, and one worker of Ray, since each process takes seconds to import torch. One worker of Python
    would be this process.
    """
    monkeypatch.setattr("qtaml.laboratory.workers.ATTEMPTS", 2)
    with workers(1 if ray else 2, ray, 8) as call:
        job = (str(tmp_path / "marker"), 5)
        assert list(call(processes.die_once, [job])) == [(job, 5)]
        ((job, result),) = call(processes.die, [()])
        assert job == ()
        assert isinstance(result, LostError)
        assert ray or "its worker process died 2 times" in str(result)
        assert dict(call(pow, JOBS)) == {job: pow(*job) for job in JOBS}
        with pytest.raises(qtaml.BudgetError, match=r"^too little$") as caught:
            list(call(processes.miss_the_budget, [()]))
        assert caught.value.least_overhead == -0.25
        with pytest.raises(ZeroDivisionError, match="by zero"):
            list(call(divmod, [(1, 0)]))


def test_the_missing_extra_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(qtaml.ArgumentError, match=r"pip install 'qtaml\[ray\]'"), workers(2, "local", 2):
        pass


def test_a_cluster_says_itself_how_many_workers_it_has():
    """A number and an address contradict each other."""
    with pytest.raises(qtaml.ArgumentError, match=r"workers must not be given with the Ray cluster 10\.0\.0\.1:6379"):
        workers(2, "10.0.0.1:6379", 2)


@pytest.mark.parametrize("address", ["127.0.0.1", "nowhere"])
def test_an_address_without_a_cluster_is_refused(address):
    """The error names it."""
    pytest.importorskip("ray")
    message = f"ray must be the address of a running cluster.*{address}"
    with pytest.raises(qtaml.ArgumentError, match=message), workers(None, address, 2):
        pass
