"""Gains of fields: what errors of scales do, whose weights are wrong together, beside those of codes."""

import gguf
import numpy as np
import pytest
import torch
from torch import nn

from qtaml._random import child_seed
from qtaml.checkpoints import (
    CheckpointPlan,
    ReadCheckpoint,
    field_gains,
    open_checkpoint,
    protect,
    read_errors,
)
from qtaml.checkpoints.gguf_types import gguf_type
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw
from qtaml.errors import ArgumentError
from tests.gguf_files import random_units

KIND = gguf.GGMLQuantizationType.Q8_0
VOTES = ("none", "majority")


def linear(path):
    """The network of a file of one tensor: outputs are linear in its weights, and so in each scale."""
    weight = torch.from_numpy(open_checkpoint(path)["w"].values().copy())
    model = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    model.weight.data = weight
    return model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Eight rows of two blocks of Q8_0."""
    path = tmp_path_factory.mktemp("fields") / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    weights = np.random.default_rng(0).normal(0.02, 0.02, (8, 64)).astype(np.float32)
    writer.add_tensor("w", gguf.quants.quantize(weights, KIND), raw_dtype=KIND)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    return open_checkpoint(path)


@pytest.fixture(scope="module")
def inputs():
    """All of one sign, so that errors of a scale add up in the outputs."""
    return torch.rand(20, 64, generator=torch.Generator().manual_seed(1)) + 0.5


def _only(reads, place):
    none = [one._replace(rates=((0.0, 0.0),) * len(one.rates)) for one in reads]
    return [*none[:place], reads[place], *none[place + 1 :]]


def test_errors_of_fields_count_as_they_are_told_to():
    """The sum of laws that know of no gains; and what a bit adds is the difference of two such sums."""
    unit = gguf_type("Q4_1")
    words = unit.words((random_units("Q4_1", 3, seed=2),))
    generator = np.random.default_rng(5)
    reads = [FieldReads(tuple(map(tuple, generator.uniform(0, 0.2, (one.bits, 2)).tolist()))) for one in unit.fields]
    counts = (0.5, 0.0, 2.0)
    plain, counted = TensorLaw(unit, words, "clamp"), TensorLaw(unit, words, "clamp", whole=0.25, alone=counts)

    def expected(reads):
        alone = (count * plain.error(_only(reads, place)) for place, count in enumerate(counts))
        return 0.25 * plain.error(reads) + sum(alone)

    assert counted.error(reads) == pytest.approx(expected(reads), rel=1e-12)
    harms = counted.harms(reads)
    for place, own in enumerate(reads):
        for bit in range(0, len(own.rates), 3):
            for value in (0, 1):
                rates = [list(both) for both in own.rates]
                found = []
                for rate in (0.0, 1.0):
                    rates[bit][value] = rate
                    changed = own._replace(rates=tuple(map(tuple, rates)))
                    found.append(expected([*reads[:place], changed, *reads[place + 1 :]]))
                assert found[1] - found[0] == pytest.approx(harms[place][bit, value], rel=1e-6)
        if own.rates[8:]:
            continue
        error, gains = counted.misreads(reads, place)
        width = len(own.rates)
        chances = np.ones((2**width, 2**width))
        for bit, both in enumerate(own.rates):
            stored, read = np.ogrid[: 2**width, : 2**width]
            rate = np.array(both)[stored >> bit & 1]
            chances *= np.where((stored ^ read) >> bit & 1, rate, 1 - rate)
        assert error + float((gains * chances).sum()) == pytest.approx(expected(reads), rel=1e-9)


@pytest.mark.slow
def test_the_gain_of_a_scale_is_that_of_its_derivative(checkpoint, inputs):
    """By autograd through w = scale x code, for the errors that the reads drew; and so for codes."""
    plan = protect(checkpoint, p=0.02, cells=1.4, decoders=VOTES)
    found = field_gains(checkpoint, plan, linear, inputs, reads=12)["w"]
    raw = checkpoint["w"].raw(0, 16)[0]
    scales = torch.from_numpy(raw[:, :2].copy().view(np.float16).astype(np.float64)).requires_grad_()
    codes = torch.from_numpy(raw[:, 2:].copy().view(np.int8).astype(np.float64))

    def outputs(scales):
        return inputs.double() @ (scales * codes).reshape(8, 64).T

    jacobian = torch.autograd.functional.jacobian(outputs, scales)[..., 0]
    moved = squared = 0.0
    for number in range(12):
        read = ReadCheckpoint(checkpoint, plan, child_seed(0, "gain", "w", number), ("w",), "scale")
        change = torch.from_numpy(read.values("w") - checkpoint["w"].values()).double().reshape(16, 32)
        # The error of each scale, from that of its weights.
        error = (change * codes).sum(1) / (codes**2).sum(1)
        torch.testing.assert_close(error[:, None] * codes, change, rtol=1e-4, atol=1e-9)
        moved += float(((jacobian @ error) ** 2).sum() / len(inputs))
        squared += float((change**2).sum())
    assert squared > 0
    assert found["scale"][0] == pytest.approx(moved / squared, rel=1e-4)
    # Codes are wrong one by one: to their errors the mean squared derivative by a weight.
    alone = float((inputs.double() ** 2).sum(1).mean()) / 64
    assert found["codes"][0] == pytest.approx(alone, abs=4 * found["codes"][1] + 0.1 * alone)
    assert found["scale"][0] > 5 * found["codes"][0]


@pytest.mark.slow
def test_plans_by_gains_of_fields(checkpoint):
    """Scales that count more are wrong less, and reads show what is predicted; equal gains are those of a tensor."""
    plain = protect(checkpoint, p=0.02, cells=1.15, decoders=VOTES)
    gains = {"w": {"scale": 30.0, "codes": 1.0}}
    plan = protect(checkpoint, p=0.02, cells=1.15, decoders=VOTES, gains=gains)
    (entry,) = plan.tensors
    scale, codes = entry.fields
    assert codes.alone is None
    assert plan.error == entry.importance * entry.error + scale.alone.importance * scale.alone.error
    assert scale.alone.importance == pytest.approx(29 * entry.importance)
    assert plan.bound <= plan.error * (1 + 1e-9)
    assert CheckpointPlan.from_json(plan.to_json()) == plan
    measured = read_errors(checkpoint, plan, reads=100)
    assert measured.error.low <= plan.error <= measured.error.high
    before = [ReadCheckpoint(checkpoint, plain, seed, ("w",), "scale").relative_errors()["w"] for seed in range(30)]
    assert 10 * scale.alone.error < sum(before) / len(before)
    same = protect(checkpoint, p=0.02, cells=1.15, decoders=VOTES, gains={"w": {"scale": 2.0}})
    assert same == protect(checkpoint, p=0.02, cells=1.15, decoders=VOTES, gains={"w": 2.0})


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ({"w": {"scales": 1.0}}, "gains of w must be one of 'scale', 'codes', got 'scales'"),
        ({"w": {}}, "gains must name a field of w, one of scale, codes, got none"),
        ({"w": {"scale": -1.0}}, "gains must be .*got -1"),
    ],
)
def test_gains_of_no_fields(checkpoint, gains, message):
    """Said by the names that there are."""
    with pytest.raises(ArgumentError, match=message):
        protect(checkpoint, p=0.02, cells=1.2, gains=gains)


def test_a_field_that_is_read_alone(checkpoint):
    """Others keep their words; names that there are not are refused."""
    plan = protect(checkpoint, p=0.1, cells=1.05, decoders=VOTES)
    read = ReadCheckpoint(checkpoint, plan, 1, ("w",), "codes").values("w").reshape(16, 32)
    raw = checkpoint["w"].raw(0, 16)[0]
    codes = read / raw[:, :2].copy().view(np.float16).astype(np.float32)
    np.testing.assert_allclose(codes, codes.round(), atol=1e-4)
    assert not np.array_equal(codes.round(), raw[:, 2:].view(np.int8))
    with pytest.raises(ArgumentError, match="field must be one of"):
        ReadCheckpoint(checkpoint, plan, 1, ("w",), "scales")
