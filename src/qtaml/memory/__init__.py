"""A model stored under a plan; reading it with errors; saving and loading."""

from qtaml.memory.artifact import (
    MANIFEST,
    Artifact,
    Manifest,
    StoredTensor,
    check_replaceable,
    check_words,
    read_artifact,
    read_manifest,
)
from qtaml.memory.differences import Difference, differences
from qtaml.memory.memory import Memory, attach, load, store, words_as_read
from qtaml.memory.planes import Region, pack, regions, unpack

__all__ = [
    "MANIFEST",
    "Artifact",
    "Difference",
    "Manifest",
    "Memory",
    "Region",
    "StoredTensor",
    "attach",
    "check_replaceable",
    "check_words",
    "differences",
    "load",
    "pack",
    "read_artifact",
    "read_manifest",
    "regions",
    "store",
    "unpack",
    "words_as_read",
]
