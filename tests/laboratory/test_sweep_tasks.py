"""From the description of a sweep to its tasks and rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

import qtaml
from qtaml._random import child_seed
from qtaml.cli.sweep import load_own
from qtaml.laboratory.laboratory import Laboratory
from qtaml.laboratory.sweep_file import read_sweep
from qtaml.laboratory.sweep_tasks import entries, measure_sweep, rows, table
from qtaml.planning import UniformMsp
from tests.processes import Tiny

TUNED = '{ method = "uniform_msp", tune = { loss = "cross_entropy", epochs = 2 } }'
TINY = (
    'networks = [{{ name = "tiny", model = "{model}", weights = "{weights}", calibration = "c.npz", test = "t.npz" }}]'
)
REST = """
methods = ["uniform_msp", { name = "too little", method = "tac", floors = { "*" = 8 } }]
p = [0.1, 0.2]
overheads = [0.25]
training_seeds = [3, 5]
trials = 2
"""


@pytest.fixture
def described(tmp_path):
    """A function that writes and reads a sweep of tiny networks."""

    def call(model="tests.processes:Tiny", weights="w-{seed}.safetensors", test="t.npz"):
        torch.manual_seed(0)
        for seed in (3, 5):
            safetensors.torch.save_file(Tiny().state_dict(), tmp_path / f"w-{seed}.safetensors")
        inputs = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
        np.savez(tmp_path / "c.npz", inputs=inputs)
        np.savez(tmp_path / "t.npz", inputs=inputs[:20], labels=np.arange(20) % 3)
        written = TINY.format(model=model, weights=weights).replace("t.npz", test)
        (tmp_path / "sweep.toml").write_text(written + REST)
        return read_sweep(tmp_path / "sweep.toml")

    return call


@pytest.fixture
def laboratory(tmp_path):
    """One in this process, with a folder of its own."""
    return Laboratory(tmp_path / "out", workers=1, load=load_own)


def test_a_refused_task_does_not_stop_the_others(described, laboratory):
    """Its row says why; rows and table come from the records."""
    wanted = entries(described(), laboratory.folder)
    assert [(one.storage.name, one.fault.p, one.task.training_seed) for one in wanted] == [
        (name, p, seed) for seed in (3, 5) for p in (0.1, 0.2) for name in ("uniform_msp", "too little")
    ]
    outcomes = measure_sweep(laboratory, wanted)
    found = rows(laboratory, wanted, outcomes)
    assert len(found) == 8
    for row, outcome in zip(found, outcomes, strict=True):
        if row.method == "too little":
            assert "overhead must be at least 1 to give every tensor its floor" in row.refused
            assert row.mean is None
        else:
            record = json.loads((laboratory.folder / "measurements" / row.record).read_text())
            assert row.mean.value == record["result"]["mean"] == outcome.result.mean
            assert (row.spent, row.overhead, row.refused) == (0.25, 0.25, None)
    assert table(wanted, outcomes).row_count == 2  # one for each p, over both networks
    assert laboratory.found([one.task for one in wanted]) == [
        None if one.storage.name == "too little" else outcome for one, outcome in zip(wanted, outcomes, strict=True)
    ]


@pytest.mark.slow
def test_a_tuned_network_is_read_as_it_is_tuned_by_hand(described, laboratory, tmp_path):
    """The same plan, training and reads, also trained for something else first; without labels it is refused."""
    described()
    inputs = torch.tensor(np.load(tmp_path / "c.npz")["inputs"])
    labels = torch.arange(100) % 3
    np.savez(tmp_path / "l.npz", inputs=inputs.numpy(), labels=labels.numpy())
    text = (tmp_path / "sweep.toml").read_text().replace('test = "t.npz"', 'test = "t.npz", train = "{}"')
    text = text.replace('{ name = "too little", method = "tac", floors = { "*" = 8 } }', TUNED)
    found, first = {}, []
    for train in ("l.npz", "c.npz"):
        (tmp_path / "sweep.toml").write_text(text.replace("{}", train))
        wanted = [one for one in entries(read_sweep(tmp_path / "sweep.toml"), laboratory.folder) if one.storage.tune]
        found[train] = rows(laboratory, wanted, measure_sweep(laboratory, wanted))
        first = first or wanted
    row, task = found["l.npz"][0], first[0].task
    model, data = load_own(task.case.own, laboratory.folder)
    plain, plan = (qtaml.uniform_msp(model, p=0.1, protected_bits=bits) for bits in (0, 2))
    asked = {"loss": "cross_entropy", "epochs": 2, "seed": child_seed(0, "tuning", 3)}
    tuned, before = (qtaml.tune(model, one, (inputs, labels), **asked).model for one in (plan, plain))
    results = [
        qtaml.evaluate(
            qtaml.store(one, qtaml.uniform_msp(one, p=0.1, protected_bits=2)),
            data.metrics["accuracy"],
            trials=2,
            seed=child_seed(0, "reads", 3),
        )
        for one in (tuned, before)
    ]
    trained_before = replace(task, case=replace(task.case, tune_for=UniformMsp(p=0.1, protected_bits=0)))
    assert row.mean.value == results[0].mean
    assert laboratory.run([trained_before])[0].result.mean == results[1].mean
    assert json.loads(row.tune) == {"epochs": 2, "loss": "cross_entropy"}
    assert {one.refused for one in found["c.npz"]} == {"train must hold labels for loss='cross_entropy'"}


def test_own_networks_are_known_by_their_content(described, laboratory, tmp_path):
    """Other files with the same content are the same tasks; another content is another task."""
    first = entries(described(), laboratory.folder)
    assert len({one.task.case.own for one in first}) == 2
    for path in tmp_path.glob("*.npz"):
        path.touch()
    assert entries(described(), laboratory.folder) == first
    model = Tiny()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "w-5.safetensors")
    sweep = read_sweep(tmp_path / "sweep.toml")
    second = entries(sweep, laboratory.folder)
    assert [one == other for one, other in zip(first, second, strict=True)] == [True] * 4 + [False] * 4
    loaded, data = load_own(second[-1].task.case.own, laboratory.folder)
    assert torch.equal(loaded.first.weight, model.first.weight)
    assert len(data.calibration) == 64
    assert len(data.metrics["accuracy"].scores(loaded)) == 20


def test_one_file_of_weights_is_one_network(described, laboratory):
    """It is not measured once more for each training seed, which would look like several trainings."""
    wanted = entries(described(weights="w-3.safetensors"), laboratory.folder)
    assert {one.task.training_seed for one in wanted} == {3}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"model": "no.such:Tiny"}, qtaml.ArgumentError, "model 'no.such:Tiny' cannot be imported"),
        (
            {"model": "nosuch"},
            qtaml.ArgumentError,
            "must be a .pt2, .onnx, .tflite or .gguf file, .* no nosuch",
        ),
        (
            {"test": "text.txt"},
            qtaml.ArgumentError,
            "test of .* must be .npz or .safetensors, got 'text.txt'; a sweep has no tokenizer",
        ),
        ({"model": "no.pt2"}, qtaml.StoredFileError, r"cannot read .*no\.pt2"),
        ({"weights": "other.safetensors"}, qtaml.StoredFileError, r"cannot read .*other\.safetensors"),
    ],
)
def test_what_is_not_there_is_named(described, laboratory, changed, error, message):
    """Before anything is measured."""
    with pytest.raises(error, match=message):
        entries(described(**changed), laboratory.folder)
