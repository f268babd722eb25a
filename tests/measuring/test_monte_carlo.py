"""Monte Carlo through the public door."""

import pytest
import torch
from torch import nn

import qtaml
from tests.cases import CONVOLUTION, assert_unchanged, snapshot


@pytest.fixture(scope="module")
def memory():
    """A stored convolution network."""
    model = CONVOLUTION.model()
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))


def labelled(samples=40):
    """Inputs, and the classes that the clean network gives them."""
    inputs = CONVOLUTION.batch(samples)
    return inputs, CONVOLUTION.model().eval()(inputs).argmax(1)


def test_any_callable_is_a_metric(memory):
    """A function of the model gives the mean and interval over reads."""
    result = qtaml.evaluate(memory, lambda model: float(model.head.weight.sum()), trials=8)
    assert len(result.values) == 8
    assert result.mean == pytest.approx(sum(result.values) / 8)
    assert (result.low, result.high) == (result.reads_low, result.reads_high)
    assert result.covers == "reads"
    assert result.samples is None


def test_a_metric_of_samples_covers_them(memory):
    """Accuracy gives the wider interval over reads and samples, and keeps the other."""
    result = qtaml.evaluate(memory, qtaml.Accuracy(*labelled()), trials=30)
    assert result.covers == "reads and test samples"
    assert result.samples == 40
    assert result.low < result.reads_low < result.mean < result.reads_high < result.high


def test_results_are_reproducible(memory):
    """The same seed gives the same values, in any number of trials; another seed gives others."""
    metric = qtaml.Accuracy(*labelled())
    first, longer, other = (qtaml.evaluate(memory, metric, trials=t, seed=s) for t, s in ((5, 0), (9, 0), (5, 1)))
    assert first.values == longer.values[:5]
    assert first.values != other.values


def test_a_result_says_what_made_it_and_survives_json(memory):
    """Seed, versions, fault and settings are in the result; JSON keeps all of it."""
    result = qtaml.evaluate(memory, qtaml.Accuracy(*labelled()), trials=4, seed=7, fault=qtaml.faults.Uniform(0.2))
    assert (result.seed, result.trials_asked, result.fault) == (7, 4, qtaml.faults.Uniform(0.2))
    assert result.versions["torch"] == torch.__version__
    assert qtaml.Result.from_json(result.to_json()) == result
    assert "reads and test samples; 4 reads" in str(result)


def test_stopping_early(memory):
    """Reading stops when the interval over reads is as narrow as asked, but not before ten reads."""
    metric = qtaml.Accuracy(*labelled())
    wide = qtaml.evaluate(memory, metric, trials=200, stop_width=10.0)
    assert len(wide.values) == 10
    narrower = qtaml.evaluate(memory, metric, trials=200, stop_width=0.05)
    assert 10 < len(narrower.values) < 200
    assert narrower.reads_high - narrower.reads_low <= 0.05


def test_each_read_starts_afresh(memory):
    """A metric that spoils the model it is given does not reach the next read, nor the caller's model."""
    pattern = CONVOLUTION.model()
    before = snapshot(pattern)
    fresh = qtaml.store(pattern, memory.plan)

    def spoil(model):
        value = float(model.head.bias.sum() + model.norm.running_mean.sum()) + model.training
        model.train()
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
        return value

    result = qtaml.evaluate(fresh, spoil, trials=3)
    assert len(set(result.values)) == 1
    assert_unchanged(pattern, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 1}, "trials must be a whole number of at least 2, got 1"),
        ({"confidence": 1.0}, r"confidence must lie between 0 and 1, got 1\.0"),
        ({"stop_width": 0.0}, r"stop_width must be above 0, got 0\.0"),
        ({"seed": -3}, "seed must be a whole number of at least 0, got -3"),
        ({"fault": 0.1}, "fault must be a fault model"),
        ({"fault": qtaml.faults.PerBit((0.1,))}, "bits must be 1, the number of flip probabilities given, got 8"),
        ({"metric": lambda model: None}, "metric must return one number, got None on read 0"),
        ({"metric": lambda model: float("nan")}, "metric must return finite numbers, got .* on read 0"),
        ({"metric": lambda model: 10**400}, r"metric must return finite numbers, got array\(\[inf\]\) on read 0"),
        ({"metric": lambda model: "1"}, "metric must return one number, got '1' on read 0"),
    ],
)
def test_bad_arguments_are_refused(memory, arguments, message):
    """Each names the argument, its value and what is allowed."""
    arguments = {"metric": lambda model: 1.0, "trials": 3} | arguments
    with pytest.raises(qtaml.ArgumentError, match=message):
        qtaml.evaluate(memory, **arguments)


def test_accuracy_checks_its_data():
    """Labels must be classes, one for each input."""
    with pytest.raises(qtaml.ArgumentError, match="inputs and labels must be as many, got 4 and 3"):
        qtaml.Accuracy(torch.zeros(4, 2), torch.tensor([0, 1, 0]))
    with pytest.raises(qtaml.ArgumentError, match="labels must be whole numbers"):
        qtaml.Accuracy(torch.zeros(4, 2), torch.zeros(4))


def test_accuracy_in_batches_is_the_same():
    """The batch size does not change the scores, for tensors, tuples and dictionaries."""
    inputs, labels = labelled()
    model = CONVOLUTION.model()
    whole = qtaml.Accuracy(inputs, labels).scores(model)
    for data in (inputs, (inputs,), {"images": inputs}):
        assert torch.equal(qtaml.Accuracy(data, labels, batch_size=7).scores(model), whole)


def test_outputs_that_are_no_numbers_are_wrong_answers():
    """A read whose outputs overflow counts as wrong, it does not stop the evaluation."""

    class Overflowing(nn.Linear):
        def forward(self, x):
            return super().forward(x) * float("nan")

    metric = qtaml.Accuracy(torch.eye(2), torch.tensor([1, 1]))
    assert metric(Overflowing(2, 2)) == 0


def test_errors_of_the_metric_are_the_users_own(memory):
    """What a metric raises arrives unchanged."""

    def broken(model):
        raise TypeError("my bug")

    with pytest.raises(TypeError, match="my bug"):
        qtaml.evaluate(memory, broken, trials=2)


def test_a_metric_must_score_the_same_samples(memory):
    """Reads that score another number of samples are refused."""

    class Shrinking:
        left = 5

        def scores(self, model):
            self.left -= 1
            return torch.ones(self.left)

    with pytest.raises(qtaml.ArgumentError, match="metric must score the same samples on every read, got 3 on read 1"):
        qtaml.evaluate(memory, Shrinking(), trials=3)


def test_numpy_numbers_are_taken_as_python_numbers(memory):
    """Settings from NumPy survive JSON."""
    import numpy as np

    result = qtaml.evaluate(memory, lambda model: 1.0, trials=np.int64(3), seed=np.int32(1), stop_width=np.float32(1.0))
    assert qtaml.Result.from_json(result.to_json()) == result


def test_one_output_is_no_classification():
    """Accuracy of a single logit would always be that of class 0."""
    with pytest.raises(qtaml.ModelError, match="accuracy needs one output for each of at least 2 classes, got 1"):
        qtaml.Accuracy(torch.zeros(2, 3), torch.tensor([0, 1]))(nn.Linear(3, 1))


def test_equal_reads_of_a_tensor_of_no_bits_have_an_interval():
    """Nothing of it is stored but the mean, so it has no error rates."""
    from qtaml.formats import Format, Section, TableLevels, TensorFormat

    model = nn.Linear(3, 2)
    storage = TensorFormat((Section(6, Format(TableLevels((0.0,)))),))
    entry = qtaml.planning.TensorPlan.of("weight", (), model.weight, storage)
    plan = qtaml.Plan(qtaml.planning.ByHand(p=0.1), (entry,))
    result = qtaml.evaluate(qtaml.store(model, plan), lambda network: float(network.bias.sum()), trials=3)
    assert result.low == result.mean == result.high
