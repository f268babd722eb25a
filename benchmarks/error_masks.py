"""Errors in 10 million stored words: against the plain way in PyTorch, a copy, and one thread."""

from collections.abc import Callable, Sequence
from functools import partial
from unittest.mock import patch

import torch

from benchmarks.harness import Measurement, median_seconds, medians, threads
from qtaml.faults import Asymmetric, Clustered, FaultModel, MultiLevel, Ramp, StaticCells, TensorVariation
from qtaml.sampling import error_mask, flip_asymmetric, sampler
from qtaml.sampling import numpy_kernels as vectorised

PROBABILITIES = (1e-9, 1e-6, 1e-3, 0.01, 0.015, 0.1, 0.4999, 0.5)
TO_A_NEIGHBOUR = 0.05


def plain_mask(words: int, rate: Callable[[int], torch.Tensor | float]) -> torch.Tensor:
    """The plain way: one float32 uniform number for each bit, whose rate is one number, or one for each word."""
    mask = torch.zeros(words, dtype=torch.uint8)
    for bit in range(8):
        mask |= (torch.rand(words) < rate(bit)).to(torch.uint8) << bit
    return mask


def plain_read(words: torch.Tensor, rate: Callable[[int], torch.Tensor | float]) -> torch.Tensor:
    """Words with the errors of a plain mask."""
    return words ^ plain_mask(len(words), rate)


def plain_static_read(words: torch.Tensor, rates: Sequence[float]) -> torch.Tensor:
    """Cells whose class is drawn under a seed of the chip, and looked up."""
    table, chip = torch.tensor(rates), torch.Generator().manual_seed(1)
    return plain_read(words, lambda _: table[torch.randint(len(rates), words.shape, generator=chip)])


def plain_clusters(words: torch.Tensor, p: float, size: int) -> torch.Tensor:
    """One mask for so many words."""
    return words ^ plain_mask(len(words) // size, lambda _: p).repeat_interleave(size)


def plain_levels(words: torch.Tensor, rows: Sequence[Sequence[float]]) -> torch.Tensor:
    """Cells of four bits: the label whose share of [0, 1) holds a uniform number."""
    bounds, read = torch.tensor(rows).cumsum(1), torch.zeros_like(words)
    for first in (0, 4):
        stored, uniform = (words >> first & 15).int(), torch.rand(words.shape)
        label = torch.zeros_like(words)
        for column in bounds.T[:-1]:
            label += uniform >= column[stored]
        read |= label << first
    return read


def neighbour_levels() -> MultiLevel:
    """Cells of 16 levels, each read as either neighbour now and then."""
    p = TO_A_NEIGHBOUR
    rows = [[p * (abs(i - j) == 1) for j in range(16)] for i in range(16)]
    for i, row in enumerate(rows):
        row[i] = 1 - sum(row)
    return MultiLevel((tuple(map(tuple, rows)),))


Read = Callable[[torch.Tensor], torch.Tensor]


def faults() -> dict[str, tuple[FaultModel, Read]]:
    """The fault models timed, by name, each with the plain way to do the same in PyTorch."""
    ramp, few, lognormal = Ramp(0.1), StaticCells((0.0, 0.2)), StaticCells.lognormal(0.1, 1.0, chip=0)
    levels = neighbour_levels()
    return {
        "one rate for each bit (ramp)": (ramp, lambda words: plain_read(words, lambda bit: ramp.rates(8).p01[bit])),
        "asymmetric": (
            Asymmetric(0.02, 0.2),
            lambda words: plain_read(words, lambda bit: torch.where((words >> bit & 1).bool(), 0.2, 0.02)),
        ),
        "clusters of 4": (Clustered(0.1, 4), lambda words: plain_clusters(words, 0.1, 4)),
        "a rate for each tensor": (TensorVariation(0.1, 0.5), lambda words: plain_read(words, lambda _: 0.1)),
        "static cells, 2 classes": (few, lambda words: plain_static_read(words, few.p01)),
        "static cells, 256 lognormal classes": (lognormal, lambda words: plain_static_read(words, lognormal.p01)),
        "multi-level, 4 bits a cell": (levels, lambda words: plain_levels(words, levels.groups[0])),
    }


def measure(quick: bool = False) -> list[Measurement]:
    """Masks at several probabilities, on two threads and in NumPy, words read under each fault model, and on CUDA."""
    size, repetitions = (100_000, 1) if quick else (10_000_000, 5)
    words = torch.randint(0, 256, (size,), dtype=torch.uint8)
    out = torch.empty_like(words)
    rows = []

    def row(what: str, seconds: float, reference: str, reference_seconds: float, note: str = "") -> None:
        rows.append(Measurement("error masks", what, size, "words", seconds, reference, reference_seconds, note))

    def draw(p: float) -> torch.Tensor:
        return error_mask((size,), [p] * 8, seed=0, out=out)

    for p in PROBABILITIES:
        one_draw = partial(draw, p)
        with threads(1):
            plain, copy, one = medians(
                [partial(plain_mask, size, lambda _, p=p: p), words.clone, one_draw], repetitions
            )
            with patch.object(sampler, "kernels", lambda: vectorised):
                numpy = median_seconds(one_draw, repetitions)
        with threads(2):
            two = median_seconds(one_draw, repetitions)
        row(f"p = {p:g}", one, "plain PyTorch", plain, f"{one / copy:.1f} copies")
        row(f"p = {p:g}, in NumPy", numpy, "plain PyTorch", plain)
        row(f"p = {p:g}, 2 threads", two, "1 thread", one)
    for name, (fault, plain_way) in faults().items():
        one_read = partial(fault.corrupt, words, seed=0, place="a")
        with threads(1):
            plain, copy, one = medians([partial(plain_way, words), words.clone, one_read], repetitions)
        with threads(2):
            two = median_seconds(one_read, repetitions)
        row(name, one, "the same in plain PyTorch", plain, f"{one / copy:.1f} copies")
        row(f"{name}, 2 threads", two, "1 thread", one)
    return rows + (on_cuda(quick) if torch.cuda.is_available() else [])


def on_cuda(quick: bool) -> list[Measurement]:
    """Masks and asymmetric errors on a CUDA device by the kernel in Triton, and by PyTorch, next to a copy."""
    size, repetitions = (100_000, 1) if quick else (100_000_000, 5)
    words = torch.randint(0, 256, (size,), dtype=torch.uint8, device="cuda")
    out = torch.empty_like(words)
    reads = {f"p = {p:g}": partial(error_mask, (size,), [p] * 8, seed=0, out=out) for p in PROBABILITIES}
    reads["asymmetric"] = partial(flip_asymmetric, words, [0.02] * 8, [0.2] * 8, seed=0)
    rows = []
    for name, one_read in reads.items():
        for way in ("Triton", "PyTorch") if sampler.fused_kernel("cuda") else ("PyTorch",):
            with patch.object(sampler, "fused_kernel", sampler.fused_kernel if way == "Triton" else lambda _: None):
                copy, drawn = medians([finished(words.clone), finished(one_read)], repetitions)
            note = f"{size / drawn / 1e9:.3g} GB/s, a copy {size / copy / 1e9:.3g} GB/s, {torch.cuda.get_device_name()}"
            what = f"{name}, CUDA, {way}"
            rows.append(Measurement("error masks", what, size, "words", drawn, "a copy", copy, note))
    return rows


def finished(function: Callable[[], object]) -> Callable[[], None]:
    """The same, until the CUDA device is done."""

    def whole() -> None:
        function()
        torch.cuda.synchronize()

    return whole
