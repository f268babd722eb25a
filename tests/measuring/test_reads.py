"""Several reads in one forward pass give what reads one after the other give."""

import threading

import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ModelError
from qtaml.measuring import OutputCosine, reads
from qtaml.model import outputs
from tests.cases import CASES, CONVOLUTION

SEEDS = range(5)


class OneByOne:
    """Accuracy that `evaluate` cannot know to be one, so that it takes one read after the other."""

    def __init__(self, inputs, labels, **arguments):
        self._accuracy = qtaml.Accuracy(inputs, labels, **arguments)

    def scores(self, model):
        return self._accuracy.scores(model)


class Calls(nn.Module):
    """A linear layer that counts its calls, over all copies of it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3, bias=False)
        self.calls = []

    def forward(self, x):
        self.calls.append(1)
        return self.linear(x)

    def __deepcopy__(self, memo):
        copy = Calls()
        copy.load_state_dict(self.state_dict())
        copy.calls = self.calls
        return copy


class Branching(Calls):
    """What it computes depends on a weight."""

    def forward(self, x):
        return super().forward(-x if self.linear.weight[0, 0] > 0 else x)


def memory_of(model, p=0.1):
    """The model stored without protection."""
    return qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0))


def data(case, samples=16):
    """Inputs, and the classes that the clean network gives them."""
    inputs = case.batch(samples)
    return inputs, outputs(case.model().eval(), inputs).argmax(1)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reads_together_and_one_by_one_are_the_same(case, batch_size):
    """Every score of every read, also in batches of samples that do not divide their number."""
    memory, samples = memory_of(case.model(), p=0.45), data(case)
    together, alone = (
        qtaml.evaluate(memory, metric(*samples, batch_size=batch_size), trials=40, seed=3)
        for metric in (qtaml.Accuracy, OneByOne)
    )
    assert together == alone
    assert len(set(together.values)) > 1


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
def test_outputs_together_are_those_of_each_read(case):
    """They agree to float rounding; tied weights are read once for all their names."""
    memory, inputs = memory_of(case.model()), case.batch()
    together = reads._outputs_of_reads(memory, memory.copy_of_model().eval(), [inputs], SEEDS, memory.plan.fault)
    for seed, found in zip(SEEDS, together, strict=True):
        torch.testing.assert_close(found, outputs(memory.model(seed=seed), inputs), rtol=1e-4, atol=1e-5)


def test_small_networks_share_forward_passes():
    """The first read is computed alone too, to compare; after that one call serves 32 reads."""
    model = Calls()
    memory, metric = memory_of(model), qtaml.Accuracy(torch.randn(8, 6), torch.arange(8) % 3)
    qtaml.evaluate(memory, metric, trials=2)
    model.calls.clear()
    qtaml.evaluate(memory, metric, trials=64)
    assert len(model.calls) == 1 + 2


def test_large_work_is_done_one_by_one(monkeypatch):
    """Where a forward pass computes for longer than its operators take to call, nothing is gained by batching."""
    monkeypatch.setattr(reads, "_CPU_WORK", 8 * 18 - 1)
    model = Calls()
    memory, metric = memory_of(model), qtaml.Accuracy(torch.randn(8, 6), torch.arange(8) % 3)
    qtaml.evaluate(memory, metric, trials=2)
    model.calls.clear()
    qtaml.evaluate(memory, metric, trials=5)
    assert len(model.calls) == 5


def test_networks_that_cannot_be_batched_are_read_one_by_one():
    """Control flow that depends on the weights read gives the right numbers all the same."""
    model = Branching()
    samples = torch.randn(8, 6), torch.arange(8) % 3
    together, alone = (qtaml.evaluate(memory_of(model, 0.4), m(*samples), trials=9) for m in (qtaml.Accuracy, OneByOne))
    assert together == alone


def test_outputs_that_differ_are_not_believed(monkeypatch):
    """Should batching give other outputs for the first read, none of them is used."""
    memory, samples = memory_of(CONVOLUTION.model()), data(CONVOLUTION)
    right = qtaml.evaluate(memory, qtaml.Accuracy(*samples), trials=5)
    monkeypatch.setattr(reads, "_outputs_of_reads", lambda *_: torch.randn(5, 16, 3))
    assert qtaml.evaluate(memory, qtaml.Accuracy(*samples), trials=5) == right


def test_a_class_derived_from_accuracy_is_called():
    """Its own scores count, in whatever way it computes them."""

    class Wrong(qtaml.Accuracy):
        def scores(self, model):
            return ~super().scores(model)

    memory, samples = memory_of(CONVOLUTION.model()), data(CONVOLUTION)
    right, wrong = (qtaml.evaluate(memory, metric(*samples), trials=6) for metric in (qtaml.Accuracy, Wrong))
    assert wrong.values == pytest.approx([1 - value for value in right.values])


def test_stopping_early_stops_at_the_same_read():
    """Reads that shared a forward pass beyond it do not count."""
    memory, samples = memory_of(CONVOLUTION.model()), data(CONVOLUTION, 60)
    together, alone = (
        qtaml.evaluate(memory, metric(*samples), trials=100, stop_width=0.1) for metric in (qtaml.Accuracy, OneByOne)
    )
    assert together == alone
    assert 10 < len(together.values) < 100


def test_data_must_be_there():
    """Inputs or labels on the device meta hold none; a message says so."""
    memory, (inputs, labels) = memory_of(CONVOLUTION.model()), data(CONVOLUTION)
    with pytest.raises(
        qtaml.ArgumentError, match=r"must hold data, got a tensor of shape \(16, 1, 4, 4\) .* on device"
    ):
        qtaml.evaluate(memory, qtaml.Accuracy(inputs.to("meta"), labels), trials=2)
    with pytest.raises(qtaml.ArgumentError, match="labels must hold data"):
        qtaml.Accuracy(inputs, labels.to("meta"))


@pytest.fixture
def two_threads():
    """Torch with two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reads_in_several_threads_are_those_of_one(case, two_threads):
    """The same scores in the same order, another metric than accuracy, and torch's threads as they were."""
    model = case.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    metric = OutputCosine(model, case.batch(), axis=1)
    found = list(reads.scores_of_reads(memory, metric, SEEDS, memory.plan.fault))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    expected = list(reads.scores_of_reads(memory, metric, SEEDS, memory.plan.fault))
    assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-5)
    assert len({tuple(scores.tolist()) for scores in found}) == len(SEEDS)


def test_threads_stop_early_and_tell_errors(two_threads):
    """A reader that stops leaves no thread behind; what fails in a thread is told here."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    metric = OutputCosine(model, CONVOLUTION.batch())
    before = threading.active_count()
    found = reads.scores_of_reads(memory, metric, range(100), memory.plan.fault)
    next(found)
    assert threading.active_count() > before
    found.close()
    assert threading.active_count() == before
    narrow = OutputCosine(nn.Identity(), torch.ones(4, 2))
    with pytest.raises(qtaml.ModelError, match=r"the model failed on inputs of shape \(4, 2\) float32"):
        next(reads.scores_of_reads(memory, narrow, SEEDS, memory.plan.fault))


def test_metrics_of_the_user_are_called_in_one_thread(two_threads):
    """They may keep anything between calls."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    callers = set()
    qtaml.evaluate(memory, lambda read: callers.add(threading.get_ident()) or 1.0, trials=5)
    assert callers == {threading.get_ident()}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_counts_when_its_read_does(threads, two_threads, monkeypatch):
    """Reads that stopping early leaves out cannot fail, however many are made ahead."""
    monkeypatch.setattr(reads, "_CPU_WORK", 0)
    torch.set_num_threads(threads)
    fails = {13: ModelError("read 13"), 17: ModelError("read 17")}

    def score(metric, model):
        trial = int(model.linear.weight[0, 0])
        if trial in fails:
            raise fails[trial]
        return torch.tensor([True, False])

    monkeypatch.setattr(qtaml.Accuracy, "scores", score)
    memory = memory_of(Calls())
    monkeypatch.setattr(memory, "reader", lambda model, fault: lambda seed: model.linear.weight.fill_(seed or 0))
    metric = qtaml.Accuracy(torch.randn(2, 6), torch.arange(2))
    found = reads.scores_of_reads(memory, metric, range(40), memory.plan.fault)
    assert len([next(found) for _ in range(13)]) == 13
    with pytest.raises(ModelError, match="read 13"):
        next(found)
