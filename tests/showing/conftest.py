"""Pages in a real browser: a Chromium of the system, driven by playwright; skipped where there is none."""

import os
import shutil
from pathlib import Path

import pytest

# Debian, Ubuntu, Fedora, macOS, and whatever CHROMIUM names.
BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
AXE = Path(__file__).parent / "vendor" / "axe-core-4.10.3.min.js"


def chromium():
    """Path of a Chromium; None if there is none."""
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, BINARIES), *filter(os.path.exists, PLACES)]
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, closed with the module: playwright runs one at a time in a thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = chromium()
    if path is None:
        pytest.skip(f"needs a Chromium ({', '.join(BINARIES)}, or CHROMIUM=path): apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # In a container root has no sandbox; what is opened are our own files.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


class Opened:
    """A page in the browser, with what it asked for and what it complained of.

    Attributes:
        page: of playwright.
        requests: addresses that it asked for.
        complaints: errors and warnings on its console.
    """

    def __init__(self, context, path):
        self.page = context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console", lambda one: self.complaints.append(one.text) if one.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=20_000)

    def faults(self):
        """What axe-core calls serious or critical."""
        # By the debugger, not by a script element: the page's own policy forbids foreign scripts.
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            (one["id"], one["nodes"][0]["target"], one["nodes"][0]["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture
def opened(browser):
    """A function that opens a file at a width in light or dark; afterwards nothing was loaded or complained of."""
    contexts, pages = [], []

    def call(path, *, width=1440, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, offline=True
        )
        contexts.append(context)
        pages.append((path, Opened(context, path)))
        return pages[-1][1]

    yield call
    for path, one in pages:
        assert [url for url in one.requests if url != path.as_uri() and not url.startswith(("blob:", "data:"))] == []
        assert one.complaints == []
    for context in contexts:
        context.close()
