"""Times one peer, the plain reference and qtaml in one process: python -m benchmarks.peers_inside PEER WEIGHTS P.

Prints one line of JSON: seconds and observed error rate of each. The peer is left out if it cannot be imported.
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version

import torch
from torch import nn

from benchmarks.harness import medians
from qtaml.faults import Uniform

BITS = 8
_TOP = 127


def plain_mask(weights: int, p: float) -> torch.Tensor:
    """The plain reference: one float32 uniform number for each bit."""
    mask = torch.zeros(weights, dtype=torch.uint8)
    for bit in range(BITS):
        mask |= (torch.rand(weights) < p).to(torch.uint8) << bit
    return mask


def observed(before: torch.Tensor, after: torch.Tensor) -> float:
    """Share of the bits that differ between two tensors of bytes."""
    wrong = before ^ after
    return sum(float((wrong >> bit & 1).sum(dtype=torch.int64)) for bit in range(BITS)) / (BITS * wrong.numel())


def words_of(weight: torch.Tensor) -> torch.Tensor:
    """Bytes of weights that are multiples of 1/127."""
    return (weight.detach() * _TOP).round().to(torch.int16).to(torch.uint8).reshape(-1)


def grid_weights(words: torch.Tensor) -> torch.Tensor:
    """Weights in [-1, 1] whose 8-bit words in two's complement are given."""
    return words.view(torch.int8).float() / _TOP


def mrfi(words: torch.Tensor, p: float) -> tuple[Callable[[], object], Callable[[], torch.Tensor]]:
    """MRFI: a forward pass of one linear layer with its weights at fault, as its documents ask for."""
    from mrfi import MRFI, EasyConfig

    rows = 10 ** (len(str(len(words))) // 2)
    layer = nn.Linear(len(words) // rows, rows, bias=False)
    layer.weight.requires_grad_(False).copy_(grid_weights(words).reshape(layer.weight.shape))
    fault = {
        "type": "weight",
        "name": ["weight"],
        "quantization": {"method": "SymmericQuantization", "dynamic_range": "auto", "bit_width": BITS},
        "enabled": True,
        # Its rate is that of words.
        "selector": {"method": "RandomPositionByRate", "poisson": True, "rate": BITS * p},
        "error_mode": {"method": "IntRandomBitFlip", "bit_width": BITS},
        "module_type": ["Linear"],
    }
    model = MRFI(nn.Sequential(layer), EasyConfig({"faultinject": [fault]}))
    inputs = torch.zeros(1, layer.in_features)
    return lambda: model(inputs), lambda: words_of(layer.weight)


def pytorchfi(words: torch.Tensor, p: float) -> tuple[Callable[[], object], Callable[[], torch.Tensor]]:
    """PyTorchFI: its caller draws which words are at fault and how, and lists their coordinates."""
    from pytorchfi.core import fault_injection

    kernel = 5
    layer = nn.Conv2d(len(words) // (kernel**2 * 20), 20, kernel, bias=False)
    layer.weight.requires_grad_(False).copy_(grid_weights(words).reshape(layer.weight.shape))
    injector = fault_injection(nn.Sequential(layer), 1, [layer.in_channels, kernel, kernel], [nn.Conv2d])
    corrupted = nn.Module()

    def inject() -> None:
        nonlocal corrupted
        mask = plain_mask(len(words), p).reshape(layer.weight.shape)
        places = mask.nonzero()
        flips: Iterator[int] = iter(mask[mask > 0].tolist())

        def flip(weight: torch.Tensor, place: tuple[int, ...]) -> float:
            word = (round(weight[place].item() * _TOP) ^ next(flips)) & 255
            return (word - 256 if word > _TOP else word) / _TOP

        k, dim1, dim2, dim3 = places.T.tolist()
        corrupted = injector.declare_weight_fi(
            function=flip, layer_num=[0] * len(places), k=k, dim1=dim1, dim2=dim2, dim3=dim3
        )

    return inject, lambda: words_of(next(corrupted.parameters()))


PEERS = {"MRFI": ("MRFI", mrfi, 3), "PyTorchFI": ("pytorchfi", pytorchfi, 1)}
"""Name of the distribution, how it is called, and how often it is timed after a call to warm up."""


def main(peer: str, weights: int, p: float) -> dict[str, object]:
    """Seconds and error rates of the peer, the plain reference and qtaml."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    # -128 is not on the symmetric grid of the peers.
    words = torch.randint(-_TOP, _TOP + 1, (weights,), generator=generator, dtype=torch.int8).view(torch.uint8)
    words[:2] = torch.tensor([_TOP, 256 - _TOP])
    results: dict[str, torch.Tensor] = {}

    def plain() -> None:
        results["plain"] = words ^ plain_mask(weights, p)

    def qtaml() -> None:
        results["qtaml"] = Uniform(p).corrupt(words, bits=BITS, seed=0)

    calls: dict[str, Callable[[], object]] = {"plain": plain, "qtaml": qtaml}
    distribution, build, repetitions = PEERS[peer]
    seen: dict[str, object] = {}
    try:
        calls["peer"], read = build(words, p)
        seen["version"] = version(distribution)
    except ImportError:
        read = None
    times = medians(list(calls.values()), repetitions)
    if read is not None:
        results["peer"] = read()
    for name, seconds in zip(calls, times, strict=True):
        seen[name] = {"seconds": seconds, "rate": observed(words, results[name])}
    return seen


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
