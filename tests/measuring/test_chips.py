"""A metric chip by chip: exact statements about other chips, and chips that are the same however many there are."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import qtaml
from qtaml.faults import Several, StaticCells, TensorVariation, Uniform
from qtaml.measuring import Accuracy, Agreement, NegativeLogLikelihood, Yield, as_perplexity, chips_needed
from qtaml.showing import panels_figure


def chips_of(values, confidence: float = 0.95) -> Yield:
    """A result with these values."""
    return Yield(tuple(map(float, values)), 1, Uniform(0.1), 0, confidence)


# Statistics


@pytest.mark.parametrize("count", [0, 1, 30, 99, 100])
def test_the_share_has_the_exact_binomial_interval(count: int) -> None:
    """Clopper and Pearson's: at each end, as few or as many chips would come up in 2.5% of the lots."""
    found = chips_of([1.0] * count + [0.0] * (100 - count)).share_above(0.5)
    assert found.value == count / 100
    assert (found.low == 0) if count == 0 else stats.binom.sf(count - 1, 100, found.low) == pytest.approx(0.025)
    assert (found.high == 1) if count == 100 else stats.binom.cdf(count, 100, found.high) == pytest.approx(0.025)


def test_a_chip_at_the_bar_reaches_it() -> None:
    """As it would reach an accuracy that is asked."""
    assert chips_of([0.8, 0.9, 1.0]).share_above(0.9).value == pytest.approx(2 / 3)


@pytest.mark.parametrize("chips", [1, 20, 59, 73, 200])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_interval_of_a_quantile_covers(chips: int, share: float) -> None:
    """Each end misses in at most 2.5%, by the exact binomial sum over chips below it, and no nearer one would."""
    # The ranks 1 to n as values: the interval names the chips that bound it.
    found = chips_of(range(1, chips + 1)).quantile(share)
    below = stats.binom(chips, share)
    if found.low > 0:
        assert below.cdf(found.low - 1) <= 0.025
        assert below.cdf(found.low) > 0.025
    else:
        assert found.low == -math.inf
        assert below.cdf(0) > 0.025
    if found.high <= chips:
        assert below.sf(found.high - 1) <= 0.025
        assert below.sf(found.high - 2) > 0.025
    else:
        assert found.high == math.inf
        assert below.sf(chips - 1) > 0.025


def test_quantiles_and_intervals_are_those_of_scipy() -> None:
    """Another implementation of the same order statistics."""
    values = np.random.default_rng(0).normal(size=200)
    for share in (0.05, 0.3, 0.5, 0.95):
        found = chips_of(values).quantile(share)
        interval = stats.quantile_test(values, q=found.value, p=share).confidence_interval(0.95)
        assert (found.low, found.high) == (interval.low, interval.high)
        assert (values <= found.value).mean() >= share > (values < found.value).mean()


def test_fifty_nine_chips_make_the_first_bound() -> None:
    """95% of the chips with 95% confidence: the least of 59; of 93 the second, as tables of Wilks have it."""
    assert chips_needed(0.95, 0.95) == 59
    for chips, rank in ((59, 1), (92, 1), (93, 2), (124, 3), (153, 4)):
        result = chips_of(range(1, chips + 1))
        assert result.tolerance_bound() == rank
        assert result.tolerance_bound(upper=True) == chips + 1 - rank
    with pytest.raises(
        qtaml.ArgumentError, match=r"chips must be at least 59 for a bound that 0\.95 of them .*0\.95, got 58"
    ):
        chips_of(range(58)).tolerance_bound()


@pytest.mark.parametrize(("share", "confidence"), [(0.95, 0.95), (0.9, 0.99), (0.5, 0.75), (0.999, 0.5)])
def test_a_bound_holds_as_often_as_it_says(share: float, confidence: float) -> None:
    """By the exact binomial sum, and the next better chip would not; too few chips by one are too few."""
    needed = chips_needed(share, confidence)
    assert 1 - share**needed >= confidence - 1e-12
    assert needed == 1 or 1 - share ** (needed - 1) < confidence
    for chips in (needed, 3 * needed):
        rank = chips_of(range(1, chips + 1)).tolerance_bound(share, confidence)
        beyond = stats.binom(chips, 1 - share)
        assert beyond.sf(rank - 1) >= confidence - 1e-12 > beyond.sf(rank)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda result: result.quantile(1.0), r"share must lie between 0 and 1, got 1\.0"),
        (lambda result: result.tolerance_bound(confidence=0.0), r"confidence must lie between 0 and 1, got 0\.0"),
        (lambda result: result.share_above(math.nan), "bar must be a number, got nan"),
        (lambda _: chips_needed(share="0.9"), r"share must be a number, got '0\.9'"),
    ],
)
def test_questions_out_of_range_are_refused(ask, message: str) -> None:
    """The argument and its value are named."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        ask(chips_of(range(100)))


def test_a_result_prints_and_survives_json() -> None:
    """The table says what a bound takes where there are too few chips."""
    result = chips_of(np.linspace(0.5, 1, 60))
    assert Yield.from_json(result.to_json()) == result
    assert "95% reach, with 95% confidence" in str(result)
    assert "0.5000" in str(result)
    assert "takes 59 chips" in str(chips_of(range(58)))


@pytest.mark.slow
def test_the_curve_is_the_share_of_chips_that_reach_each_value() -> None:
    """Drawn as a staircase with a band."""
    result = chips_of([0.5, 0.75, 0.75, 1.0])
    x, shares = result.curve()
    assert x == (0.5, 0.75, 1.0)
    assert list(shares) == [result.share_above(bar) for bar in x]
    axes = panels_figure([result.panel("accuracy")]).axes[0]
    assert list(axes.lines[0].get_ydata()) == [100, 75, 25]
    assert axes.lines[0].get_drawstyle() == "steps-pre"
    assert len(axes.collections) == 1


# Chips


STATIC = StaticCells((0.0,) * 15 + (1.0,), chip=None)
LOT = Several((Uniform(0.01), Uniform(0.2)))


def network() -> tuple[nn.Module, torch.Tensor]:
    """Two layers with tanh between them, and inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(a, b) for a, b in pairwise((12, 16, 4))]
        return nn.Sequential(layers[0], nn.Tanh(), layers[1]), torch.randn(60, 12)


@pytest.fixture(scope="module", params=[STATIC, TensorVariation(0.05, 0.5), LOT], ids=["cells", "tensors", "several"])
def stored(request):
    """A network in memories whose chips differ, and its accuracy against itself."""
    model, inputs = network()
    memory = qtaml.store(model, qtaml.uniform_msp(model, fault=request.param, protected_bits=2))
    return memory, Accuracy(inputs, model(inputs).argmax(1))


def test_a_chip_is_the_same_however_many_there_are(stored) -> None:
    """And whatever measures them: in one forward pass, one after the other, as a function of the user's."""
    memory, accuracy = stored
    many = qtaml.evaluate(memory, accuracy, chips=12, trials=3, seed=1)
    few = qtaml.evaluate(memory, accuracy, chips=5, trials=3, seed=1)
    assert many.values[:5] == few.values
    alone = qtaml.evaluate(
        memory, lambda model: float(accuracy.scores(model).double().mean()), chips=5, trials=3, seed=1
    )
    assert alone.values == pytest.approx(few.values, abs=1e-12)
    assert qtaml.evaluate(memory, accuracy, chips=5, trials=3, seed=2).values != few.values


def test_a_chip_is_the_same_in_any_number_of_threads(stored) -> None:
    """Reads of several chips go side by side, unless the metric is `Accuracy`, whose reads share a forward pass."""
    metric, threads, found = Agreement(*network()), torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(qtaml.evaluate(stored[0], metric, chips=20, trials=2, seed=3).values)
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


def test_values_are_means_over_the_reads_of_each_chip(stored) -> None:
    """Each read is one of the memory of that chip."""
    memory, accuracy = stored
    result = qtaml.evaluate(memory, accuracy, chips=3, trials=4, seed=5)
    for number, value in enumerate(result.values):
        chip = qtaml._random.child_seed(5, "chip", number)
        fault = memory.plan.fault.of_chip(chip)
        reads = [
            accuracy(memory.model(seed=qtaml._random.child_seed(chip, "trial", trial), fault=fault))
            for trial in range(4)
        ]
        assert value == pytest.approx(np.mean(reads), abs=1e-12)


def test_static_chips_differ_more_than_their_reads() -> None:
    """Where the weak cells always fail, all reads of a chip are one, and chips are not."""
    model, inputs = network()
    memory = qtaml.store(model, qtaml.uniform_msp(model, fault=STATIC, protected_bits=2))
    output = lambda read: float(read(inputs).sum())  # noqa: E731
    one, five = (qtaml.evaluate(memory, output, chips=6, trials=trials) for trials in (1, 5))
    assert five.values == pytest.approx(one.values)
    assert len(set(one.values)) == 6


def test_many_chips_are_measured_in_parts(monkeypatch, stored) -> None:
    """Of which only the values stay; the parts do not show in them."""
    memory, accuracy = stored
    whole = qtaml.evaluate(memory, accuracy, chips=7, trials=2)
    monkeypatch.setattr("qtaml.measuring.reads_of_chips._READS_AT_A_TIME", 4)
    assert qtaml.evaluate(memory, accuracy, chips=7, trials=2) == replace(whole, versions=whole.versions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chips": 0}, "chips must be a whole number of at least 1, got 0"),
        ({"chips": 2.5}, "chips must be a whole number or None, got 2.5"),
        (
            {"chips": 10**9},
            "chips x trials must be at most 10,000,000 reads, got 1,000,000,000 x 5; 59 chips are enough",
        ),
        ({"chips": 5, "trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"chips": 5, "stop_width": 0.1}, "stop_width must be left out where chips are given, got 0.1"),
        ({"chips": 5, "confidence": 1.0}, "confidence must lie between 0 and 1, got 1.0"),
    ],
)
def test_numbers_of_chips_out_of_range_are_refused(stored, arguments, message: str) -> None:
    """Before anything is read."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        qtaml.evaluate(*stored, **arguments)


def test_a_metric_that_ignores_its_model_is_noticed(stored) -> None:
    """All chips equal, though their reads differ."""
    memory = qtaml.store(stored[0].copy_of_model(), stored[0].plan)
    with pytest.warns(UserWarning, match="every chip gave 1: does the metric measure the model that it gets"):
        qtaml.evaluate(memory, lambda _: 1.0, chips=3)


def test_chips_of_a_language_model_have_perplexities() -> None:
    """Each is the geometric mean over its reads."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Embedding(6, 6)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    metric = NegativeLogLikelihood(torch.arange(30).reshape(5, 6) % 6)
    nats = qtaml.evaluate(memory, metric, chips=3)
    assert as_perplexity(nats).values == pytest.approx(np.exp(nats.values))


def test_the_documented_example_runs(capsys) -> None:
    """As it stands on the page of networks and metrics."""
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
    code, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with torch.random.fork_rng(devices=[]):
        exec(code, {})
    assert "200 chips, reads of each: 5; one of Uniform(p=0.05)" in capsys.readouterr().out


@pytest.mark.slow
def test_intervals_cover_the_share_of_good_chips() -> None:
    """Of 300 lots of 40 chips with 10% bad ones, whose number is known: the 90% interval covers in at least 90%.

    A coverage of 0.85 would be seen (standard error 0.017).
    """
    lots = np.random.default_rng(1).random((300, 40)) >= 0.1
    found = [chips_of(lot, confidence=0.9).share_above(0.5) for lot in lots]
    assert np.mean([one.low <= 0.9 <= one.high for one in found]) > 0.885
