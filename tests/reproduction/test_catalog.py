"""Every experiment of the catalog, at a tiny size through the same code."""

import json
import math

import pytest

from qtaml.laboratory import cells_needed
from qtaml.laboratory.result_file import flat_row, save_result
from qtaml.showing import save_figure
from reproduction.catalog import CATALOG
from reproduction.results import load_results
from tests.tables import shown

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

METHODS = ("TAC, ideal code", cells_needed.EVERYTHING)
TINY = {
    "figure1": {"draws": 1000},
    "figure2": {"overheads": (0.05,), "probabilities": (0.02, 0.1)},
    "figure3": {"overheads": (0.02, 0.125)},
    "figure4": {"probabilities": (0.05, 0.1)},
    "figure5": {"networks": ("SmallCNN",), "overheads": (0.01, 0.125), "resolution": 1.5},
    "figure6": {"overheads": (0.125, 0.25), "uniform_bits": (2,), "shown_overhead": 0.25},
    "figure7": {"faults": ("uniform, as planned", "clusters of 4", "tensors vary, sigma 0.5")},
    "figure8": {"overheads": (0.05,)},
    "figure9": {"overheads": (0.125,)},
    "table1": {"networks": ("SmallCNN",), "overheads": (0.125,)},
    "table2": {"overheads": (0.0, 0.05, 0.125)},
    "table3": {"probabilities": (0.1,)},
    "table4": {"networks": ("SmallCNN",)},
    "table5": {"networks": ("SmallCNN",), "resolution": 1.5},
    "table6": {"repetitions": 2},
    "table7": {"tensors": (2, 3), "networks": 10, "integer_networks": 3},
    "table8": {"networks": ("SmallCNN",), "overheads": (0.125,)},
    "table9": {"networks": ("SmallCNN",), "overheads": (0.03,)},
    "other_memory": {"memories": ("twice p", "clusters of 4")},
    "storage": {
        "networks": ("SmallCNN",),
        "cells": (0.4, 1.0, 1.25),
        "methods": ("TAC, ideal code", cells_needed.EVERYTHING),
    },
    "near_limit": {"studies": {"SmallCNN": {cells_needed.EVERYTHING: (0.3,), cells_needed.KNOWN_CELLS: (0.5,)}}},
    "real_codes": {"networks": ("SmallCNN",), "cells": (0.5,)},
    "language_model": {
        "cells": (1.0,),
        "plain_cells": (1.125,),
        "methods": ("Uniform-MSP, ideal code", "TAC, ideal code", "design, table and majority"),
    },
    "real_networks": {
        "networks": ("all-MiniLM-L6-v2", "CREPE tiny"),
        "probabilities": (0.01,),
        "methods": ("Uniform-MSP, ideal code", "TAC, ideal code", "design, table and majority"),
        "cells": (1.0,),
        "plain_cells": (1.125,),
    },
    "refresh_rates": {
        "networks": ("SmallCNN",),
        "plain_rates": (1.8,),
        "common_rates": (1.5,),
        "cells": (0.2,),
        "budgets": (0.3,),
    },
    "training": {
        "networks": ("SmallCNN",),
        "stored": ("plain words",),
        "trainings": ("none", "Gaussian", "law, no labels", "RandBET"),
        "epochs": 1,
    },
    "outside_tables": {
        "networks": ("residual",),
        "shapes": ("dense 2, tanh",),
        "probabilities": (1e-3,),
        "curve": (0.02,),
        "stuck": (10,),
        "epochs": 1,
    },
    "a7": {"epsilons": (0.001, 0.1), "probes": 2, "networks": ("SmallCNN",), "probabilities": (0.01,)},
    "remarks": {"overheads": (0.05,), "tensors": (2,), "random_networks": 3, "chips": 2},
}
"""Arguments of each experiment that make it small."""


def test_every_experiment_has_a_tiny_size():
    """A new experiment gets a line in `TINY`, or is not tried here."""
    assert TINY.keys() == CATALOG.keys()


LONG = {
    "figure6",
    "figure9",
    "language_model",
    "near_limit",
    "other_memory",
    "real_codes",
    "refresh_rates",
    "storage",
    "table6",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in CATALOG]
)
def test_an_experiment_runs_end_to_end(name, laboratory, tmp_path):
    """On disk rows are flat, read back as they were; intervals hold estimates; table and picture are made."""
    experiment = CATALOG[name]
    rows = experiment.compute(laboratory, **TINY[name])
    assert rows
    save_result(tmp_path / f"{name}.json", experiment.title, rows, laboratory.manifest())
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result.keys() == {"title", "rows", "manifest"}
    loaded = load_results(tmp_path, [name])[name].rows
    assert [type(row) for row in loaded] == [type(row) for row in rows]
    assert [flat_row(row) for row in loaded] == result["rows"]
    for row in result["rows"]:
        for field, value in row.items():
            assert value is None or isinstance(value, str | int | float), field
            assert not isinstance(value, float) or math.isfinite(value), field
        for estimate in (field.removesuffix("_low") for field in row if field.endswith("_low")):
            low, value, high = (row[f"{estimate}{end}"] for end in ("_low", "", "_high"))
            if value is None:
                assert low is None
                assert high is None
            else:
                assert low <= value <= high, estimate
    assert len(shown(experiment.table(rows)).splitlines()) > 5
    assert (experiment.draw is None) == name.startswith(("table", "remarks"))
    if experiment.draw is not None:
        assert save_figure(experiment.draw(rows), tmp_path / "figure.png").stat().st_size > 10_000
