"""Time the error sampler against the plain reference and a copy, all in one run: python benchmarks/error_masks.py."""

import time

import torch
from rich.console import Console
from rich.table import Table

from qtaml.faults import error_mask

WORDS = 10_000_000


def plain_mask(p: float) -> torch.Tensor:
    """The plain reference: one float32 uniform number for each bit."""
    mask = torch.zeros(WORDS, dtype=torch.uint8)
    for bit in range(8):
        mask |= (torch.rand(WORDS) < p).to(torch.uint8) << bit
    return mask


def seconds(work, repeats: int = 5) -> float:
    """Least time of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print a table: one row for each flip probability."""
    words = torch.zeros(WORDS, dtype=torch.uint8)
    out = torch.empty_like(words)
    copy = seconds(words.clone)
    table = Table(title=f"error masks of {WORDS:,} words of 8 bits, {torch.get_num_threads()} thread(s)")
    for column in ("p", "qtaml", "plain reference", "reference / qtaml", "qtaml / copy"):
        table.add_column(column, justify="right")
    for p in (1e-6, 1e-3, 0.01, 0.1, 0.3):
        mine = seconds(lambda p=p: error_mask((WORDS,), [p] * 8, seed=0, out=out))
        plain = seconds(lambda p=p: plain_mask(p), repeats=3)
        table.add_row(f"{p:g}", f"{mine:.3f} s", f"{plain:.3f} s", f"{plain / mine:.1f}", f"{mine / copy:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
