"""The directory on disk: what is in it, that it can be read without qtaml, and that damage is found."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import qtaml
from qtaml import _files
from qtaml.export import read_binary, write_binary
from qtaml.faults import Uniform
from qtaml.formats import (
    EntropyLevels,
    EvenLevels,
    Format,
    Largest,
    NamedLevels,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
    TrellisLevels,
)
from qtaml.formats.levels import standard_trellises
from qtaml.memory import read_artifact, weak_bits, words_as_read
from qtaml.memory.protection_map import protection_map
from qtaml.planning import ByHand, Plan, TensorPlan
from qtaml.protections import Bch, BlockCode, Hamming, HardenedCell, Repetition
from tests.cases import CASES, CONVOLUTION, TRANSFORMER, assert_unchanged, snapshot
from tests.full_disk import full_disk
from tests.within import within

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_artifact.py"
FILES = [
    "manifest.json",
    "manifest.json.sha256",
    "map.json",
    "outliers.safetensors",
    "plan.json",
    "planes.safetensors",
    "readouts.safetensors",
    "rest.safetensors",
    "scales.safetensors",
]
MIXED = (
    Format(EvenLevels(8)).protect(2),
    Format(EvenLevels(8)).protect(3, Repetition(3)),
    Format(EvenLevels(8)).protect(1, Hamming(4)),
    Format(EvenLevels(8)).protect(1, Bch(15, 7, 2)),
    Format(EvenLevels(8)).protect(4, BlockCode(1000, 2480)),
    Format(EvenLevels(8)).protect(1, HardenedCell(3.0, 0.01, 0.02)),
)
FITTED = tuple(
    Format(TableLevels(tuple(np.linspace(-2, 2.5, 2**bits))), (Repetition(3),) * bits) for bits in (0, 1, 2, 5, 10)
)
TRELLISES = tuple(
    Format(TrellisLevels(bits, window, ((1, 0.75), (6, -0.5), (11, 0.25)), shared))
    for bits, window, shared in [(1, 4, 1), (1, 2, 4), (2, 2, 2), (3, 2, 1), (6, 2, 1)]
)
STANDARD = tuple(Format(one) for one in standard_trellises() if one.window < 4)[::5]
ENTROPY = Format(EntropyLevels((-1.0, 0.0, 1.5), (900, 2300, 896), block_weights=8, block_bytes=8))
STORAGES = {
    "mixed protections": (MIXED, {}),
    "rows": (MIXED[:1], {"granularity": "row"}),
    "groups of 4 NF4 words": ((Format(NamedLevels("nf4")).protect(1),), {"granularity": 4, "readout_gain": 1.1}),
    "outliers": (MIXED, {"outliers": 5, "readout_gain": 1.1, "scale": RootMeanSquare()}),
    "outliers and groups": (MIXED[:1], {"outliers": 1, "granularity": 4}),
    "exact correction": ((Format(EvenLevels(8)),), {"correction": "exact", "scale": Largest("recompute")}),
    "fitted tables of 0 to 10 bits": (
        FITTED,
        {"readout_gain": 1.07, "scale": RootMeanSquare(), "correction": "least_error"},
    ),
    "trellises by row, of 1/4 to 6 bits a weight": (
        TRELLISES,
        {"granularity": "row", "readout_gain": 1.1, "scale": RootMeanSquare(), "correction": "least_error"},
    ),
    "standard trellises": (STANDARD, {"readout_gain": 1.1, "correction": "least_error"}),
    "entropy-coded blocks and trellises": (
        (ENTROPY, *TRELLISES[1:3]),
        {"outliers": 3, "readout_gain": 1.1, "scale": RootMeanSquare(), "correction": "least_error"},
    ),
    "fitted tables by row": (FITTED[::-1], {"granularity": "row", "readout_gain": 0.9, "scale": RootMeanSquare()}),
    **{
        f"{bits} bits": ((Format(EvenLevels(bits)), Format(EvenLevels(bits)).protect(1)), {})
        for bits in (2, 7, 9, 12, 16)
    },
    **{
        f"{encoding}, {grid}": ((Format(EvenLevels(6, encoding, grid)),), {})
        for encoding in ("offset_binary", "twos_complement", "sign_magnitude", "gray")
        for grid in ("half_step", "integer")
    },
}


def planned(storage, model):
    """A plan that stores the weight of a linear layer with some formats in turn, two runs for each."""
    formats, settings = storage
    weight = model.weight
    runs = [Section(3, fmt) for fmt in formats] + [Section(2, fmt) for fmt in formats]
    rest = weight.numel() - sum(section.weights for section in runs)
    sections = (*runs, Section(rest, formats[0]))
    return Plan(ByHand(p=0.1), (TensorPlan.of("weight", (), weight, TensorFormat(sections, **settings)),))


@pytest.fixture(scope="module")
def example():
    """The reader that needs NumPy alone."""
    spec = importlib.util.spec_from_file_location("read_artifact", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved memory."""
    path = tmp_path_factory.mktemp("memory") / "deployed"
    model = CONVOLUTION.model()
    qtaml.store(model, qtaml.compensate(model, CONVOLUTION.batch(), p=0.1, overhead=0.2, passes=2)).save(path)
    return path


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of the saved memory, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "deployed"))


def sign(directory):
    """Write every checksum of a directory anew."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["sha256"] = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in manifest["sha256"]
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    digest = hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest()
    (directory / "manifest.json.sha256").write_text(f"{digest}  manifest.json\n")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", STORAGES)
def test_every_format_comes_back_bit_for_bit(name, dtype, tmp_path, example):
    """From the disk, and by the reader that needs NumPy alone."""
    torch.manual_seed(0)
    model = nn.Linear(9, 11, bias=False).to(dtype)
    memory = qtaml.store(model, planned(STORAGES[name], model))
    memory.save(tmp_path / "deployed")
    loaded = read_artifact(tmp_path / "deployed")
    assert loaded.plan == memory.plan
    assert torch.equal(loaded.tensors["weight"].words, memory.tensors["weight"].words)
    assert torch.equal(loaded.tensors["weight"].scale, memory.tensors["weight"].scale)
    read = example.read_weights(tmp_path / "deployed")["weight"]
    assert np.array_equal(read.astype(np.float64), memory.model(seed=None).weight.double().numpy())


def test_a_lost_block_is_read_as_zeros_by_every_reader(tmp_path, example):
    """What a raw memory gives back of entropy-coded blocks, in an image of it too; `observed_errors` counts it."""
    model = nn.Linear(9, 11, bias=False)
    memory = qtaml.store(model, planned(((ENTROPY,), {"scale": RootMeanSquare()}), model))
    words = words_as_read(memory.artifact, seed=0, fault=Uniform(0.01))
    write_binary(memory.artifact.with_words(words), tmp_path / "dump.bin")
    dump = read_binary(tmp_path / "dump.bin", memory.plan)
    assert torch.equal(dump["weight"], words["weight"])
    read = memory.with_words(dump)
    expected = dict(memory.read(seed=0, fault=Uniform(0.01)))["weight"].detach().numpy()
    lost = (expected == 0).sum() - int((dict(memory.read(seed=None))["weight"] == 0).sum())
    assert 0 < lost < 70
    assert sum(rate.wrong for rate in qtaml.measuring.observed_errors(memory.artifact, dump)) > 0
    with pytest.raises(qtaml.ArgumentError, match=r"weak_cells must be None for a plan with entropy-coded .*'weight'"):
        qtaml.store(model, memory.plan, weak_cells=weak_bits(memory.plan, Uniform(0.01)))
    read.save(tmp_path / "deployed")
    for found in (
        dict(qtaml.load(tmp_path / "deployed", model).read(seed=None)),
        example.read_weights(tmp_path / "deployed"),
    ):
        assert np.array_equal(np.asarray(found["weight"]), expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_example_reads_whole_networks(case, tmp_path, example):
    """Tied weights under each of their names."""
    model = case.model()
    memory = qtaml.store(model, qtaml.compensate(model, case.batch(), p=0.1, overhead=0.2, passes=2))
    memory.save(tmp_path / "deployed")
    state = memory.state_dict(seed=None)
    read = example.read_weights(tmp_path / "deployed")
    assert read.keys() == {name for entry in memory.plan.tensors for name in (entry.name, *entry.aliases)}
    assert all(np.array_equal(read[name], state[name].numpy()) for name in read)


def test_the_example_runs_by_itself(saved, tmp_path):
    """As a command, of fewer than 120 lines, without qtaml and torch."""
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 120
    out = tmp_path / "weights.npz"
    code = "import runpy, sys; sys.modules.update(qtaml=None, torch=None); runpy.run_path(sys.argv[0], {}, '__main__')"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = {[str(EXAMPLE), str(saved), str(out)]}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "conv.weight (4, 1, 3, 3): from" in run.stdout
    assert np.load(out)["conv.weight"].shape == (4, 1, 3, 3)


def test_the_map_says_what_protects_each_plane(saved):
    """The first planes of a plan of TAC are under the ideal code, which takes two cells a bit."""
    layout = json.loads((saved / "map.json").read_text())
    plan = Plan.from_json((saved / "plan.json").read_text())
    for tensor, entry in zip(layout["tensors"], plan.tensors, strict=True):
        assert tensor["name"] == entry.name
        protected = 0
        for region in tensor["regions"]:
            for plane in layout["formats"][region["format"]]["planes"]:
                protection = layout["protections"][plane["protection"]]
                protected += (protection["protection"]["kind"] == "ideal") * region["weights"]
                assert protection["cells"] == {"ideal": 2, "raw": 1}[protection["protection"]["kind"]]
        assert protected == entry.storage.protected_bits


def test_the_manifest_names_plan_seed_and_versions(saved):
    """And the system's own sha256sum agrees with it."""
    assert sorted(path.name for path in saved.iterdir()) == FILES
    manifest = json.loads((saved / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"]) == ("qtaml-memory", 7)
    assert manifest["settings"]["kind"] == "tac"
    assert manifest["settings"]["seed"] == 0
    assert manifest["versions"]["torch"] == torch.__version__
    assert sorted(manifest["sha256"]) == [name for name in FILES if not name.startswith("manifest")]
    subprocess.run(["sha256sum", "--check", "--strict", "manifest.json.sha256"], cwd=saved, check=True)
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1  # no file is more private than another


@pytest.mark.slow
def test_every_single_byte_that_is_wrong_is_found(tmp_path):
    """In any file of a small memory, whatever the byte."""
    model = nn.Linear(3, 2)
    directory = tmp_path / "deployed"
    qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1)).save(directory)
    unnoticed = []
    for name in FILES:
        path = directory / name
        data = path.read_bytes()
        for place in range(len(data)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
            try:
                read_artifact(directory)
                unnoticed.append((name, place))
            except qtaml.StoredFileError:
                pass
        path.write_bytes(data)
    assert not unnoticed
    read_artifact(directory)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncate", "remove", "rename", "empty", "append"])
def test_damage_is_found(copied, name, damage):
    """A truncated, missing, renamed, empty or longer file is an error that names the directory."""
    path = copied / name
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    elif damage == "rename":
        path.rename(copied / "other")
    else:
        path.write_bytes({"truncate": data[: len(data) // 2], "empty": b"", "append": data + b" "}[damage])
    model = CONVOLUTION.model()
    before = snapshot(model)
    with pytest.raises(qtaml.StoredFileError, match=r"deployed"):
        qtaml.load(copied, model)
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 8}, "has version 8 of the layout, and this qtaml reads version 7: update qtaml"),
        ({"version": 6}, "has version 6 of the layout, and this qtaml reads version 7: store the network again"),
        ({"format": "sketch"}, "holds 'sketch', not a qtaml-memory"),
        ({"version": "new"}, r"manifest\.json is damaged, or is no manifest of a stored network"),
    ],
)
def test_other_layouts_are_refused(copied, change, message):
    """Newer, older and foreign ones are named, whatever else they hold."""
    (copied / "manifest.json").write_text(json.dumps({"format": "qtaml-memory", "news": 1} | change))
    with pytest.raises(qtaml.StoredFileError, match=message):
        qtaml.load(copied, CONVOLUTION.model())


def test_directories_that_are_something_else_are_refused(tmp_path):
    """Empty, missing, and a file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    for name in ("empty", "missing", "file"):
        with pytest.raises(qtaml.StoredFileError, match=r"cannot read .*manifest\.json"):
            qtaml.load(tmp_path / name, CONVOLUTION.model())


WEIGHT = "conv.weight"
CONTENT = {
    "planes of another size": ("planes", lambda t: {**t, WEIGHT: t[WEIGHT][:-1]}, "planes must be uint8 of shape"),
    "planes of another dtype": ("planes", lambda t: {**t, WEIGHT: t[WEIGHT].int()}, "planes must be uint8"),
    "planes missing": ("planes", lambda t: {WEIGHT: t[WEIGHT]}, "planes of 'head.weight' in only one"),
    "planes with more bits": ("planes", lambda t: {**t, WEIGHT: t[WEIGHT] | 0xF0}, "filled up with zeros"),
    "a scale that is no number": ("scales", lambda t: {**t, WEIGHT: t[WEIGHT] * float("nan")}, "finite"),
    "a negative scale": ("scales", lambda t: {**t, WEIGHT: -t[WEIGHT]}, "at least 0"),
    "a scale of another shape": ("scales", lambda t: {**t, WEIGHT: t[WEIGHT].reshape(1)}, "scale must be"),
    "another readout table": ("readouts", lambda t: {"0": t["0"] * 2}, "other readout tables"),
}


@pytest.mark.parametrize("name", CONTENT)
def test_content_that_does_not_fit_the_plan_is_refused(copied, name):
    """Also where every checksum is right."""
    file, change, message = CONTENT[name]
    path = copied / f"{file}.safetensors"
    path.write_bytes(safetensors.torch.save(change(safetensors.torch.load_file(path))))
    sign(copied)
    with pytest.raises(qtaml.StoredFileError, match=f"does not fit its plan.*{message}"):
        qtaml.load(copied, CONVOLUTION.model())


def test_a_name_that_no_file_can_hold_is_refused(tmp_path):
    """Before anything is written."""
    model = nn.Linear(3, 2)
    model.register_parameter("__metadata__", nn.Parameter(torch.ones(2, 2)))
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    with pytest.raises(qtaml.ModelError, match="tensor '__metadata__' must have another name to be stored"):
        memory.save(tmp_path / "deployed")
    assert not list(tmp_path.iterdir())


def test_a_map_of_another_plan_is_refused(copied):
    """Also where every checksum is right."""
    text = (copied / "map.json").read_text()
    (copied / "map.json").write_text(text.replace('"bit": 7', '"bit": 6', 1))
    sign(copied)
    with pytest.raises(qtaml.StoredFileError, match=r"map\.json is not the map of this plan"):
        qtaml.load(copied, CONVOLUTION.model())


def claim(directory, change):
    """Let the plan of a directory say something else, with a map and checksums that fit it."""
    plan = json.loads((directory / "plan.json").read_text())
    change(plan)
    (directory / "plan.json").write_text(json.dumps(plan))
    layout = protection_map(Plan.from_json((directory / "plan.json").read_text()))
    (directory / "map.json").write_text(_files.to_json(layout))
    sign(directory)


def test_weights_that_take_no_bits_are_bounded(tmp_path):
    """6 kB of files would ask for 64 GiB of words."""
    model = nn.Linear(3, 2)
    formats = STORAGES["fitted tables of 0 to 10 bits"]
    plan = planned((FITTED[:1], formats[1]), model)
    qtaml.store(model, plan).save(tmp_path / "deployed")
    assert read_artifact(tmp_path / "deployed").plan == plan

    def grow(plan):
        (tensor,) = plan["tensors"]
        tensor["shape"][0] = 2**36 // 3
        tensor["storage"]["sections"]["sections"] = [[3 * (2**36 // 3), 0]]

    claim(tmp_path / "deployed", grow)
    with (
        within(),
        pytest.raises(qtaml.StoredFileError, match=r"plan of 68719476735 weights: 0 bytes of planes are for"),
    ):
        read_artifact(tmp_path / "deployed")


def test_tables_are_those_of_the_file(tmp_path):
    """A plan of a few bytes a format would ask for half a megabyte of each."""
    model = nn.Linear(1000, 2, bias=False)
    runs = [Format(EvenLevels(16)).protect(bits) for bits in range(17)]
    qtaml.store(model, planned((runs, {}), model)).save(tmp_path / "deployed")
    path = tmp_path / "deployed" / "readouts.safetensors"
    path.write_bytes(safetensors.torch.save({name: torch.zeros(1).double() for name in map(str, range(17))}))
    sign(tmp_path / "deployed")
    with within(megabytes=20), pytest.raises(qtaml.StoredFileError, match=r"readouts.safetensors holds other readout"):
        read_artifact(tmp_path / "deployed")


@pytest.mark.parametrize("limit", [100, 1000, 3000])
def test_a_full_disk_leaves_the_old_memory(tmp_path, limit):
    """Where no file may grow beyond some bytes, the older memory is intact and no partial folder is left."""
    model = TRANSFORMER.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    directory = tmp_path / "deployed"
    memory.save(directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    with full_disk(limit), pytest.raises(qtaml.StoredFileError, match=r"cannot write .*deployed: .*[Ff]ile too large"):
        qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=2)).save(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["deployed"]
