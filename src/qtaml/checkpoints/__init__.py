"""Which words does a checkpoint file hold? Quantised networks as they are: their fields, flips and protection."""

from qtaml._kinds import guard_doors
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor
from qtaml.checkpoints.checkpoint_plan import CheckpointPlan, LeftOut
from qtaml.checkpoints.inspection import Inspection, inspect
from qtaml.checkpoints.measured_errors import MeasuredErrors, read_errors
from qtaml.checkpoints.opening import open_checkpoint
from qtaml.checkpoints.protecting import protect
from qtaml.checkpoints.read_checkpoint import ReadCheckpoint
from qtaml.checkpoints.requantised import Requantised, requantised
from qtaml.checkpoints.running_checkpoints import checkpoint_gains, evaluate_reads, field_gains
from qtaml.checkpoints.word_range import WordRange

__all__ = [
    "Checkpoint",
    "CheckpointPlan",
    "CheckpointTensor",
    "Inspection",
    "LeftOut",
    "MeasuredErrors",
    "ReadCheckpoint",
    "Requantised",
    "WordRange",
    "checkpoint_gains",
    "evaluate_reads",
    "field_gains",
    "inspect",
    "open_checkpoint",
    "protect",
    "read_errors",
    "requantised",
]

guard_doors(__name__)
