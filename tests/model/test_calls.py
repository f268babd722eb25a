"""Running a network without changing it."""

from collections import namedtuple

import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError, ModelError
from qtaml.model import calls, evaluation_mode, finite_outputs, named_tensors, one_batch, outputs, replacing
from qtaml.model.calls import MOST_OUTPUTS
from qtaml.sensitivity import output_deviations
from tests.cases import CONVOLUTION, TRANSFORMER, assert_unchanged, snapshot

PLAN = {"p": 0.1, "overhead": 0.1, "passes": 2, "trials": 2}


class Counting(nn.Module):
    """Counts its calls in a buffer, as some models do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


def test_buffers_written_in_forward_are_left_alone():
    """A model that writes to its buffers is the same after a call."""
    model = Counting()
    before = snapshot(model)
    outputs(model, torch.zeros(3, 2))
    assert_unchanged(model, before)


def test_what_runs_in_evaluation_mode_is_a_copy():
    """The model keeps its mixture of modes even inside the block."""
    model = CONVOLUTION.model()
    model.norm.eval()
    before = snapshot(model)
    with evaluation_mode(model) as network:
        assert not any(module.training for module in network.modules())
        assert_unchanged(model, before)
    with evaluation_mode(network) as again:
        assert again is network


def test_tied_weights_are_replaced_everywhere():
    """Replacing the embedding replaces the head tied to it."""
    model = TRANSFORMER.model().eval()
    zeros = replacing(model)(TRANSFORMER.batch(), {"embed.weight": torch.zeros(7, 8)})
    assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: (x, None),
        lambda x: [x],
        lambda x: {"hidden": None, "logits": x},
        lambda x: {"only": x},
        lambda x: namedtuple("Output", "loss logits")(None, x),
    ],
)
def test_usual_outputs_are_understood(wrap):
    """Tuples, dictionaries and records with logits give the logits."""

    class Wrapped(nn.Linear):
        def forward(self, x):
            return wrap(super().forward(x))

    model = Wrapped(2, 3)
    batch = torch.randn(4, 2)
    assert torch.equal(outputs(model, batch), nn.Linear.forward(model, batch))


def test_named_and_several_inputs():
    """A tuple gives positional inputs, a dictionary named ones."""
    model = nn.Bilinear(2, 3, 1)
    left, right = torch.randn(4, 2), torch.randn(4, 3)
    named = outputs(model, {"input1": left, "input2": right})
    assert torch.equal(outputs(model, (left, right)), named)
    assert named.shape == (4, 1)


def test_failures_name_the_inputs():
    """A batch of the wrong shape, kind, or with NaN is an error that says what was given."""
    model = CONVOLUTION.model()
    with pytest.raises(ModelError, match=r"failed on inputs of shape \(4, 3, 4, 4\) float32"):
        outputs(model, torch.rand(4, 3, 4, 4))
    with pytest.raises(ArgumentError, match="a batch must be a tensor, a tuple of inputs or a dictionary"):
        outputs(model, "images.png")
    with pytest.raises(ModelError, match=r"NaN or infinite outputs on inputs of shape \(4, 1, 4, 4\) float32"):
        finite_outputs(model, torch.full((4, 1, 4, 4), float("nan")))
    with pytest.raises(ModelError, match="must give a floating-point tensor with samples first"):
        outputs(nn.Flatten(), torch.zeros(2, 2, dtype=torch.int64))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_an_empty_batch_and_a_failing_model_are_named():
    """No samples, and whatever a model raises, end in one kind of error."""

    class Failing(nn.Linear):
        def forward(self, x):
            raise KeyError("mask")

    with pytest.raises(ModelError, match="a batch needs at least one sample"):
        outputs(nn.Linear(2, 2), torch.zeros(0, 2))
    with pytest.raises(ModelError, match=r"the model failed on inputs of shape .*'mask'"):
        outputs(Failing(2, 2), torch.zeros(1, 2))
    with pytest.raises(ModelError, match="scripted ones cannot be called with other weights"):
        outputs(torch.jit.script(nn.Linear(2, 2)), torch.zeros(1, 2))


def test_torchs_random_state_is_left_alone():
    """A model that draws random numbers in evaluation mode does not move the caller's generator."""

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(2)

    state = torch.random.get_rng_state()
    model = Noisy(2, 2)
    torch.random.set_rng_state(state)
    with evaluation_mode(model):
        outputs(model, torch.zeros(1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_batches_of_an_iterable_are_joined():
    """Tensors, tuples and dictionaries of a list or a generator become one batch; a single batch stays as it is."""
    parts = [torch.arange(6).reshape(3, 2), torch.arange(4).reshape(2, 2)]
    whole = torch.cat(parts)
    assert torch.equal(one_batch(iter(parts)), whole)
    named = one_batch([{"x": part, "flag": True} for part in parts])
    assert torch.equal(named["x"], whole)
    assert named["flag"] is True
    left, nothing = one_batch([(part, None) for part in parts])
    assert torch.equal(left, whole)
    assert nothing is None
    assert one_batch(parts) is parts  # several inputs of one batch
    assert one_batch(whole) is whole


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (iter([]), "must hold at least one batch"),
        ("images.png", "or an iterable of such batches, got str"),
        (iter([torch.zeros(2, 3), torch.zeros(2, 4)]), r"\(2, 3\) float32, shape \(2, 4\) float32; pad them to one"),
        (iter([{"x": torch.zeros(1)}, {"y": torch.zeros(1)}]), "must all hold the same inputs"),
        (iter([(torch.zeros(1), 1), (torch.zeros(1), 2)]), "agree in what is no tensor, got 1 and others"),
        (iter([(torch.zeros(1), None), (torch.zeros(1), torch.zeros(1))]), "got NoneType, Tensor in the same place"),
        (3, "got int"),
    ],
)
def test_batches_that_cannot_be_joined(batches, message):
    """The error says what was given."""
    with pytest.raises(ArgumentError, match=message):
        one_batch(batches)


def test_many_outputs_are_sampled_without_bias():
    """Squared deviations of 200,000 outputs from 32,768 of them: the same ones each time, right within 4 errors."""
    model = nn.Flatten()
    batch = torch.linspace(0, 5, 2 * 200_000).sin().reshape(2, 400, 500)
    output = finite_outputs(model, batch)
    assert output.shape == (2, MOST_OUTPUTS)
    assert torch.equal(output, finite_outputs(model, batch))
    squares = batch.flatten(1).double().square()
    error = squares.std(1) * 200_000 / MOST_OUTPUTS**0.5
    assert ((output.double().square().sum(1) - squares.sum(1)).abs() < 4 * error).all()
    assert outputs(model, batch).shape == (2, 200_000)


class Positions(nn.Module):
    """Makes a buffer where it is first needed, beside another one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x):
        if not hasattr(self, "positions"):
            self.register_buffer("positions", torch.ones(2))
        return self.linear(x + self.positions) * self.scale


def test_a_buffer_made_in_forward_does_not_stay():
    """The model works afterwards as it did, and can be stored as it is."""
    model = Positions()
    assert torch.equal(outputs(model, torch.zeros(3, 2)), outputs(model, torch.zeros(3, 2)))
    assert not dict(model.named_buffers()).keys() & {"positions"}


def test_buffers_of_scripted_parts_are_left_alone():
    """Their buffers are no ordinary dictionary."""
    scripted = torch.jit.script(nn.BatchNorm1d(2))
    model = nn.Sequential(nn.Linear(2, 2), scripted, Counting())
    before = snapshot(model)
    outputs(model, torch.randn(3, 2))
    assert_unchanged(model, before)


def test_a_parameter_kept_as_a_buffer_is_left_alone():
    """It is none of the model's parameters."""
    model = Counting()
    model.register_buffer("calls", nn.Parameter(torch.zeros(()), requires_grad=False))
    outputs(model, torch.zeros(3, 2))
    assert model.calls == 0


def test_replaced_weights_reach_buffers_that_share_their_memory():
    """As tied weights do."""
    model = nn.Linear(2, 2, bias=False)
    model.register_buffer("shared", model.weight.data)
    model.forward = lambda x: x @ model.shared
    assert not replacing(model)(torch.ones(3, 2), {"weight": torch.zeros(2, 2)}).any()


def test_names_and_ties_are_worked_out_once_for_all_passes(monkeypatch):
    """Deviations of many changes walk through the modules no more often for it than those of one."""
    walks = []
    monkeypatch.setattr(calls, "named_tensors", lambda model: walks.append(model) or named_tensors(model))
    model = nn.Linear(2, 2)
    output_deviations(model, torch.ones(3, 2), [{"weight": torch.zeros(2, 2)}] * 5)
    assert len(walks) == 1


def test_an_alarm_of_the_caller_goes_through():
    """It says nothing of the model; whatever the model raises is the cause of the error that is."""

    class Slow(nn.Linear):
        def forward(self, x):
            raise self.error

    model = Slow(2, 2)
    model.error = TimeoutError("an hour is over")
    for run in (lambda: outputs(model, torch.ones(1, 2)), lambda: qtaml.compensate(model, torch.ones(1, 2), **PLAN)):
        with pytest.raises(TimeoutError, match="an hour is over"):
            run()
    model.error = OSError("no such file")
    with pytest.raises(ModelError, match="no such file") as caught:
        outputs(model, torch.ones(1, 2))
    assert caught.value.__cause__ is model.error


def test_autocast_of_the_caller_does_not_matter():
    """Plans depend on what they are made from alone. A network may still cast for itself."""

    class Casts(nn.Linear):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x)

    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    plan = qtaml.compensate(model, batch, **PLAN)
    with torch.autocast("cpu", torch.bfloat16):
        assert qtaml.compensate(model, batch, **PLAN) == plan
        assert torch.is_autocast_enabled("cpu")
    with evaluation_mode(Casts(2, 2)) as network:
        assert outputs(network, torch.ones(1, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize("batch", [torch.ones(4), (torch.ones(4),), {"input": torch.ones(4)}], ids=repr)
def test_a_sample_without_a_batch_is_refused(batch):
    """Its outputs would count as samples."""
    for run in (lambda: outputs(nn.Linear(4, 2), batch), lambda: qtaml.compensate(nn.Linear(4, 2), batch, **PLAN)):
        with pytest.raises(ModelError, match=r"for samples, got .*shape \(4,\).*shape \(2,\).*inputs\[None\]"):
            run()
    assert outputs(nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), torch.ones(3, 4)).shape == (3, 1)
    assert outputs(nn.Embedding(5, 2), torch.arange(3)).shape == (3, 2)


def test_rows_that_are_no_samples_are_remarked():
    """Outputs of more rows than any input has, which may be samples or not: a plan says that they count as such."""

    class Second(nn.Linear):
        def forward(self, x):
            return super().forward(x)[None].expand(5, -1, -1)

    remark = "Outputs have 5 rows, and no input has as many. Each row counts as a sample"
    for model, remarked in ((Second(4, 2), 1), (nn.Linear(4, 2), 0)):
        remarks = qtaml.compensate(model, torch.eye(4), **PLAN).remarks
        assert sum(one.startswith(remark) for one in remarks) == remarked
