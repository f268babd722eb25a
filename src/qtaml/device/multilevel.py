"""Multi-level cells: several bits in one cell, and weights stored across cells.

Charge loss moves a cell to a lower level, mostly to the neighbour: its transition matrix is triangular in the levels.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.device import escape
from qtaml.device._arrays import Array
from qtaml.device.barriers import Barrier
from qtaml.device.cell import Cell
from qtaml.device.tails import log_binomial_tail
from qtaml.errors import ArgumentError

# The full matrix over words of 12 bits takes 128 MiB, that of 16 bits 32 GiB.
_MOST_BITS = 12

LABELS = ("gray", "natural")


def level_transition_matrix(electrons: ArrayLike, references: ArrayLike, log_exposure: float) -> Array:
    """P(read level j' | stored level j) of a cell whose levels hold N_j electrons.

    M[j, j'] = P(th_j' < N_j - X <= th_(j'+1)) with X ~ Binomial(N_j, p_e).

    Args:
        electrons: N_j of the L levels, increasing.
        references: the L - 1 read references, in remaining electrons, each between two levels.
        log_exposure: ln of -ln(1 - p_e), as from `qtaml.device.log_exposure`.

    Returns:
        Matrix of shape (L, L); rows sum to 1.

    Raises:
        ArgumentError: if the levels do not increase or a reference does not lie between its two levels.

    Source:
        theory.md 4.

    Example:
        >>> at_15_percent = float(np.log(-np.log(0.85)))
        >>> level_transition_matrix([0, 100, 200, 300], [50, 150, 250], at_15_percent).diagonal().round(3)
        array([1.   , 1.   , 1.   , 0.769])
    """
    levels, borders = _check_levels(electrons, references)
    # Level j ends at or below reference j' when more than this many electrons escape.
    most_lost = levels[:, None] - borders[None, :] - 1
    at_or_below = np.exp(log_binomial_tail(levels[:, None], most_lost, log_exposure))
    certain, never = np.ones((levels.size, 1)), np.zeros((levels.size, 1))
    # Rounding may leave a difference of equal tails just below 0.
    return np.maximum(np.diff(np.concatenate([never, at_or_below, certain], axis=1), axis=1), 0.0)


def level_labels(bits: int, labels: str = "gray") -> NDArray[np.int64]:
    """Word of `bits` bits for each level j of a cell, from the empty level upwards: Gray j ^ (j >> 1), or natural j.

    Args:
        bits: in a cell.
        labels: "gray" (neighbours differ in one bit) or "natural" (the level's number).

    Returns:
        Whole numbers of shape (2**bits,).

    Raises:
        ArgumentError: if there is no bit or the name is unknown.

    Source:
        theory.md 4.

    Example:
        >>> level_labels(2)
        array([0, 1, 3, 2])
    """
    numbers = np.arange(2 ** _checks.integer("bits", bits, 1))
    return numbers ^ (numbers >> 1) if _checks.one_of("labels", labels, LABELS) == "gray" else numbers


@dataclass(frozen=True)
class MultiLevelCell:
    """A cell that stores log2(L) bits as one of L amounts of charge.

    Args:
        barrier: `Rectangular`, `Stack` or `Profile`.
        level_electrons: N_j of the L levels, increasing; L is a power of 2.
        references: the L - 1 read references, in remaining electrons.
        attempt_frequency: nu, Hz.
        labels: how levels stand for bits, "gray" or "natural".
        temperature: K; at 0 the thermal factor is left out.

    Raises:
        ArgumentError: if the levels, the references or a quantity are not as described.

    Source:
        theory.md 4; Cassuto et al., ISIT 2007 (asymmetric errors of limited magnitude).

    Example:
        >>> from qtaml.device import Rectangular
        >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 100, 200, 300), (50, 150, 250), 1e13)
        >>> round(cell.bit_error_rate(37.0), 3)
        0.03
    """

    barrier: Barrier
    level_electrons: tuple[int, ...]
    references: tuple[int, ...]
    attempt_frequency: float
    _: KW_ONLY
    labels: str = "gray"
    temperature: float = 0.0

    def __post_init__(self) -> None:
        _check_levels(self.level_electrons, self.references)
        _checks.one_of("labels", self.labels, LABELS)
        if 2**self.bits != len(self.level_electrons):
            raise ArgumentError(f"level_electrons must be a power of 2 many, got {len(self.level_electrons)}")
        self._fullest()

    @property
    def bits(self) -> int:
        """Bits in a cell."""
        return len(self.level_electrons).bit_length() - 1

    def level_matrix(self, window: float) -> Array:
        """P(read level j' | stored level j) after a window: M[j, j'] of `level_transition_matrix`.

        Args:
            window: s.

        Returns:
            Matrix of shape (L, L); rows sum to 1.

        Raises:
            ArgumentError: if the window is not above 0.

        Source:
            theory.md 4.

        Example:
            >>> from qtaml.device import Rectangular
            >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 50, 100, 150), (25, 75, 125), 1e13)
            >>> cell.level_matrix(40.0)[3].round(3)
            array([0.  , 0.  , 0.47, 0.53])
        """
        log_attempts = np.log(self.attempt_frequency * _checks.positive("window", window))
        exposure = escape.log_exposure(self._fullest().log_transmission(), log_attempts)
        return level_transition_matrix(self.level_electrons, self.references, float(exposure))

    def label_matrix(self, window: float) -> Array:
        """P(read word | stored word) of a cell: M[j(w), j(w')] with j(w) the level that stands for the word w.

        Args:
            window: s.

        Returns:
            Matrix of shape (L, L), rows and columns in the order of the words; rows sum to 1.

        Raises:
            ArgumentError: if the window is not above 0.

        Source:
            theory.md 4.

        Example:
            >>> from qtaml.device import Rectangular
            >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 50, 100, 150), (25, 75, 125), 1e13)
            >>> cell.label_matrix(40.0)[0b10].round(3)
            array([0.  , 0.  , 0.53, 0.47])
        """
        order = np.argsort(level_labels(self.bits, self.labels))
        return self.level_matrix(window)[np.ix_(order, order)]

    def bit_error_rate(self, window: float) -> float:
        """Share of bits read wrong: sum over stored w and read w' of P(w' | w) popcount(w ^ w')/(L log2 L).

        Args:
            window: s.

        Returns:
            Bit error rate.

        Raises:
            ArgumentError: if the window is not above 0.

        Source:
            theory.md 4.

        Example:
            >>> from qtaml.device import Rectangular
            >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 50, 100, 150), (25, 75, 125), 1e13)
            >>> round(cell.bit_error_rate(40.0), 3)
            0.061
        """
        words = np.arange(len(self.level_electrons))
        changed = words[:, None] ^ words[None, :]
        distance = sum((changed >> bit) & 1 for bit in range(self.bits))
        return float((self.label_matrix(window) * distance).sum() / (self.bits * words.size))

    def word_matrix(self, window: float, bits: int) -> Array:
        """P(read word | stored word) of a weight of `bits` bits stored across cells, most significant cell first.

        Args:
            window: s.
            bits: of the weight, a multiple of the bits in a cell and at most 12.

        Returns:
            Matrix of shape (2**bits, 2**bits); rows sum to 1.

        Raises:
            ArgumentError: if the bits do not fill whole cells.

        Source:
            theory.md 4; cells are independent, so it is the Kronecker product of their matrices.

        Example:
            >>> from qtaml.device import Rectangular
            >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 50, 100, 150), (25, 75, 125), 1e13)
            >>> cell.word_matrix(40.0, bits=8).shape
            (256, 256)
        """
        single = self.label_matrix(window)
        whole: Array = np.ones((1, 1))
        for _ in range(self._cells(bits)):
            whole = np.asarray(np.kron(whole, single), dtype=np.float64)
        return whole

    def word_moments(self, window: float, bits: int) -> tuple[Array, Array]:
        """Mean and variance of the error of a word read as a number, in units of its step, without the full matrix.

        E[error] = sum_c L^c E[v(j') - v(j)] over the cells c, and the variance with L^(2c).

        Args:
            window: s.
            bits: of the weight, a multiple of the bits in a cell and at most 24.

        Returns:
            (mean, variance), each of shape (2**bits,), for every stored word.

        Raises:
            ArgumentError: if the bits do not fill whole cells.

        Source:
            theory.md 4.

        Example:
            >>> from qtaml.device import Rectangular
            >>> cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 50, 100, 150), (25, 75, 125), 1e13)
            >>> mean, variance = cell.word_moments(40.0, bits=8)
            >>> mean.shape
            (256,)
        """
        digits = np.arange(2**self.bits)
        matrix = self.label_matrix(window)
        drift = matrix @ digits - digits
        variance = (matrix * (digits[None, :] - digits[:, None] - drift[:, None]) ** 2).sum(axis=1)
        mean, spread = np.zeros(1), np.zeros(1)
        # Most significant cell first: each step shifts what there is by a digit, so that memory is 2^bits, not 4^bits.
        for _ in range(self._cells(bits, most=2 * _MOST_BITS)):
            mean = np.add.outer(2**self.bits * mean, drift).ravel()
            spread = np.add.outer(4**self.bits * spread, variance).ravel()
        return mean, spread

    def _cells(self, bits: int, most: int = _MOST_BITS) -> int:
        """Number of cells for a word of `bits` bits."""
        if _checks.integer("bits", bits, 1, most) % self.bits:
            raise ArgumentError(f"bits must be a multiple of the {self.bits} bits in a cell, got {bits!r}")
        return bits // self.bits

    def _fullest(self) -> Cell:
        """The fullest level as a single-bit cell: it checks and evaluates the physics they share."""
        return Cell(self.barrier, self.level_electrons[-1], 0, self.attempt_frequency, temperature=self.temperature)


def _check_levels(electrons: ArrayLike, references: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Levels and references as arrays, if they increase in turn."""
    levels, borders = np.asarray(electrons), np.asarray(references)
    if levels.ndim != 1 or levels.size < 2 or levels.dtype.kind not in "iu" or levels[0] < 0:
        raise ArgumentError(f"level_electrons must be two or more whole numbers of at least 0, got {electrons!r}")
    if borders.shape != (levels.size - 1,) or borders.dtype.kind not in "iu":
        raise ArgumentError(f"references must be {levels.size - 1} whole numbers, got {references!r}")
    if not ((levels[:-1] <= borders) & (borders < levels[1:])).all():
        raise ArgumentError(f"references must lie between neighbouring levels {electrons!r}, got {references!r}")
    return levels.astype(np.int64), borders.astype(np.int64)
