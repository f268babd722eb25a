"""What entropy-coded labels are counted in: units of their shares, and bytes and bits that a block takes besides."""

SHARE_BITS = 12
"""Shares of labels are counted in units of 2**-12."""
STATE_BYTES = 4
"""Bytes of the state of the coder, which comes before all others."""
ROUNDING_BITS = 7.1e-4
"""Bits by which rounding of the state may lengthen the code of a label, at most: log2(1 + 2**-11)."""
