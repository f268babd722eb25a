"""Files for and of other programs."""

import math

import pytest

from qtaml.cost import (
    Contents,
    array_named,
    nvsim_cell,
    nvsim_config,
    read_nvsim,
    timeloop_memory,
    zigzag_memory,
)
from qtaml.errors import ArgumentError, StoredFileError
from tests.cost.simulators import FIXTURES

GAIN_CELL = array_named("gain_cell_3t", 28.0)
HELD = Contents(1.2e6, 1.2e6, 10**5)
OUTPUT = FIXTURES / "nvsim_1t1r.txt"


def settings(text):
    """Lines of a file of NVSim by their names, as its parser reads them."""
    return dict(line.removeprefix("-").split(": ", 1) for line in text.splitlines())


def test_output_of_nvsim_gives_an_array():
    """A real one; the node, which it does not print, follows from what it prints."""
    found = read_nvsim(OUTPUT, refreshed=False)
    assert (found.name, found.node) == ("nvsim_1t1r", 22.0)
    bits = 128 * 2**23
    assert found.area(bits).value == pytest.approx(12.008)
    assert 512 * found.read_energy.value == pytest.approx(375.512e3)
    assert (512 * found.write_energy.value, 512 * found.write_energy.top) == pytest.approx((911.345e3, 913.376e3))
    assert bits * found.standby.value == pytest.approx(108.384e9)
    assert "nvsim_1t1r.txt" in found.cell_area.source


def test_output_of_ns_cache_gives_the_array_of_a_caches_data():
    """A real one, which its makers show; an access reads a line of 64 bytes."""
    found, bits = read_nvsim(FIXTURES / "ns_cache_sram_3nm.txt", refreshed=False), 32 * 2**23
    assert found.node == 3.0
    assert found.area(bits).value == pytest.approx(4.953)
    assert 512 * found.read_energy.value == pytest.approx(417.486e3)
    assert bits * found.standby.value == pytest.approx(92.193e9)


@pytest.mark.parametrize(
    ("line", "changed", "told"),
    [
        (" - Leakage Power = 108.384mW\n", "", "it has no line 'Leakage Power' with its unit"),
        ("375.512pJ", "375.512", "it has no line 'Read Dynamic Energy' with its unit"),
        ("12.008mm^2", "12.008", "it has no line 'Total Area' with its unit"),
        ("12.008mm^2", "0.000mm^2", "is not above 0"),
        ("SET Dynamic", "ET Dynamic", "it has no line of the energy of a write"),
    ],
)
def test_output_without_a_line_or_a_unit_is_refused(tmp_path, line, changed, told):
    """The message names it."""
    path = tmp_path / "output.txt"
    path.write_text(OUTPUT.read_text().replace(line, changed))
    with pytest.raises(StoredFileError, match=told):
        read_nvsim(path, refreshed=False)


def test_a_cell_of_nvsim():
    """The keys of NS-Cache's own gain cell; area in squares of the node."""
    text = nvsim_cell(GAIN_CELL, "gcDRAM", capacitance=3e-15, sense_voltage=0.05, retention=28e-6, temperature=300.0)
    found = settings(text)
    assert float(found["CellArea (F^2)"]) * 0.028**2 == pytest.approx(0.160, rel=1e-5)
    assert (found["MemCellType"], found["DRAMCellCapacitance (F)"]) == ("gcDRAM", "3e-15")
    assert (found["RetentionTime (us)"], found["Temperature (K)"]) == ("28", "300")


def test_a_configuration_of_nvsim_holds_the_memory():
    """In a power of two of kilobytes, at least one."""
    for cells in (1.0, 8193.0, 3e5):
        found = settings(nvsim_config(GAIN_CELL, cells, "gain.cell", word_bits=128))
        capacity = int(found["Capacity (KB)"]) * 2**13
        assert cells <= capacity < max(2 * cells, 2**14)
        assert math.log2(capacity) % 1 == 0
        assert (found["ProcessNode"], found["WordWidth (bit)"]) == ("28", "128")
        assert (found["LocalWireType"], found["MemoryCellInputFile"]) == ("LocalAggressive", "gain.cell")


def test_a_memory_of_zigzag():
    """Keys and kinds as the validator of ZigZag 3.9.1 wants them; an access of 64 plain bits reads 96 cells."""
    yaml = pytest.importorskip("yaml")
    (memory,) = yaml.safe_load(zigzag_memory(HELD, GAIN_CELL)).values()
    assert memory.keys() == {
        "size", "r_cost", "w_cost", "area", "latency", "operands", "ports", "served_dimensions",
    }  # fmt: skip
    assert (memory["size"], memory["r_cost"]) == (800_000, pytest.approx(96 * 2.1e-3))
    assert memory["area"] == pytest.approx(GAIN_CELL.area(1.2e6).top)
    assert memory["ports"][0]["bandwidth_max"] == 64


def test_a_memory_of_timeloop():
    """The component, and its row in the tables of energies and areas, in pJ and um2."""
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(timeloop_memory(HELD, GAIN_CELL).replace("!Component", ""))
    (node,) = found["architecture"]["nodes"]
    assert node["attributes"]["depth"] * node["attributes"]["width"] == 800_000
    (table,) = found["ERT"]["tables"]
    assert table["name"] == "system.weights"
    assert {one["name"]: one["energy"] for one in table["actions"]}["write"] == pytest.approx(96 * 138e-3)
    assert found["ART"]["tables"][0]["area"] == pytest.approx(GAIN_CELL.area(1.2e6).top * 1e6)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: zigzag_memory(HELD, array_named("edram_1t1c")), "array must have the energy of a read and of a write"),
        (lambda: timeloop_memory(HELD, GAIN_CELL, name="a: b"), "name must be letters, digits and underscores"),
        (lambda: zigzag_memory(HELD, GAIN_CELL, word_bits=0), "word_bits must be a whole number of at least 1, got 0"),
        (lambda: nvsim_cell(GAIN_CELL, "SRAM", capacitance=1.0, sense_voltage=0.1), "kind must be one of 'gcDRAM'"),
        (lambda: nvsim_cell(GAIN_CELL, "DRAM", capacitance=0.0, sense_voltage=0.1), "capacitance must be above 0"),
        (lambda: nvsim_config(GAIN_CELL, -1.0, "x"), "cells must be above 0, got -1"),
    ],
)
def test_what_no_file_can_say_is_refused(call, told):
    """With what is allowed."""
    with pytest.raises(ArgumentError, match=told):
        call()
