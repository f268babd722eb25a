"""Measure the block codes of `block_codes.json` anew: python -m tools.simulate_block_codes.

Takes about half an hour of one core. An interrupted run goes on where it stopped.
"""

import json
import math
import sys
from importlib.metadata import version
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from qtaml import protections
from qtaml._files import from_json, to_json, write_text
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.protections.block_coder import BlockCoder
from qtaml.protections.block_codes import SMALLER_GRAPH, TABLE, BlockCodeTable, Measured, MeasuredCode, capacity_gap
from tools.fast_decoder import Lifted, wrong_data

SEED = 0
# 5G has no rate above 0.95. Neighbouring lengths differ by less than this, so that prices hardly jump.
HIGHEST_RATE, RATIO = 0.95, 1.0285
_CHUNK = 64


class Level(NamedTuple):
    """A point of each code: where it is, from the capacity gap at which half of the blocks are wrong, and its effort.

    Attributes:
        gap: added to the capacity gap.
        words: blocks that are decoded, fewer once `wrong` of them were wrong.
        wrong: so many wrong blocks are enough.
    """

    gap: float
    words: int
    wrong: int


class Family(NamedTuple):
    """Codes of one number of data bits.

    Attributes:
        most: largest n/k.
        gap: capacity gap at which about half of the blocks are wrong.
        levels: points of each code.
        kept: further lengths: those that older plans name, and where 5G changes from one graph to the other.
        deep: lengths that are measured at `DEEP` too.
        every: 2 for every second of the lengths in between.
        dear: beyond so many cells for a data bit decoding is slow, and fewer blocks have to do.
    """

    most: float
    gap: float
    levels: tuple[Level, ...]
    kept: tuple[int, ...] = ()
    deep: tuple[int, ...] = ()
    every: int = 1
    dear: float = math.inf


FAMILIES = {
    1000: Family(
        7.0,
        1.85,
        (Level(0.5, 320, 100), Level(1.6, 640, 60), Level(2.75, 4096, 60), Level(3.9, 8192, 30), Level(4.9, 8192, 30)),
        (1190, 1220, 1260, 1290, 1330, 1370, 1670, 1740, 1810, 2270, 2360, 2480, 3090, 3230, 3400, 4350, 4550, 4800),
        dear=3.8,
    ),
    # Longer codes fail within fewer lengths: fewer blocks tell neighbours apart.
    8448: Family(
        3.3,
        4.25,
        (Level(0.5, 128, 30), Level(1.6, 192, 20), Level(2.75, 384, 20), Level(4.4, 6144, 20)),
        (29470,),
        # Those that entropy-coded blocks have at p = .01, .05 and .1.
        (9403, 9942, 10512, 13137, 13890, 18354),
        every=2,
    ),
    3800: Family(
        7.0,
        3.2,
        (Level(0.5, 128, 30), Level(1.6, 192, 20), Level(2.75, 512, 20), Level(4.4, 6144, 20)),
        (4380, 4480, 4850, 4950, 5671, 5672, 6100, 6270, 8200, 8450),
        every=2,
    ),
    2000: Family(
        7.0,
        2.8,
        (Level(0.5, 128, 40), Level(1.6, 256, 30), Level(2.75, 1024, 30), Level(4.4, 8192, 30)),
        (2985, 2986),
        every=2,
    ),
    500: Family(
        7.0,
        1.3,
        (Level(0.5, 320, 100), Level(1.6, 640, 60), Level(2.75, 4096, 60), Level(4.4, 8192, 30)),
        (746, 747),
        every=2,
    ),
}
# What a code does where nearly all of its blocks are wrong, and far beyond, where only the share of wrong bits counts.
BEYOND, FAR = Level(-1.6, 64, 60), Level(0, 64, 60)
# What is lost with a single wrong bit needs a rate of wrong blocks below that of the squared rounding error.
DEEP = Level(6.4, 32768, 20)
FAR_TIMES = 1.6
# At most so many blocks beyond `Family.dear`.
WORDS_DEAR = 4096


def lengths(data_bits: int) -> list[int]:
    """Lengths of the codes of a family: those kept, and equal ratios between them."""
    family = FAMILIES[data_bits]
    ends = sorted([math.ceil(data_bits / HIGHEST_RATE), *family.kept, round(family.most * data_bits)])
    found = {ends[0]}
    for low, high in pairwise(ends):
        steps = math.ceil(math.log(high / low) / math.log(RATIO))
        between = range(family.every, steps, family.every)
        found |= {high, *(round(low * (high / low) ** (step / steps)) for step in between)}
    return sorted(found)


def points(data_bits: int, code_bits: int) -> list[tuple[float, Level]]:
    """Error rates at which a code is measured, from the largest on."""
    family = FAMILIES[data_bits]
    # Copies of stored bits, beyond the longest code proper, carry less than new bits.
    copied = max(0.0, code_bits / (data_bits * (5 if data_bits <= SMALLER_GRAPH else 3)) - 1)
    middle = family.gap + 5.3 * math.sqrt(data_bits / 1000) * copied
    levels = (BEYOND, *family.levels, *((DEEP,) if code_bits in family.deep else ()))
    if code_bits > family.dear * data_bits:
        levels = tuple(level._replace(words=min(level.words, WORDS_DEAR)) for level in levels)
    found = [(_error_rate(data_bits, code_bits, middle + level.gap), level) for level in levels]
    return [(round(min(0.45, FAR_TIMES * found[0][0]), 6), FAR), *found]


def _error_rate(data_bits: int, code_bits: int, gap: float) -> float:
    return round(brentq(lambda p: capacity_gap(p, data_bits, code_bits) - gap, 1e-7, 0.49), 6)


def measure(coder: BlockCoder, p: float, level: Level, seed: int) -> Measured:
    """Flip bits of stored zeros, decode, count. The decoder is symmetric, so that any other data would do as well."""
    checks, words = Lifted.of(coder), 0
    counts: list[NDArray[np.signedinteger]] = []
    while words < level.words and sum(map(np.count_nonzero, counts)) < level.wrong:
        # The codes of a family see the same errors, as far as they reach: less noise in what tells neighbours apart.
        random = np.random.default_rng(child_seed(seed, coder.data_bits, str(level.gap), words))
        uniform = random.random((coder.code_bits, _CHUNK), dtype=np.float32).T
        flips = uniform < p
        ratios = coder.ratios(torch.from_numpy((2 * flips - 1) * np.float32(math.log((1 - p) / p)))).numpy()
        counts.append(wrong_data(ratios, coder.data_bits, *checks)[0])
        words += _CHUNK
    shares = np.concatenate(counts) / coder.data_bits
    shares = shares[shares > 0]
    share, spread = (shares.mean(), shares.std(ddof=min(1, len(shares) - 1))) if len(shares) else (0.0, 0.0)
    return Measured(p, words, len(shares), round(float(share), 6), round(float(spread), 6))


def simulate(folder: Path, seed: int = SEED) -> BlockCodeTable:
    """Measure every code, a file for each point in `folder`, and put them together.

    Args:
        folder: where finished points lie; those are not done again.
        seed: of the errors.

    Returns:
        The table.
    """
    sizes = list(chain.from_iterable(((bits, length) for length in lengths(bits)) for bits in FAMILIES))
    codes = tuple(_measured(*size, folder, seed) for size in track(sizes, "block codes"))
    return BlockCodeTable(f"sionna-no-rt {version('sionna-no-rt')}, 5G LDPC, at most 60 iterations", seed, codes)


def _measured(data_bits: int, code_bits: int, folder: Path, seed: int) -> MeasuredCode:
    """All points of a code, by ascending error rate."""
    found = []
    for p, level in reversed(points(data_bits, code_bits)):
        path = folder / f"{data_bits}-{code_bits}-{p}.json"
        if not path.exists():
            write_text(path, to_json(measure(BlockCoder(data_bits, code_bits), p, level, seed)))
        found.append(from_json(Measured, path.read_text(), str(path)))
    return MeasuredCode(data_bits, code_bits, tuple(found))


def text_of(table: BlockCodeTable) -> str:
    """The table as JSON, a line for each code."""
    adapter = pydantic.TypeAdapter(BlockCodeTable)
    record = adapter.dump_python(table, mode="json")
    lines = ",\n".join(f"    {json.dumps(code)}" for code in record.pop("codes"))
    head = "".join(f"  {json.dumps(name)}: {json.dumps(value)},\n" for name, value in record.items())
    return f'{{\n{head}  "codes": [\n{lines}\n  ]\n}}\n'


if __name__ == "__main__":
    table = simulate(Path(sys.argv[1] if len(sys.argv) > 1 else "out/block_codes"))
    write_text(Path(protections.__file__).with_name(TABLE), text_of(table))
