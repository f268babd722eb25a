"""`import qtaml` is quick and leaves the process as it was."""

import json
import subprocess
import sys
from typing import Any

import pytest

import qtaml

HEAVY = ("scipy.stats", "scipy.optimize", "scipy.sparse", "networkx", "numba", "matplotlib", "transformers", "sklearn")
COMPILER = "torch._dynamo"
PROBE = """
import json, random, sys, warnings
import numpy, torch

def probe():
    states = random.getstate(), numpy.random.get_state(), torch.random.get_rng_state().tolist()
    return {"states": repr(states), "filters": repr(warnings.filters), "modules": list(sys.modules)}

found = [probe()]
import qtaml
found.append(probe())
for name in qtaml.__all__:
    getattr(qtaml, name)
found.append(probe())
qtaml.model.operations(torch.nn.Linear(2, 2), torch.zeros(2, 2))
found.append(probe())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """What a process sees before `import qtaml`, after it, and once every room is opened and operations are counted."""
    output = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    return json.loads(output)


@pytest.mark.slow
def test_it_imports_nothing_heavy(found):
    """Nor does any room; the rest of SciPy and pydantic wait until one is opened."""
    _, imported, opened, counted = found
    assert not {"scipy", "pydantic", *HEAVY} & set(imported["modules"])
    assert not {COMPILER, *HEAVY} & set(opened["modules"])
    # `FlopCounterMode` of PyTorch does, in the midst of a design.
    assert COMPILER not in counted["modules"]
    assert {f"qtaml.{room}" for room in ("device", "memory", "search")} <= set(opened["modules"])


def test_random_numbers_of_the_caller_are_left_alone(found):
    """The states of `random`, NumPy and torch, also when every room is opened."""
    before, imported, opened, _ = found
    assert before["states"] == imported["states"] == opened["states"]


def test_no_warning_filter_is_added(found):
    """What the caller has asked to see, or not to see, stays."""
    before, imported, _, _ = found
    assert imported["filters"] == before["filters"]


def test_all_names_are_there_and_no_other():
    """Those that `dir` lists, each from the room that defines it."""
    assert {name for name in dir(qtaml) if not name.startswith("__")} == set(qtaml.__all__)
    assert not hasattr(qtaml, "random")
    assert all(getattr(qtaml, name).__name__.endswith(name) for name in qtaml.__all__)
    with pytest.raises(AttributeError, match="module 'qtaml' has no attribute 'no_room'"):
        qtaml.no_room  # noqa: B018
