"""Read the weights of a network that qtaml stored, with NumPy alone: the layout is described in docs/artifact.md.

python read_artifact.py STORED_NETWORK [WEIGHTS.npz]
"""

import binascii
import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np

VERSION = 7
DTYPES = {"U8": "u1", "I8": "i1", "I32": "i4", "I64": "i8", "BOOL": "?", "F16": "f2", "F32": "f4", "F64": "f8"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file: 8 bytes with the length of a JSON header, the header, and the data."""
    start = 8 + int.from_bytes((data := path.read_bytes())[:8], "little")
    header, arrays = json.loads(data[8:start]), memoryview(data)[start:]
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(arrays[slice(*one["data_offsets"])], DTYPES[one["dtype"]]).reshape(one["shape"])
        for name, one in header.items()
    }


def check(folder: Path) -> None:
    """Compare every checksum."""
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    if (folder / "manifest.json.sha256").read_text() != f"{digest}  manifest.json\n":
        raise ValueError(f"{folder / 'manifest.json'} is damaged")
    manifest = json.loads((folder / "manifest.json").read_text())
    if (manifest["format"], manifest["version"]) != ("qtaml-memory", VERSION):
        raise ValueError(f"{folder} is not a qtaml-memory of version {VERSION}")
    for name, expected in manifest["sha256"].items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise ValueError(f"{folder / name} is damaged")


def unwound(words: np.ndarray, weights: int, stored: dict) -> np.ndarray:
    """Labels of entropy-coded blocks (rANS): a check sum, and the state, whose low bits tell the next label."""
    stream, counts, end, labels = stored["stream"], stored["stream"]["counts"], 0, []
    blocks = max(weights // stream["block_weights"], 1)
    starts, label_of = [0, *np.cumsum(counts).tolist()], np.repeat(range(len(counts)), counts).tolist()
    data = np.packbits(words >> np.arange(stored["bits"])[:, None] & 1, bitorder="little").tobytes()
    for size in [weights // blocks + (place < weights % blocks) for place in range(blocks)]:
        start, at, end = end, end + 6, end + 6 - (6 - stream["block_bytes"]) * size // stream["block_weights"]
        state = int.from_bytes(data[at - 4 : at], "little")
        for _ in range(size):
            labels.append(label := label_of[share := state & 4095])
            state = counts[label] * (state >> 12) + share - starts[label]
            while state < 1 << 23 and at < end:
                state, at = state << 8 | data[at], at + 1
        if binascii.crc_hqx(data[start + 2 : end], 0) != int.from_bytes(data[start : start + 2], "little"):
            labels[-size:] = [-1] * size  # read as the last value of the table, 0
    return np.array(labels)


def labels_of(region: dict, stored: dict, packed: np.ndarray) -> np.ndarray:
    """What each weight of a region is read from: its word, put together from the bit planes, or a window of words."""
    count, size = region["words"], (region["words"] + 7) // 8
    labels = np.zeros(count, np.uint16)
    for place, plane in enumerate(stored["planes"]):
        start = region["offset"] + place * size
        bits = np.unpackbits(packed[start : start + size], count=count, bitorder="little")
        labels |= bits.astype(np.uint16) << plane["bit"]
    many = region["weights"] if stored["stream"] else count
    step = next(one for one in range(max(round(many * (5**0.5 - 1) / 2), 1), 2 * many) if math.gcd(one, many) == 1)
    if stored["stream"]:
        return unwound(labels, many, stored)[np.argsort(np.arange(many) * step % many)]
    windows = sum(np.roll(labels, step * back) << stored["bits"] * back for back in range(stored["window"]))
    shared = [windows | place << stored["bits"] * stored["window"] for place in range(stored["weights_per_word"])]
    return np.concatenate(shared)[: region["weights"]]


def rounded(weights: np.ndarray, dtype: str) -> np.ndarray:
    """Weights in the dtype of the network; bfloat16, which NumPy lacks, as float32 with 16 bits cleared."""
    single = weights.astype(np.float32)
    if dtype != "bfloat16":
        return weights if dtype == "float64" else single.astype(dtype)
    bits = single.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """The stored weights of a network, by name, as they are read without errors."""
    check(folder)
    layout = json.loads((folder / "map.json").read_text())
    kinds = ("planes", "scales", "outliers", "readouts")
    planes, scales, outliers, readouts = (read_safetensors(folder / f"{kind}.safetensors") for kind in kinds)
    weights = {}
    for tensor in layout["tensors"]:
        values = np.empty(int(np.prod(tensor["shape"])))
        for region in tensor["regions"]:
            stored = layout["formats"][region["format"]]
            labels = labels_of(region, stored, planes[tensor["name"]])
            where = np.concatenate([np.arange(*run) for run in region["runs"]])
            values[where] = readouts[str(region["format"])][labels]
        scale = scales[tensor["name"]] * tensor["readout_gain"]
        if group := tensor["group"]:
            scale = np.repeat(scale, group, axis=1)[:, : values.size // len(scale)].reshape(tensor["shape"])
        read = values.reshape(tensor["shape"]) * scale
        if (places := f"{tensor['name']}.places") in outliers:
            read.reshape(-1)[outliers[places]] = outliers[f"{tensor['name']}.values"]
        for name in (tensor["name"], *tensor["aliases"]):
            weights[name] = rounded(read, tensor["dtype"])
    return weights


if __name__ == "__main__":
    found = read_weights(Path(sys.argv[1]))
    for key, value in found.items():
        print(f"{key} {value.shape}: from {value.min():.6g} to {value.max():.6g}")
    if len(sys.argv) > 2:
        np.savez(sys.argv[2], **found)
