"""Error masks the plain way: one uniform number for each bit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def plain_error_mask(count: int, probabilities: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Draw `count` words in which bit i is set with probability `probabilities[i]`."""
    generator = np.random.default_rng(seed)
    words = np.zeros(count, dtype=np.int64)
    for position, probability in enumerate(probabilities):
        in_error = generator.random(count) < probability
        words += in_error * 2**position
    return words


def mask_probabilities(probabilities: Sequence[float]) -> NDArray[np.float64]:
    """Probability of each of the 2**bits masks: the product over the bits."""
    result = []
    for mask in range(2 ** len(probabilities)):
        product = 1.0
        for position, probability in enumerate(probabilities):
            product *= probability if mask >> position & 1 else 1 - probability
        result.append(product)
    return np.array(result)
