"""The search for plans of checkpoints, against every plan of small menus."""

import numpy as np
import pytest
import torch

from qtaml.checkpoints.budget_search import least_error
from qtaml.checkpoints.checkpoint_plan import LeftOut
from qtaml.checkpoints.gguf_types import gguf_type
from qtaml.checkpoints.joint_bits import joint_plans
from qtaml.checkpoints.safetensors_file import float_format
from qtaml.checkpoints.storage_menu import PlaneMenu
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw
from qtaml.checkpoints.tensor_search import TensorSearch, TensorWay
from qtaml.checkpoints.word_law import value_of
from qtaml.checkpoints.word_range import WordRange, keys_of, read_in_range
from qtaml.protections import Raw, Repetition
from tests.gguf_files import random_units
from tests.reference.all_plans import least_errors

LEFT_OUT = LeftOut(0, 3.0)
BUDGETS = (0.3, 0.7, 1.0, 1.5, 2.0)


def _menu(p, words, *ways):
    ordered = sorted(ways, key=lambda one: one.cells_for(words))
    cells = np.array([one.cells_for(words) for one in ordered], dtype=np.float64)
    return PlaneMenu(tuple(ordered), cells, np.array([one.residual(p, p) for one in ordered]))


def _ranges(field, words):
    keys = keys_of(field, words)
    return [None, WordRange(int(keys.min()), int(keys.max()), 5.0)]


def _floats(dtype, deviation, count):
    values = torch.from_numpy(np.random.default_rng(0).normal(0, deviation, count)).to(dtype)
    return {"words": values.view(torch.uint8 if dtype.itemsize == 1 else torch.int16).numpy().astype(np.int64)[:, None]}


def _case(name, p):
    """Format, words, menus and ranges."""
    if name == "MXFP4":
        unit = gguf_type(name)
        words = unit.words((random_units(name, 2, seed=1),))
        scale = [_menu(p, 2, Raw(), Repetition(3), *[LEFT_OUT][: bit < 2]) for bit in range(8)]
        codes = [_menu(p, 64, Raw(), Repetition(3), LEFT_OUT) for _ in range(4)]
        return unit, words, [scale, codes], [_ranges(unit.fields[0], words["scale"]), [None]]
    if name == "BF16":
        unit, words = float_format("bf16"), _floats(torch.bfloat16, 1.0, 8)
        words["words"] &= 0xFFFF
        votes, none = [[], [Repetition(5)]], [[LEFT_OUT], []]
        menus = [_menu(p, 8, Raw(), *votes[bit > 6], *none[bit > 1]) for bit in range(16)]
    elif name == "fp8_e5m2":
        unit, words = float_format(name), _floats(torch.float8_e5m2, 1.0, 60)
        menus = [_menu(p, 60, Raw(), Repetition(3), LEFT_OUT, LeftOut(1, 3.0)) for _ in range(8)]
    else:
        unit, words = float_format(name), _floats(torch.float8_e4m3fn, 1.0, 24)
        menus = [_menu(p, 24, Raw(), Repetition(3), Repetition(7), LEFT_OUT) for _ in range(8)]
    return unit, words, [menus], [_ranges(unit.fields[0], words["words"])]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2", "MXFP4", "BF16"])
def test_no_plan_is_better_than_the_one_found(name):
    """All plans enumerated, 130,000 to 3 million, for five budgets; and none is below the bound of its kind."""
    unit, words, menus, ranges = _case(name, 0.02)
    bits = sum(words[field.name].size * field.bits for field in unit.fields)
    budgets = [share * bits for share in BUDGETS]
    best = least_errors(unit, words, menus, ranges, budgets)
    for budget, least in zip(budgets, best, strict=True):
        if np.isfinite(least):
            search = TensorSearch(TensorLaw(unit, words, "clamp"), menus, ranges, 1.0)
            found = least_error([search], budget)
            assert found.points[0].cells <= budget
            assert found.points[0].error == pytest.approx(least, rel=1e-7)
            assert found.bound <= least * (1 + 1e-9)


def test_values_of_left_out_bits_change_together():
    """With no bit stored one value stands for -1 and -0.75: -0.875 is as near to both, three bits away from -1."""
    unit, values = float_format("fp8_e5m2"), torch.tensor([-1.0, -0.75], dtype=torch.float8_e5m2)
    words = {"words": values.view(torch.uint8).numpy().astype(np.int64)[:, None]}
    menus = [[_menu(0.02, 2, Raw(), LeftOut(0, 1.0), LeftOut(1, 1.0)) for _ in range(8)]]
    (point,) = least_error([TensorSearch(TensorLaw(unit, words, "clamp"), menus, [[None]], 1.0)], 8.0).points
    assert point.cells == 8
    assert point.error == 2 * 0.125**2


@pytest.mark.parametrize("name", ["fp8_e4m3", "MXFP4"])
def test_plans_of_whole_words_have_their_exact_errors(name):
    """Cells and errors of the plans that are compared all at once are those of each of them alone."""
    unit, words, menus, ranges = _case(name, 0.02)
    search = TensorSearch(TensorLaw(unit, words, "clamp"), menus, ranges, 0.5)
    way = TensorWay((1,) * len(search.menus), tuple(len(own) - 1 for own in ranges))
    plans = joint_plans(search, way, 0.01, 4**8)
    assert len(plans) >= 20
    assert len({one.way.ranges for one in plans}) > 1
    for one in plans:
        exact = search.point(one.way)
        assert (one.cells, one.error) == pytest.approx((exact.cells, exact.error), rel=1e-9)


def _enumerated(field, words, rates, allowed):
    """Mean and mean square of the error of each word, over all masks of flips."""
    masks = np.arange(2**field.bits)
    flips = masks[:, None] >> np.arange(field.bits) & 1
    found = []
    for word in words.ravel().tolist():
        rate = np.array([both[word >> bit & 1] for bit, both in enumerate(rates)])
        error = value_of(field, read_in_range(field, word ^ masks, allowed), "clamp") - value_of(
            field, np.array([word]), "clamp"
        )
        chance = np.where(flips == 1, rate, 1 - rate).prod(1)
        found.append((chance @ error, chance @ error**2))
    return np.array(found).T


@pytest.mark.parametrize(
    ("kind", "dtype"), [("fp8_e5m2", torch.float8_e5m2), ("fp16", torch.float16), ("bf16", torch.bfloat16)]
)
def test_the_law_of_words_in_a_range_is_that_of_the_enumeration(kind, dtype):
    """Errors of all flips of each word: what is outside of the range is read as one inside."""
    unit, words = float_format(kind), _floats(dtype, 1.0, 4)["words"] & (1 << 8 * dtype.itemsize) - 1
    (field,) = unit.fields
    _, allowed = _ranges(field, words)
    rates = tuple(map(tuple, np.random.default_rng(1).uniform(0, 0.2, (field.bits, 2)).tolist()))
    found = TensorLaw(unit, {"words": words}, "clamp").moments([FieldReads(rates, allowed)])
    drift, square = _enumerated(field, words, rates, allowed)
    assert found.drift.ravel() == pytest.approx(drift, rel=1e-10)
    assert found.error.ravel() == pytest.approx(square, rel=1e-10)
