"""Likeness to the clean network, against sums by hand."""

import math

import pytest
import torch
from torch import nn

import qtaml
from qtaml.measuring import Agreement, OutputCosine, OutputDivergence


class Fixed(nn.Module):
    """Gives, for each index, an output from a table."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, index):
        return self.table[index]


CLEAN = Fixed([[2.0, 0.0, 1.0], [0.0, 1.0, 0.5], [-1.0, 0.0, 3.0], [1.0, 1.5, 0.0]])
READ = Fixed([[1.0, 0.0, 2.0], [0.0, 3.0, 0.5], [-1.0, 0.0, 4.0], [2.0, 1.5, 0.0]])
INDEX = torch.arange(4)


def test_agreement_of_the_largest_output():
    """Two of four samples; a bool for each."""
    metric = Agreement(CLEAN, INDEX, batch_size=3)
    assert metric.scores(READ).tolist() == [False, True, True, False]
    assert metric(READ) == 0.5


def test_divergence_of_the_probabilities():
    """Sum of p log(p / q), of each sample; none from itself."""
    p, q = (model.table.detach().double().softmax(1) for model in (CLEAN, READ))
    expected = (p * (p / q).log()).sum(1)
    assert OutputDivergence(CLEAN, INDEX).scores(READ).tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    assert OutputDivergence(CLEAN, INDEX)(CLEAN) == 0


def test_cosine_of_the_outputs():
    """By hand; 1 for the same direction, 0 for an output of zeros."""
    clean, read = (model.table.detach().double() for model in (CLEAN, READ))
    expected = (clean * read).sum(1) / (clean.norm(dim=1) * read.norm(dim=1))
    assert OutputCosine(CLEAN, INDEX).scores(READ).tolist() == pytest.approx(expected.tolist())
    assert OutputCosine(CLEAN, INDEX)(Fixed([[0.0] * 3] * 4)) == 0


def test_places_are_averaged():
    """Tokens have their classes last, maps second; the axis may be named."""
    flat = torch.stack([INDEX[:2], INDEX[2:]])  # two samples of two places
    assert Agreement(CLEAN, flat).scores(READ).tolist() == [0.5, 0.5]

    class Map(Fixed):
        def forward(self, index):
            return super().forward(index).movedim(-1, 1)[..., None]  # samples, classes, 2, 1

    clean, read = Map(CLEAN.table.tolist()), Map(READ.table.tolist())
    assert Agreement(clean, flat).scores(read).tolist() == [0.5, 0.5]
    assert Agreement(clean, flat, axis=2).scores(read).shape == (2,)


def test_outputs_without_classes_are_refused():
    """One output, or a sample alone, cannot be compared so."""
    with pytest.raises(qtaml.ModelError, match="at least 2 classes or features, got 1"):
        Agreement(nn.Linear(3, 1), torch.zeros(4, 3))
    with pytest.raises(qtaml.ArgumentError, match="at least 2 samples, got 1"):
        Agreement(CLEAN, INDEX[:1])
    with pytest.raises(qtaml.ModelError, match="classes along dimension 2"):
        OutputCosine(nn.Linear(3, 2), torch.zeros(4, 3), axis=2)


class Gives(nn.Module):
    """Always the same outputs."""

    def __init__(self, *outputs):
        super().__init__()
        self.outputs = torch.tensor(outputs)

    def forward(self, x):
        return self.outputs.expand(len(x), -1)


@pytest.mark.parametrize("metric", [Agreement, OutputDivergence, OutputCosine])
def test_a_clean_network_of_nan_is_refused(metric):
    """It would agree with itself at every place, or nowhere."""
    inputs = torch.eye(3)
    inputs[1, 1] = float("nan")
    with pytest.raises(qtaml.ModelError, match=r"gives NaN or infinite outputs on inputs of shape \(3, 3\) float32"):
        metric(nn.Linear(3, 2), inputs)


def test_a_read_of_nan_agrees_with_nothing():
    """Though the first class is where it is found."""
    assert Agreement(Gives(1.0, 0.0), INDEX)(Gives(float("nan"), float("nan"))) == 0


def test_outputs_of_which_none_is_the_largest_are_refused():
    """By agreement; equal outputs of some samples are none of its business."""
    with pytest.raises(qtaml.ModelError, match="equal outputs for all classes"):
        Agreement(Gives(0.5, 0.5, 0.5), INDEX)
    assert Agreement(nn.ReLU(), torch.tensor([[-1.0, -1.0], [0.0, 1.0]]))(nn.ReLU()) == 1


def test_a_perfect_read_is_perfect():
    """Of outputs that are zeros, tiny, or rule a class out."""
    for outputs in ((0.0, 0.0), (1e-20, 2e-20)):
        assert OutputCosine(Gives(*outputs), INDEX)(Gives(*outputs)) == pytest.approx(1, abs=1e-15)
    assert OutputCosine(Gives(0.0, 0.0), INDEX)(Gives(1.0, 0.0)) == 0
    masked = Gives(-float("inf"), 1.0, 0.0)
    assert OutputDivergence(masked, INDEX)(masked) == 0
    assert OutputDivergence(masked, INDEX)(Gives(-float("inf"), 0.0, 1.0)) == pytest.approx(math.tanh(0.5))


def test_they_are_metrics_of_samples():
    """`evaluate` gives the interval over reads and samples; for agreement, that of a proportion."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(6, 4)
    inputs = torch.linspace(-4, 4, 240).sin().reshape(40, 6)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.02, protected_bits=2))
    for metric in (Agreement, OutputDivergence, OutputCosine):
        result = qtaml.evaluate(memory, metric(model, inputs), trials=8)
        assert result.samples == 40
        assert result.low < result.mean < result.high
    assert qtaml.evaluate(memory, Agreement(model, inputs), trials=8).high <= 1
