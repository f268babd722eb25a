"""How many floating-point operations a forward pass takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from qtaml.model.calls import Batch, evaluation_mode, finite_outputs


def operations(model: nn.Module, batch: Batch) -> float:
    """Floating-point operations of the products and convolutions of a forward pass, those in recurrent layers too.

    Args:
        model: as for `finite_outputs`; it is run in evaluation mode.
        batch: its inputs.

    Returns:
        Two for each multiplication.

    Raises:
        ModelError: as `finite_outputs`.

    Example:
        >>> operations(nn.Linear(3, 5), torch.zeros(7, 3))
        210.0
    """
    with evaluation_mode(model) as network, torch.no_grad(), _Counter() as counter:
        finite_outputs(network, batch)
    return float(counter.count)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """PyTorch's formulas, without `FlopCounterMode`: that imports a compiler, for seconds, and sees no fused layers."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        packet = getattr(func, "_overloadpacket", None)
        if packet is not None and packet not in flop_registry:
            with self:
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        output = func(*args, **named)
        if packet in flop_registry:
            self.count += flop_registry[packet](*args, **named, out_val=output)
        elif (places := _FUSED.get(str(packet))) is not None:
            matrices = [one for one in args[places] if isinstance(one, torch.Tensor) and one.ndim == 2]
            self.count += 2 * args[0].shape[:-1].numel() * sum(one.numel() for one in matrices)
        return output


_FUSED = {
    "aten._transformer_encoder_layer_fwd": slice(3, 18),
    "aten._native_multi_head_attention": slice(5, 9),
    "aten.mkldnn_rnn_layer": slice(1, 5),
}
"""Layers that are one operation, and where its arguments are weights: each matrix is multiplied at all places."""
