"""Process pools for jobs: on this machine, or on a Ray cluster. A job whose process dies is done again."""

import importlib
import multiprocessing
import os
import queue
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.connection import wait
from typing import Any

from qtaml import _checks, _progress
from qtaml.errors import ArgumentError, QtamlError

Job = tuple[Any, ...]
Function = Callable[..., Any]
Call = Callable[[Function, Sequence[Job]], Iterator[tuple[Any, Any]]]
"""Does jobs, each a function's arguments, and yields each with its result, or `LostError`, in the order they end."""

# The system may kill a process for the memory that others took; a job that itself needs too much dies every time.
ATTEMPTS = 4
"""How often a job is tried whose process dies each time."""

# Where this is 0, Ray listens on loopback only, on Linux too: it takes it that no other machine can join.
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

# Just above the least that Ray accepts, 75 MiB: records go through files, so none of it is used.
_OBJECT_STORE = 80 * 2**20


class LostError(QtamlError):
    """The process that did a job died, again and again."""


def workers(count: int | None, ray: str | None, jobs: int) -> AbstractContextManager[Call]:
    """Processes that do jobs.

    Args:
        count: how many; as many as processors if not given. 1 does the jobs in this process.
        ray: address of a Ray cluster, which says itself how many; "local" starts one of `count` processes.
        jobs: how many jobs there are at most.

    Returns:
        A context manager that gives the function to call and, at its end, leaves no process behind.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or Ray is not installed or not there.

    Example:
        >>> with workers(1, None, 2) as call:
        ...     list(call(pow, [(2, 3), (3, 2)]))
        [((2, 3), 8), ((3, 2), 9)]
    """
    if ray not in (None, "local") and count is not None:
        raise ArgumentError(f"workers must not be given with the Ray cluster {ray}, whose CPUs count, got {count}")
    count = min(_checks.integer("workers", os.cpu_count() or 1 if count is None else count, 1), max(jobs, 1))
    if ray is not None:
        return _ray_cluster(ray, count)
    return _local_processes(count) if count > 1 else _this_process()


@contextmanager
def _this_process() -> Iterator[Call]:
    yield lambda function, jobs: ((job, function(*job)) for job in jobs)


class _Process:
    """One worker process, which is started anew when it dies."""

    def __init__(self) -> None:
        self._pool = self._start()

    def do(self, function: Function, job: Job) -> Any:
        """The result of a job."""
        for _ in range(ATTEMPTS):
            try:
                return self._pool.submit(function, *job).result()
            except BrokenProcessPool:
                self.stop()
                self._pool = self._start()
        return LostError(f"its worker process died {ATTEMPTS} times, perhaps for lack of memory")

    def stop(self) -> None:
        """End the process."""
        self._pool.shutdown()

    @staticmethod
    def _start() -> ProcessPoolExecutor:
        # Spawned: a forked process inherits locks that threads of torch or BLAS hold at that moment, and hangs on them.
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare)


@contextmanager
def _local_processes(count: int) -> Iterator[Call]:
    # One pool of one process for each thread here: when a process dies, its job is known and no other one is hit.
    processes = [_Process() for _ in range(count)]
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    for process in processes:
        idle.put(process)

    def do(function: Function, job: Job) -> Any:
        process = idle.get()
        try:
            return process.do(function, job)
        finally:
            idle.put(process)

    with ThreadPoolExecutor(count) as threads:
        try:
            yield lambda function, jobs: _as_they_end({threads.submit(do, function, job): job for job in jobs})
        finally:
            # Jobs that have not begun are dropped, or an interrupt would wait for all of them.
            threads.shutdown(cancel_futures=True)
            for process in processes:
                process.stop()


def _as_they_end(running: dict[Future[Any], Job]) -> Iterator[tuple[Any, Any]]:
    for done in as_completed(running):
        yield running[done], done.result()


def _prepare() -> None:
    """In a new worker process: leave interrupts and progress to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _progress.be_silent()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Without this a worker whose parent is killed waits for jobs for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # sys.exit would end this thread only.
    os._exit(1)


@contextmanager
def _ray_cluster(address: str, count: int) -> Iterator[Call]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise ArgumentError("a Ray cluster needs Ray, which is an extra: pip install 'qtaml[ray]'") from error
    quiet = {"log_to_driver": False, "logging_level": "error"}
    options: AbstractContextManager[dict[str, Any]] = _own_cluster(count) if address == "local" else nullcontext({})
    with options as own:
        try:
            ray.init(address, **quiet, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ArgumentError(
                f"ray must be the address of a running cluster or 'local', got {address!r}: {error}"
            ) from error
        try:
            # Workers have to import the modules that this process can; "" means a current folder, theirs is another.
            path = [one or os.getcwd() for one in sys.path]
            # Ray counts retries, not attempts.
            remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_in_ray)

            def call(function: Function, jobs: Sequence[Job]) -> Iterator[tuple[Any, Any]]:
                running = {remote.remote(path, function, job).future(): job for job in jobs}
                for done in as_completed(running):
                    try:
                        yield running[done], done.result()
                    except ray.exceptions.RayTaskError as error:
                        # The error of the job itself, as from a local process: callers know nothing of Ray's.
                        raise error.cause from None
                    except ray.exceptions.RayError as error:
                        yield running[done], LostError(f"Ray gave it up: {error}")

            yield call
        finally:
            ray.shutdown()


@contextmanager
def _own_cluster(count: int) -> Iterator[dict[str, Any]]:
    """Arguments with which Ray starts a cluster of this many processes on this machine, for nobody else."""
    constants: Any = importlib.import_module("ray._private.ray_constants")
    # Without one Ray writes a token into the home folder, for all to read. It keeps the first that it sees.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    others_may_join, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
    os.environ[_LOOPBACK] = "0"  # the same for the processes of the cluster
    try:
        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
            yield {
                "num_cpus": count,
                "num_gpus": 0,
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE,
                "_temp_dir": folder,
            }
    finally:
        constants.ENABLE_RAY_CLUSTER = others_may_join
        del os.environ[_LOOPBACK]


def _in_ray(path: Sequence[str], function: Function, job: Job) -> Any:
    """A job in a worker of Ray."""
    sys.path += [one for one in path if one not in sys.path]
    _progress.be_silent()
    return function(*job)
