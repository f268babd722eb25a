"""Rounding with feedback: what the label of a weight leaves is made up for by the weights that are rounded after it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.faults import FaultModel
from qtaml.formats import entropy
from qtaml.formats.chunks import put
from qtaml.formats.coordinate_descent import Stored, descend
from qtaml.formats.entropy import EntropyLevels
from qtaml.formats.format import Format
from qtaml.formats.roundings import Padded, Rounding
from qtaml.formats.scales import Granularity, row_length
from qtaml.formats.weak_bits import WeakBits
from qtaml.sensitivity.curvature import Curvature, Shares

_LINES = 64
"""Lines that are rounded at once: what they take over from all before is one product of matrices."""


Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Singles = NDArray[np.float32]


def feed_back(
    words: torch.Tensor,
    weights: torch.Tensor,
    scale: torch.Tensor,
    granularity: Granularity,
    spans_of_formats: Sequence[tuple[Format, Sequence[slice]]],
    fault: FaultModel,
    curvature: Curvature,
    exact: torch.Tensor | None,
    weak: WeakBits | None,
) -> None:
    """Overwrite the words of a tensor, but those of weights that are read exactly.

    Labels are chosen one after the other, each for what those before it left, then all anew for all others, with the
    streams of trellises. An entropy-coded block whose codes get too long is rounded anew, more coarsely, without
    feedback.

    Args:
        words: of the tensor, flat, chosen one by one, and as the streams of trellises.
        weights: of the tensor.
        scale: its scales, times the readout gain for which words are chosen.
        granularity: what shares one.
        spans_of_formats: as in `TensorFormat`.
        fault: the fault model that the correction expects.
        curvature: of the tensor.
        exact: places of the weights that are read exactly.
        weak: what weak cells do to the words, if the writer knows; then words of trellises alone are chosen anew.
    """
    rows, columns = len(weights), row_length(weights.shape)
    scales = _of_weights(scale, granularity, rows, columns)
    # Where a scale is 0, all weights are, and any label is read as 0.
    kept = scales == 0
    scales[kept] = 1.0
    if exact is not None:
        kept.reshape(-1)[exact.cpu().numpy()] = True
    formats = [
        (fmt, np.concatenate([np.arange(one.start, one.stop) for one in spans])) for fmt, spans in spans_of_formats
    ]
    matrix = weights.detach().reshape(rows, columns).float().cpu().numpy()
    kinds, roundings = _roundings(matrix, scales, formats, fault, weak)
    kinds[kept] = -1
    found = words.cpu()
    if roundings:
        labels, targets = fed_back(weights, scales, kinds, roundings, curvature)
        for fmt, places in formats:
            if not isinstance(levels := fmt.levels, EntropyLevels):
                continue
            own, aims = labels.reshape(-1)[places], targets.reshape(-1)[places] / scales.reshape(-1)[places]
            own[kinds.reshape(-1)[places] < 0] = np.argmin(np.abs(levels.values))
            put(found, torch.from_numpy(places), entropy.encode(torch.from_numpy(aims), levels, own.astype(np.int16)))
            kinds.reshape(-1)[places] = -1
        rounded = np.flatnonzero(kinds >= 0)
        put(found, torch.from_numpy(rounded), torch.from_numpy(labels.reshape(-1)[rounded]))
    descend(found, Stored(matrix, scales, formats, kinds, roundings, kept, fault, weak), curvature)
    words.copy_(found)


def _roundings(
    matrix: Singles,
    scales: Floats,
    formats: Sequence[tuple[Format, Integers]],
    fault: FaultModel,
    weak: WeakBits | None,
) -> tuple[NDArray[np.int16], list[Rounding]]:
    """Which rounding each weight has, of the shape of the matrix, -1 for none; and the roundings."""
    kinds, roundings = np.full(matrix.size, -1, np.int16), list[Rounding]()
    for fmt, places in formats:
        levels = fmt.levels
        if isinstance(levels, EntropyLevels):
            relative = matrix.reshape(-1)[places].astype(np.float64) / scales.reshape(-1)[places]
            of_weights, decisions = entropy.decisions(relative, levels)
            kinds[places] = of_weights + len(roundings)
            roundings += [Rounding(*one, fmt.read_mean(fault)) for one in decisions]
        elif not levels.is_stream and weak is None:
            kinds[places] = len(roundings)
            decision = fmt.decision("least_error", fault)
            roundings.append(Rounding(decision.boundaries, decision.labels, fmt.read_mean(fault)))
    return kinds.reshape(matrix.shape), roundings


def _of_weights(scale: torch.Tensor, granularity: Granularity, rows: int, columns: int) -> Floats:
    """The scale of each weight, shape (rows, columns)."""
    each = scale.reshape(rows, -1) if scale.ndim else scale
    if isinstance(granularity, int):
        each = each.repeat_interleave(granularity, 1)[:, :columns]
    return each.double().cpu().expand(rows, columns).numpy().copy()


def fed_back(
    weights: torch.Tensor,
    scales: Floats,
    kinds: NDArray[np.int16],
    roundings: Sequence[Rounding],
    curvature: Curvature,
) -> tuple[Integers, Singles]:
    """Labels of least tr(rows E columns E^T), about, for the errors E of a tensor: weights less expected values read.

    Line by line, and weight by weight in a line, each gets the label that its own decision gives for it less what the
    errors before it ask for: the least that is left if those after it were not rounded at all.

    Args:
        weights: of at least two dimensions, of which all but the first count as one.
        scales: what the levels are in units of, shape (rows, columns).
        kinds: the rounding of each weight, a place in `roundings`, shape (rows, columns); -1 for weights that are read
            exactly or whose labels are chosen elsewhere.
        roundings: for each format.
        curvature: of the tensor.

    Returns:
        Labels, 0 for weights of kind -1, and weights less what errors before each ask for; shape (rows, columns).

    Source:
        theory.md 6.12; GPTQ, arXiv 2210.17323; with rows and columns, YAQA, arXiv 2505.22988.

    Example:
        >>> inputs_alike = Curvature(None, torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64))
        >>> weights, one = torch.tensor([[0.4, 0.4]]), np.ones((1, 2))
        >>> rounding = Rounding(np.array([-0.5, 0.5]), np.array([0, 1, 2]), np.array([-1.0, 0.0, 1.0]))
        >>> fed_back(weights, one, np.zeros((1, 2), np.int16), [rounding], inputs_alike)[0].tolist()  # .8 read as 0 + 1
        [[1, 2]]
    """
    matrix = weights.detach().reshape(len(weights), -1).float().cpu().numpy()
    rows, columns = curvature.row_shares, curvature.column_shares
    # The inner loop runs over the shorter side, whose shares stay in the cache.
    turned = rows is not None and (columns is None or matrix.shape[0] < matrix.shape[1])
    outer, inner = (columns, rows) if turned else (rows, columns)
    if turned:
        matrix, scales, kinds = matrix.T, scales.T, kinds.T
    labels, targets = _rounded(matrix, scales, kinds, roundings, outer, inner)
    return (np.ascontiguousarray(labels.T), np.ascontiguousarray(targets.T)) if turned else (labels, targets)


def _rounded(
    matrix: Singles,
    scales: Floats,
    kinds: NDArray[np.int16],
    roundings: Sequence[Rounding],
    outer: Shares | None,
    inner: Shares | None,
) -> tuple[Integers, Singles]:
    # Numba takes a second to import, which only feedback should wait for.
    from qtaml.formats.feedback_kernel import round_lines

    lines, width = matrix.shape
    none = np.empty((0, 0), np.float32)
    order = outer.order if outer else np.arange(lines)
    across = inner.order if inner else np.arange(width)
    along = inner.shares if inner else none
    padded = Padded.of(roundings)
    labels, aims = np.zeros(matrix.shape, np.int64), np.empty(matrix.shape, np.float32)
    errors = np.empty(matrix.shape if outer else (_LINES, width), np.float32)
    for start in range(0, lines, _LINES):
        block = order[start : start + _LINES]
        picked = np.ix_(block, across)
        exact = matrix[picked]
        stop = start + len(block)
        before = outer.shares[:start, start:stop].T @ errors[:start] if outer else np.float32(0)
        targets = exact + before
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
        labels[picked], aims[picked] = found, targets
    return labels, aims
