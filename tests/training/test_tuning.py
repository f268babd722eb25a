"""`qtaml.tune`: training for a memory, by one call."""

from itertools import count

import pytest
import torch
from torch import nn

import qtaml
from qtaml.training import Tune
from tests.cases import CONVOLUTION, TRANSFORMER, assert_unchanged, snapshot


@pytest.fixture(scope="module")
def network():
    """A classifier of points on a ring by their quadrant, trained: (model, inputs, labels)."""
    torch.manual_seed(0)
    inputs = nn.functional.normalize(torch.randn(512, 2))
    labels = (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(inputs), labels))
        optimizer.step()
    return model.eval(), inputs, labels


def plain(model, p=0.1):
    """Plain words, nothing protected."""
    return qtaml.uniform_msp(model, p=p, protected_bits=0)


def accuracy(network, model, plan, **memory):
    """Of the stored network as read, on the inputs."""
    return qtaml.evaluate(qtaml.store(model, plan), qtaml.Accuracy(*network[1:]), trials=40, **memory)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "output_error", "divergence"])
def test_a_tuned_network_reads_better(network, loss):
    """With labels or without: the lower end of its interval is above the upper end of the untuned one."""
    model, inputs, labels = network
    before = snapshot(model)
    batches = (inputs, labels) if loss == "cross_entropy" else inputs
    tuned = qtaml.tune(model, plain(model), batches, loss=loss, epochs=10, clip=1.0)
    assert_unchanged(model, before)
    assert tuned.history[-1].loss < tuned.history[0].loss
    assert accuracy(network, tuned.model, tuned.plan).reads_low > accuracy(network, model, plain(model)).reads_high


def test_the_same_seed_gives_the_same_network(network):
    """Bit for bit, and another seed another one."""
    model, inputs, _ = network
    first, same, other = (qtaml.tune(model, plain(model), inputs, epochs=2, seed=seed).model for seed in (0, 0, 1))
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


class InterruptedByHandError(Exception):
    """What a person does who presses the keys."""


def interrupted_after(steps):
    """A loss that is interrupted at a step."""
    calls = count(1)

    def loss(outputs, labels):
        if next(calls) > steps:
            raise InterruptedByHandError("by hand")
        return nn.functional.cross_entropy(outputs, labels)

    return loss


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_network(tmp_path):
    """Moments, errors, order, dropout and the best epoch: nothing differs from a training that was left alone."""
    model, inputs = TRANSFORMER.model(), TRANSFORMER.batch(24)
    samples, held_out = (inputs, inputs[:, 0]), (inputs[:8], inputs[:8, 0])
    asked = {"epochs": 4, "batch_size": 8, "held_out": held_out}
    whole = qtaml.tune(model, plain(model), samples, loss=interrupted_after(1000), **asked)
    with pytest.raises(InterruptedByHandError, match="by hand"):
        qtaml.tune(model, plain(model), samples, loss=interrupted_after(20), checkpoint=tmp_path / "c", **asked)
    resumed = qtaml.tune(model, plain(model), samples, loss=interrupted_after(1000), checkpoint=tmp_path / "c", **asked)
    assert resumed.history == whole.history
    for (name, one), (_, other) in zip(resumed.model.named_parameters(), whole.model.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_a_finished_training_is_not_repeated(network, tmp_path):
    """Its checkpoint gives the result without a step."""
    model, inputs, _ = network
    folder = tmp_path / "checkpoint"
    tuned = qtaml.tune(model, plain(model), inputs, epochs=2, checkpoint=folder)
    again = qtaml.tune(model, plain(model), inputs, epochs=2, checkpoint=str(folder))
    assert again.history == tuned.history
    assert torch.equal(again.model[2].weight, tuned.model[2].weight)


def test_a_checkpoint_belongs_to_one_training(network, tmp_path):
    """Other settings, or another folder: an error, and what is there stays."""
    model, inputs, _ = network
    qtaml.tune(model, plain(model), inputs, epochs=1, checkpoint=tmp_path / "c")
    with pytest.raises(qtaml.ArgumentError, match="checkpoint must be of this training"):
        qtaml.tune(model, plain(model), inputs, epochs=2, checkpoint=tmp_path / "c")
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(qtaml.StoredFileError, match="something else than a checkpoint"):
        qtaml.tune(model, plain(model), inputs, epochs=1, checkpoint=tmp_path / "c")
    assert (tmp_path / "c" / "notes.txt").read_text() == "mine"


def test_a_damaged_checkpoint_is_refused(network, tmp_path):
    """By its checksum."""
    model, inputs, _ = network
    qtaml.tune(model, plain(model), inputs, epochs=1, checkpoint=tmp_path)
    file = tmp_path / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(qtaml.StoredFileError, match="is damaged"):
        qtaml.tune(model, plain(model), inputs, epochs=1, checkpoint=tmp_path)


@pytest.mark.slow
def test_it_stops_when_held_out_samples_gain_no_more(network):
    """After `patience` epochs, and the weights are those of the best one."""
    model, inputs, _ = network
    tuned = qtaml.tune(
        model, plain(model), inputs[:64], held_out=inputs[64:], epochs=40, patience=2, learning_rate=0.05, batch_size=8
    )
    losses = [epoch.held_out for epoch in tuned.history]
    assert len(losses) < 40
    assert tuned.best == losses.index(min(losses)) == len(losses) - 3


def test_the_network_stays_where_no_epoch_is_better(network):
    """On held-out samples: the weights are those of before, and it is said."""
    model, inputs, _ = network
    # What it gives is what is wanted, and nothing is read wrong: there is little to gain, and steps are large.
    asked = {"held_out": inputs[64:], "epochs": 2, "learning_rate": 0.1, "batch_size": 8}
    tuned = qtaml.tune(model, plain(model, p=0.0), inputs[:64], **asked)
    assert tuned.best == -1
    assert tuned.before < min(epoch.held_out for epoch in tuned.history)
    assert torch.equal(tuned.model[2].weight, model[2].weight)
    assert "the weights are as they were" in str(tuned)


def test_statistics_of_batch_normalisation_stay():
    """Those of what is read once would be statistics of its errors."""
    model = CONVOLUTION.model()
    tuned = qtaml.tune(model, plain(model), CONVOLUTION.batch(), epochs=1, batch_size=4)
    assert torch.equal(tuned.model.norm.running_mean, model.norm.running_mean)
    assert not torch.equal(tuned.model.norm.weight, model.norm.weight)
    assert not tuned.model.training


@pytest.mark.slow
def test_tuned_for_a_range_it_is_better_at_both_ends(network):
    """A flip probability is drawn for each step."""
    model, inputs, _ = network
    tuned = qtaml.tune(model, plain(model), inputs, loss="divergence", p=(0.05, 0.3), epochs=10, clip=1.0)
    for p in (0.05, 0.3):
        memory = {"fault": qtaml.faults.Uniform(p)}
        assert (
            accuracy(network, tuned.model, tuned.plan, **memory).reads_low
            > accuracy(network, model, plain(model), **memory).reads_high
        )


@pytest.mark.slow
def test_evenness_raises_rho(network):
    """The scores of the tensors come closer to each other than without it."""
    model, inputs, _ = network
    plan = qtaml.compensate(model, inputs[:64], p=0.05, overhead=0.1, passes=8, trials=2)
    gains = [entry.gain.squared for entry in plan.tensors]

    def rho(tuned):
        scales = [float(layer.weight.detach().abs().max()) for layer in (tuned.model[0], tuned.model[2])]
        scores = qtaml.theory.tensor_scores(gains, scales)
        return qtaml.theory.saturation_ratio(scores.tolist(), [256, 512])

    uneven, even = (rho(qtaml.tune(model, plan, inputs, epochs=3, evenness=weight)) for weight in (0.0, 3.0))
    assert even > uneven


def test_an_iterable_of_batches_is_gone_through_in_each_epoch(network):
    """A DataLoader of pairs, shuffled by torch's own generator, gives the same network again."""
    model, inputs, labels = network
    pairs = torch.utils.data.TensorDataset(inputs, labels)
    loader = torch.utils.data.DataLoader(pairs, batch_size=128, shuffle=True)
    state = torch.get_rng_state()
    first, second = (qtaml.tune(model, plain(model), loader, loss="cross_entropy", epochs=2).model for _ in range(2))
    assert torch.equal(first[0].weight, second[0].weight)
    assert torch.equal(torch.get_rng_state(), state)


WRONG = {
    "generator": (lambda x, y: (one for one in x.split(8)), {}, "can be gone through again"),
    "no labels": (lambda x, y: x, {"loss": "cross_entropy"}, "a pair of inputs and labels|a pair"),
    "labels of others": (lambda x, y: (x, y[:-1]), {"loss": "cross_entropy"}, "as many labels as samples"),
    "labels of no class": (lambda x, y: (x, y.float()), {"loss": "cross_entropy"}, "labels must be whole numbers"),
    "labels beyond": (
        lambda x, y: (x, y + 1),
        {"loss": "cross_entropy"},
        "labels must be from 0 to 3, or -100 .* 1 to 4",
    ),
    "another size": (lambda x, y: torch.ones(8, 3), {}, r"the model failed on inputs of shape \(8, 3\)"),
    "no samples": (lambda x, y: x[:0], {}, "at least one sample"),
    "no batches": (lambda x, y: [], {}, "at least one"),
    "NaN": (lambda x, y: x * torch.nan, {}, "the loss is nan in epoch 1, step 1"),
    "NaN held out": (lambda x, y: x, {"held_out": torch.full((4, 2), torch.nan)}, "the loss is nan on the held-out"),
    "patience": (lambda x, y: x, {"patience": 2}, "held_out must be given with patience"),
    "no gradient": (lambda x, y: (x, y), {"loss": lambda out, y: out.detach().sum()}, "the loss has no gradient"),
    "NaN gradient": (
        lambda x, y: (x, y),
        {"loss": lambda out, y: (0 * out).sum().abs().sqrt(), "batch_size": 10_000},
        "weight is not finite after epoch 1",
    ),
    "no number": (lambda x, y: (x, y), {"loss": lambda out, y: out}, "loss must give a tensor of one number"),
    "unknown loss": (lambda x, y: x, {"loss": "hinge"}, "loss must be"),
    "evenness": (lambda x, y: x, {"evenness": 1.0}, "plan must have gains"),
    "steps as large as the weights": (
        lambda x, y: x,
        {"learning_rate": 1e30},
        r"learning_rate must be below the root mean square of the stored weights, at most [\d.]+: .* got 1e\+30",
    ),
}


@pytest.mark.parametrize(("samples", "asked", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told_and_nothing_is_written(network, tmp_path, samples, asked, message):
    """An error of qtaml; no checkpoint of it."""
    model, inputs, labels = network
    with pytest.raises(qtaml.QtamlError, match=message):
        qtaml.tune(model, plain(model), samples(inputs, labels), checkpoint=tmp_path / "c", epochs=1, **asked)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "asked",
    [{"epochs": 0}, {"learning_rate": 0}, {"clip": -1}, {"errors": "some"}, {"p": 0.7}, {"chip": -1}, {"patience": 0}],
    ids=lambda asked: next(iter(asked)),
)
def test_settings_are_checked_when_they_are_made(asked):
    """By name and value."""
    with pytest.raises(qtaml.ArgumentError, match=next(iter(asked))):
        Tune(**asked)
