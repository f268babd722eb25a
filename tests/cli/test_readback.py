"""`qtaml verify` and `qtaml readback` on a stored network and what a memory made of it."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from torch.export import Dim

import qtaml
from qtaml.export import write_binary, write_verilog
from qtaml.faults import StaticCells, Uniform
from qtaml.memory import read_artifact, words_as_read
from tests.cases import CONVOLUTION

TEST = ("--test", "test.npz", "--model", "network.pt2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stored network that knows its program, and test data."""
    path = tmp_path_factory.mktemp("user")
    model = CONVOLUTION.model().eval()
    batch = CONVOLUTION.batch(80)
    torch.export.save(torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},)), path / "network.pt2")
    np.savez(path / "test.npz", images=batch.numpy(), labels=model(batch).argmax(1).numpy())
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=2)
    qtaml.store(model, plan).save(path / "stored", source=str(path / "network.pt2"))
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


def test_what_was_stored_is_verified(here):
    """Checksums and stored bits."""
    code, out, _ = here("verify", "stored", "--model", "network.pt2")
    assert code == 0
    assert "stored: every checksum is right" in out
    assert f"{8 * (36 + 192):,} stored bits of 2 tensors" in out


def test_the_result_of_verify_as_json(here):
    """Nothing else on standard output."""
    code, out, _ = here("verify", "stored", "--model", "network.pt2", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["stored_bits"], result["tensors"], result["differences"]) == (8 * (36 + 192), 2, [])


def test_checksums_come_first(here, folder):
    """Before the network is asked for, the stored one is said to be undamaged; with the network it is verified."""
    artifact = qtaml.load(folder / "stored", CONVOLUTION.model())
    artifact.save(folder / "moved", source=str(folder / "gone.pt2"))
    code, out, err = here("verify", "moved")
    assert code == 2
    assert "moved: every checksum is right" in out
    assert "gone.pt2: name the network with --model" in err
    code, out, _ = here("verify", "moved", "--model", "network.pt2")
    assert code == 0
    assert "all equal" in out


def test_another_network_is_not_what_was_stored(here, folder):
    """The tensors that differ are named, with how many words do."""
    other = CONVOLUTION.model(seed=5).eval()
    torch.export.save(torch.export.export(other, (CONVOLUTION.batch(80),)), folder / "other.pt2")
    code, _, err = here("verify", "stored", "--model", "other.pt2")
    assert code == 4
    assert "stored is not what its plan makes of other.pt2" in err
    assert "'conv.weight': " in err
    assert " of 36 stored words differ" in err


def test_a_damaged_network_is_not_verified(here, folder):
    """The damaged file is named."""
    shutil.copytree(folder / "stored", folder / "damaged", dirs_exist_ok=True)
    data = bytearray((folder / "damaged" / "planes.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "damaged" / "planes.safetensors").write_bytes(data)
    code, _, err = here("verify", "damaged")
    assert code == 4
    assert "planes.safetensors is damaged" in err


def test_a_dump_without_errors(here):
    """A rate of 0 departs from the assumed one; the network of the dump is the stored one."""
    assert here("export", "stored", "clean.bin")[0] == 0
    code, out, _ = here("readback", "stored", "clean.bin", *TEST, "--json")
    assert code == 0
    result = json.loads(out)
    assert {row["rate"] for row in result["bits"]} == {0.0}
    raw = [row for row in result["bits"] if row["protection"]["kind"] == "raw"]
    assert {round(row["assumed"], 12) for row in raw} == {0.1}
    assert sum(row["departs"] for row in raw) > 0
    assert not any(row["departs"] for row in result["bits"] if row["protection"]["kind"] == "ideal")
    assert result["network"]["metric"] == "accuracy"
    assert result["network"]["mean"] > 0.9
    assert result["network"]["low"] < result["network"]["mean"]


def test_a_dump_with_the_assumed_errors(here):
    """All rates are as assumed; they lie in their intervals, and accuracy is measured."""
    assert here("export", "stored", "as_assumed.mem", "--seed", "1", "--word-bits", "16")[0] == 0
    code, out, _ = here("readback", "stored", "as_assumed.mem", *TEST, "--metric", "agreement")
    assert code == 0
    assert "all rates are as assumed" in out
    assert "agreement 0." in out
    assert "95% over test samples" in out


def test_a_dump_is_the_network_as_read(here, folder):
    """The image written with a seed holds the network that this seed reads."""
    here("export", "stored", "read.bin", "--seed", "7", "--word-bits", "64")
    code, out, _ = here("readback", "stored", "read.bin", "--word-bits", "64", *TEST, "--json")
    assert code == 0
    memory = qtaml.load(folder / "stored", CONVOLUTION.model())
    with np.load(folder / "test.npz") as test:
        accuracy = qtaml.Accuracy(torch.from_numpy(test["images"]), torch.from_numpy(test["labels"]))
    assert json.loads(out)["network"]["mean"] == accuracy(memory.model(seed=7))


def test_an_image_says_where_planes_lie(here, folder):
    """As JSON: the first plane of the first tensor is its most significant bit, under the ideal code."""
    code, out, _ = here("export", "stored", "image.bin", "--json")
    assert code == 0
    image = json.loads(out)
    planes = image["planes"]
    assert (image["word_bits"], image["words"]) == (32, sum(plane["words"] for plane in planes))
    first = {"tensor": "conv.weight", "region": 0, "bit": 7, "protection": {"kind": "ideal"}}
    assert planes[0] == first | {"address": 0, "words": 2, "bits": 36}
    assert (folder / "image.bin").stat().st_size == 4 * sum(plane["words"] for plane in planes)


def test_a_dump_with_other_errors(here, folder):
    """Every raw bit departs: they were read wrong four times as often."""
    artifact = read_artifact(folder / "stored")
    worse = artifact.with_words(words_as_read(artifact, seed=0, fault=Uniform(0.4)))
    write_verilog(worse, folder / "worse.mem", word_bits=16)
    code, out, _ = here("readback", "stored", "worse.mem", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["network"] is None
    assert all(row["departs"] for row in result["bits"] if row["protection"]["kind"] == "raw")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("readback", "stored", "clean.bin", "--word-bits", "1024"), 4, "in words of 1024 bits takes"),
        (("readback", "stored", "clean.bin", "--word-bits", "12"), 2, "word_bits must be a multiple of 8, got 12"),
        (("readback", "stored", "test.npz"), 2, "suffix of test.npz must be one of '.bin', '.mem', '.hex', '.txt'"),
        (("readback", "stored", "clean.mem", "--word-bits", "64"), 4, "must hold words of 64 bits, got 32"),
        (("readback", "stored", "none.bin"), 4, "cannot read none.bin"),
        (("readback", "test.npz", "clean.bin"), 4, "cannot read"),
        (("verify", "nowhere"), 4, "cannot read nowhere"),
    ],
)
def test_bad_input_is_told(here, arguments, code, message):
    """One line, and an exit code."""
    here("export", "stored", "clean.bin")
    here("export", "stored", "clean.mem")
    found, _, err = here(*arguments)
    assert (found, err.count("\n")) == (code, 1)
    assert message in err


@pytest.mark.slow
def test_a_network_is_rewritten_for_a_chip(here, folder):
    """Two dumps show its weak cells; what is then stored is read right by far more, and verified by the same dumps."""
    artifact, chip = read_artifact(folder / "stored"), StaticCells(p01=(0.0,) * 15 + (1.0,), p10=(0.0,) * 16, chip=3)
    for name, value in (("zeros", 0), ("ones", 255)):
        written = {one: torch.full_like(stored.words, value) for one, stored in artifact.tensors.items()}
        read = words_as_read(artifact.with_words(written), seed=value, fault=chip)
        write_binary(artifact.with_words(read), f"{name}.bin")
    dumps = ("--zeros", "zeros.bin", "--ones", "ones.bin", "--model", "network.pt2")
    code, out, _ = here("rewrite", "stored", "--out", "chip", *dumps)
    assert code == 0
    assert re.search(r"^\d+ of 1,824 stored bits are stuck, 0 turn over", out)

    model = CONVOLUTION.model().eval()
    loaded = [qtaml.load(folder / name, model) for name in ("stored", "chip")]
    reads = [dict(memory.read(seed=0, fault=chip)) for memory in loaded]
    errors = [float((read["head.weight"] - model.head.weight).detach().square().sum()) for read in reads]
    assert errors[1] < errors[0] / 4
    code, _, _ = here("verify", "chip", *dumps)
    assert code == 0
    code, _, err = here("verify", "chip", "--model", "network.pt2")
    assert code == 4
    assert "stored words differ" in err
    assert "(without --zeros and --ones, which a network for one chip needs)" in err
    # Zeros that come back as written, from a chip whose weak cells are all held at 0: another one.
    write_binary(artifact.with_words({one: torch.zeros_like(found) for one, found in written.items()}), "zeros.bin")
    code, _, err = here("verify", "chip", *dumps)
    assert code == 4
    assert "(with a map of weak cells, which may be of another chip)" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("verify", "stored", "--zeros", "network.pt2"), "--zeros and --ones must be given together"),
        (
            ("rewrite", "stored", "--out", "new", "--zeros", "test.npz", "--ones", "test.npz"),
            "suffix of test.npz must be",
        ),
        (("evaluate", "stored", *TEST, "--rewrite"), "fault must be StaticCells, whose weak cells stay"),
    ],
)
def test_what_a_rewrite_needs(here, options, message):
    """Both dumps, of a memory; and cells that stay weak."""
    code, _, err = here(*options)
    assert code == 2
    assert message in err


@pytest.mark.slow
def test_chips_are_rewritten_one_by_one(here):
    """Each by a writer who knows its weak cells: more of them are good."""
    weak = (
        "--fault",
        "static_cells:p01=[0,0,0,0,0,0,0,1],p10=[0,0,0,0,0,0,0,0]",
        "--chips",
        6,
        "--trials",
        1,
        "--json",
    )
    means = []
    for more in ((), ("--rewrite",)):
        code, out, err = here("evaluate", "stored", *TEST, *weak, *more)
        assert code == 0, err
        means.append(sum(json.loads(out)["values"]) / 6)
    assert means[1] > means[0]
