"""Named arrays against the simulators' output that they come from."""

import pytest

from qtaml.cost import ARRAYS, Array, Figure, Logic, array_named, logic, read_nvsim
from qtaml.errors import ArgumentError
from tests.cost.simulators import FIXTURES, cacti, nvsim

BITS = 2**23

CACTI = {
    ("cacti_sram_low_standby", 22): "SRAM, low standby power",
    ("cacti_sram_low_standby", 32): "SRAM, low standby power",
    ("cacti_edram", 32): "eDRAM, logic process (lp-dram)",
    ("cacti_dram", 22): "DRAM, commodity",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "node"), CACTI)
def test_arrays_of_cacti_give_its_area_energies_and_leakage_again(name, node):
    """A megabyte of them, read in words of 512 bits."""
    (row,) = (one for one in cacti() if (one["cell"], float(one["Tech node (nm)"])) == (CACTI[name, node], node))
    found = array_named(name, node)
    assert found.area(BITS).value == pytest.approx(float(row["Area (mm2)"]), rel=1e-5)
    assert 512 * found.read_energy.value == pytest.approx(1e6 * float(row["Dynamic read energy (nJ)"]), rel=1e-5)
    assert 512 * found.write_energy.value == pytest.approx(1e6 * float(row["Dynamic write energy (nJ)"]), rel=1e-5)
    assert BITS * found.standby.value == pytest.approx(1e9 * float(row["Standby leakage per bank(mW)"]), rel=1e-5)


def test_the_array_of_nvsim_gives_its_output_again():
    """Area, energies and leakage of a megabyte."""
    row, found = nvsim(), array_named("nvsim_sram")
    assert found.area(BITS).value == pytest.approx(float(row["Area (mm^2)"]), rel=1e-6)
    assert 64 * found.read_energy.value == pytest.approx(1e3 * float(row["Read Energy (pJ)"]))
    assert BITS * found.standby.value == pytest.approx(1e9 * float(row["Leakage Power (mW)"]))


def test_area_lies_within_the_spread_of_the_simulators():
    """SRAM, 1 MiB, 22 nm: the middle of the model's range is between the smallest and the largest of three outputs."""
    printed = [float(one["Area (mm2)"]) for one in cacti() if "SRAM" in one["cell"] and one["Tech node (nm)"] == "22"]
    printed.append(float(nvsim()["Area (mm^2)"]))
    found = array_named("sram_6t", 22).area(BITS)
    assert min(printed) < (found.value + found.top) / 2 < max(printed)


def test_efficiency_lies_within_the_spread_of_three_programs():
    """All of the model's range, hence all areas that follow: CACTI's SRAM .53, NVSim's .91, NS-Cache's .999."""
    printed = [float(one["array area efficiency (%)"]) / 100 for one in cacti() if "SRAM" in one["cell"]]
    printed.append(float(nvsim()["Area Efficiency (percent)"]) / 100)
    printed.append(read_nvsim(FIXTURES / "ns_cache_sram_3nm.txt", refreshed=False).efficiency.value)
    for array in (one for one in ARRAYS if one.name in ("gain_cell_3t", "sram_6t")):
        assert min(printed) <= array.efficiency.value <= array.efficiency.top <= max(printed)


def test_the_cell_area_at_14_nm_is_that_of_the_cell_file():
    """NS-Cache writes it in squares of the node."""
    squares = next(
        line for line in (FIXTURES / "ns_cache_sram_14nm.cell").read_text().splitlines() if "CellArea" in line
    )
    area = float(squares.split(":")[1]) * 0.014**2
    assert array_named("sram_6t", 14).cell_area.value == pytest.approx(area, rel=1e-3)


def test_a_refresh_with_write_back_costs_40_to_67_times_its_read():
    """What a tool leaves out that charges the read half only."""
    gain_cells = [one for one in ARRAYS if one.name == "gain_cell_3t"]
    ratios = [1 + one.write_energy.value / one.read_energy.value for one in gain_cells]
    assert sorted(round(ratio) for ratio in ratios) == [40, 47, 67]


def test_every_number_has_a_source():
    """And a figure without one is refused."""
    assert all(one.cell_area.source and one.efficiency.source for one in ARRAYS)
    with pytest.raises(ArgumentError, match="source must say where the number comes from, got ' '"):
        Figure(1.0, " ")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: array_named("gain_cell_3t", 22.0), "node must be one of 28, 16, 7 nm for 'gain_cell_3t', got 22.0"),
        (lambda: array_named("gain_cell_3t"), "node must be one of 28, 16, 7 nm for 'gain_cell_3t', got None"),
        (lambda: array_named("rram"), "array must be one of 'gain_cell_3t', .*, got 'rram'"),
        (lambda: Array("mine", 28.0, Figure(0.0, "us")), "cell_area must be above 0, got 0"),
        (lambda: Array("mine", 28.0, Figure(0.1, "us"), Figure(1.2, "us")), "efficiency must be a share of at most 1"),
        (lambda: Figure(-1.0, "us"), "value must be at least 0, got -1"),
        (lambda: Figure(2.0, "us", 1.0), "high must be at least 2, got 1"),
        (lambda: logic("turbo_8"), "decoder must be one of 'majority', .*, got 'turbo'"),
        (lambda: logic("majority_many"), "decoder must be a kind and a size such as 'majority_3', got 'majority_many'"),
    ],
)
def test_what_has_no_data_is_refused(call, told):
    """The message names what there is."""
    with pytest.raises(ArgumentError, match=told):
        call()


def test_decoders_between_sizes_and_nodes_get_a_bound_and_say_so():
    """The next larger one; beyond the largest, nothing is known."""
    assert logic("hamming_57").gates.value == 386
    assert "hamming_64: a bound" in logic("hamming_57").gates.source
    assert logic("table_4").gates.value == 44
    assert (logic("majority_9").gates, logic("bch_127").gates) == (None, None)
    assert logic("majority_3").area_at(28.0) == logic("majority_3").area_at(32.0)
    assert logic("majority_3").area_at(5.0) is None
    assert logic("block_code").area_at(90.0).value == 0.72e6
    assert (logic("block_code").energy_at(90.0).value, logic("block_code").energy_at(45.0)) == (1300.0, None)


def test_a_decoder_of_the_user_comes_first():
    """Under the same name."""
    own = Logic("majority_9", "combinational", gates=Figure(30.0, "our synthesis"))
    assert logic("majority_9", [own]) is own
