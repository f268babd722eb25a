"""A model stored under a plan; reading it with errors; saving and loading."""

from qtaml._kinds import guard_doors
from qtaml.memory.artifact import (
    MANIFEST,
    Artifact,
    StoredTensor,
    check_replaceable,
    check_words,
    read_artifact,
)
from qtaml.memory.differences import Difference, differences
from qtaml.memory.memory import Memory, attach, load, store, words_as_read
from qtaml.memory.planes import Region, pack, regions, unpack
from qtaml.memory.same_tensors import check_fits
from qtaml.planning.weak_cells import weak_bits

__all__ = [
    "MANIFEST",
    "Artifact",
    "Difference",
    "Memory",
    "Region",
    "StoredTensor",
    "attach",
    "check_fits",
    "check_replaceable",
    "check_words",
    "differences",
    "load",
    "pack",
    "read_artifact",
    "regions",
    "store",
    "unpack",
    "weak_bits",
    "words_as_read",
]

guard_doors(__name__)
