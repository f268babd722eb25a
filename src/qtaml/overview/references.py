"""What stored networks are held against: Uniform-MSP, and Shannon's limits."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from qtaml.model import named_tensors, stored_weights
from qtaml.overview.records import Reference
from qtaml.planning import Plan, uniform_msp
from qtaml.theory.rate_distortion import entropy_power, least_bits

_PROTECTED, _BITS = (0, 1, 2, 3, 4), 8
_FEWEST = 4
"""Weights from which an entropy is estimated."""


def baseline_plans(model: nn.Module, plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Uniform-MSP of the tensors that a plan stores, with 0 to 4 protected bits; none where that cannot store them.

    Args:
        model: the trained network.
        plan: whose tensors and fault model are taken.
    """
    include, exclude = (getattr(plan.settings, name, ()) for name in ("include", "exclude"))
    names = stored_weights(model, include=include, exclude=exclude)
    if list(names) != [one.name for one in plan.tensors] or not plan.fault.holds(_BITS):
        return
    for count in _PROTECTED:
        found = uniform_msp(model, fault=plan.fault, protected_bits=count, bits=_BITS, include=include, exclude=exclude)
        yield f"Uniform-MSP, {count} bit{'' if count == 1 else 's'}", found


def limits(plans: Mapping[str, Plan], model: nn.Module | None) -> Iterator[Reference]:
    """Shannon's limits: for words without any error, and for the output error that a design predicts.

    Args:
        plans: by name.
        model: the trained network; without it there is no limit for its weights.
    """
    first = next(iter(plans.values()))
    carried = first.cell_capacity
    yield Reference(
        f"{first.bits}-bit words without errors",
        "limit",
        1 / carried if carried else np.inf,
        None,
        f"the least cells in which any code keeps words of {first.bits} bits without errors; {first.fault}",
    )
    if model is None:
        return
    for name, plan in plans.items():
        # Only designs predict the rounding to levels as well, without which a gap to Shannon's bound means nothing.
        if plan.method != "design" or plan.predicted_error is None or not plan.predicted_error:
            continue
        present = named_tensors(model)
        gains = np.array([entry.gain.squared if entry.gain else np.inf for entry in plan.tensors])
        sizes = [entry.storage.weights for entry in plan.tensors]
        weights = [present[entry.name].detach().double().cpu().numpy() for entry in plan.tensors]
        if not np.isfinite(gains).all():
            continue
        told = "by a writer who knows each chip's weak cells" if plan.by_chip else "with codes of any length"
        for law, powers in (
            ("if the weights were Gaussian", [float((weight**2).mean()) for weight in weights]),
            ("by the entropy of these weights, a lower bound", [_entropy_power(weight) for weight in weights]),
        ):
            bits = least_bits((gains * powers * sizes).tolist(), sizes, plan.predicted_error)
            named = "Shannon limit" if law.startswith("if") else "Shannon lower bound, these weights,"
            yield Reference(
                f"{named} for {name}",
                "limit",
                bits / (plan.cell_capacity * plan.bits * plan.weights),
                None,
                f"the least cells for the output error that this plan predicts, {told}, a rate for each tensor, {law}",
            )


def _entropy_power(weight: NDArray[np.float64]) -> float:
    # Of fewer weights nothing is known of their law.
    return entropy_power(weight) if weight.size >= _FEWEST else float((weight**2).mean())
