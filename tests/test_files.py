"""Files and folders change all at once, for good, and only where they are ours; what is no file is not touched."""

import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import qtaml
from qtaml import _files, _replacing
from qtaml.export import write_binary
from qtaml.memory import check_replaceable, read_artifact
from tests.within import within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at the system's calls as Linux has them")

EVENTS = ("open", "os.", "shutil.", "ctypes.dlsym")


def network(seed):
    """A small stored network."""
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=seed % 8))


def content(path):
    """What lies in a folder, or in a file."""
    return {one.name: one.read_bytes() for one in path.iterdir()} if path.is_dir() else path.read_bytes()


WRITERS = {
    "a stored network": lambda memory, path: memory.save(path),
    "an image": lambda memory, path: write_binary(memory.artifact, path),
    "a plan": lambda memory, path: memory.plan.save(path),
}


@pytest.fixture(params=WRITERS)
def write(request):
    """What writes a folder or a file."""
    return WRITERS[request.param]


def killed(write, memory, path, event):
    """Write in a process that is killed before this event of its; False if it ends before."""
    if (child := os.fork()) == 0:
        left = [event]

        def count(name, _):
            if name.startswith(EVENTS):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)

        sys.addaudithook(count)
        try:
            write(memory, path)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize(
    "exchange", [True, pytest.param(False, marks=pytest.mark.long)], ids=["exchanged", "by two renames"]
)
@pytest.mark.slow
def test_a_killed_writer_leaves_the_old_or_the_new(write, tmp_path, monkeypatch, exchange):
    """At whatever call it is killed; what is left over goes with the next write."""
    if not exchange:
        monkeypatch.setattr(_replacing, "_exchange", lambda first, second: False)
    path = tmp_path / "deployed"
    old, new = network(1), network(2)
    write(new, path)
    states = [content(path)]
    write(old, path)
    states.append(content(path))
    event = 0
    while killed(write, new, path, event):
        if not exchange and not path.exists():  # between two renames: the next writer puts it back, and then fails
            with pytest.raises(KeyboardInterrupt, match="pressed"), _files.new_directory(path, check_replaceable):
                raise KeyboardInterrupt("pressed")
        assert content(path) in states
        write(old, path)
        assert content(path) == states[1]
        assert [one.name for one in tmp_path.iterdir()] == ["deployed"]
        event += 1
    assert content(path) == states[0]
    assert event > 10


def test_only_what_is_left_over_is_deleted(tmp_path):
    """Not what a living writer is at, nor what others put beside."""
    (tmp_path / ".new-mine").mkdir()
    with _files.new_file(tmp_path / "a") as first:
        first.write_text("first")
        with _files.new_file(tmp_path / "a") as second:
            second.write_text("second")
        assert first.read_text() == "first"
    assert (tmp_path / "a").read_text() == "first"
    assert sorted(one.name for one in tmp_path.iterdir()) == [".new-mine", "a"]


def test_all_is_on_the_disk_before_it_is_in_place(write, tmp_path, monkeypatch):
    """Each file and folder is synced, then put in place, then the folder that it lies in is synced."""
    done = []

    def noted(function, path_of):
        def call(*arguments):
            done.append((function.__name__, Path(path_of(arguments[0])).name))
            return function(*arguments)

        return call

    path = tmp_path / "made" / "deployed"
    write(network(1), path)
    monkeypatch.setattr(os, "fsync", noted(os.fsync, lambda handle: os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(os, "replace", noted(os.replace, str))
    monkeypatch.setattr(_replacing, "_exchange", noted(_replacing._exchange, str))
    write(network(2), path)
    names = sorted(content(path)) if path.is_dir() else []
    assert sorted(done[: len(names)]) == [("fsync", name) for name in names]
    assert done[len(names) :] == [("fsync", "new"), ("_exchange" if names else "replace", "new"), ("fsync", "made")]
    done.clear()
    write(network(1), tmp_path / "x" / "y" / "deployed")
    assert done[:2] == [("fsync", tmp_path.name), ("fsync", "x")]


@pytest.mark.slow
def test_a_reader_beside_a_writer_sees_one_state(tmp_path):
    """Either network whole, and never a damaged one."""
    memories = [network(1), network(2)]
    memories[0].save(tmp_path / "deployed")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for memory in memories:
                memory.save(tmp_path / "deployed")

    states = [(memory.plan, memory.tensors["weight"].words.tolist()) for memory in memories]
    found: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(found) < 150 or len(set(found)) < 2:
            read = read_artifact(tmp_path / "deployed")
            found.append(states.index((read.plan, read.tensors["weight"].words.tolist())))
    finally:
        stop.set()
        writer.join()


def test_a_folder_that_is_exchanged_while_it_is_opened_is_opened_again(tmp_path, monkeypatch):
    """The files are all of the new folder, though the first were opened in the old one."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for file in ("a", "b"):
            (tmp_path / name / file).write_text(name)
    opened = _files._opened

    def exchanging(path, folder):
        file = opened(path, folder)
        if (tmp_path / "new").exists():
            (tmp_path / "old" / "b").unlink()
            (tmp_path / "old").rename(tmp_path / "gone")
            (tmp_path / "new").rename(tmp_path / "old")
        return file

    monkeypatch.setattr(_files, "_opened", exchanging)
    with _files.opened_together(tmp_path / "old", ("a", "b")) as read:
        assert [read("a"), read("b")] == [b"new", b"new"]


def pipe(path):
    """A named pipe."""
    os.mkfifo(path)


def bound(path):
    """A socket."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def device(path):
    """A device node of its own, like /dev/null."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes device nodes")


@pytest.mark.parametrize("make", [pipe, bound, device])
def test_what_is_no_file_is_not_read_and_not_replaced(write, tmp_path, monkeypatch, make):
    """Nor waited for."""
    monkeypatch.chdir(tmp_path)
    make("deployed")
    with within(), pytest.raises(qtaml.StoredFileError, match="cannot read deployed: it is not a regular file"):
        qtaml.Plan.load("deployed")
    with pytest.raises(qtaml.StoredFileError, match="deployed"):
        write(network(1), Path("deployed"))
    assert not Path("deployed").is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["deployed"]
    network(1).save("network")
    os.rename("deployed", "network/planes.safetensors")
    with within(), pytest.raises(qtaml.StoredFileError, match=r"cannot read .*planes.*: it is not a regular file"):
        read_artifact("network")
    with pytest.raises(qtaml.StoredFileError, match=r"holds 'planes.*', which no stored"):
        network(2).save("network")


def test_rights_are_kept_and_new_ones_ordinary(write, tmp_path, monkeypatch):
    """Those of the umask, which nobody changes even for a moment."""
    path, usual = tmp_path / "deployed", tmp_path / "usual"
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", None)
        usual.touch()
        write(network(1), path)
        files = list(path.iterdir()) if path.is_dir() else [path]
        assert {one.stat().st_mode for one in files} == {usual.stat().st_mode}
        for one in {path, *files}:
            one.chmod(0o700 if one.is_dir() else 0o600)
        write(network(2), path)
        assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
        assert not path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o700
    finally:
        monkeypatch.undo()
        os.umask(before)


def own_file(path):
    """A stored network and a file of the user's."""
    network(1).save(path)
    (path / "notes.txt").write_text("of the user")


def own_folder(path):
    """A stored network and a folder of the user's."""
    network(1).save(path)
    (path / "more").mkdir()


def own_link(path):
    """A stored network of which a file is a link to elsewhere."""
    network(1).save(path)
    (path / "plan.json").rename(path.with_name("plan.json"))
    (path / "plan.json").symlink_to(path.with_name("plan.json"))


def other_manifest(path):
    """The manifest of a page on the web."""
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "app", "version": 3, "icons": []}')


def damaged_manifest(path):
    """One that says nothing."""
    path.mkdir()
    (path / "manifest.json").write_text("{")


@pytest.mark.parametrize("make", [own_file, own_folder, own_link, other_manifest, damaged_manifest])
def test_only_a_stored_network_and_nothing_else_is_replaced(tmp_path, monkeypatch, make):
    """Also where it is the current folder."""
    make(tmp_path / "deployed")
    monkeypatch.chdir(tmp_path / "deployed")
    before = sorted((one.name, one.is_dir() or one.read_bytes()) for one in Path().iterdir())
    for path in (".", tmp_path / "deployed"):
        with (
            within(),
            pytest.raises(qtaml.StoredFileError, match=r"not overwritten|damaged, or is no manifest"),
        ):
            network(2).save(path)
    assert sorted((one.name, one.is_dir() or one.read_bytes()) for one in Path().iterdir()) == before


def test_what_comes_into_the_old_folder_meanwhile_is_kept(tmp_path):
    """The folder is looked at again before it is replaced."""
    network(1).save(tmp_path / "deployed")
    message = "holds 'late.txt', which no stored network has"
    with (
        pytest.raises(qtaml.StoredFileError, match=message),
        _files.new_directory(tmp_path / "deployed", check_replaceable),
    ):
        (tmp_path / "deployed" / "late.txt").write_text("of the user")
    assert (tmp_path / "deployed" / "late.txt").read_text() == "of the user"
    assert read_artifact(tmp_path / "deployed").plan == network(1).plan
