"""What a format promises: round trips, exact moments, protection, and the exact mean correction."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.faults import Asymmetric, FaultModel, PerBit, StaticCells, Uniform
from qtaml.formats import ENCODINGS, GRIDS, EvenLevels, Format, TableLevels
from qtaml.protections import Hamming, HardenedCell, Ideal, Protection, Raw, Repetition
from qtaml.sampling import word_dtype
from tests.reference.enumeration import enumerated_moments, enumerated_transitions, protected_rates
from tests.reference.statistics import assert_counts_follow, counts_of
from tests.tolerances import EXACT_MATHS, FALSE_ALARM, ROUNDING

EVERY_BITS = range(2, 17)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
PROBABILITIES = [0.01, 0.05, 0.1, 0.3]
# Closed forms are polynomials in p: two values of it, and the numbers of bits at which the code does another thing.
FEW_BITS, TWO_PROBABILITIES = [*range(2, 10), 12, 16], [0.01, 0.3]

every_format = st.builds(
    Format, st.builds(EvenLevels, st.integers(2, 16), st.sampled_from(ENCODINGS), st.sampled_from(GRIDS))
)


def step_of(fmt: Format) -> float:
    """Distance D between neighbouring levels, in units of the full scale."""
    return 2 / (2**fmt.bits - 1) if fmt.levels.grid == "half_step" else 2 / 2**fmt.bits


def value_of_labels(fmt: Format) -> np.ndarray:
    """Value of each label, found level by level."""
    values = np.full(2**fmt.bits, np.nan)
    for label, level in zip(fmt.levels.storable(), fmt.levels.values(), strict=True):
        values[label] = level
    return values


def random_rates(bits: int) -> PerBit:
    """A flip probability of its own for each bit."""
    return PerBit(tuple(np.random.default_rng(bits).uniform(0, 0.5, bits)))


# Writing and reading without errors


@pytest.mark.slow
@given(fmt=every_format, weights=st.lists(st.floats(-1, 1), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_round_trip_within_half_a_step(fmt: Format, weights: list[float]) -> None:
    """A weight inside the range of the levels comes back within half a step, any other at the nearest end."""
    exact = torch.tensor(weights, dtype=torch.float64)
    words = fmt.encode(exact)
    inside = exact.clamp(fmt.levels.values()[0], fmt.levels.values()[-1])
    assert words.dtype == word_dtype(fmt.bits)
    assert (fmt.decode(words) - inside).abs().max() <= step_of(fmt) / 2 + ROUNDING


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", EVERY_BITS)
def test_levels_come_back_as_they_are(bits: int, encoding: str, grid: str) -> None:
    """A level is stored under one of its labels and read as itself."""
    fmt = Format(EvenLevels(bits, encoding, grid))
    levels = torch.from_numpy(fmt.levels.values())
    words = fmt.encode(levels)
    assert torch.equal(fmt.decode(words), levels)
    ambiguous = (
        torch.from_numpy(fmt.levels.values() == 0) if encoding == "sign_magnitude" else torch.zeros(2**bits).bool()
    )
    assert torch.equal(words.long()[~ambiguous], torch.from_numpy(fmt.levels.storable())[~ambiguous])


@pytest.mark.parametrize("beyond", [1.5, 1e300, float("inf")])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_lies_beyond_the_range_is_clipped(encoding: str, beyond: float) -> None:
    """It takes the last level on its side."""
    fmt = Format(EvenLevels(encoding=encoding))
    assert fmt.decode(fmt.encode(torch.tensor([-beyond, beyond], dtype=torch.float64))).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_any_floating_dtype(bits: int, dtype: torch.dtype) -> None:
    """The value that a weight has in its own dtype is what is stored; no digit is lost on the way."""
    fmt = Format(EvenLevels(bits))
    weights = torch.linspace(-1, 1, 1001, dtype=torch.float64).to(dtype)
    assert torch.equal(fmt.encode(weights), fmt.encode(weights.double()))
    assert (fmt.decode(fmt.encode(weights)) - weights.double()).abs().max() <= step_of(fmt) / 2 + ROUNDING


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_need_not_be_contiguous(dtype: torch.dtype) -> None:
    """Transposed, strided and expanded weights are stored like their contiguous copies, without a warning."""
    weights = torch.linspace(-1, 1, 60).to(dtype).reshape(6, 10)
    for view in (weights.t(), weights[:, ::3], weights[:1].expand(4, 10)):
        assert not view.is_contiguous()
        assert torch.equal(Format().encode(view), Format().encode(view.contiguous()))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 4, 5)])
def test_words_have_the_shape_of_the_weights(shape: tuple[int, ...]) -> None:
    """Scalars and empty tensors too, back and forth."""
    words = Format(EvenLevels(12)).encode(torch.zeros(shape))
    assert words.shape == Format(EvenLevels(12)).decode(words).shape == torch.Size(shape)


# The exact law against enumeration


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_transitions_are_those_of_enumeration(bits: int, encoding: str, grid: str) -> None:
    """Labels turn into each other at the rates that the fault model and the protections leave."""
    fault = random_rates(bits)
    fmt = Format(EvenLevels(bits, encoding, grid)).protect(1)
    rates = [*fault.p01[:-1], 0.0]
    np.testing.assert_allclose(fmt.transition_matrix(fault), enumerated_transitions(rates, rates), rtol=EXACT_MATHS)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", range(2, 11))
def test_moments_are_those_of_enumeration(bits: int, encoding: str, grid: str) -> None:
    """Mean and variance of what is read, for every stored label, with a rate of its own for each bit."""
    fmt, fault = Format(EvenLevels(bits, encoding, grid)), random_rates(bits)
    mean, variance = enumerated_moments(value_of_labels(fmt), fault.p01, fault.p01)
    np.testing.assert_allclose(fmt.read_mean(fault), mean, rtol=0, atol=EXACT_MATHS)
    np.testing.assert_allclose(fmt.read_variance(fault), variance, rtol=EXACT_MATHS, atol=EXACT_MATHS)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_reads_follow_the_transition_matrix(encoding: str) -> None:
    """Sampled reads of one label occur as often as its row of the matrix says (2**20 reads; finds 0.9 %)."""
    fmt, fault, stored = Format(EvenLevels(6, encoding)).protect(1), Uniform(0.2), 0b101101
    words = torch.full((2**20,), stored, dtype=torch.uint8)
    counts = counts_of(fmt.corrupt(words, fault, seed=0).numpy(), 6)
    assert_counts_follow(counts, fmt.transition_matrix(fault)[stored], FALSE_ALARM)


def test_moments_cannot_be_overwritten() -> None:
    """They are kept for the next call, so they are read-only."""
    with pytest.raises(ValueError, match="read-only"):
        Format().read_mean(Uniform(0.1))[0] = 1.0


# Closed forms: theory.md 1.2 and 1.4


@pytest.mark.slow
@pytest.mark.parametrize("p", TWO_PROBABILITIES)
@pytest.mark.parametrize("bits", FEW_BITS)
def test_offset_binary_shrinks_towards_the_protected_cell(bits: int, p: float) -> None:
    """E = w - 2p(w - c_h), and the variance p(1-p)D^2(4^m-1)/3 is the same for every code, for all k."""
    for count in range(bits + 1):
        fmt = Format(EvenLevels(bits)).protect(count)
        word, low_bits, step = np.arange(2**bits), bits - count, step_of(fmt)
        weight = step * (word - (2**bits - 1) / 2)
        centre = step * ((word >> low_bits << low_bits) + (2**low_bits - 1) / 2 - (2**bits - 1) / 2)
        np.testing.assert_allclose(
            fmt.read_mean(Uniform(p)), weight - 2 * p * (weight - centre), rtol=0, atol=EXACT_MATHS
        )
        variance = p * (1 - p) * step**2 * (4**low_bits - 1) / 3
        np.testing.assert_allclose(fmt.read_variance(Uniform(p)), variance, rtol=EXACT_MATHS, atol=0)


@pytest.mark.parametrize("bits", FEW_BITS)
def test_share_of_the_most_significant_bits(bits: int) -> None:
    """The top bit carries (3/4) 4^B/(4^B-1) of the variance, the top two 15/16 of the same."""
    unprotected, one, two = (
        Format(EvenLevels(bits)).protect(count).read_variance(Uniform(0.1))[0] for count in (0, 1, min(2, bits))
    )
    large = 4**bits / (4**bits - 1)
    assert 1 - one / unprotected == pytest.approx(0.75 * large, rel=EXACT_MATHS)
    assert 1 - two / unprotected == pytest.approx(15 / 16 * large, rel=EXACT_MATHS)


# Closed forms: the table of theory.md 1.3


@pytest.mark.parametrize("p", TWO_PROBABILITIES)
@pytest.mark.parametrize("bits", FEW_BITS)
@pytest.mark.parametrize(("encoding", "grid"), [("offset_binary", "integer"), ("twos_complement", "integer")])
def test_integer_grid_adds_an_offset_of_p_steps(encoding: str, grid: str, bits: int, p: float) -> None:
    """E = (1-2p)w - pD with the variance of offset binary."""
    fmt = Format(EvenLevels(bits, encoding, grid))
    weight, step = value_of_labels(fmt), step_of(fmt)
    np.testing.assert_allclose(fmt.read_mean(Uniform(p)), (1 - 2 * p) * weight - p * step, rtol=0, atol=EXACT_MATHS)
    np.testing.assert_allclose(
        fmt.read_variance(Uniform(p)), p * (1 - p) * step**2 * (4**bits - 1) / 3, rtol=EXACT_MATHS
    )


@pytest.mark.parametrize("p", TWO_PROBABILITIES)
@pytest.mark.parametrize("bits", FEW_BITS)
@pytest.mark.parametrize("encoding", ["offset_binary", "twos_complement"])
def test_half_step_grid_has_no_offset(encoding: str, bits: int, p: float) -> None:
    """E = (1-2p)w exactly."""
    fmt = Format(EvenLevels(bits, encoding))
    np.testing.assert_allclose(fmt.read_mean(Uniform(p)), (1 - 2 * p) * value_of_labels(fmt), rtol=0, atol=EXACT_MATHS)


@pytest.mark.parametrize("p", TWO_PROBABILITIES)
@pytest.mark.parametrize("bits", FEW_BITS)
@pytest.mark.parametrize("grid", GRIDS)
def test_sign_magnitude_depends_on_what_is_stored(grid: str, bits: int, p: float) -> None:
    """The mean magnitude Em is read with the stored sign less often than not; the variance has a term for either."""
    fmt = Format(EvenLevels(bits, "sign_magnitude", grid))
    word, half, step = np.arange(2**bits), 2 ** (bits - 1), step_of(fmt)
    magnitude = step * (word % half + (0.5 if grid == "half_step" else 0.0))
    sign = np.where(word < half, 1.0, -1.0)  # minus zero keeps its sign
    largest = half if grid == "half_step" else half - 1
    mean_magnitude = (1 - 2 * p) * magnitude + p * step * largest
    magnitude_variance = p * (1 - p) * step**2 * (4 ** (bits - 1) - 1) / 3
    np.testing.assert_allclose(fmt.read_mean(Uniform(p)), (1 - 2 * p) * sign * mean_magnitude, rtol=0, atol=EXACT_MATHS)
    np.testing.assert_allclose(
        fmt.read_variance(Uniform(p)),
        magnitude_variance + mean_magnitude**2 * (1 - (1 - 2 * p) ** 2),
        rtol=EXACT_MATHS,
        atol=EXACT_MATHS,
    )


# Protection


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("count", range(9))
def test_protected_bits_never_fail(encoding: str, count: int) -> None:
    """The k most significant bits of a word are always read as stored, and cost one more cell each."""
    fmt = Format(EvenLevels(8, encoding)).protect(count)
    assert (fmt.protected_bits, fmt.cells) == (count, 8 + count)
    assert fmt.rates(Uniform(0.4)).p01 == tuple(protected_rates(0.4, 8, count))
    words = torch.arange(256, dtype=torch.uint8).repeat(100)
    read = fmt.corrupt(words, Uniform(0.4), seed=0)
    failed = (read ^ words).long()
    assert (failed >> (8 - count) == 0).all()
    assert count == 8 or failed.max() >> (7 - count) == 1


def test_protecting_again_replaces_the_protection() -> None:
    """`protect` counts from the plain format; bits may also be protected one by one."""
    assert Format(EvenLevels(4)).protect(3).protect(1) == Format(EvenLevels(4)).protect(1)
    assert Format(EvenLevels(4), (Raw(), Raw(), Raw(), Ideal())) == Format(EvenLevels(4)).protect(1)
    assert Format(EvenLevels(4), (Ideal(), Raw(), Raw(), Raw())).rates(Uniform(0.1)).p01 == (0.0, 0.1, 0.1, 0.1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_without_errors_nothing_changes(encoding: str) -> None:
    """With p = 0, or all bits protected, what is read is what was stored."""
    for fmt, fault in (
        (Format(EvenLevels(8, encoding)), Uniform(0.0)),
        (Format(EvenLevels(8, encoding)).protect(8), Uniform(0.3)),
    ):
        np.testing.assert_allclose(fmt.read_mean(fault), value_of_labels(fmt), rtol=0, atol=ROUNDING)
        np.testing.assert_array_equal(fmt.read_variance(fault), 0.0)
        words = torch.arange(256, dtype=torch.uint8)
        assert torch.equal(fmt.corrupt(words, fault, seed=0), words)


# The exact mean correction, theory.md 1.4, by enumeration


def expected_values(fmt: Format, p: float, count: int) -> np.ndarray:
    """Expected value read for each label, by enumeration."""
    rates = protected_rates(p, fmt.bits, count)
    return enumerated_moments(value_of_labels(fmt), rates, rates)[0]


CASES = [(bits, count) for bits in (4, 8) for count in range(bits + 1)]
FINE = np.linspace(-1, 1, 20_001)


def fine_weights(fmt: Format) -> np.ndarray:
    """A fine grid over the range, without the borders of cells and of levels, where two answers are equally right."""
    doubled = (FINE + 1) / step_of(fmt) * 2
    return FINE[np.abs(doubled - np.round(doubled)) > 1e-6]


@pytest.mark.parametrize("p", PROBABILITIES)
@pytest.mark.parametrize(("bits", "count"), CASES)
def test_exact_correction_in_offset_binary(bits: int, count: int, p: float) -> None:
    """The four promises of theory.md 1.4 about every weight of a fine grid.

    Its protected bits are those of its own cell; the label is that of the weight stretched about the cell's centre and
    clipped to the cell; the expected value read is the weight up to half a contracted step where one is within reach;
    and in the gap between two cells it is off by at most half the gap.
    """
    fmt = Format(EvenLevels(bits)).protect(count)
    weight, step, low_bits = fine_weights(fmt), step_of(fmt), bits - count
    words = fmt.encode(torch.from_numpy(weight), rule="expected", expecting=Uniform(p)).long().numpy()
    bias = np.abs(expected_values(fmt, p, count)[words] - weight)

    nearest = np.round((weight + 1) / step).astype(int)
    cell = nearest >> low_bits
    np.testing.assert_array_equal(words >> low_bits, cell)

    half_cell = step * (2**low_bits - 1) / 2
    centre = step * (2**low_bits * cell) - 1 + half_cell
    stretched = np.clip(centre + (weight - centre) / (1 - 2 * p), centre - half_cell, centre + half_cell)
    position = (stretched + 1) / step
    away_from_ties = np.abs(np.abs(position - np.floor(position)) - 0.5) > 1e-6
    np.testing.assert_array_equal(words[away_from_ties], np.round(position).astype(int)[away_from_ties])

    reachable = np.abs(weight - centre) <= (1 - 2 * p) * half_cell
    assert reachable.any() or low_bits == 0
    assert (bias[reachable] <= (1 - 2 * p) * step / 2 + ROUNDING).all()
    gap = step * (1 + 2 * p * (2**low_bits - 1))
    assert (bias <= gap / 2 + ROUNDING).all()


@pytest.mark.parametrize("p", TWO_PROBABILITIES)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_exact_correction_takes_the_nearest_expected_value(encoding: str, grid: str, p: float) -> None:
    """No other label has an expected value nearer, for every encoding, grid and protection, to rounding."""
    for bits, count in CASES:
        fmt = Format(EvenLevels(bits, encoding, grid)).protect(count)
        mean = expected_values(fmt, p, count)
        weights = FINE[::10]
        words = fmt.encode(torch.from_numpy(weights), rule="expected", expecting=Uniform(p)).long().numpy()
        least = np.abs(mean[np.newaxis] - weights[:, np.newaxis]).min(axis=1)
        np.testing.assert_allclose(np.abs(mean[words] - weights), least, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("p", PROBABILITIES)
@pytest.mark.parametrize(("bits", "count"), CASES)
def test_expected_values_themselves_are_met_exactly(bits: int, count: int, p: float) -> None:
    """A weight that equals the expected value of some label is stored without any bias, to rounding."""
    fmt = Format(EvenLevels(bits)).protect(count)
    reachable = expected_values(fmt, p, count)
    words = fmt.encode(torch.from_numpy(reachable), rule="expected", expecting=Uniform(p)).long().numpy()
    np.testing.assert_array_equal(words, np.arange(2**bits))


def test_exact_correction_expects_any_fault_model() -> None:
    """Rates that differ from bit to bit reorder the expected values; the nearest is still taken."""
    fmt = Format(EvenLevels(4))
    fault: FaultModel = PerBit((0.0, 0.1, 0.2, 0.45))
    mean = enumerated_moments(value_of_labels(fmt), *(fault.rates(4).p01,) * 2)[0]
    assert (np.diff(mean) < 0).any()
    words = fmt.encode(torch.from_numpy(FINE), rule="expected", expecting=fault).long().numpy()
    least = np.abs(mean[np.newaxis] - FINE[:, np.newaxis]).min(axis=1)
    np.testing.assert_allclose(np.abs(mean[words] - FINE), least, rtol=0, atol=ROUNDING)


# What is refused


@pytest.mark.parametrize("bits", [1, 17, 8.0, True, None])
def test_a_number_of_bits_out_of_range_is_refused(bits: int) -> None:
    """A word has 2 to 16 bits."""
    with pytest.raises(ArgumentError, match=f"bits must be a whole number from 2 to 16, got {bits}"):
        Format(EvenLevels(bits))


def test_unknown_names_are_refused() -> None:
    """The message lists those that exist."""
    with pytest.raises(ArgumentError, match=r"encoding must be one of 'offset_binary', .*'gray', got 'grey'"):
        Format(EvenLevels(encoding="grey"))
    with pytest.raises(ArgumentError, match="grid must be one of 'half_step', 'integer', got 'float'"):
        Format(EvenLevels(grid="float"))


def test_a_wrong_number_of_protections_is_refused() -> None:
    """There is one for each bit."""
    with pytest.raises(ArgumentError, match="protections must be one for each of 8 bits, got 2"):
        Format(protections=(Raw(), Ideal()))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (-1, "a whole number from 0 to 8, got -1"),
        (9, "a whole number from 0 to 8, got 9"),
        (1.5, "a whole number, got 1.5"),
    ],
)
def test_protecting_bits_that_do_not_exist_is_refused(count: int, message: str) -> None:
    """None to all bits can be protected."""
    with pytest.raises(ArgumentError, match=f"most_significant must be {message}"):
        Format().protect(count)


def test_a_fault_model_of_another_number_of_bits_is_refused() -> None:
    """Rates for eight bits say nothing about words of four."""
    with pytest.raises(ArgumentError, match="bits must be 8, the number of flip probabilities given, got 4"):
        Format(EvenLevels(4)).read_mean(PerBit((0.1,) * 8))


def test_a_matrix_of_more_than_ten_bits_is_refused() -> None:
    """Mean and variance have no such limit."""
    with pytest.raises(ArgumentError, match="a transition matrix is made for at most 10 bits, got 11"):
        Format(EvenLevels(11)).transition_matrix(Uniform(0.1))
    assert Format(EvenLevels(16)).read_variance(Uniform(0.1)).shape == (2**16,)


# Fitted levels

WORDS = (
    (),
    (Raw(),),
    (Raw(), Repetition(3), Ideal()),
    (Hamming(4), Raw(), Raw(), HardenedCell(1.5, 0.02, 0.05), Repetition(5), Raw()),
)
CHANNELS = (Uniform(0.1), Asymmetric(0.01, 0.2), StaticCells((0.0, 0.05, 0.1, 1.0), (0.0, 0.0, 0.0, 0.9)))


def fitted(word: tuple[Protection, ...]) -> Format:
    """A format with a random table."""
    values = np.random.default_rng(len(word)).standard_normal(2 ** len(word))
    return Format(TableLevels(tuple(values.tolist())), word)


@pytest.mark.parametrize("fault", CHANNELS, ids=str)
@pytest.mark.parametrize("word", WORDS, ids=len)
def test_moments_of_fitted_levels_are_those_of_all_transitions(word: tuple[Protection, ...], fault: FaultModel) -> None:
    """Mean and variance of the value read from the residual rates of each protection, over every word read."""
    fmt = fitted(word)
    raw = fault.rates(1)
    left = [protection.residual(raw.p01[0], raw.p10[0]) for protection in word]
    matrix = enumerated_transitions([p01 for p01, _ in left], [p10 for _, p10 in left]) if word else np.ones((1, 1))
    values = np.array(fmt.levels.values)
    mean = matrix @ values
    assert fmt.transition_matrix(fault) == pytest.approx(matrix, abs=ROUNDING)
    assert fmt.read_mean(fault) == pytest.approx(mean, abs=ROUNDING)
    variance = [row @ (values - centre) ** 2 for row, centre in zip(matrix, mean, strict=True)]
    assert fmt.read_variance(fault) == pytest.approx(variance, rel=EXACT_MATHS, abs=ROUNDING)


@pytest.mark.parametrize("fault", CHANNELS, ids=str)
@pytest.mark.parametrize("word", WORDS, ids=len)
def test_the_label_stored_has_the_least_expected_squared_error(word: tuple[Protection, ...], fault: FaultModel) -> None:
    """Every weight against every label."""
    fmt = fitted(word)
    weights = torch.linspace(-3, 3, 301, dtype=torch.float64)
    costs = (fmt.read_mean(fault) - weights.numpy()[:, None]) ** 2 + fmt.read_variance(fault)
    stored = fmt.encode(weights, rule="least_error", expecting=fault)
    assert stored.dtype == torch.uint8
    assert costs[np.arange(301), stored.numpy()] == pytest.approx(costs.min(1), abs=1e-12)


def test_no_bits_cost_nothing_and_are_read_as_their_one_value() -> None:
    """The mean of the tensor, say."""
    fmt = Format(TableLevels((0.25,)))
    words = fmt.encode(torch.tensor([[-1.0, 2.0]]), rule="least_error", expecting=Uniform(0.1))
    assert fmt.cells == 0
    assert torch.equal(fmt.corrupt(words, Uniform(0.1), seed=0), words)
    assert fmt.decode(words).tolist() == [[0.25, 0.25]]
    assert fmt.read_variance(Uniform(0.1)).tolist() == [0.0]


def test_cells_of_fitted_levels_are_those_of_the_bits() -> None:
    """The table is counted where it is kept: once, not for each weight."""
    assert fitted(WORDS[2]).cells == 1 + 3 + 2
    assert fitted(WORDS[2]).protected_bits == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TableLevels((1.0, 2.0, 3.0)), "values must be 1, 2, 4, ... or 1024 numbers, got 3"),
        (lambda: TableLevels((1.0, float("nan"))), "values must be finite, got nan"),
        (lambda: TableLevels((0.0,) * 2048), "values must be 1, 2, 4, ... or 1024 numbers, got 2048"),
        (lambda: Format(EvenLevels(0)), "bits must be a whole number from 2 to 16, got 0"),
        (
            lambda: fitted(WORDS[1]).encode(torch.zeros(1), rule="least_error"),
            "expecting must be a fault model for rule='least_error', got None",
        ),
    ],
)
def test_bad_tables_are_refused(make: Callable[[], object], message: str) -> None:
    """Each names the argument and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        make()
