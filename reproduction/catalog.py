"""Every table and figure, by name: those of the paper, and those beyond it."""

from typing import Any

from qtaml.laboratory import cells_needed
from reproduction import (
    ablation,
    allocations,
    architectures,
    correction,
    error_law,
    language_model,
    linear_response,
    methods,
    mismatch,
    near_limit,
    other_faults,
    other_memory,
    outside_tables,
    overhead_curve,
    real_codes,
    real_networks,
    refresh_rates,
    remarks,
    rounding,
    saturation,
    scoring,
    training_study,
    transformer,
)
from reproduction.experiment import Experiment

PAPER: dict[str, Experiment[Any]] = {
    "figure1": error_law.FIGURE1,
    "figure2": overhead_curve.FIGURE2,
    "figure3": allocations.FIGURE3,
    "figure4": mismatch.FIGURE4,
    "figure5": architectures.FIGURE5,
    "figure6": transformer.FIGURE6,
    "figure7": other_faults.FIGURE7,
    "figure8": methods.FIGURE8,
    "figure9": scoring.FIGURE9,
    "table1": saturation.TABLE1,
    "table2": overhead_curve.TABLE2,
    "table3": ablation.TABLE3,
    "table4": architectures.TABLE4,
    "table5": architectures.TABLE5,
    "table6": scoring.TABLE6,
    "table7": rounding.TABLE7,
    "table8": saturation.TABLE8,
    "table9": correction.TABLE9,
    "a7": linear_response.A7,
    "remarks": remarks.REMARKS,
}

BEYOND: dict[str, Experiment[Any]] = {
    "storage": Experiment(cells_needed.TITLE, cells_needed.compute, cells_needed.table, cells_needed.draw),
    "near_limit": near_limit.NEAR,
    "other_memory": other_memory.OTHER_MEMORY,
    "real_codes": real_codes.REAL_CODES,
    "language_model": language_model.LANGUAGE_MODEL,
    "real_networks": real_networks.REAL_NETWORKS,
    "refresh_rates": refresh_rates.REFRESH_RATES,
    "training": training_study.TRAINING,
    "outside_tables": outside_tables.OUTSIDE_TABLES,
}

CATALOG = PAPER | BEYOND
