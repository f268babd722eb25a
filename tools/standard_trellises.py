"""Fit the standard tables of trellises anew: python -m tools.standard_trellises.

Writes `standard_trellises.json`; three minutes of one core. Another machine may round sums in another order and
find other terms, as good: what is shipped is the standard.
"""

import json
from pathlib import Path

from qtaml import formats
from qtaml._files import write_text
from qtaml._progress import track
from qtaml.faults import Uniform
from qtaml.formats import TrellisLevels
from qtaml.formats.levels import STANDARD
from qtaml.search.trellis_fitting import Shape, fit_trellis, gaussian_weights

RATES = (0.0, 0.01, 0.03, 0.1, 0.2)
"""Shares of the bits that are read wrong."""
WINDOW_BITS = (10, 12)
_FIRST, _WEIGHTS = 2**13, 2**16
_DIGITS, _LEAST = 4, 1e-4


def shapes() -> tuple[Shape, ...]:
    """Those of the search: windows of 8 bits or a few more, 10 and 12."""
    pairs = [(1, 4), (1, 2), *((bits, 1) for bits in range(1, 7))]
    windows = {bits: sorted({max(2, -(-8 // bits)), *(max(2, n // bits) for n in WINDOW_BITS)}) for bits in range(1, 7)}
    return tuple(Shape(bits, window, shared) for bits, shared in pairs for window in windows[bits])


def standard(shape: Shape, rate: float) -> TrellisLevels:
    """A short series for Gaussian weights: found on few of them, then fitted to many."""
    law = Uniform(rate).law(shape.bits)
    first = fit_trellis(gaussian_weights(_FIRST), law, shape, terms=shape.few_terms).levels
    return fit_trellis(gaussian_weights(_WEIGHTS), law, shape, terms=shape.few_terms, start=first).levels


if __name__ == "__main__":
    asked = [(shape, rate) for shape in shapes() for rate in RATES]
    lines = []
    for shape, rate in track(asked, "standard trellises"):
        terms = [(mask, round(value, _DIGITS)) for mask, value in standard(shape, rate).terms if abs(value) > _LEAST]
        lines.append(json.dumps(shape._asdict() | {"terms": terms}, separators=(",", ":")))
    write_text(Path(formats.__file__).with_name(STANDARD), "[\n" + ",\n".join(lines) + "\n]\n")
