"""How a weight is written and read: levels, scale, protection, and the exact law of what is read."""

from qtaml.formats.chunks import CHUNK, words_at
from qtaml.formats.format import Format, label_dtype, read_moments
from qtaml.formats.levels import ENCODINGS, GRIDS, Encoding, Grid, evenly_spaced, labels, levels, quantisation_step
from qtaml.formats.nearest_label import least_error_regions
from qtaml.formats.tensor_format import (
    CORRECTIONS,
    GRANULARITIES,
    STEPS,
    Correction,
    Granularity,
    Section,
    Step,
    TensorFormat,
)
from qtaml.formats.tensor_reader import TensorReader
from qtaml.formats.transitions import central_moments, error_moments, transition_matrix

__all__ = [
    "CHUNK",
    "CORRECTIONS",
    "ENCODINGS",
    "GRANULARITIES",
    "GRIDS",
    "STEPS",
    "Correction",
    "Encoding",
    "Format",
    "Granularity",
    "Grid",
    "Section",
    "Step",
    "TensorFormat",
    "TensorReader",
    "central_moments",
    "error_moments",
    "evenly_spaced",
    "label_dtype",
    "labels",
    "least_error_regions",
    "levels",
    "quantisation_step",
    "read_moments",
    "transition_matrix",
    "words_at",
]
