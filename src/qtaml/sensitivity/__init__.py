"""What a weight error does to the output. Knows nothing of faults."""

from qtaml._kinds import guard_doors
from qtaml.sensitivity.calibration import Calibration
from qtaml.sensitivity.checked import checked_gains
from qtaml.sensitivity.curvature import Curvature
from qtaml.sensitivity.deviation import MeasuredError, OutputRange, output_deviations, output_range
from qtaml.sensitivity.gains import Gain, Source, averaged_gains, jacobian_gains, row_gains, weight_gains
from qtaml.sensitivity.gradients import gradient_statistics
from qtaml.sensitivity.probes import averaged_probe_gains, probe_gains

__all__ = [
    "Calibration",
    "Curvature",
    "Gain",
    "MeasuredError",
    "OutputRange",
    "Source",
    "averaged_gains",
    "averaged_probe_gains",
    "checked_gains",
    "gradient_statistics",
    "jacobian_gains",
    "output_deviations",
    "output_range",
    "probe_gains",
    "row_gains",
    "weight_gains",
]

guard_doors(__name__)
