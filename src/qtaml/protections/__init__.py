"""Protections of a stored bit: raw and larger cells, repetition, Hamming, BCH and LDPC codes, with cost and residual.

A new family is one more class, in a file of its own, in `AnyProtection` and in `pareto_front`.
"""

from typing import Annotated

from pydantic import Field

from qtaml._kinds import guard_doors
from qtaml.protections.base import DECODERS, BitProtection, Bursts, Decoder
from qtaml.protections.bch import Bch
from qtaml.protections.block_code import BlockCode
from qtaml.protections.block_coder import BlockCoder
from qtaml.protections.hamming import Hamming
from qtaml.protections.pareto_front import AnyProtection, pareto_front
from qtaml.protections.plain import HardenedCell, Ideal, Raw
from qtaml.protections.repetition import Repetition

Protection = Annotated[AnyProtection, Field(discriminator="kind")]
"""Any protection."""

__all__ = [
    "DECODERS",
    "Bch",
    "BitProtection",
    "BlockCode",
    "BlockCoder",
    "Bursts",
    "Decoder",
    "Hamming",
    "HardenedCell",
    "Ideal",
    "Protection",
    "Raw",
    "Repetition",
    "pareto_front",
]

guard_doors(__name__)
