"""How a tensor is stored: scales, sections, mean correction and step, and the bias and error table of theory.md 1.4."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.faults import PerBit, TensorVariation, Uniform
from qtaml.formats import (
    CORRECTIONS,
    ENCODINGS,
    GRIDS,
    STEPS,
    EvenLevels,
    Fixed,
    Format,
    Largest,
    RootMeanSquare,
    Section,
    TableLevels,
    TensorFormat,
)
from qtaml.protections import Raw, Repetition
from tests.reference.enumeration import enumerated_moments, protected_rates
from tests.tolerances import EXACT_MATHS, ROUNDING

FAULT = Uniform(0.1)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    """Gaussian weights in float64."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def whole(weights: int, protected: int = 0, bits: int = 8, step: str = "keep", **fields: str) -> TensorFormat:
    """One section for all weights, in units of the largest."""
    encoding, grid = fields.pop("encoding", "offset_binary"), fields.pop("grid", "half_step")
    fmt = Format(EvenLevels(bits, encoding, grid)).protect(protected)
    return TensorFormat((Section(weights, fmt),), Largest(step), **fields)


def read_variance(stored: TensorFormat, words: torch.Tensor, fault: Uniform) -> torch.Tensor:
    """Exact variance of each weight read, in units of the squared scale."""
    parts, start = [], 0
    for section in stored.sections:
        table = torch.from_numpy(section.format.read_variance(fault).copy())
        parts.append(table[words.reshape(-1)[start : start + section.weights].long()])
        start += section.weights
    return torch.cat(parts)


# Scales


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_largest_magnitude_is_the_full_scale(encoding: str, grid: str, dtype: torch.dtype) -> None:
    """Every weight comes back within half a step; the end that the integer grid lacks costs one step."""
    weights = gaussian(6, 5, 3).to(dtype)
    stored = whole(90, encoding=encoding, grid=grid)
    words, scale = stored.encode(weights, FAULT)
    assert scale.shape == ()
    assert scale == weights.double().abs().max()
    step = scale * (2 / 255 if grid == "half_step" else 2 / 256)
    error = (stored.decode(words, scale) - weights.double()).abs()
    assert words.shape == weights.shape
    assert error.max() <= step * (0.5 if grid == "half_step" else 1.0) + ROUNDING


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_fixed_scale_holds_for_any_weights(correction: str) -> None:
    """Levels reach as far as asked under each correction; what lies outside is clipped."""
    weights = torch.tensor([[0.1, -0.2], [3.0, -0.4]])
    stored = replace(whole(4, correction=correction), scale=Fixed(2.0))
    words, scale = stored.encode(weights, Uniform(0.0))
    assert scale.shape == ()
    assert float(scale) == 2.0
    expected = torch.tensor([[0.1, -0.2], [2.0, -0.4]], dtype=torch.float64)
    torch.testing.assert_close(stored.decode(words, scale), expected, rtol=0, atol=2 / 255)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf")])
def test_impossible_fixed_scales_are_refused(value: float) -> None:
    """The message names the argument."""
    with pytest.raises(ArgumentError, match="value must be"):
        Fixed(value)


def test_a_fixed_scale_is_one_for_the_tensor() -> None:
    """There is nothing that rows or groups could have of their own."""
    with pytest.raises(ArgumentError, match="granularity must be 'tensor' for a fixed scale, got 'row'"):
        TensorFormat((Section(1, Format()),), Fixed(1.0), "row")


@pytest.mark.parametrize("scale", [Largest(), RootMeanSquare()], ids=str)
@pytest.mark.parametrize("shape", [(3, 10), (3, 2, 5), (10,)], ids=str)
def test_groups_along_a_row_have_scales_of_their_own(shape: tuple[int, ...], scale: Largest | RootMeanSquare) -> None:
    """Each group of four is stored as it would be alone, the last of a row has two; scales are kept in 16 bits."""
    weights = gaussian(*shape) * torch.logspace(-3, 3, 10).double().reshape(shape[1:] or shape)
    stored = TensorFormat((Section(weights.numel(), Format()),), scale, 4)
    words, scales = stored.encode(weights, FAULT)
    assert scales.shape == (weights.numel() // 10, 3)
    assert torch.equal(scales, scales.bfloat16().double())
    read, rows = stored.decode(words, scales).reshape(-1, 10), weights.reshape(-1, 10)
    for row, some in enumerate(rows):
        for group, part in enumerate(torch.split(some, 4)):
            alone = TensorFormat((Section(len(part), Format()),), Fixed(float(scales[row, group])))
            own, unit = alone.encode(part, FAULT)
            here = slice(4 * group, 4 * group + len(part))
            assert torch.equal(read[row, here], alone.decode(own, unit))
    assert stored.side_values(shape) == scales.numel() + 2 + 2


def test_runs_of_one_format_are_one_section() -> None:
    """Two ways to say the same are equal."""
    cut = TensorFormat((Section(3, Format()), Section(2, Format()), Section(1, Format().protect(1))))
    assert cut == TensorFormat((Section(5, Format()), Section(1, Format().protect(1))))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3, 3)])
def test_every_row_has_its_own_scale(shape: tuple[int, ...]) -> None:
    """Rows of very different size all come back within half of their own step."""
    sizes = torch.tensor([1e-6, 1.0, 1e3, 1e9], dtype=torch.float64).reshape(4, *[1] * (len(shape) - 1))
    weights = gaussian(*shape) * sizes
    stored = whole(weights.numel(), granularity="row")
    words, scale = stored.encode(weights, FAULT)
    assert scale.shape == (4, *[1] * (len(shape) - 1))
    relative = (stored.decode(words, scale) - weights) / scale
    assert relative.abs().max() <= 1 / 255 + ROUNDING
    for row in range(4):
        alone = whole(weights[row].numel())
        assert torch.equal(words[row], alone.encode(weights[row], FAULT)[0])


def test_a_vector_has_one_scale_also_by_row() -> None:
    """A bias has no rows of more than one weight."""
    stored = whole(3, granularity="row")
    assert stored.encode(torch.tensor([1.0, 0.5, -2.0]), FAULT)[1].tolist() == 2.0


@pytest.mark.parametrize("view", ["transposed", "strided", "expanded"])
def test_weights_need_not_be_contiguous(view: str) -> None:
    """They are stored like their contiguous copy, and the words are contiguous."""
    weights = gaussian(6, 10)
    weights = {"transposed": weights.t(), "strided": weights[:, ::3], "expanded": weights[:1].expand(4, 10)}[view]
    stored = whole(weights.numel(), granularity="row")
    words, scale = stored.encode(weights, FAULT)
    expected_words, expected_scale = stored.encode(weights.contiguous(), FAULT)
    assert words.is_contiguous()
    assert torch.equal(words, expected_words)
    assert torch.equal(scale, expected_scale)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_zeros_are_read_as_zeros(granularity: str, correction: str, step: str) -> None:
    """A tensor of zeros has scale zero, so it is read back exactly, whatever the errors and the correction."""
    stored = whole(12, granularity=granularity, correction=correction, step=step)
    words, scale = stored.encode(torch.zeros(3, 4), FAULT)
    assert (scale == 0).all()
    assert (stored.read(words, scale, Uniform(0.4), seed=0) == 0).all()
    assert (stored.read_mean(words, scale, Uniform(0.4)) == 0).all()


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("step", STEPS)
def test_a_row_of_zeros_is_read_as_zeros(correction: str, step: str) -> None:
    """It does not disturb the other rows."""
    weights = gaussian(3, 4)
    weights[1] = 0
    stored = whole(12, granularity="row", correction=correction, step=step)
    words, scale = stored.encode(weights, FAULT)
    read = stored.read(words, scale, FAULT, seed=0)
    assert read.isfinite().all()
    assert (read[1] == 0).all()
    assert torch.equal(words[0], whole(4, correction=correction, step=step).encode(weights[0], FAULT)[0])


@pytest.mark.parametrize("factor", [1e-30, 1e-300, 1e30, 1e300])
def test_the_size_of_the_weights_does_not_matter(factor: float) -> None:
    """Tiny and huge weights have the same words as weights of about one."""
    weights = gaussian(50)
    for correction in CORRECTIONS:
        stored = whole(50, correction=correction)
        assert torch.equal(stored.encode(weights * factor, FAULT)[0], stored.encode(weights, FAULT)[0])


# Sections


def test_two_depths_share_a_tensor() -> None:
    """The first weights have one protection more than the rest, and each is read with its own."""
    deep, shallow = Format().protect(8), Format().protect(2)
    stored = TensorFormat((Section(7, deep), Section(13, shallow)))
    assert (stored.weights, stored.bits) == (20, 8)
    assert stored.cells == 7 * 16 + 13 * 10
    assert stored.protected_bits == 7 * 8 + 13 * 2
    weights = gaussian(4, 5)
    words, scale = stored.encode(weights, FAULT)
    plain = stored.decode(words, scale)
    reads = torch.stack([stored.read(words, scale, Uniform(0.4), seed=seed) for seed in range(50)])
    failed = (reads != plain).any(dim=0).reshape(-1)
    assert not failed[:7].any()
    assert failed[7:].all()
    cell = 2 * float(scale) * 64 / 255
    assert (reads - plain).abs().max() < cell
    expected = torch.cat(
        [
            torch.from_numpy(fmt.read_mean(FAULT).copy())[part.long()]
            for fmt, part in ((deep, words.reshape(-1)[:7]), (shallow, words.reshape(-1)[7:]))
        ]
    )
    assert torch.equal(stored.read_mean(words, scale, FAULT).reshape(-1), expected * scale)


def test_sections_of_equal_words_fail_independently() -> None:
    """The errors of one section are not repeated in the next."""
    stored = TensorFormat((Section(1000, Format()), Section(1000, Format())))
    words = torch.zeros(2000, dtype=torch.uint8)
    first, second = stored.read(words, torch.tensor(1.0), FAULT, seed=0).reshape(2, 1000)
    assert not torch.equal(first, second)


def test_a_read_repeats_with_its_seed() -> None:
    """The same seed gives the same read, another one another; the stored words stay."""
    stored = whole(1000)
    words, scale = stored.encode(gaussian(10, 100), FAULT)
    before = words.clone()
    read = stored.read(words, scale, FAULT, seed=1)
    assert torch.equal(stored.read(words, scale, FAULT, seed=1), read)
    assert not torch.equal(stored.read(words, scale, FAULT, seed=2), read)
    assert torch.equal(words, before)
    assert (read.shape, read.dtype) == (words.shape, torch.float64)


@pytest.mark.slow
def test_the_average_read_is_the_expected_one() -> None:
    """Over 1500 reads of 600 weights the average misses `read_mean` by less than 5 standard errors of each weight.

    False alarm: 600 x 6e-7 = 3e-4; finds a bias of 6.3 standard errors, 16 % of one standard deviation.
    """
    stored = TensorFormat((Section(200, Format().protect(1)), Section(400, Format())))
    words, scale = stored.encode(gaussian(600), FAULT)
    reads = 1500
    total = sum(stored.read(words, scale, FAULT, seed=seed) for seed in range(reads))
    standard_error = scale * (read_variance(stored, words, FAULT) / reads).sqrt()
    assert ((total / reads - stored.read_mean(words, scale, FAULT)).abs() <= 5 * standard_error).all()


# Mean correction


def test_without_correction_the_nearest_level_is_stored() -> None:
    """Neither the fault model nor the step changes anything."""
    weights = gaussian(100)
    words = whole(100).encode(weights, FAULT)[0]
    assert torch.equal(words, Format().encode(weights / weights.abs().max()))
    assert torch.equal(whole(100, step="recompute").encode(weights, Uniform(0.3))[0], words)


@pytest.mark.parametrize("protected", [0, 2])
def test_the_factor_of_the_paper(protected: int) -> None:
    """Weights are multiplied by 1/(1-2p), whatever the protection; what falls outside is clipped."""
    weights = gaussian(1000)
    relative = weights / weights.abs().max()
    stored = whole(1000, protected, correction="paper")
    words, scale = stored.encode(weights, FAULT)
    assert scale == weights.abs().max()
    assert torch.equal(words, Format().encode((relative / 0.8).clamp(-1, 1)))
    assert (relative.abs() > 0.8).any()


def test_the_factor_of_the_paper_with_the_step_recomputed() -> None:
    """The scale grows by the same factor, so nothing is clipped and the words are those of the uncorrected tensor."""
    weights = gaussian(1000)
    words, scale = whole(1000, correction="paper", step="recompute").encode(weights, FAULT)
    assert float(scale) == pytest.approx(float(weights.abs().max()) / 0.8, rel=EXACT_MATHS)
    assert torch.equal(words, whole(1000).encode(weights, FAULT)[0])


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_exact_correction_without_protection_is_that_of_the_paper(bits: int, p: float) -> None:
    """For k = 0 and the half-step grid the two agree: words, scales, and clipping, with either step."""
    for step in STEPS:
        weights = gaussian(2000)
        paper, exact = (
            whole(2000, bits=bits, correction=correction, step=step).encode(weights, Uniform(p))
            for correction in ("paper", "exact")
        )
        assert torch.equal(paper[0], exact[0])
        assert float(paper[1]) == pytest.approx(float(exact[1]), rel=EXACT_MATHS)


@pytest.mark.parametrize("protected", range(9))
@pytest.mark.parametrize("p", [0.01, 0.05, 0.1, 0.3])
def test_the_exact_correction_stores_the_nearest_expected_value(p: float, protected: int) -> None:
    """By enumeration: no label is expected to be read nearer to any weight, for all depths and both steps."""
    weights = gaussian(3000)
    rates = protected_rates(p, 8, protected)
    mean = enumerated_moments(Format().readout(), rates, rates)[0]
    for step in STEPS:
        stored = whole(3000, protected, correction="exact", step=step)
        words, scale = stored.encode(weights, Uniform(p))
        bias = stored.read_mean(words, scale, Uniform(p)) - weights
        relative = (weights / scale).numpy()
        least = np.abs(mean[np.newaxis] - relative[:, np.newaxis]).min(axis=1)
        np.testing.assert_allclose((bias / scale).abs().numpy(), least, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("protected", range(9))
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_keeping_the_step_leaves_the_variance_untouched(correction: str, protected: int) -> None:
    """The variance of offset binary does not depend on the word, and the scale stays: only the mean moves."""
    weights = gaussian(500)
    stored = whole(500, protected, correction=correction, step="keep")
    words, scale = stored.encode(weights, FAULT)
    plain_words, plain_scale = whole(500, protected).encode(weights, FAULT)
    assert scale == plain_scale
    variance, plain_variance = (read_variance(stored, chosen, FAULT) for chosen in (words, plain_words))
    np.testing.assert_allclose(variance, plain_variance, rtol=EXACT_MATHS)


def test_recomputing_the_step_amplifies_the_variance() -> None:
    """By 1/(1-2p)^2 for k = 0: the amplification that the paper reports belongs to the step, not to the correction."""
    weights = gaussian(500)
    kept, recomputed = (
        whole(500, correction="exact", step=step).encode(weights, FAULT)[1].square() for step in ("keep", "recompute")
    )
    assert float(recomputed / kept) == pytest.approx(1 / 0.8**2, rel=EXACT_MATHS)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3])
def test_recomputing_the_step_without_protection(p: float) -> None:
    """The scale is max/(1-2p), and every weight is met within half a contracted step: nothing is clipped."""
    weights = gaussian(1000)
    stored = whole(1000, correction="exact", step="recompute")
    words, scale = stored.encode(weights, Uniform(p))
    assert float(scale) == pytest.approx(float(weights.abs().max()) / (1 - 2 * p), rel=EXACT_MATHS)
    bias = stored.read_mean(words, scale, Uniform(p)) - weights
    assert bias.abs().max() <= (1 - 2 * p) * scale / 255 * (1 + EXACT_MATHS)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("protected", range(9))
def test_recomputing_the_step_reaches_the_largest_weights(protected: int, encoding: str, grid: str) -> None:
    """Some label is expected to be read as far out as the weights go, at both ends, and just so at one of them."""
    weights = gaussian(500)
    fields = {"encoding": encoding, "grid": grid, "correction": "exact", "step": "recompute"}
    stored = whole(500, protected, **fields)
    scale = stored.scale_of(weights, FAULT)
    mean = stored.sections[0].format.read_mean(FAULT) * float(scale)
    slack = np.array([float(weights.min()) - mean.min(), mean.max() - float(weights.max())])
    assert slack.min() == pytest.approx(0.0, abs=EXACT_MATHS)
    assert slack.max() >= 0


def test_recomputing_the_step_serves_the_shallowest_section() -> None:
    """Two depths share one scale: the one that the less protected section needs."""
    weights = gaussian(100)
    depths = [Section(50, Format().protect(3)), Section(50, Format())]
    stored = TensorFormat(tuple(depths), Largest("recompute"), correction="exact")
    expected = whole(100, correction="exact", step="recompute").scale_of(weights, FAULT)
    assert torch.equal(stored.scale_of(weights, FAULT), expected)


def test_recomputing_the_step_row_by_row() -> None:
    """Each row has the scale that it would have alone."""
    weights = gaussian(4, 25) * torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1)
    fields = {"correction": "exact", "step": "recompute"}
    scale = whole(100, 1, granularity="row", **fields).scale_of(weights, FAULT)
    assert scale.reshape(-1).tolist() == [float(whole(25, 1, **fields).scale_of(row, FAULT)) for row in weights]


# The table of theory.md 1.4

TABLE = {
    # (correction, what): k = 0, 1, 2, 3, 4
    ("none", "bias"): (0.0506, 0.0672, 0.0290, 0.0147, 0.0076),
    ("paper", "bias"): (0.0043, 0.1004, 0.0689, 0.0646, 0.0633),
    ("exact", "bias"): (0.0043, 0.0338, 0.0144, 0.0080, 0.0049),
    ("none", "error"): (0.351, 0.186, 0.0916, 0.0459, 0.0230),
    ("paper", "error"): (0.348, 0.201, 0.1109, 0.0779, 0.0669),
    ("exact", "error"): (0.348, 0.177, 0.0881, 0.0442, 0.0222),
}
DRAWS = 12


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, str], np.ndarray]:
    """RMS bias and RMS error of 16384 Gaussian weights in units of the largest, by draw and protected bits."""
    table = {key: np.zeros((DRAWS, 5)) for key in TABLE}
    for draw in range(DRAWS):
        weights = gaussian(16384, seed=draw)
        for correction in ("none", "paper", "exact"):
            for protected in range(5):
                stored = whole(16384, protected, correction=correction)
                words, scale = stored.encode(weights, FAULT)
                bias = (stored.read_mean(words, scale, FAULT) - weights) / scale
                variance = read_variance(stored, words, FAULT)
                table[correction, "bias"][draw, protected] = bias.square().mean().sqrt()
                table[correction, "error"][draw, protected] = (bias.square() + variance).mean().sqrt()
    return table


@pytest.mark.parametrize("key", TABLE, ids="-".join)
def test_table_of_bias_and_error(key: tuple[str, str], measured: dict[tuple[str, str], np.ndarray]) -> None:
    """RMS bias and RMSE without, with the paper's and with the exact correction are those of theory.md 1.4.

    The table is one draw of the weights, whose largest one sets the unit. So it is compared with the mean of twelve
    draws, and may differ by four standard deviations of one draw and by half of its last digit.
    """
    last_digit = np.where(np.array(TABLE[key]) > 0.15, 0.001, 0.0001)
    spread = measured[key].std(axis=0, ddof=1)
    assert (np.abs(measured[key].mean(axis=0) - TABLE[key]) <= 4 * spread + last_digit / 2).all()


def test_order_of_the_corrections(measured: dict[tuple[str, str], np.ndarray]) -> None:
    """In every draw: exact is never worse than either; the paper's factor helps for k = 0 and harms for k >= 1."""
    for what in ("bias", "error"):
        none, paper, exact = (measured[correction, what] for correction in ("none", "paper", "exact"))
        assert (exact <= np.minimum(none, paper) * (1 + EXACT_MATHS)).all()
        assert (paper[:, 0] < none[:, 0]).all()
        assert (paper[:, 1:] > none[:, 1:]).all()


def test_one_protected_bit_draws_weights_away_from_zero(measured: dict[tuple[str, str], np.ndarray]) -> None:
    """The trap of theory.md 1.4: without correction the bias at k = 1 exceeds that at k = 0."""
    assert (measured["none", "bias"][:, 1] > measured["none", "bias"][:, 0]).all()


# What is refused


def test_the_factor_of_the_paper_needs_one_probability() -> None:
    """Rates that differ have no 1/(1-2p); equal ones given one by one have."""
    stored = whole(4, bits=2, correction="paper")
    message = r"correction='paper' needs one flip probability.*correction='exact' takes any fault model"
    with pytest.raises(ArgumentError, match=message):
        stored.encode(gaussian(4), PerBit((0.1, 0.2)))
    words, _ = stored.encode(gaussian(4), PerBit((0.1, 0.1)))
    assert torch.equal(words, stored.encode(gaussian(4), Uniform(0.1))[0])


@pytest.mark.parametrize("shape", [(9,), (11,), (2, 6), ()])
def test_another_number_of_weights_is_refused(shape: tuple[int, ...]) -> None:
    """The sections say how many weights the tensor has."""
    with pytest.raises(ArgumentError, match=r"weights must have 10 elements, got shape"):
        whole(10).encode(torch.zeros(shape), FAULT)


def test_sections_without_weights_are_refused() -> None:
    """There is at least one section, and at least one weight in each."""
    for sections in ((), (Section(0, Format()),), (Section(3, Format()), Section(-1, Format()))):
        with pytest.raises(ArgumentError, match="sections must hold at least one weight each"):
            TensorFormat(sections)


def test_unknown_names_are_refused() -> None:
    """The message lists those that exist."""
    with pytest.raises(ArgumentError, match="granularity must be one of 'tensor', 'row', got 'column'"):
        whole(3, granularity="column")
    with pytest.raises(ArgumentError, match=r"correction must be one of 'none', .* got 'best'"):
        whole(3, correction="best")
    with pytest.raises(ArgumentError, match="step must be one of 'keep', 'recompute', got 'change'"):
        whole(3, step="change")


# Fitted levels

FITTED = {
    bits: Format(TableLevels(tuple(values)), (Raw(),) * (bits - 1) + (Repetition(3),) * min(bits, 1))
    for bits, values in {0: (0.1,), 1: (0.8, -0.7), 3: tuple(np.linspace(-2, 2, 8).tolist())}.items()
}


def mixed(granularity: str = "tensor", readout_gain: float = 1.0) -> TensorFormat:
    """Sections of three, no, one and three bits over 40 weights."""
    sections = tuple(Section(10, FITTED[bits]) for bits in (3, 0, 1, 3))
    return TensorFormat(sections, RootMeanSquare(), granularity, "least_error", readout_gain)


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_the_scale_of_fitted_levels_is_the_root_mean_square(granularity: str) -> None:
    """Of the tensor or of each row, in 16 bits; levels beyond the largest weight are as good as others."""
    weights = gaussian(4, 10) * torch.arange(1, 5)[:, None]
    _, scale = mixed(granularity).encode(weights, FAULT)
    expected = weights.square().mean().sqrt() if granularity == "tensor" else weights.square().mean(1, True).sqrt()
    assert scale.shape == expected.shape
    assert torch.equal(scale, expected.bfloat16().double())


@pytest.mark.parametrize("readout_gain", [1.0, 1.5])
@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_sections_of_different_bits_keep_to_their_formats(granularity: str, readout_gain: float) -> None:
    """Words, decoded values, exact means and the summed variance of each section are those of its format alone."""
    weights = gaussian(4, 10)
    stored = mixed(granularity, readout_gain)
    words, scale = stored.encode(weights, FAULT)
    relative = (weights / scale).reshape(-1)
    unit = (scale * readout_gain).expand(4, 10).reshape(-1)
    variance = 0.0
    for row, bits in enumerate((3, 0, 1, 3)):
        fmt, here = FITTED[bits], slice(10 * row, 10 * row + 10)
        own = fmt.encode(relative[here], rule="least_error", expecting=FAULT)
        assert torch.equal(words.reshape(-1)[here], own)
        assert torch.equal(stored.decode(words, scale).reshape(-1)[here], fmt.decode(own) * unit[here])
        means = torch.from_numpy(fmt.read_mean(FAULT).copy())[own.long()] * unit[here]
        assert torch.allclose(stored.read_mean(words, scale, FAULT).reshape(-1)[here], means, rtol=1e-14)
        variance += float((torch.from_numpy(fmt.read_variance(FAULT).copy())[own.long()] * unit[here] ** 2).sum())
    assert stored.summed_variance(words, scale, FAULT) == pytest.approx(variance, rel=EXACT_MATHS)
    assert stored.bits == 3
    assert stored.cells == 10 * (5 + 0 + 3 + 5)
    # Scales, number of sections, the gain, length (of all but the last, in 32 bits) and format of each section, and
    # tables: two sections share an even one, of two numbers.
    assert stored.side_values((4, 10)) == (4 if granularity == "row" else 1) + 1 + 2 + 3 * 4 - 2 + 2 + 1 + 2


@pytest.mark.slow
def test_what_is_read_of_fitted_levels_has_the_stated_moments() -> None:
    """Over 4000 reads the mean of each weight is within 5 standard errors, the summed variance within 5 per cent."""
    stored, weights = mixed("row", 1.2), gaussian(4, 10)
    words, scale = stored.encode(weights, FAULT)
    reads = torch.stack([stored.read(words, scale, FAULT, seed=seed, place="w") for seed in range(4000)])
    error = reads.mean(0) - stored.read_mean(words, scale, FAULT)
    assert (error.abs() <= 5 * reads.std(0) / 4000**0.5 + ROUNDING).all()
    assert float(reads.var(0).sum()) == pytest.approx(stored.summed_variance(words, scale, FAULT), rel=0.05)


def test_sections_of_one_format_do_not_share_errors() -> None:
    """The two sections of three bits hold the same words, and are read with errors of their own."""
    stored = mixed()
    weights = torch.cat([torch.ones(10), gaussian(20), torch.ones(10)])
    words, scale = stored.encode(weights, FAULT)
    read = stored.read(words, scale, FAULT, seed=0)
    assert torch.equal(words[:10], words[30:])
    assert not torch.equal(read[:10], read[30:])


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_weights_of_zero_are_stored_as_fitted_levels_too(granularity: str) -> None:
    """The scale is zero, and so is all that is read."""
    stored = mixed(granularity)
    words, scale = stored.encode(torch.zeros(4, 10), FAULT)
    assert not stored.read(words, scale, FAULT, seed=0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"granularity": 1}, "granularity must be 'tensor', 'row' or the weights of a group, at least 2, got 1"),
        ({"readout_gain": 0.0}, "readout_gain must be above 0, got 0"),
        ({"readout_gain": float("nan")}, "readout_gain must be finite, got nan"),
    ],
)
def test_fitted_levels_that_do_not_go_together_are_refused(change: dict[str, object], message: str) -> None:
    """Each names what is wrong."""
    with pytest.raises(ArgumentError, match=message):
        replace(mixed(), **change)


def test_formats_of_one_tensor_share_its_place():
    """A tensor has one rate under faults that differ from tensor to tensor, however many formats it is cut into."""
    pair = [Section(2000, Format(TableLevels((-1.0, 1.0)))), Section(2000, Format(TableLevels((1.0, -1.0))))]
    stored = TensorFormat(tuple(pair))
    words = torch.zeros(4000, dtype=torch.uint8)
    clean = stored.decode(words, torch.tensor(1.0))
    rates = []
    for seed in range(40):
        read = stored.read(words, torch.tensor(1.0), TensorVariation(0.1, 1.0), seed=seed, place="weight")
        rates.append([float((read != clean)[half].double().mean()) for half in (slice(2000), slice(2000, None))])
    assert np.corrcoef(np.array(rates).T)[0, 1] > 0.9


def test_words_beyond_their_section_are_seen():
    """Each section has its own labels."""
    stored = TensorFormat((Section(1, Format(TableLevels((0.0,)))), Section(1, Format(TableLevels((-1.0, 1.0))))))
    assert stored.holds(torch.tensor([0, 1], dtype=torch.uint8))
    assert not stored.holds(torch.tensor([1, 0], dtype=torch.uint8))


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_the_bias_is_the_mean_less_the_weights(granularity):
    """Also into a tensor of another dtype, rounded once, however small the difference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = torch.randn(5, 7)
    stored = TensorFormat(
        (Section(20, Format(EvenLevels(16))), Section(15, Format(EvenLevels(16)).protect(3))), granularity=granularity
    )
    words, scale = stored.encode(weights, Uniform(1e-9))
    expected = stored.read_mean(words, scale, Uniform(1e-9)) - weights.double()
    assert torch.equal(stored.read_bias(words, scale, weights, Uniform(1e-9)), expected)
    out = torch.empty(5, 7)
    assert stored.read_bias(words, scale, weights, Uniform(1e-9), out=out) is out
    assert torch.equal(out, expected.float())
