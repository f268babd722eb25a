"""What stored networks are held against: Uniform-MSP, and Shannon's limits."""

from collections.abc import Iterator, Mapping

import numpy as np
from torch import nn

from qtaml.model import named_tensors, stored_weights
from qtaml.overview.records import Reference
from qtaml.planning import Plan, uniform_msp
from qtaml.theory.capacity import capacity, shannon_cells
from qtaml.theory.rate_distortion import least_bits

_PROTECTED, _BITS = (0, 1, 2, 3, 4), 8


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
    rates = first.fault.mean_rates
    yield Reference(
        f"{first.bits}-bit words without errors",
        "limit",
        shannon_cells(*rates),
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
        powers, sizes = [], []
        for entry in plan.tensors:
            square = float(present[entry.name].detach().double().square().sum())
            powers.append((entry.gain.squared if entry.gain else np.inf) * square)
            sizes.append(entry.storage.weights)
        if np.isfinite(powers).all():
            bits = capacity(*plan.fault.mean_rates) * plan.bits * plan.weights
            yield Reference(
                f"Shannon limit for {name}",
                "limit",
                least_bits(powers, sizes, plan.predicted_error) / bits,
                None,
                "the least cells for the output error that this plan predicts, with codes of any length, one rate for "
                "each tensor, if the weights were Gaussian",
            )
