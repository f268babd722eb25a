"""What a weight error does to the output. Knows nothing of faults."""

from qtaml.sensitivity.checked import checked_gains
from qtaml.sensitivity.deviation import output_deviations
from qtaml.sensitivity.gains import Gain, Source, jacobian_gains, row_gains, weight_gains
from qtaml.sensitivity.gradients import gradient_statistics
from qtaml.sensitivity.probes import probe_gains

__all__ = [
    "Gain",
    "Source",
    "checked_gains",
    "gradient_statistics",
    "jacobian_gains",
    "output_deviations",
    "probe_gains",
    "row_gains",
    "weight_gains",
]
