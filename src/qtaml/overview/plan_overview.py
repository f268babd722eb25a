"""What a plan and its stored words say by themselves, without a run of the network."""

import re
from collections.abc import Mapping
from functools import lru_cache

import torch

from qtaml import _files
from qtaml.faults import AnyFault
from qtaml.formats import Levels, TensorFormat
from qtaml.memory import Artifact
from qtaml.overview.records import BitCells, CurvePoint, NetworkOverview, TensorOverview, WeightsOverview
from qtaml.overview.weights_overview import weights_overview
from qtaml.planning import Plan, TensorPlan
from qtaml.protections import Protection

_BY_WORD = ("even", "table", "named")
MOST_DETAILS = 12
"""Tensors of which weights and errors are shown: those with most of the predicted error, or most cells."""


def plan_overview(name: str, plan: Plan) -> NetworkOverview:
    """What a plan says of how a network is stored."""
    total, side = plan.noise_error, plan.side_price
    return NetworkOverview(
        name,
        settings=plan.settings,
        fault=plan.fault,
        weights=plan.weights,
        cells=plan.cells,
        plain_bits=plan.bits,
        tensors=tuple(_tensor(entry, total, side) for entry in plan.tensors),
        predicted_error=plan.predicted_error,
        output_power=plan.outputs.power if plan.outputs else None,
        remarks=plan.remarks,
        plan_sha256=_files.sha256(plan.to_json().encode()),
        made_with=plan.versions,
    )


def details_of(plan: Plan) -> tuple[TensorPlan, ...]:
    """The tensors that matter most, in the order of the plan."""
    known = plan.noise_error is not None
    by_weight = sorted(
        plan.tensors, key=lambda one: (one.predicted_error if known else one.storage.cells) or 0.0, reverse=True
    )
    chosen = {one.name for one in by_weight[:MOST_DETAILS] if _by_word(one)}
    return tuple(one for one in plan.tensors if one.name in chosen)


def _by_word(entry: TensorPlan) -> bool:
    """Whether each weight is read from a word of its own, as the law of its errors takes it."""
    return all(section.format.levels.kind in _BY_WORD for section in entry.storage.sections)


def words_sha256(artifact: Artifact) -> str:
    """Checksum of all stored words, in the order of the plan."""
    words = (artifact.tensors[entry.name].words.cpu().contiguous() for entry in artifact.plan.tensors)
    return _files.sha256(b"".join(one.numpy().tobytes() for one in words))


def weights_overviews(
    artifact: Artifact, trained: Mapping[str, torch.Tensor] | None, seed: int
) -> tuple[WeightsOverview, ...]:
    """Weights and errors of the tensors that matter most; arguments as for `weights_overview`."""
    return tuple(
        weights_overview(
            entry, artifact.tensors[entry.name], trained[entry.name] if trained else None, artifact.plan.fault, seed
        )
        for entry in details_of(artifact.plan)
    )


def noise_at(artifact: Artifact, fault: AnyFault) -> dict[str, float] | None:
    """Predicted output error of each tensor that differs from read to read, in another memory; None without gains."""
    found = {}
    for entry in artifact.plan.tensors:
        if entry.gain is None:
            return None
        stored = artifact.tensors[entry.name]
        found[entry.name] = entry.gain.squared * entry.storage.summed_variance(
            stored.words, stored.scale, fault, outliers=stored.outliers
        )
    return found


def point_at(artifact: Artifact, at: float, fault: AnyFault) -> CurvePoint:
    """The place of a stored network on a curve, as far as the plan tells it."""
    noise = noise_at(artifact, fault)
    if noise is None:
        return CurvePoint(at, fault, None, None)
    total = sum(noise.values())
    shares = tuple(noise[entry.name] / total if total else 0.0 for entry in details_of(artifact.plan))
    return CurvePoint(at, fault, None, total, shares)


def _tensor(entry: TensorPlan, total: float | None, side: float) -> TensorOverview:
    storage = entry.storage
    return TensorOverview(
        name=entry.name,
        aliases=entry.aliases,
        shape=entry.shape,
        weights=storage.weights,
        bits=storage.bits,
        levels=", ".join(dict.fromkeys(_levels(section.format.levels) for section in storage.sections)),
        correction=storage.correction,
        cells=float(storage.cells),
        side_cells=side * entry.side_values,
        by_bit=_by_bit(storage),
        error_share=entry.predicted_error / total if entry.predicted_error is not None and total else None,
        gain=entry.gain,
    )


# Of 100,000 tensors most are stored like others.
@lru_cache(maxsize=4096)
def _by_bit(storage: TensorFormat) -> tuple[BitCells, ...]:
    cells: dict[tuple[int, Protection], float] = {}
    for section in storage.sections:
        for bit, protection in enumerate(section.format.protections):
            key = bit, protection
            cells[key] = cells.get(key, 0.0) + section.weights * protection.cells
    by_bit = sorted(cells.items(), key=lambda one: (-one[0][0], -one[1]))
    return tuple(BitCells(bit, _protection(one), float(count)) for (bit, one), count in by_bit)


def _levels(levels: Levels) -> str:
    if levels.kind == "even":
        return f"even, {levels.encoding.replace('_', ' ')}"
    if levels.kind == "named":
        return levels.name
    return f"table of {len(levels.values)}" if levels.kind == "table" else f"{levels.kind}, {levels.bits} bits"


def _protection(protection: Protection) -> str:
    """The protection in a word or two: "raw", "repetition 3", "block code 1000, 1260"."""
    numbers = re.findall(r"=([^,()]+)", repr(protection))
    return " ".join((protection.kind.replace("_", " "), ", ".join(numbers))).strip()
