"""No test draws unseeded: global generators are seeded by `conftest.py`, and others have a seed of their own."""

import ast
import random
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "reproduction", "benchmarks", "tools", "examples")
UNSEEDED = {"default_rng", "RandomState", "Random", "SeedSequence", "Generator"}
"""Makers of generators that take a seed, or else one of the operating system."""


def draws():
    """A number of each global generator; doctests start from the same state as tests.

    Example:
        >>> draws() == FIRST
        True
    """
    return float(torch.rand(())), np.random.random(), random.random()


FIRST = (
    float(torch.rand((), generator=torch.Generator().manual_seed(0))),
    np.random.RandomState(0).random(),
    random.Random(0).random(),
)
"""What each gives first with seed 0."""


@pytest.fixture(scope="module")
def drawn():
    """What a fixture of the module draws, which is made before anything of a single test."""
    return draws()


@pytest.mark.parametrize("turn", range(2))
def test_every_test_starts_from_the_same_state(turn, drawn):
    """Whatever was drawn before, in this test, in another or in a shared fixture."""
    assert draws() == drawn == FIRST


def calls_without_seed(source: str) -> list[int]:
    """Lines that make a generator without a seed: `default_rng()`, or `Generator()` without `manual_seed`."""
    tree = ast.parse(source)
    seeded = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "manual_seed"
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", None)) in UNSEEDED
        and not node.args
        and not node.keywords
        and id(node) not in seeded
    ]


@pytest.mark.slow
def test_no_generator_is_made_without_a_seed():
    """Such a generator draws from the operating system, which no fixture can seed."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 200
    found = {str(path.relative_to(ROOT)): calls_without_seed(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("np.random.default_rng()", [1]),
        ("from numpy.random import default_rng\ndefault_rng()", [2]),
        ("torch.Generator()", [1]),
        ("torch.Generator().manual_seed(0)", []),
        ("np.random.default_rng(0)", []),
        ("np.random.default_rng(seed=seed)", []),
    ],
)
def test_a_missing_seed_would_be_found(source, lines):
    """In both ways to call it, and no seeded one."""
    assert calls_without_seed(source) == lines
