"""docs/cost.md shows the figures of the package, all of them."""

import re
from pathlib import Path

import pytest

from qtaml.cost import ARRAYS, logic

PAGE = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()


@pytest.mark.parametrize("array", ARRAYS, ids=lambda one: f"{one.name} {one.node:g}")
def test_the_figures_of_an_array_are_on_the_page(array):
    """In its row, in the order of the columns."""
    figures = (array.read_energy, array.write_energy, array.standby)
    told = [str(array.cell_area), str(array.efficiency), *("-" if one is None else str(one) for one in figures)]
    row = " | ".join([f"`{array.name}`", f"{array.node:g}", *told])
    assert f"| {row} |" in PAGE


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (("majority_3", "majority_5", "majority_7"), "majority of 3, 5, 7"),
        (("hamming_8", "hamming_32", "hamming_64"), "Hamming with a parity bit, 8, 32, 64 data bits"),
        (("table_4", "table_8", "table_10"), "table of 4, 8, 10 bits to 8"),
        (("trellis_12",), "trellis, up to 12 bits of window"),
    ],
)
def test_the_gates_of_decoders_are_on_the_page(names, row):
    """Beside the sizes."""
    gates = ", ".join(f"{logic(name).gates.value:g}" for name in names)
    assert re.search(rf"\| {re.escape(row)} \| {gates} \|", PAGE)
