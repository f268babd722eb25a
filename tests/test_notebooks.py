"""Plans, results, memories, predictions, chips and cells in a notebook: HTML, figures, data frames."""

import sys

import pytest
import torch
from torch import nn

import qtaml
from qtaml.device import preset
from qtaml.faults import Uniform
from qtaml.measuring import Yield

HOSTILE = "<img src=x onerror=alert(1)>[bold]"


@pytest.fixture(scope="module")
def shown():
    """One of each, of a network whose tensor has markup in its name."""
    model = nn.ModuleDict({HOSTILE: nn.Linear(8, 4)})
    model.forward = None
    plain = nn.Sequential(nn.Linear(8, 4))
    inputs = torch.randn(20, 8)
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    memory = qtaml.store(plain, qtaml.compensate(plain, inputs, p=0.1, overhead=0.1))
    metric = qtaml.Accuracy(inputs, plain(inputs).argmax(1))
    return {
        "plan": plan,
        "memory": memory,
        "result": qtaml.evaluate(memory, metric, trials=3),
        "yield": Yield((0.5, 0.6, 0.7), trials=1, fault=Uniform(0.1), seed=0, confidence=0.95),
        "prediction": qtaml.predict(plain, inputs, p=0.1),
        "cell": preset("fg_dt_3p0"),
    }


KINDS = ("plan", "memory", "result", "yield", "prediction", "cell")


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_small_plain_table(shown, kind):
    """No style, no script, and no more than a screen."""
    html = shown[kind]._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 1
    assert "<script" not in html
    assert "style" not in html
    assert len(html) < 4000


def test_names_are_text(shown):
    """Neither HTML nor the markup of Rich."""
    html = shown["plan"]._repr_html_()
    assert "&lt;img src=x onerror=alert(1)&gt;[bold].weight" in html
    assert "<img" not in html


def test_long_plans_are_cut():
    """Forty rows, and how many there are besides."""
    plan = qtaml.uniform_msp(nn.Sequential(*(nn.Linear(2, 2) for _ in range(45))), p=0.1, protected_bits=1)
    html = plan._repr_html_()
    assert html.count("<tr>") == 41
    assert "5 further rows" in html


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_figure(shown, kind):
    """With axes that say what is on them."""
    axes = shown[kind].plot().axes
    assert axes
    assert all(one.get_xlabel() and one.get_ylabel() for one in axes)


@pytest.mark.slow
def test_a_figure_says_what_the_record_says(shown):
    """The reads of a result, the cells of a plan, p of a cell at the middle of its window."""
    reads = shown["result"].plot().axes[0]
    assert tuple(reads.lines[-1].get_ydata()) == shown["result"].values
    assert shown["plan"].plot().axes[0].lines[0].get_ydata() == pytest.approx([9.0])
    curve = shown["cell"].plot().axes[0].lines[0]
    middle = shown["cell"].window_for(0.1)
    assert curve.get_xdata()[60] == pytest.approx(middle)
    assert curve.get_ydata()[60] == pytest.approx(0.1)


def test_an_empty_range_of_windows_is_refused(shown):
    """From a longer to a shorter one."""
    with pytest.raises(qtaml.ArgumentError, match="windows must be a range from a shorter to a longer one, got 2 to 1"):
        shown["cell"].plot((2.0, 1.0))


@pytest.mark.parametrize(
    ("kind", "rows", "column"), [("memory", 1, "cells"), ("result", 3, "metric"), ("yield", 3, "metric")]
)
def test_rows_are_a_data_frame(shown, kind, rows, column):
    """A row for each tensor, read or chip."""
    pytest.importorskip("pandas")
    frame = (shown[kind].plan if kind == "memory" else shown[kind]).to_pandas()
    assert len(frame) == rows
    assert frame[column].notna().all()
    if kind == "memory":
        assert frame["cells"].sum() == pytest.approx(8 * 32 * shown["memory"].plan.cells, rel=0.01)


def test_without_pandas_it_is_named(shown, monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(qtaml.QtamlError, match=r"data frames need pandas: pip install 'qtaml\[pandas\]'"):
        shown["result"].to_pandas()
