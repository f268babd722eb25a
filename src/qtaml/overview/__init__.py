"""What there is to see of stored networks: the numbers of a report, as one record."""

from qtaml._kinds import guard_doors
from qtaml.overview.records import (
    Better,
    BitCells,
    Comparison,
    CurvePoint,
    ErrorsOfWeights,
    NetworkOverview,
    Overview,
    Reference,
    TensorOverview,
    WeightsOverview,
)
from qtaml.overview.summarise import Stored, summarise
from qtaml.overview.verdict import good_chips, metric_text, verdict

__all__ = [
    "Better",
    "BitCells",
    "Comparison",
    "CurvePoint",
    "ErrorsOfWeights",
    "NetworkOverview",
    "Overview",
    "Reference",
    "Stored",
    "TensorOverview",
    "WeightsOverview",
    "good_chips",
    "metric_text",
    "summarise",
    "verdict",
]

guard_doors(__name__)
