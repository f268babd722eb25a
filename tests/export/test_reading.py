"""What is exported: the weights as stored or as read, and programs for batches of any size."""

import dataclasses

import pytest
import torch
from torch import nn

import qtaml
from qtaml.export import write_onnx, write_program
from qtaml.export.reading import network_as_read, traced
from qtaml.faults import Uniform
from qtaml.model import arguments
from qtaml.protections import HardenedCell
from tests.cases import CONVOLUTION, RECURRENT, assert_unchanged, snapshot


def memory_of(model, **arguments):
    """The model in a memory."""
    return qtaml.store(model, qtaml.uniform_msp(model, **{"p": 0.1, "protected_bits": 1} | arguments))


def all_equal(first, second):
    """Whether two networks have the same numbers."""
    others = second.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.state_dict().items())


def test_without_a_seed_it_is_what_is_stored():
    """A seed gives one read with the plan's own errors, or with others."""
    memory = memory_of(CONVOLUTION.model())
    assert all_equal(network_as_read(memory, None, None), memory.model(seed=5, fault=Uniform(0)))
    assert all_equal(network_as_read(memory, 5, None), memory.model(seed=5))
    assert all_equal(network_as_read(memory, 5, Uniform(0.3)), memory.model(seed=5, fault=Uniform(0.3)))
    with pytest.raises(qtaml.ArgumentError, match=r"seed must be given with a fault model, got seed None and Uniform"):
        network_as_read(memory, None, Uniform(0.3))


def test_what_is_stored_has_no_errors_of_larger_cells_either():
    """Their error rates are their own: what is read at p = 0 has errors, what is exported has none."""
    model = nn.Linear(30, 20, bias=False)
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=8)
    (entry,) = plan.tensors
    (section,) = entry.storage.sections
    larger = dataclasses.replace(section.format, protections=(HardenedCell(2.0, 0.2, 0.2),) * 8)
    storage = dataclasses.replace(entry.storage, sections=(dataclasses.replace(section, format=larger),))
    plan = dataclasses.replace(plan, tensors=(dataclasses.replace(entry, storage=storage),))
    memory = qtaml.store(model, plan)
    half_a_step = float(model.weight.detach().abs().max()) / 255 * 1.001
    assert (memory.model(seed=0, fault=Uniform(0)).weight - model.weight).abs().max() > 10 * half_a_step
    assert (network_as_read(memory, None, None).weight - model.weight).abs().max() <= half_a_step


@pytest.mark.slow
@pytest.mark.parametrize("case", [CONVOLUTION, RECURRENT], ids=lambda case: case.name)
@pytest.mark.parametrize("given", [1, 2, 7])
def test_a_program_takes_any_number_of_samples(case, given):
    """However many it was traced with; the model is not touched."""
    model = case.model()
    before = snapshot(model)
    memory = memory_of(model)
    program = traced(network_as_read(memory, 0, None), case.batch(given)).module()
    for samples in (1, 2, 5):
        expected = memory.model(seed=0)(case.batch(samples))
        torch.testing.assert_close(program(case.batch(samples)), expected)
    assert_unchanged(model, before)


@pytest.mark.slow
def test_inputs_come_in_all_forms_of_a_batch():
    """One tensor, a tuple of several, a dictionary; what is no tensor is part of the program."""

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, first, second, factor=1.0):
            return {"hidden": first, "logits": self.linear(first + factor * second)}

    memory = memory_of(Sum())
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    for batch in ((first, second), (first, second, 2.0), {"first": first, "second": second, "factor": 2.0}):
        args, kwargs = arguments(batch, memory.model(seed=0))
        found = traced(memory.model(seed=0), batch).module()(*args, **kwargs)
        assert torch.equal(found, memory.model(seed=0)(*args, **kwargs)["logits"])


class FourAtOnce(nn.Linear):
    """A network that takes four samples, or a multiple of four."""

    def forward(self, x):
        return super().forward(x).reshape(-1, 4, 2).flatten(0, 1)


@pytest.mark.parametrize(
    ("kind", "batch", "error", "message"),
    [
        (nn.Linear, torch.zeros(0, 3), qtaml.ArgumentError, r"inputs must hold at least one sample, got shape"),
        (nn.Linear, torch.zeros(2, 4), qtaml.ModelError, r"the model failed on inputs of shape \(2, 4\) float32"),
        (nn.Linear, "text", qtaml.ArgumentError, "a batch must be a tensor"),
        (nn.EmbeddingBag, torch.zeros(2, 4), qtaml.ModelError, "the model failed on inputs"),
        (FourAtOnce, torch.zeros(4, 3), qtaml.ModelError, "the model failed on inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(kind, batch, error, message):
    """With what is wrong with them."""
    with pytest.raises(error, match=message):
        traced(memory_of(kind(3, 2)).model(seed=0), batch)


def test_a_model_that_looks_at_its_numbers_cannot_be_traced():
    """The error says what to write instead."""

    class Branches(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x[:, :2]

    message = r"cannot be traced for batches of any size \(.+\); write its state dict"
    with pytest.raises(qtaml.ModelError, match=message):
        traced(memory_of(Branches(3, 2)).model(seed=0), torch.ones(4, 3))


class KeepsADouble(nn.Linear):
    """A network that computes with twice its weight, as its first forward pass has left it."""

    twice = None

    def forward(self, x):
        if self.twice is None:
            self.twice = 2 * self.weight.detach()
        return nn.functional.linear(x, self.twice, self.bias)


@pytest.mark.parametrize("write", [write_program, write_onnx])
def test_a_network_that_keeps_its_weights_elsewhere_is_not_written(write, tmp_path):
    """It would be the network without errors. What is yet to be kept is that of the read, and is written."""
    if write is write_onnx:
        pytest.importorskip("onnxscript")
    model, inputs = KeepsADouble(3, 2), torch.ones(4, 3)
    model(inputs)
    with pytest.raises(qtaml.ModelError, match="does not change with the numbers in weight: the model computes with"):
        write(memory_of(model), tmp_path / "network", inputs, seed=1)
    assert not list(tmp_path.iterdir())


def test_a_check_before_writing_says_nothing_of_later_metrics(tmp_path):
    """What the inputs of a program do not reach, those of a metric may."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    memory = memory_of(model)
    write_program(memory, tmp_path / "network.pt2", torch.ones(4, 3))
    assert memory.unread is None
