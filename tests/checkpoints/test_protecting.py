"""Checkpoints stored with their words as they are: budgets, predicted and measured errors, and the file as read."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qtaml.checkpoints import (
    CheckpointPlan,
    ReadCheckpoint,
    open_checkpoint,
    protect,
    read_errors,
    requantised,
)
from qtaml.errors import ArgumentError, BudgetError, ModelError, StoredFileError
from qtaml.faults import Asymmetric, Ramp

VOTES, IDEAL = ("none", "majority"), ("none", "ideal")


@pytest.fixture(scope="module")
def checkpoint(gguf_file):
    """Of four types."""
    return open_checkpoint(gguf_file)


@pytest.fixture(scope="module")
def plan(checkpoint):
    """With the ideal code alone: no rare error of a scale, which few reads meet, is a part of what is expected."""
    return protect(checkpoint, p=0.05, cells=1.2, decoders=IDEAL, weights=10**6)


@pytest.mark.slow
def test_the_measured_error_is_the_predicted_one(checkpoint, plan):
    """All weights looked at and 40 reads: within the interval of the reads, which is narrow."""
    measured = read_errors(checkpoint, plan, reads=40)
    assert plan.standard_error == 0
    assert measured.error.low <= plan.error <= measured.error.high
    assert measured.error.high - measured.error.low < 0.1 * plan.error


@pytest.mark.slow
def test_a_sample_of_the_weights_predicts_what_all_do(checkpoint, plan):
    """The error of nearly the same plan, from a tenth of the weights."""
    sampled = protect(checkpoint, p=0.05, cells=1.2, decoders=IDEAL, weights=1000)
    assert 0 < sampled.standard_error < 0.1 * plan.error
    assert abs(sampled.error - plan.error) < 3 * sampled.standard_error


@pytest.mark.slow
def test_the_budget_is_kept_and_more_of_it_leaves_less_error(checkpoint, plan):
    """Cells are those of the whole blocks that are stored."""
    less = protect(checkpoint, p=0.05, cells=0.8, decoders=IDEAL)
    assert less.cells <= 0.8 < plan.cells <= plan.budget == 1.2
    assert less.error > plan.error


def _tiny(tmp_path, values=(1.0, -0.5, 0.75, 0.25) * 80):
    weights = torch.tensor(values).to(torch.float8_e4m3fn)
    save_file({"w": weights}, tmp_path / "tiny.safetensors")
    return open_checkpoint(tmp_path / "tiny.safetensors")


@pytest.mark.slow
def test_bits_that_are_all_alike_are_left_out(tmp_path):
    """The top of the exponent of weights below 2 is 0 in all words; no cell is spent on it, and nothing is lost."""
    checkpoint = _tiny(tmp_path)
    plan = protect(checkpoint, p=0.05, cells=1.0)
    assert plan.tensors[0].fields[0].bits[6].value == 0
    read = ReadCheckpoint(checkpoint, plan, seed=0).values("w")
    assert np.abs(read).max() < 2


@pytest.mark.slow
def test_a_bit_that_only_other_words_have_is_not_left_out(tmp_path):
    """One weight of 4 among 200,000 below 2, which no sample meets."""
    weights = torch.rand(200_000, generator=torch.Generator().manual_seed(0)) + 0.5
    weights[123_456] = 4.0
    save_file({"w": weights.to(torch.bfloat16)}, tmp_path / "m.safetensors")
    plan = protect(open_checkpoint(tmp_path / "m.safetensors"), p=0.01, cells=1.2, weights=100)
    (field,) = plan.tensors[0].fields
    assert field.bits[14].kind != "left_out" or field.bits[14].value == 1
    assert field.range is None or field.range.high == 129


def test_the_file_as_read_has_the_words_read_and_all_else_as_it_was(checkpoint, plan, tmp_path):
    """The same format, header and size; the same seed gives the same file."""
    read = ReadCheckpoint(checkpoint, plan, seed=7)
    read.save(tmp_path / "read.gguf")
    ReadCheckpoint(checkpoint, plan, seed=7).save(tmp_path / "again.gguf")
    assert (tmp_path / "read.gguf").read_bytes() == (tmp_path / "again.gguf").read_bytes()
    old, new = checkpoint.source.path.read_bytes(), (tmp_path / "read.gguf").read_bytes()
    start = min(tensor.parts[0].offset for tensor in checkpoint.values())
    assert len(old) == len(new)
    assert old[:start] == new[:start]
    again = open_checkpoint(tmp_path / "read.gguf")
    for name, tensor in again.items():
        assert np.array_equal(tensor.values(), read.values(name))
        assert not np.array_equal(tensor.values(), checkpoint[name].values())


@pytest.mark.slow
def test_a_safetensors_file_as_read_opens_by_its_own_library(float_file, tmp_path):
    """Whole numbers stay, floats are as read, and no word is infinite that was finite."""
    checkpoint = open_checkpoint(float_file)
    plan = protect(checkpoint, p=0.05, cells=1.0, decoders=VOTES)
    ReadCheckpoint(checkpoint, plan, seed=1).save(tmp_path / "read.safetensors")
    old, new = load_file(float_file), load_file(tmp_path / "read.safetensors")
    assert torch.equal(old["positions"], new["positions"])
    assert all(torch.isfinite(value.float()).all() for value in new.values())
    assert not torch.equal(old["bf16"], new["bf16"])


def test_plans_survive_json(plan):
    """Equal, protections and all."""
    assert CheckpointPlan.from_json(plan.to_json()) == plan


@pytest.mark.slow
def test_gains_say_which_tensor_matters(checkpoint, plan):
    """The error of one tensor falls when it alone counts, to that of a plan which spends all on it."""
    only = {name: float(name == "a.weight") for name in checkpoint}
    chosen = protect(checkpoint, p=0.05, cells=1.2, decoders=IDEAL, gains=only, weights=10**6)
    assert chosen.tensors[0].importance == 1
    assert chosen.tensors[0].error < plan.tensors[0].error


@pytest.mark.slow
def test_asymmetric_errors_spare_the_value_that_is_never_lost(tmp_path):
    """Where zeros are never read as ones, a plane of zeros needs no protection."""
    plan = protect(_tiny(tmp_path), fault=Asymmetric(0.0, 0.1), cells=1.0, decoders=VOTES)
    assert plan.error < protect(_tiny(tmp_path), p=0.1, cells=1.0, decoders=VOTES).error


@pytest.mark.slow
def test_requantising_is_shown_beside(checkpoint, plan):
    """What has less error in the same cells needs fewer cells for the same error."""
    anew = requantised(checkpoint, plan, decoders=IDEAL)
    assert anew.cells == pytest.approx(plan.cells, rel=1e-3)
    assert (anew.error < plan.error) == (anew.cells_for_same_error < plan.cells)
    assert "relative error" in str(anew)


def test_what_cannot_be_planned_is_refused(checkpoint, plan, tmp_path, float_file):
    """Each error names the argument, or the tensor."""
    with pytest.raises(BudgetError, match=r"cells must be at least 0\.\d+, got 1e-05"):
        protect(checkpoint, p=0.01, cells=1e-5, decoders=VOTES)
    with pytest.raises(ArgumentError, match=r"fault must be Uniform or Asymmetric for a checkpoint, got Ramp"):
        protect(checkpoint, fault=Ramp(0.01, 2.0), cells=1.0)
    with pytest.raises(ArgumentError, match="rule must be 'clamp' or 'zero' for a plan"):
        protect(checkpoint, p=0.01, cells=1.0, rule="keep")
    with pytest.raises(ArgumentError, match=r"gains must have 'a\.weight', got 'other'"):
        protect(checkpoint, p=0.01, cells=1.0, gains={"other": 1.0})
    with pytest.raises(ArgumentError, match="gains must leave a tensor whose errors count"):
        protect(checkpoint, p=0.01, cells=1.0, gains=dict.fromkeys(checkpoint, 0.0))
    with pytest.raises(StoredFileError, match="the plan is for another checkpoint"):
        ReadCheckpoint(open_checkpoint(float_file), plan, seed=0)
    save_file({"w": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.safetensors")
    with pytest.raises(ModelError, match="w holds weights that are no finite numbers"):
        protect(open_checkpoint(tmp_path / "nan.safetensors"), p=0.01, cells=1.0)
    save_file({"i": torch.arange(3)}, tmp_path / "whole.safetensors")
    with pytest.raises(ModelError, match="holds no weights that are read"):
        protect(open_checkpoint(tmp_path / "whole.safetensors"), p=0.01, cells=1.0)


@pytest.mark.slow
def test_zeros_stay_zeros(tmp_path):
    """A bias that was never trained: its bits, all alike, are not left to the memory."""
    save_file({"bias": torch.zeros(40).half(), "w": torch.linspace(-1, 1, 64).half()}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    plan = protect(checkpoint, p=0.1, cells=2.0, decoders=VOTES)
    assert not ReadCheckpoint(checkpoint, plan, seed=0).values("bias").any()


def test_a_tensor_of_which_only_zeros_were_seen_is_refused(tmp_path):
    """Its few other weights would be planned as if they were none."""
    weights = torch.zeros(200_000)
    weights[123_456] = 1.0
    save_file({"w": weights.half()}, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="weights must be more than 100 for w: all that were looked at are 0"):
        protect(open_checkpoint(tmp_path / "m.safetensors"), p=0.01, cells=1.2, weights=100)


@pytest.mark.slow
def test_the_range_of_exponents_saves_float_words(tmp_path):
    """BF16 with weights of 2 and more: a flip at the top of the exponent makes 1e38, which no weight of the file is."""
    weights = torch.randn(4000, generator=torch.Generator().manual_seed(0)).bfloat16()
    save_file({"w": weights}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    plan = protect(checkpoint, p=0.01, cells=1.1, decoders=VOTES)
    assert plan.tensors[0].fields[0].range.high == 129
    assert plan.bound < plan.error < 0.01
    measured = read_errors(checkpoint, plan, reads=20)
    assert measured.error.low < plan.error < measured.error.high
    assert np.abs(ReadCheckpoint(checkpoint, plan, seed=3).values("w")).max() < 8
    assert ", range" in str(plan)
    assert CheckpointPlan.from_json(plan.to_json()) == plan


@pytest.mark.slow
def test_a_plan_of_large_errors_says_so(tmp_path):
    """A fifth of the cells, and a tenth of them wrong."""
    plan = protect(_tiny(tmp_path), p=0.1, cells=0.2, decoders=VOTES)
    assert plan.error > 0.1
    assert "errors are a large part of the weights: quantise anew" in str(plan)
