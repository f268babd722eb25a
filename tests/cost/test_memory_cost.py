"""Area, energies and power of a memory, against sums by hand."""

import json

import pytest
import torch

from qtaml.cost import Array, Contents, Figure, Logic, Numbers, memory_cost
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.formats import EvenLevels, Format, NamedLevels, Section, TensorFormat
from qtaml.planning import ByHand, Plan, TensorPlan
from qtaml.protections import Hamming, HardenedCell, Repetition

CELL = Array(
    "mine",
    45.0,
    Figure(0.5, "us"),
    Figure(0.5, "us"),
    read_energy=Figure(2.0, "us"),
    write_energy=Figure(6.0, "us"),
    standby=Figure(3.0, "us"),
)
PLAIN = Array("plain", 45.0, Figure(1.0, "us"), Figure(1.0, "us"), read_energy=Figure(5.0, "us"), refreshed=False)
HELD = Contents(2000.0, 4000.0, 100, 8, {"majority_3": 600})


def test_refresh_power_is_that_of_both_halves():
    """4,000 refreshes of (2 + 6) fJ each 1 ms, of which 2 fJ are the read half."""
    cost = memory_cost(HELD, array=CELL, window=1e-3)
    assert cost.figure("power", "refresh, read").value == pytest.approx(4000 * 2e-15 / 1e-3)
    assert cost.figure("power", "refresh, write-back").value == pytest.approx(4000 * 6e-15 / 1e-3)
    assert cost.figure("power", "standby").value == pytest.approx(2000 * 3e-12)
    assert cost.known("power").value == pytest.approx(4000 * 8e-12 + 2000 * 3e-12)
    assert cost.known("area").value == pytest.approx((2000 * 0.5 / 0.5 + 5 * 0.798) / 1e6)


def test_decoding_at_every_read_takes_the_power_of_all_cells_and_of_the_decoder():
    """Whose energy no source has: it is named, and stays out of the sum."""
    cost = memory_cost(HELD, array=CELL, window=1e-3, reads_per_second=1e6)
    assert cost.figure("power", "read").value == pytest.approx(2000 * 2e-15 * 1e6)
    assert cost.missing == ("power of decoder majority_3",)
    assert cost.latency == "combinational"
    assert "No source, in no sum: power of decoder majority_3." in str(cost)


def test_decoding_at_start_up_counts_the_memory_of_the_copy():
    """800 plain bits, from which all reads come; the decoder takes area, but no power."""
    cost = memory_cost(HELD, array=CELL, window=1e-3, reads_per_second=1e6, decode="start_up", copy=PLAIN)
    assert cost.figure("area", "copy in plain").value == pytest.approx(800e-6)
    assert cost.figure("power", "read of the copy").value == pytest.approx(800 * 5e-15 * 1e6)
    assert cost.missing == ("power of standby of the copy",)
    leaking = memory_cost(HELD, array=CELL, window=1e-3, decode="start_up", copy=CELL)
    assert leaking.missing == ("power of refresh of the copy",)


def test_numbers_of_the_user_fill_what_no_source_has(tmp_path):
    """From a file; names that are taken are theirs."""
    voter = Logic("majority_3", "combinational", Figure(5.0, "us"), energy=Figure(1.5, "us"), energy_node=45.0)
    Numbers((CELL,), (voter,)).save(tmp_path / "mine.json")
    numbers = Numbers.load(tmp_path / "mine.json")
    cost = memory_cost(HELD, array="mine", window=1e-3, reads_per_second=10.0, numbers=numbers)
    assert cost.missing == ()
    assert cost.figure("power", "decoder majority_3").value == pytest.approx(600 * 1.5e-15 * 10)
    assert json.loads(cost.to_json())["reads_per_second"] == 10.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"arrays": [{"name": "mine", "node": 28}]}', "arrays.0.cell_area: Field required"),
        ('{"arrays": [{"name": "mine", "node": 28, "cell_area": {"value": 1}}]}', "source: Field required"),
        (
            '{"arrays": [{"name": "mine", "node": -28, "cell_area": {"value": 1, "source": "us"}}]}',
            "node must be above 0",
        ),
    ],
)
def test_a_file_of_numbers_that_says_too_little_is_refused(tmp_path, text, told):
    """The message says where."""
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(StoredFileError, match=told):
        Numbers.load(tmp_path / "mine.json")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"array": CELL}, "window must be given for the array 'mine', got None"),
        (
            {"array": PLAIN, "window": 1.0},
            "window must not be given: its cells are not refreshed for the array 'plain'",
        ),
        ({"array": CELL, "window": 0.0}, "window must be above 0, got 0"),
        ({"array": CELL, "window": 1.0, "node": 28.0}, "node must be that of array, 45 nm, got 28"),
        ({"array": CELL, "window": 1.0, "copy": PLAIN}, "copy must be given with decode='start_up', and only then"),
        ({"array": CELL, "window": 1.0, "decode": "start_up"}, "copy must be given with decode='start_up'"),
        ({"array": "gain_cell_3t", "node": 28.0, "window": 1.0, "decode": "start_up", "copy": "sram_6t"}, "got 28"),
        ({"array": CELL, "window": 1.0, "reads_per_second": -1.0}, "reads_per_second must be at least 0, got -1"),
    ],
)
def test_bad_questions_are_refused(asked, told):
    """With what is allowed."""
    with pytest.raises(ArgumentError, match=told):
        memory_cost(HELD, **asked)


def plan(*formats, p=0.1):
    """A plan of 64 weights in each format."""
    tensors = [
        TensorPlan.of(str(place), (), torch.zeros(64), TensorFormat((Section(64, fmt),)))
        for place, fmt in enumerate(formats)
    ]
    return Plan(ByHand(p=p), tuple(tensors))


def test_a_plan_counts_cells_refreshes_and_what_reads_them():
    """Of 8 bits one is voted on, one lies in a cell of area 2 that is refreshed 4 times as often."""
    fmt = Format(EvenLevels(8)).protect(1, Repetition(3)).protect(0)
    protections = (*fmt.protections[:6], HardenedCell(2.0, 0.01, 0.01, refreshes=4.0), Repetition(3))
    made = plan(Format(EvenLevels(8), protections))
    assert made.cells == (6 + 2 + 3) / 8
    assert made.refreshes == (6 + 8 + 3) / 8
    cost = made.cost(array=CELL, window=1e-3)
    assert cost.figure("energy", "refresh, read").value == pytest.approx(64 * (6 + 8 + 3) * 2e-15)
    assert cost.figure("area", "decoder majority_3").value == pytest.approx(5 * 0.798e-6)


def test_tables_that_differ_take_gates_of_their_own():
    """Two named tables, one of them in two tensors; even levels take none."""
    one, other = Format(NamedLevels("nf4")), Format(NamedLevels("fp8_e4m3"), (Hamming(4),) * 8)
    cost = plan(one, one, other, Format()).cost(array=CELL, window=1e-3)
    parts = [line.part for line in cost.lines if line.quantity == "area"]
    assert parts == ["array", "decoder hamming_4", "decoder table_4", "decoder table_8"]
    assert cost.figure("area", "decoder table_8").value == pytest.approx(365 * 0.798e-6)
