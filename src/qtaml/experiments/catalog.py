"""Every table and figure that can be reproduced, by name."""

from typing import Any

from qtaml.experiments import methods
from qtaml.experiments.experiment import Experiment

CATALOG: dict[str, Experiment[Any]] = {
    "figure8": methods.FIGURE8,
}
