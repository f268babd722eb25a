"""Every table and figure that can be reproduced, by name."""

from typing import Any

from qtaml.experiments import allocations, linear_response, methods, rounding, saturation, scoring, transformer
from qtaml.experiments.experiment import Experiment

CATALOG: dict[str, Experiment[Any]] = {
    "figure3": allocations.FIGURE3,
    "figure6": transformer.FIGURE6,
    "figure8": methods.FIGURE8,
    "figure9": scoring.FIGURE9,
    "table1": saturation.TABLE1,
    "table6": scoring.TABLE6,
    "table7": rounding.TABLE7,
    "table8": saturation.TABLE8,
    "a7": linear_response.A7,
}
