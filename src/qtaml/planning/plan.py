"""A plan: how every tensor of a network is stored, why, and what that costs."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator
from rich.table import Table

from qtaml import _files, _tables
from qtaml.cost import Contents
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.faults import AnyFault, FaultModel
from qtaml.faults.static_cells import KnownCells
from qtaml.model import output_name
from qtaml.planning.counted import Counted, counted
from qtaml.planning.design_settings import Design
from qtaml.planning.plan_figure import plan_figure
from qtaml.planning.plan_parts import Confirmation, MemberError, TensorPlan
from qtaml.planning.plan_table import plan_rows, plan_table
from qtaml.planning.settings import AnySettings, Tac
from qtaml.planning.side_values import side_storage
from qtaml.sensitivity import MeasuredError, OutputRange, Source
from qtaml.theory.capacity import capacity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VERSION = 3
_LARGE = 0.05
"""Share of the output power from which errors may saturate, and first order predict too much; and share by which
reads have to differ from what is predicted."""
_SMALL = 0.003
"""Share of the output power up to which measured errors are those of first order, on the networks of the paper."""
_COVERED = 0.9
"""Share of a network's numbers below which a plan says what it leaves out."""


def _readable(version: Any) -> Any:
    if isinstance(version, int) and version != _VERSION:
        made, remedy = ("an older", "plan again") if version < _VERSION else ("a newer", "update it")
        raise ValueError(f"must be {_VERSION}, got {version}: the plan was made by {made} qtaml; {remedy}")
    return version


@dataclass(frozen=True)
class Plan(Counted):
    """How a network is stored. With the original weights it determines the stored memory bit for bit.

    Attributes:
        settings: what the method was asked, fault model and seed included.
        tensors: one entry for each stored tensor.
        predicted_bias: predicted mean squared output error from what the expected weights differ from the trained ones;
            None where that was not measured.
        bits: bits of a plain word, in which cells are counted.
        outputs: how large the calibration outputs are, and their error can be; None where that was not measured.
        covered: share of the numbers of the network that the plan stores; None if not known.
        confirmation: of a design for an accuracy.
        measured_error: output error of a few reads on the calibration inputs; None where that was not measured.
        written_for: the memory for which labels are chosen; None for that of the settings.
        reserve: of a plan for several memories, the output error at each of them.
        allocation_gap: predicted output error over the least that any split allocation of the budget reaches, minus 1.
        versions: versions of what made the plan.
        version: version of this record on disk.

    Example:
        >>> from qtaml.formats import Format, Section, TensorFormat
        >>> from qtaml.planning import ByHand
        >>> storage = TensorFormat((Section(6, Format().protect(1)),))
        >>> plan = Plan(ByHand(p=0.1), (TensorPlan("weight", (), (2, 3), "float32", storage),))
        >>> plan.cells, plan.overhead
        (1.125, 0.125)
        >>> Plan.from_json(plan.to_json()) == plan
        True
    """

    # First, so that a plan of another version is told by it.
    version: Annotated[Literal[3], BeforeValidator(_readable)] = field(default=3, kw_only=True)
    settings: AnySettings
    tensors: tuple[TensorPlan, ...]
    allocation_gap: float | None = None
    predicted_bias: float | None = None
    bits: int = 8
    outputs: OutputRange | None = None
    covered: float | None = None
    confirmation: Confirmation | None = None
    measured_error: MeasuredError | None = None
    written_for: AnyFault | None = None
    reserve: tuple[MemberError, ...] = ()
    versions: dict[str, str] = field(default_factory=_files.versions)

    def __post_init__(self) -> None:
        if isinstance(self.settings, Tac | Design) and callable(self.settings.output):
            # A record keeps the name of a function, not the function.
            named = replace(self.settings, output=output_name(self.settings.output))
            object.__setattr__(self, "settings", named)
        names = [name for tensor in self.tensors for name in (tensor.name, *tensor.aliases)]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"tensors must be at least one, each name once, got {names}")
        for tensor in self.tensors:
            if math.prod(tensor.shape) != tensor.storage.weights:
                raise ArgumentError(
                    f"sections of {tensor.name!r} must hold its {math.prod(tensor.shape)} weights, "
                    f"got {tensor.storage.weights}"
                )
            for bits in {section.format.bits for section in tensor.storage.sections} - {0}:
                if not self.fault.holds(bits):
                    raise ArgumentError(f"fault must hold words of {bits} bits for {tensor.name!r}, got {self.fault}")

    @property
    def method(self) -> str:
        """What made the plan, such as "tac" or "uniform_msp"."""
        return self.settings.kind

    @property
    def fault(self) -> AnyFault:
        """The fault model that it expects."""
        return self.settings.fault

    @property
    def expected(self) -> FaultModel:
        """What is expected of the words that are meant to be read, by which labels are chosen.

        Not what the writer of a chip knows of its weak cells, where the plan is for one.
        """
        return self.known_cells or self.written_for or self.fault

    @property
    def known_cells(self) -> KnownCells | None:
        """What a writer with a map of each chip's weak cells knows; None if the plan is for one without."""
        return self.settings.known_cells if isinstance(self.settings, Design) else None

    @property
    def of_written(self) -> FaultModel:
        """What is expected of the words that are written, on the chip for which they are."""
        return self.known_cells.as_written if self.known_cells else self.fault

    @property
    def by_chip(self) -> bool:
        """Whether the words are to be written for each chip, by a writer with a map of its weak cells."""
        return self.known_cells is not None

    @property
    def map_reads(self) -> int:
        """Reads of each pattern from which that map is made."""
        return self.known_cells.reads if self.known_cells else 1

    @property
    def cell_capacity(self) -> float:
        """Bits that a raw cell carries at most, by codes of any length: more where the writer has a map.

        Then it is that of a reader with the map too, which is reached where nothing else fails (theory.md 6.9).
        """
        if self.known_cells is None:
            return capacity(*self.fault.mean_rates)
        return sum(share * capacity(p01, p10) for share, p01, p10 in self.known_cells.kinds)

    @property
    def weights(self) -> int:
        """Number of stored weights."""
        return sum(tensor.storage.weights for tensor in self.tensors)

    @property
    def contents(self) -> Contents:
        """What it puts into the memory, counted for `qtaml.cost`."""
        return counted([one.storage for one in self.tensors], self._side_storage(self.side_values), self.bits)

    @property
    def spent(self) -> float:
        """What its budget counts: `cells`, or `refreshes` where these are the price of the design."""
        by_refreshes = isinstance(self.settings, Design) and self.settings.price == "refreshes"
        return self.refreshes if by_refreshes else self.cells

    @property
    def side_values(self) -> int:
        """Numbers of 16 bits that reading the network needs beside the words; tables that tensors share count once."""
        return sum(tensor.side_values for tensor in self.tensors) - self._shared_values

    @property
    def _shared_values(self) -> int:
        """Values of tables of trellises that several tensors share: a reader needs them once."""
        used = Counter(one for tensor in self.tensors for one in tensor.storage.levels if one.window > 1)
        return sum((tensors - 1) * levels.side_values for levels, tensors in used.items())

    @property
    def cells_with_map(self) -> float:
        """`cells`, with the scales and the map of protected bits that the paper counts as free."""
        values = [(one.side_values, one.storage.side_values(one.shape, map_is_free=False)) for one in self.tensors]
        free, all_values = (sum(column) for column in zip(*values, strict=True))
        more = self.side_cells(all_values - self._shared_values) - self.side_cells(free - self._shared_values)
        return self.cells + more / (self.bits * self.weights)

    @property
    def side_price(self) -> float:
        """Cells of one of its side values; 0 if there are none."""
        return self.side_cells(self.side_values) / max(self.side_values, 1)

    def side_cells(self, values: int) -> float:
        """Memory cells of so many side values, by what the settings allow to read; of the paper, by an ideal code."""
        return self._side_storage(values)[0]

    def _side_storage(self, values: int) -> tuple[float, float]:
        """Cells and refreshes of so many side values."""
        if isinstance(self.settings, Design):
            asked = self.settings
            return side_storage(
                asked.known_cells or self.fault, values, tuple(asked.decoders), tuple(asked.hardened), asked.price
            )
        return side_storage(self.fault, values, ("ideal",))

    @property
    def predicted_error(self) -> float | None:
        """Predicted mean squared output error: `first_order_error`, or the most that there can be if that is less.

        Where reads on the calibration inputs differ from it by more than three standard errors, what they gave. Small
        errors are not corrected downwards: reads that happened to meet none of rare, large errors tell nothing. Of
        streams that are fed back around the weak cells of each chip, what reads gave: no sum over tensors knows that.
        """
        error, measured = self.first_order_error, self.measured_error
        if measured is not None and self.by_chip and self.fed_back:
            return measured.mean
        if measured is not None and error is not None:
            away = measured.mean - error
            # Reads that are all alike met none of the errors that are rare.
            large = self.outputs is not None and error > _LARGE * self.outputs.power and measured.standard_error > 0
            if abs(away) > max(3 * measured.standard_error, _LARGE * error) and (away > 0 or large):
                return measured.mean
        error, bound = self.first_order_error, self.outputs.bound if self.outputs else None
        return error if error is None or bound is None else min(error, bound)

    @property
    def first_order_error(self) -> float | None:
        """Mean squared output error from variances, by the gains, and from the bias; None without gains."""
        noise = self.noise_error
        return None if noise is None else noise + (self.predicted_bias or 0.0)

    @property
    def noise_error(self) -> float | None:
        """The part of `first_order_error` that differs from read to read, the sum over the tensors."""
        errors = [tensor.predicted_error for tensor in self.tensors if tensor.predicted_error is not None]
        return sum(errors) if len(errors) == len(self.tensors) else None

    @property
    def unreached(self) -> tuple[str, ...]:
        """Tensors that no calibration sample reaches: their gains are taken from the others."""
        return self._with_source("not reached")

    def _with_source(self, source: Source) -> tuple[str, ...]:
        return tuple(one.name for one in self.tensors if one.gain and one.gain.source == source)

    @property
    def fed_back(self) -> tuple[str, ...]:
        """Tensors whose rounding errors are fed back: what their words are depends on the calibration inputs."""
        return tuple(one.name for one in self.tensors if one.storage.correction == "fed_back")

    def without_feedback(self) -> "Plan":
        """The plan with labels that hang on no calibration inputs."""
        tensors = (replace(one, storage=one.storage.without_feedback()) for one in self.tensors)
        settings = replace(self.settings, feedback=False) if isinstance(self.settings, Design) else self.settings
        return replace(self, tensors=tuple(tensors), settings=settings)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What one should know of the plan before one trusts it, in sentences."""
        remarks = []
        if self.confirmation is not None and isinstance(self.settings, Design):
            remarks.append(_confirmed(self.confirmation, self.settings))
        if self.known_cells is not None:
            remarks.append(_written_by_chip(self.known_cells))
        if self.covered is not None and self.covered < _COVERED:
            remarks.append(
                f"The plan stores {self.covered:.1%} of the network's numbers; the others are kept without errors."
            )
        if forward := self._with_source("forward passes"):
            gradients = any(one.gain and one.gain.source == "backward passes" for one in self.tensors)
            told = f"The backward pass is not the derivative of the forward pass for {', '.join(forward)}"
            remarks.append(
                f"{told if gradients else 'The network has no gradients, or wrong ones'}: measured by forward passes."
            )
        if self.unreached:
            remarks.append(
                f"No calibration sample reaches {', '.join(self.unreached)}: they count as others do (unreached_floor)."
            )
        for one in self.tensors:
            rows, left = one.shape[0], one.gain.unreached_rows if one.gain else 0
            if left > (1 - _COVERED) * rows:
                remarks.append(
                    f"No calibration sample reaches {left} of {rows} rows of {one.name}: what is predicted says "
                    "nothing of inputs that do."
                )
        if self.fed_back:
            remarks.append("Rounding errors are fed back, so `store` needs the calibration inputs.")
        elif isinstance(self.settings, Design) and self.settings.feedback:
            remarks.append(
                "Rounding errors are not fed back: the plan without is better, or no layer shows what comes in and out."
            )
        if self.reserve:
            errors = ", ".join(f"{one.error.mean:.3g} at {one.fault}" for one in self.reserve)
            remarks.append(f"Planned for all of {len(self.reserve)} memories; output error {errors}.")
        if erased := [one.name for one in self.tensors if not one.storage.bits]:
            remarks.append(f"Of {', '.join(erased)} nothing is stored but the mean: the budget holds no more.")
        if self.outputs and self.outputs.rows is not None:
            remarks.append(
                f"Outputs have {self.outputs.rows} rows, and no input has as many. Each row counts as a sample; if "
                "rows are not samples, predicted errors are of another scale: samples come first in inputs and outputs."
            )
        sections = (section for tensor in self.tensors for section in tensor.storage.sections)
        if any(one.kind == "block_code" for section in sections for one in section.format.protections):
            remarks.append(
                "Behind block codes the plan reckons with upper bounds (95%) of the error rates; reads draw estimates."
            )
        if self.outputs and (self.first_order_error or 0.0) > self.outputs.power:
            remarks.append(
                f"Outputs have a mean square of {self.outputs.power:.4g}; their predicted error is not smaller, where "
                "first order has ended: measure it."
            )
        return tuple(remarks)

    def to_json(self) -> str:
        """The plan as JSON."""
        return _files.to_json(self)

    @staticmethod
    def from_json(text: str, source: str = "the text") -> "Plan":
        """The plan that a JSON text holds.

        Raises:
            StoredFileError: if the text is not a plan.
        """
        return _files.from_json(Plan, text, source)

    def save(self, path: str | Path) -> None:
        """Write the plan as a JSON file, atomically."""
        _files.write_text(path, self.to_json())

    @staticmethod
    def load(path: str | Path) -> "Plan":
        """Read a plan from a JSON file.

        Raises:
            StoredFileError: if the file cannot be read or is not a plan.
        """
        data = _files.read_bytes(Path(path))
        try:
            return Plan.from_json(data.decode(), str(path))
        except UnicodeDecodeError as error:
            raise StoredFileError(f"{path} is not a valid Plan: it is not text") from error

    def __str__(self) -> str:
        """The plan as a table, one row for each tensor."""
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(self) -> "Figure":
        """Cells of a weight, and share of the predicted output error, tensor by tensor (needs `qtaml[plot]`).

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        return plan_figure([(row["tensor"], row["cells"] / row["weights"], row["error_share"]) for row in self._rows()])

    def to_pandas(self) -> Any:
        """A data frame with a row for each tensor: sizes, protection, gain, share of the predicted error, cells.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame(self._rows())

    def table(self) -> Table:
        """The plan as a rich table, one row for each tensor."""
        caption = f"{self.fault}; overhead {self.overhead:.2%}, cells {self.cells:.4f} of a plain memory"
        if self.refreshes != self.cells:
            caption += f", refreshes {self.refreshes:.4f}"
        if self.cells_with_map > self.cells:
            caption += f"; {self.cells_with_map:.4f} with the map of protected bits, which the paper counts as free"
        if self.predicted_bias and self.first_order_error:
            caption += f"; bias, which no tensor's share counts, is {self.predicted_bias / self.first_order_error:.1%} "
            caption += "of the predicted error"
        return plan_table(self.tensors, self._rows(), f"plan: {self.method}", "\n".join((caption, *self.remarks)))

    def _rows(self) -> list[dict[str, Any]]:
        return plan_rows(self.tensors, self.noise_error, self.side_price)


def _confirmed(found: Confirmation, asked: Design) -> str:
    sure = f"with {found.confidence:.0%} confidence, by {found.trials} reads"
    if found.chips is None:
        return f"The metric is at least {asked.accuracy:g} on average, {sure} that had no part in the search."
    return (
        f"At least {asked.chips:.6g} of the chips reach {asked.accuracy:g}, {sure} of each of {found.chips} chips that "
        f"had no part in the search; {found.good} of them do."
    )


def _written_by_chip(known: KnownCells) -> str:
    low, high = known.held_at
    return (
        f"Each chip is to be written with a map of its weak cells (store with weak_cells, `qtaml rewrite`): "
        f"{low + high + known.turned:.3g} of the cells are in it, and {sum(known.left) / 2:.2g} of the bits are still "
        "read wrong. Without the map the network is not as predicted."
    )


def measured_mean(plan: Plan) -> float:
    """What reads gave, to choose between plans; infinite where there were none."""
    return plan.measured_error.mean if plan.measured_error else math.inf


def is_small(plan: Plan) -> bool:
    """Whether the predicted output error is so small that gains at the trained weights hold."""
    power = plan.outputs.power if plan.outputs else 0.0
    return (plan.first_order_error or 0.0) <= _SMALL * power
