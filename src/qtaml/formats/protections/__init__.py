"""How one stored bit is protected: what it costs in cells, and how often it is still read wrong.

A new family is one more class, in a file of its own, in `AnyProtection` and in the menu of `protections`.
"""

from typing import Annotated

from pydantic import Field

from qtaml.formats.protections.base import DECODERS, BitProtection, Decoder
from qtaml.formats.protections.bch import Bch
from qtaml.formats.protections.block_code import BlockCode
from qtaml.formats.protections.block_coder import BlockCoder
from qtaml.formats.protections.hamming import Hamming
from qtaml.formats.protections.menu import AnyProtection, protections
from qtaml.formats.protections.plain import HardenedCell, Ideal, Raw
from qtaml.formats.protections.repetition import Repetition

Protection = Annotated[AnyProtection, Field(discriminator="kind")]
"""Any protection."""

__all__ = [
    "DECODERS",
    "Bch",
    "BitProtection",
    "BlockCode",
    "BlockCoder",
    "Decoder",
    "Hamming",
    "HardenedCell",
    "Ideal",
    "Protection",
    "Raw",
    "Repetition",
    "protections",
]
