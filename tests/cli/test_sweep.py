"""`qtaml sweep`: what it writes, and that no worker or driver that is killed on the way changes a bit of it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.processes import Tiny

ROOT = Path(__file__).parents[2]
SEEDS, FIRST, SECOND, ALL = 5, 10, 25, 90
"""Networks, and records after which a worker and then the driver are killed, of all."""
SWEEP = """
networks = [{ name = "tiny", model = "tests.processes:Tiny", weights = "tiny-{seed}.safetensors", \
calibration = "data.npz", test = "data.npz" }]
methods = ["uniform_msp", "magnitude"]
p = [0.02, 0.1, 0.2]
overheads = [0.0, 0.25, 0.5]
training_seeds = [0, 1, 2, 3, 4]
trials = 2
"""
SMALL = SWEEP.replace("0.02, ", "").replace("0.25, ", "")
DRIVER = "from qtaml.cli.main import main; main()"
CLUSTER = """
import os, sys, tempfile
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
with tempfile.TemporaryDirectory(prefix="ray-") as folder:
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False,
             logging_level="error", _temp_dir=folder)
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()
"""


@pytest.fixture
def described(tmp_path, monkeypatch):
    """A function that writes a sweep of five tiny networks."""
    monkeypatch.chdir(ROOT)

    def write(text=SWEEP):
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            safetensors.torch.save_file(Tiny().state_dict(), tmp_path / f"tiny-{seed}.safetensors")
        inputs = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
        np.savez(tmp_path / "data.npz", inputs=inputs, labels=np.arange(20) % 3)
        (tmp_path / "sweep.toml").write_text(text)
        return tmp_path / "sweep.toml"

    return write


@pytest.fixture
def environment():
    """That of processes whose networks take their time, and of a Ray cluster that nobody else can use."""
    path = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return os.environ | ray | {"PYTHONPATH": path, "TINY_PAUSE": "0.02"}


@pytest.fixture
def start(environment, tmp_path):
    """A function that starts a sweep in a process of its own, with a file for what it says."""
    started = []

    def call(*arguments):
        command = [sys.executable, "-c", DRIVER, "sweep", *map(str, arguments)]
        said = tmp_path / f"said by driver {len(started)}"
        with said.open("w") as file:
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file))
        return started[-1], said

    yield call
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(environment):
    """A Ray cluster of two workers: its process."""
    pytest.importorskip("ray")
    command = [sys.executable, "-c", CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        yield process
        process.stdin.close()
        process.wait(60)


def children(pid):
    """Process numbers and command lines of all processes below one."""
    listed = subprocess.run(["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    processes = [line.split(None, 2) for line in listed.splitlines()[1:]]
    found, parents = {}, {str(pid)}
    while parents:
        below = {one: command for one, parent, command in processes if parent in parents}
        found |= {int(one): command for one, command in below.items()}
        parents = set(below)
    return found


def wait_until(condition, driver=None, said=None):
    """Wait for something, at most three minutes, and only as long as the driver lives."""
    deadline = time.monotonic() + 180
    while not (value := condition()):
        assert driver is None or driver.poll() is None, said.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def measurements(folder):
    """What was measured, by file, without how long it took."""
    records = {path.name: json.loads(path.read_text()) for path in (folder / "measurements").glob("[!.]*.json")}
    for record in records.values():
        del record["seconds"]
    return records


def count(folder):
    """How many records there are."""
    return sum(1 for _ in (folder / "measurements").glob("[!.]*.json"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder for what one process measures that nobody disturbs; tests of the same sweep share it."""
    return tmp_path_factory.mktemp("whole")


def assert_killed_on_the_way_changes_nothing(start, command, described, tmp_path, whole, options, workers):
    """Kill a worker, then the driver; go on; compare with one process that nobody disturbed."""
    file, out = described(), tmp_path / "out"
    driver, said = start(file, "--out", out, *options)
    wait_until(lambda: count(out) >= FIRST, driver, said)
    victim = workers(driver)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: count(out) >= SECOND, driver, said)
    old = workers(driver)
    assert victim not in old
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in old))
    before = {path.name: path.stat().st_mtime_ns for path in (out / "measurements").glob("[!.]*.json")}
    assert SECOND <= len(before) < ALL

    driver, said = start(file, "--out", out, *options)
    assert driver.wait(180) == 0, said.read_text()
    assert f"{ALL} tasks, {len(before)} measured already" in said.read_text()
    assert {name: (out / "measurements" / name).stat().st_mtime_ns for name in before} == before

    ended, _, err = command("sweep", file, "--out", whole, "--workers", 1)
    assert ended == 0, err
    assert count(whole) == ALL
    assert measurements(out) == measurements(whole)
    rows = json.loads((out / "sweep.json").read_text())["rows"]
    assert len(rows) == ALL
    assert rows == json.loads((whole / "sweep.json").read_text())["rows"]
    assert len({row["mean"] for row in rows}) > 5


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_processes_of_this_machine(start, command, described, tmp_path, whole):
    """Two workers, one of them killed, then the driver, whose workers end with it."""

    def workers(driver):
        return [pid for pid, command in children(driver.pid).items() if "spawn_main" in command]

    assert_killed_on_the_way_changes_nothing(start, command, described, tmp_path, whole, ("--workers", 2), workers)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_processes_of_a_ray_cluster(cluster, start, command, described, tmp_path, whole):
    """Two workers, one of them killed, then the driver; the cluster goes on, and leaves no process at its end."""
    address = cluster.stdout.readline().strip()

    def workers(driver):
        return [pid for pid, command in children(cluster.pid).items() if command.startswith("ray::_in_ray")]

    assert_killed_on_the_way_changes_nothing(start, command, described, tmp_path, whole, ("--ray", address), workers)
    left = children(cluster.pid)
    assert left
    cluster.stdin.close()
    assert cluster.wait(60) == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in left))


@pytest.mark.long
def test_two_drivers_on_one_folder(start, described, environment, tmp_path):
    """Each measures a part, nothing is measured twice, and both write the same table."""
    file, out = described(SMALL), tmp_path / "out"
    environment["TINY_LOG"] = str(tmp_path / "log")
    drivers = [start(file, "--out", out, "--workers", 1) for _ in range(2)]
    for driver, said in drivers:
        assert driver.wait(180) == 0, said.read_text()
    passes = Counter((tmp_path / "log").read_text().split())
    assert passes.keys() == {str(driver.pid) for driver, _ in drivers}
    environment["TINY_LOG"] = str(tmp_path / "log of one")
    driver, said = start(file, "--out", tmp_path / "whole", "--workers", 1)
    assert driver.wait(180) == 0, said.read_text()
    assert passes.total() == len((tmp_path / "log of one").read_text().split())
    rows = json.loads((out / "sweep.json").read_text())["rows"]
    assert rows == json.loads((tmp_path / "whole" / "sweep.json").read_text())["rows"]


@pytest.mark.slow
def test_the_table_on_demand_and_as_json(command, described, tmp_path):
    """`--collect` measures nothing; standard output is the table that is kept; refused tasks end with code 2."""
    file, out = described(SMALL.replace('["uniform_msp", "magnitude"]', '["uniform_msp"]')), tmp_path / "out"
    ended, shown, err = command("sweep", file, "--out", out, "--collect")
    assert (ended, count(out)) == (0, 0), err
    assert "numbers:" in shown
    assert "0 of 20 tasks" in shown
    ended, shown, err = command("sweep", file, "--out", out, "--workers", 1, "--json")
    assert ended == 0, err
    assert json.loads(shown) == json.loads((out / "sweep.json").read_text())
    assert len(json.loads(shown)["rows"]) == 20
    file.write_text(file.read_text().replace("0.5]", "0.5]\nfaults = ['uniform', { kind = 'per_bit', p01 = [0.1] }]"))
    ended, _, err = command("sweep", file, "--out", out, "--workers", 1)
    assert ended == 2
    assert "30 tasks, 20 measured already" in err
    assert "10 of 30 tasks were refused" in err
    assert "tiny by uniform_msp: fault must hold words of 8 bits for 'first.weight', got PerBit" in err.replace(
        "\n", " "
    )


def test_errors_before_anything_is_measured(command, described, tmp_path, monkeypatch):
    """A mistake in the file, a folder that is none, an extra that is missing."""
    file = described(SMALL)
    (tmp_path / "taken").write_text("")
    ended, _, err = command("sweep", file, "--out", tmp_path / "taken")
    assert (ended, "cannot write" in err) == (4, True)
    monkeypatch.setitem(sys.modules, "ray", None)
    ended, _, err = command("sweep", file, "--out", tmp_path / "out", "--ray", "local")
    assert (ended, "pip install 'qtaml[ray]'" in err) == (2, True)
    file.write_text(file.read_text().replace("trials = 2", "trials = 0"))
    ended, _, err = command("sweep", file, "--out", tmp_path / "out")
    assert (ended, "sweep.toml, line 7: trials: Input should be" in err) == (2, True)
