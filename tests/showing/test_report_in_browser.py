"""The report in a browser: clicked, hovered, searched, sorted, moved, printed, at two widths, light and dark."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Uniform
from qtaml.formats import Format, Section, TensorFormat
from qtaml.overview import summarise
from qtaml.planning import ByHand, Plan, TensorPlan
from qtaml.showing import save_report

pytestmark = pytest.mark.slow

MARKUP = "</script><img src=x onerror=\"document.title='owned'\">{{7*7}}&amp;\u2028"
LONG, RIGHT_TO_LEFT = "block." * 60 + "weight", "\u05de\u05e9\u05e7\u05dc.\u202e\u05d0"


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    """A report of two measured networks, one of them with all that a page can show."""
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 4))
    inputs = torch.randn(120, 16)
    stored = {
        "TAC": qtaml.store(model, qtaml.compensate(model, inputs[:32], p=0.05, overhead=0.1, trials=2, passes=4)),
        MARKUP: qtaml.store(model, qtaml.uniform_msp(model, p=0.05, protected_bits=1)),
    }
    path = tmp_path_factory.mktemp("report") / "report.html"
    metric = qtaml.Accuracy(inputs, model(inputs).argmax(1))
    found = qtaml.report(stored, metric, model=model, out=path, trials=5, chips=6, command="qtaml report <TAC>")
    return path, found


@pytest.fixture(scope="module")
def names_file(tmp_path_factory):
    """A report of a plan whose tensors have names that no page likes."""
    storage = TensorFormat((Section(6, Format().protect(1)),))
    tensors = tuple(TensorPlan(name, (), (2, 3), "float32", storage) for name in (MARKUP, LONG, RIGHT_TO_LEFT))
    return save_report(
        summarise({MARKUP: Plan(ByHand(p=0.1), tensors)}), tmp_path_factory.mktemp("names") / "names.html"
    )


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """A report of a plan of 100,000 tensors."""
    storages = [TensorFormat((Section(64, Format().protect(bits)),)) for bits in range(4)]
    tensors = tuple(TensorPlan(f"{bits}", (), (8, 8), "float32", one) for bits, one in enumerate(storages))
    few = summarise({"large": Plan(ByHand(p=0.1), tensors)})
    known = few.networks[0].tensors
    many = tuple(replace(known[i % 4], name=f"blocks.{i}.weight") for i in range(100_000))
    large = replace(few, networks=(replace(few.networks[0], tensors=many),))
    return save_report(large, tmp_path_factory.mktemp("large") / "large.html")


def test_the_first_screen_says_it_all(report_file, opened):
    """The verdict, the numbers that it has, and no more width than there is."""
    path, found = report_file
    page = opened(path).page
    network = found.networks[0]
    assert page.inner_text("#verdict").startswith(f"{network.weights} weights in {network.cells:.4g} of the cells")
    assert f"{100 * network.result.mean:.1f}%" in page.inner_text("#verdict")
    tiles = page.inner_text("#tiles").lower()
    assert all(word in tiles for word in ("cells", "accuracy", "good chips", "holds to", "predicted output error"))
    assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (1440, "light"), (1440, "dark")])
def test_nobody_is_shut_out(report_file, opened, width, scheme):
    """Nothing serious for axe-core, and nothing wider than the screen."""
    one = opened(report_file[0], width=width, scheme=scheme)
    assert one.faults() == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.page.locator("section:visible h2").count() == 7


def test_the_other_network_is_one_key_away(report_file, opened):
    """Chosen with the keyboard; the verdict, the tensors and the table follow."""
    page = opened(report_file[0]).page
    before = page.inner_text("#verdict")
    page.focus("#networks input:checked")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("h1") == MARKUP.replace("\u2028", "\u2028")
    assert page.inner_text("#verdict") != before
    assert "ideal" in page.inner_text("#legend")
    assert page.inner_text("#plan").count("none") == 2


def test_a_point_is_hovered_and_clicked(report_file, opened):
    """Hovering says the plan; clicking goes to its tensors."""
    page = opened(report_file[0]).page
    front = page.locator("#front svg")
    front.scroll_into_view_if_needed()
    # The filled symbol of the second network.
    mark = page.locator('#front svg g[fill="var(--c1)"] path').first
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("#front svg [aria-label=tip]", has_text="UniformMsp").wait_for()
    page.mouse.down()
    page.mouse.up()
    assert page.input_value("#networks input:checked") == "1"


def test_the_slider_goes_to_other_memories(report_file, opened):
    """With the arrow keys; what is said there is what was measured there."""
    path, found = report_file
    page = opened(path).page
    curve = found.networks[0].curve
    planned = next(place for place, point in enumerate(curve) if point.at == found.planned)
    assert "(planned)" in page.inner_text("#readout")
    page.focus("#place")
    page.keyboard.press("ArrowRight")
    point = curve[planned + 1]
    said = page.inner_text("#readout")
    assert f"p = {point.at:.4g};" in said
    assert f"{100 * point.metric.value:.1f}% [{100 * point.metric.low:.1f}, {100 * point.metric.high:.1f}]" in said
    assert page.get_attribute("#place", "aria-valuetext") in said


def test_the_plan_is_searched_sorted_and_opened(report_file, opened):
    """What is typed filters, a head sorts both ways, a name opens the weights of its tensor."""
    page = opened(report_file[0]).page
    rows = page.locator("#plan tbody tr.row")
    assert rows.count() == 2
    page.click("#plan th button:has-text('weights')")
    assert rows.first.inner_text().startswith("0.weight")
    assert page.get_attribute("#plan th:has(button:has-text('weights'))", "aria-sort") == "descending"
    page.click("#plan th button:has-text('weights')")
    assert rows.first.inner_text().startswith("2.weight")
    page.fill("#search", "2.w")
    assert rows.count() == 1
    assert page.inner_text("#count") == "1 of 2 tensors"
    page.click("#plan tbody button")
    assert page.input_value("#tensor") == "2.weight"
    assert page.locator("#weights figure").count() == 3


def test_names_are_text(names_file, opened):
    """Markup, very long and right-to-left names: shown, never run, nothing pushed out of the page."""
    one = opened(names_file, width=375)
    page = one.page
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    assert page.inner_text("h1").startswith("</script><img src=x onerror=")
    shown = page.locator("#plan tbody button bdi")
    assert shown.all_text_contents() == [MARKUP, LONG, RIGHT_TO_LEFT]
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert one.faults() == []


def test_a_hundred_thousand_rows_stay_quick(large_file, opened):
    """Of all rows only those in sight are in the page; the last one is a click away."""
    page = opened(large_file).page
    assert large_file.stat().st_size < 2_000_000
    rows = page.locator("#plan tbody tr.row")
    assert rows.count() < 60
    assert page.get_attribute("#plan table", "aria-rowcount") == "100001"
    page.evaluate("document.querySelector('#plan .table').scrollTop = 1e9")
    page.wait_for_selector("#plan >> text=blocks.99999.weight")
    assert rows.count() < 60
    page.fill("#search", "blocks.4242.")
    assert rows.count() == 1
    assert page.locator("#tensors svg g[aria-label='y-axis tick label'] text").count() == 23


def test_it_prints(report_file, opened, tmp_path):
    """Black on white, every section, more than a page."""
    page = opened(report_file[0], width=700, scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.is_visible("#search")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") >= 2


def test_a_curve_over_windows(tmp_path, opened):
    """Any axis: here the refresh window, of a plan that is read from named memories."""
    model = nn.Sequential(nn.Linear(16, 4))
    inputs = torch.randn(60, 16)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.05, protected_bits=1))
    along = {1e-5: Uniform(0.02), 2e-5: Uniform(0.05), 4e-5: Uniform(0.1)}
    metric = qtaml.Accuracy(inputs, model(inputs).argmax(1))
    path = tmp_path / "windows.html"
    qtaml.report(memory, metric, out=path, along=along, axis="window (s)", trials=2, chips=0)
    page = opened(path).page
    assert page.inner_text("#readout").split(": ")[1].startswith("window (s) = 2e-5 (planned)")
    assert "No chips were measured." in page.inner_text("#missing")
