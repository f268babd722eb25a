"""`qtaml.explore` on a small network."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.cost import Array, Figure
from qtaml.errors import ArgumentError
from qtaml.exploration import Exploration, explore
from qtaml.exploration.exploration import on_front
from qtaml.exploration.rungs import Rung
from qtaml.exploration.stored_plans import PlanMaker, _job, _packed
from qtaml.faults import Uniform
from qtaml.showing import explorer_page

pytestmark = pytest.mark.slow
"""Each exploration plans for seconds."""

LADDER = (0.003, 0.07, 0.2)


@pytest.fixture(scope="module")
def network():
    """A network with its inputs, and the share of samples whose class it keeps."""
    torch.manual_seed(3)
    model, inputs = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)), torch.randn(200, 16)
    return model, inputs, qtaml.Accuracy(inputs, model(inputs).argmax(1))


def asked(network, **changed):
    """A small exploration."""
    model, inputs, metric = network
    question = {
        "device": "gaincell_2t_sion",
        "array": "gain_cell_3t",
        "node": 28.0,
        "windows": [1e-5, 2e-5, 4e-5],
        "thicknesses": [1.8, 1.85],
        "budgets": [0.5, 1.0],
        "accuracy": 0.75,
        "trials": 3,
        "ladder": LADDER,
    }
    return explore(model, inputs[:64], metric=metric, **(question | changed))


def agreement(inputs, classes, model):
    """A metric without scores."""
    return float((model(inputs).argmax(1) == classes).double().mean())


@pytest.fixture(scope="module")
def found(network):
    """What it finds."""
    return asked(network)


def test_each_point_takes_the_plan_of_the_next_flip_probability_above(found):
    """So that its accuracy is that of a memory that errs more often; what has no plan is counted."""
    assert (len(found.points), found.beyond, found.unaffordable) == (9, 1, 1)
    assert len({(one.thickness, one.window) for one in found.points}) + found.beyond == 3 * 2
    assert "1 device points have a higher p than any plan; 1 plans did not fit their budget" in str(found)
    for one in found.points:
        assert one.planned_p == min(p for p in LADDER if p >= one.p)
        plan = found.plan(one)
        assert plan.cells == one.cells <= one.budget
        assert plan.fault == Uniform(one.planned_p)


def test_a_plan_errs_less_at_a_smaller_flip_probability_than_its_own(network, found):
    """What rounding up relies on: output error at half of p is below that at p."""
    model, inputs, _ = network
    error = qtaml.measuring.OutputError(model, inputs)
    for plan in found.plans.values():
        memory = qtaml.store(model, plan)
        own, less = (
            qtaml.evaluate(memory, error, trials=8, fault=fault).mean
            for fault in (plan.fault, Uniform(plan.fault.p / 2))
        )
        assert less < own


def test_power_is_that_of_the_plan_at_the_window(network, found):
    """And area; both as `Plan.cost` has them."""
    for one in found.points:
        cost = found.plan(one).cost(array="gain_cell_3t", node=28.0, window=one.window)
        assert (one.area, one.power) == (cost.known("area").top, cost.known("power").top)
    assert found.missing == ("power of standby",)


def test_no_plan_is_below_the_limit_that_stands_beside_it(found):
    """Water filling over the capacity of a cell."""
    assert all(one.least_cells <= one.cells for one in found.points)


def test_the_chosen_point_has_the_least_power_of_those_that_reach_the_accuracy(found):
    """By the lower end of the interval; of none, there is none."""
    good = [one for one in found.points if one.accuracy_low >= 0.75]
    assert found.chosen.power == min(one.power for one in good)
    hopeless = Exploration(found.points, 2.0, "power", 0, 0, (), found.plans)
    assert hopeless.chosen is None
    assert "No point reaches an accuracy of 2.0" in str(hopeless)


def test_the_front_is_that_of_brute_force():
    """200 points, some of them equal."""
    points = np.random.default_rng(0).integers(0, 6, (200, 3)).astype(float)
    dominated = [
        any((b[0] >= a[0], *(b[1:] <= a[1:])) == (True, True, True) and tuple(a) != tuple(b) for b in points)
        for a in points
    ]
    assert on_front(*points.T).tolist() == [not one for one in dominated]


def test_the_same_question_goes_on_where_it_stopped(network, tmp_path, monkeypatch):
    """Plans are kept, and only what is missing is made."""
    small = {"thicknesses": [1.8], "budgets": [1.0], "folder": tmp_path}
    first = asked(network, **small)
    kept = list((tmp_path / "plans").iterdir())
    assert len(kept) == 2
    kept[0].unlink()
    made, make = [], PlanMaker.make
    monkeypatch.setattr(PlanMaker, "make", lambda *job: made.append(job[1:]) or make(*job))
    assert asked(network, **small) == first
    assert len(made) == 1


def test_another_network_or_test_set_or_source_is_another_question(network, monkeypatch):
    """Plans are kept under a hash of it."""
    model, inputs, metric = network
    maker = PlanMaker(model, inputs[:64], metric, trials=3, thorough=False, seed=0, output=None)
    others = [
        replace(maker, trials=4),
        replace(maker, metric=qtaml.Accuracy(inputs, model(inputs).argmin(1))),
        # Of these, too, the clean network has all classes right.
        replace(maker, metric=qtaml.Accuracy(inputs / 2, model(inputs / 2).argmax(1))),
        replace(maker, metric=partial(agreement, inputs, model(inputs).argmax(1))),
        replace(maker, metric=partial(agreement, inputs / 2, model(inputs / 2).argmax(1))),
        replace(maker, model=nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))),
        replace(maker, calibration=inputs[:32]),
        replace(maker, thorough=True),
        replace(maker, seed=1),
    ]
    assert len({one.question for one in (maker, *others)}) == 1 + len(others)
    before = maker.question
    monkeypatch.setattr("qtaml.exploration.stored_plans.origin", lambda: "other sources")
    assert replace(maker).question != before


@pytest.mark.long
def test_a_killed_exploration_goes_on_where_it_stopped(network, found, tmp_path, monkeypatch):
    """What two processes had kept is not made again, and the result is that of one that nobody killed."""
    script = "from tests.exploration.test_exploring import *; asked(made_anew(), folder=sys.argv[1], workers=2)"
    root = Path(__file__).parents[2]
    driver = subprocess.Popen([sys.executable, "-c", f"import sys; {script}", str(tmp_path)], cwd=root)
    kept = tmp_path / "plans"
    while not list(kept.glob("*.json")):
        assert driver.poll() is None
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    there = len(list(kept.glob("*.json")))
    made, make = [], PlanMaker.make
    monkeypatch.setattr(PlanMaker, "make", lambda *job: made.append(job[1:]) or make(*job))
    assert asked(network, folder=tmp_path) == found
    assert there + len(made) == len(found.plans) + found.unaffordable


@pytest.fixture(scope="module")
def with_hardening(network):
    """The same, plain and with refresh rates of its own for each bit, at the ladder's step that one window reaches."""
    return asked(network, hardenings=[(), ("refresh",)], windows=[2e-5, 3e-5], thicknesses=[1.85], budgets=[0.5])


def test_a_measured_cell_counts_by_the_upper_end_of_its_band(network, measured_cell, tmp_path):
    """Given by its file too."""
    measured_cell.save(tmp_path / "cell.json")
    small = {"windows": [2e-4], "thicknesses": None, "budgets": [2.0], "accuracy": None}
    (one,) = asked(network, device=str(tmp_path / "cell.json"), **small).points
    assert one.p == measured_cell.band(2e-4)[1]


def test_each_bit_may_have_a_refresh_rate_of_its_own(network, with_hardening):
    """As bad as at the worst of the points that share a plan, and never better than the device; power counts rates."""
    found, model, inputs = with_hardening, *network[:2]
    assert {one.hardening for one in found.points} == {"none", "refresh"}
    cell = qtaml.device.preset("gaincell_2t_sion").thickened(0.05)
    for one in (one for one in found.points if one.hardening == "refresh"):
        plan = found.plan(one)
        assert (plan.settings.price, one.least_cells) == ("refreshes", None)
        assert plan.refreshes <= one.budget
        shared = [other.window for other in found.points if other.plan == one.plan]
        for better in plan.settings.hardened:
            worst = max(cell.flip_probability(window / better.refreshes) for window in shared)
            assert better.p10 == pytest.approx(worst, rel=1e-6)
        cost = plan.cost(array="gain_cell_3t", node=28.0, window=one.window)
        assert one.power == cost.known("power").top
    assert "hardening" in str(found)
    # The device at that window, read with its own better cells, errs less than the plan was made for.
    error = qtaml.measuring.OutputError(model, inputs)
    one = next(one for one in found.points if one.hardening == "refresh")
    assert one.p < one.planned_p
    memory = qtaml.store(model, found.plan(one))
    assert qtaml.evaluate(memory, error, trials=8, fault=Uniform(one.p)).mean < qtaml.evaluate(memory, error).mean


def made_anew():
    """The network of this file, its inputs and its metric, in another process."""
    torch.manual_seed(3)
    model, inputs = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)), torch.randn(200, 16)
    return model, inputs[:64], qtaml.Accuracy(inputs, model(inputs).argmax(1))


@pytest.mark.long
def test_processes_find_the_same(network):
    """Two of them, with the network made anew; and one that it was sent to pickled, if it can be."""
    small = {"thicknesses": [1.8, 1.9], "windows": [2e-5], "budgets": [0.5]}
    alone = asked(network, **small)
    assert len(alone.plans) == 2
    model, inputs, metric = network
    metric.local = lambda: None
    with pytest.raises(ArgumentError, match="workers must be 1 for a model, a metric or an output that cannot be pick"):
        asked(network, **small, workers=2)
    assert asked(network, **small, workers=2, reload=made_anew) == alone
    del metric.local
    maker = PlanMaker(model, inputs[:64], metric, trials=3, thorough=False, seed=0, output=None)
    (plan,) = _job(_packed(maker, None), Rung(0.07), ("none", "table"), [0.5])
    assert plan.plan == alone.plans[plan.name]


def test_the_rows_on_disk_make_an_explorer_page(found):
    """Strict JSON, with the chosen point."""
    record = json.loads(found.to_json())
    assert record["manifest"]["chosen"]["power"] == found.chosen.power
    assert explorer_page(record["rows"], record["title"]).startswith("<!doctype html>")


def test_accuracy_over_thickness_height_and_window(found):
    """A row for each place, the best over the ways to store; and the least of a cost."""
    table = found.accuracy_table()
    best = found.best(("thickness", "height", "window"))
    assert table.row_count == len(best)
    for (thickness, _, window), value in best.items():
        assert value == max(one.accuracy for one in found.points if (one.thickness, one.window) == (thickness, window))
    least = found.best(("window",), "power")
    assert min(least.values()) == found.chosen.power
    with pytest.raises(ArgumentError, match=r"axes must be one of 'thickness', .*, got 'p'"):
        found.best(("p",))
    with pytest.raises(ArgumentError, match=r"budget must be one of \[0.5, 1.0\], got 0.7"):
        found.accuracy_table(budget=0.7)


def test_it_draws_itself(found):
    """A curve for each window over what else was varied, and the front; a frame with a row for each point."""
    pytest.importorskip("matplotlib")
    thickness, front = found.plot().axes
    assert [axes.get_title(loc="left") for axes in (thickness, front)] == ["over thickness", "Pareto front"]
    best = found.best(("window", "thickness"))
    drawn = {
        (bars.get_label(), *point) for bars in thickness.containers for point in zip(*bars[0].get_data(), strict=True)
    }
    assert drawn == {(f"{window:.3g} s", thick, value) for (window, thick), value in best.items()}
    assert all(bars.has_yerr for axes in (thickness, front) for bars in axes.containers)
    pytest.importorskip("pandas")
    assert len(found.to_pandas()) == len(found.points)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"windows": [1.0]},
            "no device point has a flip probability up to 0.2, the largest of the ladder: the least is 1",
        ),
        ({"node": 5.0}, "node must be one of 28, 16, 7 nm"),
        ({"minimise": "weight"}, "minimise must be one of 'power', 'area', 'cells', got 'weight'"),
        ({"array": "edram_1t1c", "node": None}, "minimise must be 'area' or 'cells' for the array edram_1t1c, 22 nm"),
        ({"ladder": [0.6]}, "ladder must"),
        ({"device": "unknown"}, "unknown"),
        ({"budgets": []}, "budgets must hold at least one"),
        ({"decoders": []}, "decoders must hold at least one"),
        ({"decode": "start_up"}, "copy must be given with decode='start_up'"),
        ({"hardenings": []}, "hardenings must hold at least one set of names"),
        ({"hardenings": ["refresh"]}, r"hardenings must be a sequence, each a sequence, .* got \['refresh'\]"),
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_questions_are_refused_before_anything_is_planned(network, changed, told, monkeypatch):
    """With what is allowed."""
    monkeypatch.delattr(PlanMaker, "make")
    with pytest.raises(ArgumentError, match=told):
        asked(network, **changed)


def test_an_array_that_is_not_refreshed_has_no_window_in_its_cost(network):
    """The device still has."""
    mine = Array("mine", 28.0, Figure(0.1, "us"), refreshed=False)
    small = {"windows": [2e-5], "thicknesses": [1.85], "budgets": [1.0], "minimise": "area", "accuracy": None}
    found = asked(network, array=mine, node=None, **small)
    assert [one.area for one in found.points] == [found.chosen.area]
    assert "power of standby" in found.missing
