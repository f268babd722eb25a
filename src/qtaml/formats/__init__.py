"""How a weight is written and read: levels, scale, protection, and the exact law of what is read."""

from qtaml._kinds import guard_doors
from qtaml.formats.chunks import CHUNK, words_at
from qtaml.formats.format import Format, Rule, label_dtype, read_moments
from qtaml.formats.levels import (
    ENCODINGS,
    GRIDS,
    BitLevels,
    Encoding,
    EvenLevels,
    Grid,
    Levels,
    NamedLevels,
    TableLevels,
    even_or_named,
    evenly_spaced,
    quantisation_step,
)
from qtaml.formats.named_tables import NAMED_TABLES
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

__all__ = [
    "CHUNK",
    "CORRECTIONS",
    "ENCODINGS",
    "GRIDS",
    "NAMED_TABLES",
    "SECTION_VALUES",
    "STEPS",
    "BitLevels",
    "Correction",
    "Encoding",
    "EvenLevels",
    "Fixed",
    "Format",
    "Granularity",
    "Grid",
    "Largest",
    "Levels",
    "NamedLevels",
    "Outliers",
    "RootMeanSquare",
    "Rule",
    "Scale",
    "Section",
    "Step",
    "TableLevels",
    "TensorFormat",
    "TensorReader",
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
    "words_at",
]

guard_doors(__name__)
