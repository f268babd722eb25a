"""Ways to store a weight: levels and labels, protections, and their exact laws under errors."""

from qtaml.formats.chunks import CHUNK, words_at
from qtaml.formats.even_levels import evenly_spaced, fit_even
from qtaml.formats.fitting import Fitted, assess, fit, settle
from qtaml.formats.format import Format, label_dtype, read_moments
from qtaml.formats.histogram import Histogram
from qtaml.formats.levels import ENCODINGS, GRIDS, Encoding, Grid, labels, levels
from qtaml.formats.protections import (
    Bch,
    BlockCode,
    Decoder,
    Hamming,
    HardenedCell,
    Ideal,
    Protection,
    Raw,
    Repetition,
    protections,
)
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
    "Bch",
    "BlockCode",
    "Correction",
    "Decoder",
    "Encoding",
    "Fitted",
    "Format",
    "Granularity",
    "Grid",
    "Hamming",
    "HardenedCell",
    "Histogram",
    "Ideal",
    "Protection",
    "Raw",
    "Repetition",
    "Section",
    "Step",
    "TensorFormat",
    "TensorReader",
    "assess",
    "central_moments",
    "error_moments",
    "evenly_spaced",
    "fit",
    "fit_even",
    "label_dtype",
    "labels",
    "levels",
    "protections",
    "read_moments",
    "settle",
    "transition_matrix",
    "words_at",
]
