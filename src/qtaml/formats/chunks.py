"""Going through a flattened tensor a part at a time, so that nothing of its size is needed besides it."""

from collections.abc import Iterator, Sequence

import torch

CHUNK = 1 << 20
"""Weights that are worked on at once. Even, so that what lies just between two levels goes up and down in turn."""

Places = slice | torch.Tensor
"""Where some weights are in a flattened tensor: a run of them, or their indices."""


def chunks(spans: Sequence[slice], device: torch.device) -> Iterator[Places]:
    """The places of some runs of a flattened tensor, in their order, at most `CHUNK` at once.

    Args:
        spans: runs with start and stop; all but the last chunk are full, whatever their lengths.
        device: where indices are made.

    Yields:
        A slice where a chunk is one run, indices where it is several.

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
    """The words of some runs of a flattened tensor, one run after the other; a view where it is one run.

    Example:
        >>> words_at(torch.tensor([5, 6, 7], dtype=torch.uint8), [slice(0, 1), slice(2, 3)]).tolist()
        [5, 7]
    """
    return words[spans[0]] if len(spans) == 1 else torch.cat([words[span] for span in spans])


def take(words: torch.Tensor, where: Places) -> torch.Tensor:
    """The words at some places of a flattened tensor."""
    return _indexable(words)[where].view(words.dtype)


def put(words: torch.Tensor, where: Places, labels: torch.Tensor) -> None:
    """Write labels, of a dtype that is no wider, at some places of a flattened tensor of words."""
    _indexable(words)[where] = _indexable(labels.to(words.dtype))


def _indexable(words: torch.Tensor) -> torch.Tensor:
    # torch takes no indices for words of 16 bits, but for their signed twins.
    return words.view(torch.int16) if words.dtype == torch.uint16 else words


def _places(parts: Sequence[slice], device: torch.device) -> Places:
    if len(parts) == 1:
        return parts[0]
    return torch.cat([torch.arange(part.start, part.stop, device=device) for part in parts])
