"""Iteration over a flattened tensor in chunks, so that no temporary has the size of the tensor."""

from collections.abc import Iterator, Sequence

import torch

# Even, because `Format.encode` alternates ties by their position in a chunk: an odd chunk would shift the turn, and the
# words would depend on its size. A temporary in float64 takes 8 MiB.
CHUNK = 1 << 20
"""Weights that are worked on at once."""

Places = slice | torch.Tensor
"""Positions of weights in a flattened tensor: a run, or indices."""


def chunks(spans: Sequence[slice], device: torch.device) -> Iterator[Places]:
    """Split runs of a flattened tensor into chunks of at most `CHUNK` weights, in their order.

    Args:
        spans: runs with start and stop; short ones share a chunk, so that all chunks but the last are full.
        device: where indices are made.

    Yields:
        A slice if a chunk is one run, indices if it joins several.

    Example:
        >>> list(chunks([slice(0, 2), slice(5, 6)], torch.device("cpu")))
        [tensor([0, 1, 5])]
    """
    parts: list[slice] = []
    left = CHUNK
    for span in spans:
        start = span.start
        while start < span.stop:
            part = slice(start, min(span.stop, start + left))
            parts.append(part)
            start, left = part.stop, left - (part.stop - part.start)
            if left == 0:
                yield _places(parts, device)
                parts, left = [], CHUNK
    if parts:
        yield _places(parts, device)


def words_at(words: torch.Tensor, spans: Sequence[slice]) -> torch.Tensor:
    """Words of the given runs of a flattened tensor, one run after the other; a view if there is one run.

    Example:
        >>> words_at(torch.tensor([5, 6, 7], dtype=torch.uint8), [slice(0, 1), slice(2, 3)]).tolist()
        [5, 7]
    """
    if not spans:
        return words[:0]
    return words[spans[0]] if len(spans) == 1 else torch.cat([words[span] for span in spans])


def take(words: torch.Tensor, where: Places) -> torch.Tensor:
    """Words at the given places of a flattened tensor."""
    return _indexable(words)[where].view(words.dtype)


def put(words: torch.Tensor, where: Places, labels: torch.Tensor) -> None:
    """Write labels, of a dtype that is no wider, to the given places of a flattened tensor of words."""
    _indexable(words)[where] = _indexable(labels.to(words.dtype))


def _indexable(words: torch.Tensor) -> torch.Tensor:
    # Not every version of torch can index uint16; int16 has the same bits.
    return words.view(torch.int16) if words.dtype == torch.uint16 else words


def _places(parts: Sequence[slice], device: torch.device) -> Places:
    # A slice is a view, an index copies; but rows by the thousand are faster indexed at once than sliced one by one.
    if len(parts) == 1:
        return parts[0]
    return torch.cat([torch.arange(part.start, part.stop, device=device) for part in parts])
