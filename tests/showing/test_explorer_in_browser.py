"""The explorer in a browser: axes, filters, brush, front, one row, files."""

import csv
import io

import pytest

from qtaml.showing import save_explorer

pytestmark = pytest.mark.slow

ROWS = [
    {
        "network": network,
        "method": method,
        "cells": cells,
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.02,
        "accuracy_high": accuracy + 0.02,
        "predicted_error": None if method == "<b>tac</b>" else 1 / cells,
        "settings": '{"overhead": 0.1}',
    }
    for network, gain in (("SmallCNN", 0.0), ("Other", -0.1))
    for method, start in (("<b>tac</b>", 0.6), ('de"sign, x', 0.7))
    for cells, accuracy in ((0.5, start + gain), (1.0, start + gain + 0.1), (2.0, start + gain + 0.05))
]


@pytest.fixture(scope="module")
def explorer_file(tmp_path_factory):
    """Twelve rows of two networks by two methods."""
    return save_explorer(ROWS, "Twelve <rows>", tmp_path_factory.mktemp("explorer") / "explorer.html", source="a test")


def front_of(page):
    """Ringed points of the picture."""
    return page.locator('#picture svg g[aria-label=dot][stroke="var(--ink)"] circle').count()


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1440, "light")])
def test_nobody_is_shut_out_of_the_explorer(explorer_file, opened, width, scheme):
    """Nothing serious for axe-core, and nothing wider than the screen."""
    one = opened(explorer_file, width=width, scheme=scheme)
    assert one.page.inner_text("h1") == "Twelve <rows>"
    assert one.page.locator("#legend b").count() == 0
    assert one.faults() == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_filters_and_axes_make_the_front(explorer_file, opened):
    """The front is that of the rows that are kept, on the axes that are chosen, in the directions that are better."""
    page = opened(explorer_file).page
    assert page.inner_text("#count") == "12 of 12 rows are kept"
    assert front_of(page) == 2
    page.uncheck('#filters label:has-text("SmallCNN") input')
    assert page.inner_text("#count") == "6 of 12 rows are kept"
    assert front_of(page) == 2
    page.select_option("#better-y", "less")
    assert front_of(page) == 1
    page.select_option("#axis-y", "predicted_error")
    assert front_of(page) == 3
    page.fill("#x-to", "1.5")
    page.keyboard.press("Tab")
    assert page.inner_text("#count") == "4 of 12 rows are kept"
    page.click("#reset")
    assert page.inner_text("#count") == "12 of 12 rows are kept"
    # Numbers of a few values are ticked too; what is told apart by a number is named by it.
    page.uncheck('#filters fieldset:has(legend:has-text("cells")) label:has-text("0.5") input')
    assert page.inner_text("#count") == "8 of 12 rows are kept"
    page.select_option("#by", "cells")
    assert page.locator("#legend").inner_text().split() == ["\u20681\u2069", "\u20682\u2069"]


def test_a_rectangle_is_dragged(explorer_file, opened):
    """It keeps what lies in it, and the ranges say so."""
    page = opened(explorer_file).page
    svg = page.locator("#picture svg")
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.6, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] - 4, steps=4)
    page.mouse.up()
    kept = int(page.inner_text("#count").split()[0])
    assert kept == 8
    assert 1.0 < float(page.input_value("#x-to")) < 2.0


def test_a_point_opens_its_row(explorer_file, opened):
    """By a click in the picture, or by its button in the table."""
    page = opened(explorer_file).page
    page.locator("#picture svg").scroll_into_view_if_needed()
    box = page.locator('#picture svg g[aria-label=dot][stroke="var(--ink)"] circle').first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("#picture svg [aria-label=tip]", has_text="sign").wait_for()
    page.mouse.down()
    page.mouse.up()
    assert 'de"sign, x' in page.inner_text("#row")
    page.click("#rows tbody tr:nth-child(1) button")
    said = page.inner_text("#row")
    assert "<b>tac</b>" in said
    assert "0.6 [0.58, 0.62]" in said
    assert '{"overhead": 0.1}' in said


def test_what_is_kept_is_saved(explorer_file, opened, tmp_path):
    """As CSV with every digit shown, as a picture that stands for itself, as pixels."""
    page = opened(explorer_file).page
    page.uncheck('#filters label:has-text("SmallCNN") input')
    files = {}
    for kind in ("csv", "svg", "png"):
        with page.expect_download() as download:
            page.click(f"#{kind}")
        download.value.save_as(tmp_path / kind)
        files[kind] = (tmp_path / kind).read_bytes()
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert len(rows) == 6
    assert {row["method"] for row in rows} == {"<b>tac</b>", 'de"sign, x'}
    assert rows[0]["predicted_error"] == ""
    assert (
        b"var(--" not in files["svg"].split(b"<style", 1)[-1].split(b"</style>", 1)[-1] or b"fill: rgb" in files["svg"]
    )
    assert files["png"].startswith(b"\x89PNG")
