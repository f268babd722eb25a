"""A network that names the type of a file, Magika, an ONNX file without gradients, and files of known types for it."""

import ast
import base64
import bz2
import csv
import difflib
import gzip
import html
import importlib.util
import io
import json
import lzma
import marshal
import pickle
import struct
import sysconfig
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import torch

from qtaml.errors import ModelError
from qtaml.laboratory.cases import Samples
from qtaml.measuring import Accuracy, Agreement, SampleMetric
from qtaml.networks import OnnxNetwork
from reproduction.pretrained import weight_file

FILE = "magika/models/standard_v3_3/model.onnx"
CONFIGURATION = "magika/models/standard_v3_3/config.min.json"
CALIBRATION_FILES, TEST_FILES = 34, 136
"""Two, and eight, of each type."""
_SIDE, _BLOCK, _PADDING = 1024, 4096, 256
"""Bytes from each end that the network sees, bytes among which they are looked for, and what stands for none."""
_SIZES = range(2 * _BLOCK, 40_000)
"""Bytes of a source from which a file is made."""


def load(packages: Path, seed: int = 0) -> tuple[OnnxNetwork, Samples]:
    """The network and its files.

    Args:
        packages: folder of the packages.
        seed: of the choice of sources.
    """
    weight_file(packages, FILE)
    names = json.loads(weight_file(packages, CONFIGURATION))["target_labels_space"]
    model = OnnxNetwork(packages / FILE)
    files, labels = made_files(CALIBRATION_FILES + TEST_FILES, seed)
    if missing := set(labels) - set(names):
        raise ModelError(f"the network must know the types of its files, got none of {sorted(missing)}")
    inputs = torch.tensor([features(file) for file in files], dtype=torch.int32)
    test = inputs[CALIBRATION_FILES:]
    right = torch.tensor([names.index(label) for label in labels[CALIBRATION_FILES:]])
    metrics: dict[str, SampleMetric] = {"right type": Accuracy(test, right), "same type": Agreement(model, test)}
    return model, Samples(inputs[:CALIBRATION_FILES], metrics)


def features(content: bytes) -> list[int]:
    """What the network sees of a file: its first and its last 1024 bytes without white space around, 2048 numbers.

    Source:
        `Magika._extract_features_from_seekable` of magika 1.0.3.
    """
    first, last = content[:_BLOCK].lstrip()[:_SIDE], content[-_BLOCK:].rstrip()[-_SIDE:]
    return [*first, *[_PADDING] * (2 * _SIDE - len(first) - len(last)), *last]


def made_files(count: int, seed: int) -> tuple[list[bytes], list[str]]:
    """Files of the types of `WRITERS` in turn, each made of a source of the standard library, which is not run.

    Args:
        count: files, each of another source while there are enough.
        seed: of the order of the sources.

    Returns:
        Their contents, and the type of each as Magika names it.
    """
    paths = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    library = [path for path in paths if "site-packages" not in path.parts and path.stat().st_size in _SIZES]
    order = np.random.default_rng(seed).permutation(len(library))
    chosen = [library[place] for place in order]
    labels = [list(WRITERS)[number % len(WRITERS)] for number in range(count)]
    return [WRITERS[label](_text(chosen[number % len(chosen)])) for number, label in enumerate(labels)], labels


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _bytecode(text: str) -> bytes:
    # The header of PEP 552: no flags, no time, the size of the source.
    header = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 0, len(text))
    return header + marshal.dumps(compile(text, "source.py", "exec", dont_inherit=True))


def _names(text: str) -> list[tuple[int, str, str]]:
    """Line, kind and name of whatever has a name."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name | ast.FunctionDef | ast.arg))
    kinds = ((node, getattr(node, "id", "") or getattr(node, "name", "") or getattr(node, "arg", "")) for node in nodes)
    return [(node.lineno, type(node).__name__, name) for node, name in kinds]


def _csv(text: str) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows([("line", "kind", "name"), *_names(text)])
    return written.getvalue().encode()


def _html(text: str) -> bytes:
    lines = "\n".join(f"<p id='l{number}'><code>{html.escape(line)}</code></p>" for number, line in _numbered(text))
    return f"<!DOCTYPE html>\n<html>\n<head><title>Source</title></head>\n<body>\n{lines}\n</body>\n</html>\n".encode()


def _xml(text: str) -> bytes:
    lines = "\n".join(f'  <line number="{number}">{html.escape(line)}</line>' for number, line in _numbered(text))
    return f'<?xml version="1.0" encoding="utf-8"?>\n<source>\n{lines}\n</source>\n'.encode()


def _numbered(text: str) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _difference(text: str) -> bytes:
    lines = text.splitlines(keepends=True)
    other = [line.replace("self", "this").replace("return ", "yield ") for line in lines]
    return "".join(difflib.unified_diff(lines, other, "a/source.py", "b/source.py")).encode()


def _email(text: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "one@example.org", "other@example.org", "A source"
    message.set_content("The source is attached.\n")
    message.add_attachment(text.encode(), maintype="application", subtype="octet-stream", filename="source.bin")
    return bytes(message)


def _picture(text: str) -> bytes:
    """A grey picture of 128 columns whose pixels are the bytes."""
    rows = [b"\0" + text.encode()[first : first + 128].ljust(128) for first in range(0, len(text.encode()), 128)]
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 128, len(rows), 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(rows))),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*parts, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _archive(text: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        entry = tarfile.TarInfo("source.py")
        entry.size = len(text.encode())
        file.addfile(entry, io.BytesIO(text.encode()))
    return written.getvalue()


def _zip(text: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        # A time of its own: without one it is that of today, and that of 1980 is the mark of NumPy's archives.
        file.writestr(zipfile.ZipInfo("source.py", (2024, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _script(text: str) -> bytes:
    body = "\n".join(f'echo "{number}: $NAME" >> "$OUT/{name}.log"' for number, _, name in _names(text))
    return f'#!/bin/sh\nset -e\nNAME="$1"\nOUT="${{2:-/tmp}}"\nmkdir -p "$OUT"\n{body}\nexit 0\n'.encode()


def _certificate(text: str) -> bytes:
    coded = base64.encodebytes(text.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{coded}-----END CERTIFICATE-----\n".encode()


WRITERS: dict[str, Callable[[str], bytes]] = {
    "python": str.encode,
    "pythonbytecode": _bytecode,
    "gzip": lambda text: gzip.compress(text.encode(), mtime=0),
    "bzip": lambda text: bz2.compress(text.encode()),
    "xz": lambda text: lzma.compress(text.encode()),
    "zip": _zip,
    "tar": _archive,
    "json": lambda text: json.dumps(
        [{"line": n, "kind": kind, "name": name} for n, kind, name in _names(text)]
    ).encode(),
    "csv": _csv,
    "html": _html,
    "xml": _xml,
    "diff": _difference,
    "eml": _email,
    "png": _picture,
    "shell": _script,
    "pem": _certificate,
    "pickle": lambda text: pickle.dumps(_names(text), protocol=4),
}
"""How a file of each type, by the name that Magika has for it, is made of a source. Pickles are written, never read."""
