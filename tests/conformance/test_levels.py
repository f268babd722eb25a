"""Every kind of levels, scale and granularity: one set of laws, and the whole way through the public door."""

import itertools

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import qtaml
from qtaml._files import from_json, to_json
from qtaml.export import write_state_dict
from qtaml.faults import Asymmetric, FaultModel, Uniform
from qtaml.formats import (
    ENCODINGS,
    GRIDS,
    NAMED_TABLES,
    WEIGHT_TABLES,
    BitLevels,
    EvenLevels,
    Fixed,
    Format,
    Granularity,
    Largest,
    NamedLevels,
    RootMeanSquare,
    Scale,
    Section,
    TableLevels,
    TensorFormat,
)
from qtaml.theory import ErrorLaw
from tests.reference.enumeration import enumerated_transitions
from tests.tolerances import EXACT_MATHS, ROUNDING

# Of 16 bits no matrix is made: `test_float_law.py` has their law.
SHORT = [name for name in NAMED_TABLES if NamedLevels(name).bits <= 8]
NAMED = [*map(NamedLevels, SHORT), NamedLevels("fp8_e5m2", "zero")]
NAMED_WEIGHTS = [NamedLevels(name) for name in SHORT if name in WEIGHT_TABLES]
LEVELS: list[BitLevels] = [
    *(EvenLevels(4, encoding, grid) for encoding, grid in itertools.product(ENCODINGS, GRIDS)),
    TableLevels((0.3, -1.2, 0.9, -0.1)),
    *NAMED,
]
FAULTS: list[FaultModel] = [Uniform(0.1), Asymmetric(0.01, 0.2)]
SCALES: list[tuple[Scale, Granularity]] = [
    *itertools.product((Largest(), RootMeanSquare()), ("tensor", "row", 8)),
    (Fixed(0.5), "tensor"),
]
WEIGHTS = torch.linspace(-1.3, 1.3, 211, dtype=torch.float64)

levels_by_name = pytest.mark.parametrize("levels", LEVELS, ids=str)
named_levels = pytest.mark.parametrize("levels", NAMED_WEIGHTS, ids=str)


def transitions(levels: BitLevels, fault: FaultModel, protected: int = 0) -> np.ndarray:
    """Probability of each word read given each stored one, over every error mask."""
    raw, bits = fault.rates(levels.bits), levels.bits - protected
    free = (0.0,) * protected
    return enumerated_transitions((*raw.p01[:bits], *free), (*raw.p10[:bits], *free))


@levels_by_name
def test_labels_that_may_be_stored_ascend(levels):
    """Each once; what a format reserves for NaN or infinity is not among them."""
    storable, values = levels.storable(), levels.readout()
    assert (np.diff(values[storable]) >= 0).all()
    reserved = NAMED_TABLES[levels.name].reserved if isinstance(levels, NamedLevels) else []
    assert sorted([*storable, *reserved]) == list(range(2**levels.bits))


@levels_by_name
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("rule", ["nearest", "expected", "least_error"])
def test_the_label_is_the_best_by_its_rule(levels, fault, rule):
    """Of all that may be stored, weight by weight; moments by enumeration of all error masks."""
    fmt, values, matrix = Format(levels), levels.readout(), transitions(levels, fault)
    mean, weights = matrix @ values, WEIGHTS.numpy()[:, np.newaxis]
    costs = {
        "nearest": np.abs(values - weights),
        "expected": np.abs(mean - weights),
        "least_error": (matrix @ values**2) - 2 * weights * mean + weights**2,
    }[rule]
    stored = fmt.encode(WEIGHTS, rule=rule, expecting=fault).long().numpy()
    assert set(stored) <= set(levels.storable())
    best = costs[:, levels.storable()].min(1)
    np.testing.assert_allclose(costs[np.arange(len(stored)), stored], best, rtol=0, atol=1e-12)


@levels_by_name
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("protected", [0, 1])
def test_the_error_law_is_the_enumeration(levels, fault, protected):
    """Mean and variance of every stored word, and its distribution, in units of the full scale."""
    rates = fault.rates(1)
    law = ErrorLaw(levels, protected=protected, p01=rates.p01[0], p10=rates.p10[0])
    unit = 2 / (15 if levels.grid == "half_step" else 16) if isinstance(levels, EvenLevels) else 1.0
    values, matrix = levels.readout() / unit, transitions(levels, fault, protected)
    words = np.arange(len(values))
    mean = matrix @ values
    np.testing.assert_allclose(law.mean(words), mean - values, rtol=0, atol=ROUNDING)
    variance = [row @ (values - centre) ** 2 for row, centre in zip(matrix, mean, strict=True)]
    np.testing.assert_allclose(law.variance(words), variance, rtol=EXACT_MATHS, atol=ROUNDING)
    errors, chances = law.pmf(0)
    assert chances.sum() == pytest.approx(1.0, rel=EXACT_MATHS)
    assert chances @ errors == pytest.approx(mean[0] - values[0], abs=ROUNDING)


@levels_by_name
@pytest.mark.parametrize(("scale", "granularity"), SCALES, ids=str)
def test_levels_scale_and_granularity_are_independent(levels, scale, granularity):
    """Any three go together: what is read without errors is the nearest level times the scale of its place."""
    weights = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 20)))
    stored = TensorFormat((Section(100, Format(levels)),), scale, granularity)
    words, scales = stored.encode(weights, Uniform(0.1))
    values = torch.from_numpy(levels.readout()[levels.storable()])
    per_weight = torch.empty_like(weights)
    for row, column in itertools.product(range(5), range(20)):
        where = {"tensor": (), "row": (row, 0)}.get(granularity, (row, column // 8))
        per_weight[row, column] = scales[where]
    nearest = values[(values - (weights / per_weight)[..., None]).abs().argmin(-1)]
    read = stored.decode(words, scales) / per_weight
    torch.testing.assert_close((read - weights / per_weight).abs(), (nearest - weights / per_weight).abs())


@levels_by_name
def test_formats_come_back_from_json_and_are_equal(levels):
    """A plan on disk names the levels, and nothing is lost."""
    stored = TensorFormat((Section(3, Format(levels)),), Largest("recompute"), 2, "exact", 1.5)
    assert from_json(TensorFormat, to_json(stored), "the text") == stored


@pytest.mark.parametrize(("name", "dtype"), [("fp8_e4m3", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)])
def test_words_of_fp8_are_those_of_torch(name, dtype):
    """Bit pattern by bit pattern; a weight is rounded to the same number."""
    table, patterns = NAMED_TABLES[name], torch.arange(256).to(torch.uint8).view(dtype).double()
    finite = patterns.isfinite()
    assert np.flatnonzero(~finite.numpy()).tolist() == table.reserved.tolist()
    largest = float(patterns[finite].max())
    np.testing.assert_array_equal(table.values[finite.numpy()], (patterns[finite] / largest).numpy())
    weights = torch.linspace(-1, 1, 999)
    fmt = Format(NamedLevels(name))
    read, torchs = fmt.decode(fmt.encode(weights.double())), (weights * largest).to(dtype).double() / largest
    # Between two numbers torch rounds to the even one, and products of float32 are rounded before.
    assert float((read - weights).abs().max()) <= float((torchs - weights).abs().max()) + 1e-7


@named_levels
@pytest.mark.parametrize("granularity", ["tensor", "row", 16])
def test_a_network_in_a_named_format_goes_all_the_way(levels, granularity, tmp_path):
    """Planned by TAC, stored, read, measured, saved, loaded and exported."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 4))
    inputs = torch.randn(64, 24)
    plan = qtaml.compensate(
        model, inputs, p=0.01, overhead=0.3 if granularity == "tensor" else 0.8, levels=levels.name,
        granularity=granularity, decision="always",
    )  # fmt: skip
    assert plan.bits == levels.bits
    assert {section.format.levels for tensor in plan.tensors for section in tensor.storage.sections} == {levels}
    assert plan.overhead <= (0.3 if granularity == "tensor" else 0.8)
    memory = qtaml.store(model, plan)
    result = qtaml.evaluate(memory, qtaml.measuring.OutputError(model, inputs), trials=30, seed=1)
    assert result.reads_low <= 2 * plan.predicted_error
    memory.save(tmp_path / "stored")
    again = qtaml.load(tmp_path / "stored", model)
    for name, tensor in dict(memory.read(seed=5)).items():
        assert torch.equal(dict(again.read(seed=5))[name], tensor)
    write_state_dict(again, tmp_path / "model.safetensors", seed=5)
    exported = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert torch.equal(exported["0.weight"], dict(memory.read(seed=5))["0.weight"])


@pytest.mark.slow
@named_levels
def test_design_takes_a_named_format_where_it_pays(levels):
    """Without errors and without other levels it is all there is; the predicted error is measured."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 4))
    inputs = torch.randn(64, 24)
    plan = qtaml.design(model, inputs, p=0.001, cells=1.2, decoders=("none", "table"), levels=(levels.name,), group=12)
    assert plan.cells <= 1.2
    without = qtaml.design(model, inputs, p=0.001, cells=1.2, decoders=("none", "table"))
    assert plan.predicted_error <= without.predicted_error * (1 + 1e-9)
