"""Encoder and decoder of block codes near capacity: the 5G LDPC codes of Sionna (extra `codes`)."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import scipy
import torch
import torch.nn.functional as F

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.protections.block_codes import SMALLER_GRAPH

# Parity is checked after so many iterations, then after each further step: a check of all blocks is worth its time only
# where it lets some of them stop.
FIRST, STEP = 8, 4
# The shipped bounds were measured with this many: with fewer, the residual rates of `BlockCode` would not hold.
MAX_ITERATIONS = 60
# Messages of a batch take a float for each block and edge of the code's graph. Blocks are independent, so the size of a
# batch changes time and memory only.
_WORDS_PER_BATCH = 32
# Sionna clips log ratios ln P(1)/P(0) to this (`llr_max`), so it stands for a bit that is known.
CERTAIN = 20.0


class BlockCoder:
    """Encoder and decoder of a 5G LDPC code: data bits to stored bits and back.

    Stored bits should be scrambled by a known random word, so that any memory looks symmetric to the decoder.

    Args:
        data_bits: k, information bits of a block.
        code_bits: n, stored bits of a block.

    Raises:
        ArgumentError: if Sionna is not installed, or its 5G standard has no such code.

    Source:
        theory.md 5.3; 3GPP TS 38.212, 5.3.2.
    """

    def __init__(self, data_bits: int, code_bits: int) -> None:
        self.data_bits = _checks.integer("data_bits", data_bits, 12)
        self.code_bits = _checks.integer("code_bits", code_bits, data_bits + 1)
        self._encoder, self._decoder, self.checks = _sionna(data_bits, min(code_bits, _longest(data_bits)))

    @property
    def lifting(self) -> int:
        """Columns and rows of the parity checks come in groups of so many, each a rotation of its first."""
        return int(self._encoder.z)

    def encode(self, data: torch.Tensor) -> torch.Tensor:
        """Blocks to store.

        Args:
            data: bits, uint8, shape (blocks, data_bits).

        Returns:
            Bits, uint8, shape (blocks, code_bits).
        """
        self._check_bits("data", data, self.data_bits)
        parts = torch.split(data, _WORDS_PER_BATCH)
        words = torch.cat([self._encoder(part.float()).to(torch.uint8) for part in parts])
        # Beyond the longest code its bits are stored again, from the first on.
        return words.repeat(1, -(-self.code_bits // words.shape[1]))[:, : self.code_bits]

    def decode(self, read: torch.Tensor, p: float) -> torch.Tensor:
        """Data bits of blocks as read.

        Belief propagation goes on for a block until every parity check holds, or until 60 iterations.

        Args:
            read: bits, uint8, shape (blocks, code_bits).
            p: rate of the errors, above 0 and below 1/2.

        Returns:
            Bits, uint8, shape (blocks, data_bits).

        Raises:
            ArgumentError: if p is not above 0 and below 1/2.
        """
        if _checks.flip_probability("p", p) == 0:
            raise ArgumentError(f"p must be above 0, got {p!r}")
        self._check_bits("read", read, self.code_bits)
        return torch.cat([self._decode(part, p) for part in torch.split(read, _WORDS_PER_BATCH)])

    @staticmethod
    def _check_bits(name: str, bits: torch.Tensor, length: int) -> None:
        if bits.ndim != 2 or bits.shape[1] != length or bits.is_complex():
            raise ArgumentError(
                f"{name} must be bits of shape (blocks, {length}), got {bits.dtype} of shape {tuple(bits.shape)}"
            )

    def _decode(self, read: torch.Tensor, p: float) -> torch.Tensor:
        found = torch.empty(len(read), self.data_bits, dtype=torch.uint8, device="cpu")
        blocks = torch.arange(len(read), device="cpu")
        ratios = self.ratios((2 * read.float() - 1) * math.log((1 - p) / p))
        messages = None
        for iterations in (FIRST, *(STEP,) * ((MAX_ITERATIONS - FIRST) // STEP)):
            # The messages go on where they stopped, for the blocks that are left alone.
            bits, messages = self._decoder(ratios[blocks], num_iter=iterations, msg_v2c=messages)
            found[blocks] = bits[:, : self.data_bits].to(torch.uint8)
            failed = torch.from_numpy(((self.checks @ bits.numpy().T) % 2).any(0))
            blocks, messages = blocks[failed], messages[failed]
            if not len(blocks):
                break
        return found

    def ratios(self, stored: torch.Tensor) -> torch.Tensor:
        """Log ratios of all bits of the code from those of the stored ones: what its parity checks are about.

        Args:
            stored: ln P(1)/P(0) of each stored bit, shape (blocks, code_bits).

        Returns:
            The same of each bit, 0 for data bits that 5G never stores, -20 for the known zeros that fill up the data;
            shape (blocks, columns of `checks`).
        """
        if stored.ndim != 2 or stored.shape[1] != self.code_bits or stored.is_complex():
            raise ArgumentError(
                f"stored must be real, of shape (blocks, {self.code_bits}), got {tuple(stored.shape)} {stored.dtype}"
            )
        length = min(self.code_bits, _longest(self.data_bits))
        # Copies of a bit are read independently of each other: their log ratios add up.
        copies = F.pad(stored, (0, -stored.shape[1] % length)).reshape(len(stored), -1, length).sum(1)
        # 5G never stores the first two groups of data bits, and pads the data with known zeros.
        hidden, filler = 2 * self.lifting, self._encoder.k_filler
        kept = self.data_bits - hidden
        data, parity = copies[:, :kept], copies[:, kept:]
        known = F.pad(F.pad(data, (hidden, 0)), (0, filler), value=-CERTAIN)
        rest = self.checks.shape[1] - known.shape[1]
        return torch.cat([known, F.pad(parity, (0, rest - parity.shape[1]))], 1)


def _longest(data_bits: int) -> int:
    """Bits of the longest code without copies: the smaller of the two graphs of 5G goes down to a rate of 1/5."""
    return data_bits * (5 if data_bits <= SMALLER_GRAPH else 3)


@lru_cache(maxsize=16)
def _sionna(data_bits: int, code_bits: int) -> tuple[Any, Any, Any]:
    """Encoder, decoder and parity checks of a code; checks that bind only bits that are not stored are left out."""
    try:
        from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder, LDPCBPDecoder
    except ImportError as error:
        raise ArgumentError("block codes need Sionna: pip install 'qtaml[codes]'") from error
    try:
        encoder = LDPC5GEncoder(data_bits, code_bits, device="cpu")
        checks = LDPC5GDecoder(encoder, device="cpu").pcm
    except ValueError as error:
        raise ArgumentError(f"5G has no code of {data_bits} data bits in {code_bits}: {error}") from error
    decoder = LDPCBPDecoder(checks, cn_update="boxplus", return_state=True, llr_max=CERTAIN, device="cpu")
    return encoder, decoder, scipy.sparse.csr_array(checks).astype(np.float32)
