"""What all levels have: a value for each label of a word, or for what else a weight is read from."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class BitLevels(ABC):
    """A value for each label of a word: the readout table."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """Bits of a word."""

    @property
    def window(self) -> int:
        """Words that a weight is read from: its own, and in a trellis the ones before it in the stream."""
        return 1

    @property
    def weights_per_word(self) -> int:
        """Weights that share a word."""
        return 1

    @property
    def is_stream(self) -> bool:
        """Whether a weight is read from several words, so that those of a section are one stream."""
        return self.window > 1

    @property
    def words_of_a_weight(self) -> float:
        """Words for each weight."""
        return 1 / self.weights_per_word

    def words(self, weights: int) -> int:
        """Words that so many weights take."""
        return -(-weights // self.weights_per_word)

    def fits(self, weights: int) -> bool:
        """Whether so many weights may be stored."""
        return self.words(weights) >= self.window

    @property
    def readout_size(self) -> int:
        """Number of values of the readout table."""
        return self.weights_per_word << self.bits * self.window

    @abstractmethod
    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,); in a trellis that of each window."""

    def storable(self) -> NDArray[np.int64]:
        """Labels that a writer may store, by ascending value; the others can only be read, after errors."""
        # Stable, so that equal values (zero and minus zero) come in the order of their labels on every machine.
        return np.argsort(self.readout(), kind="stable")

    @property
    def side_values(self) -> int:
        """Numbers that a reader needs beside the words; 0 where name and bits define the levels."""
        return 0
