"""The page: what stands in it is what the runs found, nothing in it can run that is not ours, and half-finished folders are enough."""

import base64
import io
import json
import os
import re
import shutil
from collections import Counter
from functools import partial
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import terminal
import torch
from pages import HOSTILE, JUDGE, ablation, run
from PIL import Image

from imgcollapse import reports, store
from imgcollapse.ablation import grid as grids
from imgcollapse.ablation import plan, worker
from imgcollapse.ablation.summary import spanned
from imgcollapse.cli import report as command
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem
from imgcollapse.files.ledger import LEDGER
from imgcollapse.metrics.scores import SCORES
from imgcollapse.reports import charts, composition, shares, tables
from imgcollapse.reports.charts import Line
from imgcollapse.reports.page import MARK
from imgcollapse.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Range
from imgcollapse.reports.whole import template

VOID = {"meta", "img", "input", "link", "br"}
TOY = ["--dataset", "grid25", "--model", "gmm", "--set", "dataset.size=400", "--set", "model.components=5", "--gens", "2"]


class Reader(HTMLParser):
    """Elements with their attributes, the text of each, and whether every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(*places: Path, at: Path | None = None, **options: float) -> str:
    page = at or Path("page.html")
    reports.write(reports.read(places), page, **options)  # type: ignore[arg-type]
    return page.read_text(encoding="utf-8")


def embedded(html: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    return dict(json.loads(found[1])["tables"])


def picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_the_page_of_an_ablation_shows_all_there_is(grid: Path) -> None:
    html = page_of(grid)
    found = Reader(html)
    assert found.texts["h1"] == ["How much is lost?"]
    assert list(found.texts["h2"]) == [
        "What is drawn",
        "From the same noise",
        "What is lost",
        "Which classes are lost",
        "The collapse in numbers",
        "What each generation learned from",
        "How it was made",
    ]
    assert not [name for name, count in Counter(a["id"] for _, a in found.elements if a.get("id")).items() if count > 1]
    assert all(image["alt"] and image["width"] and image["height"] for image in found.named("img"))
    assert len(found.named("table")) == len(found.named("caption"))
    scores = store.scores(next((grid / "runs").glob("digits-gmm-*")))[0].sources  # the null models know no likelihoods
    judged = [name for values in scores.values() for name in values if name in SCORES]
    assert len([a for a in found.named("svg") if a.get("role") == "img" and a.get("aria-labelledby")]) == len(judged) + 3 * 3 + 4 + 1
    assert found.texts["h3"].count("Precision against recall") == 1
    assert len([name for name in judged if SCORES[name].rank]) == tables.CURVES == 11
    assert not re.search(r"https?://", html), "nothing is fetched from anywhere"
    words = " ".join(text for texts in found.texts.values() for text in texts)
    for wanted in ("imgcollapse ablate", "SHA-256", "torch", "real_fraction: 0.5", "N = ", "95 %", "everything kept, seed 0"):
        assert wanted in words, wanted


def test_every_curve_goes_through_the_means_of_the_summary(grid: Path) -> None:
    findings = reports.read([grid])
    html = page_of(grid)
    summary = {(arm["arm"], arm["null"] or ""): arm["extractors"]["classifier"] for arm in findings.summary["arms"]}
    for chart in (chart for chart in tables.curves(findings) if chart.key in SCORES):  # those of the first source
        drawn = str(chart.drawing)
        ticks = re.findall(rf'<text class="tick" x="{LEFT - 5}" y="([\d.]+)" text-anchor="end">([-\d.,]+)</text>', drawn)
        (y0, v0), (y1, v1) = ((float(y) - 3.5, float(v.replace(",", ""))) for y, v in (ticks[0], ticks[-1]))
        lines = re.findall(r'<g class="arm c\d( null)?" data-arm="(\d)".*?<polyline class="line" points="([^"]*)"', drawn)
        assert len(lines) == 6, "three arms, and the null model of the page under each of their regimes"
        for null, number, points in lines:
            arm = list(findings.arms)[int(number)], "smooth" if null else ""
            expected = [point["mean"] for point in summary[arm][chart.key]["by_generation"]]
            placed = [tuple(map(float, point.split(","))) for point in points.split()]
            assert [x for x, _ in placed] == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT], abs=0.1)
            assert [v0 + (y - y0) * (v1 - v0) / (y1 - y0) for _, y in placed] == pytest.approx(expected, abs=0.005 * abs(v1 - v0) + 1e-9)
        records = embedded(html)[f"curve-{chart.key}"]
        assert {(r["arm"], r["null"], r["generation"]): r["mean"] for r in records} == {
            (*arm, point["generation"]): point["mean"] for arm, metrics in summary.items() for point in metrics[chart.key]["by_generation"]
        }
        assert chart.table.rows[2][1] == spanned(summary["none", ""][chart.key]["by_generation"][1], chart.key)


def test_the_pictures_are_the_very_pixels_of_the_samples(grid: Path) -> None:
    found = Reader(page_of(grid))
    runs = reports.read([grid]).arms["half"]
    pixels = store.read_images(runs[0].folder / "gen_001" / store.SAMPLES).pixels
    (image,) = [one for one in found.named("img") if one["alt"] == "Samples of half, generation 1"]
    shown = np.asarray(picture(str(image["src"])))
    assert shown.shape == (6 * 9 - 1, 6 * 9 - 1)
    for row, column in ((0, 0), (0, 5), (5, 0), (3, 2)):
        cell = shown[row * 9 : row * 9 + 8, column * 9 : column * 9 + 8]
        assert np.array_equal(cell, pixels[row * 6 + column, 0].numpy())
    (row_of_noise,) = [one for one in found.named("img") if one["alt"] == "half, generation 2, from the same noise"]
    latents = store.read_images(runs[0].folder / "gen_002" / store.LATENTS).pixels
    assert np.array_equal(np.asarray(picture(str(row_of_noise["src"])))[:, 9:17], latents[1, 0].numpy())


def test_lost_classes_have_a_cross_and_the_shares_stand_below(grid: Path) -> None:
    findings = reports.read([grid])
    chart = composition.class_charts(findings)[0]
    values = {(r["seed"], r["generation"], r["metric"]): r["value"] for r in findings.rows if r["arm"] == "none" and not r["null"]}
    lost = sum(sum(values[seed, g, f"share_alive_{c}"] == 0 for seed in (0, 1)) >= 1 for g in range(3) for c in range(10))
    assert str(chart.drawing).count('class="lost"') == lost
    shown = {(r["class"], r["generation"]): r["share"] for r in chart.table.records}
    assert shown["4", 2] == pytest.approx((values[0, 2, "share_4"] + values[1, 2, "share_4"]) / 2)
    assert sum(shown[str(c), 2] for c in range(10)) == pytest.approx(1)


def test_lost_classes_are_listed_with_their_generation_and_their_seeds(grid: Path) -> None:
    findings, html = reports.read([grid]), page_of(grid)
    classes = {str(c) for c in range(10)}
    listed = 0
    for number, (arm, chart) in enumerate(zip(findings.arms, composition.class_charts(findings), strict=True)):
        alive = {
            (r["metric"].removeprefix("share_alive_"), r["seed"], r["generation"]): r["value"]
            for r in findings.rows
            if r["arm"] == arm and not r["null"] and r["metric"].startswith("share_alive_")
        }
        real = {r["metric"].removeprefix("share_alive_"): r["real"] > 0.5 for r in findings.rows if r["metric"].startswith("share_alive_")}
        last = {c: [max((g for g in range(3) if alive[c, seed, g]), default=-1) for seed in (0, 1)] for c in classes if real[c]}
        gone = {c: sorted(g + 1 for g in both if g < 2) for c, both in last.items()}
        shown = {row[0].removeprefix("class "): (row[1], row[2]) for row in chart.above.rows} if chart.above else {}
        assert shown == {c: (str(at[0]), f"{len(at)} of 2") for c, at in gone.items() if at} | {
            c: ("not alive among real pictures either", "") for c in classes if not real[c]
        }
        order = [int(at) for at, _ in shown.values() if at.isdigit()]
        assert order == sorted(order), "the first to go first"
        listed += len(order)
        if chart.above:
            assert {str(record["class"]) for record in embedded(html)[f"lost-{number}"]} == classes, "for programs, those that stay as well"
    assert listed


def test_without_a_lost_class_there_is_no_list_of_them(grid: Path) -> None:
    findings = reports.read([grid])
    for arm in findings.summary["arms"]:
        for time in arm["lost"]["classifier"].values():
            time |= {"generation": None, "reached": 0, "of": 2}
    charts = composition.class_charts(findings)
    assert all(chart.above is None and chart.about.endswith(" No class is lost.") for chart in charts)
    for arm in findings.summary["arms"]:
        arm["lost"] = {}  # runs of older versions
    assert all(chart.above is None and "No class" not in chart.about for chart in composition.class_charts(findings))


def test_half_lives_are_told_of_what_was_lost_alone(grid: Path) -> None:
    findings = reports.read([grid])
    halves = [
        metric["half"]
        for arm in findings.summary["arms"]
        for metric in arm["extractors"].get("classifier", {}).values()
        if "half" in metric
    ]
    for half in halves:
        half |= {"generation": None, "reached": 0, "of": 2, "words": "not within 3 generations (0 of 2 seeds)"}
    assert tables.half_lives(findings) is None
    assert tables.kept_half(findings) == "No metric fell below half of its value at generation 0."
    first = findings.summary["arms"][0]["extractors"]["classifier"]["recall"]["half"]
    first |= {"generation": 1, "reached": 2, "words": "1 (2 of 2 seeds)"}
    table = tables.half_lives(findings)
    assert table is not None and list(table.headings) == ["arm", "recall"]
    assert [row[1] for row in table.rows[:2]] == ["1 (2 of 2 seeds)", "–"]
    kept = tables.kept_half(findings)
    assert kept.startswith("Never below half in any seed: coverage, ") and " recall," not in kept


def test_every_link_of_the_contents_leads_to_a_section(grid: Path) -> None:
    found = Reader(page_of(grid))
    links = [str(a["href"]) for a in found.named("a") if str(a.get("href", "")).startswith("#")]
    sections = [str(a["aria-labelledby"]) for a in found.named("section")]
    assert [link[1:] for link in links] == sections and len(links) == len(found.texts["h2"])


def test_a_class_is_lost_by_the_rule_and_not_by_a_single_hit() -> None:
    cells = [[(1.0, False), (0.1, True)], [None, (2.0, False)]]
    drawn = str(shares.heat("x", "title", ["<a>", "b"], cells, [0, 1]))
    assert drawn.count('class="lost"') == 1 and drawn.count("<rect") == 4 and "&lt;a&gt;" in drawn and "<a>" not in drawn
    assert 'class="rare" fill-opacity="1.00"' in drawn and 'class="often" fill-opacity="0.33"' in drawn


def test_a_stack_is_as_high_as_its_shares_add_up_to() -> None:
    drawn = str(shares.stack("x", "title", [("real", "real", [1.0, 0.25]), ("generation 0", "born b0", [None, 0.75])], [0, 1]))
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert heights == pytest.approx([HEIGHT - BOTTOM - TOP, (HEIGHT - BOTTOM - TOP) / 4, 3 * (HEIGHT - BOTTOM - TOP) / 4], abs=0.2)
    assert "generation 1: generation 0 75 %" in drawn


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.93), (-25, 63), (3, 3), (0, 0), (1e-9, 2e-9), (0, 12345), (-3, -3)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = Range.around(low, high)
    assert found.low < found.high and 2 <= len(found.ticks) <= 8
    assert all(found.low - 1e-12 <= tick <= found.high + 1e-12 for tick in found.ticks)
    assert all(len(f"{tick:.3g}") <= 8 for tick in found.ticks)
    assert found.place(found.low, 10, 20) == 10 and found.place(found.high, 10, 20) == 20


def test_an_interval_beyond_the_window_stays_inside_the_chart() -> None:
    points = [{"generation": g, "mean": 0.5, "low": -9.0, "high": 9.0, "values": []} for g in range(2)]
    drawn = str(charts.curves("x", "x", [Line(0, "a", points)], [{"mean": 0.6, "low": 0.5, "high": 0.7}], 1))
    (edge,) = re.findall(r'class="band" points="([^"]*)"', drawn)
    assert all(TOP <= float(point.split(",")[1]) <= HEIGHT - BOTTOM for point in edge.split())


def test_two_seeds_are_dots_beside_their_mean_and_two_marks_without_an_interval() -> None:
    points = [{"generation": g, "mean": 0.5, "low": None, "high": None, "values": [0.4, 0.6]} for g in range(3)]
    drawn = str(charts.curves("x", "x", [Line(0, "a", points), Line(0, "a", points, null=True)], [], 2))
    dots = re.findall(rf'd="{charts.DOT}" transform="translate\(([\d.]+),([\d.]+)\)"', drawn)
    assert len(dots) == 6 and 'class="band"' not in drawn and len({y for _, y in dots}) == 2
    span = {"mean": 2.0, "low": None, "high": None, "n": 2, "values": [1.0, 3.0]}
    rows = str(charts.forest("x", "x", [(Line(0, "a", ()), span)], None, "x"))
    places = re.findall(r'class="mark" d="[^"]*" transform="translate\(([\d.]+),', rows)
    assert len(places) == 2 and float(places[0]) < float(places[1]) and 'class="line"' not in rows
    assert tables._plain(span) == "1 and 3" and tables._plain({**span, "low": 1.0, "high": 3.0, "values": []}) == "2 [1, 3]"


def test_hostile_names_are_words_everywhere(tmp_path: Path) -> None:
    arms = {HOSTILE: {}, "b": {"regime": "accumulate"}}
    folder = ablation(tmp_path, question=HOSTILE, arms=arms, seeds=1, nulls=False)
    html = page_of(folder)
    found = Reader(html)
    assert found.texts["h1"] == [HOSTILE] and found.texts["title"][0] == HOSTILE
    assert len(found.named("script")) == 2 and all("onerror" not in attributes for _, attributes in found.elements)
    assert {str(record["arm"]) for record in embedded(html)["curve-fd"]} == {HOSTILE, "b"}
    raw = re.search(r'id="data">(.*?)</script>', html, re.S)
    assert raw is not None and not re.search(r"[<>&\u2028\u2029]", raw[1])


def test_the_policy_allows_this_script_and_this_style_alone(grid: Path) -> None:
    html = page_of(grid)
    found = Reader(html)
    (policy,) = [a["content"] for a in found.named("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    for tag, what in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert f"{what} 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy) and "unsafe" not in str(policy)
    assert all(not name.startswith("on") and name != "style" for _, attributes in found.elements for name in attributes)
    assert len(template("page.js").encode()) < 30_000


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours."""

    def light(colour: str) -> float:
        digits = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5))
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = sorted((light(one), light(other)))
    return (b + 0.05) / (a + 0.05)


def test_colours_can_be_told_from_the_paper_in_both_themes() -> None:
    css = template("page.css")
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", block)) for block in css.split("@media screen and (prefers-color-scheme: dark)")[:2])
    dark = dict(re.findall(r"--(\w+): (#\w+)", css.split("@media screen and (prefers-color-scheme: dark)")[1].split("}\n}")[0]))
    assert (light["c0"], light["c1"], light["c2"], light["c3"], light["c4"]) == ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000")
    assert contrast("#fff", "#000") == pytest.approx(21)
    for theme in (light, dark):
        for name in ("c0", "c1", "c2", "c3", "c4", "edge", "focus"):
            assert contrast(theme[name], theme["paper"]) >= 3, name
        for name in ("ink", "soft"):
            assert contrast(theme[name], theme["paper"]) >= 4.5 and contrast(theme[name], theme["box"]) >= 4.5, name
    fills = dict(re.findall(r"(?<!in)\.([bk]\d) \{ fill: (#\w+)", css))
    black = set(re.findall(r"text\.in\.([bk]\d)", css))
    assert len(fills) == 20 and all(contrast(colour, "#000" if name in black else "#fff") >= 4.4999 for name, colour in fills.items())


def test_half_finished_folders_are_shown_so_far(grid: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(grid, half)
    runs = plan.read(half)
    for one in runs:
        if one.arm == "everything kept" and one.null is None:
            shutil.rmtree(one.folder)  # as before it began
            worker.lay_out(one.folder, one.study, worker.Resources(1, "cpu", "auto", "data", "shared"))
        elif one.seed == 1:
            for path in one.folder.glob("gen_002/MANIFEST.json"):
                path.unlink()  # as while it is being written
    failed = next(one for one in runs if one.arm == "half" and one.seed == 1 and one.null is None)
    worker.record_failure(failed.folder, "DivergedProblem", "gmm: the loss was <nan>", 6)
    html = page_of(half)
    found = Reader(html)
    said = " ".join(found.texts["p"])
    assert "Not finished: " in said and "half, seed 1 failed in generation 2: gmm: the loss was <nan>" in said
    assert "So far, cannot tell with 1 seed: min(recall, coverage) at generation 2 is undecided with half against none" in said
    assert [text for text in found.texts["h3"] if text.endswith("seed 0")] == ["none, seed 0", "half, seed 0"]


def test_an_ablation_of_which_only_a_null_model_that_no_curve_shows_is_judged_yet_has_a_page(grid: Path, tmp_path: Path) -> None:
    shutil.copytree(grid, tmp_path / "begun")
    for one in plan.read(tmp_path / "begun"):
        for manifest in one.folder.glob("gen_*/MANIFEST.json") if one.null != "bootstrap" else ():
            manifest.unlink()
    found = Reader(page_of(tmp_path / "begun"))
    assert "How it was made" in found.texts["h2"] and not found.named("img")


def test_an_ablation_that_has_not_begun_has_a_page(tmp_path: Path, grid: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in (grids.ABLATION, grids.PLAN):
        shutil.copy(grid / name, empty / name)
    for one in plan.read(grid):
        worker.lay_out(empty / "runs" / one.folder.name, one.study, worker.Resources(1, "cpu", "auto", "data", "shared"))
    found = Reader(page_of(empty))
    assert "How it was made" in found.texts["h2"] and "What is lost" not in found.texts["h2"] and not found.named("img")


def test_points_and_colour_pictures_and_unjudged_runs_have_pages(tmp_path: Path) -> None:
    toy = Reader(page_of(run(tmp_path / "toy", *TOY)))
    assert len(toy.named("img")) == 2 and "From the same noise" not in toy.texts["h2"]
    unjudged = Reader(page_of(run(tmp_path / "unjudged", *TOY, "--set", "judge.extractors=[]")))
    assert "What is lost" not in unjudged.texts["h2"] and "What is drawn" in unjudged.texts["h2"]
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "colour" / name).mkdir(parents=True)
        for number in range(30):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "colour" / name / f"{number}.png")
    made = ["--dataset", f"folder:{tmp_path / 'colour'}", "--model", "bootstrap", "--gens", "1", "--set", "judge.extractors=[pixels]"]
    colour = Reader(page_of(run(tmp_path / "coloured", *made, "--set", "judge.n=8")))
    assert str(colour.named("img")[0]["src"]).startswith("data:image/webp;base64,")
    assert picture(str(colour.named("img")[0]["src"])).size == (6 * 17 - 1, 6 * 17 - 1)
    assert "From the same noise" not in colour.texts["h2"], "the bootstrap draws training pictures: there is no noise it starts from"


def test_an_ablation_that_judges_nothing_ends_with_a_page_too(tmp_path: Path) -> None:
    base = {"dataset": {"kind": "grid25", "size": 400}, "model": {"kind": "gmm", "components": 5}, "gens": 2, "judge": {"extractors": []}}
    folder = ablation(tmp_path, base=base, arms={"a": {}, "b": {"regime": "accumulate"}}, seeds=1, nulls=False)
    found = Reader((folder / "report.html").read_text(encoding="utf-8"))
    assert len(found.named("img")) == 4 and "Nothing was judged" in " ".join(found.texts["p"])


def test_a_page_keeps_to_its_budget(grid: Path) -> None:
    page = Path("page.html")
    findings = reports.read([grid])
    whole = reports.write(findings, page)
    assert whole.beside is None and whole.size == page.stat().st_size
    fewer = reports.write(findings, page, budget=whole.size - 1)
    assert fewer.beside is None and fewer.size < whole.size
    parted = reports.write(findings, page, budget=1000)
    assert parted.beside == Path("page_files")
    assert parted.size == page.stat().st_size + sum(path.stat().st_size for path in Path("page_files").glob("*.png"))
    addresses = {str(image["src"]) for image in Reader(page.read_text(encoding="utf-8")).named("img")}
    assert addresses == {f"page_files/{path.name}" for path in Path("page_files").iterdir() if path.name != LEDGER}
    older = Path("page_files") / f"{sha256(b'of an older page').hexdigest()[:20]}.png"
    older.write_bytes(b"of an older page")
    for mine in ("mine.txt", "0123456789abcdef0123.png"):
        Path("page_files", mine).write_text("mine")
    reports.write(findings, page, budget=1000)
    assert not older.exists()
    reports.write(findings, page)
    assert sorted(os.listdir("page_files")) == sorted([LEDGER, "mine.txt", "0123456789abcdef0123.png"]), "what is not ours is never removed"
    for mine in ("mine.txt", "0123456789abcdef0123.png"):
        Path("page_files", mine).unlink()
    reports.write(findings, page)
    assert not Path("page_files").exists()


def test_a_file_that_is_no_report_is_never_overwritten(grid: Path) -> None:
    Path("page.html").write_text("my own page")
    with pytest.raises(OtherStudyProblem, match=r"^page\.html: is not a report that imgcollapse wrote, .*; choose another -o$"):
        reports.write(reports.read([grid]), Path("page.html"))
    assert Path("page.html").read_text() == "my own page"


@pytest.mark.slow
def test_runs_of_one_study_are_seeds_of_one_arm_and_others_are_told_apart(tmp_path: Path) -> None:
    first, second, other = (
        run(tmp_path / name, *TOY, *more)
        for name, more in (("a", ()), ("b", ("--seed", "1")), ("c", ("--seed", "2", "--set", "model.components=3")))
    )
    assert {arm: [one.seed for one in runs] for arm, runs in reports.read([first, second]).arms.items()} == {
        "gmm on grid25, replace": [0, 1]
    }
    mixed = reports.read([first, other])
    assert list(mixed.arms) == ["gmm on grid25, replace (a)", "gmm on grid25, replace (c)"]
    shutil.copytree(first, tmp_path / "d")
    assert len(reports.read([first, tmp_path / "d"]).arms) == 2, "one seed twice would make an interval of width 0"
    with pytest.raises(SettingsProblem, match="named twice"):
        reports.read([first, first / ".." / "a"])


def test_arms_of_several_ablations_are_named_by_their_folder(grid: Path, tmp_path: Path) -> None:
    shutil.copytree(grid, tmp_path / "again")
    found = reports.read([grid, tmp_path / "again"])
    assert list(found.arms) == [f"{folder}: {arm}" for folder in ("out", "again") for arm in ("none", "half", "everything kept")]
    assert found.comparable
    places = [Path(shutil.copytree(grid, tmp_path / name / "out")) for name in ("one", "other")]
    runs = reports.read(places).runs
    assert len({(run.arm, run.null, run.seed) for run in runs}) == len(runs), "folders of one name, with runs of one name in them"


def test_runs_with_different_references_are_said_not_to_be_comparable(grid: Path, tmp_path: Path) -> None:
    judge = f"judge.extractors={JUDGE['extractors']}"
    other = run(tmp_path / "n", "--model", "bootstrap", "--gens", "1", "--set", "judge.n=100", "--set", judge)
    assert reports.read([grid]).comparable
    findings = reports.read([grid, other])
    assert not findings.comparable and "not judged by one reference" in page_of(grid, other)


def test_the_first_pictures_are_read_without_the_others(tmp_path: Path, grid: Path) -> None:
    path = plan.read(grid)[0].folder / "gen_000" / store.SAMPLES
    whole, first = store.read_images(path), store.read_images(path, 7)
    assert len(first) == 7 and torch.equal(first.pixels, whole.pixels[:7]) and torch.equal(first.labels, whole.labels[:7])
    assert len(store.read_images(path, 10**6)) == len(whole)
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataProblem, match="cannot be read"):
        store.read_images(tmp_path / "cut.npz", 7)


call = partial(terminal.call, "report")


@pytest.mark.slow  # draws all figures
def test_the_command_says_what_it_wrote_and_how_large_it_is(grid: Path, tmp_path: Path) -> None:
    result = call(str(grid))
    page = grid / "report.html"
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{page}: {page.stat().st_size / 1e6:.2f} MB\n") and MARK in page.read_text(encoding="utf-8")
    for name in ("collapse.gif", "collapse.webp", "report.md", "figures/curves.pdf", "figures/curves.svg", "figures/curves.png"):
        assert f"report_files/{name}" in result.stdout and (grid / "report_files" / name).is_file()
    assert not (grid / "figures").exists() and not (grid / "collapse.gif").exists()
    record = json.loads(call(str(run(tmp_path / "run", *TOY)), "-o", "elsewhere.html", "--json").stdout)
    assert record["report"] == "elsewhere.html" and record["bytes"] == Path("elsewhere.html").stat().st_size
    assert all(Path(name).is_file() for name in record["files"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 2, "imgcollapse: nowhere: is neither a run nor an ablation; name a folder that "),
        (("nowhere", "nowhere"), 2, "imgcollapse: report: a folder is named twice; "),
    ],
)
def test_a_folder_that_is_none_is_one_line(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == code and result.stderr.startswith(said) and result.stderr.count("\n") == 1


def test_a_generation_that_was_not_judged_is_shown_without_scores(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", *TOY, "--gens", "3", "--set", "judge.every=2")
    page = (folder / "report.html").read_text(encoding="utf-8")
    captions = re.findall(r"learned from [^<\"]*", page)
    assert sum("; FD " in caption for caption in captions) == 2 and any("; FD " not in caption for caption in captions)


@pytest.mark.slow
def test_a_watched_run_has_a_page_that_loads_itself_until_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = run(tmp_path / "run", *TOY), []
    last = folder / "gen_001"
    last.rename(tmp_path / "aside")  # as before it was made

    def sleep(seconds: float) -> None:
        seen.append((folder / "report.html").read_text(encoding="utf-8"))
        if len(seen) == 3:
            (tmp_path / "aside").rename(last)

    monkeypatch.setattr(command.time, "sleep", sleep)
    result = call(str(folder), "--watch")
    assert result.exit_code == 0, result.output
    assert len(seen) == 3 and seen[0] == seen[1] == seen[2] and 'http-equiv="refresh"' in seen[0]
    assert "1 of 2 generations" in result.stderr
    end = (folder / "report.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in end and "Samples of gmm on grid25, replace, generation 1" in end
