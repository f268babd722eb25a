"""The sampler of bit errors, exact in distribution, on CPU and CUDA.

On a CPU the words are cut into blocks with random numbers of their own, so that the bits do not depend on how many
threads share the blocks. Two kernels draw the same bits: one compiled by Numba, and one in NumPy for where Numba
cannot be imported. Numba is imported when errors are first drawn. Other devices draw other bits of the same law: on
CUDA a kernel in Triton, which has been run in Triton's interpreter only, for want of a GPU; elsewhere, and where
Triton cannot be imported, PyTorch.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.sampling.recipe import BLOCK, StaticRecipe, TransitionRecipe, flip_recipe
from qtaml.sampling.torch_digits import draw_mask

# Fewer are not worth a thread. Measured: a pool takes 60 us to start; 8 blocks take 20 us at p = 0.001, 40 us at 0.1,
# and static or multi-level cells ten times as long.
_FEWEST_BLOCKS_OF_A_THREAD = 8


def word_dtype(bits: int) -> torch.dtype:
    """The integer dtype that holds words of `bits` bits: uint8 up to 8 bits, uint16 up to 16.

    Example:
        >>> word_dtype(8), word_dtype(9)
        (torch.uint8, torch.uint16)
    """
    return torch.uint8 if _checks.integer("bits", bits, 1, 16) <= 8 else torch.uint16


def error_mask(
    shape: Sequence[int],
    probabilities: Sequence[float],
    *,
    seed: int,
    device: torch.device | str = "cpu",
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Error mask: a word for each stored word, its set bits the bits read wrong (stored ^ mask is read).

    Args:
        shape: shape of the mask.
        probabilities: probability of an error for each bit position, bit 0 (least significant) first; 1 to 16 of them.
        seed: the same seed gives the same bits on the same kind of device, whatever the number of threads, and with
            or without Numba. A mask of fewer words is the first part of a longer one, but where PyTorch's operators
            stand in for a kernel.
        device: where the mask is made; ignored when `out` is given.
        out: a contiguous tensor of `word_dtype(len(probabilities))` and of the given shape to overwrite.

    Returns:
        The mask: words of `word_dtype(len(probabilities))`.

    Raises:
        ArgumentError: if a probability is outside [0, 1], their number is, or `out` does not fit.

    Example:
        >>> error_mask((4,), [0.0, 1.0], seed=0)
        tensor([2, 2, 2, 2], dtype=torch.uint8)
    """
    dtype = word_dtype(len(probabilities))
    rates = _rates(probabilities)
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ArgumentError(f"device must be a device of torch, got {device!r}") from None
    if out is None:
        out = torch.empty(tuple(shape), dtype=dtype, device=device)
    elif out.dtype != dtype or out.shape != torch.Size(shape) or not out.is_contiguous():
        raise ArgumentError(
            f"out must be a contiguous {dtype} tensor of shape {tuple(shape)}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    if out.device.type == "cpu":
        # Not by torch, whose threads stay busy for a while after they are done, beside those of the kernel.
        out.numpy().fill(0)
    elif fused_kernel(out.device.type):
        out.zero_()
    else:
        draw_mask(out, rates, seed)
        return out
    return flip(out, rates, seed=seed, in_place=True)


def flip(words: torch.Tensor, probabilities: Sequence[float], *, seed: int, in_place: bool = False) -> torch.Tensor:
    """Words with independent bit errors, each bit position with its own probability.

    Args:
        words: contiguous or not, of `word_dtype(len(probabilities))`; bits beyond the probabilities stay as stored.
        probabilities: as for `error_mask`.
        seed: as for `error_mask`.
        in_place: overwrite `words` instead of returning new ones.

    Returns:
        The words as read.

    Raises:
        ArgumentError: if the words have another dtype, or overlap themselves and are to be overwritten; or
            as `error_mask`.

    Example:
        >>> flip(torch.tensor([0, 3], dtype=torch.uint8), [1.0, 0.0], seed=0)
        tensor([1, 2], dtype=torch.uint8)
    """
    return flip_asymmetric(words, probabilities, probabilities, seed=seed, in_place=in_place)


def flip_asymmetric(
    words: torch.Tensor, p01: Sequence[float], p10: Sequence[float], *, seed: int, in_place: bool = False
) -> torch.Tensor:
    """Words with independent bit errors whose probability depends on the stored bit.

    Args:
        words: contiguous or not, of `word_dtype(len(p01))`.
        p01: probability of reading 1 where 0 is stored, bit 0 first.
        p10: probability of reading 0 where 1 is stored, bit 0 first.
        seed: as for `error_mask`.
        in_place: overwrite `words` instead of returning new ones.

    Returns:
        The words as read.

    Raises:
        ArgumentError: as `flip`.

    Example:
        >>> flip_asymmetric(torch.tensor([0, 3], dtype=torch.uint8), [0.0, 0.0], [1.0, 0.0], seed=0)
        tensor([0, 2], dtype=torch.uint8)
    """
    return flipper(words, p01, p10, in_place=in_place)(seed)


def flipper(
    words: torch.Tensor, p01: Sequence[float], p10: Sequence[float], *, in_place: bool = False
) -> Callable[[int], torch.Tensor]:
    """Return `seed -> flip_asymmetric(words, p01, p10, seed=seed)` with everything else precomputed.

    Arguments and errors as for `flip_asymmetric`.

    Example:
        >>> flipper(torch.tensor([0, 3], dtype=torch.uint8), [0.0, 0.0], [1.0, 0.0])(0)
        tensor([0, 2], dtype=torch.uint8)
    """
    check_words(words, len(p01), in_place=in_place)
    rising, falling = _rates(p01), _rates(p10)
    # A memory without errors compiles no kernel.
    if not any((*rising, *falling)):
        return lambda _: words if in_place else words.clone()
    if words.device.type != "cpu":
        return lambda seed: _read_elsewhere(words, rising, falling, seed, in_place)
    read, recipe = _reader(words, in_place, kernels().flip_blocks), flip_recipe(rising, falling)
    return lambda seed: read(_key(seed, "error mask"), *recipe)


def read_static(
    words: torch.Tensor, recipe: StaticRecipe, *, seed: int, cells: int, in_place: bool = False
) -> torch.Tensor:
    """Words on a CPU as read from cells of several classes. The caller has checked them with `check_words`.

    Args:
        words: contiguous or not.
        recipe: the error rates of each class.
        seed: the same seed gives the same errors.
        cells: seed of the classes: the same number gives each cell the same class in every read.
        in_place: overwrite `words` instead of returning new ones.
    """
    keys = _key(seed, "static cells"), _key(cells, "classes of cells"), _key(seed, "ties of static cells")
    return _reader(words, in_place, kernels().static_blocks)(*keys, *recipe)


def read_transitions(
    words: torch.Tensor, recipe: TransitionRecipe, *, seed: int, in_place: bool = False
) -> torch.Tensor:
    """Words on a CPU as read from cells of several bits each. Arguments and checks as for `read_static`."""
    keys = _key(seed, "multi-level"), _key(seed, "ties of multi-level cells")
    return _reader(words, in_place, kernels().transition_blocks, as_bytes=False)(*keys, *recipe)


def check_words(words: torch.Tensor, bits: int, *, in_place: bool = False) -> None:
    """Check that words have the dtype for `bits` bits, and with `in_place` that no two of them share memory.

    Raises:
        ArgumentError: if not.
    """
    if words.dtype != word_dtype(bits):
        raise ArgumentError(f"words of {bits} bits must be {word_dtype(bits)}, got {words.dtype}")
    # Words of `expand` lie in the same memory: written back, each would carry the errors of the last.
    if in_place and any(stride == 0 and size > 1 for stride, size in zip(words.stride(), words.shape, strict=True)):
        raise ArgumentError("words must not share memory with each other to be overwritten; give a clone")


@cache
def kernels() -> ModuleType:
    """The kernel module: compiled where Numba can be imported, else NumPy. Both draw the same bits."""
    try:
        from qtaml.sampling import numba_kernels as compiled
    except ImportError:
        from qtaml.sampling import numpy_kernels as vectorised

        return vectorised
    return compiled


@cache
def fused_kernel(device: str) -> ModuleType | None:
    """The Triton kernel module for a device type other than the CPU; None where only PyTorch's operators run."""
    # Triton builds its launcher with a C compiler when a kernel is first called.
    if device != "cuda" or not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return None
    try:
        from qtaml.sampling import triton_kernel as fused
    except ImportError:
        return None
    return fused


def _reader(
    words: torch.Tensor, in_place: bool, kernel: Callable[..., None], *, as_bytes: bool = True
) -> Callable[..., torch.Tensor]:
    """Return `arguments of the kernel -> words read`, with everything that does not depend on the seed precomputed."""
    # Shares memory with `words` where they are contiguous, else copies them: they must not change between reads.
    source = words.contiguous()
    stored = source.reshape(-1).numpy()
    before = stored.view(np.uint8) if as_bytes else stored

    def read(*arguments: Any) -> torch.Tensor:
        after = before if in_place else np.empty_like(before)
        _share(kernel, before, after, *arguments)
        if in_place:
            return words if source is words else words.copy_(source)
        return torch.from_numpy(after.view(stored.dtype).reshape(words.shape))

    return read


def _share(kernel: Callable[..., None], before: NDArray[Any], after: NDArray[Any], *arguments: Any) -> None:
    """Call a kernel on all blocks, shared among as many threads as torch uses."""
    blocks = -(-before.size // BLOCK)
    threads = min(torch.get_num_threads(), blocks // _FEWEST_BLOCKS_OF_A_THREAD)
    if threads <= 1:
        kernel(before, after, 0, blocks, *arguments)
        return
    # The calling thread takes a part too: it would only wait, and a pool with a thread fewer starts sooner.
    borders = [blocks * i // threads for i in range(threads + 1)]
    own, *others = pairwise(borders)
    with ThreadPoolExecutor(threads - 1) as pool:
        spans = [pool.submit(kernel, before, after, *span, *arguments) for span in others]
        kernel(before, after, *own, *arguments)
        # Leaving the pool waits for the threads, but only `result` raises what went wrong in them.
        for span in spans:
            span.result()


def _read_elsewhere(
    words: torch.Tensor, p01: Sequence[float], p10: Sequence[float], seed: int, in_place: bool
) -> torch.Tensor:
    """Words read on a device other than the CPU: by the Triton kernel, else with masks from PyTorch's operators."""
    fused = fused_kernel(words.device.type)
    if fused:
        source = words.contiguous()
        target = source if in_place else torch.empty_like(source)
        fused.read_into(target, source, p01, p10, seed=seed)
        return words.copy_(target) if in_place and target is not words else target
    if p01 == p10:
        mask = error_mask(words.shape, p01, seed=seed, device=words.device)
    else:
        rising = error_mask(words.shape, p01, seed=child_seed(seed, "0 to 1"), device=words.device)
        falling = error_mask(words.shape, p10, seed=child_seed(seed, "1 to 0"), device=words.device)
        mask = rising ^ ((rising ^ falling) & words)
    return words.bitwise_xor_(mask) if in_place else words ^ mask


def _rates(probabilities: Sequence[float]) -> tuple[float, ...]:
    return tuple(_checks.probability(f"probabilities[{i}]", p) for i, p in enumerate(probabilities))


def _key(seed: int, *labels: str) -> NDArray[np.uint64]:
    """Key of 128 bits: a hash of a seed and of labels that say what it is for."""
    text = repr((_checks.integer("seed", seed, 0), *labels))
    # A copy, since `frombuffer` is read-only: for Numba that is another type, with a kernel compiled for each.
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint64).copy()
