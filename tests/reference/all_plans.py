"""Every plan of a few words, by contraction over their bits: a slow version of the search for checkpoints."""

from itertools import product

import numpy as np

from qtaml.checkpoints.word_law import value_of
from qtaml.checkpoints.word_range import read_in_range


def least_errors(unit, words, menus, ranges, budgets):
    """Least expected squared error of all plans within each budget: of a word for each weight, or of scale x codes.

    Args:
        unit: the format.
        words: of each field, shape (units, words).
        menus: of each plane of each field.
        ranges: of each field.
        budgets: in cells.
    """
    best = np.full(len(budgets), np.inf)
    for chosen in product(*ranges):
        laws = [_laws(*row) for row in zip(unit.fields, words.values(), menus, chosen, strict=True)]
        error = _alone(words, laws) if len(laws) == 1 else _product(unit, words, laws)
        cells = _cells(menus[0]) if len(menus) == 1 else np.add.outer(*map(_cells, menus))
        cells = cells + sum(one.cells for one in chosen if one)
        order = np.argsort(cells, axis=None)
        least = np.minimum.accumulate(error.ravel()[order])
        place = np.searchsorted(cells.ravel()[order], budgets, side="right")
        best = np.minimum(best, np.where(place > 0, least[place - 1], np.inf))
    return best


def _laws(field, words, menus, allowed):
    """For each distinct word: its value, and drift and variance of what is read, under each plan of its bits."""
    return {word: _law(field, word, menus, allowed) for word in np.unique(words).tolist()}


def _law(field, word, menus, allowed):
    value = float(value_of(field, np.array([word]), "clamp")[0])
    read = read_in_range(field, word ^ np.arange(2**field.bits), allowed)
    error = value_of(field, read, "clamp") - value
    drift, square = (_mean(error**power, word, menus) for power in (1, 2))
    return value, drift, np.maximum(square - drift**2, 0.0)


def _mean(of_flips, word, menus):
    """Mean over the flips of all bits, for each plan: the plans of bit 0 vary fastest."""
    found = of_flips.reshape((2,) * len(menus))
    for bit, menu in enumerate(menus):
        rate = menu.rates[:, word >> bit & 1]
        axis = len(menus) - 1 - bit
        found = np.moveaxis(np.tensordot(np.stack([1 - rate, rate], 1), found, (1, axis)), 0, axis)
    return found.ravel()


def _cells(menus):
    found = np.zeros(1)
    for menu in menus:
        found = np.add.outer(menu.cells, found).ravel()
    return found


def _alone(words, laws):
    (own,), (law,) = words.values(), laws
    return sum(law[word][1] ** 2 + law[word][2] for word in own.ravel().tolist())


def _product(unit, words, laws):
    """Squared errors of scale x code: variance and squared mean error of products of independent factors."""
    (scales, codes), (scale, code) = words.values(), laws
    total = 0.0
    for row in range(len(scales)):
        for place in range(len(unit.fields[1].word_of)):
            x, dx, vx = scale[int(scales[row, unit.fields[0].word_of[place]])]
            y, dy, vy = code[int(codes[row, place])]
            drift = x * dy + np.multiply.outer(dx, y + dy)
            variance = np.multiply.outer(vx, (y + dy) ** 2 + vy) + np.multiply.outer((x + dx) ** 2, vy)
            total = total + drift**2 + variance
    return total
