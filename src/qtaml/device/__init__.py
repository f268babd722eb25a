"""The physics of one memory cell that leaks by quantum tunnelling (NumPy and SciPy only).

Barriers give -ln T, a cell turns it into the probability that its bit is lost within a window, and everything stays in
log space. Units: nm, eV, V/nm, s, K, free-electron masses.
"""

from qtaml._kinds import guard_doors
from qtaml.device.barriers import Barrier, Rectangular, fowler_nordheim_slope, linear_action, linear_action_slope
from qtaml.device.cell import Cell
from qtaml.device.electrodes import (
    WORK_FUNCTIONS,
    Electrode,
    Trapezoid,
    TunnelJunction,
    asymmetry_figure,
    log_asymmetry,
)
from qtaml.device.escape import (
    Regime,
    escape_count,
    log_escape_probability,
    log_exposure,
    log_lost_probability,
    log_lost_probability_poisson,
    log_lost_probability_rare,
    regime,
)
from qtaml.device.failures_in_time import Phase, PhaseFailures, Reliability, read_profile, reliability
from qtaml.device.fit_records import Alternative, GoodnessOfFit, Share
from qtaml.device.flip_probability_map import sweep
from qtaml.device.hardening import (
    Hardening,
    Hardenings,
    faster_refresh,
    graded_barriers,
    graded_refresh,
    larger_cells,
    rare_thickness_step,
    refresh_intervals,
    thicker_barriers,
)
from qtaml.device.image_force import ImageForce, simmons_potential
from qtaml.device.leaks import GateInduced, GateTunnelling, JunctionLeakage, Leak, Subthreshold
from qtaml.device.materials import INSULATORS, Insulator, insulator
from qtaml.device.measured_cell import ExtrapolationWarning, MeasuredCell
from qtaml.device.multilevel import MultiLevelCell, level_labels, level_transition_matrix
from qtaml.device.presets import PRESETS, Preset, cell_and_window, preset, preset_record
from qtaml.device.profiles import Profile
from qtaml.device.retention import RetentionCell
from qtaml.device.retention_data import RetentionData, read_retention
from qtaml.device.retention_fit import fit_retention
from qtaml.device.spread import (
    action_per_nm,
    lognormal_flip_probability,
    lognormal_sigma,
    sample_failure_times,
    sample_thickness,
    static_flip_probabilities,
)
from qtaml.device.stacks import Layer, Stack
from qtaml.device.storage_node import StorageNode
from qtaml.device.thermal import log_arrhenius, log_thermal_factor, thermal_energy
from qtaml.device.traps import Traps, emptied_depth, log_chain_rate, log_two_step_rate
from qtaml.device.two_way_cell import TwoWayCell
from qtaml.device.wells import (
    default_threshold,
    dot_frequency,
    mass_mismatch_prefactor,
    stored_electrons,
    triangular_well_frequency,
    two_band_mass,
)

__all__ = [
    "INSULATORS",
    "PRESETS",
    "WORK_FUNCTIONS",
    "Alternative",
    "Barrier",
    "Cell",
    "Electrode",
    "ExtrapolationWarning",
    "GateInduced",
    "GateTunnelling",
    "GoodnessOfFit",
    "Hardening",
    "Hardenings",
    "ImageForce",
    "Insulator",
    "JunctionLeakage",
    "Layer",
    "Leak",
    "MeasuredCell",
    "MultiLevelCell",
    "Phase",
    "PhaseFailures",
    "Preset",
    "Profile",
    "Rectangular",
    "Regime",
    "Reliability",
    "RetentionCell",
    "RetentionData",
    "Share",
    "Stack",
    "StorageNode",
    "Subthreshold",
    "Trapezoid",
    "Traps",
    "TunnelJunction",
    "TwoWayCell",
    "action_per_nm",
    "asymmetry_figure",
    "cell_and_window",
    "default_threshold",
    "dot_frequency",
    "emptied_depth",
    "escape_count",
    "faster_refresh",
    "fit_retention",
    "fowler_nordheim_slope",
    "graded_barriers",
    "graded_refresh",
    "insulator",
    "larger_cells",
    "level_labels",
    "level_transition_matrix",
    "linear_action",
    "linear_action_slope",
    "log_arrhenius",
    "log_asymmetry",
    "log_chain_rate",
    "log_escape_probability",
    "log_exposure",
    "log_lost_probability",
    "log_lost_probability_poisson",
    "log_lost_probability_rare",
    "log_thermal_factor",
    "log_two_step_rate",
    "lognormal_flip_probability",
    "lognormal_sigma",
    "mass_mismatch_prefactor",
    "preset",
    "preset_record",
    "rare_thickness_step",
    "read_profile",
    "read_retention",
    "refresh_intervals",
    "regime",
    "reliability",
    "sample_failure_times",
    "sample_thickness",
    "simmons_potential",
    "static_flip_probabilities",
    "stored_electrons",
    "sweep",
    "thermal_energy",
    "thicker_barriers",
    "triangular_well_frequency",
    "two_band_mass",
]

guard_doors(__name__)
