"""How a weight is written and read: levels, scale, protection, and the exact law of what is read."""

from qtaml._kinds import guard_doors
from qtaml.formats.bit_levels import BitLevels
from qtaml.formats.chunks import CHUNK, words_at
from qtaml.formats.entropy import EntropyLevels
from qtaml.formats.float_formats import FLOAT_FORMATS, NONFINITE, FloatFormat, Nonfinite
from qtaml.formats.format import Format, Rule, label_dtype, read_moments
from qtaml.formats.levels import (
    ENCODINGS,
    GRIDS,
    Encoding,
    EvenLevels,
    Grid,
    Levels,
    NamedLevels,
    TableLevels,
    TrellisLevels,
    even_or_named,
    evenly_spaced,
    quantisation_step,
    walsh,
)
from qtaml.formats.named_tables import NAMED_TABLES, WEIGHT_TABLES
from qtaml.formats.nearest_label import least_error_regions
from qtaml.formats.outliers import Outliers
from qtaml.formats.scales import (
    STEPS,
    Fixed,
    Granularity,
    Largest,
    RootMeanSquare,
    Scale,
    Step,
    row_length,
    scale_shape,
)
from qtaml.formats.sections import Section
from qtaml.formats.tensor_format import CORRECTIONS, SECTION_VALUES, Correction, TensorFormat
from qtaml.formats.tensor_reader import TensorReader
from qtaml.formats.transitions import central_moments, error_moments, transition_matrix
from qtaml.formats.weak_bits import WeakBits

__all__ = [
    "CHUNK",
    "CORRECTIONS",
    "ENCODINGS",
    "FLOAT_FORMATS",
    "GRIDS",
    "NAMED_TABLES",
    "NONFINITE",
    "SECTION_VALUES",
    "STEPS",
    "WEIGHT_TABLES",
    "BitLevels",
    "Correction",
    "Encoding",
    "EntropyLevels",
    "EvenLevels",
    "Fixed",
    "FloatFormat",
    "Format",
    "Granularity",
    "Grid",
    "Largest",
    "Levels",
    "NamedLevels",
    "Nonfinite",
    "Outliers",
    "RootMeanSquare",
    "Rule",
    "Scale",
    "Section",
    "Step",
    "TableLevels",
    "TensorFormat",
    "TensorReader",
    "TrellisLevels",
    "WeakBits",
    "central_moments",
    "error_moments",
    "even_or_named",
    "evenly_spaced",
    "label_dtype",
    "least_error_regions",
    "quantisation_step",
    "read_moments",
    "row_length",
    "scale_shape",
    "transition_matrix",
    "walsh",
    "words_at",
]

guard_doors(__name__)
