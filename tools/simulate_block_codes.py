"""Measure the block codes of `block_codes.json` anew: python -m tools.simulate_block_codes.

Takes about ten minutes of one core. An interrupted run goes on where it stopped.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from qtaml import protections
from qtaml._files import from_json, to_json, write_text
from qtaml._progress import track
from qtaml._random import child_seed, torch_generator
from qtaml.protections.block_coder import BlockCoder
from qtaml.protections.block_codes import TABLE, BlockCodeTable, Measured, MeasuredCode

SEED = 0
# The data bits of a block, and for each error rate the lengths, from a safe one to one that begins to fail.
LENGTHS: dict[int, dict[float, tuple[int, ...]]] = {
    1000: {
        0.01: (1260, 1220, 1190),
        0.02: (1370, 1330, 1290),
        0.05: (1810, 1740, 1670),
        0.10: (2480, 2360, 2270),
        0.15: (3400, 3230, 3090),
        0.20: (4800, 4550, 4350),
    },
    3800: {
        0.01: (4480, 4380),
        0.02: (4950, 4850),
        0.05: (6270, 6100),
        0.10: (8450, 8200),
    },
}
# Short blocks of the safe length, fewer where decoding is slow; of each further length half as many.
WORDS = {0.01: 8192, 0.02: 8192, 0.05: 6144, 0.10: 4096, 0.15: 2048, 0.20: 1024}
# So many times fewer long blocks.
LONG = 8
# What a code does beyond the rate it is meant for, from a few blocks.
BEYOND, WORDS_BEYOND = (1.25, 2.0), 64
# A code is known well enough once so many blocks were wrong.
ENOUGH_WRONG = 30
_CHUNK = 32


class Task(NamedTuple):
    """One code at one error rate."""

    data_bits: int
    code_bits: int
    p: float
    words: int


def tasks() -> list[Task]:
    """Everything that the table holds."""
    found = []
    for data_bits, by_rate in LENGTHS.items():
        for p, lengths in by_rate.items():
            for place, code_bits in enumerate(lengths):
                words = (WORDS[p] >> place) // (LONG if data_bits > 1000 else 1)
                found.append(Task(data_bits, code_bits, p, words))
                found += [Task(data_bits, code_bits, round(p * factor, 6), WORDS_BEYOND) for factor in BEYOND]
    return found


def measure(task: Task, seed: int) -> Measured:
    """Encode random data, flip bits, decode, count."""
    coder, words = BlockCoder(task.data_bits, task.code_bits), 0
    shares: list[float] = []
    while words < task.words and len(shares) < ENOUGH_WRONG:
        generator = torch_generator(child_seed(seed, *map(str, task[:3]), words))
        data = torch.randint(2, (_CHUNK, task.data_bits), dtype=torch.uint8, generator=generator)
        flips = torch.rand(_CHUNK, task.code_bits, generator=generator) < task.p
        wrong = coder.decode(coder.encode(data) ^ flips, task.p) != data
        shares += [float(share) for share in wrong.double().mean(1) if share > 0]
        words += _CHUNK
    return Measured(task.p, words, tuple(shares))


def simulate(folder: Path, seed: int = SEED) -> BlockCodeTable:
    """Measure every code, one file for each task in `folder`, and put them together.

    Args:
        folder: where finished tasks lie; those are not done again.
        seed: of data and errors.

    Returns:
        The table.
    """
    points: dict[tuple[int, int], list[Measured]] = {}
    everything = tasks()
    for task in track(everything, "block codes"):
        path = folder / f"{task.data_bits}-{task.code_bits}-{task.p}.json"
        if not path.exists():
            write_text(path, to_json(measure(task, seed)))
        measured = from_json(Measured, path.read_text(), str(path))
        points.setdefault((task.data_bits, task.code_bits), []).append(measured)
    codes = tuple(MeasuredCode(*size, tuple(sorted(at, key=lambda one: one.p))) for size, at in points.items())
    return BlockCodeTable(f"sionna-no-rt {version('sionna-no-rt')}, 5G LDPC, at most 60 iterations", seed, codes)


if __name__ == "__main__":
    table = simulate(Path(sys.argv[1] if len(sys.argv) > 1 else "out/block_codes"))
    write_text(Path(protections.__file__).with_name(TABLE), to_json(table))
