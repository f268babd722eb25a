"""Reading one stored tensor thousands of times."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats.format import label_dtype
from qtaml.formats.tensor_format import TensorFormat
from qtaml.sampling.sampler import kernels

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class _Part(NamedTuple):
    """What every read of the weights of one format needs.

    Attributes:
        bits: of its words.
        read: gives all words of the tensor, also those of other formats, as read, by the seed: errors do not depend on
            where a tensor is cut.
        table: the value of each word, as integers of the same bits; 0 for those that are no labels.
        starts: where the runs of its weights start.
        stops: where they stop.
    """

    bits: int
    read: Callable[[int], torch.Tensor]
    table: NDArray[np.signedinteger]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


class TensorReader:
    """Reads a stored tensor as `TensorFormat.read` does, to the bit; what all reads share is worked out once.

    Args:
        storage: how the tensor is stored.
        words: its stored words, each a label of its format.
        scale: its scale.
        fault: how the memory fails.
        place: name of the tensor; see `FaultModel.corrupt`.
        dtype: floating dtype of what is read.

    Example:
        >>> from qtaml.faults import Uniform
        >>> from qtaml.formats import Format, Section
        >>> storage = TensorFormat((Section(3, Format()),))
        >>> words, scale = storage.encode(torch.tensor([1.0, -1.0, 0.0]), Uniform(0.0))
        >>> out = torch.empty(3, dtype=torch.float64)
        >>> read = TensorReader(storage, words, scale, Uniform(0.1), dtype=torch.float64).into(out)
        >>> read(0)
        >>> torch.equal(out, storage.read(words, scale, Uniform(0.1), seed=0))
        True
    """

    def __init__(
        self,
        storage: TensorFormat,
        words: torch.Tensor,
        scale: torch.Tensor,
        fault: FaultModel,
        *,
        place: str = "",
        dtype: torch.dtype,
    ) -> None:
        self._storage, self._words, self._scale, self._fault, self._place = storage, words, scale, fault, place
        self._integers = _INTEGERS[dtype.itemsize]
        self._dtype = dtype

    def into(self, out: torch.Tensor) -> Callable[[int | None], None]:
        """What overwrites a tensor with the weights as read.

        Args:
            out: contiguous, of the shape of the words and the dtype of this reader, on the device of the words.

        Returns:
            A function of a seed; the same seed gives the same errors, None gives none. It raises `ArgumentError` if a
            word read is no label of its format.
        """
        # Elsewhere, and with a scale for each row, there is more to a read than a table.
        if self._words.device.type != "cpu" or self._scale.ndim:
            return lambda seed: self._read(out, seed)
        values = out.view(-1).view(self._integers).numpy()

        def read(seed: int | None) -> None:
            if seed is None:
                self._read(out, seed)
                return
            look_up = kernels().look_up
            for bits, read_words, table, starts, stops in self._parts:
                seen = look_up(read_words(seed).numpy(), table, values, starts, stops)
                if seen >> bits:
                    raise ArgumentError(f"words of {self._place!r} must be below {1 << bits}, got one that is not")

        return read

    def _read(self, out: torch.Tensor, seed: int | None) -> None:
        if seed is None:
            self._storage.decode(self._words, self._scale, out=out)
        else:
            self._storage.read(self._words, self._scale, self._fault, seed=seed, place=self._place, out=out)

    @cached_property
    def _parts(self) -> list[_Part]:
        parts = []
        for fmt, spans in self._storage.spans_of_formats:
            labels = self._words.reshape(-1).to(label_dtype(fmt.bits))
            read = fmt.reader(labels, self._fault, place=self._place)
            values = torch.from_numpy(fmt.readout()) * (self._scale * self._storage.readout_gain)
            table = torch.zeros(1 << 8 * labels.itemsize, dtype=self._dtype, device="cpu")
            table[: len(values)] = values
            starts, stops = np.array([(span.start, span.stop) for span in spans], np.int64).T.copy()
            parts.append(_Part(fmt.bits, read, table.view(self._integers).numpy(), starts, stops))
        return parts
