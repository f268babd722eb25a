"""Types of numbers and arrays, and the return from arrays to plain floats."""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A type variable, not a union: callers who pass a float get a float without a cast.
Quantity = TypeVar("Quantity", float, NDArray[np.float64])


def like(template: Quantity, result: Array) -> Quantity:
    """Return `result` as a Python float if it is of dimension 0, else unchanged; the type is that of `template`."""
    plain: Any = float(result) if np.ndim(result) == 0 else result
    return cast("Quantity", plain)
