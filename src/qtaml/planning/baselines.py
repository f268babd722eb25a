"""The plan that every tensor shares: no protection, or the same number of protected bits everywhere (Uniform-MSP)."""

from collections.abc import Sequence

from torch import nn

from qtaml import _checks
from qtaml.faults import AnyFault, given
from qtaml.formats import Encoding, Format, Granularity, Grid, Section, TensorFormat
from qtaml.model import aliases, stored_weights
from qtaml.planning.plan import Plan, TensorPlan


def uniform_msp(
    model: nn.Module,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    protected_bits: int,
    bits: int = 8,
    encoding: Encoding = "offset_binary",
    grid: Grid = "half_step",
    granularity: Granularity = "tensor",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Plan:
    """Uniform-MSP: the same number of most significant bits protected in every tensor, no correction.

    With no protected bits it is the uncompensated memory.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        protected_bits: protected bits of every weight, 0 to `bits`.
        bits: bits of a word.
        encoding: labels of the levels.
        grid: "half_step" or the paper's "integer".
        granularity: one scale for each "tensor" or each "row".
        include: patterns of further tensors to store; see `stored_weights`.
        exclude: patterns of tensors not to store.

    Returns:
        The plan.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: if the model has no tensor to store, or one that cannot be stored.

    Source:
        paper, sections 4.5 and 5.8.

    Example:
        >>> uniform_msp(nn.Linear(4, 2), p=0.1, protected_bits=2).overhead
        0.25
    """
    faults = given(p, fault)
    base = Format(bits=bits, encoding=encoding, grid=grid)
    shared = base.protect(_checks.integer("protected_bits", protected_bits, 0, bits))
    weights = stored_weights(model, include=include, exclude=exclude)
    shared_names = aliases(model, list(weights))
    tensors = tuple(
        TensorPlan.of(name, shared_names[name], weight, TensorFormat((Section(weight.numel(), shared),), granularity))
        for name, weight in weights.items()
    )
    return Plan("uniform_msp" if protected_bits else "uncompensated", faults, tensors)
