"""Search all the ways to store a network: the least output error within a budget of cells."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.faults import FaultModel
from qtaml.formats import (
    Correction,
    Format,
    Granularity,
    Largest,
    NamedLevels,
    RootMeanSquare,
    Scale,
    Section,
    TensorFormat,
)
from qtaml.model import Batches, aliases, one_batch, private_copy, share_of_numbers, stored_weights
from qtaml.planning.allocation import Choice, Options, allocate, allocated_error, cell_price, error_bound
from qtaml.planning.plan import Plan, TensorPlan, side_cells
from qtaml.planning.settings import Decoding, Design
from qtaml.protections import Decoder, HardenedCell, Protection, pareto_front
from qtaml.search.candidates import (
    Candidate,
    fitted_menu,
    gaussian_menu,
    named_menu,
    normalised,
    plain_menu,
    worthwhile,
)
from qtaml.search.readout import balance_readout
from qtaml.sensitivity import checked_gains, output_range, row_gains, with_floor

_MOST_CELLS = 10.0
"""Cells of the dearest word, in units of a plain one."""
_ROUNDS = 12
_LONGEST_WORDS = (1.0, 2.5)
"""Cells of the dearest words in the plans that are tried besides, in units of a plain one."""
_ROUNDING, _SLACK = 1e-12, 1e-9
"""What a plan may exceed its budget by, and what the allocator may, lest it split over a rounding error."""


@dataclass(frozen=True)
class _Tensor:
    """One tensor and what its weights can be stored as.

    Attributes:
        name: its name.
        scale: what its levels are in units of.
        granularity: one scale for the tensor, for each row, or for each group of so many weights of a row.
        correction: how labels are chosen.
        sizes: weights of the tensor, or of each row.
        importance: output error of each for a mean squared error of 1 in units of its squared scale.
        menu: formats, each dearer and better than the one before.
        cells: cells of a weight in each format, with its share of the table.
        fixed: cells that the tensor takes besides, for scales and the like.
    """

    name: str
    scale: Scale
    granularity: Granularity
    correction: Correction
    sizes: tuple[int, ...]
    importance: tuple[float, ...]
    menu: tuple[Candidate, ...]
    cells: tuple[float, ...]
    fixed: float

    def options(self) -> list[Options]:
        """What each group of weights costs and leaves of output error."""
        errors = [tuple(importance * one.error for one in self.menu) for importance in self.importance]
        return [Options(size, self.cells, error) for size, error in zip(self.sizes, errors, strict=True)]

    def priced(self, price: float) -> float:
        """Least output error plus price of the cells, tables and scales included."""
        best = price * self.fixed
        for option in self.options():
            costs = [
                error + price * option.weights * cells for error, cells in zip(option.errors, option.cells, strict=True)
            ]
            best += min(costs)
        return best

    def storage(self, choices: Sequence[Choice]) -> TensorFormat:
        """How the tensor is stored when its groups get these options."""
        sections = [
            Section(weights, self.menu[index].format)
            for size, choice in zip(self.sizes, choices, strict=True)
            for weights, index in ((choice.upgraded, choice.high), (size - choice.upgraded, choice.low))
            if weights
        ]
        return TensorFormat(tuple(sections), self.scale, self.granularity, self.correction)


class Designer:
    """Plans for one network, one memory and any budget; what is measured of the network is measured once.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs.
        settings: what is asked, but for the goal, which `plan` has.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or nothing can be stored in such a memory.
        ModelError: as `compensate`.
    """

    def __init__(self, model: nn.Module, calibration: Batches, settings: Design) -> None:
        _check_fault(settings.fault)
        self.settings, self.fault, self.bits = settings, settings.fault, settings.bits
        batch = one_batch(calibration)
        self._weights = stored_weights(model, include=settings.include, exclude=settings.exclude)
        self._model, self._calibration = private_copy(model), batch
        passes, seed, floor = settings.passes, settings.seed, settings.unreached_floor
        self._gains = checked_gains(self._model, batch, self._weights, passes=passes, seed=seed, unreached_floor=floor)
        self._outputs = output_range(self._model, batch, self._weights)
        self._covered = share_of_numbers(self._model, self._weights)
        weights = sum(weight.numel() for weight in self._weights.values())
        allowed = _protections(self.fault, settings.decoders, settings.hardened, weights)
        self._fitted = "table" in settings.decoders
        self._candidates = gaussian_menu(allowed, self.fault, _MOST_CELLS * self.bits) if self._fitted else ()
        self._protections = allowed
        self._side_cells = side_cells(self.fault)
        gains = {name: gain.squared for name, gain in self._gains.items()}
        self._by_tensor = {
            name: self._tensor(name, [gains[name]]) if self._fitted else self._plain(name, gains[name])
            for name in track(gains, "fitting levels")
        }
        # Other ways to scale a tensor, or other levels, each by itself the best for some tensor.
        self._others: dict[str, list[_Tensor]] = {name: [] for name in gains}
        if settings.rows:
            # Gains of rows come from backward passes only.
            right = {n: w for n, w in self._weights.items() if self._gains[n].source == "backward passes"}
            of_rows = row_gains(self._model, batch, right, passes=passes, seed=seed) if right else {}
            for name in track([n for n, w in right.items() if w.ndim > 1], "fitting levels of rows"):
                self._others[name].append(self._tensor(name, with_floor(of_rows[name], floor).tolist(), "row"))
        group, levels = settings.group, settings.levels
        further: list[tuple[Granularity, NamedLevels | None]] = []
        if group is not None and self._fitted:
            further.append((group, None))
        further += [(group or "tensor", NamedLevels(one)) for one in levels]
        for name in track(gains, "fitting other levels") if further else ():
            self._others[name] += [self._tensor(name, [gains[name]], *one) for one in further]

    @property
    def plain_cells(self) -> int:
        """Cells of a plain memory of all weights."""
        return self.bits * sum(weight.numel() for weight in self._weights.values())

    def plan(self, cells: float) -> Plan:
        """The plan of the least predicted output error within a budget.

        Args:
            cells: share of a plain memory, above 0.

        Returns:
            The plan.

        Raises:
            ArgumentError: if `cells` is not above 0.
            BudgetError: if the cheapest formats cost more; the message names the least share.
        """
        cells = _checks.positive("cells", cells)
        by_tensor = list(self._by_tensor.values())
        best = self._within(by_tensor, cells)
        # The sum of squares that the allocator sees misses how errors add up, most of all where a tensor is left out
        # altogether. Forward passes tell: other plans are kept where they predict less.
        others = [self._mixed(cells * self.plain_cells)]
        if self._fitted:
            others += [
                _limited(tensors, factor * self.bits, least)
                for tensors in (by_tensor, *others)
                for factor in _LONGEST_WORDS
                for least in (0, 1)
            ]
        tried = [by_tensor]
        for tensors in others:
            if tensors not in tried and _affordable(tensors, cells * self.plain_cells):
                tried.append(tensors)
                best = min(best, self._within(tensors, cells), key=lambda plan: plan.first_order_error or 0.0)
        return best

    def _within(self, tensors: Sequence[_Tensor], cells: float) -> Plan:
        """The best plan within a budget when each tensor has its granularity."""
        options = [option for tensor in tensors for option in tensor.options()]
        most = cells * self.plain_cells - sum(tensor.fixed for tensor in tensors)
        floor = sum(option.weights * option.cells[0] for option in options)
        cheapest = self._plan(tensors, [Choice(0, 0) for _ in options], cells)
        if cheapest.cells > cells * (1 + _ROUNDING):
            least = math.ceil(cheapest.cells * 1e4) / 1e4
            raise BudgetError(
                f"cells must be at least {least:g} for the cheapest formats, got {cells:g}", cheapest.overhead
            )
        best, error = cheapest, sum(option.errors[0] for option in options)
        # What whole tables and code blocks take is known only when the formats are chosen.
        low, high, spent = min(floor, most), most, most * (1 + _SLACK)
        for _ in range(_ROUNDS):
            choices = allocate(options, max(spent, floor), "split")
            plan = self._plan(tensors, choices, cells)
            if plan.cells <= cells * (1 + _ROUNDING):
                best, error, low = plan, sum(map(allocated_error, options, choices)), spent
                if spent >= most:
                    break
            else:
                high = spent
            spent = (low + high) / 2
        bound = error_bound(options, max(most, floor))
        return self._finished(replace(best, allocation_gap=error / bound - 1 if bound > 0 else 0.0))

    def _mixed(self, budget: float) -> list[_Tensor]:
        """Each tensor with the scales and levels that are best at the price of a cell."""
        tensors = list(self._by_tensor.values())
        options = [option for tensor in tensors for option in tensor.options()]
        price = cell_price(options, max(budget, sum(o.weights * o.cells[0] for o in options)))
        return [min((tensor, *self._others[tensor.name]), key=lambda one: one.priced(price)) for tensor in tensors]

    def _plan(self, tensors: Sequence[_Tensor], choices: Sequence[Choice], cells: float) -> Plan:
        others, entries, start = aliases(self._model, list(self._weights)), [], 0
        for tensor in tensors:
            storage = tensor.storage(choices[start : start + len(tensor.sizes)])
            start += len(tensor.sizes)
            entries.append(TensorPlan.of(tensor.name, others[tensor.name], self._weights[tensor.name], storage))
        asked, outputs, covered = self._asked(cells), self._outputs, self._covered
        return Plan(asked, tuple(entries), bits=self.bits, outputs=outputs, covered=covered)

    def _asked(self, cells: float) -> Design:
        return replace(self.settings, cells=cells, error=None, accuracy=None)

    def _finished(self, plan: Plan) -> Plan:
        """The plan with its readout gains and what it predicts."""
        expected: dict[str, torch.Tensor] = {}
        variance: dict[str, float] = {}
        for entry in plan.tensors:
            words, scale = entry.storage.encode(self._weights[entry.name], self.fault)
            expected[entry.name] = entry.storage.read_mean(words, scale, self.fault)
            variance[entry.name] = self._gains[entry.name].squared * entry.storage.summed_variance(
                words, scale, self.fault
            )
        balanced = balance_readout(self._model, self._calibration, expected, variance, adjust=self._fitted)
        entries = [
            replace(
                entry,
                # As it is kept: in 32 bits.
                storage=replace(entry.storage, readout_gain=float(np.float32(balanced.gains[entry.name]))),
                gain=self._gains[entry.name],
                predicted_error=balanced.gains[entry.name] ** 2 * variance[entry.name],
            )
            for entry in plan.tensors
        ]
        return replace(plan, tensors=tuple(entries), predicted_bias=balanced.bias)

    def _plain(self, name: str, gain: float) -> _Tensor:
        """A tensor of evenly spaced levels, of which the most significant bits are protected."""
        weight = self._weights[name]
        menu = plain_menu(weight, self._protections, self.fault, self.bits)
        _, scale, _ = normalised(weight, RootMeanSquare(), "tensor")
        size, cells = weight.numel(), tuple(one.format.cells for one in menu)
        importance = gain * size * float(scale) ** 2
        return _Tensor(name, Largest(), "tensor", "exact", (size,), (importance,), menu, cells, 0.0)

    def _tensor(
        self,
        name: str,
        gains: Sequence[float],
        granularity: Granularity = "tensor",
        named: NamedLevels | None = None,
    ) -> _Tensor:
        """A tensor of fitted levels, or of those of a named table, with a format for each of its gains.

        Args:
            name: its name.
            gains: one for the whole tensor, or one for each of its rows.
            granularity: how many weights share a scale.
            named: the table.
        """
        scale: Scale = Largest() if named else RootMeanSquare()
        relative, scales, counts = normalised(self._weights[name], scale, granularity)
        size, sharing = relative.numel() // len(gains), scales.numel() // len(gains)
        each = zip(
            np.repeat(gains, sharing).tolist(), counts.reshape(-1).tolist(), scales.reshape(-1).tolist(), strict=True
        )
        errors = [gain * count * one**2 for gain, count, one in each]
        importance = tuple(sum(errors[start : start + sharing]) for start in range(0, len(errors), sharing))
        price = self._price(relative.numel())
        if named:
            menu = worthwhile(named_menu(relative, named, self._protections, self.fault), price)
        else:
            menu = worthwhile(fitted_menu(relative, self._candidates, self.fault), price)
        cells, sizes = tuple(price(one.format) for one in menu), (size,) * len(gains)
        fixed = self._side_cells * _least_side_values(scales.numel())
        return _Tensor(name, scale, granularity, "least_error", sizes, importance, menu, cells, fixed)

    def _price(self, weights: int) -> Callable[[Format], float]:
        """Cells of a weight if all of so many are stored in a format, with its share of what the levels need."""
        return lambda fmt: fmt.cells + self._side_cells * fmt.levels.side_values / weights


def _limited(tensors: Sequence[_Tensor], most_cells: float, least_bits: int) -> list[_Tensor]:
    """Tensors whose words take no more than so many cells, and have at least so many bits."""
    limited = []
    for tensor in tensors:
        pairs = zip(tensor.menu, tensor.cells, strict=True)
        kept = [pair for pair in pairs if pair[0].format.cells <= most_cells and pair[0].format.bits >= least_bits]
        menu, cells = zip(*kept, strict=True) if kept else (tensor.menu, tensor.cells)
        limited.append(replace(tensor, menu=tuple(menu), cells=tuple(cells)))
    return limited


def _least_side_values(scales: int) -> int:
    """Scales, two for a readout gain, and length and format of one section."""
    return scales + 4


def _affordable(tensors: Sequence[_Tensor], budget: float) -> bool:
    """Whether the cheapest formats and the scales fit a budget of cells."""
    floor = sum(option.weights * option.cells[0] for tensor in tensors for option in tensor.options())
    return floor + sum(tensor.fixed for tensor in tensors) <= budget


def _check_fault(fault: FaultModel) -> None:
    p01, p10 = fault.mean_rates
    if p01 + p10 >= 1:
        raise ArgumentError(
            f"fault must leave something of what is stored: p01 + p10 must be below 1, got {p01:g} + {p10:g}"
        )


def _protections(
    fault: FaultModel, decoders: Sequence[Decoding], hardened: Sequence[HardenedCell], weights: int
) -> tuple[Protection, ...]:
    allowed: list[Decoder] = ["none", *(one for one in decoders if one != "table")]
    # A block of more bits than there are weights would be stored for the most part empty.
    return pareto_front(*fault.mean_rates, decoders=allowed, hardened=hardened, bits=weights)
