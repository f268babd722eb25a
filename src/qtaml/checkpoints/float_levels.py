"""Levels of float words, as torch and NumPy read them: NaN and infinity as they are."""

from functools import cache

import numpy as np
import torch

from qtaml.checkpoints.fields import Floats


@cache
def float_levels(kind: str) -> Floats:
    """Value of each word of a float format of 8 or 16 bits, as one row; do not write into it.

    Args:
        kind: such as "fp16" or "bf16".

    Example:
        >>> float(float_levels("bf16")[0, 0x3F80])
        1.0
    """
    dtype = _DTYPES[kind]
    raw = np.uint16 if dtype.itemsize == 2 else np.uint8
    words = torch.from_numpy(np.arange(256**dtype.itemsize).astype(raw))
    values: Floats = words.view(dtype).double().numpy()[None]
    values.setflags(write=False)
    return values


_DTYPES = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "e8m0": torch.float8_e8m0fnu,
}
