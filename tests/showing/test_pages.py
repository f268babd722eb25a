"""The pages as files: nothing foreign, nothing loaded, names as data, and what cannot be drawn."""

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from torch import nn

import qtaml
from qtaml.overview import summarise
from qtaml.showing import explorer_page, report_page, save_report
from qtaml.showing.page import short

MARKUP = "</script><script>alert(1)</script>"
ROWS = [{"cells": 0.5, "accuracy": 0.9, "method": MARKUP}, {"cells": 1.0, "accuracy": None, "method": "b"}]


@pytest.fixture(scope="module")
def texts():
    """Both pages, of names with markup."""
    plan = qtaml.uniform_msp(nn.Linear(8, 4), p=0.1, protected_bits=1)
    return {"report": report_page(summarise({MARKUP: plan})), "explorer": explorer_page(ROWS, MARKUP)}


def data_of(text):
    """What a page unpacks."""
    packed = re.search(r'id="data">([^<]*)</script>', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.mark.parametrize("kind", ["report", "explorer"])
def test_only_its_own_scripts_run(texts, kind):
    """The policy names the hash of each script that stands in the page, and allows no request."""
    text = texts[kind]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy.startswith("default-src 'none'; script-src ")
    assert re.findall(r"sha256-([^']*)'", policy) == hashes
    assert "http" not in policy


@pytest.mark.parametrize("kind", ["report", "explorer"])
def test_names_are_data(texts, kind):
    """Markup in a name is nowhere in the page but in its packed data, and escaped where no script runs."""
    text = texts[kind]
    assert MARKUP not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
    assert MARKUP in json.dumps(data_of(text), ensure_ascii=False)
    assert len(text) < 1_000_000


def test_the_same_numbers_are_the_same_page(texts):
    """No time, no order of a set."""
    assert explorer_page(ROWS, MARKUP) == texts["explorer"]


def test_the_libraries_are_those_that_the_notice_names():
    """By checksum, each with its licence beside it."""
    folder = Path(str(files("qtaml.showing") / "web" / "vendor"))
    notice = (folder / "NOTICE.md").read_text()
    named = dict(re.findall(r"\| `([^`]+\.js)` .*`([0-9a-f]{64})`", notice))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.js")}
    assert found == named
    assert "ISC licence" in notice


def test_columns_of_the_explorer():
    """Numbers, their intervals, texts by what occurs; what one row lacks is unknown."""
    rows = [
        {"p": 0.1, "x": 1, "x_low": 0.5, "x_high": float("inf"), "name": "a", "ok": True},
        {"name": "b", "x": 2, "y": 3},
    ]
    data = data_of(explorer_page(rows, "two"))
    columns = {one["name"]: one for one in data["columns"]}
    assert [name for name, one in columns.items() if one["number"] and not one["end"]] == ["p", "x", "y"]
    assert [name for name, one in columns.items() if one["end"]] == ["x_low", "x_high"]
    assert columns["x_high"]["values"] == [None, None]
    assert columns["name"]["known"] == ["a", "b"]
    assert columns["ok"]["known"] == ["True"]
    assert columns["ok"]["values"] == [0, -1]
    assert (data["x"], data["y"]) == ("p", "x")


@pytest.mark.parametrize(("across", "upwards", "less"), [("accuracy", "mean", False), ("perplexity", "power", True)])
def test_the_first_axes_are_what_is_asked_most(across, upwards, less):
    """Cost across, what it buys upwards, in the direction that is better."""
    data = data_of(explorer_page([{"area": 1.0, across: 0.9, "noise": 3}], "one"))
    assert (data["x"], data["y"], data["low_y"]) == ("area", across, less)
    assert upwards not in (data["x"], data["y"])


def test_rows_without_two_numbers_are_refused():
    """There is nothing to draw."""
    with pytest.raises(qtaml.ArgumentError, match=r"rows must have at least two numbers .*, got \['cells'\]"):
        explorer_page([{"cells": 1.0, "name": "a"}], "one")


@pytest.mark.parametrize("name", ["report.json", "report", "folder.html"])
def test_other_files_are_not_replaced(name, tmp_path):
    """A page ends in .html, and is a file."""
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(qtaml.StoredFileError, match=f"cannot write .*{name}: "):
        qtaml.report(qtaml.uniform_msp(nn.Linear(8, 4), p=0.1, protected_bits=1), out=tmp_path / name)


def test_a_report_of_one_network_is_named_by_its_plan(tmp_path):
    """By method and cells; the record is what the page shows."""
    found = qtaml.report(qtaml.uniform_msp(nn.Linear(8, 4), p=0.1, protected_bits=1), out=tmp_path / "a.html")
    assert found.networks[0].name == "uniform_msp, 1.12 cells"
    again = save_report(found, tmp_path / "b.html")
    assert again.read_bytes() == (tmp_path / "a.html").read_bytes()
    assert data_of(again.read_text())["networks"][0]["tensors"]["parts"] == [
        [7, 1, 64, *(part for bit in range(6, -1, -1) for part in (bit, 0, 32))]
    ]


def test_numbers_have_five_digits():
    """And none that JSON does not know."""
    assert [short(one) for one in (0.123456789, 1e-300, 3.0, float("nan"), None)] == [0.12346, 1e-300, 3, None, None]


def test_a_caution_stands_on_the_page():
    """Few samples of a score without bounds: the interval may be too narrow, and the page says so."""
    model, inputs = nn.Linear(8, 4), torch.randn(20, 8)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=4))
    found = qtaml.report(memory, qtaml.measuring.OutputError(model, inputs), better="lower", bar=1.0, chips=0, trials=5)
    (remark,) = (one for one in data_of(report_page(found))["networks"][0]["remarks"] if "too narrow" in one)
    assert "20" in remark
