"""A model stored under a plan; reading it with errors; saving and loading."""

from qtaml.memory.artifact import MANIFEST, Manifest, StoredTensor, read_manifest
from qtaml.memory.memory import Memory, load, store

__all__ = ["MANIFEST", "Manifest", "Memory", "StoredTensor", "load", "read_manifest", "store"]
