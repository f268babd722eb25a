"""Every suffix that `qtaml export` knows: one new file, the same for the same seed, nothing else touched."""

import numpy as np
import pytest
import torch
from torch.export import Dim

import qtaml
from qtaml.cli.export import IMAGES, WRITERS, Export
from qtaml.errors import StoredFileError
from qtaml.memory import read_artifact
from tests.cases import CONVOLUTION
from tests.full_disk import full_disk

# A .tflite file is that of a network that came as one: tests/networks/test_tflite_network.py.
every_exporter = pytest.mark.parametrize("suffix", [suffix for suffix in WRITERS if suffix != ".tflite"])
every_image = pytest.mark.parametrize("suffix", IMAGES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A program, inputs for it, and its network as stored."""
    path = tmp_path_factory.mktemp("user")
    model, batch = CONVOLUTION.model().eval(), CONVOLUTION.batch(4)
    program = torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},))
    torch.export.save(program, path / "network.pt2")
    np.savez(path / "images.npz", images=batch.numpy())
    loaded = torch.export.load(path / "network.pt2").module()
    memory = qtaml.store(loaded, qtaml.uniform_msp(loaded, p=0.1, protected_bits=1))
    memory.save(path / "stored", source=str(path / "network.pt2"))
    return path


def write(folder, out, seed=None, word_bits=32):
    """What the command calls for the suffix of a path; where bit planes lie."""
    export = Export(folder / "stored", out, str(folder / "network.pt2"), folder / "images.npz", 128, seed, word_bits)
    return WRITERS[out.suffix](export)


def contents(folder):
    """Every file in a folder, and what is in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@every_exporter
def test_it_writes_one_file_in_place_of_an_older_one(folder, tmp_path, suffix):
    """Nothing beside it is left, and the stored network stays."""
    out, before = tmp_path / f"a{suffix}", contents(folder)
    out.write_text("older")
    write(folder, out)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() != b"older"
    assert contents(folder) == before


@pytest.mark.slow
@every_exporter
def test_a_seed_is_a_read(folder, tmp_path, suffix):
    """The same one gives the same file, another one or none another file."""
    written = []
    for seed in (None, 3, 3, 4):
        write(folder, tmp_path / f"a{suffix}", seed)
        written.append((tmp_path / f"a{suffix}").read_bytes())
    stored, read, again, other = written
    assert read == again
    assert len({stored, read, other}) == 3


@pytest.mark.slow
@every_exporter
def test_a_full_disk_leaves_the_older_file(folder, tmp_path, suffix):
    """The error names the file that cannot be written."""
    out = tmp_path / f"a{suffix}"
    out.write_text("older")
    with full_disk(100), pytest.raises(StoredFileError, match=rf"cannot write .*a{suffix}"):
        write(folder, out)
    assert contents(tmp_path) == {out: b"older"}


@every_image
@pytest.mark.parametrize("word_bits", [8, 32, 256])
def test_an_image_says_where_each_bit_is(folder, tmp_path, suffix, word_bits):
    """Planes of all bits of all tensors, one after the other in whole words, protected ones too."""
    plan = read_artifact(folder / "stored").plan
    planes = write(folder, tmp_path / f"a{suffix}", word_bits=word_bits)
    assert sum(plane.bits for plane in planes) == plan.bits * plan.weights
    addresses = np.cumsum([0] + [plane.words for plane in planes])
    assert [plane.address for plane in planes] == addresses[:-1].tolist()
    assert all((plane.words - 1) * word_bits < plane.bits <= plane.words * word_bits for plane in planes)


@every_image
def test_words_of_no_memory_are_refused(folder, tmp_path, suffix):
    """Nothing is written."""
    with pytest.raises(qtaml.ArgumentError, match="word_bits must be a multiple of 8, got 12"):
        write(folder, tmp_path / f"a{suffix}", word_bits=12)
    assert list(tmp_path.iterdir()) == []
