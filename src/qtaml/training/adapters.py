"""Low-rank adapters beside the stored weights, for networks of which not all weights can be trained."""

from collections import Counter
from fnmatch import fnmatchcase

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ModelError
from qtaml.model import uncompiled, whole_copy


class AdaptedLinear(nn.Module):
    """A linear layer whose weight stays as it is, with a product of two small matrices beside it.

    y = W x + U (D x) + b, with D of shape (rank, inputs) and U of shape (outputs, rank), which begins at 0.

    Attributes:
        weight: W, frozen, under the name that it had, so that a plan for the network fits.
        bias: b, or None.
        down: D.
        up: U.

    Source:
        Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022.

    Example:
        >>> layer = nn.Linear(6, 4)
        >>> adapted, inputs = AdaptedLinear(layer, rank=2), torch.randn(3, 6)
        >>> torch.equal(adapted(inputs), layer(inputs))
        True
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        weight = layer.weight
        self.weight, self.bias = weight.requires_grad_(False), layer.bias
        self.down = nn.Parameter(torch.empty(rank, layer.in_features, dtype=weight.dtype, device=weight.device))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, dtype=weight.dtype, device=weight.device))
        nn.init.normal_(self.down, std=layer.in_features**-0.5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs, shape (..., outputs), of inputs of shape (..., inputs)."""
        beside = nn.functional.linear(nn.functional.linear(inputs, self.down), self.up)
        return nn.functional.linear(inputs, self.weight, self.bias) + beside


def with_adapters(model: nn.Module, *, rank: int, layers: str = "*", seed: int = 0) -> nn.Module:
    """A copy of a network whose linear layers have low-rank adapters, which alone are trained.

    For `noisy` and `tune` with a plan that was made for the network: the stored weights keep their words, and the
    adapters learn to make up for what is read wrong. They, like biases, stay outside of the leaking memory; of a layer
    they take `rank` (inputs + outputs) numbers there, which no plan counts as cells.

    Args:
        model: the trained network; it is not changed.
        rank: columns of the adapters, at least 1.
        layers: pattern of the names of linear layers that get one, such as "encoder.*".
        seed: of the matrices that begin at random.

    Returns:
        The copy, which computes what the network does until it is trained. All but adapters, and biases of layers that
        have one, is frozen.

    Raises:
        ArgumentError: if the rank is not allowed.
        ModelError: if no linear layer has such a name, or one of them shares its weight.

    Source:
        Hu et al., ICLR 2022.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
        >>> adapted = with_adapters(model, rank=2)
        >>> sum(one.numel() for one in adapted.parameters() if one.requires_grad)
        108
    """
    _checks.integer("rank", rank, 1)
    adapted = uncompiled(whole_copy(model)).requires_grad_(False)
    shared = Counter(id(one) for module in adapted.modules() for one in module.parameters(recurse=False))
    chosen = [
        (name, one)
        for name, one in adapted.named_modules()
        if type(one) is nn.Linear and name and fnmatchcase(name, layers)
    ]
    if not chosen:
        raise ModelError(f"layers must be a pattern that names a linear layer inside the model, got {layers!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in chosen:
            if shared[id(layer.weight)] > 1:
                raise ModelError(f"layer {name!r} shares its weight, which then has no adapter of its own")
            own = AdaptedLinear(layer, rank)
            if own.bias is not None:
                own.bias.requires_grad_(True)
            adapted.set_submodule(name, own)
    return adapted


def has_adapters(model: nn.Module) -> bool:
    """Whether a network has adapters, which are trained in place of its weights."""
    return any(isinstance(one, AdaptedLinear) for one in model.modules())
