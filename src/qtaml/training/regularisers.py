"""Regularisers of training for a memory: small weights, and tensors that need alike protection."""

from collections.abc import Mapping

import torch

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.model import named_tensors
from qtaml.planning import Plan
from qtaml.sensitivity import Gain
from qtaml.training.noisy_network import NoisyNetwork


def clipping_limits(tuned: NoisyNetwork, factor: float) -> dict[str, float]:
    """The largest magnitudes that `clip_weights` allows: so many root mean squares of each stored tensor now.

    Args:
        tuned: what `noisy` returned, before training.
        factor: above 0; 1 leaves weights of about one magnitude.

    Example:
        >>> import qtaml
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> model.weight.data = torch.tensor([[3.0, -1.0]])
        >>> tuned = qtaml.noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
        >>> clip_weights(tuned, clipping_limits(tuned, 1.0))
        >>> tuned.model.weight.tolist()
        [[2.2360680103302, -1.0]]
    """
    _checks.positive("factor", factor)
    present = named_tensors(tuned.model)
    return {
        entry.name: factor * float(present[entry.name].detach().double().square().mean().sqrt())
        for entry in tuned.plan.tensors
    }


def clip_weights(tuned: NoisyNetwork, limits: Mapping[str, float]) -> None:
    """Clip the stored weights, after a step of the optimiser.

    Errors of bits that nothing protects are in units of the largest magnitude of a tensor. Clipped, a network spreads
    what it knows over more weights.

    Args:
        tuned: what `noisy` returned; its weights are changed.
        limits: largest magnitude for each tensor, such as `clipping_limits`.

    Raises:
        ArgumentError: if the network has no tensor of such a name.

    Source:
        Stutz et al., MLSys 2021 (RandBET).
    """
    present = named_tensors(tuned.model)
    _checks.covers("tuned", present, limits)
    with torch.no_grad():
        for name, limit in limits.items():
            present[name].clamp_(-limit, limit)


def unevenness(tuned: NoisyNetwork, gains: Mapping[str, Gain]) -> torch.Tensor:
    """How far the scores of the tensors are from each other: -ln rho*, 0 where all are equal; to be added to a loss.

    A tensor of gain gamma_l and largest magnitude M_l has the score a_l = gamma_l**2 M_l**2, and rho* is their
    geometric over their arithmetic mean, each tensor counted by its weights. The gains stay as they are; the gradient
    goes to the largest weights.

    Args:
        tuned: what `noisy` returned.
        gains: of each stored tensor, such as those of a plan; tensors without effect (gain 0) are left out.

    Returns:
        A number with a gradient.

    Raises:
        ArgumentError: if a stored tensor has no gain.

    Source:
        paper, theorem 4.6 and section 6 (regularisation of scores).
    """
    _checks.covers("gains", gains, [entry.name for entry in tuned.plan.tensors])
    present = named_tensors(tuned.model)
    entries = [one for one in tuned.plan.tensors if gains[one.name].squared > 0]
    sizes = torch.tensor([one.storage.weights for one in entries], dtype=torch.float64)
    logs = [
        present[one.name].abs().max().double().clamp_min(torch.finfo(torch.float64).tiny).square().log().cpu()
        + float(torch.tensor(gains[one.name].squared, dtype=torch.float64).log())
        for one in entries
    ]
    scores, share = torch.stack(logs), sizes / sizes.sum()
    return torch.logsumexp(scores + share.log(), 0) - (share * scores).sum()


def gains_of(plan: Plan) -> dict[str, Gain]:
    """The gain of each stored tensor; raises `ArgumentError` if one has none."""
    gains = {entry.name: entry.gain for entry in plan.tensors if entry.gain is not None}
    if len(gains) < len(plan.tensors):
        raise ArgumentError(
            "plan must have gains for evenness above 0, as those of compensate and design have, got one of "
            f"{plan.method} without"
        )
    return gains
