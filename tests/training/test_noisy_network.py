"""Networks that compute, while they are trained, with their weights as the memory gives them back."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import qtaml
from qtaml.faults import Clustered, Several, StaticCells, TensorVariation, Uniform
from qtaml.formats import (
    EvenLevels,
    Format,
    Largest,
    NamedLevels,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
    TrellisLevels,
)
from qtaml.memory import weak_bits
from qtaml.planning import ByHand, Design, Plan, TensorPlan
from qtaml.protections import Repetition
from tests.cases import CASES, CONVOLUTION, TRANSFORMER, assert_unchanged, snapshot

TRELLIS = TrellisLevels(1, 2, ((1, -0.5), (2, -0.25)))
TABLE = Format(TableLevels((-1.5, -0.4, 0.4, 1.5)))
STORAGES = {
    "words": lambda size: TensorFormat((Section(size, Format().protect(2)),), correction="exact"),
    "votes": lambda size: TensorFormat((Section(size, Format(EvenLevels(3)).protect(1, Repetition(3))),)),
    "rows": lambda size: TensorFormat((Section(size, Format(EvenLevels(4))),), granularity="row"),
    "groups": lambda size: TensorFormat((Section(size, Format(NamedLevels("nf4"))),), Largest(), 5),
    "outliers": lambda size: TensorFormat((Section(size, Format(EvenLevels(4))),), outliers=3),
    "a trellis": lambda size: TensorFormat((Section(size, Format(TRELLIS)),), RootMeanSquare()),
    "a table and nothing": lambda size: TensorFormat(
        (Section(size - 3, TABLE), Section(3, Format(TableLevels((0.1,))))),
        RootMeanSquare(),
        "tensor",
        "least_error",
        1.1,
    ),
}
FAULTS = {
    "uniform": Uniform(0.1),
    "range": Several((Uniform(0.05), Uniform(0.3))),
    "chips": StaticCells((0.0, 0.0, 0.4, 0.5), chip=None),
    "clusters": Clustered(0.1, size=4),
    "tensors": TensorVariation(0.05, sigma=0.5),
}


def stored(model, storage, fault=FAULTS["uniform"]):
    """A plan that stores every matrix of a network alike."""
    matrices = qtaml.uniform_msp(model, p=0.1, protected_bits=0).tensors
    weights = dict(model.named_parameters())
    return Plan(
        ByHand(fault=fault),
        tuple(TensorPlan.of(e.name, e.aliases, weights[e.name], storage(e.storage.weights)) for e in matrices),
    )


def training_steps(tuned):
    """The network in training mode, its layers in evaluation mode: no dropout, no batch statistics."""
    tuned.train()
    for module in tuned.model.modules():
        module.training = False
    return tuned


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_step_computes_with_what_the_memory_reads(case):
    """Outputs of step n are those of the stored network read with the seed of step n, for every kind of network."""
    model = case.model().eval()
    tuned = training_steps(qtaml.noisy(model, stored(model, STORAGES["words"]), seed=3))
    memory = qtaml.store(model, tuned.plan)
    for step in range(2):
        expected = memory.model(seed=tuned.seed_of(step), fault=tuned.fault_of(step))(case.batch())
        with torch.no_grad():  # with gradients torch's transformer takes another way, and rounds otherwise
            assert torch.equal(tuned(case.batch()), expected)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_the_law_in_training_is_the_law_in_reading(storage, fault):
    """Of the weights as they are after an update, in every format and memory: the same bits as `Memory.read`."""
    model = nn.Linear(12, 5)
    tuned = qtaml.noisy(model, stored(model, storage, fault))
    tuned.model.weight.data.mul_(1.7).add_(0.01)
    for step in range(3):
        seed, memory = tuned.seed_of(step), tuned.fault_of(step)
        read = dict(qtaml.store(tuned.model, tuned.plan).read(seed=seed, fault=memory))
        assert torch.equal(tuned.tensors_as_read(seed, memory)["weight"], read["weight"])


def test_gradients_go_straight_through():
    """The weight gets the gradient of what is read; so do the biases, which are not stored."""
    model = nn.Linear(3, 2)
    tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.2, protected_bits=0))
    read = qtaml.store(model, tuned.plan).model(seed=tuned.seed_of(0)).requires_grad_(True)
    inputs = torch.randn(7, 3)
    for network in (tuned, read):
        torch.autograd.backward(network(inputs).square().sum())
    assert torch.equal(tuned.model.weight.grad, read.weight.grad)
    assert torch.equal(tuned.model.bias.grad, read.bias.grad)


def test_two_steps_may_wait_for_their_backward_passes():
    """Memory of a step is used again only when nothing refers to it: gradients are those of each step alone."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    plan, inputs = qtaml.uniform_msp(model, p=0.2, protected_bits=0), torch.randn(7, 3)

    def gradients(together):
        tuned = qtaml.noisy(model, plan)
        losses = [tuned(inputs).square().sum() for _ in range(3)] if together else ()
        for step in range(3):
            torch.autograd.backward(losses[step] if together else tuned(inputs).square().sum())
        return tuned.model[0].weight.grad

    assert torch.equal(gradients(together=True), gradients(together=False))
    tuned = qtaml.noisy(model, plan)
    held = [tuned.tensors_as_read(seed, tuned.fault)["0.weight"] for seed in range(2)]
    assert not torch.equal(*held)


def test_evaluation_is_clean_and_the_model_of_the_caller_stays():
    """Without errors in evaluation mode; training changes the copy alone."""
    model = CONVOLUTION.model()
    before = snapshot(model)
    tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.2, protected_bits=0))
    assert torch.equal(tuned.eval()(CONVOLUTION.batch()), copy.deepcopy(model).eval()(CONVOLUTION.batch()))
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
    torch.autograd.backward(tuned.train()(CONVOLUTION.batch()).square().sum())
    optimizer.step()
    assert_unchanged(model, before)
    assert not torch.equal(tuned.model.head.weight, model.head.weight)


def test_a_state_dict_goes_on_where_it_was_saved():
    """The number of steps is part of it, so the errors go on as well; a deep copy goes on by itself."""
    model = nn.Linear(4, 3)
    plan, inputs = qtaml.uniform_msp(model, p=0.2, protected_bits=0), torch.randn(5, 4)
    first, second = qtaml.noisy(model, plan), qtaml.noisy(model, plan)
    first(inputs)
    second.load_state_dict(first.state_dict())
    third = copy.deepcopy(first)
    following = first(inputs)
    assert torch.equal(second(inputs), following)
    assert torch.equal(third(inputs), following)
    assert not torch.equal(first(inputs), following)


def test_tied_weights_are_read_once_and_stay_tied():
    """Embedding and head are one tensor of the memory: one read, one gradient, one update."""
    model = TRANSFORMER.model()
    tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=4))
    read = tuned.tensors_as_read(0, tuned.fault)
    assert read["embed.weight"] is read["head.weight"]
    torch.autograd.backward(tuned(TRANSFORMER.batch()).square().sum())
    assert tuned.model.head.weight is tuned.model.embed.weight
    assert len([one for one in tuned.parameters() if one is tuned.model.embed.weight]) == 1


def test_mixed_precision_and_accumulated_gradients():
    """Autocast computes with what is read; each forward pass is a read of its own, and gradients add up in float32."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = tuned(torch.randn(4, 6))
        assert outputs.dtype == torch.bfloat16
        torch.autograd.backward(outputs.float().square().sum())
    assert tuned.model[0].weight.grad.dtype == torch.float32
    assert int(tuned.steps) == 2


def test_one_chip_or_another_in_each_step():
    """Tuned for one chip, the same cells are weak in every step; otherwise other ones."""
    model = nn.Linear(40, 30)
    plan = stored(model, lambda size: TensorFormat((Section(size, Format(EvenLevels(2))),)), StaticCells((0.0, 1.0)))

    def reads(chip):
        tuned = qtaml.noisy(model, plan, chip=chip)
        return [tuned.tensors_as_read(tuned.seed_of(n), tuned.fault_of(n))["weight"] for n in range(2)]

    assert torch.equal(*reads(chip=5))
    assert not torch.equal(reads(chip=5)[0], reads(chip=6)[0])
    assert not torch.equal(*reads(chip=None))


@pytest.mark.slow
def test_a_compiled_step_is_compiled_once():
    """Whatever its number: `torch.compile` takes numbers for constants. It computes what the step itself does."""
    model, inputs = nn.Linear(3, 2), torch.randn(7, 3)
    plan = qtaml.uniform_msp(model, p=0.2, protected_bits=0)
    plain, tuned = qtaml.noisy(model, plan).train(), qtaml.noisy(model, plan).train()
    compiled = torch.compile(tuned, backend="eager")
    outputs = [compiled(inputs)]
    with torch._dynamo.config.patch(error_on_recompile=True):
        outputs += [compiled(inputs), compiled(inputs)]
    assert all(torch.equal(one, plain(inputs)) for one in outputs)


@pytest.mark.slow
def test_words_for_the_chip_of_each_step():
    """A plan for a writer with a map: what the chip reads of the words written for it, of moved weights too."""
    model, chips = nn.Linear(40, 30), StaticCells((0.0,) * 4, p10=(0.0, 0.0, 0.01, 1.0), chip=None)
    asked = Design(fault=chips, cells=0.5, decoders=("none", "table"), weak_cells="known", passes=2)
    plan = qtaml.design(model, torch.randn(8, 40), asked)
    for chip in (5, None):
        tuned = qtaml.noisy(model, plan, chip=chip)
        for step in range(2):
            tuned.model.weight.data.mul_(1.1)
            memory, seed = tuned.fault_of(step), tuned.seed_of(step)
            written = qtaml.store(tuned.model, tuned.plan, weak_cells=weak_bits(plan, memory, reads=plan.map_reads))
            read = dict(written.read(seed=seed, fault=memory))["weight"]
            assert torch.equal(tuned.tensors_as_read(seed, memory)["weight"], read)
            unknown = dict(qtaml.store(tuned.model, tuned.plan).read(seed=seed, fault=memory))["weight"]
            assert not torch.equal(unknown, read)
    with pytest.raises(qtaml.ArgumentError, match=r"fault must be StaticCells.*, got Uniform"):
        qtaml.noisy(model, plan, fault=Uniform(0.1)).train()(torch.randn(2, 40))
    with pytest.raises(qtaml.ArgumentError, match="errors must be 'law' or 'none'"):
        qtaml.noisy(model, plan, errors="gaussian")


@pytest.mark.slow
def test_gaussian_noise_has_the_mean_and_the_variance_of_the_law():
    """Of 1,000 reads the standardised mean of each of 12 weights, and its variance, lie within five standard errors."""
    model = nn.Linear(4, 3)
    tuned = qtaml.noisy(model, stored(model, STORAGES["words"]), errors="gaussian")
    storage, weight = tuned.plan.tensors[0].storage, model.weight.detach()
    words, scale = storage.encode(weight, tuned.fault)
    mean, variance = storage.read_mean(words, scale, tuned.fault), storage.read_variance(words, scale, tuned.fault)
    reads = torch.stack([tuned.tensors_as_read(seed, tuned.fault)["weight"].detach().double() for seed in range(1000)])
    away = (reads - mean) / variance.sqrt()
    assert bool((away.mean(0).abs() < 5 / 1000**0.5).all())
    assert bool(((away.square().mean(0) - 1).abs() < 5 * (2 / 1000) ** 0.5).all())


def test_without_errors_weights_are_rounded_only():
    """Quantisation-aware training: labels as for a memory that keeps what is stored, whatever the plan expects."""
    model = nn.Linear(4, 3)
    tuned = qtaml.noisy(model, stored(model, STORAGES["words"]), errors="none")
    perfect = Plan(ByHand(p=0.0), tuned.plan.tensors)
    expected = dict(qtaml.store(model, perfect).read(seed=None))
    assert torch.equal(tuned.tensors_as_read(0, tuned.fault)["weight"], expected["weight"])


def test_what_the_plan_predicted_of_the_old_weights_is_left_out():
    """Gains and errors are those of the network that the plan was made for."""
    model = CONVOLUTION.model()
    plan = qtaml.compensate(model, CONVOLUTION.batch(), p=0.1, overhead=0.1, passes=2, trials=2)
    tuned = qtaml.noisy(model, plan)
    assert plan.predicted_error is not None
    assert tuned.plan.predicted_error is None
    assert (tuned.plan.cells, tuned.plan.settings) == (plan.cells, plan.settings)


def test_a_plan_for_another_network_is_refused():
    """By the name of the tensor that does not fit."""
    plan = qtaml.uniform_msp(nn.Linear(3, 2), p=0.1, protected_bits=0)
    with pytest.raises(qtaml.ModelError, match=r"tensor 'weight' must have shape \(2, 3\)"):
        qtaml.noisy(nn.Linear(4, 2), plan)


def test_frozen_weights_are_refused():
    """Before training, and if they are frozen later: they would stay as they are without a word."""
    model = nn.Linear(3, 2)
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=0)
    tuned = qtaml.noisy(model, plan)
    tuned.model.weight.requires_grad_(False)
    with pytest.raises(qtaml.ModelError, match=r"tensor 'weight'.* is frozen"):
        tuned(torch.ones(1, 3))
    with pytest.raises(qtaml.ModelError, match=r"tensor 'weight'.* is frozen"):
        qtaml.noisy(model.requires_grad_(False), plan)


class Recomputed(nn.Module):
    """A layer whose activations are computed again in the backward pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return checkpoint(self.layer, x.requires_grad_(), use_reentrant=False)


def test_recomputed_activations_are_refused():
    """They would be those of the float weights, and their gradients wrong without a word."""
    model = Recomputed()
    tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    with pytest.raises(qtaml.ModelError, match="switch activation checkpointing off"):
        torch.autograd.backward(tuned(torch.ones(2, 3)).square().sum())
