"""The exact law of the error of one weight, from its levels and the error probabilities of its bits."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import BitLevels, EvenLevels, Format, Levels, quantisation_step
from qtaml.formats.transitions import table_error_moments
from qtaml.theory.weight_error import Floats, distribution_of, excess, standardised

Probabilities = float | Sequence[float]


@dataclass(frozen=True)
class ErrorLaw:
    """Exact law of the error, read minus stored, of a weight whose bits fail independently.

    Errors are in units of the step for evenly spaced levels, of the full scale for all others.

    The error is sum_i beta_i F_i for levels that are sums over bits: F_i = 1 if bit i is read wrong, beta_i what its
    flip adds. For all other levels the law comes from the value of every word (in a trellis of every window).

    Probabilities lie in [0, 1/2]; 1/2, a cell that has lost its bit, is refused by the fault models of a memory in use.
    Each is one number or one for each bit, bit 0 (least significant) first.

    Attributes:
        levels: the value of each word; a number of bits stands for `EvenLevels` of so many.
        p: probability that a bit is read wrong; give this, or both `p01` and `p10`.
        protected: how many of the most significant bits are never read wrong, 0 to all.
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.

    Raises:
        ArgumentError: if a value is not allowed, or neither or both of `p` and (`p01`, `p10`) are given.

    Source:
        paper, theorems 3.1, 3.2, A.11, A.13, A.14 and A.8; theory.md 1.2, 1.3 and 3.

    Example:
        >>> from qtaml.formats import NamedLevels
        >>> law = ErrorLaw(8, 0.1)
        >>> round(law.mean(255), 6), round(law.variance(255), 2), round(law.kurtosis(255), 4)
        (-25.5, 1966.05, 3.0668)
        >>> ErrorLaw(2, p01=0.0, p10=0.25, protected=1).pmf(3)
        (array([-1.,  0.]), array([0.25, 0.75]))
        >>> round(ErrorLaw(NamedLevels("nf4"), 0.1).variance(0), 4)
        0.1496
    """

    levels: Levels | int
    p: Probabilities | None = None
    protected: int = 0
    _: KW_ONLY
    p01: Probabilities | None = None
    p10: Probabilities | None = None

    def __post_init__(self) -> None:
        for name in ("p", "p01", "p10"):
            object.__setattr__(self, name, _probabilities(name, getattr(self, name), self.bits))
        pair = (self.p01 is not None, self.p10 is not None)
        if pair != ((False, False) if self.p is not None else (True, True)):
            named = [name for name in ("p", "p01", "p10") if getattr(self, name) is not None]
            raise ArgumentError(f"give either p, or both p01 and p10; got {' and '.join(named) or 'none of them'}")

    def pmf(self, word: ArrayLike) -> tuple[Floats, Floats]:
        """Distribution of the error.

        Args:
            word: stored words, whole numbers from 0 to 2**bits - 1, any shape.

        Returns:
            (values, probabilities): the errors that can occur for any of the words, ascending and each once,
            shape (errors,); and their probabilities, of the shape of `word` followed by (errors,), which sum to 1 over
            the errors.

        Raises:
            ArgumentError: if a word is out of range.

        Source:
            paper, theorem 3.1.

        Example:
            >>> values, probabilities = ErrorLaw(2, 0.25).pmf(0)
            >>> values.tolist(), probabilities.tolist()
            ([0.0, 1.0, 2.0, 3.0], [0.5625, 0.1875, 0.1875, 0.0625])
        """
        words = np.asarray(_checks.words("word", word, self._word_law.bits))
        each = [distribution_of(self._values, self._word_law, int(stored)) for stored in words.ravel()]
        values = np.unique(np.concatenate([errors for errors, _ in each])) if each else np.zeros(0)
        table = np.zeros((len(each), len(values)))
        for row, (errors, probabilities) in zip(table, each, strict=True):
            row[np.searchsorted(values, errors)] = probabilities
        return values, table.reshape(*words.shape, len(values))

    def mean(self, word: ArrayLike) -> float | Floats:
        """Mean of the error, the drift of the weight: sum of beta_i p_i; -2 p w for one p and the half-step grid.

        Args:
            word: stored words, whole numbers from 0 to 2**bits - 1, any shape.

        Returns:
            In steps (or of the full scale): a float for one word, else an array of the shape of `word`.

        Raises:
            ArgumentError: if a word is out of range.

        Source:
            paper, theorem 3.2; theory.md 1.3, 1.4 and 3 for other labels and asymmetric errors.

        Example:
            >>> ErrorLaw(2, 0.25).mean([0, 3]).tolist()
            [0.75, -0.75]
        """
        return self._at(word, self._moments[0])

    def variance(self, word: ArrayLike) -> float | Floats:
        """Variance of the error: sum of beta_i**2 p_i (1 - p_i); p (1 - p) (4**bits - 1) / 3 for one p.

        Args:
            word: stored words, whole numbers from 0 to 2**bits - 1, any shape.

        Returns:
            In squared steps (or of the full scale): a float for one word, else an array of the shape of `word`.

        Raises:
            ArgumentError: if a word is out of range.

        Source:
            paper, theorem A.11; theory.md 3 and A.8 of the paper for other labels and asymmetric errors.

        Example:
            >>> ErrorLaw(2, 0.25).variance(0)
            0.9375
        """
        return self._at(word, self._moments[1])

    def skewness(self, word: ArrayLike) -> float | Floats:
        """Skewness E[(error - mean)**3] / variance**(3/2); 0 where the variance is.

        Args:
            word: stored words, whole numbers from 0 to 2**bits - 1, any shape.

        Returns:
            A float for one word, else an array of the shape of `word`; without unit.

        Raises:
            ArgumentError: if a word is out of range.

        Source:
            paper, theorem A.13.

        Example:
            >>> round(ErrorLaw(8, 0.1).skewness(0), 4)
            1.9795
        """
        _, variance, third, _ = self._moments
        return self._at(word, standardised(third, variance, 3))

    def kurtosis(self, word: ArrayLike) -> float | Floats:
        """Excess kurtosis E[(error - mean)**4] / variance**2 - 3, 0 for a Gaussian; 0 where the variance is.

        Args:
            word: stored words, whole numbers from 0 to 2**bits - 1, any shape.

        Returns:
            A float for one word, else an array of the shape of `word`; without unit.

        Raises:
            ArgumentError: if a word is out of range.

        Source:
            paper, theorem A.14.

        Example:
            >>> round(ErrorLaw(8, 0.1).kurtosis(0), 4)
            3.0668
        """
        _, variance, _, fourth = self._moments
        return self._at(word, excess(fourth, variance))

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self._format.bits

    @cached_property
    def _format(self) -> Format:
        levels = self.levels if isinstance(self.levels, BitLevels) else EvenLevels(self.levels)
        fmt = Format(levels)
        return fmt.protect(_checks.integer("protected", self.protected, 0, fmt.bits))

    @cached_property
    def _values(self) -> Floats:
        """Value of each word, in steps for evenly spaced levels."""
        # Rounded to whole or half steps, which float64 holds exactly: `pmf` merges errors that are equal, and different
        # rounding of values would split them.
        levels = self._format.levels
        if isinstance(levels, EvenLevels):
            return np.asarray(np.rint(2 * levels.readout() / quantisation_step(levels.bits, levels.grid)) / 2)
        return levels.readout()

    @cached_property
    def _word_law(self) -> WordLaw:
        # Built here and not by a fault model: those refuse 1/2, where no mean correction exists.
        pair = (self.p, self.p) if self.p is not None else (self.p01, self.p10)
        rates = zip(*(np.broadcast_to(np.array(given), self.bits).tolist() for given in pair), strict=True)
        raw = zip(rates, self._format.protections, strict=True)
        left = [protection.residual(*of_bit) for of_bit, protection in raw]
        law = WordLaw.of_bits([p01 for p01, _ in left], [p10 for _, p10 in left])
        return self._format.window_law_of(law)

    @cached_property
    def _moments(self) -> tuple[Floats, Floats, Floats, Floats]:
        return table_error_moments(self._values, self._word_law)

    def _at(self, word: ArrayLike, of_words: Floats) -> float | Floats:
        """Entries of a table over all words, at the given words; a float for one word."""
        found = of_words[_checks.words("word", word, self._word_law.bits)]
        return found if found.ndim else float(found)


def _probabilities(name: str, given: Probabilities | None, bits: int) -> Probabilities | None:
    """One float, or a tuple of one for each bit, each in [0, 1/2]; None as it is."""
    if given is None:
        return None
    if np.ndim(given) == 0:
        return _error_probability(name, given)  # type: ignore[arg-type]
    if np.shape(given) != (bits,):
        raise ArgumentError(f"{name} must be one probability, or one for each of {bits} bits, got {given!r}")
    return tuple(_error_probability(f"{name}[{i}]", value) for i, value in enumerate(np.asarray(given).tolist()))


def _error_probability(name: str, value: float) -> float:
    number = _checks.real(name, value)
    if not 0.0 <= number <= 0.5:
        raise ArgumentError(f"{name} must be a probability in [0, 0.5], got {value!r}")
    return number
