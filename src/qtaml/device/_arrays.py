"""Types of numbers and arrays, and the return from arrays to plain floats."""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# What goes in comes out: a float for a float, an array for an array.
Quantity = TypeVar("Quantity", float, NDArray[np.float64])


def like(template: Quantity, result: Array) -> Quantity:
    """Return `result` as a Python float if it has no dimension, as `template` then has none, else as it is."""
    plain: Any = float(result) if np.ndim(result) == 0 else result
    return cast("Quantity", plain)
