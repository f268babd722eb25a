"""Samplers of bit errors: exact in distribution, fast, determined by the seed alone."""

from qtaml._kinds import guard_doors
from qtaml.sampling.sampler import error_mask, flip, flip_asymmetric, word_dtype

__all__ = [
    "error_mask",
    "flip",
    "flip_asymmetric",
    "word_dtype",
]

guard_doors(__name__)
