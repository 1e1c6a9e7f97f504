"""What pages say of ways through the generations: precision against recall, power by wavelength, early warnings, P(better)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from chains import made_when_asked
from test_summary import REAL_VS_REAL, written

from imgcollapse.ablation import summary
from imgcollapse.ablation.summary import Run
from imgcollapse.ablation.summary.early import first_sentence
from imgcollapse.ablation.summary.superior import in_words
from imgcollapse.reports import page, read
from imgcollapse.reports.differences import differences
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.markdown import escaped, markdown
from imgcollapse.reports.paths import drawn, paths
from imgcollapse.reports.spectra import band_names, spectra
from imgcollapse.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from imgcollapse.reports.warnings import warning_sentences, warnings

REAL_VS_REAL |= {"precision": 0.8, "power_4": 0.0, "power_2": 0.0, "spectral_distance": 0.1}


def findings(runs: Sequence[Run]) -> Findings:
    rows = summary.rows(runs)
    return Findings((Path("a"),), "", tuple(runs), (), summary.summarise(runs, rows), tuple(rows), {})


def of_arms(folder: Path, **arms: dict[str, list[float]]) -> Findings:
    """Three seeds of each, which differ by a hundredth."""
    runs = []
    for arm, values in arms.items():
        for seed in range(3):
            moved = {name: [value + (seed - 1) / 100 for value in series] for name, series in values.items()}
            runs.append(written(folder, arm, seed, moved))
    return findings(runs)


FALLS = {"precision": [0.8, 0.7, 0.6, 0.5], "recall": [0.9, 0.5, 0.3, 0.1]}
STAYS = {"precision": [0.8, 0.79, 0.8, 0.8], "recall": [0.9, 0.9, 0.88, 0.9]}


def attributes(svg: str, tag: str, css: str, *names: str) -> list[list[str]]:
    found = re.findall(rf'<{tag} class="{css}"[^>]*>', svg)
    return [[re.search(rf'{name}="([^"]*)"', one)[1] for name in names] for one in found]  # type: ignore[index]


# --- precision against recall


def test_a_path_goes_through_the_means_of_recall_and_precision(tmp_path: Path) -> None:
    (chart,) = paths(of_arms(tmp_path, falls=FALLS, stays=STAYS))
    ((line,), (other,)) = attributes(chart.drawing, "polyline", "line", "points")
    points = [[float(part) for part in corner.split(",")] for corner in line.split()]
    assert len(points) == len(other.split()) == 4
    xs, ys = zip(*points, strict=True)
    # the axis is linear: distances on the page are those of the values
    assert [(a - xs[3]) / (xs[0] - xs[3]) for a in xs] == pytest.approx([1, 0.5, 0.25, 0], abs=0.003)
    assert [(a - ys[0]) / (ys[3] - ys[0]) for a in ys] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=0.003), "down is less"
    assert xs[0] > xs[3] and ys[3] > ys[0]
    assert chart.drawing.count("falls, generation ") == 4 and "data-arm=" in chart.drawing
    sizes = [float(one) for one in re.findall(r"scale\(([\d.]+)\)", chart.drawing)][:4]
    assert sizes == sorted(sizes) and sizes[0] < sizes[3]
    assert chart.table.rows[0] == ["real vs real", *["0.800 [0.300, 1.300] / 0.900 [0.400, 1.400]"] * 2]
    assert chart.table.rows[2][0] == "1" and chart.table.rows[2][1].startswith("0.700 [0.6") and " / 0.500 [0.4" in chart.table.rows[2][1]
    record = chart.table.records[1]
    assert (record["arm"], record["generation"]) == ("falls", 1) and (record["precision"], record["recall"]) == pytest.approx((0.7, 0.5))


def test_real_vs_real_is_marked_where_it_lies() -> None:
    real = {"x": {"mean": 0.5, "low": 0.4, "high": 0.6}, "y": {"mean": 0.5, "low": 0.0, "high": 1.0}}
    svg = str(drawn("a", "a", [], [real]))
    ((x, y, width, height),) = [[float(one) for one in four] for four in attributes(svg, "rect", "between", "x", "y", "width", "height")]
    middle = re.search(r'class="lost" d="[^"]*" transform="translate\(([\d.]+),([\d.]+)\)"', svg)
    assert middle is not None and [float(one) for one in middle.groups()] == pytest.approx([x + width / 2, y + height / 2], abs=0.2)
    assert x >= LEFT and x + width <= WIDTH - RIGHT and y >= TOP


def test_without_precision_or_recall_there_is_no_path(tmp_path: Path) -> None:
    assert paths(of_arms(tmp_path, a={"recall": [0.9, 0.8], "fd": [1.0, 2.0]})) == []


# --- power by wavelength


def test_bands_are_drawn_from_long_to_short_with_their_own_real_vs_real(tmp_path: Path) -> None:
    fades = {"power_2": [-1.0, -2.0, -4.0], "power_4": [0.0, -0.5, -1.0], "spectral_distance": [1.0, 1.5, 3.0]}
    chart, still = spectra(of_arms(tmp_path, fades=fades, still={**fades, "power_2": [0.0, 0.0, 0.0]}))
    assert list(chart.table.headings) == ["generation", "4 pixels and more", "under 4"] and chart.arm == 0 and still.arm == 1
    assert chart.table.rows[0] == ["real vs real", *["+0.00 [-0.50, +0.50]"] * 2]
    assert chart.table.rows[3][2].startswith("-4.00 [-4.0") and chart.table.rows[3][0] == "2"
    ((long,), (short,)) = attributes(chart.drawing, "polyline", "line", "points")
    heights = [[float(corner.split(",")[1]) for corner in line.split()] for line in (long, short)]
    per_decibel = (heights[0][2] - heights[0][0]) / 1.0
    assert heights[1][2] - heights[1][0] == pytest.approx(3 * per_decibel, abs=0.4) and per_decibel > 0
    zero = heights[0][0]
    bars = [[float(one) for one in two] for two in re.findall(r'd="M[\d.]+ ([\d.]+)V([\d.]+)M', chart.drawing)]
    assert bars == [pytest.approx([zero - per_decibel / 2, zero + per_decibel / 2], abs=0.2)] * 2
    (flat,) = attributes(still.drawing, "polyline", "line", "points")[1]
    assert {corner.split(",")[1] for corner in flat.split()} == {f"{zero:g}"}, "one scale for all arms"
    assert all(TOP <= height <= HEIGHT - BOTTOM for line in heights for height in line)


def test_names_of_bands() -> None:
    assert band_names([16, 8, 4, 3, 2]) == ["16 pixels and more", "8 to 16", "4 to 8", "3 to 4", "under 3"]
    assert band_names([4, 2]) == ["4 pixels and more", "under 4"] and band_names([2]) == ["2 pixels and more"]


# --- early warnings and differences


def test_the_table_of_warnings_begins_with_what_leaves_first_and_has_what_the_summary_says(tmp_path: Path) -> None:
    falls = {"kid": [0.0, 0.9, 1.0, 1.5], "recall": [0.9, 0.8, 0.3, 0.2], "coverage": [0.9] * 4}
    found = of_arms(tmp_path, falls=falls, stays={**falls, "kid": [0.0] * 4})
    table = warnings(found)
    assert table is not None and table.headings == ["score", "falls", "stays"]
    first, second, last = table.rows
    assert first[0] == "kernel distance (KID), features: pixels" and first[2] == "not within 4 generations (0 of 3 seeds)"
    assert first[1].startswith("1 (3 of 3 seeds), 1 generation before recall halves")
    assert second[0] == "recall, features: pixels" and second[1] == "2 (3 of 3 seeds), in the same generation in which recall halves"
    assert last[0] == "coverage, features: pixels"
    spoken = warning_sentences(found)
    assert spoken == [f"{one['arm']}: {first_sentence(one)}." for one in found.summary["warnings"]]
    assert "at generation 1: kernel distance (KID) (features: pixels)" in spoken[0] and "2 (3 of 3 seeds), 1 generation later" in spoken[0]
    alone = warning_sentences(of_arms(tmp_path / "one", falls=falls))
    assert len(alone) == 1 and alone[0].startswith("First to leave real vs real for good, at generation 1: ")


def test_differences_stand_beside_how_probable_it_is_that_they_are_better(tmp_path: Path) -> None:
    found = of_arms(tmp_path, falls=FALLS, stays={name: [one + 0.01 * k for k, one in enumerate(series)] for name, series in FALLS.items()})
    (table,) = differences(found)
    assert table.headings == ["arm", "generation", "paired seeds", "precision", "P(better)"], "of what has room"
    assert table.rows == [["stays", "3", "3", "+0.030 [+0.030, +0.030]", "> 0.999"]]
    assert {(one["metric"], one["quantity"]) for one in table.records} >= {("recall", "last"), ("precision", "area")}
    assert all(one["probability_better"] is not None for one in table.records)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three seeds under two regimes."""
    judge = {"extractors": ["pixels", "spectrum"], "metrics": ["neighbourhood", "power_spectrum"]}
    base = {"dataset": {"kind": "digits", "subset": 60}, "model": {"kind": "gmm", "components": 1}, "gens": 2, "judge": judge}
    regimes = {"none": {"kind": "replace"}, "half": {"kind": "retain", "real_fraction": 0.5}}
    folder = tmp_path_factory.mktemp("ways")
    settings = {f"{name}-{seed}": {**base, "regime": regime, "seed": seed} for name, regime in regimes.items() for seed in range(3)}
    made = made_when_asked(folder, settings)
    return [made(name) for name in settings]


def test_a_page_has_all_of_it_and_tells_programs_what_it_tells_people(whole: list[Path], tmp_path: Path) -> None:
    found = read(whole)
    html = page.write(found, tmp_path / "page.html").page.read_text(encoding="utf-8")
    for wanted in (
        "chart-precision-recall",
        "chart-spectrum-precision-recall",
        "chart-spectrum-0",
        "table-warnings",
        "table-differences",
        "table-differences-spectrum",
    ):
        assert f'id="{wanted}"' in html, wanted
    assert "Which details are lost" in html and "Early warning" in html
    blur = [row for row in found.rows if row["metric"] == "power_2" and row["generation"] == 1]
    assert len(blur) == 6 and all(row["extractor"] == "spectrum" and row["real"] is not None for row in blur)
    tables = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)[0])["tables"]
    assert {"precision-recall", "spectrum-0", "warnings", "differences", "differences-spectrum"} <= tables.keys()
    arm = next(iter(found.arms))
    values = [row["value"] for row in blur if row["arm"] == arm]
    (record,) = [one for one in tables["spectrum-0"] if one["generation"] == 1 and one["pixels"] == "under 3"]
    assert record["decibels"] == pytest.approx(sum(values) / 3) and record["n"] == 3
    assert len(tables["warnings"]) == sum(len(one["scores"]) for one in found.summary["warnings"]) > 8


def test_a_text_for_a_pull_request_has_p_better_beside_each_difference(whole: list[Path], tmp_path: Path) -> None:
    found = read(whole)
    (path,) = markdown(found, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.count(", each with P(better)") == 2, "by both extractors"
    (one,) = [one for one in found.summary["differences"] if one["against_null"] is None]
    span = one["extractors"]["pixels"]["min_recall_coverage"]["last"]
    assert f"], {escaped(in_words(span['probability_better']))} |" in text
