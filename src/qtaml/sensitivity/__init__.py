"""What a weight error does to the output. Knows nothing of faults."""

from qtaml._kinds import guard_doors
from qtaml.sensitivity.checked import checked_gains
from qtaml.sensitivity.deviation import OutputRange, output_deviations, output_range
from qtaml.sensitivity.gains import Gain, Source, jacobian_gains, row_gains, weight_gains, with_floor
from qtaml.sensitivity.gradients import gradient_statistics
from qtaml.sensitivity.probes import probe_gains

__all__ = [
    "Gain",
    "OutputRange",
    "Source",
    "checked_gains",
    "gradient_statistics",
    "jacobian_gains",
    "output_deviations",
    "output_range",
    "probe_gains",
    "row_gains",
    "weight_gains",
    "with_floor",
]

guard_doors(__name__)
