"""Files that are larger than the memory they are read with."""

import json
import subprocess
import sys

import pytest
import torch

from qtaml.checkpoints import ReadCheckpoint, inspect, open_checkpoint, protect
from qtaml.checkpoints.checkpoint_file import PIECE, Source

PLAN = """
import resource, sys
from qtaml.checkpoints import ReadCheckpoint, inspect, open_checkpoint, protect
checkpoint = open_checkpoint(sys.argv[1])
inspect(checkpoint)
plan = protect(checkpoint, p=0.01, cells=1.1)
ReadCheckpoint(checkpoint, plan, seed=0).save(sys.argv[2])
print(checkpoint.bits // 8, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _large(path, blocks, tensors=1):
    """Tensors of BF16, each of so many pieces of 4 MiB, all alike."""
    block = torch.randn(2**21, generator=torch.Generator().manual_seed(0)).bfloat16().view(torch.uint8).numpy()
    size = blocks * 2**22
    entries = {
        f"{number}": {"dtype": "BF16", "shape": [blocks, 2**21], "data_offsets": [number * size, (number + 1) * size]}
        for number in range(tensors)
    }
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(blocks * tensors):
            file.write(block.tobytes())
    return path


@pytest.mark.slow
def test_no_more_than_a_piece_is_read_at_once(tmp_path, monkeypatch):
    """Of a tensor of 12 MiB that is inspected, planned, and written as read; all of it is read."""
    checkpoint, read, counts = open_checkpoint(_large(tmp_path / "m.safetensors", 3)), Source.read, []

    def noted(source, offset, count):
        counts.append(count)
        return read(source, offset, count)

    monkeypatch.setattr(Source, "read", noted)
    inspect(checkpoint)
    assert sum(counts) < PIECE
    plan = protect(checkpoint, p=0.01, cells=1.1, decoders=("none", "majority"))
    ReadCheckpoint(checkpoint, plan, seed=0).save(tmp_path / "read.safetensors")
    assert max(counts) == PIECE
    assert sum(counts) >= 2 * 3 * PIECE


@pytest.mark.long  # 8 GiB are written twice, and read three times
@pytest.mark.parametrize("tensors", [1, 8])
def test_a_file_of_many_gigabytes_takes_less_than_two(tmp_path, tensors):
    """1 GiB, and 8 GiB, are inspected, planned, read with errors and written; torch and all else that is loaded too."""
    path = _large(tmp_path / "m.safetensors", 256, tensors)
    read = tmp_path / "read.safetensors"
    try:
        found = subprocess.run([sys.executable, "-c", PLAN, path, read], capture_output=True, text=True, check=True)
    finally:
        for file in (path, read):
            file.unlink(missing_ok=True)  # pytest keeps the folders of several runs
    size, peak = map(int, found.stdout.split())
    assert size == tensors * 2**30
    assert peak < 2**31
