"""Read the weights of a network that qtaml stored, with NumPy alone: the layout is described in docs/artifact.md.

python read_artifact.py STORED_NETWORK [WEIGHTS.npz]
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

VERSION = 4
DTYPES = {"U8": "u1", "I8": "i1", "I32": "i4", "I64": "i8", "BOOL": "?", "F16": "f2", "F32": "f4", "F64": "f8"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file: 8 bytes with the length of a JSON header, the header, and the data."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], DTYPES[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
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


def labels_of(region: dict, planes: list[dict], packed: np.ndarray) -> np.ndarray:
    """The label of each weight of a region, put together from its bit planes."""
    count = region["weights"]
    size = (count + 7) // 8
    labels = np.zeros(count, np.uint16)
    for place, plane in enumerate(planes):
        start = region["offset"] + place * size
        bits = np.unpackbits(packed[start : start + size], count=count, bitorder="little")
        labels |= bits.astype(np.uint16) << plane["bit"]
    return labels


def rounded(weights: np.ndarray, dtype: str) -> np.ndarray:
    """Weights in the dtype of the network; bfloat16, which NumPy lacks, as float32 with 16 bits cleared."""
    if dtype == "float64":
        return weights
    weights = weights.astype(np.float32)
    if dtype != "bfloat16":
        return weights.astype(dtype)
    bits = weights.view(np.uint32).astype(np.uint64)
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
            labels = labels_of(region, stored["planes"], planes[tensor["name"]])
            where = np.concatenate([np.arange(*run) for run in region["runs"]])
            values[where] = readouts[str(region["format"])][labels]
        scale = scales[tensor["name"]] * tensor["readout_gain"]
        if group := tensor["group"]:
            length = int(np.prod(tensor["shape"])) // len(scale)
            scale = np.repeat(scale, group, axis=1)[:, :length].reshape(tensor["shape"])
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
