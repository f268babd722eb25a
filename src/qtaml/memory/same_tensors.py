"""Whether a model has the tensors of a plan, or of a stored network."""

from torch import nn

from qtaml.errors import ModelError
from qtaml.memory.artifact import Artifact
from qtaml.model import made_buffers, named_tensors
from qtaml.planning import Plan


def rest_names(plan: Plan, model: nn.Module) -> list[str]:
    """Names of the parameters and buffers of a model that a plan leaves outside the leaking memory."""
    stored = {name for entry in plan.tensors for name in (entry.name, *entry.aliases)}
    return [name for name in named_tensors(model) if name not in stored]


def check_fits(plan: Plan, model: nn.Module) -> None:
    """Check that a model has the tensors of a plan.

    Raises:
        ModelError: naming the first tensor that is missing, or of another shape or dtype.
    """
    present = named_tensors(model)
    for entry in plan.tensors:
        for name in (entry.name, *entry.aliases):
            if name not in present:
                raise ModelError(
                    f"the model has no tensor {name!r}, which the plan stores; was it made for another model?"
                )
            tensor = present[name]
            found = (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            if found != (entry.shape, entry.dtype):
                raise ModelError(
                    f"tensor {name!r} must have shape {entry.shape} and dtype {entry.dtype} for this plan, "
                    f"got shape {found[0]} and dtype {found[1]}"
                )


def check_same_tensors(artifact: Artifact, model: nn.Module) -> None:
    """Check that a model has the tensors of a stored network, in the leaking memory and outside.

    Raises:
        ModelError: naming the first tensor that is missing, or of another shape or dtype.
    """
    check_fits(artifact.plan, model)
    present = named_tensors(model)
    ours, theirs = set(rest_names(artifact.plan, model)), artifact.rest.keys()
    # A buffer that a forward pass made since may stay.
    if different := sorted((ours - theirs - made_buffers(model)) | (theirs - ours)):
        raise ModelError(
            f"the model is not the one stored: tensor {different[0]!r} is in only one of the two; if a forward pass "
            "makes it, run the model once before"
        )
    for name, kept in artifact.rest.items():
        if present[name].shape != kept.shape or present[name].dtype != kept.dtype:
            raise ModelError(
                f"the model is not the one stored: tensor {name!r} was {tuple(kept.shape)} {kept.dtype}, "
                f"is {tuple(present[name].shape)} {present[name].dtype}"
            )
