"""Rounding with feedback: what the label of a weight leaves is made up for by the weights that are rounded after it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.faults import FaultModel
from qtaml.formats.chunks import put
from qtaml.formats.encoding import Decision
from qtaml.formats.format import Format
from qtaml.formats.scales import Granularity, row_length
from qtaml.sensitivity.curvature import Curvature, Shares

_LINES = 64
"""Lines that are rounded at once: what they take over from all before is one product of matrices."""


Singles = NDArray[np.float32]


class Rounding(NamedTuple):
    """How the weights of one format are rounded.

    Attributes:
        decision: which label a weight gets.
        levels: expected value read of each label, in units of the scale.
    """

    decision: Decision
    levels: NDArray[np.float64]


def feed_back(
    words: torch.Tensor,
    weights: torch.Tensor,
    divisor: torch.Tensor,
    granularity: Granularity,
    spans_of_formats: Sequence[tuple[Format, Sequence[slice]]],
    fault: FaultModel,
    curvature: Curvature,
    exact: torch.Tensor | None,
) -> None:
    """Overwrite the words of a tensor, but those of trellises, which share words, and of weights that are read exactly.

    Args:
        words: of the tensor, flat, chosen one by one.
        weights: of the tensor.
        divisor: its scales.
        granularity: what shares one.
        spans_of_formats: as in `TensorFormat`.
        fault: the fault model that the correction expects.
        curvature: of the tensor.
        exact: places of the weights that are read exactly.
    """
    kinds = np.full(weights.numel(), -1, np.int16)
    roundings: list[Rounding] = []
    for fmt, spans in spans_of_formats:
        if not fmt.levels.is_stream:
            for span in spans:
                kinds[span] = len(roundings)
            roundings.append(Rounding(fmt.decision("least_error", fault), fmt.read_mean(fault)))
    if exact is not None:
        kinds[exact.cpu().numpy()] = -1
    if not roundings:
        return
    rows, columns = len(weights), row_length(weights.shape)
    each = divisor.reshape(rows, -1) if divisor.ndim else divisor
    if isinstance(granularity, int):
        each = each.repeat_interleave(granularity, 1)[:, :columns]
    labels = fed_back(weights, each, kinds.reshape(rows, columns), roundings, curvature)
    rounded = torch.from_numpy(np.flatnonzero(kinds >= 0)).to(words.device)
    put(words, rounded, labels.reshape(-1).to(words.device)[rounded])


def fed_back(
    weights: torch.Tensor,
    scales: torch.Tensor,
    kinds: NDArray[np.int16],
    roundings: Sequence[Rounding],
    curvature: Curvature,
) -> torch.Tensor:
    """Labels of least tr(rows E columns E^T), about, for the errors E of a tensor: weights less expected values read.

    Line by line, and weight by weight in a line, each gets the label that its own decision gives for it less what the
    errors before it ask for: the least that is left if those after it were not rounded at all.

    Args:
        weights: of at least two dimensions, of which all but the first count as one.
        scales: what the levels are in units of, of a shape that expands to (rows, columns).
        kinds: the rounding of each weight, a place in `roundings`, shape (rows, columns); -1 for weights that are read
            exactly or whose labels are chosen elsewhere.
        roundings: for each format.
        curvature: of the tensor.

    Returns:
        Labels, int64, shape (rows, columns); 0 for weights of kind -1.

    Source:
        theory.md 6.12; GPTQ, arXiv 2210.17323; with rows and columns, YAQA, arXiv 2505.22988.

    Example:
        >>> even = Decision.of(np.array([-0.5, 0.5]), np.array([0, 1, 2]))
        >>> inputs_alike = Curvature(None, torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64))
        >>> rounding = Rounding(even, np.array([-1.0, 0.0, 1.0]))
        >>> weights, one = torch.tensor([[0.4, 0.4]]), torch.ones(())
        >>> fed_back(weights, one, np.zeros((1, 2), np.int16), [rounding], inputs_alike)  # .8 read as 0 + 1
        tensor([[1, 2]])
    """
    matrix = weights.detach().reshape(len(weights), -1).float().cpu().numpy()
    spread = scales.double().cpu().expand(matrix.shape).numpy()
    rows, columns = curvature.row_shares, curvature.column_shares
    # The inner loop runs over the shorter side, whose shares stay in the cache.
    turned = rows is not None and (columns is None or matrix.shape[0] < matrix.shape[1])
    outer, inner = (columns, rows) if turned else (rows, columns)
    if turned:
        matrix, spread, kinds = matrix.T, spread.T, kinds.T
    labels = _rounded(matrix, spread, kinds, roundings, outer, inner)
    return torch.from_numpy(np.ascontiguousarray(labels.T) if turned else labels)


def _rounded(
    matrix: Singles,
    scales: NDArray[np.float64],
    kinds: NDArray[np.int16],
    roundings: Sequence[Rounding],
    outer: Shares | None,
    inner: Shares | None,
) -> NDArray[np.int64]:
    # Numba takes a second to import, which only feedback should wait for.
    from qtaml.formats.feedback_kernel import round_lines

    lines, width = matrix.shape
    none = np.empty((0, 0), np.float32)
    order = outer.order if outer else np.arange(lines)
    across = inner.order if inner else np.arange(width)
    along = inner.shares if inner else none
    padded = _Padded.of(roundings)
    labels = np.zeros(matrix.shape, np.int64)
    errors = np.empty(matrix.shape if outer else (_LINES, width), np.float32)
    for start in range(0, lines, _LINES):
        block = order[start : start + _LINES]
        picked = np.ix_(block, across)
        exact = matrix[picked]
        stop = start + len(block)
        before = outer.shares[:start, start:stop].T @ errors[:start] if outer else np.float32(0)
        targets = exact - before
        between = np.ascontiguousarray(outer.shares[start:stop, start:stop]) if outer else none
        found, left = np.zeros(targets.shape, np.int64), errors[start:stop] if outer else errors[: len(block)]
        round_lines(
            targets,
            exact,
            np.ascontiguousarray(scales[picked]),
            np.ascontiguousarray(kinds[picked]),
            padded.boundaries,
            padded.counts,
            padded.intervals,
            padded.levels,
            between,
            along,
            found,
            left,
        )
        labels[picked] = found
    return labels


class _Padded(NamedTuple):
    """Several roundings as arrays with a row for each: boundaries, their number, labels of intervals, levels."""

    boundaries: NDArray[np.float64]
    counts: NDArray[np.int64]
    intervals: NDArray[np.int64]
    levels: NDArray[np.float64]

    @staticmethod
    def of(roundings: Sequence[Rounding]) -> "_Padded":
        """Filled up with infinite boundaries, and zeros."""
        counts = np.array([len(one.decision.boundaries) for one in roundings], np.int64)
        boundaries = np.full((len(roundings), counts.max()), np.inf)
        intervals = np.zeros((len(roundings), counts.max() + 1), np.int64)
        levels = np.zeros((len(roundings), max(len(one.levels) for one in roundings)))
        for place, one in enumerate(roundings):
            boundaries[place, : counts[place]] = one.decision.boundaries
            intervals[place, : counts[place] + 1] = one.decision.labels
            levels[place, : len(one.levels)] = one.levels
        return _Padded(boundaries, counts, intervals, levels)


def curved_error(errors: torch.Tensor, curvature: Curvature) -> float:
    """tr(rows E columns E^T), of errors of shape (rows, ...)."""
    flat = errors.reshape(len(errors), -1).double()
    left = flat if curvature.rows is None else curvature.rows @ flat
    right = flat if curvature.columns is None else flat @ curvature.columns
    return float((left * right).sum())
