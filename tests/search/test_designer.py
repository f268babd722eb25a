"""Plans for one network and any budget."""

import math
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Asymmetric, MultiLevel, PerBit, StaticCells, Uniform
from qtaml.formats import RootMeanSquare
from qtaml.measuring import OutputError
from qtaml.planning import REAL_DECODERS, Design, calibrated, side_cells
from qtaml.planning.allocation import Choice
from qtaml.protections import HardenedCell, Raw
from qtaml.search import Designer
from qtaml.search.trial_reads import TrialReads
from qtaml.sensitivity import Calibration, MeasuredError
from tests.cases import CONVOLUTION, TRANSFORMER, assert_unchanged, snapshot

VOTES = ("none", "table", "majority")


class Network(nn.Module):
    """Two layers, the weights of the first changed by a function."""

    def __init__(self, change=lambda weight: weight):
        super().__init__()
        self.first, self.second = nn.Linear(24, 64), nn.Linear(64, 8)
        with torch.no_grad():
            self.first.weight.copy_(change(self.first.weight))

    def forward(self, inputs):
        return self.second(torch.tanh(self.first(inputs)))


def network(change=lambda weight: weight, seed=0):
    """The network with seeded weights, and inputs for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(change), torch.randn(48, 24)


def asked(**settings):
    """What is asked of a designer; the budget is named for each plan."""
    return Design(cells=1.0, **settings)


def designer_of(model, inputs, settings):
    """A designer, and what it measures of a network."""
    return Designer(calibrated(model, inputs, settings), settings)


def designer(change=lambda weight: weight, **arguments):
    """A quick designer for the network."""
    settings = {"fault": Uniform(0.1), "decoders": VOTES, "passes": 8} | arguments
    return designer_of(*network(change), asked(**settings))


@pytest.fixture(scope="module")
def everything():
    """All real decoders."""
    return designer(decoders=REAL_DECODERS)


@pytest.fixture(scope="module")
def votes():
    """Repetition and tables."""
    return designer()


def cells_by_hand(plan):
    """Cells of a plan: whole blocks of each code over the network, and the price of each number beside the words.

    Numbers are scales, a readout gain, how many sections, length and format of each, outliers, and tables: two where
    values are evenly spaced, a step and half a number for each value of up to 6 bits.
    """
    bits_of = Counter()
    side = 0
    for tensor in plan.tensors:
        for section in tensor.storage.sections:
            for protection in section.format.protections:
                bits_of[protection] += section.weights
        if tensor.storage.scale == RootMeanSquare():
            tables = {section.format.levels.values for section in tensor.storage.sections}
            even = {table for table in tables if len(table) > 1 and np.allclose(np.diff(table, 2), 0, atol=1e-9)}
            scales = tensor.shape[0] if tensor.storage.granularity == "row" else 1
            side += scales + 1 + 2 + 3 * len(tensor.storage.sections) - 2 + 2 * len(even)
            side += sum(1 + len(table) // 2 if 1 < len(table) <= 64 else len(table) for table in tables - even)
            outliers = tensor.storage.outliers
            side += 2 * outliers + 2 if outliers else 0
    cells = side_cells(plan.fault, side, plan.settings.decoders)
    for protection, bits in bits_of.items():
        data_bits, block = protection.block
        known = min(-bits % data_bits, data_bits - protection.hidden_bits)
        cells += math.ceil(bits / data_bits) * block - known
    return cells / (8 * sum(math.prod(tensor.shape) for tensor in plan.tensors))


@pytest.mark.slow
@pytest.mark.parametrize("cells", [0.2, 0.3, 0.75, 1.2])
def test_the_budget_counts_blocks_tables_and_scales(everything, cells):
    """Recomputed by hand; never above the budget."""
    plan = everything.plan(cells)
    assert plan.cells == pytest.approx(cells_by_hand(plan), rel=1e-12)
    assert plan.cells <= cells * (1 + 1e-12)
    assert plan.overhead == plan.cells - 1
    assert plan.settings.cells == cells


@pytest.mark.slow
def test_codes_are_among_what_is_counted(everything):
    """The test above would else say nothing of blocks."""
    protections = {p for t in everything.plan(1.2).tensors for s in t.storage.sections for p in s.format.protections}
    assert any(protection.block[0] > 1 for protection in protections)
    assert all(protection.block[0] <= 2048 for protection in protections)


@pytest.mark.slow
def test_rows_have_a_scale_each():
    """Every other row a hundredth of the others: a scale for each row pays, and is counted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Linear(256, 16), torch.randn(32, 256)
    with torch.no_grad():
        model.weight.mul_(100.0 ** -(torch.arange(16) % 2)[:, None])
    plan = designer_of(model, inputs, asked(fault=Uniform(0.1), passes=8, rows=True)).plan(1.0)
    (tensor,) = plan.tensors
    assert tensor.storage.granularity == "row"
    assert tensor.side_values > 16
    assert plan.cells == pytest.approx(cells_by_hand(plan), rel=1e-12)
    assert plan.cells <= 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("case", "cells"),
    [(CONVOLUTION, 1.6), (TRANSFORMER, 1.0)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_rows_are_never_predicted_to_be_worse(case, cells):
    """On small networks their scales are dear: then the tensor keeps one."""
    by_tensor, by_row = (
        designer_of(
            case.model(), case.batch(), asked(fault=Uniform(0.05), decoders=VOTES, passes=4, bits=4, rows=rows)
        ).plan(cells)
        for rows in (False, True)
    )
    assert by_row.predicted_error <= by_tensor.predicted_error


@pytest.mark.slow
def test_more_cells_leave_less_error(votes):
    """From near the least budget to two plain memories, what is left falls to a fifth."""
    errors = [votes.plan(cells).predicted_error for cells in (0.4, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0)]
    assert all(dear < cheap for cheap, dear in pairwise(errors))
    assert errors[-1] < errors[0] / 5


@pytest.mark.slow
def test_the_gap_is_against_the_whole_budget():
    """Tables of a network of 2,048 weights leave some of it unspent; without tables next to nothing is left."""
    first_order = designer(beyond_first_order=False)
    for cells, gap in ((1.0, 0.3), (2.0, 0.1)):
        assert -1e-9 <= first_order.plan(cells).allocation_gap < gap
    plain = designer(decoders=("ideal",), beyond_first_order=False)
    assert -1e-9 <= plain.plan(1.3).allocation_gap < 0.001


@pytest.mark.slow
def test_a_budget_below_the_least_is_refused(everything):
    """The least one is named, and is enough."""
    message = r"cells must be at least 0\.0\d+ for the cheapest formats, got 0.001"
    with pytest.raises(qtaml.BudgetError, match=message) as refused:
        everything.plan(0.001)
    least = everything.plan(1 + refused.value.least_overhead)
    assert least.cells == pytest.approx(1 + refused.value.least_overhead)
    assert {section.format.bits for tensor in least.tensors for section in tensor.storage.sections} == {0}
    with pytest.raises(qtaml.ArgumentError, match="cells must be above 0, got 0"):
        everything.plan(0)


def test_plain_words_cost_at_least_a_plain_memory():
    """Without tables there is nothing below 8 cells a weight."""
    with pytest.raises(qtaml.BudgetError, match=r"cells must be at least 1 for .*, got 0\.9") as refused:
        designer(decoders=("ideal",)).plan(0.9)
    assert refused.value.least_overhead == 0


@pytest.mark.slow
@pytest.mark.parametrize("decoders", [REAL_DECODERS, ("ideal",)], ids=["real", "ideal"])
def test_without_errors_nothing_is_protected(decoders):
    """At p = 0 a design is quantisation."""
    plan = designer(fault=Uniform(0.0), decoders=decoders).plan(1.3)
    kinds = {p for t in plan.tensors for s in t.storage.sections for p in s.format.protections}
    assert kinds == {Raw()}
    assert plan.predicted_error == plan.predicted_bias


@pytest.mark.slow
@pytest.mark.parametrize("decoders", [(), ("table",), ("majority", "table"), ("ideal",)], ids=str)
def test_raw_cells_need_no_decoder(decoders):
    """Whatever may be needed to read, they are among the choices."""
    plan = designer(decoders=decoders).plan(1.0)
    assert any(Raw() in s.format.protections for t in plan.tensors for s in t.storage.sections)


@pytest.mark.slow
def test_larger_cells_are_used_where_they_are_good():
    """One of almost no errors at the price of two cells beats three copies."""
    larger = HardenedCell(2.0, 1e-4, 1e-4)
    plan = designer(hardened=[larger], decoders=("table", "majority")).plan(1.0)
    assert any(larger in s.format.protections for t in plan.tensors for s in t.storage.sections)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(
    "change", [lambda weight: torch.full_like(weight, 0.25), torch.zeros_like], ids=["one", "zero"]
)
def test_a_tensor_of_equal_weights_needs_no_bits(change, rows):
    """It is read back as its value times the readout gain, in every read."""
    model, inputs = network(change)
    plan = designer_of(model, inputs, asked(fault=Uniform(0.1), decoders=VOTES, passes=8, rows=rows)).plan(0.75)
    storage = plan.tensors[0].storage
    assert storage.cells == 0
    assert math.isfinite(plan.predicted_error)
    read = qtaml.store(model, plan).model(seed=0)
    assert torch.allclose(read.first.weight, storage.readout_gain * model.first.weight, rtol=1e-6)


@pytest.mark.slow
def test_rows_of_zeros_are_read_as_zeros():
    """Their scale is zero, whatever their labels are read as."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Linear(256, 16), torch.randn(32, 256)
    with torch.no_grad():
        model.weight[::2] = 0
    plan = designer_of(model, inputs, asked(fault=Uniform(0.1), passes=8, rows=True)).plan(0.6)
    read = qtaml.store(model, plan).model(seed=0).weight
    assert not read[::2].any()
    assert read[1::2].any(1).all()


@pytest.mark.slow
def test_rows_of_one_weight_are_stored():
    """With a scale each or with one for all, they read back as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1)), torch.randn(32, 1)
    plan = designer_of(model, inputs, asked(fault=Uniform(0.01), decoders=VOTES, passes=4, rows=True)).plan(20.0)
    read = qtaml.store(model, plan).model(seed=0, fault=Uniform(0))
    largest = float(model[0].weight.abs().max())
    assert torch.allclose(read[0].weight, model[0].weight, rtol=0.02, atol=0.02 * largest)


@pytest.mark.slow
def test_one_weight_is_a_plain_word():
    """Six numbers of 16 bits beside fitted levels cost 28 plain words; a plain word has none beside it."""
    model, inputs = nn.Linear(1, 1), torch.randn(8, 1)
    tiny = designer_of(model, inputs, asked(fault=Uniform(1e-3), decoders=VOTES, passes=2, rows=True))
    with pytest.raises(qtaml.BudgetError, match=r"cells must be at least 1 for the cheapest formats, got 0\.9"):
        tiny.plan(0.9)
    assert tiny.plan(1.0).cells == 1.0
    dear = tiny.plan(29.0)
    assert qtaml.store(model, dear).model(seed=0).weight.item() == pytest.approx(model.weight.item(), rel=0.01)


PAIRS = MultiLevel((((0.9, 0.1, 0.0, 0.0), (0.05, 0.85, 0.1, 0.0), (0.0, 0.1, 0.85, 0.05), (0.0, 0.0, 0.05, 0.95)),))


@pytest.mark.slow
@pytest.mark.parametrize("decoders", [("none", "table"), REAL_DECODERS], ids=["table", "everything"])
@pytest.mark.parametrize(
    ("fault", "lengths"), [(PAIRS, range(0, 11, 2)), (PerBit(tuple(0.02 * (9 - i) for i in range(8))), (0, 8))]
)
def test_words_have_the_lengths_that_the_memory_holds(fault, lengths, decoders):
    """Cells of four levels hold pairs of bits, one rate for each of 8 bits holds 8; what is read is as predicted."""
    model, inputs = network()
    plan = designer_of(model, inputs, asked(fault=fault, decoders=decoders, passes=64)).plan(0.75)
    assert {section.format.bits for tensor in plan.tensors for section in tensor.storage.sections} <= set(lengths)
    measured = qtaml.evaluate(qtaml.store(model, plan), OutputError(model, inputs), trials=40)
    assert measured.reads_low / 1.3 < plan.predicted_error < 1.3 * measured.reads_high


EVEN, TAILS = (lambda weight: weight), (lambda weight: weight.sinh() ** 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "p", "bits", "networks"),
    [
        (EVEN, 0.0, 2, 1),
        (EVEN, 0.0, 8, 4),
        (TAILS, 0.0, 2, 1),
        (TAILS, 0.0, 8, 1),
        pytest.param(EVEN, 1e-12, 4, 1, marks=pytest.mark.long),
    ],
)
def test_without_errors_a_design_is_at_least_as_good_as_plain_words(change, p, bits, networks):
    """By the output error over some networks, at the cells of an even grid and seven numbers for each tensor.

    At 8 bits of an even spread both err alike, to a tenth either way: the sum over four networks is below.
    """
    designed = plain = 0.0
    for seed in range(networks):
        model, inputs = network(change, seed)
        words = qtaml.uniform_msp(model, p=p, protected_bits=0, bits=bits)
        cells = (bits * words.weights + side_cells(words.fault, 7 * len(words.tensors), REAL_DECODERS)) / (
            8 * words.weights
        )
        plan = designer_of(model, inputs, asked(fault=Uniform(p), passes=8)).plan(cells)
        error = OutputError(model, inputs)
        designed += error(qtaml.store(model, plan).model(seed=0))
        plain += error(qtaml.store(model, words).model(seed=0))
    assert designed <= plain


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Asymmetric(0.0, 0.1), StaticCells((0.0, 0.0, 0.1, 0.3))], ids=["asymmetric", "weak"])
def test_faults_that_treat_all_bits_alike_are_designed_for(fault, votes):
    """One-directional errors of the same p leave less error; weak cells are counted by their mean rate."""
    symmetric = votes.plan(0.75).predicted_error
    found = designer(fault=fault).plan(0.75).predicted_error
    if isinstance(fault, Asymmetric):
        assert found < symmetric / 1.5
    else:
        assert found == pytest.approx(symmetric, rel=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"fault": MultiLevel((((0.5, 0.5), (0.5, 0.5)),))},
            r"fault must leave something .*p01 \+ p10 must be below 1, got 0.5 \+ 0.5",
        ),
        (
            {"fault": StaticCells((0.0, 1.0))},
            r"fault must leave something .*p01 \+ p10 must be below 1, got 0.5 \+ 0.5",
        ),
        ({"decoders": ("table", "magic")}, "decoders must be one of 'none', 'table', .* got 'magic'"),
        (
            {"decoders": ("none", "ideal"), "rows": True},
            r"decoders must hold 'table' for rows=True, got \['none', 'ideal'\]",
        ),
        ({"bits": 1}, "bits must be a whole number from 2 to 16, got 1"),
        ({"passes": 1}, "passes must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(arguments, message):
    """Each names the argument and its value."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        designer(**arguments)


@pytest.mark.slow
def test_the_model_is_not_changed_and_the_plan_is_repeatable():
    """The same seed, the same plan."""
    model, inputs = network()
    before = snapshot(model)
    plans = [
        designer_of(model, inputs, asked(fault=Uniform(0.1), decoders=VOTES, passes=4, rows=True, seed=3)).plan(0.7)
        for _ in range(2)
    ]
    assert plans[0] == plans[1]
    assert_unchanged(model, before)


@pytest.mark.long
@pytest.mark.parametrize("cells", [0.3, 0.75])
def test_more_decoders_are_never_worse(cells):
    """A network that fills few blocks of the long codes: they are among the choices, and no trap."""
    decoders = ("none", "table", "majority", "algebraic")
    fewer, more = (designer(decoders=allowed).plan(cells) for allowed in (decoders, (*decoders, "iterative")))
    assert more.measured_error.mean <= 1.05 * fewer.measured_error.mean


@pytest.mark.slow
def test_small_tensors_are_not_thrown_away_for_their_tables():
    """24 weights: plain words cost nothing beside them, tables more than the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Linear(8, 3), torch.randn(32, 8)
    raw, anything = (
        qtaml.design(model, inputs, p=0.001, cells=1.0, passes=8, **asked) for asked in ({"decoders": ("none",)}, {})
    )
    assert anything.predicted_error <= 1.01 * raw.predicted_error


@pytest.mark.slow
def test_what_is_not_stored_is_told():
    """At the least budget only means are stored, and the plan says so."""
    plan = designer().plan(0.4)
    assert any("nothing is stored but the mean" in remark for remark in plan.remarks)


@pytest.mark.slow
def test_networks_of_few_blocks_may_use_one_long_code_alone():
    """A part of a block of each of two codes costs the parity of both."""
    model, inputs = nn.Linear(200, 100, bias=False), torch.randn(16, 200)
    settings = asked(fault=Uniform(0.1), decoders=REAL_DECODERS, passes=8)
    built = designer_of(model, inputs, settings)
    codes = [
        {bit for menu in way.menus for one in menu.menu for bit in one.format.protections if bit.block[0] > 1000}
        for way in built._ways.affordable(0.5, built._trained)
    ]
    every = set().union(*codes)
    assert len(every) > 1
    assert all({code} in codes for code in every)


@pytest.mark.slow
def test_plain_words_may_have_one_long_code_alone():
    """Without tables too: nothing is fitted, and each menu is cut to the words of one code."""
    model, inputs = nn.Linear(200, 100, bias=False), torch.randn(16, 200)
    settings = asked(fault=Uniform(0.1), decoders=("none", "iterative"), passes=8)
    built = designer_of(model, inputs, settings)
    ways = built._ways.affordable(2.2, built._trained)
    codes = [{bit for one in way.menus[0].menu for bit in one.format.protections if bit.block[0] > 1} for way in ways]
    assert [len(one) for one in codes].count(1) > 1
    assert built.plan(2.2).measured_error.mean < 1e-3 * built.calibration.outputs.power


@pytest.mark.slow
def test_an_exchange_spends_the_same_budget(everything):
    """One tensor gets another option, and another one takes what is left, at the price of whole blocks."""
    built = everything
    for way in built._ways.affordable(0.4, built._trained)[:3]:
        choices = built._ways.within(way, dict.fromkeys(built.calibration.weights, 1.0), 0.4)
        exchanges = list(islice(built._ways.exchanges(way, choices, 0.4), 8))
        assert exchanges
        for exchange in exchanges:
            assert built._ways._cells(way, exchange) <= 0.4 * (1 + 1e-9)
            assert sum(one != other for one, other in zip(choices, exchange, strict=True)) in (1, 2)


@pytest.mark.slow
def test_a_plan_that_errs_as_expected_is_not_searched_on_by_reads(monkeypatch):
    """Reads that show what was expected tell of nothing better; where more than that is lost, they are searched by."""
    searched = []
    by_reads = Designer._by_reads
    monkeypatch.setattr(Designer, "_by_reads", lambda *given: searched.append(given[0]) or by_reads(*given))
    settings = asked(fault=Uniform(0.1), decoders=("none", "table"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear, inputs = nn.Linear(64, 16), torch.randn(48, 64)
    plan = designer_of(linear, inputs, settings).plan(1.0)
    assert plan.measured_error.mean == pytest.approx(plan.first_order_error, rel=0.2)
    assert searched == []
    many = designer(decoders=("none", "table"))
    many.plan(0.5)
    assert searched == [many]


@pytest.mark.slow
def test_reads_of_trials_take_no_more_memory_than_a_few_plans(monkeypatch):
    """What was asked for last is kept longest: one tensor that stays the same is read once for all trials."""
    monkeypatch.setattr("qtaml.search.trial_reads._LEAST_KEPT", 0)
    built = designer(decoders=("none", "table"))
    way = built._ways.affordable(1.0, built._trained)[0]
    menus = {menu.name: menu for menu in way.menus}
    first, second = menus["first.weight"], menus["second.weight"]
    kept = first.storage([Choice(1, 1)])
    trials = built._trial_reads
    once = trials({"first.weight": kept, "second.weight": second.storage([Choice(0, 0)])}, 8)
    for option in range(1, len(second.menu)):
        read = trials({"first.weight": kept, "second.weight": second.storage([Choice(option, option)])}, 8)
        assert read[0]["first.weight"] is once[0]["first.weight"]
    held = sum(tensor.numel() for tensors in trials._known.values() for tensor in tensors)
    assert held == trials._held <= 8 * sum(weight.numel() for weight in built.calibration.weights.values())


def test_plans_that_are_compared_are_read_once(monkeypatch):
    """However often they are compared, and with the same outcome."""
    trials, read = TrialReads(Calibration(nn.Linear(2, 2), torch.ones(4, 2)), lambda _: None, adjust=True), []
    monkeypatch.setattr(
        "qtaml.search.trial_reads.measured", lambda plan, *_, **__: read.append(plan) or MeasuredError(3.0, 0.0, 2)
    )
    one, two = object(), object()
    assert [trials.error(plan) for plan in (one, two, one, two)] == [3.0] * 4
    assert read == [one, two]
    trials.forget_errors()
    assert (trials.error(one), read) == (3.0, [one, two, one])


def test_a_large_network_that_its_first_plan_loses_is_searched_by_reads(monkeypatch):
    """Saturated outputs hide from gains what large errors do: the first plan gives zeros, whatever the inputs."""
    monkeypatch.setattr("qtaml.sensitivity.calibration._LARGE", 1000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(before, after) for before, after in pairwise((16, 64, 64, 64, 8))]
        inputs = torch.randn(48, 16)
    for layer in layers:
        layer.weight.data.mul_(4)
    layers[-1].bias.data.sub_(12)
    model = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1], nn.Sigmoid()).eval()
    measured = Calibration(model, inputs)
    asked = Design(p=0.1, cells=0.4)
    searched = Designer(measured, asked).plan(0.4)
    monkeypatch.setattr("qtaml.search.effort.LOST", math.inf)
    first = Designer(measured, asked).plan(0.4)
    assert first.measured_error.mean == pytest.approx(measured.outputs.power, rel=1e-3)
    assert searched.measured_error.mean < 0.8 * first.measured_error.mean
