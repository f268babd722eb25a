"""The guessed interval is the one that a search finds."""

import pytest
import torch

from qtaml.formats.bucketize import intervals

BOUNDARIES = {
    "even": torch.linspace(-1, 1, 255, dtype=torch.float64),
    "nearly even": torch.linspace(-1, 1, 255, dtype=torch.float64) * (1 + 1e-9 * torch.arange(255)),
    "uneven": torch.randn(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sort().values,
    "repeated": torch.linspace(0, 3, 100, dtype=torch.float64).floor(),
    "all the same": torch.zeros(40, dtype=torch.float64),
    "few": torch.tensor([-0.5, 0.5], dtype=torch.float64),
    "none": torch.empty(0, dtype=torch.float64),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_it_is_a_search(name):
    """For values between, on and next to the boundaries, beyond them, infinite and no numbers."""
    boundaries = BOUNDARIES[name]
    infinity = torch.tensor(torch.inf, dtype=torch.float64)
    values = torch.cat(
        [
            torch.randn(1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64),
            boundaries,
            boundaries.nextafter(infinity),
            boundaries.nextafter(-infinity),
            torch.tensor([-1e300, 1e300, -torch.inf, torch.inf, torch.nan], dtype=torch.float64),
        ]
    )
    assert torch.equal(intervals(values, boundaries), torch.bucketize(values, boundaries, out_int32=True))
