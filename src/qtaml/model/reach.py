"""Does what is put into a tensor reach the output? And is the output a function of the input at all?"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qtaml._random import torch_generator
from qtaml.errors import ModelError

Run = Callable[[Mapping[str, torch.Tensor]], Any]
"""A forward pass with some tensors replaced by others."""

_ROUNDING, _MOST_ROUNDING = 64, 0.01
"""Difference of two equal passes, over the largest output: in units of its resolution, and at most. CUDA adds up in an
order of its own; on a CPU the passes of deterministic networks are equal to the bit."""


def other_numbers(name: str, weight: torch.Tensor, share: float = 1.0, number: int = 0) -> torch.Tensor:
    """A tensor plus Gaussian numbers of a share of its root mean square, the same ones for each `number`, in its dtype.

    Example:
        >>> changed = other_numbers("weight", torch.ones(10_000), 0.1)
        >>> round(float(changed.std()), 2)
        0.1
    """
    size = float(weight.detach().float().square().mean().sqrt()) or 1.0
    drawn = torch.randn(weight.shape, generator=torch_generator(0, "other numbers", name, number), device="cpu")
    # In place: of a large network these copies are what most memory goes to.
    return drawn.to(weight.device).mul_(share * size).add_(weight.detach()).to(weight.dtype)


def check_repeats(model: nn.Module, run: Run) -> Any:
    """Check that two equal forward passes give equal outputs, and return these.

    Args:
        model: the network that `run` runs.
        run: a forward pass.

    Raises:
        ModelError: if not, naming the first module whose outputs differ on equal inputs.
    """
    if _equal(output := run({}), run({})):
        return output
    calls: list[list[tuple[str, Any, Any]]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda module, args, kwargs, output: calls[-1].append((name, _copied((args, kwargs)), _copied(output)))

    hooks = [
        module.register_forward_hook(note(name), with_kwargs=True)
        for name, module in model.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        for _ in range(2):
            calls.append([])
            run({})
    finally:
        for hook in hooks:
            hook.remove()
    pairs = zip(*calls, strict=False)
    names = [one[0] for one, other in pairs if _equal(one[1], other[1]) and not _equal(one[2], other[2])]
    raise ModelError(
        f"the model must be a function of its inputs, but {repr(names[0]) if names and names[0] else 'it'} gives other "
        "outputs on equal inputs: switch off dropout and other randomness (an exported program keeps the mode in which "
        "it was exported), and keep no state between calls"
    )


def check_repeats_on_few(model: nn.Module, few: Run, whole: Run) -> tuple[Run, Any]:
    """`check_repeats` of a forward pass of few samples, or of all where it fails: networks may be made for one size.

    Args:
        model: the network that both run.
        few: a forward pass of a few samples.
        whole: one of all.

    Returns:
        The pass that was checked, and its outputs.

    Raises:
        ModelError: as `check_repeats`, or if both passes fail.
    """
    failed = None
    for run in (few, whole):
        try:
            return run, check_repeats(model, run)
        except (ModelError, TimeoutError):
            raise
        except Exception as error:
            failed = error
    raise ModelError(f"the model failed on the args and kwargs of a call: {failed}") from failed


def unmoved(run: Run, weights: Mapping[str, torch.Tensor], clean: Any) -> list[str]:
    """Names of the tensors that may hold any other numbers without a change of the output.

    Args:
        run: a forward pass.
        weights: name to tensor.
        clean: what the pass gives when nothing is replaced.
    """
    # Further passes may write into the outputs of this one.
    clean = _copied(clean)
    return [name for name, weight in weights.items() if _equal(run({name: other_numbers(name, weight)}), clean, 0.0)]


def check_unused(run: Run, names: list[str], weights: Mapping[str, torch.Tensor], known: Any) -> None:
    """Check that the tensors that do not move the output are not used, rather than that copies of them are.

    The operators of a forward pass are watched for tensors from elsewhere: neither known nor computed from known ones.

    Args:
        run: a forward pass.
        names: tensors that do not move the output.
        weights: name to tensor, of all tensors that were tried.
        known: inputs, parameters and buffers, in any nesting; but what `run` replaces.

    Raises:
        ModelError: if numbers from elsewhere may be copies of a tensor, or no tensor at all moves the output.
    """
    replaced = {name: other_numbers(name, weights[name]) for name in names}
    with _Elsewhere({_address(tensor) for tensor in _floats((known, replaced))}) as watch:
        run(replaced)
    largest = max((tensor.numel() for tensor in watch.found), default=0)
    doubtful = [name for name in names if largest >= weights[name].numel()]
    if not doubtful and len(names) < len(weights):
        return
    raise ModelError(
        f"the output does not change with the numbers in {_listed(doubtful or names)}: the model computes with numbers "
        "kept elsewhere (a cache of weights, a tensor held by a closure or a hook, a constant of a program). Compute "
        "them from the parameter in each forward pass; or, if the tensor is not used at all, name it in exclude"
    )


class _Elsewhere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the floating-point tensors that operators get and that nobody knows."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known, self._kept = known, list[torch.Tensor]()
        self.found: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for tensor in _floats((args, kwargs)):
            if _address(tensor) not in self._known:
                self.found.append(tensor)
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                # Kept, lest another tensor get its address.
                self._kept.append(tensor)
                self._known.add(_address(tensor))
        return output


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else id(tensor)


def _floats(values: Any) -> Iterator[torch.Tensor]:
    return (one for one in tree_leaves(values) if isinstance(one, torch.Tensor) and one.is_floating_point())


def _copied(values: Any) -> list[torch.Tensor]:
    return [one.detach().clone() for one in tree_leaves(values) if isinstance(one, torch.Tensor)]


def _equal(one: Any, other: Any, rounding: float = _ROUNDING) -> bool:
    """Whether all tensors in two outputs are equal, but for rounding where that is allowed."""
    pairs = [[leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)] for values in (one, other)]
    return len(pairs[0]) == len(pairs[1]) and all(_close(a, b, rounding) for a, b in zip(*pairs, strict=True))


def _close(one: torch.Tensor, other: torch.Tensor, rounding: float) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point() or not rounding:
        return torch.equal(one, other)
    largest = float(one.detach().abs().nan_to_num(posinf=0.0).max()) if one.numel() else 0.0
    tolerance = largest * min(rounding * torch.finfo(one.dtype).eps, _MOST_ROUNDING)
    return torch.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
