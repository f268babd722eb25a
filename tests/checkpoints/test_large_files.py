"""Files that are larger than the memory they are read with."""

import json
import subprocess
import sys

import pytest
import torch

PLAN = """
import resource, sys
from qtaml.checkpoints import ReadCheckpoint, inspect, open_checkpoint, protect
from qtaml.protections import pareto_front
pareto_front(0.01, 0.01)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
checkpoint = open_checkpoint(sys.argv[1])
inspect(checkpoint)
plan = protect(checkpoint, p=0.01, cells=1.1)
ReadCheckpoint(checkpoint, plan, seed=0).save(sys.argv[1] + ".read.safetensors")
print(checkpoint.bits // 8 // 1024, peak() - before)
"""


def _large(path, blocks):
    """A tensor of BF16 of so many pieces of 4 MiB, all alike."""
    block = torch.randn(2**21, generator=torch.Generator().manual_seed(0)).bfloat16().view(torch.uint8).numpy()
    entry = {"dtype": "BF16", "shape": [blocks, 2**21], "data_offsets": [0, blocks * 2**22]}
    header = json.dumps({"w": entry}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(blocks):
            file.write(block.tobytes())


@pytest.mark.long  # 256 MiB are written and read several times
def test_a_file_is_never_whole_in_memory(tmp_path):
    """One tensor of 256 MiB is inspected, planned, read with errors and written in less than half of that."""
    _large(tmp_path / "m.safetensors", 64)
    command = [sys.executable, "-c", PLAN, str(tmp_path / "m.safetensors")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    size, grown = map(int, found.stdout.split())
    assert size == 256 * 1024
    assert grown < size / 2
