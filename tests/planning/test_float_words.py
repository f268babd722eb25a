"""Networks whose numbers are stored as they are, in float words: from the plan to the disk and back."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError, ModelError
from qtaml.export import write_state_dict
from qtaml.faults import Uniform
from qtaml.formats import NAMED_TABLES, Fixed, Format, NamedLevels, Section, TensorFormat
from qtaml.planning import Tac, UniformMsp
from qtaml.sensitivity import output_deviations
from qtaml.theory import float_error_moments
from tests.within import within

DTYPES = {
    "bf16": (torch.bfloat16, torch.uint16),
    "fp16": (torch.float16, torch.uint16),
    "fp8_e4m3": (torch.float8_e4m3fn, torch.uint8),
    "fp8_e5m2": (torch.float8_e5m2, torch.uint8),
}


@pytest.fixture
def model() -> nn.Module:
    """A small network with some weights of 0."""
    network = nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 4))
    with torch.no_grad():
        network[0].weight[:, ::5] = 0.0
    return network.requires_grad_(False)


def inputs() -> torch.Tensor:
    """Samples of its inputs."""
    return torch.randn(64, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", DTYPES)
def test_words_are_the_bits_of_the_numbers(model, name):
    """Of a network in that dtype nothing is lost, and no cell is added; zeros are stored with both signs in turn."""
    floating, whole = DTYPES[name]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(floating))
    plan = qtaml.uniform_msp(model, p=0.01, protected_bits=0, levels=name, scale="none")
    assert plan.cells == 1.0
    memory = qtaml.store(model, plan)
    weight, words = model[0].weight, memory.tensors["0.weight"].words
    entry = plan.tensors[0].storage
    assert torch.equal(entry.decode(words, memory.tensors["0.weight"].scale).float(), weight)
    zero = weight == 0
    assert torch.equal(words[~zero].int(), weight.to(floating).view(whole)[~zero].int())
    top = 1 << NamedLevels(name).bits - 1
    assert words[zero].unique().tolist() == [0, top]


@pytest.mark.parametrize("nonfinite", ["clamp", "zero", "keep"])
@pytest.mark.parametrize("name", ["bf16", "fp8_e4m3"])
def test_a_network_goes_all_the_way(model, name, nonfinite, tmp_path):
    """Stored, read, measured, saved, loaded and exported; infinity and NaN are read where they are kept."""
    plan = qtaml.uniform_msp(model, p=0.3, protected_bits=1, levels=name, scale="none", nonfinite=nonfinite)
    memory = qtaml.store(model, plan)
    memory.save(tmp_path / "stored")
    again = qtaml.load(tmp_path / "stored", model)
    assert again.plan == plan
    read = dict(memory.read(seed=5))
    assert all(read[name].equal(tensor) or nonfinite == "keep" for name, tensor in again.read(seed=5))
    write_state_dict(again, tmp_path / "model.safetensors", seed=5)
    exported = safetensors.torch.load_file(tmp_path / "model.safetensors")["0.weight"]
    np.testing.assert_array_equal(exported.numpy(), read["0.weight"].numpy())
    assert exported.isfinite().all() != (nonfinite == "keep")
    accuracy = qtaml.measuring.Agreement(model, inputs())
    assert 0 <= qtaml.evaluate(memory, accuracy, trials=3).mean <= 1


@pytest.mark.slow
def test_reads_have_the_law_of_their_words(model):
    """Squared errors of 400 reads of all weights, below a protected exponent: within five standard errors."""
    plan = qtaml.uniform_msp(model, p=0.05, protected_bits=9, levels="bf16", scale="none")
    memory = qtaml.store(model, plan)
    stored, words = model[0].weight.bfloat16().float(), memory.tensors["0.weight"].words.numpy().astype(np.int64)
    squares = [float((dict(memory.read(seed=seed))["0.weight"] - stored).square().sum()) for seed in range(400)]
    rates = [0.05] * 7 + [0.0] * 9
    expected = float_error_moments(words, "bf16", p01=rates, p10=rates).mean_square.sum()
    assert abs(np.mean(squares) - expected) < 5 * np.std(squares) / 20
    fault = Uniform(0.05)
    storage = plan.tensors[0].storage
    spread = storage.summed_variance(memory.tensors["0.weight"].words, memory.tensors["0.weight"].scale, fault)
    assert spread <= expected * (1 + 1e-9)


def test_compensate_protects_the_exponents_of_numbers_as_they_are(model):
    """What errs most is protected first; what it predicts is measured."""
    plan = qtaml.compensate(model, inputs(), p=0.001, overhead=0.8, levels="fp8_e5m2", scale="none", correction="none")
    assert all(entry.storage.scale == Fixed(57344.0) for entry in plan.tensors)
    assert all(section.format.protected_bits >= 5 for entry in plan.tensors for section in entry.storage.sections)
    result = qtaml.evaluate(qtaml.store(model, plan), qtaml.measuring.OutputError(model, inputs()), trials=20)
    assert result.reads_low <= 1.5 * plan.predicted_error
    with pytest.raises(ArgumentError, match="levels must read infinity and NaN as numbers to have moments"):
        qtaml.compensate(model, inputs(), p=0.1, overhead=0.1, levels="fp8_e5m2", scale="none", nonfinite="keep")
    with pytest.raises(ModelError, match="float words are read as very large numbers where their exponents fail"):
        output_deviations(model, inputs(), [{"2.weight": torch.full((4, 32), 3e38)}])


def test_long_words_need_no_matrix():
    """A million weights in BF16 are encoded and read in tables of 65,536 numbers."""
    weights = 0.05 * torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    storage = TensorFormat((Section(1_000_000, Format(NamedLevels("bf16"))),), Fixed(NAMED_TABLES["bf16"].largest))
    storage.encode(weights[:1].expand(1_000_000).contiguous(), Uniform(0.01))  # compiled, and decided
    with within(seconds=1.0, megabytes=60.0):
        words, scale = storage.encode(weights, Uniform(0.01))
        read = storage.decode(words, scale, out=torch.empty_like(weights))
    near = weights.bfloat16().float()
    assert float(((read - weights).abs() > (near - weights).abs()).float().mean()) == 0.0


@pytest.mark.parametrize("record", [UniformMsp, Tac])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"scale": "none"}, "scale must be 'largest' but for grid='integer' or levels such as 'bf16'"),
        ({"nonfinite": "zero"}, "nonfinite must come with levels of floats such as 'bf16'"),
        ({"levels": "bf16", "nonfinite": "NaN"}, "nonfinite must be one of 'clamp', 'zero', 'keep', got 'NaN'"),
        ({"levels": "bf16", "scale": "one"}, "scale must be one of 'largest', 'none', got 'one'"),
        ({"levels": "nf4", "nonfinite": "zero"}, "nonfinite must be 'clamp' for nf4, which has no NaN, got 'zero'"),
        ({"levels": "e8m0"}, "levels must be one of 'int4'.* got 'e8m0'"),
    ],
)
def test_settings_that_do_not_go_together(record, asked, message):
    """Before anything is computed."""
    needed = {"protected_bits": 0} if record is UniformMsp else {"overhead": 0.1}
    with pytest.raises(ArgumentError, match=message):
        record(p=0.1, **needed, **asked)


@pytest.mark.parametrize("encoding", ["twos_complement", "offset_binary"])
def test_codes_are_kept(model, encoding):
    """Whole numbers of 8 bits are the words, in units of one, without any side value; others are refused."""
    asked = {"p": 0.1, "protected_bits": 0, "grid": "integer", "encoding": encoding, "scale": "none"}
    with pytest.raises(ArgumentError, match=r"no whole numbers, got 'none', and '0.weight'; exclude it"):
        qtaml.uniform_msp(model, **asked)
    for place in (0, 2):
        model[place].weight.copy_(torch.randint(-128, 128, model[place].weight.shape))
    plan = qtaml.uniform_msp(model, **asked)
    assert plan.cells == 1.0
    codes = model[0].weight.int() if encoding == "twos_complement" else model[0].weight.int() + 128
    assert torch.equal(qtaml.store(model, plan).tensors["0.weight"].words, codes.to(torch.uint8))
    model[0].weight[0, 0] = 128.0
    with pytest.raises(ArgumentError, match=r"beyond integers of 8 bits, from -128 to 127; got .* 128 in '0.weight'"):
        qtaml.uniform_msp(model, **asked)


def test_no_step_is_recomputed_for_numbers_as_they_are():
    """It would be ignored."""
    with pytest.raises(ArgumentError, match="step must be 'keep' for scale='none'"):
        Tac(p=0.1, overhead=0.1, levels="bf16", scale="none", step="recompute")


def test_numbers_beyond_the_format_are_refused(model):
    """They would be clipped without a word."""
    model[0].weight[0, 0] = 500.0
    with pytest.raises(
        ArgumentError, match=r"beyond fp8_e4m3, from -448 to 448; got scale='none', and 500 in '0.weight'"
    ):
        qtaml.uniform_msp(model, p=0.1, protected_bits=0, levels="fp8_e4m3", scale="none")
    with pytest.raises(ArgumentError, match="granularity must be 'tensor' for a fixed scale"):
        qtaml.uniform_msp(model, p=0.1, protected_bits=0, levels="bf16", scale="none", granularity="row")
