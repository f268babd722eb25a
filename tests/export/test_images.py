"""Memory images: raw binary and Verilog, written and read back."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import qtaml
from qtaml.export import image_planes, read_binary, read_verilog, write_binary, write_verilog
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.planning import ByHand, Plan, TensorPlan
from tests.cases import CONVOLUTION, TRANSFORMER

WIDTHS = (8, 16, 24, 32, 64, 256)


@pytest.fixture(scope="module")
def artifact():
    """A stored network with protected and raw bits."""
    model = CONVOLUTION.model()
    return qtaml.store(model, qtaml.compensate(model, CONVOLUTION.batch(), p=0.1, overhead=0.2, passes=2)).artifact


@pytest.mark.parametrize("word_bits", WIDTHS)
def test_images_come_back(artifact, tmp_path, word_bits):
    """Both kinds hold every stored bit, at any width of a memory word."""
    write_binary(artifact, tmp_path / "image.bin", word_bits=word_bits)
    write_verilog(artifact, tmp_path / "image.mem", word_bits=word_bits)
    for words in (
        read_binary(tmp_path / "image.bin", artifact.plan, word_bits=word_bits),
        read_verilog(tmp_path / "image.mem", artifact.plan),
    ):
        assert words.keys() == artifact.tensors.keys()
        assert all(torch.equal(words[name], tensor.words) for name, tensor in artifact.tensors.items())


@given(st.lists(st.integers(1, 50), min_size=1, max_size=3), st.integers(2, 16), st.sampled_from(WIDTHS))
@settings(max_examples=30)
def test_bits_are_where_the_planes_say(counts, bits, word_bits):
    """Bit i of a plane is bit i % width of word address + i // width, words being little-endian."""
    model = nn.Linear(sum(counts), 1, bias=False)
    sections = tuple(Section(count, Format(EvenLevels(bits)).protect(i % 3)) for i, count in enumerate(counts))
    plan = Plan(ByHand(p=0.1), (TensorPlan.of("weight", (), model.weight, TensorFormat(sections)),))
    artifact = qtaml.store(model, plan).artifact
    with tempfile.TemporaryDirectory() as folder:
        write_binary(artifact, Path(folder) / "image.bin", word_bits=word_bits)
        data = (Path(folder) / "image.bin").read_bytes()
    size = word_bits // 8
    memory_words = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    labels = artifact.tensors["weight"].words.reshape(-1).tolist()
    spans = dict(enumerate(plan.tensors[0].storage.spans_of_formats))
    for plane in image_planes(plan, word_bits):
        here = [label for span in spans[plane.region][1] for label in labels[span]]
        assert len(here) == plane.bits
        for i, label in enumerate(here):
            assert memory_words[plane.address + i // word_bits] >> i % word_bits & 1 == label >> plane.bit & 1


def test_verilog_is_text_that_readmemh_takes(tmp_path):
    """Comments, addresses and words of as many digits as the width has, highest digit first."""
    model = nn.Linear(12, 1, bias=False)
    artifact = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1)).artifact
    write_verilog(artifact, tmp_path / "image.mem", word_bits=16)
    lines = (tmp_path / "image.mem").read_text().splitlines()
    top = int("".join(str(int(word) >> 7) for word in artifact.tensors["weight"].words[0].flip(0)), 2)
    assert lines[:3] == ["// weight, region 0, bit 7, ideal", "@0", f"{top:04x}"]
    assert lines[3:5] == ["// weight, region 0, bit 6, raw", "@1"]
    assert len(lines) == 8 * 3


def test_a_simulators_dump_is_read(artifact, tmp_path):
    """Without addresses, with block comments, underscores, capitals, several words a line, and cells beyond."""
    write_verilog(artifact, tmp_path / "image.mem", word_bits=32)
    lines = (tmp_path / "image.mem").read_text().splitlines()
    words = [f"{line[:4]}_{line[4:]}".upper() for line in lines if line[0] not in "/@"]
    (tmp_path / "dump.mem").write_text("// dump\n/* of a\nmemory */ " + " ".join([*words, "xxxxxxxx", "0000ffff"]))
    read = read_verilog(tmp_path / "dump.mem", artifact.plan)
    assert all(torch.equal(read[name], tensor.words) for name, tensor in artifact.tensors.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-9] + "xxz0ffff\n", r"holds bits that are not known at address 0x\w+: 'xxz0ffff'"),
        (lambda text: text + "hello\n", "must hold hexadecimal words and addresses, got 'hello'"),
        (lambda text: text + "@0 deadbeef\n", "holds the word at address 0x0 twice"),
        (lambda text: text + "dead\n", "must hold words of one width, got 16, 32"),
        (lambda text: text[:-9], r"holds \d+ of the \d+ words .*; the first missing one is at address 0x\w+"),
        (lambda text: "", "must hold words of one width, got no words"),
        (lambda text: "abc", r"word_bits must be a multiple of 8, got 12"),
        (lambda text: "\x00\xff", "must hold hexadecimal words"),
    ],
)
def test_dumps_that_do_not_fit_are_refused(artifact, tmp_path, change, message):
    """Unknown bits, too many words, too few, other widths, other files."""
    path = tmp_path / "dump.mem"
    write_verilog(artifact, path)
    path.write_text(change(path.read_text()))
    with pytest.raises(qtaml.StoredFileError, match=message):
        read_verilog(path, artifact.plan)


def test_binary_dumps_of_another_size_are_refused(artifact, tmp_path):
    """The error says what is expected; a width that is no whole number of bytes is refused too."""
    write_binary(artifact, tmp_path / "image.bin")
    with pytest.raises(qtaml.StoredFileError, match=r"has \d+ bytes; this network in words of 256 bits takes \d+"):
        read_binary(tmp_path / "image.bin", artifact.plan, word_bits=256)
    with pytest.raises(qtaml.ArgumentError, match="word_bits must be a multiple of 8, got 12"):
        write_binary(artifact, tmp_path / "other.bin", word_bits=12)
    with pytest.raises(qtaml.StoredFileError, match="cannot read"):
        read_binary(tmp_path / "none.bin", artifact.plan)
    assert [path.name for path in tmp_path.iterdir()] == ["image.bin"]


def test_tied_weights_are_stored_once(tmp_path):
    """The image of a network with tied weights holds them once."""
    model = TRANSFORMER.model()
    artifact = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0)).artifact
    planes = image_planes(artifact.plan, 8)
    assert sum(plane.bits for plane in planes) == 8 * artifact.plan.weights
    write_binary(artifact, tmp_path / "image.bin", word_bits=8)
    ones = np.unpackbits(np.fromfile(tmp_path / "image.bin", np.uint8)).sum()
    assert ones == sum(int(sum(t.words.int() >> b & 1 for b in range(8)).sum()) for t in artifact.tensors.values())
