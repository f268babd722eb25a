"""Repeated reads of one stored tensor, with everything that reads share computed once."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats.chunks import words_at
from qtaml.formats.format import Format, label_dtype
from qtaml.formats.look_up import look_up, scaled_look_up
from qtaml.formats.outliers import Outliers
from qtaml.formats.scales import row_length
from qtaml.formats.tensor_format import TensorFormat

# By the bytes of a floating dtype. Reads copy bit patterns, because NumPy has no bfloat16 and no float8.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class _Part(NamedTuple):
    """What all reads of the weights of one format share.

    Attributes:
        bits: bits of a word of the format, or of a window.
        read: `seed -> words as read`, or windows, for the whole tensor, other formats included: errors do not depend
            on where the tensor is split.
        table: the value of each word, as integers with the same bits, or in float64 to be scaled by row or group; 0 for
            words that are no labels.
        starts: first index of each run of its weights.
        stops: index after the last of each run.
    """

    bits: int
    read: Callable[[int], torch.Tensor]
    table: NDArray[Any]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


class TensorReader:
    """Reads a stored tensor with the same bits as `TensorFormat.read`; what all reads share is computed once.

    Args:
        storage: its tensor format.
        words: its stored words, each a label of its format.
        scale: its scale.
        fault: how the memory fails.
        place: name of the tensor; see `FaultModel.corrupt`.
        outliers: as for `TensorFormat.read`.
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
        outliers: Outliers | None = None,
        dtype: torch.dtype,
    ) -> None:
        self._storage, self._words, self._scale, self._fault, self._place = storage, words, scale, fault, place
        storage.places_of(outliers)
        self._outliers = outliers
        self._integers = _INTEGERS[dtype.itemsize]
        self._dtype = dtype

    def into(self, out: torch.Tensor) -> Callable[[int | None], None]:
        """Return `seed -> None`, which overwrites `out` with the weights as read.

        Args:
            out: contiguous, of the shape of the words and the dtype of this reader, on the device of the words.

        Returns:
            The function; the same seed gives the same errors, None the weights without errors. It raises
            `ArgumentError` if a word read is no label of its format.
        """
        scaled = None
        if self._scale.ndim and self._dtype in (torch.float32, torch.float64):
            scaled = scaled_look_up()
        # The look-up runs on the CPU, and a table cannot hold a scale for each row.
        if self._words.device.type != "cpu" or (self._scale.ndim and scaled is None):
            return lambda seed: self._read(out, seed)
        values = out.view(-1).numpy() if scaled else out.view(-1).view(self._integers).numpy()

        def read(seed: int | None) -> None:
            if seed is None:
                self._read(out, seed)
                return
            for bits, read_words, table, starts, stops in self._parts:
                words = read_words(seed).numpy()
                if scaled:
                    seen = scaled(words, table, *self._factors, values, starts, stops)
                else:
                    seen = look_up(words, table, values, starts, stops)
                if seen >> bits:
                    raise ArgumentError(f"words of {self._place!r} must be below {1 << bits}, got one that is not")
            if self._outliers is not None:
                self._outliers.put(out)

        return read

    def _read(self, out: torch.Tensor, seed: int | None) -> None:
        if seed is None:
            self._storage.decode(self._words, self._scale, out=out, outliers=self._outliers)
        else:
            read = self._storage.corrupt(self._words, self._fault, seed=seed, place=self._place)
            self._storage.decode(read, self._scale, out=out, outliers=self._outliers)

    @cached_property
    def _parts(self) -> list[_Part]:
        parts = []
        storage = self._storage
        of_formats = zip(storage.spans_of_formats, storage.runs_of_formats, storage.readouts, strict=True)
        for (fmt, spans), runs, readout in of_formats:
            labels = self._words.reshape(-1).to(label_dtype(fmt.bits))
            read = fmt.reader(labels, self._fault, place=self._place)
            bits = fmt.bits
            if fmt.levels.is_stream:
                read, bits = _of_windows(read, fmt, spans), len(fmt.readout()).bit_length() - 1
                labels = labels.to(torch.uint16)
            # In float64, rounded once to the dtype, in the order of `TensorFormat.decode`: that gives the same bits.
            values = torch.from_numpy(readout)
            if not self._scale.ndim:
                values = values * (self._scale * self._storage.readout_gain)
            # An entry for every word of the dtype: a word that is no label cannot reach beyond the table, and is
            # reported after the look-up.
            kept = torch.float64 if self._scale.ndim else self._dtype
            table = torch.zeros(1 << 8 * labels.itemsize, dtype=kept, device="cpu")
            table[: len(values)] = values
            entries = table.numpy() if self._scale.ndim else table.view(self._integers).numpy()
            parts.append(_Part(bits, read, entries, *runs))
        return parts

    @cached_property
    def _factors(self) -> tuple[NDArray[np.float64], int, int]:
        """Factor of each row or group, weights of a row, weights of a group (0 for none)."""
        granularity = self._storage.granularity
        factors = (self._scale * self._storage.readout_gain).reshape(-1).numpy()
        return factors, row_length(self._words.shape), 0 if isinstance(granularity, str) else granularity


def _of_windows(
    read: Callable[[int], torch.Tensor], fmt: Format, spans: Sequence[slice]
) -> Callable[[int], torch.Tensor]:
    """`seed -> windows` of the weights of a trellis in the whole tensor, from `seed -> words`."""

    def windows(seed: int) -> torch.Tensor:
        words = read(seed)
        found = torch.zeros(words.shape, dtype=torch.int16)
        seen = fmt.windows(words_at(words, spans))
        start = 0
        for span in spans:
            found[span] = seen[start : start + span.stop - span.start]
            start += span.stop - span.start
        return found.view(torch.uint16)

    return windows
