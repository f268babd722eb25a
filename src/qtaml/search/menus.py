"""What each tensor of a network can be stored as, at which price and with which error."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats import (
    Format,
    Granularity,
    Largest,
    NamedLevels,
    Outliers,
    RootMeanSquare,
    Scale,
    TensorFormat,
)
from qtaml.formats.levels import LARGEST_WINDOW_BITS
from qtaml.formats.outliers import outlier_values
from qtaml.planning.design_settings import Decoding, Design
from qtaml.planning.side_values import side_cells
from qtaml.protections import Decoder, HardenedCell, Protection, pareto_front
from qtaml.search.candidates import (
    POINTS,
    Candidate,
    efficient,
    fitted_menu,
    named_menu,
    normalised,
    plain_menu,
    worthwhile,
)
from qtaml.search.entropy_menu import entropy_menu
from qtaml.search.gaussian_menu import gaussian_menu, only_behind
from qtaml.search.histogram import Histogram
from qtaml.search.mapped_weights import assessed, fitted_known, known_menu
from qtaml.search.tensor_menu import TensorMenu
from qtaml.search.trellis_menu import assessed_trellis, fitted_trellises, trellis_menu, widened_trellis
from qtaml.sensitivity import Calibration
from qtaml.sensitivity.gains import squared_norm
from qtaml.theory.capacity import capacity

_SMALL = 2**12
"""Weights of a tensor up to which evenly spaced levels without a table are among the choices."""
_FEW_BLOCKS, _MANY_BLOCKS = 2**14, 2**18
"""Weights of a network up to which blocks of codes are tried without, and up to which shorter ones are tried."""
_BLOCKS_ALONE = 32
"""Blocks that the weights of a network would fill, below which plans with only one long code are among the choices."""
_SHORT = 32
"""Weights of a network for each data bit of a shorter block."""
_SAMPLE = 2**14
"""Weights to which tables of trellises are fitted, and for which a trellis is assessed."""
_LEAST = 2**13
"""Weights of a network that may pay for the table of a trellis."""
_WINDOWS = 8
"""Least words of a tensor for a trellis, in windows."""
_LARGE, _MANY_TERMS = 2**17, 2**8
"""Weights of a network for which tables of more terms are among the choices, and so many."""
_WIDEST = 2**22
"""Weights of a network up to which windows are as wide as they may be; the time to write doubles with each bit."""
_USUAL_VALUES = 20
"""Side values of a tensor, about: for their price."""
_EACH_OUTLIER, _LEAST_OUTLIERS, _MOST_OUTLIER_BITS = 2**10, 8, 0.3
"""One weight of so many may be kept beside the words, if these are so many at least, for so many bits a weight at most.
In six tensors of all-MiniLM-L6-v2, at 3 and 4 bits, that saves 0.02 to 0.57 bits a weight, its cost counted; the best
number, between 1 in 1000 and 1 in 250, 0.03 more at most."""
_MOST_CELLS = 10.0
"""Cells of the dearest word, in units of a plain one."""


class Menus:
    """The menus of the tensors of a network under one fault model.

    Args:
        calibration: what was measured of the network.
        settings: what is asked, but for the goal.

    Raises:
        ArgumentError: if nothing can be stored in such a memory.
    """

    def __init__(self, calibration: Calibration, settings: Design) -> None:
        _check_fault(settings.fault)
        self._calibration, self._settings, self._known = calibration, settings, settings.known_cells
        self._fault: FaultModel = self._known or settings.fault
        weights = sum(weight.numel() for weight in calibration.weights.values())
        self._protections = _protections(settings.fault, settings.decoders, settings.hardened, weights)
        self.fitted = "table" in settings.decoders
        most_cells = _MOST_CELLS * settings.bits
        self._weights = weights
        alone = self._alone(efficient(self._protections, self._fault)) if self.fitted and not self._known else ()
        self._candidates = self._words(self._protections, most_cells, alone) if self.fitted else ()
        self._of_first: dict[str, list[Candidate]] = {}
        # A small network pays for what its blocks leave empty, which the prices of bits do not show.
        decoders = [one for one in settings.decoders if one != "iterative" or weights > _FEW_BLOCKS]
        shorter = _protections(settings.fault, decoders, settings.hardened, max(weights // _SHORT, 1))
        self._fewer_protections = shorter
        few = self.fitted and weights <= _MANY_BLOCKS and shorter != self._protections
        self._shorter = self._words(shorter, most_cells) if few else ()
        # The price of a value hardly depends on their number, which is known only when there is a plan.
        values = _USUAL_VALUES * len(calibration.weights)
        beside = side_cells(self._fault, values, tuple(settings.decoders), tuple(settings.hardened))
        self._side_cells = beside / values
        trellis = "trellis" in settings.decoders
        self._pooled = pooled = _pooled(calibration.weights) if trellis else np.zeros(0)
        self._widened: dict[Format, Format] = {}
        self._fits: dict[Format, tuple[Format, ...]] = {}
        self._trellises = self._fitted_trellises(self._protections, pooled, most_cells)
        self._shorter_trellises = self._fitted_trellises(shorter, pooled, most_cells) if few else ()

    def _alone(self, protections: Iterable[Protection]) -> tuple[Protection, ...]:
        """Codes of which so few blocks are filled that a part of a block of each, all its parity, costs much."""
        few = [one for one in protections if one.block[0] > 1 and self._weights < _BLOCKS_ALONE * one.block[0]]
        return tuple(few) if len(few) > 1 else ()

    def _words(
        self, protections: tuple[Protection, ...], most_cells: float, alone: tuple[Protection, ...] = ()
    ) -> tuple[Candidate, ...]:
        """Words for Gaussian weights, from which those of each tensor are fitted."""
        if self._known:
            return known_menu(protections, self._known, most_cells)
        return gaussian_menu(protections, self._fault, most_cells, alone)

    def _fitted_trellises(
        self, protections: tuple[Protection, ...], pooled: NDArray[np.float64], most_cells: float
    ) -> tuple[Format, ...]:
        """Trellises with tables that all tensors share."""
        rough = trellis_menu(protections, self._fault, most_cells) if len(pooled) >= _LEAST else ()
        terms = _MANY_TERMS if self._weights >= _LARGE else 0
        for one in rough:
            if one not in self._fits:
                self._fits[one] = fitted_trellises(pooled, one, self._fault, terms)
        return tuple(fmt for one in rough for fmt in self._fits[one])

    def widened(self, storage: TensorFormat) -> TensorFormat:
        """A tensor with wider windows, which no search needs and no menu pays for: less error in the same cells."""
        wider = {}
        for fmt, spans in storage.spans_of_formats:
            if fmt.levels.window > 1 and fmt not in self._widened:
                bits = LARGEST_WINDOW_BITS if self._weights <= _WIDEST else LARGEST_WINDOW_BITS - 2
                self._widened[fmt] = widened_trellis(self._pooled, fmt, self._fault, bits)
            after = self._widened.get(fmt, fmt)
            if after.words(sum(span.stop - span.start for span in spans)) >= after.levels.window:
                wider[fmt] = after
        sections = (replace(one, format=wider.get(one.format, one.format)) for one in storage.sections)
        return replace(storage, sections=tuple(sections))

    def first(self, name: str) -> TensorMenu:
        """The menu of a tensor with one scale, or of evenly spaced levels where tables are not allowed."""
        gain = self._calibration.gains[name].squared
        return self._tensor(name, [gain]) if self.fitted else self._plain(name, gain)

    def of_one_code(self, first: Sequence[TensorMenu]) -> list[list[TensorMenu]]:
        """The first menus of all tensors with only one code of long blocks, for each that may be better alone."""
        found = dict.fromkeys(bit for menu in first for one in menu.menu for bit in one.format.protections)
        codes = sorted(self._alone(found), key=lambda one: (one.cells, one.block))
        return [[self._of_code(menu, code, codes) for menu in first] for code in codes]

    def _of_code(self, menu: TensorMenu, code: Protection, codes: Sequence[Protection]) -> TensorMenu:
        if not self.fitted:
            unwanted = set(codes) - {code}
            return menu.without(lambda fmt: not unwanted.isdisjoint(fmt.protections))
        # Of all that was fitted: what is near the hull of every code leaves few words of one.
        price = self._price(sum(menu.sizes))
        found = only_behind(self._of_first[menu.name], code, codes)
        kept = worthwhile(found, price, error=lambda one: one.effect(menu.power, menu.coherence))
        return replace(menu, menu=kept, cells=tuple(price(one.format) for one in kept))

    def with_shorter_blocks(self, name: str) -> TensorMenu | None:
        """The menu of a tensor with shorter blocks of codes, or none; None where a network fills many long ones."""
        gain = self._calibration.gains[name].squared
        return self._tensor(name, [gain], shorter=True) if self._shorter else None

    def others(self, name: str) -> list[TensorMenu]:
        """Other ways to scale a tensor, or other levels, each by itself the best for some tensor."""
        settings, gain = self._settings, [self._calibration.gains[name].squared]
        found = []
        # Tables cost a small tensor more than they save; a large one never goes without.
        if self.fitted and not self._known and self._calibration.weights[name].numel() <= _SMALL:
            found.append(self._plain(name, gain[0]))
        if self.fitted and (outliers := self._outliers(name)):
            found.append(self._tensor(name, gain, outliers=outliers))
        if settings.rows and name in self._calibration.row_gains:
            found.append(self._tensor(name, self._calibration.row_gains[name].tolist(), "row"))
        if settings.group is not None and self.fitted:
            found.append(self._tensor(name, gain, settings.group))
        return found + [
            self._tensor(name, gain, settings.group or "tensor", NamedLevels(one)) for one in settings.levels
        ]

    def _plain(self, name: str, gain: float) -> TensorMenu:
        """A tensor of evenly spaced levels, of which the most significant bits are protected."""
        weight = self._calibration.weights[name]
        menu = plain_menu(weight, self._protections, self._fault, self._settings.bits)
        _, scale, _ = normalised(weight, RootMeanSquare(), "tensor")
        size, cells = weight.numel(), tuple(one.format.cells for one in menu)
        importance = gain * size * float(scale) ** 2
        # Corrected: nothing shrinks, and no readout gain below 1 is to make up for noise.
        return TensorMenu(
            name, Largest(), "tensor", "exact", (size,), (importance,), menu, cells, 0.0, 0, coherence=math.inf
        )

    def _tensor(
        self,
        name: str,
        gains: Sequence[float],
        granularity: Granularity = "tensor",
        named: NamedLevels | None = None,
        shorter: bool = False,
        outliers: int = 0,
    ) -> TensorMenu:
        """A tensor of fitted levels, or of those of a named table, with a format for each of its gains.

        Args:
            name: its name.
            gains: one for the whole tensor, or one for each of its rows.
            granularity: how many weights share a scale.
            named: the table.
            shorter: whether to leave out codes of long blocks.
            outliers: weights that are kept beside the words.
        """
        scale: Scale = Largest() if named else RootMeanSquare()
        weight = self._calibration.weights[name]
        left = Outliers.of(weight, outliers).left_of(weight) if outliers else weight
        relative, scales, counts = normalised(left, scale, granularity)
        size, sharing = relative.numel() // len(gains), scales.numel() // len(gains)
        each = zip(
            np.repeat(gains, sharing).tolist(), counts.reshape(-1).tolist(), scales.reshape(-1).tolist(), strict=True
        )
        errors = [gain * count * one**2 for gain, count, one in each]
        importance = tuple(sum(errors[start : start + sharing]) for start in range(0, len(errors), sharing))
        price, weights = self._price(relative.numel()), Histogram.of(relative, bins=POINTS)
        if named:
            found = named_menu(weights, named, self._protections, self._fault)
            if self._known:
                found = [assessed(_some(relative), one.format, self._fault) for one in found]
        else:
            found = self._for_words(relative, weights, self._shorter if shorter else self._candidates)
            if "sequential" in self._settings.decoders:
                codes = self._fewer_protections if shorter else self._protections
                found += entropy_menu(weights, codes, self._fault, relative.numel())
            found += self._for_trellises(relative, self._shorter_trellises if shorter else self._trellises)
            if granularity == "tensor" and not shorter and not outliers:
                self._of_first[name] = found
        coherence = self._calibration.coherence[name]
        power = weights.mean**2 + weights.variance
        menu = worthwhile(found, price, error=lambda one: one.effect(power, coherence))
        cells, sizes = tuple(price(one.format) for one in menu), (size,) * len(gains)
        beside = _least_side_values(scales.numel()) + outlier_values(weight.numel(), outliers)
        return TensorMenu(
            name,
            scale,
            granularity,
            "least_error",
            sizes,
            importance,
            menu,
            cells,
            self._side_cells * beside,
            beside,
            power,
            coherence,
            outliers,
        )

    def _outliers(self, name: str) -> int:
        """How many of the largest weights may be kept beside the words; 0 where that would cost too much."""
        outliers = self._calibration.weights[name].numel() // _EACH_OUTLIER
        # A bit of a word costs about what its information does.
        bits = 2 * self._side_cells * capacity(*self._settings.fault.mean_rates) / _EACH_OUTLIER
        return outliers if outliers >= _LEAST_OUTLIERS and bits <= _MOST_OUTLIER_BITS else 0

    def _price(self, weights: int) -> Callable[[Format], float]:
        """Cells of a weight if all of so many are stored in a format, with its share of what the levels need."""
        # Tables of trellises are shared by all tensors.
        return lambda fmt: (
            fmt.cells
            + self._side_cells * fmt.levels.side_values / (weights if fmt.levels.window == 1 else self._weights)
        )

    def _for_words(
        self, relative: torch.Tensor, weights: Histogram, candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """Words fitted to the weights of a tensor."""
        if self._known:
            return fitted_known(_some(relative), candidates, self._known)
        return fitted_menu(weights, candidates, self._fault, value_cells=self._side_cells / relative.numel())

    def _for_trellises(self, relative: torch.Tensor, trellises: Sequence[Format]) -> list[Candidate]:
        """Trellises for the weights of a tensor, where it fills some windows."""
        some = _some(relative) if trellises else np.zeros(0)
        return [
            assessed_trellis(some, fmt, self._fault)
            for fmt in trellises
            if fmt.words(relative.numel()) >= _WINDOWS * fmt.levels.window
        ]


def _pooled(weights: Mapping[str, torch.Tensor]) -> NDArray[np.float64]:
    """Weights of all tensors, each of root mean square 1, as many of each as there are of it, up to a number."""
    places = _places(sum(weight.numel() for weight in weights.values()))
    found, start = np.zeros(len(places)), 0
    # One tensor after the other: of all together only the places are in memory.
    for weight in weights.values():
        inside = (places >= start) & (places < start + weight.numel())
        found[inside] = normalised(weight, RootMeanSquare(), "tensor")[0].cpu()[places[inside] - start]
        start += weight.numel()
    return found


def _some(relative: torch.Tensor) -> NDArray[np.float64]:
    """Weights at random places, of which no more are looked at, of the mean square of all.

    Else a format that keeps nothing would seem to leave less than the weights are, and so to keep some of them.
    """
    some = relative.reshape(-1)[_places(relative.numel()).to(relative.device)].double().cpu()
    if len(some) < relative.numel() and (own := float(some.square().mean())) > 0:
        some *= math.sqrt(float(squared_norm(relative)) / relative.numel() / own)
    return some.numpy()


def _places(weights: int) -> torch.Tensor:
    """Random places among so many weights."""
    # Numbers of 32 bits, where these do, are the same.
    dtype = torch.int32 if weights < 2**31 else torch.int64
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(weights, generator=generator, dtype=dtype, device="cpu")[:_SAMPLE].long()


def _least_side_values(scales: int) -> int:
    """Scales, and what `TensorFormat.side_values` counts of one section and its tensor."""
    return scales + 4


def _check_fault(fault: FaultModel) -> None:
    p01, p10 = fault.mean_rates
    if p01 + p10 >= 1:
        raise ArgumentError(
            f"fault must leave something of what is stored: p01 + p10 must be below 1, got {p01:g} + {p10:g}"
        )


def _protections(
    fault: FaultModel, decoders: Sequence[Decoding], hardened: Sequence[HardenedCell], weights: int
) -> tuple[Protection, ...]:
    allowed: list[Decoder] = ["none"]
    allowed += [one for one in decoders if one != "table" and one != "trellis" and one != "sequential"]
    # A block of more bits than there are weights would be stored for the most part empty.
    return pareto_front(*fault.mean_rates, decoders=allowed, hardened=hardened, bits=weights)
