"""Algorithm 1 through the public door."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.planning import protection_options
from qtaml.sensitivity import Gain
from tests.cases import CASES, CONVOLUTION, RESIDUAL, TRANSFORMER, assert_unchanged, snapshot


def plan_of(case, **arguments):
    """A quick plan of a case."""
    settings = {"p": 0.1, "overhead": 0.1, "passes": 4, "trials": 2} | arguments
    return qtaml.compensate(case.model(), case.batch(), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("overhead", [0.0, 0.07, 0.5, 1.0])
def test_the_budget_is_kept_and_used(case, overhead):
    """A split allocation spends the budget to the last whole weight, and never more."""
    plan = plan_of(case, overhead=overhead)
    assert plan.overhead <= overhead + 1e-12
    assert (overhead - plan.overhead) * plan.weights * 8 < 8
    assert plan.allocation_gap == pytest.approx(0, abs=0.01)


def test_predicted_error_is_lemma_4_2_times_the_gain():
    """For offset binary the options follow n gain (4/3) p (1-p) scale**2 (4**-k - 4**-B) on the integer grid."""
    weight = torch.randn(20, 10).double()
    stored = TensorFormat((Section(200, Format(EvenLevels(grid="integer"))),))
    options = protection_options(weight, stored, Gain(2.5, 0.0), qtaml.faults.Uniform(0.1), floor=0)
    scale = float(weight.abs().max())
    for k, (cells, error) in enumerate(zip(options.cells, options.errors, strict=True)):
        assert cells == 8 + k
        assert error == pytest.approx(200 * 2.5 * 4 / 3 * 0.09 * scale**2 * (4.0**-k - 4.0**-8), rel=1e-9)


def test_predicted_error_of_rows_and_other_encodings_is_the_exact_variance():
    """Whatever the encoding and granularity, the option's error is the sum of the exact variances of what is read."""
    weight = torch.randn(5, 8).double() * torch.arange(1, 6).double()[:, None]
    fault = qtaml.faults.Uniform(0.05)
    for encoding in qtaml.formats.ENCODINGS:
        fmt = Format(EvenLevels(4, encoding))
        stored = TensorFormat((Section(40, fmt),), granularity="row")
        words, scale = stored.encode(weight, fault)
        variance = torch.from_numpy(fmt.read_variance(fault).copy())[words.long()] * scale**2
        options = protection_options(weight, stored, Gain(3.0, 0.0), fault, floor=0)
        assert options.errors[0] == pytest.approx(3 * float(variance.sum()), rel=1e-12)


def test_important_tensors_get_more_bits():
    """On a network whose first matrix is scaled up a hundredfold against the second, it gets the protection."""
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    with torch.no_grad():
        model[0].weight.mul_(100)
    plan = qtaml.compensate(model, torch.randn(32, 8), p=0.1, overhead=0.25, allocation="integer")
    first, second = (tensor.storage.protected_bits for tensor in plan.tensors)
    assert first + second == 2 * 128
    assert abs(first - second) <= 128  # gains of both are about alike: the scale of one is the gain of the other
    with torch.no_grad():
        model[0].weight[0, 0] = 10 * model[0].weight.abs().max()
    widened = qtaml.compensate(model, torch.randn(32, 8), p=0.1, overhead=0.25, allocation="integer")
    assert widened.tensors[0].storage.protected_bits > first


@pytest.mark.slow
@pytest.mark.parametrize("allocation", ["split", "integer", "greedy"])
def test_every_allocation_reports_its_gap(allocation):
    """The gap to the best split allocation is stated, and is never negative."""
    plan = plan_of(RESIDUAL, allocation=allocation)
    assert plan.allocation_gap >= -1e-9
    assert plan.settings.allocation == allocation


def test_floors_are_kept():
    """Floors by name and inside residual branches hold, and the higher one wins."""
    plan = plan_of(RESIDUAL, overhead=0.6, residual_floor=2, floors={"stem*": 1, "first.weight": 3})
    depth = {t.name: min(s.format.protected_bits for s in t.storage.sections) for t in plan.tensors}
    assert depth["stem.weight"] >= 1
    assert depth["first.weight"] >= 3
    assert min(depth[name] for name in ("second.weight", "shortcut.weight", "branch.weight")) >= 2


@pytest.mark.slow
def test_an_insufficient_budget_names_the_least_one():
    """The error says which overhead would do, and that overhead does."""
    with pytest.raises(
        qtaml.BudgetError, match=r"overhead must be at least 0\.\d+ to give every tensor its floor"
    ) as caught:
        plan_of(RESIDUAL, overhead=0.01, residual_floor=1)
    least = caught.value.least_overhead
    assert plan_of(RESIDUAL, overhead=least, residual_floor=1).overhead == pytest.approx(least)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_plan():
    """Plans are reproducible, and survive JSON."""
    first, again = plan_of(CONVOLUTION, seed=5), plan_of(CONVOLUTION, seed=5)
    assert first == again
    assert qtaml.Plan.from_json(first.to_json()) == first
    assert plan_of(CONVOLUTION, seed=6) != first


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_is_not_changed(case):
    """Neither by success nor by failure."""
    model = case.model()
    before = snapshot(model)
    qtaml.compensate(model, case.batch(), p=0.1, overhead=0.1, passes=2, trials=2)
    assert_unchanged(model, before)
    with pytest.raises(qtaml.QtamlError, match=r"the model failed on inputs of shape \(16, 0"):
        qtaml.compensate(model, case.batch()[:, :0], p=0.1, overhead=0.1)
    assert_unchanged(model, before)


def test_a_fault_model_may_stand_for_p():
    """Per-bit probabilities plan too; the paper's single factor is refused for them."""
    fault = qtaml.faults.PerBit((0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08))
    plan = plan_of(CONVOLUTION, p=None, fault=fault)
    assert plan.fault == fault
    assert qtaml.Plan.from_json(plan.to_json()) == plan
    with pytest.raises(qtaml.ArgumentError, match="correction='paper' needs one flip probability"):
        plan_of(CONVOLUTION, p=None, fault=fault, correction="paper")
    with pytest.raises(qtaml.ArgumentError, match="bits must be 8, the number of flip probabilities given, got 4"):
        plan_of(CONVOLUTION, p=None, fault=fault, bits=4)


def test_no_errors_and_all_zero_tensors():
    """Without errors nothing is corrected or protected; a tensor of zeros gets no protection and reads as zeros."""
    assert plan_of(CONVOLUTION, p=0.0).overhead == 0
    model = CONVOLUTION.model()
    with torch.no_grad():
        model.conv.weight.zero_()
    plan = qtaml.compensate(model, CONVOLUTION.batch(), p=0.1, overhead=0.2)
    assert plan.tensors[0].storage.protected_bits == 0
    read = qtaml.store(model, plan).model(seed=0)
    assert not read.conv.weight.any()


def test_biases_in_the_same_memory_are_compensated_too():
    """Paper B.5: included biases are stored, corrected and read with errors."""
    plan = plan_of(CONVOLUTION, include=["*.bias"], granularity="row", overhead=0.0)
    names = [tensor.name for tensor in plan.tensors]
    assert names == ["conv.weight", "conv.bias", "norm.bias", "head.weight", "head.bias"]


def test_a_checkpoint_on_the_grid_is_quantised_once():
    """Paper B.4: weights that lie on the deployment grid are stored without loss, and rescaled before rounding."""
    model = nn.Linear(16, 8, bias=False)
    with torch.no_grad():
        codes = torch.randint(0, 256, (8, 16))
        codes[0, 0] = 255
        model.weight.copy_((codes - 127.5) * 0.01)
    fault = qtaml.faults.Uniform(0.1)
    fmt = TensorFormat((Section(128, Format()),))
    words, _ = fmt.encode(model.weight.detach(), fault)
    assert torch.equal(words.long(), codes)
    corrected, scale = TensorFormat((Section(128, Format()),), correction="paper").encode(model.weight.detach(), fault)
    once = ((model.weight.detach().double() / scale / 0.8) * 127.5 + 127.5).clamp(0, 255)
    assert (corrected.double() - once).abs().max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 0.5}, r"p must be a flip probability in \[0, 0.5\), got 0.5"),
        ({"p": -0.1}, r"p must be a flip probability in \[0, 0.5\), got -0.1"),
        ({"p": float("nan")}, r"p must be a number, or \(a number, a number\), or None, got nan"),
        ({"p": "high"}, r"p must be a number, or \(a number, a number\), or None, got 'high'"),
        ({"p": None}, "give exactly one of p, fault and device"),
        ({"p": None, "fault": 0.1}, "fault must be a fault model"),
        ({"overhead": 5}, r"overhead must be a share from 0 to 1 \(every bit protected\), got 5; 5 per cent is 0.05"),
        ({"overhead": -0.01}, "overhead must be a share from 0 to 1"),
        ({"bits": 1}, "bits must be a whole number from 2 to 16, got 1"),
        ({"bits": 8.0}, "bits must be a whole number from 2 to 16, got 8.0"),
        ({"encoding": "unary"}, "encoding must be one of 'offset_binary', 'twos_complement'"),
        ({"grid": "log"}, "grid must be one of"),
        ({"granularity": "block"}, "granularity must be one of 'tensor', 'row', got 'block'"),
        ({"allocation": "best"}, "allocation must be one of 'split', 'integer', 'greedy', got 'best'"),
        ({"correction": "mean"}, "correction must be one of"),
        ({"step": "double"}, "step must be one of"),
        ({"floors": {"stem*": 9}}, r"floors\['stem\*'\] must be a whole number from 0 to 8, got 9"),
        ({"floors": {"nothing": 1}}, "floors pattern 'nothing' matches none of"),
        ({"residual_floor": -1}, "residual_floor must be a whole number from 0 to 8, got -1"),
        ({"trials": 1}, "trials must be a whole number of at least 2, got 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"exclude": ["*"]}, "the model has no tensor to store"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.QtamlError, match=message):
        plan_of(RESIDUAL, **arguments)


def test_calibration_of_the_wrong_shape_is_refused():
    """The error says what was given."""
    with pytest.raises(qtaml.ModelError, match=r"failed on inputs of shape \(4, 2\) float32"):
        qtaml.compensate(TRANSFORMER.model(), torch.zeros(4, 2), p=0.1, overhead=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["keep", "recompute"])
@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_predicted_error_is_that_of_what_is_stored(step, granularity):
    """For one linear layer the prediction is the exact variance of the output, split and rescaled or not.

    Inputs are unit vectors, so that the output error is the summed squared weight error; 600 reads, 5 standard errors.
    """
    torch.manual_seed(1)
    model = nn.Linear(40, 40, bias=False).double()
    with torch.no_grad():
        model.weight.abs_().mul_(torch.logspace(0, -2, 40)[:, None])
    inputs = torch.eye(40).double()
    settings = {"overhead": 0.06, "granularity": granularity, "step": step, "passes": 512}
    plan = qtaml.compensate(model, inputs, p=0.1, **settings)
    (entry,) = plan.tensors
    memory = qtaml.store(model, plan)
    stored = memory.tensors["weight"]
    mean = entry.storage.read_mean(stored.words, stored.scale, plan.fault)
    values = torch.tensor([float((dict(memory.read(seed=s))["weight"] - mean).square().sum()) for s in range(600)]) / 40
    error = 5 * float(values.std()) / 600**0.5 + 5 * plan.noise_error * entry.gain.standard_error / entry.gain.squared
    assert abs(float(values.mean()) - plan.noise_error) < error
    assert error < 0.1 * plan.noise_error


def test_zeros_of_a_sparse_tensor_do_not_add_up():
    """On the half-step grid zeros are stored alternately half a step up and down, so their sum is about zero."""
    weight = torch.zeros(100, 100)
    weight[0, 0] = 1.0
    storage = TensorFormat((Section(10_000, Format()),))
    words, scale = storage.encode(weight, qtaml.faults.Uniform(0.0))
    assert abs(float(storage.decode(words, scale).sum())) < 1.1


def test_errors_of_a_split_tensor_do_not_depend_on_where_it_is_split():
    """Two plans of nearly the same budget share nearly all errors of their unprotected bits."""
    model = nn.Linear(100, 200, bias=False)
    plans = [qtaml.compensate(model, torch.randn(8, 100), p=0.1, overhead=o, correction="none") for o in (0.03, 0.06)]
    assert all(len(plan.tensors[0].storage.sections) == 2 for plan in plans)
    low = []
    for plan in plans:
        memory = qtaml.store(model, plan)
        (entry,), stored = plan.tensors, memory.tensors["weight"]
        read = entry.storage.read(stored.words, torch.tensor(1.0).double(), plan.fault, seed=1)
        words = ((read + 1) * 127.5).round().to(torch.uint8)
        low.append((words ^ stored.words) & 0x1F)
    assert (low[0] != low[1]).double().mean() < 0.02


def test_settings_from_numpy_survive_json():
    """NumPy and torch scalars are taken as Python numbers; strings are not."""
    import numpy as np

    plan = plan_of(
        CONVOLUTION,
        p=np.float32(0.1),
        overhead=torch.tensor(0.1),
        seed=np.int64(3),
        passes=np.int64(4),
        trials=np.int32(2),
    )
    assert qtaml.Plan.from_json(plan.to_json()) == plan
    with pytest.raises(qtaml.ArgumentError, match=r"overhead must be a number, got .0\.1."):
        plan_of(CONVOLUTION, overhead="0.1")
    with pytest.raises(qtaml.ArgumentError, match="overhead must be finite"):
        plan_of(CONVOLUTION, overhead=10**400)


def test_floors_match_any_name_of_a_tied_tensor():
    """A floor for the head holds for the embedding that it is tied to."""
    plan = plan_of(TRANSFORMER, overhead=0.5, floors={"head.*": 3})
    embed = next(tensor for tensor in plan.tensors if tensor.name == "embed.weight")
    assert min(section.format.protected_bits for section in embed.storage.sections) >= 3


@pytest.mark.slow
def test_always_takes_every_tensor_unmeasured():
    """Each tensor of the plan is corrected, with the same protection as when it is measured; the setting is kept."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    always = qtaml.compensate(model, batch, p=0.1, overhead=0.1, correction="paper", decision="always")
    measured = qtaml.compensate(model, batch, p=0.1, overhead=0.1, correction="paper")
    assert {tensor.storage.correction for tensor in always.tensors} == {"paper"}
    assert {tensor.correction_test for tensor in always.tensors} == {None}
    assert all(tensor.correction_test is not None for tensor in measured.tensors)
    assert [t.storage.sections for t in always.tensors] == [t.storage.sections for t in measured.tensors]
    read = qtaml.Plan.from_json(always.to_json())
    assert read == always
    assert read.settings.decision == "always"


@pytest.mark.slow
def test_predicted_decisions_are_those_that_reads_would_find():
    """On every tensor where the paper's test of 64 reads is clear, from a few backward passes for all of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))
        batch = torch.randn(64, 16)
    settings = {"p": 0.1, "overhead": 0.05}
    measured = qtaml.compensate(model, batch, **settings, trials=64)
    predicted = qtaml.compensate(model, batch, **settings, decision="predicted")
    clear = 0
    for one, other in zip(measured.tensors, predicted.tensors, strict=True):
        test = one.correction_test
        if test and abs(test.corrected - test.without) > 4 * test.standard_error:
            assert other.storage.correction == one.storage.correction
            clear += 1
    assert clear
    assert predicted.settings.decision == "predicted"
    with pytest.raises(qtaml.ArgumentError, match=r"decision must be one of 'measured', .* got 'no'"):
        qtaml.compensate(model, batch, **settings, decision="no")


@pytest.mark.parametrize("decision", ["measured", "predicted", "always"])
def test_a_tensor_is_encoded_once_for_each_correction(monkeypatch, decision):
    """The words without a correction and with it, however many steps of the plan need them."""
    made = []
    encode = TensorFormat.encode
    monkeypatch.setattr(TensorFormat, "encode", lambda *arguments: made.append(0) or encode(*arguments))
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    qtaml.compensate(model, torch.randn(16, 6), p=0.1, overhead=0.1, decision=decision, beyond_first_order=False)
    assert len(made) == 2 * 2


def test_scales_that_no_overhead_pays_for():
    """A message that asks for more than an overhead can be would send the caller in a circle."""
    message = r"no overhead up to 1 suffices: .* take 2\.\d+, .* for scales .* choose larger groups \(granularity\)"
    for overhead in (0.1, 1.0):
        with pytest.raises(qtaml.BudgetError, match=message) as caught:
            plan_of(CONVOLUTION, overhead=overhead, levels="nf4", granularity=4)
        assert caught.value.least_overhead > 1
    assert plan_of(CONVOLUTION, overhead=1.0, levels="nf4", granularity="row").overhead <= 1
