"""Networks that are not what they seem: each is planned and measured right, or refused by name."""

import random
import threading
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune, weight_norm
from torch.utils.checkpoint import checkpoint

import qtaml
from qtaml._random import child_seed
from qtaml.measuring import Agreement, OutputError
from qtaml.sensitivity import checked_gains, jacobian_gains
from tests.cases import CONVOLUTION, Chain, assert_unchanged, snapshot

INPUTS = torch.linspace(-2, 2, 32 * 6).sin().reshape(32, 6)
TOKENS = torch.arange(64).reshape(16, 4) ** 2 % 11
NOTES: dict[str, torch.Tensor] = {}


class Mlp(nn.Module):
    """Two layers of which subclasses compute the first in ways of their own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 4)

    def hidden(self, x):
        return self.first(x)

    def forward(self, x):
        return self.second(torch.tanh(self.hidden(x)))


def memory_of(model, p=0.2):
    """The model stored without protection."""
    return qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0))


def by_hand(memory, build, metric, trials, seed=0):
    """What `evaluate` has to give: each read loaded into a network made anew."""
    values = []
    for trial in range(trials):
        fresh = build()
        fresh.load_state_dict(memory.state_dict(seed=child_seed(seed, "trial", trial)))
        values.append(metric(fresh))
    return tuple(values)


# A read reaches the computation.


class KeepsItsWeight(Mlp):
    """Standardises a weight once and keeps the result."""

    def hidden(self, x):
        if not hasattr(self, "ready"):
            self.ready = (self.first.weight - self.first.weight.mean()).detach()
        return x @ self.ready.T


class NotesItsWeight(Mlp):
    """The same, in a dictionary outside."""

    def hidden(self, x):
        return x @ NOTES.setdefault("weight", self.first.weight.detach().clone()).T


class SharesAnother(Mlp):
    """Computes with a layer that is none of its modules."""

    def hidden(self, x):
        return other()(x)


@cache
def other():
    """A layer of nobody."""
    return nn.Linear(6, 12)


def closure():
    """A forward of the instance."""
    model = Mlp()
    model.forward = lambda x: Mlp.forward(model, x)
    return model


def hooked():
    """A hook that computes with the model that it was made for."""
    model = Mlp()
    model.first.register_forward_hook(lambda module, args, out: args[0] @ model.first.weight.T)
    return model


@pytest.mark.parametrize("build", [KeepsItsWeight, NotesItsWeight, SharesAnother, closure, hooked])
@pytest.mark.parametrize("way", ["compensate", "predict", "accuracy", "own metric"])
def test_numbers_kept_elsewhere_are_refused(build, way):
    """A cache, a global, a closure and a hook would be read as if no cell had failed."""
    NOTES.clear()
    model = build().eval()
    model(INPUTS)
    metric = qtaml.Accuracy(INPUTS, torch.arange(32) % 4)
    ways = {
        "compensate": lambda: qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1),
        "predict": lambda: qtaml.predict(model, INPUTS, p=0.1),
        "accuracy": lambda: qtaml.evaluate(memory_of(model), metric, trials=2),
        "own metric": lambda: qtaml.evaluate(memory_of(model), lambda read: float(read(INPUTS).mean()), trials=2),
    }
    with pytest.raises(qtaml.ModelError, match=r"numbers in first\.weight: the model computes|holds the model itself"):
        ways[way]()


def test_a_cache_made_while_reading_is_not_kept():
    """A network that caches in its first forward pass is read right, if that pass is still to come."""
    memory, metric = memory_of(KeepsItsWeight()), lambda read: float(read(INPUTS).square().mean())
    assert qtaml.evaluate(memory, metric, trials=3).values == by_hand(memory, KeepsItsWeight, metric, 3)


@pytest.mark.parametrize("dynamic", [True, False])
def test_exported_programs_are_read(dynamic):
    """For batches of any size, and of one size only."""
    shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    program = torch.export.export(Mlp().eval(), (INPUTS,), dynamic_shapes=shapes).module()
    metric = OutputError(Mlp(), INPUTS)
    assert qtaml.evaluate(memory_of(program), metric, trials=3).values == pytest.approx(
        qtaml.evaluate(memory_of(Mlp()), metric, trials=3).values
    )


def test_an_unused_layer_is_named():
    """Its errors do not show; the plan and the result say so."""
    model = Chain({"used": nn.Linear(6, 4), "pooler": nn.Linear(4, 4)}, "used")
    result = qtaml.evaluate(memory_of(model), qtaml.Accuracy(INPUTS, torch.arange(32) % 4), trials=2)
    plan = qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1)
    assert result.unread == plan.unreached == ("pooler.weight",)
    assert "No calibration sample reaches pooler.weight" in str(plan)


def test_a_metric_that_looks_away_is_noticed():
    """All reads equal, though what was read is not."""
    model = Mlp()
    with pytest.warns(UserWarning, match="does the metric measure the model that it gets"):
        qtaml.evaluate(memory_of(model), lambda read: float(model(INPUTS).mean()), trials=3)


# Gains are those of the forward pass.


class Rounding(Mlp):
    """Hidden values on a grid, through which no gradient passes."""

    def hidden(self, x):
        return (super().hidden(x) * 64).round() / 64


class Half(torch.autograd.Function):
    """The identity, whose backward pass loses half."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


class Lossy(Mlp):
    """Its first layer has half the gradient."""

    def hidden(self, x):
        return Half.apply(super().hidden(x))


class Frozen(Mlp):
    """Its first layer runs without gradients."""

    @torch.no_grad()
    def hidden(self, x):
        return super().hidden(x)


class Checkpointed(Mlp):
    """Its last layer is computed again for the backward pass."""

    def forward(self, x):
        return checkpoint(self.second, torch.tanh(self.hidden(x)), use_reentrant=True)


class InputsOnly(torch.autograd.Function):
    """A linear map, as layers of few bits have it: no gradient for its weights."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ ctx.saved_tensors[0], None


class Adapted(Mlp):
    """Its last layer is not trained any more."""

    def forward(self, x):
        return InputsOnly.apply(torch.tanh(self.hidden(x)), self.second.weight) + self.second.bias


class Bag(nn.Module):
    """Embedded tokens, averaged."""

    def __init__(self, **settings) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(11, 6, **settings), nn.Linear(6, 4)
        self.embed.weight.data.normal_()

    def forward(self, tokens):
        return self.head(torch.tanh(self.embed(tokens)).mean(1))


@pytest.mark.parametrize(
    ("odd", "plain", "inputs", "name"),
    [
        (Rounding, Mlp, INPUTS, "first.weight"),
        (Lossy, Mlp, INPUTS, "first.weight"),
        (Frozen, Mlp, INPUTS, "first.weight"),
        (Checkpointed, Mlp, INPUTS, "second.weight"),
        (Adapted, Mlp, INPUTS, "second.weight"),
        (partial(Bag, scale_grad_by_freq=True), Bag, TOKENS, "embed.weight"),
        (partial(Bag, padding_idx=0), Bag, TOKENS * (TOKENS > 3), "embed.weight"),
        (partial(Bag, max_norm=100.0, sparse=True), Bag, TOKENS, "embed.weight"),
    ],
    ids=["rounding", "lossy", "no gradient", "checkpoint", "inputs only", "by frequency", "padding", "sparse"],
)
def test_gains_do_not_depend_on_how_the_backward_pass_is_written(odd, plain, inputs, name):
    """The gain is that of the same function with an ordinary backward pass."""
    odd = odd()
    weights = {one: tensor.detach() for one, tensor in odd.named_parameters() if tensor.ndim > 1}
    found, exact = checked_gains(odd, inputs, weights), jacobian_gains(plain(), inputs, weights, passes=256)
    for one in weights:
        error = (found[one].standard_error ** 2 + exact[one].standard_error ** 2) ** 0.5
        assert abs(found[one].squared - exact[one].squared) < 4 * error + 0.1 * exact[one].squared
    right = isinstance(odd, Bag) and odd.embed.sparse
    assert found[name].source == ("backward passes" if right else "forward passes")


def test_gains_that_hold_are_those_of_backward_passes_to_the_bit():
    """The check changes no number where nothing is wrong."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    weights = {name: one.detach() for name, one in model.named_parameters() if one.ndim > 1}
    assert checked_gains(model, batch, weights) == jacobian_gains(model, batch, weights)


@pytest.mark.slow
def test_a_tensor_that_no_sample_reaches_counts_as_the_others_do():
    """Rows of a second vocabulary that the calibration does not use: the floor is the user's."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.one, self.two, self.head = nn.Embedding(11, 6), nn.Embedding(11, 6), nn.Linear(6, 4)

        def forward(self, tokens):
            return self.head(
                torch.where((tokens < 11)[..., None], self.one(tokens % 11), self.two(tokens % 11)).mean(1)
            )

    def bits(floor):
        plan = qtaml.compensate(Two(), TOKENS, p=0.1, overhead=0.2, unreached_floor=floor)
        assert plan.unreached == ("two.weight",)
        return plan.tensors[1].storage.protected_bits

    assert bits(0.0) == 0 < bits(1.0)


class Words(nn.Sequential):
    """Averages embedded tokens of a vocabulary of 60."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.EmbeddingBag(60, 32), nn.Tanh(), nn.Linear(32, 4))


@pytest.mark.slow
def test_rows_that_no_sample_reaches_are_counted():
    """Tokens that the calibration does not hold."""
    plan = qtaml.compensate(Words(), torch.arange(96).reshape(24, 4) % 20, p=0.05, overhead=0.1)
    assert plan.tensors[0].gain.unreached_rows == 40
    assert "No calibration sample reaches 40 of 60 rows of 0.weight" in str(plan)
    assert not qtaml.compensate(Words(), torch.arange(60).reshape(15, 4), p=0.05, overhead=0.1).remarks


@pytest.mark.long
def test_rows_that_no_sample_reaches_are_stored_as_others_are():
    """With formats of rows they would get no bits, and their tokens no meaning; a floor of 0 allows that."""
    tokens = torch.arange(96).reshape(24, 4) % 20

    def plan(floor):
        asked = {"p": 0.05, "cells": 2.0, "passes": 4, "rows": True, "unreached_floor": floor}
        return qtaml.design(Words(), tokens, **asked)

    def bits(floor):
        return min(section.format.bits for section in plan(floor).tensors[0].storage.sections)

    assert bits(0.0) == 0 < bits(1.0)


# The user's model is never the workbench.


class Serving(Mlp):
    """Keeps what it computed, counts its calls, and makes a buffer when it is first run."""

    def hidden(self, x):
        if not hasattr(self, "mask"):
            self.register_buffer("mask", torch.ones(6), persistent=False)
        self.kept = super().hidden(x * self.mask)
        return self.kept


@pytest.mark.slow
def test_threads_that_plan_and_serve_do_not_meet():
    """Same plans, same served outputs, the model as it was."""
    model, problems, done = Serving().eval(), [], threading.Event()
    before = snapshot(model)
    wanted = qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1, passes=4, trials=2)
    expected = model(INPUTS).detach()

    def plan():
        for _ in range(3):
            try:
                if qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1, passes=4, trials=2) != wanted:
                    problems.append("another plan")
            except Exception as error:
                problems.append(error)

    def serve():
        while not done.is_set():
            with torch.no_grad():
                if not torch.equal(model(INPUTS), expected):
                    problems.append("another output")

    threads = [threading.Thread(target=plan) for _ in range(4)]
    server = threading.Thread(target=serve)
    for thread in (server, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    server.join()
    assert not problems
    assert_unchanged(model, before)


@pytest.mark.parametrize("way", ["compensate", "predict", "evaluate"])
def test_nothing_is_left_in_the_model(way):
    """No buffer, no kept activations and no graph."""
    model = Serving()
    attributes = set(vars(model))
    if way == "compensate":
        qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1)
    elif way == "predict":
        qtaml.predict(model, INPUTS, p=0.1)
    else:
        qtaml.evaluate(memory_of(model), Agreement(model, INPUTS), trials=2)
    assert set(vars(model)) == attributes
    assert not list(model.buffers())


def pruned():
    """Half of a layer is masked: what the layer uses is computed from two tensors before each call."""
    model = Mlp()
    prune.l1_unstructured(model.first, "weight", 0.5)
    return model


def normalised():
    """The same by weight norm of old: what the layer uses is an attribute with a graph."""
    model = Mlp()
    with pytest.warns(FutureWarning, match="weight_norm"):
        weight_norm(model.first)
    return model


@pytest.mark.parametrize("build", [pruned, normalised, Serving])
def test_the_order_of_calls_does_not_matter(build):
    """What comes before an evaluation leaves nothing behind that would change it."""

    def values(model):
        return qtaml.evaluate(memory_of(model), Agreement(model, INPUTS), trials=4).values

    alone, used = values(build()), build()
    used(INPUTS)
    qtaml.predict(used, INPUTS, p=0.1)
    qtaml.compensate(used, INPUTS, p=0.1, overhead=0.1)
    assert values(used) == alone
    assert len(set(alone)) > 1


@pytest.mark.slow
def test_the_default_device_of_torch_does_not_matter():
    """What qtaml makes for itself lies where it is used."""
    model = Mlp()

    def everything():
        metric = qtaml.Accuracy(INPUTS, torch.arange(32, device="cpu") % 4)
        plan = qtaml.design(model, INPUTS, p=0.1, cells=1.0, passes=4, decoders=["none"])
        return plan, qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1), qtaml.evaluate(memory_of(model), metric)

    expected = everything()
    torch.set_default_device("meta")
    try:
        assert everything() == expected
    finally:
        torch.set_default_device(None)


# A network is a function of its input.


class Drops(Mlp):
    """Drops hidden values in evaluation mode too, by one generator or another."""

    def __init__(self, draw) -> None:
        super().__init__()
        self.draw = draw

    def hidden(self, x):
        return super().hidden(x) * self.draw()


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), random.random, np.random.rand])
def test_random_networks_are_refused_and_random_states_kept(draw):
    """By torch's, Python's and NumPy's generator."""
    model = Drops(draw)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    with pytest.raises(qtaml.ModelError, match="must be a function of its inputs, but it gives other outputs"):
        qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1)
    with pytest.raises(qtaml.ModelError, match="must be a function of its inputs"):
        qtaml.evaluate(memory_of(model), qtaml.Accuracy(INPUTS, torch.arange(32) % 4), trials=2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert all(map(np.array_equal, before[2], np.random.get_state()))


class Remembers(nn.Module):
    """A layer that adds what it was given before: as an attribute, or in a list."""

    def __init__(self, listed) -> None:
        super().__init__()
        self.linear, self.listed, self.last, self.all = nn.Linear(6, 6), listed, None, []

    def forward(self, x):
        last = self.all[-1] if self.all else self.last
        out = self.linear(x) + (0 if last is None else last)
        if self.listed:
            self.all.append(out.detach())
        else:
            self.last = out.detach()
        return out


def test_a_state_between_calls_is_begun_anew_or_refused_by_name():
    """An attribute is as it was before each call; what changes in place cannot be, and its module is named."""
    model = nn.Sequential(Remembers(listed=False), nn.Linear(6, 4))
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.0, protected_bits=0, bits=16))
    assert qtaml.evaluate(memory, Agreement(model, INPUTS), trials=3).mean == 1
    assert model[0].last is None
    model = nn.Sequential(nn.Linear(6, 6), Remembers(listed=True), nn.Linear(6, 4))
    with pytest.raises(qtaml.ModelError, match="but '1' gives other outputs on equal inputs"):
        qtaml.predict(model, INPUTS, p=0.1)


# Tensors are what they are.


class Quantised(torch.Tensor):
    """Integers and a scale that pass for floating-point numbers, which they become in products."""

    @staticmethod
    def __new__(cls, integers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, integers.shape, dtype=torch.float32)

    def __init__(self, integers, scale) -> None:
        self.integers, self.scale = integers, scale

    def dequantize(self):
        return self.integers * self.scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default):
            return cls(args[0].integers.clone(), args[0].scale)
        if func in (torch.ops.aten.t.default, torch.ops.aten.linear.default):
            return func(*(one.dequantize() if isinstance(one, cls) else one for one in args))
        raise NotImplementedError(str(func))


def with_quantised_layer():
    """The first layer of a network, to 8 bits."""
    model = Mlp()
    integers = (model.first.weight.detach() * 100).round().to(torch.int8)
    model.first.weight = nn.Parameter(Quantised(integers, 0.01), requires_grad=False)
    return model


def test_quantised_tensors_may_be_left_out_or_dequantised(tmp_path):
    """Both ways that the error names are ways: measured without errors in it, or as numbers; only these are saved."""
    model, plain = with_quantised_layer(), with_quantised_layer()
    plain.first.weight = nn.Parameter(plain.first.weight.dequantize())
    plans = [qtaml.uniform_msp(one, p=0.1, protected_bits=1, exclude=["first.weight"]) for one in (model, plain)]
    memory, expected = (qtaml.store(one, plan) for one, plan in zip((model, plain), plans, strict=True))
    metric = Agreement(plain, INPUTS)
    values = qtaml.evaluate(memory, metric, trials=4).values
    assert values == qtaml.evaluate(expected, metric, trials=4).values
    assert len(set(values)) > 1
    expected.save(tmp_path / "plain")
    with pytest.raises(qtaml.ModelError, match=r"'first.weight' must be an ordinary one to be stored, got a Quantised"):
        memory.save(tmp_path / "quantised")
    assert not (tmp_path / "quantised").exists()


def test_tensors_that_are_not_numbers_are_refused_before_anything_is_computed():
    """By name, with the way on."""
    model = with_quantised_layer()
    with pytest.raises(qtaml.ModelError, match=r"'first.weight' must be an ordinary one, got a Quantised: give"):
        qtaml.compensate(model, INPUTS, p=0.1, overhead=0.1)
    model = Mlp()
    model.filter = nn.Parameter(torch.ones(3, 3, dtype=torch.complex64))
    with pytest.raises(qtaml.ModelError, match=r"'filter' must be real, got torch.complex64: keep torch.view_as_real"):
        qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    assert len(qtaml.uniform_msp(model, p=0.1, protected_bits=1, exclude=["filter"]).tensors) == 2


def test_views_that_repeat_their_elements_are_read(tmp_path):
    """A parameter and a buffer of stride 0."""

    class Masked(Mlp):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.ones(1, 1).expand(3, 6))
            self.shift = nn.Parameter(torch.full((1, 1), 0.5).expand(3, 6))

        def hidden(self, x):
            return super().hidden(x * self.mask[0] + self.shift[0])

    memory, metric = memory_of(Masked()), lambda read: float(read(INPUTS).square().mean())
    memory.save(tmp_path / "stored")
    result = qtaml.evaluate(qtaml.load(tmp_path / "stored", Masked()), metric, trials=3)
    assert result.values == by_hand(memory, loadable(Masked), metric, 3)


def loadable(build):
    """Makes the network with tensors that can be loaded into."""

    def contiguous():
        model = build()
        model.mask, model.shift = model.mask.contiguous(), nn.Parameter(model.shift.detach().contiguous())
        return model

    return contiguous


def test_a_buffer_of_a_forward_pass_may_come_and_go(tmp_path):
    """What is stored before the first pass is loaded after it, and the other way round says what to do."""
    stored = memory_of(Serving())
    stored.save(tmp_path / "before")
    model = Serving()
    model(INPUTS)
    again = qtaml.load(tmp_path / "before", model)
    assert again.state_dict(seed=0).keys() == stored.state_dict(seed=0).keys()
    memory_of(model).save(tmp_path / "after")
    with pytest.raises(qtaml.ModelError, match="'mask' is in only one of the two; if a forward pass makes it, run"):
        qtaml.load(tmp_path / "after", Serving())


def test_the_share_that_a_plan_covers_is_said():
    """Packed integers hold a number in each 8 bits; below 90% it is a remark."""

    class Packed(Mlp):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("packed", torch.ones(100, dtype=torch.int32))

    stored = 12 * 6 + 4 * 12
    plan = qtaml.uniform_msp(Packed(), p=0.1, protected_bits=1)
    assert plan.covered == stored / (stored + 12 + 4 + 400)
    assert plan.remarks == ("The plan stores 22.4% of the network's numbers; the others are kept without errors.",)
    assert not qtaml.uniform_msp(nn.Linear(64, 8), p=0.1, protected_bits=1).remarks


# Predictions that can be.


@pytest.mark.slow
def test_no_more_error_is_predicted_than_outputs_can_have():
    """Outputs of norm 1 are at most 2 apart."""

    class Embeds(Mlp):
        def __init__(self) -> None:
            super().__init__()
            self.second.weight.data[0, 0] = 30  # stretches the levels of all others

        def forward(self, x):
            return nn.functional.normalize(super().forward(x), dim=1)

    plan = qtaml.compensate(Embeds(), INPUTS, p=0.3, overhead=0.0, beyond_first_order=False)
    assert plan.outputs.bound == pytest.approx(4)
    assert qtaml.compensate(Embeds(), INPUTS, p=0.3, overhead=0.0).predicted_error < plan.outputs.bound
    assert plan.predicted_error == min(plan.first_order_error, plan.outputs.bound)
    assert plan.first_order_error > 1
    assert any("first order has ended" in remark for remark in plan.remarks)
    assert qtaml.compensate(Mlp(), INPUTS, p=0.3, overhead=0.0).outputs.bound is None
