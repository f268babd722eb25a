"""Activations that are kept in a memory: their errors have the law of the format, read by read."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError, ModelError
from qtaml.faults import Asymmetric, StaticCells, Uniform, given
from qtaml.formats import EvenLevels, Format, Largest, NamedLevels, Section, TensorFormat, TrellisLevels
from qtaml.measuring import ActivationStream, OutputError, Result

INPUTS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> nn.Module:
    """Two layers."""
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5, bias=False)).requires_grad_(False)


def right(model: nn.Module) -> qtaml.Memory:
    """A memory that reads all weights right."""
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=16, bits=16))


def sum_of(model: nn.Module, name: str) -> float:
    """Of the outputs of one of its modules."""
    return float(model.get_submodule(name)(INPUTS).detach().sum())


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize(
    ("fmt", "fault"),
    [
        (Format(), Uniform(0.05)),
        (Format(EvenLevels(6)).protect(2), Asymmetric(0.02, 0.1)),
        (Format(NamedLevels("fp8_e4m3")), Uniform(0.01)),
    ],
    ids=["raw", "protected", "floats"],
)
def test_errors_have_the_law_of_the_format(model, fmt, fault, granularity):
    """Squared error of the outputs themselves, kept in the memory, over 60 reads: within five standard errors."""
    memory = right(model)
    stream = ActivationStream(fault=fault, format=fmt, granularity=granularity)
    found = qtaml.evaluate(memory, OutputError(model, INPUTS), trials=60, activations={"2": stream})
    outputs = memory.model(seed=0)(INPUTS)
    storage = TensorFormat((Section(outputs.numel(), fmt),), Largest(), granularity)
    words, scale = storage.encode(outputs, fault)
    bias, variance = storage.read_bias(words, scale, model(INPUTS), fault), storage.read_variance(words, scale, fault)
    expected = float((bias.square() + variance).sum()) / len(INPUTS)
    assert abs(found.mean - expected) < 5 * np.std(found.values) / len(found.values) ** 0.5
    assert found.activations == {"2": stream}
    assert Result.from_json(found.to_json()) == found


def test_reads_are_those_of_their_seed_and_leave_nothing_behind(model):
    """The same again, others for another seed and another module; weights and activations fail beside each other."""
    memory, streams = right(model), {"0": ActivationStream(p=0.1)}
    measured = partial(qtaml.evaluate, memory, OutputError(model, INPUTS), trials=3)
    first = measured(activations=streams)
    assert measured(activations=streams).values == first.values
    assert measured(activations=streams, seed=1).values != first.values
    assert measured(activations={"1": streams["0"]}).values != first.values
    assert max(measured().values) < 1e-6 < min(first.values)
    assert len(set(first.values)) == 3
    failing = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    both = qtaml.evaluate(failing, OutputError(model, INPUTS), trials=3, activations=streams)
    assert both.mean > qtaml.evaluate(failing, OutputError(model, INPUTS), trials=3).mean
    assert not any(module._forward_hooks for module in model.modules())


def test_a_longer_lifetime_has_more_errors(model):
    """Of the cell of a device; each stream has its own."""
    streams = [ActivationStream(device="gaincell_2t_sion", lifetime=one) for one in (16e-6, 20e-6)]
    assert streams[1].fault.p == pytest.approx(qtaml.device.preset("gaincell_2t_sion").flip_probability(20e-6))
    few, many = (
        qtaml.evaluate(right(model), OutputError(model, INPUTS), trials=10, activations={"[01]": stream}).mean
        for stream in streams
    )
    assert 0 < few < many / 2


def test_a_measured_cell_is_a_device(measured_cell):
    """Its band is the range of the memory."""
    assert ActivationStream(device=measured_cell, lifetime=2e-4).fault == given(measured_cell.band(2e-4), None)


def test_cells_that_differ_for_good_stay(model):
    """A weak cell of a chip is weak in every call and every read."""
    stream = ActivationStream(fault=StaticCells((0.0, 1.0)), format=Format(EvenLevels(4)))
    read = partial(stream.read, torch.linspace(0, 1, 400), stream.fault)
    assert torch.equal(read(seed=0, place="0"), read(seed=1, place="0"))
    assert not torch.equal(read(seed=0, place="0"), read(seed=0, place="1"))


def test_outputs_of_every_form():
    """Tuples, and what is called twice with errors of its own."""
    model = nn.LSTM(6, 5, batch_first=True).requires_grad_(False)
    memory = qtaml.store(nn.Sequential(model), qtaml.uniform_msp(nn.Sequential(model), p=0.1, protected_bits=8))

    def twice(read: nn.Module) -> float:
        with torch.no_grad():
            (one, (state, _)), (other, _) = read[0](INPUTS[None]), read[0](INPUTS[None])
        assert one.dtype == torch.float32
        assert not torch.equal(one[:, -1], state[0])
        return float((one - other).square().sum())

    result = qtaml.evaluate(memory, twice, trials=2, activations={"0": ActivationStream(p=0.1)})
    assert min(result.values) > 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give exactly one of p and fault"),
        ({"p": 0.1, "fault": Uniform(0.1)}, "give exactly one of p and fault"),
        ({"device": "gaincell_2t_sion"}, "device must come with lifetime and without p"),
        ({"device": "gaincell_2t_sion", "lifetime": 1e-6, "p": 0.1}, "device must come with lifetime and without p"),
        ({"device": "gaincell_2t_sion", "lifetime": 0.0}, "lifetime must be above 0"),
        ({"p": 0.1, "lifetime": 1e-6}, "lifetime must come with a device"),
        ({"p": 0.1, "granularity": 4}, "granularity must be one of 'tensor', 'row', got 4"),
        ({"p": 0.1, "format": Format(TrellisLevels(1, 3, ((1, 1.0),)))}, "format must have words of one weight each"),
    ],
)
def test_streams_that_are_refused(asked, message):
    """With what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        ActivationStream(**asked)


def test_places_that_are_refused(model):
    """Patterns without a module, modules with two patterns, chips, and activations that are no numbers."""
    stream, measured = ActivationStream(p=0.1), partial(qtaml.evaluate, right(model), OutputError(model, INPUTS))
    with pytest.raises(ArgumentError, match=r"activations pattern 'encoder.\*' matches none of: 0, 1, 2"):
        measured(trials=2, activations={"encoder.*": stream})
    with pytest.raises(ArgumentError, match=r"activations must match each module once, got '0' by '\*' too"):
        measured(trials=2, activations={"0": stream, "*": stream})
    unused = nn.ModuleDict({"used": nn.Linear(6, 2), "unused": nn.Linear(6, 2)})
    with pytest.raises(ModelError, match="no module that the activations pattern 'unused' matches is called"):
        qtaml.evaluate(
            right(unused), lambda read: float(read["used"](INPUTS).sum()), trials=2, activations={"unused": stream}
        )
    with pytest.raises(ArgumentError, match="activations must be left out where chips are given"):
        measured(chips=3, activations={"0": stream})
    with pytest.raises(ModelError, match="activations of '0' must be finite to be kept"):
        qtaml.evaluate(right(model), lambda read: float(read(INPUTS / 0).sum()), trials=2, activations={"0": stream})
