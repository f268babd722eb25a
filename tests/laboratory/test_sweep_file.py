"""The file that describes a sweep, and the place that errors in it name."""

from pathlib import Path

import pytest

import qtaml
from qtaml.faults import Clustered, PerBit, Uniform, given, of_device
from qtaml.laboratory.sweep_file import Storage, read_sweep
from qtaml.planning import Design, Tac, UniformMsp, WeightScaling
from qtaml.training import Tune

WHOLE = """\
networks = ["SmallCNN"]
methods = [
    "tac",
    "uniform_msp",
    { name = "half the cells", method = "design", decoders = ["none", "table"], overheads = [-0.5] },
    { method = "uniform_msp", bits = 4, protected_bits = 1 },
    { name = "by error", method = "design", error = 0.1 },
    "weight_scaling",
]
faults = [
    "uniform",
    { kind = "clustered", size = 4 },
    { kind = "per_bit", p01 = [0.1, 0.2] },
    { kind = "uniform", p = 0.2 },
]
p = [0.05, 0.1]
overheads = [0, 0.125]
training_seeds = [0, 1]
trials = 3
"""


DOCUMENT = Path(__file__).parents[2] / "docs" / "sweeps.md"


def written(tmp_path, text):
    """A sweep file with this text."""
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return path


def test_everything_is_crossed(tmp_path):
    """Faults without a p get each of the list; budgets become the setting that each method takes them in."""
    sweep = read_sweep(written(tmp_path, WHOLE))
    faults = (
        Uniform(0.05),
        Uniform(0.1),
        Clustered(0.05, size=4),
        Clustered(0.1, size=4),
        PerBit((0.1, 0.2)),
        Uniform(0.2),
    )
    assert sweep.storages == tuple(
        storage
        for fault in faults
        for storage in (
            Storage("tac", 0.0, Tac(fault=fault, overhead=0.0)),
            Storage("tac", 0.125, Tac(fault=fault, overhead=0.125)),
            Storage("uniform_msp", 0.0, UniformMsp(fault=fault, protected_bits=0)),
            Storage("uniform_msp", 0.125, UniformMsp(fault=fault, protected_bits=1)),
            Storage("half the cells", -0.5, Design(fault=fault, decoders=("none", "table"), cells=0.5)),
            Storage("uniform_msp", None, UniformMsp(fault=fault, bits=4, protected_bits=1)),
            Storage("by error", None, Design(fault=fault, error=0.1)),
            Storage("weight_scaling", None, WeightScaling(fault=fault)),
        )
    )
    assert (sweep.file.training_seeds, sweep.file.trials, sweep.file.seed) == ([0, 1], 3, 0)


def test_a_pair_of_probabilities_is_a_range(tmp_path):
    """For each fault that has a probability."""
    text = 'networks = ["SmallCNN"]\nmethods = ["weight_scaling"]\np = [0.1, [0.05, 0.2]]'
    sweep = read_sweep(written(tmp_path, text + '\nfaults = ["uniform", { kind = "clustered", size = 4 }]'))
    uniform, clustered = given((0.05, 0.2), None), [Clustered(p, 4) for p in (0.05, 0.2)]
    faults = [storage.settings.fault for storage in sweep.storages]
    assert faults[:3] == [Uniform(0.1), uniform, Clustered(0.1, 4)]
    assert [faults[3].members[0], faults[3].members[-1]] == clustered


GOOD = """\
# budgets are overheads
networks = ["SmallCNN"]
p = [0.1]
overheads = [0.1]
trials = 3

[[methods]]
method = "tac"
correction = "paper"

[[faults]]
kind = "clustered"
size = 2
"""


def test_a_device_is_a_memory(tmp_path, measured_cell):
    """A preset at its window or another, or the file of a measured cell beside the sweep file."""
    measured_cell.save(tmp_path / "cell.json")
    faults = '[{device = "fg_dt_3p0"}, {device = "fg_dt_3p0", window = 10.0}, {device = "cell.json", window = 2e-4}]'
    text = f'networks = ["SmallCNN"]\nmethods = ["weight_scaling"]\nfaults = {faults}'
    sweep = read_sweep(written(tmp_path, text))
    found = [storage.settings.fault for storage in sweep.storages]
    assert found[:2] == [of_device("fg_dt_3p0"), of_device("fg_dt_3p0", 10.0)]
    assert found[2] == given(measured_cell.band(2e-4), None)
    for old, new, message in (
        (", window = 2e-4", "", r"line 3: faults\[2\].window: window must be given for a cell"),
        ("2e-4", "-1.0", r"line 3: faults\[2\].window: window must be above 0, got -1"),
        ("dt_3p0", "dt", r"line 3: faults\[0\].device: preset must be one of"),
        ("window = 2e-4", "windows = 1", r"line 3: faults\[2\].windows: Extra inputs"),
    ):
        with pytest.raises(qtaml.ArgumentError, match=message):
            read_sweep(written(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p = [0.1]", "p = [0.1", "must be a TOML file: .*line 4"),
        ("trials = 3", "trials = 3.5", "line 5: trials: Input should be a valid integer, got 3.5"),
        ("trials = 3", 'trials = "3"', "line 5: trials: Input should be a valid integer, got '3'"),
        ("trials = 3", "trails = 3", "line 5: trails: Extra inputs are not permitted, got 3"),
        ("trials = 3", "trials = 1", "line 5: trials: Input should be greater than or equal to 2, got 1"),
        ("[0.1]\nover", "[0.1,\n 0.5\n]\nover", r"lines 3 to 5: p\[1\]: p must be a flip probability in .*, got 0.5"),
        ("overheads = [0.1]", "overheads = [nan]", r"line 4: overheads\[0\]: .*finite"),
        ("p = [0.1]\n", "", "toml: p: must be given for the fault 'clustered'"),
        ("overheads = [0.1]\n", "", "toml: overheads: must be given for the method 'tac'"),
        ("SmallCNN", "BigCNN", r"line 2: networks\[0\].name: must be one of 'SmallCNN'.*, got 'BigCNN'"),
        ('["SmallCNN"]', "[]", "line 2: networks: List should have at least 1 item"),
        ('networks = ["SmallCNN"]', "", "toml: networks: Field required"),
        ('"tac"', '"tic"', r"line 8: methods\[0\].method: must be one of 'uniform_msp', 'tac'.*, got 'tic'"),
        (
            '"paper"',
            '"none!"',
            r"line 9: methods\[0\].correction: Input should be 'none', 'paper', .*, got 'none!'",
        ),
        ("correction", "corection", r"line 9: methods\[0\].corection: must be one of 'overhead', 'bits', "),
        ("correction", 'seed = 1 # "', r"line 9: methods\[0\].seed: must be one of"),
        ("correction", 'p = 0.2 # "', r"line 9: methods\[0\].p: must be one of"),
        ('"paper"', '"paper"\nresidual_floor = 9', r"line 7: methods\[0\]: residual_floor must be .* 0 to 8, got 9"),
        (
            "overheads = [0.1]",
            "overheads = [5]",
            r"line 4: overheads\[0\]: overhead must be a share from 0 to 1 .*got 5",
        ),
        ('"tac"\ncorrection = "paper"', '"fixed_point"\noverheads = [0.1]', r"line 9: .*'fixed_point' has no budget"),
        ('"tac"', '"tac"\noverheads = [0.2]', "line 4: overheads: is for methods that do not say their own"),
        ('"clustered"', '"clusters"', r"line 12: faults\[0\].kind: must be one of 'uniform'.*, got 'clusters'"),
        ('correction = "paper"', "tune = { epochs = 0 }", r"line 9: methods\[0\].tune: epochs must be .*, got 0"),
        ('correction = "paper"', "tune = { chip = 1 }", r"line 9: methods\[0\].tune.chip: must be one of 'errors', "),
        ('correction = "paper"', 'tune = { loss = "l" }', r"line 9: .*tune.loss: must be one of 'output_.*, got 'l'"),
        ("size", "sizes", r"line 13: faults\[0\].sizes: must be one of 'p', 'size'"),
        ("size = 2", "size = 0", r"line 11: faults\[0\]: size must be .*got 0"),
        ("size = 2", "", r"line 11: faults\[0\].size: Field required"),
        ("size = 2", "size = 2\np = 0.2", "line 3: p: is for faults that do not say their own p"),
    ],
)
def test_mistakes_are_found_where_they_are(tmp_path, old, new, message):
    """The error names file, line, key and what was given."""
    assert GOOD.count(old) >= 1
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(qtaml.ArgumentError, match=message) as caught:
        read_sweep(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{ name = "mine", model = "a:b", test = "t.npz" }', r"networks\[0\].calibration: must be given"),
        ('{ name = "SmallCNN", weights = "w.npz" }', r"networks\[0\].weights: is for a network that is not built in"),
        ('{ model = "a:b" }', r"networks\[0\].name: Field required"),
    ],
)
def test_networks_are_whole(tmp_path, entry, message):
    """One's own needs data; a built-in one takes none."""
    path = written(tmp_path, GOOD.replace('"SmallCNN"', entry))
    with pytest.raises(qtaml.ArgumentError, match=f"line 2: {message}"):
        read_sweep(path)


def test_a_method_may_train_for_its_plans(tmp_path):
    """Settings of `Tune` and a loss; a network that is not built in then needs samples to train on."""
    tune = 'correction = "none"\ntune = { loss = "cross_entropy", epochs = 2, clip = 1.0 }'
    text = GOOD.replace('correction = "paper"', tune)
    (storage,) = read_sweep(written(tmp_path, text)).storages
    assert (storage.name, storage.tune, storage.loss) == ("tac, tuned", Tune(epochs=2, clip=1.0), "cross_entropy")
    own = '{ name = "mine", model = "a:b", calibration = "c.npz", test = "t.npz" }'
    with pytest.raises(qtaml.ArgumentError, match=r"line 2: networks\[0\].train: must be given .*a method tunes"):
        read_sweep(written(tmp_path, text.replace('"SmallCNN"', own)))


def test_files_that_are_none(tmp_path):
    """A missing file, and one that is no text."""
    with pytest.raises(qtaml.StoredFileError, match=r"cannot read .*nothing\.toml: No such file"):
        read_sweep(tmp_path / "nothing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(qtaml.ArgumentError, match="must be a TOML file: 'utf-8' codec"):
        read_sweep(tmp_path / "bytes.toml")


def test_the_documented_file_is_one(tmp_path):
    """All that docs/sweeps.md shows."""
    text = DOCUMENT.read_text().split("```toml\n")[1].split("```")[0]
    sweep = read_sweep(written(tmp_path, text))
    assert [entry.name for entry in sweep.file.networks] == ["SmallCNN", "mine"]
    assert len(sweep.storages) == 4 * (3 * 3 + 1)
