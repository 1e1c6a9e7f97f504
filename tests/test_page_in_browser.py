"""The page in a real browser (headless Chromium, driven by Playwright): by mouse, by keyboard, without JavaScript, with hostile names.

Needs the extra `e2e` and a Chromium: `apt-get install chromium`, or IMGCOLLAPSE_CHROMIUM=/path/to/it. Where either is missing the tests are
skipped, unless IMGCOLLAPSE_TEST_E2E=1 says that they must run.
"""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import HOSTILE, ablation

from imgcollapse import reports
from imgcollapse.reports import thin

CHROMIUM = os.environ.get("IMGCOLLAPSE_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
try:
    from playwright.sync_api import Browser, Page, sync_playwright

    MISSING = None if Path(CHROMIUM).exists() else f"no Chromium at {CHROMIUM}"
except ImportError:
    MISSING = "playwright is not installed (the extra e2e)"
if os.environ.get("IMGCOLLAPSE_TEST_E2E") == "1":
    assert MISSING is None, MISSING
pytestmark = [pytest.mark.skipif(MISSING is not None, reason=str(MISSING)), pytest.mark.e2e, pytest.mark.slow]

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, "--disable-component-update"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(grid: Path) -> Path:
    return reports.write(reports.read([grid]), grid / "page.html").page


class Visit:
    """A page that is open, and all that went wrong or was asked for meanwhile."""

    def __init__(self, browser: "Browser", file: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.absolute().as_uri())

    def shown(self) -> list[str]:
        """What the visible sample grids are of."""
        return [str(image.get_attribute("alt")) for image in self.page.query_selector_all(".frames img") if image.is_visible()]


@pytest.fixture
def visit(browser: "Browser", file: Path) -> Iterator[Visit]:
    opened = Visit(browser, file)
    yield opened
    opened.context.close()
    assert opened.wrong == []
    assert [url for url in opened.asked if not url.startswith("data:") and not url.startswith("blob:")] == [file.absolute().as_uri()]


ARMS = ("none", "half", "everything kept")


def samples(generation: int, arms: tuple[str, ...] = ARMS) -> list[str]:
    return [f"Samples of {arm}, generation {generation}" for arm in arms]


def test_one_slider_moves_all_arms_by_keyboard(visit: Visit) -> None:
    assert visit.shown() == samples(2)
    slider = visit.page.get_by_label("generation 2 of 2")
    slider.focus()
    visit.page.keyboard.press("ArrowLeft")
    assert visit.shown() == samples(1) and visit.page.text_content("#which") == "1"
    visit.page.keyboard.press("Home")
    assert visit.shown() == samples(0)
    visit.page.keyboard.press("End")
    assert visit.shown() == samples(2)
    assert visit.page.locator("[data-row='2'].on").count() == 2 * 3, "the row of the same noise, and its name, of every arm"


def test_the_slider_follows_the_mouse_and_moves_the_line_in_every_chart(visit: Visit) -> None:
    box = visit.page.locator("#generation").bounding_box()
    assert box is not None
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert visit.shown() == samples(1)
    lines = visit.page.eval_on_selector_all(".cursor", "lines => lines.map(line => Number(line.getAttribute('x1')))")
    assert len(lines) > 10 and all(abs(x - (46 + 388) / 2) < 1 for x in lines)


def test_play_goes_through_the_generations_and_stops_at_the_end(visit: Visit) -> None:
    play = visit.page.get_by_role("button", name="Play")
    play.click()
    assert visit.page.text_content("#which") == "0" and visit.page.get_by_role("button", name="Pause").is_visible()
    visit.page.get_by_role("button", name="Play").wait_for(timeout=5000)
    assert visit.page.text_content("#which") == "2" and visit.shown() == samples(2)


def test_the_legend_switches_arms_off_everywhere(visit: Visit) -> None:
    button = visit.page.locator(".legend").get_by_role("button", name="half", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    button.focus()
    visit.page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "false" and visit.shown() == samples(2, ("none", "everything kept"))
    assert not any(part.is_visible() for part in visit.page.query_selector_all(".chart [data-arm='1']"))
    button.click()
    assert visit.shown() == samples(2)


def test_null_models_of_every_arm_are_a_click_away(visit: Visit) -> None:
    drawn = "#chart-recall .null"
    assert [part.is_visible() for part in visit.page.query_selector_all(drawn)].count(True) == 1, "under the reference's regime"
    visit.page.get_by_role("button", name="null model smooth of every arm").click()
    assert [part.is_visible() for part in visit.page.query_selector_all(drawn)].count(True) == 3


def test_hovering_and_arrow_keys_tell_the_values_of_the_table(visit: Visit) -> None:
    chart = visit.page.locator("#chart-recall")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + box["width"] * 46 / 400 + 2, box["y"] + 40)
    tip = visit.page.locator(".tip")
    lines = tip.inner_text().splitlines()
    row = visit.page.eval_on_selector_all("#table-curve-recall tbody tr:nth-child(2) > *", "cells => cells.map(cell => cell.textContent)")
    heads = visit.page.eval_on_selector_all("#table-curve-recall thead th", "cells => cells.map(cell => cell.textContent)")
    assert lines[0] == "generation 0" and lines[1:] == [f"{h}: {c}" for h, c in zip(heads, row, strict=True) if h in ARMS]
    visit.page.mouse.move(5, 5)
    assert tip.count() == 0
    chart.focus()
    visit.page.keyboard.press("ArrowLeft")
    assert tip.inner_text().startswith("generation 1") and visit.shown() == samples(1)
    visit.page.keyboard.press("Escape")
    assert tip.count() == 0


def test_a_table_can_be_taken_away(visit: Visit) -> None:
    figure = visit.page.locator("figure", has=visit.page.locator("#chart-fd"))
    figure.get_by_text("Table", exact=True).click()
    with visit.page.expect_download() as waiting:
        figure.get_by_role("button", name="CSV").click()
    assert waiting.value.suggested_filename == "curve-fd.csv"
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()))
    means = visit.page.evaluate("JSON.parse(document.getElementById('data').textContent).tables['curve-fd'].map(r => r.mean)")
    assert [float(row["mean"]) for row in rows] == means and {row["arm"] for row in rows} == set(ARMS)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    figure.get_by_role("button", name="Copy").click()
    figure.get_by_text("Copied").wait_for(timeout=2000)
    copied = visit.page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[0].split("\t")[:2] == ["generation", "none"] and len(copied) == 5


def test_definitions_are_one_click_away(visit: Visit) -> None:
    figure = visit.page.locator("figure", has=visit.page.locator("#chart-recall"))
    text = figure.get_by_text("The share of real pictures that lie within")
    assert not text.is_visible()
    figure.get_by_text("Definition", exact=True).click()
    assert text.is_visible()


def test_without_javascript_all_curves_and_grids_are_there(browser: "Browser", file: Path) -> None:
    opened = Visit(browser, file, java_script_enabled=False)
    page = opened.page
    assert sorted(opened.shown()) == sorted(name for generation in range(3) for name in samples(generation))
    more = page.get_by_text("All other metrics")
    assert all(
        chart.is_visible() for chart in page.query_selector_all(".chart > svg") if not chart.evaluate("one => one.closest('details')")
    )
    assert not page.locator("#chart-vendi").is_visible()
    more.click()
    assert all(chart.is_visible() for chart in page.query_selector_all(".chart > svg"))
    assert page.locator("#chart-recall .line").first.is_visible() and not page.locator(".cursor").first.is_visible()
    for control in ("#generation", "#play", ".tools"):
        assert not page.locator(control).first.is_visible(), "what would do nothing is not shown"
    figure = page.locator("figure", has=page.locator("#chart-fd"))
    figure.get_by_text("Table", exact=True).click()
    assert figure.locator("table").is_visible()
    opened.context.close()


def test_hostile_names_run_nothing(browser: "Browser", tmp_path: Path) -> None:
    arms = {HOSTILE: {}, "b": {"regime": "accumulate"}}
    folder = ablation(tmp_path, question=HOSTILE, arms=arms, seeds=1, nulls=False)
    file = reports.write(reports.read([folder]), tmp_path / "page.html").page
    opened = Visit(browser, file)
    page = opened.page
    assert page.text_content("h1") == HOSTILE and page.title() == HOSTILE.strip()
    chart = page.locator("#chart-recall")
    chart.focus()
    assert HOSTILE in page.locator(".tip").inner_text()
    figure = page.locator("figure", has=page.locator("#chart-fd"))
    figure.get_by_text("Table", exact=True).click()
    with page.expect_download() as waiting:
        figure.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()))
    assert {row["arm"] for row in rows} == {HOSTILE, "b"}
    assert page.evaluate("window.ran") is None and page.locator("img[src='x']").count() == 0
    assert opened.wrong == [] and all(url.startswith(("file:", "data:", "blob:")) for url in opened.asked)
    opened.context.close()


def test_a_script_that_is_not_ours_is_refused_by_the_policy(browser: "Browser", file: Path, tmp_path: Path) -> None:
    html = file.read_text(encoding="utf-8").replace("<main>", "<script>window.ran=1</script><main>")
    (tmp_path / "changed.html").write_text(html, encoding="utf-8")
    opened = Visit(browser, tmp_path / "changed.html")
    assert opened.page.evaluate("window.ran") is None and any("Content Security Policy" in text for text in opened.wrong)
    opened.context.close()


def test_pictures_in_a_folder_beside_the_page_are_shown(browser: "Browser", grid: Path, tmp_path: Path) -> None:
    written = reports.write(reports.read([grid]), tmp_path / "a page #1.html", budget=1000)
    assert written.beside is not None
    opened = Visit(browser, written.page)
    widths = opened.page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) == 3 * 3 * 2 and all(width > 0 for width in widths) and opened.wrong == []
    opened.context.close()


@pytest.mark.slow  # makes a page of thousands of generations
def test_of_very_many_generations_the_slider_stops_at_some_and_shows_what_is_nearest_before(
    browser: "Browser", grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("STOPS", 2), ("ROWS", 2)):
        monkeypatch.setattr(thin, name, most)
    opened = Visit(browser, reports.write(reports.read([grid]), tmp_path / "page.html").page)
    page = opened.page
    assert "shows some, evenly spaced: the slider stops at 2" in str(page.text_content(".note"))
    assert page.get_attribute("#generation", "max") == "1" and page.text_content("#which") == "2" and opened.shown() == samples(2)
    page.get_by_label("generation 2 of 2").focus()
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#which") == "0" and opened.shown() == samples(0)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for(timeout=5000)
    assert page.text_content("#which") == "2" and opened.shown() == samples(2)
    page.locator("#chart-recall").focus()
    page.keyboard.press("ArrowLeft")
    assert page.text_content(".tip strong") == "generation 0" and page.text_content("#which") == "0"
    assert opened.wrong == []
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen_and_can_be_read(browser: "Browser", file: Path, scheme: str, width: int) -> None:
    opened = Visit(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = opened.page
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(POOR_CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    opened.context.close()


def test_it_is_printed_dark_on_light_with_the_generation_that_is_shown(browser: "Browser", file: Path) -> None:
    opened = Visit(browser, file, color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    ink, paper = opened.page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert (ink, paper) == ("rgb(27, 29, 31)", "rgb(255, 255, 255)")
    assert opened.page.locator("#which").is_visible() and not opened.page.locator("#play").is_visible() and opened.shown() == samples(2)
    opened.context.close()


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(visit: Visit) -> None:
    seen = list[str]()
    while len(seen) < 40 and seen[-1:] != ["chart-fd"]:
        visit.page.keyboard.press("Tab")
        seen.append(visit.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    slider = seen.index("generation")
    assert seen[0] == "All comparisons" and {"What is drawn", "How it was made"} <= set(seen[:slider]), "answer and contents come first"
    assert seen[slider : slider + 6] == ["generation", "play", *ARMS, "null model smooth of every arm"] and seen[-1] == "chart-fd"
    outline = visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where one is"


def test_a_live_page_comes_back_as_it_was_left(browser: "Browser", grid: Path, tmp_path: Path) -> None:
    findings = reports.read([grid])
    file = reports.write(findings, tmp_path / "live.html", live=True).page
    file.write_text(file.read_text(encoding="utf-8").replace('"reload":10', '"reload":1'), encoding="utf-8")
    opened = Visit(browser, file)
    page = opened.page
    page.locator("#generation").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".legend").get_by_role("button", name="half", exact=True).click()
    page.get_by_text("Definition", exact=True).first.click()
    with page.expect_navigation(timeout=10_000):
        pass
    page.locator("html.js").wait_for()
    assert page.text_content("#which") == "1" and opened.shown() == samples(1, ("none", "everything kept"))
    assert page.locator("details").first.get_attribute("open") is not None
    opened.context.close()


# every text against what lies behind it, as WCAG 2.1 AA asks: 4.5 to 1, 3 to 1 where it is large
POOR_CONTRAST = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = one => { for (; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor); if (colour[3] > 0) return colour; } return [255, 255, 255, 1]; };
  const poor = [];
  for (const one of document.querySelectorAll("body *:not(script)")) {
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const box = one.getBoundingClientRect();
    if (!own || !box.width || one.matches("title, desc, text.in")) continue;
    const style = getComputedStyle(one);
    const pair = [light(parse(one.closest("svg") ? style.fill : style.color)), light(behind(one))].sort((a, b) => b - a);
    const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if ((pair[0] + .05) / (pair[1] + .05) < needed) poor.push(`${one.tagName} ${one.textContent.slice(0, 40)}`);
  }
  return poor;
}"""
# controls, pictures, charts, tables and scrolling regions without a name, and headings that skip a level
NAMELESS = """() => {
  const wrong = [];
  const name = one => one.getAttribute("aria-label") || one.textContent.trim()
    || (one.labels && one.labels.length && one.labels[0].textContent)
    || (one.getAttribute("aria-labelledby") || "").split(" ").map(id => (document.getElementById(id) || {}).textContent || "").join("");
  for (const one of document.querySelectorAll("button, input, summary, [role=region], [role=img], section")) {
    if (!name(one)) wrong.push(one.outerHTML.slice(0, 80));
  }
  for (const one of document.querySelectorAll("img")) if (!one.alt) wrong.push(one.outerHTML.slice(0, 80));
  for (const one of document.querySelectorAll("table")) if (!one.caption) wrong.push("table without a caption");
  let level = 0;
  for (const one of document.querySelectorAll("h1, h2, h3")) {
    const now = Number(one.tagName[1]);
    if (now > level + 1) wrong.push(`${one.tagName} ${one.textContent}`);
    level = now;
  }
  if (!document.documentElement.lang || !document.title || document.querySelectorAll("main").length !== 1) wrong.push("page");
  return wrong;
}"""
