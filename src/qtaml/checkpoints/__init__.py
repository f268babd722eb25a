"""Which words does a checkpoint file hold? Quantised networks as they are: their fields, flips and protection."""

from qtaml._kinds import guard_doors
from qtaml.checkpoints.checkpoint import Checkpoint, CheckpointTensor
from qtaml.checkpoints.inspection import Inspection, inspect
from qtaml.checkpoints.opening import open_checkpoint

__all__ = ["Checkpoint", "CheckpointTensor", "Inspection", "inspect", "open_checkpoint"]

guard_doors(__name__)
