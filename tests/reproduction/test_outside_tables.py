"""Claims of others: the exact error of words, and verdicts from rows."""

import numpy as np
import pytest
import torch
from torch import nn

from qtaml.measuring import Estimate
from reproduction.outside_tables import Row
from reproduction.outside_tables_page import page
from reproduction.word_formats import WordMemory

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

MANIFEST = {"training_seeds": (0, 1), "trials": 15, "seed": 0}


def _row(study, network, storage, p, accuracy, clean=0.98, error=None):
    return Row(
        study, network, storage, p, Estimate(accuracy, accuracy - 0.01, accuracy + 0.01, "trainings"), clean, error
    )


@pytest.mark.parametrize("name", ["FP8 E4M3", "INT8", "INT4"])
def test_the_expected_error_of_words_is_that_of_reads(name):
    """3000 weights, read 60 times: within four standard errors."""
    torch.manual_seed(0)
    model = nn.Linear(60, 50)
    memory = WordMemory(model, name, 0.02)
    clean = WordMemory(model, name, 0.0).read(0)["weight"]
    squares = [float(((memory.read(seed)["weight"] - clean) ** 2).sum()) for seed in range(60)]
    relative = np.array(squares) / float((model.weight.detach().double() ** 2).sum())
    assert abs(relative.mean() - memory.error()) < 4 * relative.std(ddof=1) / np.sqrt(60)


def test_a_float_word_as_it_is_may_be_read_as_the_largest_number():
    """BF16 at p = 0.1: infinity and NaN are none of what is read."""
    torch.manual_seed(0)
    read = WordMemory(nn.Linear(60, 50), "BF16", 0.1).read(0)["weight"]
    assert torch.isfinite(read).all()
    assert read.abs().max() > 1e30


def test_verdicts_follow_from_the_rows():
    """Better everywhere holds, worse everywhere does not, and what no interval tells apart is not measured."""
    rows = [
        *(_row("training", "convolutions", name, 0.05, a, clean) for name, a, clean in
          [("plain", 0.5, 0.98), ("clipped", 0.8, 0.97), ("RandBET", 0.79, 0.90)]),
        _row("stuck cells", "residual", "as they are", 0.0390625, 0.9),
        _row("stuck cells", "residual", "nearest reading", 0.0390625, 0.5),
    ]  # fmt: skip
    lines = page(rows, MANIFEST, "picture.png").splitlines()

    def verdict(start):
        return next(line for line in lines if line.startswith(f"| {start}")).split("**")[1]

    assert verdict("Weight clipping alone") == "holds"
    assert verdict("Random bit errors in training") == "not measured"
    assert verdict("At most 1%") == "does not hold"
    assert verdict("Nearest words") == "does not hold"
    assert verdict("At a fault rate of 0.04") == "not comparable"
    assert verdict("Lower precision") == "not measured"
    assert "| clipped | 80.0 [79.0, 81.0] |" in lines
    assert any("2 trainings and 15 reads (for stuck cells 5 chips)" in line for line in lines)
