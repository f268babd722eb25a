"""Entries of a memory for programs that map networks onto accelerators: ZigZag, and Timeloop with Accelergy.

Formats: ZigZag 3.9.1 (its `AcceleratorValidator`); Timeloop 4 architecture 0.4, with Accelergy's tables of energies and
areas (ERT, ART) 0.3.
"""

import re

from qtaml import _checks
from qtaml.cost.arrays import Array
from qtaml.cost.memory_cost import Contents
from qtaml.errors import ArgumentError


def zigzag_memory(contents: Contents, array: Array, *, name: str = "weights", word_bits: int = 64) -> str:
    """A memory of `memories:` in ZigZag's YAML: the weights (operand I2), of plain words as the network sees them.

    An access of `word_bits` plain bits reads as many cells as they take on average; its energy is that of the array,
    without decoders. The latency is one cycle, which no source here says otherwise.

    Args:
        contents: of the memory, such as `plan.contents`.
        array: its cells.
        name: of the memory.
        word_bits: plain bits of an access.

    Raises:
        ArgumentError: if the name is no identifier, or the array has no energy of a read or a write.

    Example:
        >>> from qtaml.cost import array_named
        >>> print(zigzag_memory(Contents(8e5, 8e5, 10**5), array_named("gain_cell_3t", 28)).splitlines()[1].strip())
        size: 800000
    """
    size, read, write = _access(contents, array, word_bits)
    return "\n".join(
        [
            f"{_name(name)}:",
            f"  size: {size}",
            f"  r_cost: {read:.6g}",
            f"  w_cost: {write:.6g}",
            f"  area: {array.area(contents.cells).top:.6g}  # mm2",
            "  latency: 1",
            "  operands: [I2]",
            "  ports:",
            "    - name: rw_port_1",
            "      type: read_write",
            f"      bandwidth_min: {word_bits}",
            f"      bandwidth_max: {word_bits}",
            '      allocation: ["I2, fh", "I2, tl"]',
            "  served_dimensions: []",
            "",
        ]
    )


def timeloop_memory(contents: Contents, array: Array, *, name: str = "weights", word_bits: int = 64) -> str:
    """A storage component for Timeloop with Accelergy's tables for it; arguments and errors as for `zigzag_memory`.

    Example:
        >>> from qtaml.cost import array_named
        >>> print(timeloop_memory(Contents(8e5, 8e5, 10**5), array_named("gain_cell_3t", 28)).splitlines()[0])
        architecture:
    """
    size, read, write = _access(contents, array, word_bits)
    place = f"system.{_name(name)}"
    return "\n".join(
        [
            "architecture:",
            "  version: 0.4",
            "  nodes:",
            "  - !Component",
            f"    name: {name}",
            "    class: SRAM",
            "    attributes:",
            f'      technology: "{array.node:g}nm"',
            f"      depth: {-(-size // word_bits)}",
            f"      width: {word_bits}",
            f"      datawidth: {contents.bits}",
            "    constraints:",
            "      dataspace: {keep_only: [Weights]}",
            "ERT:",
            "  version: 0.3",
            "  tables:",
            f"  - name: {place}",
            "    actions:",
            *(
                line
                for action, energy in (("read", read), ("write", write), ("update", write))
                for line in (f"    - name: {action}", "      arguments: null", f"      energy: {energy:.6g}")
            ),
            "ART:",
            "  version: 0.3",
            "  tables:",
            f"  - name: {place}",
            f"    area: {array.area(contents.cells).top * 1e6:.6g}",
            "",
        ]
    )


def _access(contents: Contents, array: Array, word_bits: int) -> tuple[int, float, float]:
    """Plain bits of the memory, and pJ of a read and a write of so many of them."""
    bits, plain = _checks.integer("word_bits", word_bits, 1), contents.plain_cells
    if array.read_energy is None or array.write_energy is None:
        raise ArgumentError(f"array must have the energy of a read and of a write, got {array.name!r} without")
    cells = bits * contents.cells / plain
    return plain, array.read_energy.top * cells * 1e-3, array.write_energy.top * cells * 1e-3


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ArgumentError(f"name must be letters, digits and underscores, got {name!r}")
    return name
