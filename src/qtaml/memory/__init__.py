"""A model stored under a plan; reading it with errors; saving and loading."""

from qtaml.memory.artifact import Manifest, StoredTensor, read_manifest
from qtaml.memory.memory import Memory, load, store

__all__ = ["Manifest", "Memory", "StoredTensor", "load", "read_manifest", "store"]
