"""A `.pt2` file runs nothing when it is loaded: whatever `torch.export.save` does not write is refused."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim, export

import qtaml
from qtaml.cli.program_file import load_program
from tests.cases import CASES
from tests.within import within

REFUSED = r"spoiled\.pt2 is not (loaded|a program of torch\.export): "
MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
REAL = ("an expression of sizes", "a guard", "a pickled object deeper", "pickled example inputs")


class Sized(nn.Module):
    """Its program has guards, sizes that are computed, a constant, a buffer, and outputs in a dictionary."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer("shift", torch.ones(3)[:2].expand(5, 2))
        self.factor = torch.tensor([1.0, 2.0])

    def forward(self, x, y):
        if x.shape[0] % 2 == 0:
            x = nn.functional.gelu(self.layer(x), approximate="tanh") * self.factor + self.shift[0]
        return {"a": x, "b": y[: x.shape[0] // 2] ** 2, "c": torch.einsum("ij,kj->ik", x, x)}


@pytest.fixture(scope="module")
def inputs():
    """Two inputs of other numbers of samples."""
    torch.manual_seed(0)
    return torch.randn(6, 4), torch.randn(9, 4)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, inputs):
    """A program as torch saves it."""
    path = tmp_path_factory.mktemp("program") / "network.pt2"
    program = export(Sized().eval(), inputs, dynamic_shapes=({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}))
    torch.export.save(program, path, extra_files={"notes.txt": "of the author"})
    return path


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A file in the current folder that a payload makes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


def rewritten(saved, change=lambda members: None, compression=zipfile.ZIP_STORED):
    """The program with other members, in the current folder."""
    with zipfile.ZipFile(saved) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile("spoiled.pt2", "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"network/{name}", content)
    return Path("spoiled.pt2")


def in_json(name, change):
    """A change of a member that is JSON."""

    def changed(members):
        value = json.loads(members[name])
        change(value)
        members[name] = json.dumps(value).encode()

    return changed


def every(key, text):
    """A change of all texts under a key."""

    def change(value):
        for name, one in value.items() if isinstance(value, dict) else ():
            if name == key:
                value[name] = [text] if isinstance(one, list) else text
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            change(one)

    return change


def renamed(old, new):
    """Another name of a value, wherever it is named."""

    def change(members):
        members[MODEL] = members[MODEL].replace(json.dumps(old).encode(), json.dumps(new).encode())

    return change


def added(name, content=b""):
    """One more member."""
    return lambda members: members.update({name: content})


def both(first, second):
    """Two changes."""
    return lambda members: (first(members), second(members))


def samples(value):
    """Other example inputs."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return added("data/sample_inputs/model.pt", buffer.getvalue())


class Touch:
    """Makes the marker when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


TOUCH = "__import__('pathlib').Path('ran').touch()"
PICKLE = pickle.dumps(Touch())
RUNS = {
    "an expression of sizes": in_json(MODEL, every("expr_str", f"{TOUCH} or 1")),
    "a guard": in_json(MODEL, every("guards_code", f"{TOUCH} is None")),
    "a name": renamed("linear", f"x = {TOUCH}; linear"),
    "an operator": in_json(MODEL, every("target", "torch.os.system")),
    "a library": in_json(MODEL, every("target", "torch.ops.load_library.__func__")),
    "a lookup": in_json(MODEL, every("target", "_operator.methodcaller")),
    "a module to import": in_json(
        MODEL,
        every(
            "in_spec",
            json.dumps([1, {"type": "collections.defaultdict", "context": '{"default_factory_module": "this"}'}]),
        ),
    ),
    "an enumeration to import": in_json(
        MODEL,
        every("out_spec", json.dumps([1, {"type": "builtins.dict", "context": '{"__enum__": 1, "fqn": "this"}'}])),
    ),
    "a pickled object": added("data/constants/opaque_obj_0", PICKLE),
    "a pickled object deeper": both(
        added("data/constants/opaque_obj_x/y", PICKLE),
        both(in_json(CONSTANTS, every("path_name", "opaque_obj_x/y")), in_json(CONSTANTS, every("use_pickle", True))),
    ),
    "a pickled script object": added("data/constants/custom_obj_0", PICKLE),
    "pickled weights": added("data/weights/model.pt", PICKLE),
    "a pickled weight": in_json(WEIGHTS, every("use_pickle", True)),
    "pickled example inputs": added("data/sample_inputs/model.pt", PICKLE),
    "a key of example inputs": samples(((), {f"x'] + {TOUCH} + L['x": torch.ones(1)})),
    "a shared library": added("data/aotinductor/model/network.so", b"\x7fELF"),
    "a member outside": added("data/aotinductor/m/../../x"),
    "a member of the older layout": added("serialized_state_dict.pt", PICKLE),
}
BREAKS = {
    "a tensor without bytes": in_json(WEIGHTS, lambda value: grow(value, "shift", 10**12)),
    "a tensor of too many repeats": in_json(WEIGHTS, lambda value: grow(value, "layer.weight", 10**12)),
    "a power": in_json(MODEL, every("expr_str", "Pow(Integer(10), Pow(Integer(10), Integer(10)))")),
    "a power of a symbol": in_json(MODEL, every("expr_str", "Pow(Add(Symbol('s77'), Integer(1)), Integer(1000000))")),
    "a shift": in_json(MODEL, every("expr_str", "1 << 60 << 60")),
    "a deep expression": in_json(MODEL, every("expr_str", "(" * 5000 + "1" + ")" * 5000)),
    "a long expression": in_json(MODEL, every("expr_str", "+".join("1" * 10_000))),
    "no JSON": added(MODEL, b"{"),
    "deep JSON": added(MODEL, b"[" * 100_000),
    "a list for a table": added(WEIGHTS, b"[]"),
}


def grow(config, name, elements):
    """Say that a tensor has more elements than it has."""
    config["config"][name]["tensor_meta"]["sizes"] = [{"as_int": elements}]


@pytest.mark.slow
def test_what_torch_saves_is_loaded(saved, inputs):
    """With the same outputs; guards still say which sizes it takes."""
    model = load_program(saved)
    expected = torch.export.load(saved).module()(*inputs)
    assert all(torch.equal(model(*inputs)[name], expected[name]) for name in ("a", "b", "c"))
    with pytest.raises(AssertionError, match="Guard failed"):
        model(inputs[0][:5], inputs[1])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_kind_of_network_is_loaded(case, tmp_path):
    """Convolutions, attention, recurrence, tied weights."""
    model, batch = case.model().eval(), case.batch()
    torch.export.save(export(model, (batch,)), tmp_path / "network.pt2")
    assert torch.equal(load_program(tmp_path / "network.pt2")(batch), model(batch))


@pytest.mark.parametrize("name", RUNS)
def test_what_would_run_is_refused(saved, marker, capfd, caplog, name):
    """Nothing runs, at once, and torch says nothing of it."""
    path = rewritten(saved, RUNS[name])
    with (
        within(),
        pytest.raises(qtaml.StoredFileError, match=REFUSED),
    ):
        load_program(path)
    assert not marker.exists()
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


@pytest.mark.parametrize(
    "name", ["an expression of sizes", "a guard", "a pickled object deeper", "pickled example inputs"]
)
def test_the_payloads_are_real(saved, marker, inputs, monkeypatch, name):
    """Each runs when torch alone loads it and the network is used, some before."""
    monkeypatch.setattr(torch, "_assert", lambda *_: None)
    try:
        torch.export.load(rewritten(saved, RUNS[name])).module()(*inputs)
    except Exception as error:
        print(error)
    assert marker.exists()


@pytest.mark.parametrize("name", BREAKS)
def test_what_would_take_all_memory_or_time_is_refused(saved, marker, name):
    """Before anything is allocated."""
    path = rewritten(saved, BREAKS[name])
    with (
        within(),
        pytest.raises(qtaml.StoredFileError, match=REFUSED),
    ):
        load_program(path)


@pytest.mark.slow
def test_packed_members_are_refused(saved, marker):
    """3 MB would become 3 GB."""
    path = rewritten(saved, added("data/weights/weight_0", bytes(10**8)), zipfile.ZIP_DEFLATED)
    with (
        within(),
        pytest.raises(qtaml.StoredFileError, match="its members are compressed"),
    ):
        load_program(path)


def test_members_that_lie_on_each_other_are_refused(saved, marker):
    """One stretch of the file, many times a member: together they are larger than it."""
    path = rewritten(saved, added("data/weights/weight_0", bytes(10**6)))
    with zipfile.ZipFile(path, "a") as archive:
        first = next(one for one in archive.infolist() if one.filename.endswith("weight_0"))
        for number in range(10, 100):
            again = zipfile.ZipInfo(f"network/data/weights/weight_{number}")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
        archive._didModify = True
    with within(), pytest.raises(qtaml.StoredFileError, match="say that they are larger than the file"):
        load_program(path)


def test_a_member_twice_is_refused(saved, marker):
    """Two readers may each see another of the two."""
    path = rewritten(saved)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"network/{MODEL}", "{}")
    with pytest.raises(qtaml.StoredFileError, match=r"it holds 'network/models/model\.json', which"):
        load_program(path)


class OfSizes(nn.Module):
    """Its outputs have sizes that are computed in each way that SymPy has a function for."""

    def forward(self, x):
        n = x.shape[0]
        return x.new_ones(n**2 // 3 + 5 * n % 7 + max(n, 4) + min(2 * n, 100) + (n << 1))


@pytest.mark.slow
def test_sizes_that_are_computed_are_loaded(tmp_path):
    """Whatever torch writes of them."""
    program = export(OfSizes(), (torch.ones(6),), dynamic_shapes=({0: Dim("n", min=2, max=1000)},))
    torch.export.save(program, tmp_path / "sizes.pt2")
    for size in (2, 9, 200):
        inputs = torch.ones(size)
        assert load_program(tmp_path / "sizes.pt2")(inputs).shape == OfSizes()(inputs).shape
