"""Settings records: what can be asked of each method, and the functions that ask it."""

import inspect
from dataclasses import FrozenInstanceError, fields, replace
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

import qtaml
from qtaml.faults import Asymmetric, PerBit, Uniform
from qtaml.planning import (
    AnySettings,
    ByHand,
    Design,
    FixedPoint,
    Magnitude,
    Predict,
    RandomProtection,
    Sensitivity,
    Tac,
    UniformMsp,
    WeightScaling,
    fixed_point,
    magnitude_protection,
    random_protection,
    sensitivity_protection,
    setting_help,
    setting_parameters,
    weight_scaling,
)
from qtaml.protections import HardenedCell
from tests.cases import CONVOLUTION
from tests.device.test_two_way_cell import CELL as TWO_WAY

FAULT = Asymmetric(0.01, 0.1)
ASKED = (
    Tac(
        fault=PerBit((0.1,) * 6),
        overhead=0.25,
        bits=6,
        encoding="gray",
        grid="integer",
        granularity="row",
        allocation="greedy",
        correction="paper",
        step="recompute",
        decision="predicted",
        floors={"conv*": 1},
        residual_floor=1,
        passes=4,
        trials=2,
        include=["*.bias"],
        exclude=["head*"],
        seed=3,
    ),
    UniformMsp(fault=FAULT, protected_bits=1.5, levels="nf4", granularity=3, exclude=["head*"]),
    FixedPoint(fault=FAULT),
    WeightScaling(fault=FAULT),
    Magnitude(fault=FAULT, overhead=0.1, allocation="split"),
    Sensitivity(fault=FAULT, overhead=0.1, trials=2, seed=1),
    RandomProtection(fault=FAULT, overhead=0.1, seed=1),
    Design(
        fault=FAULT,
        cells=1.5,
        decoders=["none", "table"],
        hardened=[HardenedCell(2, 0.01, 0.02)],
        group=9,
        levels=["int4"],
        passes=4,
    ),
    ByHand(fault=FAULT),
)
"""One record of each kind, of which most is not as by default."""
FUNCTIONS = {
    Tac: (qtaml.compensate, True),
    UniformMsp: (qtaml.uniform_msp, False),
    FixedPoint: (fixed_point, False),
    WeightScaling: (weight_scaling, False),
    Magnitude: (magnitude_protection, False),
    Sensitivity: (sensitivity_protection, True),
    RandomProtection: (random_protection, False),
    Design: (qtaml.design, True),
    Predict: (qtaml.predict, True),
}
"""The function that each record is asked of, and whether it needs calibration inputs."""
ADAPTER = TypeAdapter(AnySettings)


def kind_of(record):
    """Name of a record's kind, for the names of tests."""
    return record.kind


def test_every_record_is_tried():
    """A new one gets a line above."""
    assert [type(asked) for asked in ASKED] == list(get_args(get_args(AnySettings)[0]))
    assert {record.kind for record in FUNCTIONS} == {*(asked.kind for asked in ASKED), "predict"} - {"by_hand"}


@pytest.mark.parametrize("asked", ASKED, ids=kind_of)
def test_a_record_survives_json(asked):
    """Told apart by its kind, equal and of equal hash; one setting changed by `replace` leaves the others."""
    read = ADAPTER.validate_json(ADAPTER.dump_json(asked))
    assert (read, hash(read)) == (asked, hash(asked))
    other = replace(asked, fault=Uniform(0.3))
    assert other != asked
    assert replace(other, fault=asked.fault) == asked


@pytest.mark.parametrize("asked", ASKED, ids=kind_of)
def test_a_printed_record_makes_it_again(asked):
    """It is the call that makes it, without what is as by default."""
    names = {type(one).__name__: type(one) for one in (*ASKED, HardenedCell(1, 0, 0), *(a.fault for a in ASKED))}
    assert eval(str(asked), names) == asked
    assert str(Tac(p=0.1, overhead=0.05, bits=8)) == "Tac(fault=Uniform(p=0.1), overhead=0.05)"


@pytest.mark.parametrize("record", FUNCTIONS, ids=kind_of)
def test_a_function_takes_the_settings_of_its_record(record):
    """By these names and defaults, each told in its help; nothing else but the network and what is measured with it."""
    function, calibrated = FUNCTIONS[record]
    taken = inspect.signature(function).parameters
    others = ["model", *["calibration"] * calibrated, *["metric"] * (record is Design)]
    settings = [
        *(["p", "device", "window"] if record is not Design else ["p", "device", "window", "hardening"]),
        *(one.name for one in fields(record)),
    ]
    assert sorted(taken) == sorted({*others, *settings} - {"kind"})
    for name, parameter in setting_parameters(record).items():
        assert taken[name] == parameter
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert f"\n    {name}: {setting_help(record)[name][:40]}" in function.__doc__


@pytest.mark.slow
@pytest.mark.parametrize("asked", [one for one in ASKED if not isinstance(one, ByHand)], ids=kind_of)
def test_a_record_and_its_fields_ask_the_same(asked):
    """Plans are equal, and hold the record, in a file too."""
    function, calibrated = FUNCTIONS[type(asked)]
    inputs = (CONVOLUTION.model(), CONVOLUTION.batch())[: 1 + calibrated]
    plan = function(*inputs, asked)
    assert plan == function(*inputs, **{one.name: getattr(asked, one.name) for one in fields(asked) if one.init})
    assert plan.settings == asked
    assert (plan.method, plan.fault) == (asked.kind, asked.fault)
    assert qtaml.Plan.from_json(plan.to_json()) == plan


@pytest.mark.slow
def test_a_design_for_a_goal_keeps_the_goal():
    """Not the budget at which it was found; asked again, it is found again."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    plan = qtaml.design(model, batch, p=0.1, error=0.5, decoders=("none", "table"), passes=2)
    assert (plan.settings.error, plan.settings.cells) == (0.5, None)
    assert qtaml.design(model, batch, plan.settings) == plan


def test_a_device_is_kept_as_what_it_stands_for():
    """Its flip probability and its larger cells, after whatever cells are given besides; by name or as a preset."""
    preset, own = qtaml.device.preset_record("few_electron_dt"), HardenedCell(5, 0.01, 0.01)
    asked = Design(device=preset, cells=0.5, hardened=[own])
    assert asked == Design(device="few_electron_dt", cells=0.5, hardened=[own])
    assert asked.fault == Uniform(preset.cell.flip_probability(preset.window))
    assert [cell.area for cell in asked.hardened] == [5, 1.5, 2, 3, 4]
    assert replace(asked, cells=0.7).hardened == asked.hardened


def test_a_storage_node_grows_and_a_measured_cell_does_not(measured_cell):
    """Both are devices: with the larger cells that Pelgrom's law gives, or none, as none was measured."""
    silicon = Design(device="gaincell_3t_16nm", cells=0.5)
    assert [cell.area for cell in silicon.hardened] == [1.5, 2, 3, 4]
    assert silicon.hardened[-1].p01 < 2e-3
    assert Design(device=measured_cell, window=2e-4, cells=0.5).hardened == ()


RATES = (0.25, 0.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


def test_the_band_of_a_measured_cell_is_the_reserve(measured_cell, tmp_path):
    """Given as the cell, its file, or within a preset; and refresh rates have the upper end of theirs."""
    band = measured_cell.band(2e-4)
    measured_cell.save(tmp_path / "cell.json")
    preset = qtaml.device.Preset("mine", "measured", measured_cell, 2e-4, source="data")
    for device, window in ((measured_cell, 2e-4), (str(tmp_path / "cell.json"), 2e-4), (preset, None)):
        assert Tac(device=device, window=window, overhead=0.1) == Tac(p=band, overhead=0.1)
    within = [rate for rate in RATES if not measured_cell.extrapolation(2e-4 / rate)]
    asked = Design(device=measured_cell, window=2e-4, price="refreshes", cells=0.5)
    assert asked.fault == Tac(p=band, overhead=0.1).fault
    assert [(one.refreshes, one.p10) for one in asked.hardened] == [
        (rate, pytest.approx(measured_cell.band(2e-4 / rate)[1])) for rate in within
    ]
    assert 0 < len(within) < 8


def test_a_cell_that_knows_both_directions_is_asymmetric():
    """And so are its larger cells; charged cells stand for ones."""
    window = 0.2 * TWO_WAY.window_for(0.1)
    asked = Design(device=TWO_WAY, window=window, cells=1.0)
    assert asked.fault == Asymmetric(*TWO_WAY.rates(window))
    assert asked.fault.p01 != asked.fault.p10
    larger = asked.hardened[0]
    assert (larger.p01, larger.p10) == TWO_WAY.enlarged(1.5).rates(window)
    with pytest.raises(qtaml.ArgumentError, match=r"window must be shorter: p01 and p10 are .* must be below 0.5"):
        Design(device=TWO_WAY, window=1e3 * window, cells=1.0)


def test_a_window_of_a_device_changes_its_flip_probability():
    """And that of its larger cells."""
    cell = qtaml.device.preset("gaincell_2t_sion")
    asked = Design(device="gaincell_2t_sion", window=1e-5, cells=0.5)
    assert asked.fault == Uniform(cell.flip_probability(1e-5))
    assert asked == Design(device=cell, window=1e-5, cells=0.5)


def test_numbers_are_kept_as_python_numbers():
    """Those of NumPy are equal to them, and JSON holds both alike."""
    asked = Tac(p=np.float32(0.5) / 4, overhead=np.float64(0.1), seed=np.int64(3), floors={"a": np.int8(1)})
    plain = Tac(p=0.125, overhead=0.1, seed=3, floors={"a": 1})
    assert ADAPTER.dump_json(asked) == ADAPTER.dump_json(plain)
    assert UniformMsp(p=0.1, protected_bits=2) == UniformMsp(p=0.1, protected_bits=2.0)


def test_a_record_is_frozen():
    """Neither its fields nor what was given as a list can change."""
    patterns = ["*.bias"]
    asked = Tac(p=0.1, overhead=0.1, include=patterns)
    patterns.append("head*")
    assert asked.include == ("*.bias",)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'overhead'"):
        asked.overhead = 0.2


@pytest.mark.parametrize(
    ("record", "settings", "message"),
    [
        (
            Tac,
            {"p": 0.1, "fault": FAULT, "overhead": 0.1},
            "give exactly one of p, fault and device, got p=0.1, fault=Asym",
        ),
        (Magnitude, {"overhead": 0.1}, "give exactly one of p, fault and device, got p=None, fault=None"),
        (Magnitude, {"p": 0.1, "overhead": 1.5}, r"overhead must be a share from 0 to 1 .* got 1\.5; 5 per cent"),
        (Magnitude, {"p": 0.1, "overhead": 0.1, "allocation": "best"}, "allocation must be one of 'split'.*got 'best'"),
        (Sensitivity, {"p": 0.1, "overhead": 0.1, "trials": 1}, "trials must be a whole number of at least 2, got 1"),
        (
            RandomProtection,
            {"p": 0.1, "overhead": 0.1, "seed": -1},
            "seed must be a whole number of at least 0, got -1",
        ),
        (Tac, {"p": 0.1, "overhead": 0.1, "kind": "design"}, "kind must be one of 'tac', got 'design'"),
        (Tac, {"p": 0.1, "overhead": 0.1, "floors": [1]}, r"floors must be a mapping from patterns .*, got \[1\]"),
        (Tac, {"p": 0.1, "overhead": 0.1, "bits": 4, "residual_floor": 5}, "residual_floor must be .* 0 to 4, got 5"),
        (
            Tac,
            {"p": 0.1, "overhead": 0.1, "include": "*.bias"},
            r"include must be a sequence of patterns, got '\*.bias'",
        ),
        (UniformMsp, {"p": 0.1, "protected_bits": 5, "bits": 4}, "protected_bits must be a number from 0 to 4, got 5"),
        (
            Design,
            {"p": 0.1, "device": "hbn_fg_15L", "cells": 1},
            "exactly one of p, fault and device, .* device=hbn_fg",
        ),
        (UniformMsp, {"p": 0.1, "protected_bits": 5, "levels": "nf4"}, "protected_bits must be .* 0 to 4, got 5"),
        (UniformMsp, {"p": 0.1, "protected_bits": 5, "levels": "nf5"}, "levels must be one of 'int4'.* got 'nf5'"),
        (
            UniformMsp,
            {"p": 0.1, "protected_bits": 1, "bits": 4, "levels": "nf4"},
            "levels='nf4' must come without bits",
        ),
        (Tac, {"p": 0.1, "overhead": 0.1, "granularity": 1}, "granularity must be 'tensor', 'row' or .*, got 1"),
        (Design, {"p": 0.1, "cells": 1, "levels": "nf4"}, "levels must be several names .* got 'nf4'"),
        (Design, {"p": 0.1, "cells": 1, "levels": ["nf5"]}, "levels must be one of 'int4'.* got 'nf5'"),
        (Design, {"p": 0.1, "cells": 1, "group": 1}, "group must be a whole number of at least 2, got 1"),
        (Design, {"p": 0.1, "cells": 1, "group": 4, "decoders": ["none"]}, "decoders must hold 'table', or .* group=4"),
        (Design, {"device": "hbn", "cells": 1}, r"preset must be one of .* got 'hbn'"),
        (Tac, {"p": 0.1, "window": 1e-3, "overhead": 0.1}, "window must be given with a device, .* got 0.001 without"),
        (Tac, {"device": "hbn_fg_15L", "window": -1, "overhead": 0.1}, "window must be above 0, got -1"),
        (
            Tac,
            {"device": qtaml.device.preset("hbn_fg_15L"), "overhead": 0.1},
            "window must be given for a cell, which has none of its own",
        ),
        (
            Tac,
            {"device": "gaincell_2t_sion", "window": 1.0, "overhead": 0.1},
            "window must be shorter: p is 1 after 1 s, and must be below 0.5",
        ),
        (Design, {"p": 0.1, "cells": 1, "hardened": [2.0]}, r"hardened must be cells such as HardenedCell.*, got 2\.0"),
        (Design, {"p": 0.1, "cells": 1, "trials": 1}, "trials must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_settings_are_refused(record, settings, message):
    """Each names the setting, its value and what is allowed, before there is a network."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        record(**settings)


def test_a_setting_that_a_method_lacks_is_refused():
    """By the function, and in a file."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'trials'"):
        fixed_point(CONVOLUTION.model(), p=0.1, trials=3)
    text = (
        fixed_point(CONVOLUTION.model(), p=0.1)
        .to_json()
        .replace('"kind": "fixed_point"', '"kind": "fixed_point", "x": 1')
    )
    with pytest.raises(qtaml.StoredFileError, match=r"settings\.fixed_point\.x: Unexpected keyword argument"):
        qtaml.Plan.from_json(text)


def test_a_setting_that_is_missing_or_unknown_is_told_by_the_function():
    """Its user knows nothing of the record behind it."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    with pytest.raises(TypeError, match=r"^compensate\(\) missing a required .*'overhead'$"):
        qtaml.compensate(model, batch, p=0.1)
    with pytest.raises(TypeError, match=r"^uniform_msp\(\) got an unexpected keyword argument 'overhead'$"):
        qtaml.uniform_msp(model, p=0.1, protected_bits=1, overhead=0.1)
