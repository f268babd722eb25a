"""How to measure hundreds of cases, on one machine or many: cases, tasks, workers, sweep files."""

from qtaml._kinds import guard_doors
from qtaml.laboratory.cases import Case, OwnNetwork, Samples
from qtaml.laboratory.laboratory import Laboratory, Manifest, Measured
from qtaml.laboratory.result_file import read_results, result_json, save_result

__all__ = [
    "Case",
    "Laboratory",
    "Manifest",
    "Measured",
    "OwnNetwork",
    "Samples",
    "read_results",
    "result_json",
    "save_result",
]

guard_doors(__name__)
