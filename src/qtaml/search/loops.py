"""The loops of fitting, compiled: regions, tables and exchange of labels for one law of the word read.

Arrays of a law: `groups` has the matrices of its groups one after the other, row by row, `transposed` their transposes,
and `sizes` their numbers of rows. The law of a word is their Kronecker product, applied group by group: bits x 2**bits
products in place of 4**bits.
"""

import numpy as np
from numpy.typing import NDArray

from qtaml.faults import WordLaw
from qtaml.formats.compiled import compiled

_LANES = 8
"""Sums that grow side by side, as a processor's vector does; a law of smaller words has no use for them."""

_UNLIKELY = 1e-9
"""Probability of a word read below which an exchange of labels leaves it out."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def arrays_of(law: WordLaw) -> tuple[Floats, Floats, Integers]:
    """(groups, transposed, sizes) of a law."""
    groups, transposed = (
        np.concatenate([*(np.asarray(one, dtype=np.float64).reshape(-1) for one in matrices), np.empty(0)])
        for matrices in (law.groups, [group.T for group in law.groups])
    )
    return groups, transposed, np.array([len(group) for group in law.groups], dtype=np.int64)


@compiled
def expected(groups: Floats, sizes: Integers, values: Floats) -> Floats:
    """sum_v P[u, v] values[v] for each stored word u; of transposed groups, sum_u P[u, v] values[u] for each read v."""
    now, start, below = values.copy(), 0, 1
    for size in sizes:
        if size == 2:  # most are: without an array for each
            same, risen, fallen, kept = groups[start : start + 4]
            for base in range(0, len(now), 2 * below):
                for low in range(base, base + below):
                    zero, one = now[low], now[low + below]
                    now[low], now[low + below] = same * zero + risen * one, fallen * zero + kept * one
            start, below = start + 4, 2 * below
            continue
        after = np.zeros_like(now)
        step = size * below
        for base in range(0, len(now), step):
            for stored in range(size):
                for read in range(size):
                    weight = groups[start + stored * size + read]
                    for low in range(below):
                        after[base + stored * below + low] += weight * now[base + read * below + low]
        now, start, below = after, start + size * size, step
    return now


@compiled
def read_moments(groups: Floats, sizes: Integers, table: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the value read for each stored word: `qtaml.formats.transitions.error_moments`, compiled."""
    mean, variance, start, below = table.copy(), np.zeros_like(table), 0, 1
    for size in sizes:
        means, variances = np.empty_like(mean), np.empty_like(mean)
        for base in range(0, len(mean), size * below):
            for stored in range(size):
                for low in range(below):
                    place = base + stored * below + low
                    drift, spread = 0.0, 0.0
                    for read in range(size):
                        other = base + read * below + low
                        drift += groups[start + stored * size + read] * (mean[other] - mean[place])
                    for read in range(size):
                        other = base + read * below + low
                        shift = mean[other] - mean[place] - drift
                        spread += groups[start + stored * size + read] * (variance[other] + shift * shift)
                    means[place], variances[place] = mean[place] + drift, spread
        mean, variance, start, below = means, variances, start + size * size, size * below
    return mean, variance


@compiled
def envelope(mean: Floats, square: Floats) -> tuple[Floats, Integers]:
    """`qtaml.formats.nearest_label.least_error_regions`, compiled."""
    return _envelope_of(np.argsort(mean, kind="mergesort"), mean, square)


@compiled
def _envelope_of(order: Integers, mean: Floats, square: Floats) -> tuple[Floats, Integers]:
    """`envelope` for labels in the order of their means."""
    kept, thresholds = np.empty(len(mean), np.int64), np.empty(len(mean), np.float64)
    count = 0
    for index in order:
        if count and mean[index] == mean[kept[count - 1]]:
            # Parallel lines: the lower one stays.
            if square[index] >= square[kept[count - 1]]:
                continue
            count -= 1
        while count:
            last = kept[count - 1]
            crossing = (square[index] - square[last]) / (2 * (mean[index] - mean[last]))
            if count == 1 or crossing > thresholds[count - 2]:
                thresholds[count - 1] = crossing
                break
            count -= 1
        kept[count] = index
        count += 1
    return thresholds[: max(count - 1, 0)].copy(), kept[:count].copy()


@compiled
def _up_to(points: Floats, value: float, low: int) -> int:
    """Number of points up to a value, of which `low` are known: steps of twice the length, and then by halves."""
    step = 1
    while low + step <= len(points) and points[low + step - 1] <= value:
        low, step = low + step, 2 * step
    high = min(low + step - 1, len(points))
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if points[middle] <= value else (low, middle)
    return low


@compiled
def cut(points: Floats, cumulated: Floats, thresholds: Floats) -> Floats:
    """Share of the weights, and their sum, in each region between thresholds, shape (2, regions)."""
    moments = np.empty((2, len(thresholds) + 1))
    before = 0
    for region in range(len(thresholds) + 1):
        last = region == len(thresholds)
        after = len(points) if last else _up_to(points, thresholds[region], before)
        for row in range(2):
            moments[row, region] = cumulated[row, after] - cumulated[row, before]
        before = after
    return moments


@compiled
def table_of(
    transposed: Floats, sizes: Integers, labels: Integers, moments: Floats, before: Floats
) -> tuple[Floats, float]:
    """Mean of the weights read as each label, and the mean square of what is read.

    Labels that are never read keep their value from `before`.
    """
    amounts = np.zeros((2, len(before)))
    for cell in range(len(labels)):
        amounts[0, labels[cell]] += moments[0, cell]
        amounts[1, labels[cell]] += moments[1, cell]
    share, total = expected(transposed, sizes, amounts[0]), expected(transposed, sizes, amounts[1])
    table, explained = before.copy(), 0.0
    for label in range(len(before)):
        if share[label] > 0:
            table[label] = total[label] / share[label]
            explained += total[label] * table[label]
    return table, explained


@compiled
def settled(
    points: Floats,
    cumulated: Floats,
    groups: Floats,
    transposed: Floats,
    sizes: Integers,
    power: float,
    table: Floats,
    tolerance: float,
    smallest: float,
    rounds: int,
) -> tuple[Integers, Floats, Floats, float]:
    """Alternate regions and table until the error falls by less than `tolerance` of itself in a round.

    `power` is the mean square of the points.

    Returns:
        (labels, moments, table, mean square of what is read); the labels are of the regions that hold weights.
    """
    labels, moments, explained, error = np.empty(0, np.int64), np.empty((2, 0)), 0.0, np.inf
    for _ in range(rounds):
        thresholds, all_labels = envelope(expected(groups, sizes, table), expected(groups, sizes, table * table))
        all_moments = cut(points, cumulated, thresholds)
        filled = np.nonzero(all_moments[0] > 0)[0]
        labels, moments = all_labels[filled], all_moments[:, filled]
        table, explained = table_of(transposed, sizes, labels, moments, table)
        now = power - explained
        if error - now <= tolerance * now + smallest:
            break
        error = now
    return labels, moments, table, explained


@compiled
def _sum(terms: Floats) -> float:
    """Sum in lanes: one running sum would wait for each addition to end."""
    lanes, total = np.zeros(_LANES), 0.0
    whole = len(terms) // _LANES * _LANES
    for start in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += terms[start + lane]
    for lane in range(_LANES):
        total += lanes[lane]
    for place in range(whole, len(terms)):
        total += terms[place]
    return total


@compiled
def exchanged(
    matrix: Floats, labels: Integers, moments: Floats, tried: Integers, least_gain: float
) -> tuple[Integers, bool]:
    """Give each cell in turn the label of largest gain with its best table, until a whole sweep changes none.

    Args:
        matrix: P[stored, read].
        labels: label of each cell.
        moments: share of the weights and their sum in each cell, shape (2, cells).
        tried: labels tried for each cell, shape (cells, labels tried).
        least_gain: least rise of the mean square of what is read that counts as a gain.

    Returns:
        The labels, and whether one has changed.
    """
    labels, size = labels.copy(), len(matrix)
    share, total = np.zeros(size), np.zeros(size)
    for cell in range(len(labels)):
        for read in range(size):
            share[read] += moments[0, cell] * matrix[labels[cell], read]
            total[read] += moments[1, cell] * matrix[labels[cell], read]
    gain = 0.0
    for read in range(size):
        gain += total[read] ** 2 / max(share[read], 1e-18)
    # Where errors are rare, a word is hardly ever read as any but its neighbours.
    likely, neighbours = np.zeros(size, dtype=np.int64), np.empty((size, size), dtype=np.int64)
    for stored in range(size):
        for read in range(size):
            if matrix[stored, read] > _UNLIKELY:
                neighbours[stored, likely[stored]] = read
                likely[stored] += 1
    changed, waiting, cell = False, len(labels), 0
    terms, shares, totals = np.empty(size), np.empty(size), np.empty(size)
    while waiting:
        waiting -= 1
        weight, amount, own = moments[0, cell], moments[1, cell], matrix[labels[cell]]
        for read in range(size):
            shares[read] = share[read] - weight * own[read]
            totals[read] = total[read] - amount * own[read]
            terms[read] = totals[read] * totals[read] / max(shares[read], 1e-18)
        without = _sum(terms)
        best, winner = gain + least_gain, -1
        for other in tried[cell]:
            row, explained = matrix[other], without
            for place in range(likely[other]):
                read = neighbours[other, place]
                now = totals[read] + amount * row[read]
                explained += now * now / max(shares[read] + weight * row[read], 1e-18) - terms[read]
            if explained > best:
                best, winner = explained, other
        if winner >= 0:
            row = matrix[winner]
            for read in range(size):
                share[read] = shares[read] + weight * row[read]
                total[read] = totals[read] + amount * row[read]
            labels[cell], gain, changed, waiting = winner, best, True, len(labels)
        cell = (cell + 1) % len(labels)
    return labels, changed


@compiled
def straight_error(
    points: Floats, cumulated: Floats, order: Integers, mean: Floats, square: Floats, first: float, step: float
) -> tuple[float, float]:
    """Error of the readout first + step x v, less the mean square of the weights, and the mean of the label read."""
    squared = first**2 + 2 * first * step * mean + step**2 * square
    thresholds, stored = _envelope_of(order, first + step * mean, squared)
    moments = cut(points, cumulated, thresholds)
    error, read = 0.0, 0.0
    for region in range(len(stored)):
        label = stored[region]
        error += moments[0, region] * squared[label] - 2 * moments[1, region] * (first + step * mean[label])
        read += moments[0, region] * mean[label]
    return error, read


@compiled
def straight_readout(
    points: Floats,
    cumulated: Floats,
    mean: Floats,
    square: Floats,
    steps: Floats,
    centerings: int,
    changes: tuple[float, float],
    finest: float,
    rounds: int,
) -> tuple[float, float]:
    """The readout first + step x v of the least error: a scan of steps, then a compass search from the best of them.

    Args:
        points: weights.
        cumulated: share and sum of the weights below each place between points.
        mean: of the label read, for each label stored.
        square: mean square of the label read.
        steps: that are scanned, each with the first value at which the mean read is that of the weights.
        centerings: rounds of a fixed point for this first value.
        changes: of the logarithm of the step, and of the middle of the levels as a share of their reach, at first.
        finest: change at which the search ends.
        rounds: most of it.

    Returns:
        (first, step).
    """
    order = np.argsort(mean, kind="mergesort")
    half, center = (len(mean) - 1) / 2, cumulated[1, -1]
    best, middle, step = np.inf, 0.0, 0.0
    for tried in steps:
        first = center - tried * half
        for _ in range(centerings):
            first = center - tried * straight_error(points, cumulated, order, mean, square, first, tried)[1]
        error = straight_error(points, cumulated, order, mean, square, first, tried)[0]
        if error < best:
            best, middle, step = error, first + tried * half, tried
    wider, higher = changes
    for _ in range(rounds):
        if max(wider, higher) <= finest:
            break
        # Reach and middle: in first value and step the same change would move the outermost level the farther the more
        # levels there are, and the two would have to change together.
        around = (
            (middle, step * np.exp(wider)),
            (middle, step * np.exp(-wider)),
            (middle + higher * step * len(mean), step),
            (middle - higher * step * len(mean), step),
        )
        before = best
        for near, tried in around:
            error = straight_error(points, cumulated, order, mean, square, near - tried * half, tried)[0]
            if error < best:
                best, middle, step = error, near, tried
        if best == before:
            wider, higher = wider / 2, higher / 2
    return middle - step * half, step


@compiled
def binned(values: Floats, scale: float, first: float, width: float, middles: Floats) -> tuple[Floats, Floats, float]:
    """Values in each bin of equal width in asinh(value / scale), and moments of their distances from its middle.

    Returns:
        (counts, sums of distances, sum of their squares).
    """
    bins = len(middles)
    counts, sums, squares = np.zeros(bins), np.zeros(bins), 0.0
    for value in values:
        size = abs(value) / scale
        place = np.log(size + np.sqrt(size * size + 1))
        index = min(max(int(((place if value >= 0 else -place) - first) / width), 0), bins - 1)
        away = value - middles[index]
        counts[index] += 1
        sums[index] += away
        squares += away * away
    return counts, sums, squares
