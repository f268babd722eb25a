"""A model stored under a plan; reading it with errors; saving and loading."""

from qtaml.memory.artifact import MANIFEST, Artifact, Manifest, StoredTensor, read_artifact, read_manifest
from qtaml.memory.memory import Memory, load, store
from qtaml.memory.planes import Region, pack, regions, unpack

__all__ = [
    "MANIFEST",
    "Artifact",
    "Manifest",
    "Memory",
    "Region",
    "StoredTensor",
    "load",
    "pack",
    "read_artifact",
    "read_manifest",
    "regions",
    "store",
    "unpack",
]
