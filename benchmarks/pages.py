"""Pages: how long a browser takes until all of a report or an explorer is drawn, from the file on."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

import qtaml
from benchmarks.harness import Measurement
from benchmarks.large_networks import Encoder
from qtaml.overview import Overview, summarise
from qtaml.showing import save_explorer, save_report

# 22 million weights, and as many rows as a page has to bear.
ENCODER = {"vocabulary": 8000, "width": 384, "hidden": 1536, "layers": 11}
SMALL = {"vocabulary": 100, "width": 48, "hidden": 96, "layers": 1}
ROWS, FEW_ROWS, OPENED = 100_000, 1000, 5


def chromium() -> str | None:
    """A Chromium of the system that playwright can drive; None if there is none."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None) if find_spec("playwright") else None


def few() -> Overview:
    """What a report shows of a plan of one tensor."""
    return summarise({"few": qtaml.uniform_msp(nn.Linear(8, 8), p=0.01, protected_bits=2)})


def rows_of_tensors(count: int) -> Overview:
    """The same of a plan of many tensors."""
    overview = few()
    network = overview.networks[0]
    tensors = tuple(replace(network.tensors[0], name=f"blocks.{number}.weight") for number in range(count))
    return replace(overview, networks=(replace(network, tensors=tensors),))


def network(sizes: dict[str, int]) -> Overview:
    """What a report shows of a stored encoder, its weights and errors included."""
    model = Encoder(**sizes).eval()
    return summarise({"encoder": qtaml.store(model, qtaml.uniform_msp(model, p=0.01, protected_bits=2))})


def results(count: int) -> list[dict[str, Any]]:
    """Rows of a sweep."""
    return [
        {"cells": 1 + row % 997 / 1000, "accuracy": (row * 7919 % 1000) / 1000, "method": f"method {row % 8}"}
        for row in range(count)
    ]


def drawn(path: Path, binary: str) -> tuple[float, float]:
    """Median seconds to the first paint, and until everything is drawn, of a file that is opened again and again."""
    from playwright.sync_api import sync_playwright

    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    times: list[tuple[float, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        for _ in range(OPENED):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=120_000)
            ready = float(page.get_attribute("html", "data-ready") or "nan")
            times.append((page.evaluate(paint) / 1e3, ready / 1e3))
            page.close()
        browser.close()
    return statistics.median(one for one, _ in times), statistics.median(one for _, one in times)


def measure(quick: bool = False) -> list[Measurement]:
    """A report of a large network, one of many rows, an explorer of many rows; nothing where there is no browser.

    Args:
        quick: small ones.
    """
    binary = chromium()
    if binary is None:
        return []
    rows, sizes = (FEW_ROWS, SMALL) if quick else (ROWS, ENCODER)
    with tempfile.TemporaryDirectory() as folder:

        def page_of(name: str, make: Callable[[Path], Path]) -> tuple[Path, str]:
            start = time.process_time()
            path = make(Path(folder, name))
            return path, f"{time.process_time() - start:.1f} s to make, {path.stat().st_size / 1e6:.2f} MB"

        reference, _ = page_of("few.html", lambda path: save_report(few(), path))
        shown = network(sizes)
        pages = {
            "report of a network": (shown.networks[0].weights, "weights", lambda path: save_report(shown, path)),
            "report of many tensors": (rows, "tensors", lambda path: save_report(rows_of_tensors(rows), path)),
            "explorer": (rows, "rows", lambda path: save_explorer(results(rows), "rows", path)),
        }
        least = drawn(reference, binary)[1]
        found = []
        for what, (size, unit, make) in pages.items():
            path, made = page_of(f"{len(found)}.html", make)
            first, ready = drawn(path, binary)
            note = f"first paint after {first:.2f} s; {made}"
            found.append(Measurement("pages", what, size, unit, ready, "report of one tensor", least, note))
    return found
