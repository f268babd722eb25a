"""The error of a stored checkpoint, measured by reads, beside the predicted one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import Checkpoint
from qtaml.checkpoints.checkpoint_plan import CheckpointPlan
from qtaml.checkpoints.read_checkpoint import ReadCheckpoint
from qtaml.measuring import Estimate, positive_interval


@dataclass(frozen=True)
class MeasuredErrors:
    """Relative squared errors of the weights of a stored checkpoint, as reads give them.

    Attributes:
        predicted: by the plan, of all tensors together.
        error: of all tensors together, mean over reads.
        tensors: predicted and measured error of each tensor.
        reads: how many.
    """

    predicted: float
    error: Estimate
    tensors: Mapping[str, tuple[float, Estimate]]
    reads: int

    def to_json(self) -> str:
        """As indented JSON."""
        return _files.to_json(self)

    def __str__(self) -> str:
        """As a table of plain text."""
        return _tables.as_text(self.table())

    def table(self) -> Table:
        """As a rich table, the tensors of the largest errors first."""
        table = _tables.captioned_table(
            f"relative error {self.error:.3g} over {self.reads} reads, predicted {self.predicted:.3g}",
            "squared errors of the weights over their squares; intervals for other reads",
        )
        for column in ("tensor", "predicted", "measured"):
            table.add_column(column, justify="left" if column == "tensor" else "right")
        for name, (predicted, measured) in sorted(self.tensors.items(), key=lambda one: -one[1][0])[:_SHOWN]:
            table.add_row(name, f"{predicted:.3g}", measured.caution or f"{measured:.3g}")
        return table


_SHOWN = 20


def read_errors(checkpoint: Checkpoint, plan: CheckpointPlan, *, reads: int = 10, seed: int = 0) -> MeasuredErrors:
    """Read a stored checkpoint some times, whole, and compare its weights with the stored ones.

    Where much of the expected error is that of rare, large ones, few reads meet none: the mean of few reads is then
    mostly far below the expected error, and their interval does not show it.

    Args:
        checkpoint: the file.
        plan: how it is stored.
        reads: how many, at least 2.
        seed: the same seed gives the same reads.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        StoredFileError: if the plan is for another checkpoint, or the file has changed.
    """
    _checks.integer("reads", reads, 2)
    found = [
        ReadCheckpoint(checkpoint, plan, child_seed(seed, "read", number)).relative_errors()
        for number in track(range(reads), "reads")
    ]
    whole = [
        sum(one.importance * errors[one.name] for one in plan.tensors)
        + _alone(checkpoint, plan, child_seed(seed, "read", number))
        for number, errors in enumerate(found)
    ]
    of_each = {one.name: (one.error, _interval([errors[one.name] for errors in found])) for one in plan.tensors}
    return MeasuredErrors(plan.error, _interval(whole), of_each, reads)


def _alone(checkpoint: Checkpoint, plan: CheckpointPlan, seed: int) -> float:
    """What errors of fields with a gain of their own make alone in a read, as it counts."""
    own = [(one.name, field) for one in plan.tensors for field in one.fields if field.alone is not None]
    return sum(
        field.alone.importance * ReadCheckpoint(checkpoint, plan, seed, (name,), field.name).relative_errors()[name]
        for name, field in own
        if field.alone is not None
    )


def _interval(values: Sequence[float]) -> Estimate:
    estimate = replace(positive_interval(values), covers="reads")
    # Rare errors that no read met have no interval: one of no width would say that there are none.
    return estimate if any(values) else replace(estimate, caution="no read met an error")
