"""What every fault model promises. A new one is one more line in MODELS."""

from dataclasses import replace

import numpy as np
import pydantic
import pytest
import torch
from scipy import stats

import qtaml
from qtaml.device import MultiLevelCell, Rectangular, preset_record, static_flip_probabilities
from qtaml.faults import (
    AnyFault,
    Asymmetric,
    Clustered,
    MultiLevel,
    PerBit,
    Ramp,
    Several,
    StaticCells,
    TensorVariation,
    Uniform,
    given,
)
from qtaml.formats import EvenLevels, Format, central_moments, transition_matrix
from qtaml.protections import HardenedCell, Ideal, Raw, Repetition
from qtaml.sampling import word_dtype
from tests.cases import CONVOLUTION

GRAY_CELL = ((1.0, 0.0, 0.0, 0.0), (0.1, 0.9, 0.0, 0.0), (0.05, 0.0, 0.65, 0.3), (0.0, 0.2, 0.0, 0.8))

MODELS = {
    "uniform": Uniform(0.1),
    "asymmetric": Asymmetric(p01=0.02, p10=0.2),
    "forward only": Asymmetric(p01=0.0, p10=0.3),
    "per bit": PerBit((0.3, 0.2, 0.1, 0.05)),
    "per bit, asymmetric": PerBit((0.3, 0.2, 0.1, 0.0), (0.0, 0.1, 0.2, 0.4)),
    "static cells, new chips": StaticCells((0.0, 0.0, 0.1, 0.9), (0.0, 0.05, 0.3, 1.0), chip=None),
    "ramp": Ramp(0.1),
    "lognormal cells, new chips": StaticCells.lognormal(0.1, sigma=1.0, classes=16),
    "clusters": Clustered(0.1, size=3),
    "tensor variation": TensorVariation(0.1, sigma=0.8),
    "multi-level": MultiLevel((GRAY_CELL,)),
    "one of several": Several((Uniform(0.02), MultiLevel((GRAY_CELL,)), Ramp(0.3)), weights=(2.0, 1.0, 1.0)),
    "a range": given((0.05, 0.2), None),
    "one cell of one bit, one of three": MultiLevel(
        (((0.9, 0.1), (0.2, 0.8)), tuple(map(tuple, np.full((8, 8), 0.05) + 0.6 * np.eye(8))))
    ),
}
BITS = 4
READS = 200_000
TENSORS = 4_000


@pytest.fixture(params=MODELS, ids=str)
def model(request):
    """Each fault model in turn."""
    return MODELS[request.param]


def read_counts(model, stored: int, protections=None) -> np.ndarray:
    """How often each word was read where one word was stored everywhere; of words that fail together, one counts."""
    seen = model.behind(protections or (Raw(),) * BITS)
    words = torch.full((READS,), stored, dtype=word_dtype(BITS))
    if isinstance(model, TensorVariation | Several):
        seeds = range(stored * TENSORS, (stored + 1) * TENSORS)
        read = torch.cat([seen.corrupt(words[:1], bits=BITS, seed=seed) for seed in seeds])
    else:
        read = seen.corrupt(words, bits=BITS, seed=stored)[:: getattr(model, "size", 1)]
    return np.bincount(read.numpy(), minlength=2**BITS)


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """p-value of counts under probabilities; words that cannot be read must not have been."""
    possible = probabilities > 1e-12
    assert counts[~possible].sum() == 0
    expected = probabilities[possible] * counts.sum() / probabilities[possible].sum()
    few = expected < 5
    observed = np.append(counts[possible][~few], counts[possible][few].sum())
    expected = np.append(expected[~few], expected[few].sum())
    keep = expected > 0
    return stats.chisquare(observed[keep], expected[keep]).pvalue if keep.sum() > 1 else 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stored", [0, 5, 10, 15])
def test_reads_follow_the_stated_law(model, stored):
    """Chi-square of all words read against the row of the transition matrix; false alarm 1e-5 each, fixed seeds.

    A single probability of 0.1 that is off by 4 per cent would be seen, in as few tensors by 30.
    """
    row = transition_matrix(model.law(BITS))[stored]
    assert chi_square(read_counts(model, stored), row) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("stored", [3, 12])
def test_reads_behind_ideal_protection_follow_the_law_too(model, stored):
    """The two most significant bits are always read as stored; the others as the law behind the protection says."""
    protections = (Raw(), Raw(), Ideal(), Ideal())
    counts = read_counts(model, stored, protections)
    assert (np.flatnonzero(counts) >> 2 == stored >> 2).all()
    row = transition_matrix(model.behind(protections).law(BITS))[stored]
    assert chi_square(counts, row) > 1e-5


def test_the_check_of_the_law_can_fail():
    """A law that is off by 4 per cent in one probability is refused."""
    row = transition_matrix(Uniform(0.104).law(BITS))[5]
    assert chi_square(read_counts(Uniform(0.1), 5), row) < 1e-5


def test_rates_are_the_marginals_of_the_law(model):
    """Each bit's error rate is that of the transition matrix, averaged over the other bits."""
    matrix, words = transition_matrix(model.law(BITS)), np.arange(2**BITS)
    rates = model.rates(BITS)
    for i in range(BITS):
        one = words >> i & 1 == 1
        assert rates.p01[i] == pytest.approx(matrix[~one][:, one].sum(1).mean())
        assert rates.p10[i] == pytest.approx(matrix[one][:, ~one].sum(1).mean())


def test_the_law_is_stochastic(model):
    """Rows of the transition matrix sum to 1 and hold no negative entry."""
    matrix = Format(EvenLevels(BITS)).transition_matrix(model)
    assert matrix.min() >= 0
    assert matrix.sum(1) == pytest.approx(1)


def test_moments_are_those_of_the_transition_matrix(model):
    """Exact mean and variance of every encoding agree with the sum over all words."""
    for encoding in qtaml.formats.ENCODINGS:
        fmt = Format(EvenLevels(BITS, encoding)).protect(1)
        matrix, values = fmt.transition_matrix(model), fmt.readout()
        mean = matrix @ values
        assert fmt.read_mean(model) == pytest.approx(mean, abs=1e-14)
        variance = (matrix * (values - mean[:, None]) ** 2).sum(1)
        assert fmt.read_variance(model) == pytest.approx(variance, abs=1e-14)


def test_reads_are_reproducible(model):
    """The same seed and place give the same read; another seed another; words are overwritten only where asked."""
    words = torch.randint(0, 2**BITS, (500,)).to(word_dtype(BITS))
    original = words.clone()
    first, again, other = (model.corrupt(words, bits=BITS, seed=seed, place="a") for seed in (1, 1, 2))
    assert torch.equal(words, original)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert model.corrupt(words, bits=BITS, seed=1, place="a", in_place=True) is words
    assert torch.equal(words, first)


def test_chips_fail_on_average_as_the_law_says(model):
    """Bits read wrong of 1,000 chips, 16 words of each, against the law; false alarm 1e-5, fixed seeds.

    A chip is the same whenever it is asked for, and what it holds is what the model holds.
    """
    assert model.of_chip(3) == model.of_chip(3)
    assert model.of_chip(3).holds(BITS)
    words = np.random.default_rng(0).integers(2**BITS, size=16)
    ones = np.array([word.bit_count() for word in range(2**BITS)])
    flips = ones[np.arange(2**BITS) ^ words[:, None]]
    expected = (transition_matrix(model.law(BITS))[words] * flips).sum(1).mean()
    stored = torch.from_numpy(words).to(word_dtype(BITS))
    chips = [model.of_chip(chip).of_read(chip) for chip in range(1000)]
    read = [one.corrupt(stored, bits=BITS, seed=seed).numpy() for seed, one in enumerate(chips)]
    wrong = [ones[one ^ words].mean() for one in read]
    assert abs(np.mean(wrong) - expected) < 4.42 * np.std(wrong, ddof=1) / np.sqrt(len(wrong))


def test_words_of_any_shape_are_read(model):
    """Shapes and strides do not matter; an empty tensor stays empty."""
    words = torch.randint(0, 2**BITS, (6, 10)).to(word_dtype(BITS)).T
    read = model.corrupt(words, bits=BITS, seed=0)
    assert read.shape == (10, 6)
    assert torch.equal(read, model.corrupt(words.contiguous(), bits=BITS, seed=0))
    assert model.corrupt(words[:0], bits=BITS, seed=0).shape == (0, 6)


def test_words_of_the_wrong_dtype_are_refused(model):
    """The message names the dtype that is needed."""
    with pytest.raises(qtaml.ArgumentError, match=r"words of 4 bits must be torch\.uint8, got torch\.int64"):
        model.corrupt(torch.zeros(3, dtype=torch.int64), bits=BITS, seed=0)


def test_json_keeps_it(model):
    """A model survives JSON as one of `AnyFault`."""
    adapter = pydantic.TypeAdapter(AnyFault)
    assert adapter.validate_json(adapter.dump_json(model)) == model


@pytest.mark.slow
def test_a_network_is_planned_stored_and_read(model):
    """Any fault model can stand for p from end to end."""
    network = CONVOLUTION.model()
    plan = qtaml.compensate(network, CONVOLUTION.batch(), fault=model, bits=BITS, overhead=0.2, passes=2, trials=2)
    memory = qtaml.store(network, qtaml.Plan.from_json(plan.to_json()))
    result = qtaml.evaluate(memory, lambda read: float(read.head.weight.sum()), trials=4)
    assert len(set(result.values)) == 4


def test_the_exact_correction_holds_behind_every_model(model):
    """The expected read value of a corrected weight is as near as any label's can be."""
    fmt = Format(EvenLevels(BITS)).protect(1)
    weights = torch.linspace(-1, 1, 301).double()
    mean = torch.from_numpy(fmt.read_mean(model).copy())
    chosen = mean[fmt.encode(weights, rule="expected", expecting=model).long()]
    best = (weights[:, None] - mean[None]).abs().amin(1)
    assert torch.allclose((chosen - weights).abs(), best, atol=1e-12)


@pytest.mark.slow
def test_a_chip_keeps_its_weak_cells():
    """Cells that always fail are the same in every read of a place, and others in another place and on another chip."""
    chip = StaticCells((0.0, 1.0, 0.0, 0.0), chip=5)
    words = torch.zeros(2000, dtype=torch.uint8)
    first = chip.corrupt(words, bits=8, seed=0, place="a")
    assert torch.equal(first, chip.corrupt(words, bits=8, seed=1, place="a"))
    assert not torch.equal(first, chip.corrupt(words, bits=8, seed=0, place="b"))
    assert not torch.equal(first, replace(chip, chip=6).corrupt(words, bits=8, seed=0, place="a"))
    assert not torch.equal(*(replace(chip, chip=None).corrupt(words, bits=8, seed=s, place="a") for s in (0, 1)))


@pytest.mark.slow
def test_reads_of_one_chip_agree_more_than_chips_do():
    """Within a chip the mean of many reads differs from cell to cell; it does not for independent errors."""
    words = torch.zeros(4000, dtype=torch.uint8)
    spread = {}
    for name, fault in (("static", StaticCells((0.0, 0.2), chip=1)), ("independent", Uniform(0.1))):
        reads = [fault.corrupt(words, bits=1, seed=seed, place="a").double() for seed in range(60)]
        spread[name] = float(torch.stack(reads).mean(0).var())
    # Binomial: 0.09/60 = 0.0015 between cells; static classes add the variance of p, 0.01.
    assert spread["independent"] == pytest.approx(0.0015, rel=0.1)
    assert spread["static"] == pytest.approx(0.01 + 0.08 / 60, rel=0.1)


def test_a_chip_keeps_the_rates_of_its_tensors():
    """The share of bits read wrong of one tensor is its rate, in every read; another tensor or chip has another."""
    words = torch.zeros(20_000, dtype=torch.uint8)

    def rate(chip, seed, place):
        read = TensorVariation(0.1, sigma=0.8, chip=chip).corrupt(words, seed=seed, place=place)
        return float(np.unpackbits(read.numpy()).mean())

    first = rate(5, 0, "a")
    # Standard error of a share of 160,000 bits: below 0.00125. The nearest of the rates drawn here is 0.01 away.
    assert rate(5, 1, "a") == pytest.approx(first, abs=0.005)
    for other in ((5, 0, "b"), (6, 0, "a"), (None, 0, "a"), (None, 1, "a")):
        assert abs(rate(*other) - first) > 0.008


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Uniform(0.5), r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        (lambda: Asymmetric(0.1, -0.1), r"p10 must be a flip probability in \[0, 0\.5\), got -0\.1"),
        (lambda: PerBit(()), "number of flip probabilities must be a whole number from 1 to 16, got 0"),
        (lambda: PerBit((0.1,), (0.1, 0.2)), "p01 and p10 must be as many, got 1 and 2"),
        (
            lambda: StaticCells((0.1, 0.2, 0.3)),
            "p01 and p10 must hold 2, 4, 8, ... or 256 classes of cells, got 3 and 3",
        ),
        (lambda: StaticCells((0.1, 1.2)), r"p01\[1\] must be a probability in \[0, 1\], got 1\.2"),
        (lambda: StaticCells((0.1, 0.2), chip=-1), "chip must be a whole number of at least 0, got -1"),
        (lambda: Ramp(0.4), r"p x 1\.5 must be a flip probability in \[0, 0\.5\), got 0\.6"),
        (lambda: Ramp(0.1, most_significant=2.5), r"p x -0\.5 must be a flip probability in \[0, 0\.5\), got -0"),
        (lambda: StaticCells.lognormal(0.5, 1.0), r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        (lambda: StaticCells.lognormal(0.1, -1.0), r"sigma must be at least 0, got -1\.0"),
        (lambda: StaticCells.lognormal(0.1, 1.0, classes=3), r"classes of cells, got 3 and 3"),
        (lambda: Clustered(0.1, 0), "size must be a whole number of at least 1, got 0"),
        (lambda: Clustered(-0.1, 2), r"p must be a flip probability in \[0, 0\.5\), got -0\.1"),
        (lambda: TensorVariation(0.1, -0.5), r"sigma must be at least 0, got -0\.5"),
        (lambda: TensorVariation(0.1, 0.5, chip=-1), "chip must be a whole number of at least 0, got -1"),
        (lambda: TensorVariation(0.1, 0.5).law(11), "bits must be at most 10 where they fail together, got 11"),
        (lambda: MultiLevel((((0.5, 0.5),),)), r"groups\[0\] must be a square matrix of 2, 4, 8 or 16 labels"),
        (
            lambda: MultiLevel((((0.5, 0.4), (0.0, 1.0)),)),
            r"groups\[0\] must have rows that sum to 1, got a sum of 0\.9",
        ),
        (lambda: MultiLevel((GRAY_CELL,)).law(5), r"bits must fill the cells of \[2\] bits each, got 5"),
    ],
)
def test_bad_models_are_refused(build, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        build()


@pytest.mark.parametrize("voted", [0, 1])
def test_a_voted_bit_of_a_multi_level_cell_fails_by_itself(voted):
    """Its copies lie elsewhere: residual rates of its position, independent of the raw bit, whose own rates stay."""
    raw = MultiLevel((GRAY_CELL,))
    protections = [Raw(), Raw()]
    protections[voted] = Repetition(3)
    (matrix,) = raw.behind(tuple(protections)).law(2).groups
    before, after = raw.rates(2), raw.behind(tuple(protections)).rates(2)
    residual = Repetition(3).residual(before.p01[voted], before.p10[voted])
    assert (after.p01[voted], after.p10[voted]) == pytest.approx(residual, rel=1e-12)
    assert after.p01[1 - voted] == pytest.approx(before.p01[1 - voted], rel=1e-12)
    for stored in range(4):
        rates = residual[stored >> voted & 1]
        wrong = np.array([read ^ stored for read in range(4)])
        own, other = wrong >> voted & 1 == 1, wrong >> 1 - voted & 1 == 1
        assert matrix[stored, own].sum() == pytest.approx(rates, rel=1e-12)
        assert matrix[stored, own & other].sum() == pytest.approx(rates * matrix[stored, other].sum(), rel=1e-12)


@pytest.mark.parametrize("stored", [0, 1])
def test_copies_of_a_bit_lie_in_cells_of_different_classes(stored):
    """Three weak cells and a vote err as one bit behind repetition is said to; false alarm 1e-5 each.

    With the three cells of one class the rates would be 0.25 and 0.306 instead of 0.156 and 0.265.
    """
    weak = MODELS["static cells, new chips"]
    words = torch.full((READS,), stored, dtype=torch.uint8)
    votes = sum(weak.corrupt(words, bits=1, seed=copy).long() for copy in range(3)) >= 2
    behind = weak.behind((Repetition(3),))
    rates = behind.rates(1)
    p = rates.p10[0] if stored else rates.p01[0]
    assert (rates.p01[0], rates.p10[0]) == pytest.approx(Repetition(3).residual(0.25, 0.3375), rel=1e-12)
    for wrong in (int((votes != bool(stored)).sum()), int((behind.corrupt(words, bits=1, seed=3) != stored).sum())):
        assert stats.binomtest(wrong, READS, p).pvalue > 1e-5


def test_weak_cells_keep_their_classes_behind_protections_of_one_cell():
    """Raw, larger and ideal cells: each class of cells has its own rates, whatever the other bits of the word are."""
    weak = MODELS["static cells, new chips"]
    behind = weak.behind((Raw(), HardenedCell(2.0, 0.01, 0.02), Ideal(), Repetition(3)))
    raw, hardened, ideal, repeated = zip(*behind.rates_of.of_class, strict=True)
    assert raw == tuple(zip(weak.p01, weak.p10, strict=True))
    assert set(hardened) == {(0.01, 0.02)}
    assert set(ideal) == {(0.0, 0.0)}
    assert len(set(repeated)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaincell_2t_sion", "few_electron_dt", "fg_dt_3p0", "hbn_fg_15L"])
def test_weak_cells_of_a_preset_have_its_flip_probability(name):
    """The mean over the classes of cells is the cell's own p, and the physical direction leaves one of two errors."""
    record = preset_record(name)
    p = record.cell.flip_probability(record.window)
    symmetric = StaticCells.from_cell(record.cell, record.window)
    assert symmetric.rates(1).p01[0] == symmetric.rates(1).p10[0] == pytest.approx(p, rel=1e-5)
    charged_one = StaticCells.from_cell(record.cell, record.window, charged=1).rates(1)
    assert (charged_one.p01[0], charged_one.p10[0]) == (0, pytest.approx(p, rel=1e-5))
    assert StaticCells.from_cell(record.cell, record.window, charged=0).rates(1).p10[0] == 0


def test_weak_cells_are_those_that_the_device_samples():
    """Classes and the device's own sample of cells have the same distribution of p: equal quantiles within 0.03.

    The share of 40,000 sampled cells above a level has a standard error below 0.0025: the limit is over 10 of them, and
    one class is 1/64 = 0.016.
    """
    cell, window = preset_record("fg_dt_3p0").cell, 60.0
    sampled = static_flip_probabilities(cell, window, 40_000, np.random.default_rng(0))
    classes = np.array(StaticCells.from_cell(cell, window).p10)
    for level in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert (classes > level).mean() == pytest.approx((sampled > level).mean(), abs=0.03)


def test_multi_level_cells_of_the_device_have_its_moments():
    """Mean and variance of the error agree with those of the device, for all 256 words of four cells."""
    cell = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 100, 200, 300), (50, 150, 250), 1e13)
    law = MultiLevel.from_cell(cell, window=45.0).law(8)
    mean, variance, _, _ = central_moments(np.arange(256.0), law)
    expected_mean, expected_variance = cell.word_moments(45.0, 8)
    assert mean - np.arange(256) == pytest.approx(expected_mean, abs=1e-10)
    assert variance == pytest.approx(expected_variance, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("bits", [4, 12])
def test_a_reader_gives_what_a_read_gives(model, bits):
    """The same words for the same seed, of any layout; what it was made from may be used again."""
    if not model.holds(bits):
        pytest.skip("words of another size")
    words = torch.arange(3 * 700).remainder(2**bits).to(word_dtype(bits)).reshape(3, 700)
    for layout in (words, words.T, words[:, :0]):
        before = layout.clone()
        seen = model.behind((Raw(),) * bits)
        read = seen.reader(layout, bits=bits, place="a")
        for seed in (4, 5, 4):
            assert torch.equal(read(seed), seen.corrupt(layout, bits=bits, seed=seed, place="a"))
        assert torch.equal(layout, before)
