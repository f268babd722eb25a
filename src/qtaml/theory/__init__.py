"""Closed forms of the paper, each with its place in `theory.md`."""

from qtaml.theory.allocation import ROUNDING_BOUND, saturation_ratio, water_filling

__all__ = ["ROUNDING_BOUND", "saturation_ratio", "water_filling"]
