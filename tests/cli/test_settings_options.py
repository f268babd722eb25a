"""Options of commands that come from a settings record, and `--fault`."""

import json
import re

import pydantic
import pytest
import safetensors.torch
import torch
import typer
from torch import nn

import qtaml
from qtaml.cli.fault_option import parse_fault
from qtaml.cli.main import app
from qtaml.faults import AnyFault, Asymmetric, Clustered, MultiLevel, PerBit, Several, StaticCells, Uniform, given
from qtaml.planning import Design, Predict, Tac, setting_help, setting_parameters
from qtaml.protections import HardenedCell

COMMANDS = {"compensate": Tac, "design": Design, "predict": Predict}
ASYMMETRIC = "asymmetric:p01=0,p10=.1"


def network():
    """A small network: what the command line below calls."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))


@pytest.fixture
def here(command, tmp_path, monkeypatch):
    """A command that reads the network above and its data, in a folder of its own."""
    inputs = torch.randn(20, 32, generator=torch.Generator().manual_seed(0))
    data = {"inputs": inputs, "labels": network()(inputs).argmax(1)}
    safetensors.torch.save_file(data, tmp_path / "data.safetensors")
    monkeypatch.chdir(tmp_path)

    def call(name, *options):
        given = (f"{__name__}:network", "--calibration", "data.safetensors", "--json")
        out = () if name == "predict" else ("--out", "stored")
        return command(name, *given, *out, *options)

    return call


GOALS = {
    "compensate": ("--overhead", 0.1, "--trials", 2),
    "design": ("--cells", 1.0, "--decoders", "none,table"),
    "predict": (),
}
"""What each command needs besides the memory, in a moment."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_is_an_option(name):
    """With the help of the record; of what is a mapping, each entry is one option."""
    settings = setting_parameters(COMMANDS[name])
    options = {
        one.name: one
        for one in typer.main.get_command(app).commands[name].params
        if isinstance(one, typer.core.TyperOption)
    }
    for setting, told in setting_help(COMMANDS[name]).items():
        option = options.pop(setting)
        flag = "floor" if setting == "floors" else setting.replace("_", "-")
        assert option.opts == [f"--{flag}"]
        assert option.help[1:] == told[1:]
        assert option.required == (settings[setting].default is settings[setting].empty)
    assert options.keys() <= {"calibration", "out", "weights", "samples", "length", "test", "as_json", "help"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "asked"),
    [
        (
            "compensate",
            "--p 0.1 --overhead 1 --bits 6 --encoding gray --grid integer --granularity 32 --allocation greedy "
            "--correction paper --step recompute --decision predicted --floor 0*=1 --floor 2*=0 --residual-floor 0 "
            "--passes 4 --trials 3 --include *.bias --exclude 2.bias --seed 7",
            Tac(
                p=0.1,
                overhead=1.0,
                bits=6,
                encoding="gray",
                grid="integer",
                granularity=32,
                allocation="greedy",
                correction="paper",
                step="recompute",
                decision="predicted",
                floors={"0*": 1, "2*": 0},
                passes=4,
                trials=3,
                include=["*.bias"],
                exclude=["2.bias"],
                seed=7,
            ),
        ),
        (
            "design",
            "--p 0.1 --error 0.5 --trials 3 --decoders none,table --hardened area=2,p01=0.01,p10=.02 --rows --group 3 "
            "--levels nf4 --levels int4 --bits 6 "
            "--passes 4 --exclude 2.* --seed 7",
            Design(
                p=0.1,
                error=0.5,
                trials=3,
                decoders=("none", "table"),
                hardened=[HardenedCell(2, 0.01, 0.02)],
                rows=True,
                group=3,
                levels=["nf4", "int4"],
                bits=6,
                passes=4,
                exclude=["2.*"],
                seed=7,
            ),
        ),
        (
            "predict",
            "--p 0.1 --bits 6 --encoding gray --grid integer --passes 4 --seed 7",
            Predict(p=0.1, bits=6, encoding="gray", grid="integer", passes=4, seed=7),
        ),
    ],
)
def test_every_option_reaches_the_record(here, name, options, asked):
    """None is at its default; the plan or the prediction holds what was asked."""
    ended, out, err = here(name, *options.split())
    assert ended == 0, err
    kept = json.dumps(json.loads(out)["settings"])
    assert qtaml._files.from_json(type(asked), kept, "the settings") == asked


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", ["words", "json", "toml"])
def test_every_command_that_plans_takes_a_fault_model(here, tmp_path, name, form):
    """In so many words, or from a file."""
    (tmp_path / "fault.json").write_text('{"kind": "asymmetric", "p01": 0, "p10": 0.1}')
    (tmp_path / "fault.toml").write_text('kind = "asymmetric"\np01 = 0\np10 = 0.1')
    ended, out, err = here(name, *GOALS[name], "--fault", ASYMMETRIC if form == "words" else f"fault.{form}")
    assert ended == 0, err
    assert json.loads(out)["settings"]["fault"] == {"p01": 0.0, "p10": 0.1, "kind": "asymmetric"}


@pytest.mark.slow
def test_a_stored_network_is_evaluated_under_another_fault_model(here, command):
    """Than the plan's, as `--p` does."""
    assert here("compensate", *GOALS["compensate"], "--p", 0.1)[0] == 0
    evaluate = (
        "evaluate",
        "stored",
        "--model",
        f"{__name__}:network",
        "--test",
        "data.safetensors",
        "--trials",
        2,
        "--json",
    )
    ended, out, err = command(*evaluate, "--fault", ASYMMETRIC)
    assert ended == 0, err
    assert qtaml.Result.from_json(out).fault == Asymmetric(0, 0.1)
    assert qtaml.Result.from_json(command(*evaluate, "--p", 0.2)[1]).fault == Uniform(0.2)
    assert qtaml.Result.from_json(command(*evaluate)[1]).fault == Uniform(0.1)
    ended, _, err = command(*evaluate, "--p", 0.2, "--fault", ASYMMETRIC)
    assert (ended, "give at most one of --p, --fault and --device, got 0.2, 'asymmetric" in err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("options", [("--p", "0.05:0.1"), ("--fault", "uniform:p=[.05,.1]")], ids=str)
def test_every_command_that_plans_takes_a_range(here, name, options):
    """As a flip probability, or as that of a fault model."""
    ended, out, err = here(name, *GOALS[name], *options)
    assert ended == 0, err
    asked = json.dumps(json.loads(out)["settings"]["fault"])
    assert pydantic.TypeAdapter(AnyFault).validate_json(asked) == given((0.05, 0.1), None)


def test_fault_models_given_together_are_those_of_chips(here, command):
    """In planning, and in reading."""
    two = ("--fault", ASYMMETRIC, "--fault", "uniform:p=.1")
    ended, _out, err = here("compensate", *GOALS["compensate"], *two)
    assert ended == 0, err
    lot = Several((Asymmetric(0, 0.1), Uniform(0.1)))
    assert qtaml.Plan.load("stored/plan.json").fault == lot
    evaluate = ("evaluate", "stored", "--model", f"{__name__}:network", "--test", "data.safetensors", "--trials", 2)
    assert qtaml.Result.from_json(command(*evaluate, *two, "--json")[1]).fault == lot
    read = qtaml.Result.from_json(command(*evaluate, "--p", "0.05:0.2", "--json")[1])
    assert read.fault == given((0.05, 0.2), None)


@pytest.mark.slow
def test_a_design_for_a_share_of_the_chips(here):
    """The plan that is printed says what confirmed it."""
    goal = ("--accuracy", 0.8, "--chips", 0.9, "--trials", 2, "--test", "data.safetensors")
    ended, out, err = here("design", "--p", "0.02:0.1", *goal, "--decoders", "none,ideal")
    assert ended == 0, err
    plan = qtaml.Plan.from_json(out)
    assert (plan.settings.accuracy, plan.settings.chips, plan.confirmation.trials) == (0.8, 0.9, 2)
    assert f"{plan.confirmation.good} of them do" in err


@pytest.mark.slow
def test_a_stored_network_is_evaluated_chip_by_chip(here, command):
    """As a table, as JSON and as a picture; what is for chips alone is refused without them."""
    assert here("compensate", *GOALS["compensate"], "--p", "0.05:0.2")[0] == 0
    evaluate = ("evaluate", "stored", "--model", f"{__name__}:network", "--test", "data.safetensors")
    chips = ("--chips", 12, "--trials", 2, "--above", 0.9)
    ended, out, err = command(*evaluate, *chips, "--picture", "yield.png")
    assert ended == 0, err
    assert "picture: yield.png" in out
    assert "share of at least 0.9" in out
    ended, out, err = command(*evaluate, *chips, "--json")
    result = qtaml.Yield.from_json(out)
    assert (len(result.values), result.trials, result.fault) == (12, 2, given((0.05, 0.2), None))
    assert f"share of at least 0.9: {result.share_above(0.9):.3f}" in err
    for options in (("--above", 0.9), ("--picture", "yield.png")):
        ended, _, err = command(*evaluate, *options)
        assert (ended, "--above and --picture need --chips" in err) == (2, True)
    ended, _, err = command(*evaluate, "--chips", 3, "--stop-width", 0.1)
    assert (ended, "--stop-width must be left out where --chips are given, got 0.1" in err) == (2, True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("uniform:p=0.1", Uniform(0.1)),
        ("clustered:p=[.1,.1],size=2", Clustered(0.1, 2)),
        ("per_bit:p01=[0.1, .2],p10=[0.2,.3]", PerBit((0.1, 0.2), (0.2, 0.3))),
        ("static_cells:p01=[0,.1],chip=3", StaticCells((0.0, 0.1), chip=3)),
        ("multi_level:groups=[[[.9,.1],[.2,.8]]]", MultiLevel((((0.9, 0.1), (0.2, 0.8)),))),
    ],
)
def test_lists_are_values_too(text, fault):
    """Their commas do not end a value."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "give exactly one of --p, --fault and --device, got no --p, no --fault and no --device"),
        (
            ("--p", 0.1, "--fault", ASYMMETRIC),
            2,
            "give exactly one of --p, --fault and --device, got --p 0.1, --fault Asymmetric",
        ),
        (
            ("--fault", "magic:p=1"),
            2,
            r"--fault must be FILE\|KIND:NAME=VALUE,\.\.\. .*got 'magic:p=1': kind: must be one of 'uniform', ",
        ),
        (("--fault", "uniform"), 2, "--fault must be .*got 'uniform': p: Field required"),
        (("--fault", "uniform:q=0.1"), 2, "got 'uniform:q=0.1': q: must be one of 'p', 'kind'"),
        (
            ("--fault", "uniform:p=0.7"),
            2,
            r"got 'uniform:p=0\.7': p must be a flip probability in \[0, 0\.5\), got 0\.7",
        ),
        (("--fault", "uniform:p=high"), 2, "got 'uniform:p=high': p: Input should be a valid number, got 'high'"),
        (("--p", "high"), 2, "--p must be a number such as 0.1, or a range such as 0.05:0.2, got 'high'"),
        (("--p", "0.2:0.1"), 2, r"p must be a range from a low end above 0 .*, got \(0.2, 0.1\)"),
        (("--fault", "uniform:p=[.1,.5]"), 2, r"got 'uniform:p=\[.1,.5\]': p\[1\] must be a flip probability in"),
        (("--fault", "uniform:0.1"), 2, "got 'uniform:0.1': must be NAME=VALUE, got '0.1'"),
        (("--fault", "per_bit:p01=[0.1"), 2, "p01: Input should be a valid .*, got '.0.1'"),
        (("--fault", "nowhere.json"), 4, "cannot read nowhere.json"),
        (("--fault", "damaged.json"), 4, "damaged.json is not JSON"),
        (("--fault", "damaged.toml"), 4, "damaged.toml is not TOML"),
        (("--fault", "list.json"), 4, "list.json must hold one table"),
        (("--fault", "other.json"), 2, "got 'other.json': kind: must be one of 'uniform', .* got None"),
    ],
)
def test_bad_fault_models_are_refused(here, tmp_path, options, code, message):
    """The option, what was given and what is allowed are named; nothing is written."""
    for name, text in {
        "damaged.json": "{",
        "damaged.toml": "kind =",
        "list.json": "[]",
        "other.json": '{"p": 0.1}',
    }.items():
        (tmp_path / name).write_text(text)
    ended, out, err = here("compensate", *GOALS["compensate"], *options)
    assert (ended, out) == (code, ""), err
    assert re.search(message, " ".join(err.split())), err
    assert not (tmp_path / "stored").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--hardened", "2"),
            "--hardened must be area=..,p01=..,p10=..,refreshes=.., got '2': must be NAME=VALUE, got '2'",
        ),
        (("--hardened", "area=2,p01=0.1"), "got 'area=2,p01=0.1': p10: Field required"),
        (("--hardened", "area=0,p01=0.1,p10=0.1"), "area must be above 0, got 0"),
        (("--bits", 1), "bits must be a whole number from 2 to 16, got 1"),
        (("--seed", -1), "seed must be a whole number of at least 0, got -1"),
        (("--rows", "--decoders", "none"), "--decoders must hold 'table' for --rows, got ['none']"),
    ],
)
def test_bad_settings_are_refused(here, options, message):
    """Before the network is read."""
    ended, out, err = here("design", "--p", 0.1, "--cells", 1.0, "--weights", "nowhere.safetensors", *options)
    assert (ended, out) == (2, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give exactly one of --cells, --error and --accuracy, got no --cells, no --error and no --accuracy"),
        (("--cells", 0), "--cells must be above 0, got 0.0"),
        (("--cells", 0.5, "--decoders", "any"), "--decoders must be one of 'none', "),
    ],
)
def test_messages_name_options(here, options, said):
    """A setting is called as it is typed, not as it is called in Python."""
    code, _, errors = here("design", "--p", 0.1, *options)
    assert code == 2
    assert said in errors
