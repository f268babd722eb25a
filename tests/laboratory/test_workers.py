"""Jobs in other processes: the same results on every kind, and what happens when a process dies."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

import qtaml
from qtaml.laboratory.workers import LostError, workers
from tests import processes

JOBS = [(2, exponent) for exponent in range(5)]


@pytest.fixture(params=[None, "local"], ids=["processes", "ray"])
def ray(request, monkeypatch, tmp_path):
    """Worker processes of Python or of Ray."""
    if request.param:
        pytest.importorskip("ray")
        monkeypatch.setenv("HOME", str(tmp_path))
    return request.param


def test_every_job_is_done_once_in_this_process():
    """With its result beside it."""
    with workers(1, None, len(JOBS)) as call:
        assert list(call(pow, JOBS)) == [(job, pow(*job)) for job in JOBS]


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at sockets as Linux shows them")
def test_a_cluster_of_this_machine_is_for_nobody_else(ray, tmp_path):
    """All its processes listen on loopback, and no token is left that another user can read."""
    if ray is None:
        pytest.skip("processes of Python do not listen")
    with workers(1, ray, 1) as call:
        assert list(call(pow, [(2, 3)])) == [((2, 3), 8)]
        addresses = addresses_listened_on()
    assert addresses
    assert addresses <= {"0100007F", f"{'0' * 16}FFFF00000100007F", f"{'0' * 24}01000000"}
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert list(tmp_path.rglob("*token*")) == []


def addresses_listened_on():
    """Addresses, in hexadecimal digits, of the sockets that this process and those below it listen on."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    sockets = set()
    for process in family:
        for handle in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(handle))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    listening = {fields[9]: fields[1].partition(":")[0] for fields in lines if fields[3] == "0A"}
    return {address for inode, address in listening.items() if f"socket:[{inode}]" in sockets}


def test_the_missing_extra_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(qtaml.ArgumentError, match=r"pip install 'qtaml\[ray\]'"), workers(2, "local", 2):
        pass


def test_a_cluster_says_itself_how_many_workers_it_has():
    """A number and an address contradict each other."""
    with pytest.raises(qtaml.ArgumentError, match=r"workers must not be given with the Ray cluster 10\.0\.0\.1:6379"):
        workers(2, "10.0.0.1:6379", 2)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1", "nowhere"])
def test_an_address_without_a_cluster_is_refused(address):
    """The error names it."""
    pytest.importorskip("ray")
    message = f"ray must be the address of a running cluster.*{address}"
    with pytest.raises(qtaml.ArgumentError, match=message), workers(None, address, 2):
        pass
