"""What every cell offers that loses its bit with time: all follows from ln p of a charged cell over the window."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike
from rich.markup import escape as escape_markup
from rich.table import Table

from qtaml import _checks, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.device._arrays import Array, Quantity, like
from qtaml.device.inverse import solve
from qtaml.device.mechanisms import DRAWN, Leakage, compare
from qtaml.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


CellT = TypeVar("CellT", bound="RetentionCell")

# Logarithms of the shortest and the longest window that is searched, s: those that a float can hold.
_LOG_WINDOWS = (-700.0, 700.0)


class RetentionCell(ABC):
    """A cell whose charged state is lost with time: `Cell`, `StorageNode`, `TwoWayCell`, `MeasuredCell`."""

    temperature: float

    @abstractmethod
    def log_flip_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of p over windows in s, mean over cells; exact where p underflows."""

    @abstractmethod
    def parameters(self) -> dict[str, str]:
        """All parameters as text, by their names with units."""

    @abstractmethod
    def typical_log_window(self, p: ArrayLike) -> Array:
        """Logarithm of a window in s near that of p, from which it is searched."""

    @abstractmethod
    def enlarged(self, area: float) -> Self:
        """The same cell with `area` times the area: more charge, and spreads smaller by its square root (Pelgrom).

        Source:
            theory.md 2.7.
        """

    def at(self, temperature: float) -> Self:
        """The same cell at another temperature, K."""
        return cast("Self", dataclasses.replace(cast("Any", self), temperature=temperature))

    def log_worst_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of the probability that a bit of the state that is lost more often is lost, over windows in s."""
        return self.log_flip_probabilities(window)

    @property
    def idle(self) -> tuple[str, ...]:
        """Names of mechanisms that alone lose no bit, and so are not among `mechanisms`."""
        return ()

    def mechanisms(self) -> Mapping[str, "RetentionCell"]:
        """The ways in which the bit is lost, each as the cell in which only that one is at work."""
        return {"tunnelling": self}

    def kinds_of_cells(self, window: float, number: int) -> tuple[Array, Array]:
        """Lost-bit probabilities of the kinds of cells on a chip, and the share of cells of each.

        Cells with a retention time of their own lose their bit within the window always or never.

        Args:
            window: s.
            number: about so many kinds where cells differ gradually.
        """
        p = self.flip_probability(window)
        return np.array([1.0, 0.0]), np.array([p, 1.0 - p])

    def flip_probability(self, window: Quantity, temperature: float | None = None) -> Quantity:
        """The paper's symmetric p: a bit read after `window` seconds is wrong with this probability.

        The probability that a charged cell has lost its bit, mean over cells. It reaches 1 for long windows; only
        `random_polarity_probability` is a channel that ends at 1/2. See also `rates`.

        Args:
            window: time since the last write or refresh, s; a float or an array.
            temperature: K; that of the cell if not given.

        Returns:
            p, a float for a float.

        Raises:
            ArgumentError: if a window or the temperature is not above 0.

        Source:
            paper Definition A.9; theory.md 1.1, 2.4.

        Example:
            >>> from qtaml.device import preset
            >>> preset("fg_dt_3p0").flip_probability(np.array([20.0, 60.0, 200.0])).round(3)
            array([0.001, 0.087, 0.745])
        """
        cell = self if temperature is None else self.at(_checks.positive("temperature", temperature))
        return like(window, np.exp(cell.log_flip_probabilities(window)))

    def log_flip_probability(self, window: Quantity) -> Quantity:
        """Logarithm of `flip_probability`, exact where p underflows.

        Args:
            window: time since the last write or refresh, s; a float or an array.

        Returns:
            ln p, a float for a float.

        Raises:
            ArgumentError: if a window is not above 0.

        Source:
            theory.md 1.1 "Log-space".

        Example:
            >>> from qtaml.device import preset
            >>> round(preset("nand_fg_7nm").log_flip_probability(1.0), 1)
            -955.6
        """
        return like(window, self.log_flip_probabilities(window))

    def rates(self, window: Quantity, charged: int = 1) -> tuple[Quantity, Quantity]:
        """Error rates (p01, p10) of forward-only loss: only charged cells lose their bit, with `flip_probability`.

        Args:
            window: s.
            charged: the bit that a charged cell stands for; 0 in NAND flash and in the anti-cells of DRAM.

        Returns:
            (p01, p10): P(read 1 | stored 0) and P(read 0 | stored 1), one of them 0.

        Raises:
            ArgumentError: if a window is not above 0 or `charged` is not a bit.

        Source:
            theory.md 3; Kraft et al., DATE 2018.

        Example:
            >>> from qtaml.device import preset
            >>> p01, p10 = preset("fg_dt_3p0").rates(60.0)
            >>> p01, round(p10, 3)
            (0.0, 0.087)
        """
        lost = self.flip_probability(window)
        never = like(window, np.zeros_like(np.asarray(lost)))
        return (never, lost) if _checks.integer("charged", charged, 0, 1) == 1 else (lost, never)

    def random_polarity_probability(self, window: Quantity) -> Quantity:
        """Symmetric p of cells that store each bit inverted or not at random: the mean of p01 and p10.

        Args:
            window: s.

        Returns:
            p, which ends at 1/2 where only charged cells lose their bit.

        Raises:
            ArgumentError: if a window is not above 0.

        Source:
            theory.md 3.

        Example:
            >>> from qtaml.device import preset
            >>> preset("fg_dt_3p0").random_polarity_probability(1e6)
            0.5
        """
        p01, p10 = self.rates(window)
        return like(window, (np.asarray(p01) + np.asarray(p10)) / 2)

    def window_for(self, p: Quantity) -> Quantity:
        """Retention time: the window at which p is reached.

        Args:
            p: in (0, 1), a float or an array.

        Returns:
            s; infinite where it is longer than the largest float.

        Raises:
            ArgumentError: if a p is not in (0, 1), or the cell does not reach it.

        Source:
            theory.md 1.1 "Closed inverses".

        Example:
            >>> from qtaml.device import preset
            >>> round(preset("gaincell_3t_16nm").window_for(0.1) * 1e3, 1)
            23.8
        """
        log_p = np.log(_checks.open_probability_array("p", p))
        guess = np.broadcast_to(self.typical_log_window(np.exp(log_p)), log_p.shape)

        def missing(log_tau: Array, wanted: Array) -> Array:
            return self.log_flip_probabilities(np.exp(np.clip(log_tau, *_LOG_WINDOWS))) - wanted

        log_window = solve(missing, guess + 0.0, log_p)
        if np.isnan(log_window).any():
            most = float(np.exp(self.log_flip_probabilities(np.exp(_LOG_WINDOWS[1]))))
            raise ArgumentError(f"p must be one that the cell reaches, which goes to {most:.3g} with time, got {p!r}")
        with np.errstate(over="ignore"):
            return like(p, np.exp(log_window))

    def leakage(self, window: float, temperature: float | None = None) -> Leakage:
        """Which mechanism sets p: the flip probability by each of `mechanisms` alone, beside that by all.

        Args:
            window: s.
            temperature: K; that of the cell if not given.

        Returns:
            A table that prints, with a `plot` over time and temperature.

        Raises:
            ArgumentError: if the window or the temperature is not above 0.

        Source:
            theory.md 2.9.

        Example:
            >>> from qtaml.device import preset
            >>> preset("gaincell_3t_16nm").leakage(1e-3).dominant
            'subthreshold'
        """
        return compare(self if temperature is None else self.at(_checks.positive("temperature", temperature)), window)

    def plot(self, windows: tuple[float, float] | None = None) -> "Figure":
        """Flip probability over the time between refreshes (needs `qtaml[plot]`).

        Args:
            windows: from and to, s; three decades to either side of where p is 0.1 if not given.

        Raises:
            ArgumentError: if the range is empty or not above 0.
            QtamlError: if matplotlib is not installed.
        """
        times = self.times_around(windows)
        curve = Curve("mean over cells", times.tolist(), np.asarray(self.flip_probability(times)).tolist())
        title = next(iter(self.parameters().values()))
        return panels_figure(
            [Panel([curve], title, "time since refresh (s)", "flip probability", log_x=True, log_y=DRAWN)]
        )

    def times_around(self, windows: tuple[float, float] | None = None, points: int = 121) -> Array:
        """Windows of a picture, by equal factors: a range in s, or three decades to either side of where p is 0.1."""
        middle = self.window_for(0.1) if windows is None else 0.0
        low, high = (_checks.positive("windows", end) for end in windows or (middle / 1e3, middle * 1e3))
        if low >= high:
            raise ArgumentError(f"windows must be a range from a shorter to a longer one, got {low:g} to {high:g}")
        return np.geomspace(low, high, points)

    def _repr_html_(self) -> str:
        shown = Table(show_header=False)
        for row in self.parameters().items():
            shown.add_row(*map(escape_markup, row))
        return _tables.as_html(shown)


def enlarged_charge(cell: CellT, area: float) -> CellT:
    """A cell of electrons, with `area` times of them and of the threshold, and a spread smaller by sqrt(area)."""
    scale = _checks.at_least("area", area, 1.0)
    held = cast("Any", cell)
    # Both are scaled, so that the threshold keeps its share: more electrons alone would only lose the bit sooner.
    larger: CellT = dataclasses.replace(
        held,
        electrons=round(scale * held.electrons),
        threshold=round(scale * held.threshold),
        thickness_spread=held.thickness_spread / scale**0.5,
    )
    return larger
