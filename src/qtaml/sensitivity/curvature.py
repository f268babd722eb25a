"""How the errors of the weights of one tensor act together on the output: moments of what comes in and goes out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import unfold

from qtaml.errors import ArgumentError, ModelError
from qtaml.model import Batch, evaluation_mode, sample_count
from qtaml.sensitivity.gradients import gradient_statistics

_WIDEST = 2**12
"""Rows or columns whose products are kept: 128 MiB in float64, and a few seconds for their root."""
_DAMPING, _SAMPLES = 0.5, 32
"""Share of the mean that is added to the diagonal for so many samples; it falls as the root of their number. Measured
on all-MiniLM-L6-v2, on other sentences: at 32, .5 leaves .88 of what .1 leaves; at 640, .1 leaves .87 of .5."""


class Shares(NamedTuple):
    """How errors are fed back, in the order of rounding.

    Attributes:
        order: those that matter most first, int64.
        shares: of the error of one that each later one makes up for, unit upper triangular, float32.
    """

    order: NDArray[np.int64]
    shares: NDArray[np.float32]

    @staticmethod
    def of(factor: torch.Tensor | None) -> "Shares | None":
        """Columns of the upper triangular root of the factor over their diagonal (theory.md 6.12)."""
        if factor is None:
            return None
        order = torch.argsort(factor.diagonal(), descending=True, stable=True)
        root = torch.linalg.cholesky(factor[order][:, order].flip(0, 1)).flip(0, 1)
        return Shares(order.cpu().numpy(), (root / root.diagonal()).float().cpu().numpy())


@dataclass(frozen=True)
class Curvature:
    """What the errors E of a tensor do to the output, about: tr(rows E columns E^T) of squared error, up to a factor.

    Attributes:
        rows: positive definite, float64, shape (rows, rows), mean of the diagonal 1 and a share of the identity; None
            if errors of different rows are taken to act by themselves, and alike.
        columns: the same of the columns, all dimensions but the first.

    Source:
        theory.md 6.12; Martens and Grosse, arXiv 1503.05671 (Kronecker factors).
    """

    rows: torch.Tensor | None
    columns: torch.Tensor | None

    @property
    def size(self) -> int:
        """Numbers that it holds."""
        return sum(side.numel() for side in (self.rows, self.columns) if side is not None)

    def error(self, errors: torch.Tensor) -> float:
        """tr(rows E columns E^T), of errors of shape (rows, ...)."""
        flat = self._matrix("errors", errors)
        left = flat if self.rows is None else self.rows @ flat
        right = flat if self.columns is None else flat @ self.columns
        return float((left * right).sum())

    def noise(self, variances: torch.Tensor) -> float:
        """What independent errors of so much variance add to the expected `error`, of shape (rows, ...)."""
        flat = self._matrix("variances", variances)
        by_row = flat.sum(1) if self.columns is None else flat @ self.columns.diagonal()
        return float(by_row.sum() if self.rows is None else by_row @ self.rows.diagonal())

    def _matrix(self, name: str, given: torch.Tensor) -> torch.Tensor:
        fits = given.ndim > 1 and given.is_floating_point()
        for side, size in ((self.rows, given.shape[:1].numel()), (self.columns, given.shape[1:].numel())):
            fits = fits and (side is None or len(side) == size)
        if not fits:
            raise ArgumentError(
                f"{name} must be floating, of a shape (rows, ...) that the curvature is of, got {given.dtype} of shape "
                f"{tuple(given.shape)}"
            )
        side = self.rows if self.columns is None else self.columns
        return given.reshape(len(given), -1).to(given.device if side is None else side.device, torch.float64)

    @cached_property
    def row_shares(self) -> Shares | None:
        """How errors of a row are fed back to others; None if they are not."""
        return Shares.of(self.rows)

    @cached_property
    def column_shares(self) -> Shares | None:
        """The same of the columns."""
        return Shares.of(self.columns)


_INPUTS = ("input", "x", "query", "key", "value")
"""Names of what comes into layers, in their order."""


class _Layer(NamedTuple):
    """What the gradient of a weight matrix is a sum of products of, at each place: what comes in and what comes back.

    Attributes:
        given: of the inputs of the layer, shape (places, columns); None if that is not seen from outside.
        back: of the gradient of its output, shape (places, rows); None if each place has a row of its own.
        turned: whether rows are what comes in, and columns what comes back.
    """

    given: Callable[[Sequence[torch.Tensor]], torch.Tensor | None]
    back: Callable[[torch.Tensor], torch.Tensor | None]
    turned: bool = False


def curvatures(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    aliases: Mapping[str, Sequence[str]],
    *,
    passes: int = 4,
    seed: int = 0,
) -> dict[str, Curvature]:
    """Curvatures of the weights of linear, convolution, embedding and attention layers.

    The gradient of such a weight matrix, from random signs at the outputs, is a sum over places (samples, tokens,
    pixels) of products of what comes into the layer and what comes back to its output. That places are independent, and
    both factors too, is an assumption; what follows from it decides how labels are chosen, never what is predicted.

    Args:
        model: as for `jacobian_gains`.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them.
        aliases: other names of each tensor.
        passes: backward passes, at least 2.
        seed: seed of the signs.

    Returns:
        Of each tensor that such layers use, and samples reach.

    Raises:
        ModelError: as `jacobian_gains`.

    Example:
        >>> inputs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [2.0, 2.0]])
        >>> layer = nn.Linear(2, 2)
        >>> found = curvatures(layer, inputs, {"weight": layer.weight}, {"weight": ()})["weight"]
        >>> bool(found.columns[0, 1] > 0)  # the two inputs mostly have one sign
        True
    """
    names = {other: name for name in weights for other in (name, *aliases[name])}
    sums: dict[str, _Sums] = {}
    with ExitStack() as stack:
        network = stack.enter_context(evaluation_mode(model))
        for path, module in network.named_modules(remove_duplicate=False):
            for own, layer in _layers_of(module).items():
                name = names.get(f"{path}.{own}" if path else own)
                if name is not None:
                    hook = sums.setdefault(name, _Sums()).begin
                    stack.callback(module.register_forward_hook(partial(hook, layer), with_kwargs=True).remove)

        def settle(*_: Any) -> None:
            for one in sums.values():
                one.settle()

        # The backward passes of a part of the samples are over when the next part goes in.
        stack.callback(network.register_forward_pre_hook(settle).remove)
        gradient_statistics(network, batch, weights, _nothing, passes=passes, seed=seed)
        settle()
    samples = sample_count(batch) or 1
    for tensor, sides in sums.items():
        if not all(bool(torch.isfinite(side).all()) for side in (sides.rows, sides.columns) if side is not None):
            raise ModelError(f"gradients of tensor {tensor!r} must be finite to feed rounding errors back, got others")
    found = {name: Curvature(_damped(own.rows, samples), _damped(own.columns, samples)) for name, own in sums.items()}
    return {name: one for name, one in found.items() if one.rows is not None or one.columns is not None}


@dataclass(eq=False)
class _Call:
    """A call of a layer in a forward pass; what came in counts by all that came back to it, so its product is one.

    Attributes:
        layer: how gradients of the weights come about.
        inputs: of the call.
        sizes: squared length of what came in at each place, shape (places, 1); 1 if that is not seen.
        weights: the same of what came back, summed over passes.
    """

    layer: _Layer
    inputs: Sequence[torch.Tensor]
    sizes: torch.Tensor | float
    weights: torch.Tensor | float = 0.0


@dataclass(eq=False)
class _Sums:
    """Sums over places, of products of rows weighted by the columns, and the other way round.

    Attributes:
        rows: of the rows of a weight matrix, float64.
        columns: of its columns.
        calls: those to which gradients came back, whose inputs are not in the sums.
    """

    rows: torch.Tensor | None = None
    columns: torch.Tensor | None = None
    calls: list[_Call] = field(default_factory=list)

    def begin(
        self, layer: _Layer, module: nn.Module, args: tuple[Any, ...], named: Mapping[str, Any], output: Any
    ) -> None:
        """Hook of a forward pass: from now on, gradients come back to this call."""
        if isinstance(module, nn.MultiheadAttention):
            output = output[0]
        inputs = [*args, *(named[name] for name in _INPUTS if name in named)]
        if inputs and isinstance(output, torch.Tensor) and output.requires_grad:
            inputs = [one.detach() for one in inputs if isinstance(one, torch.Tensor)]
            call = _Call(layer, inputs, _sizes(layer.given(inputs)))
            output.register_hook(partial(self._back, call))  # type: ignore[no-untyped-call]

    def _back(self, call: _Call, gradient: torch.Tensor) -> None:
        if call not in self.calls:
            self.calls.append(call)
        back = _wide(call.layer.back(gradient.detach()))
        call.weights = call.weights + _sizes(back)
        self._add(back, call.sizes, to_rows=not call.layer.turned)

    def settle(self) -> None:
        """Add the inputs of all calls, to which no more gradients come."""
        for call in self.calls:
            self._add(_wide(call.layer.given(call.inputs)), call.weights, to_rows=call.layer.turned)
        self.calls.clear()

    def _add(self, sides: torch.Tensor | None, weights: torch.Tensor | float, *, to_rows: bool) -> None:
        if sides is None or sides.shape[1] > _WIDEST:
            return
        # A gradient for other weights may be on its way through this layer, in a dtype of its own.
        by = weights.to(sides.dtype) if isinstance(weights, torch.Tensor) else weights
        product = ((sides * by).T @ sides).double()
        if to_rows:
            self.rows = product if self.rows is None else self.rows + product
        else:
            self.columns = product if self.columns is None else self.columns + product


def _wide(sides: torch.Tensor | None) -> torch.Tensor | None:
    """In single precision at least: float16 reaches to 65,504, which sums of squares are beyond."""
    return sides.float() if sides is not None and sides.dtype in (torch.float16, torch.bfloat16) else sides


def _sizes(sides: torch.Tensor | None) -> torch.Tensor | float:
    found = _wide(sides)
    return 1.0 if found is None else found.square().sum(1, keepdim=True)


def _layers_of(module: nn.Module) -> Mapping[str, _Layer]:
    """How the gradients of the weights of a layer come about, by the name in it; none for layers of other kinds."""
    if isinstance(module, nn.Embedding):
        return {"weight": _Layer(_unseen, _flat, turned=True)}
    if isinstance(module, nn.Linear):
        return {"weight": _Layer(_first, _flat)}
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros":
        if isinstance(module.padding, str):
            return {}
        return {"weight": _Layer(partial(_patches, module), partial(_pixels, module))}
    if isinstance(module, nn.MultiheadAttention):
        return {"in_proj_weight": _Layer(_alike, _unseen), "out_proj.weight": _Layer(_unseen, _flat)}
    # GPT-2 of transformers has a linear layer whose weight has shape (inputs, outputs).
    return {"weight": _Layer(_first, _flat, turned=True)} if type(module).__name__ == "Conv1D" else {}


def _unseen(_: object) -> None:
    return None


def _flat(sides: torch.Tensor) -> torch.Tensor:
    return sides.reshape(-1, sides.shape[-1])


def _first(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    return _flat(inputs[0])


def _alike(inputs: Sequence[torch.Tensor]) -> torch.Tensor | None:
    # One matrix takes queries, keys and values in: what comes into each row, is seen where they are one tensor.
    alike = len(inputs) > 2 and len({(one.data_ptr(), one.shape) for one in inputs[:3]}) == 1
    return _first(inputs) if alike else None


def _patches(module: nn.Conv1d | nn.Conv2d, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    # A signal is an image of one row, and a sample without a batch a batch of one.
    flat = (1,) if isinstance(module, nn.Conv1d) else ()
    before = (0,) * len(flat)
    size, stride, dilation = ((*flat, *one) for one in (module.kernel_size, module.stride, module.dilation))
    image = inputs[0].reshape(-1, module.in_channels, *flat, *inputs[0].shape[-len(module.kernel_size) :])
    patches: torch.Tensor = unfold(image, size, dilation, (*before, *module.padding), stride)
    return patches.transpose(1, 2).flatten(0, 1)


def _pixels(module: nn.Conv1d | nn.Conv2d, gradient: torch.Tensor) -> torch.Tensor:
    places = gradient.reshape(-1, module.out_channels, gradient.shape[-len(module.kernel_size) :].numel())
    return places.transpose(1, 2).flatten(0, 1)


def _damped(sums: torch.Tensor | None, samples: int) -> torch.Tensor | None:
    """Over the mean of the diagonal, with a share of the identity, since few samples show few directions."""
    if sums is None:
        return None
    mean = float(sums.diagonal().mean())
    if mean <= 0:
        return None
    damping = _DAMPING * (_SAMPLES / samples) ** 0.5
    damped: torch.Tensor = sums / mean + damping * torch.eye(len(sums), dtype=sums.dtype, device=sums.device)
    return damped


def _nothing(name: str, gradient: torch.Tensor) -> torch.Tensor:
    return gradient.new_zeros((), dtype=torch.float64)
