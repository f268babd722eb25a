"""Checkpoints that run: metrics of the network as read, and gains without gradients."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from qtaml._random import child_seed
from qtaml.checkpoints import ReadCheckpoint, checkpoint_gains, evaluate_reads, open_checkpoint, protect
from qtaml.checkpoints.running_checkpoints import _ratio
from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring import OutputError
from qtaml.sensitivity import Calibration


class Layers(nn.Sequential):
    """Two linear layers and a tanh, its weights in BF16."""

    def __init__(self, path=None):
        torch.manual_seed(0)
        super().__init__(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4))
        if path is not None:
            self.load_state_dict(load_file(path))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Its file."""
    path = tmp_path_factory.mktemp("running") / "m.safetensors"
    save_file({name: one.bfloat16() for name, one in Layers().state_dict().items()}, path)
    return open_checkpoint(path)


@pytest.fixture(scope="module")
def plan(checkpoint):
    """With few errors."""
    return protect(checkpoint, p=0.01, cells=1.3, decoders=("none", "majority"))


@pytest.mark.slow
def test_the_metric_is_that_of_the_files_as_read(checkpoint, plan, tmp_path):
    """Each score is that of the network of a file that is written by hand."""
    inputs = torch.randn(40, 16)
    clean = Layers(checkpoint.source.path)
    metric = OutputError(clean, inputs)
    found = evaluate_reads(checkpoint, plan, metric, Layers, reads=3, seed=4)
    assert found.covers == "reads and test samples"
    assert 0 <= found.reads_low < found.mean < found.reads_high
    assert len(set(found.values)) > 1
    ReadCheckpoint(checkpoint, plan, child_seed(4, "read", 0)).save(tmp_path / "read.safetensors")
    read = Layers(tmp_path / "read.safetensors")
    assert found.values[0] == pytest.approx(metric(read))
    assert found == evaluate_reads(checkpoint, plan, metric, Layers, reads=3, seed=4)
    with pytest.raises(ArgumentError, match="reads must be a whole number of at least 2, got 1"):
        evaluate_reads(checkpoint, plan, metric, Layers, reads=1)
    with pytest.raises(ArgumentError, match="only must be one of"):
        ReadCheckpoint(checkpoint, plan, 0, only=("other",))


@pytest.mark.slow
def test_gains_are_those_of_gradients_where_errors_are_small(checkpoint, plan):
    """Within four standard errors, tensor by tensor."""
    inputs = torch.randn(60, 16)
    network = Layers(checkpoint.source.path)
    exact = Calibration(network, inputs).gains
    found = checkpoint_gains(checkpoint, plan, Layers, inputs, reads=30)
    for name, gain in exact.items():
        measured, spread = found[name]
        assert abs(measured - gain.squared) < 4 * (spread**2 + gain.standard_error**2) ** 0.5, name
    assert sum(spread > 0 for _, spread in found.values()) >= 2


def test_a_gain_by_one_read_is_not_known_well():
    """Where one read has nearly all of the error, what is left without it decides; of all of it, nothing is left."""
    assert _ratio([3.0, 2.0, 1.0], [1.0, 1.0, 1.0]) == (2.0, pytest.approx(3**-0.5))
    assert _ratio([1e6, 3.0, 3.0], [1e6, 1.0, 1.0])[1] > 1
    assert _ratio([2.0, 0.0, 0.0], [1.0, 0.0, 0.0]) == (2.0, 2.0)


@pytest.mark.slow
def test_gains_do_not_hang_on_how_often_a_plan_errs(checkpoint):
    """Where reads meet no error, tensors are no less dear for that: a gain of 0 would leave all their bits out."""
    inputs = torch.randn(60, 16)
    exact = Calibration(Layers(checkpoint.source.path), inputs).gains
    found = checkpoint_gains(checkpoint, protect(checkpoint, p=1e-9, cells=1.3), Layers, inputs, reads=10)
    for name, gain in exact.items():
        measured, spread = found[name]
        assert measured > 0
        assert abs(measured - gain.squared) < 4 * (spread**2 + gain.standard_error**2) ** 0.5, name


@pytest.mark.slow
def test_outputs_without_end_give_no_gains(checkpoint, plan):
    """They are refused."""

    def broken(path):
        network = Layers(path)
        network[2].bias.data[0] = torch.inf
        return network

    with pytest.raises(ModelError, match="the outputs of the network must be finite numbers"):
        checkpoint_gains(checkpoint, plan, broken, torch.randn(3, 16))


def test_a_network_that_is_handed_out_again_stays_as_it_is(checkpoint, plan):
    """An output that is chosen for it later is not chosen for the network itself."""
    network, inputs = Layers(), torch.randn(8, 16)
    checkpoint_gains(checkpoint, plan, lambda _: network, inputs, reads=2)
    Calibration(network, inputs, output=lambda found: found[:, :1])
    assert network(inputs).shape == (8, 4)
