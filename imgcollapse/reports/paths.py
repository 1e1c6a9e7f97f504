"""Precision against recall: the way of every arm through the generations."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from imgcollapse.ablation.summary import Record, named, spanned
from imgcollapse.judges.titles import REAL, metric_title, source_title
from imgcollapse.metrics.scores import on_axis
from imgcollapse.reports import charts, panels, thin
from imgcollapse.reports.charts import Line
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.svg import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Range, axis_title, svg, tick_across, value_ticks
from imgcollapse.reports.tables import Chart, Table

ACROSS, UP = on_axis("variety"), on_axis("quality")  # recall and precision
HEIGHT = 330
STOPS = 30  # generations of a line: of more, some, evenly spaced
DEFINITION = (
    "Each line follows an arm from generation to generation, with marks from small to large; the first and the last are numbered. Down: "
    "samples are less like real ones. Left: variety is lost. Up and left: samples contract to where real pictures are densest, which "
    "raises precision (diversity traded for quality). Means over seeds; their intervals are in the table and on the curves. "
    "The grey rectangle is the range of both for real pictures, the cross their mean. Kynkäänniemi et al. 2019; Sajjadi et al. 2018 for "
    "the plane."
)


def paths(findings: Findings) -> list[Chart]:
    """A chart an extractor: recall across, precision up, a line an arm with a mark for every generation."""
    return [chart for extractor in findings.extractors if (chart := _path(findings, extractor)) is not None]


def _path(findings: Findings, extractor: str) -> Chart | None:
    arms = [
        (arm, found)
        for arm in panels.judged(findings.summary, extractor, None, panels.NULL)
        if {ACROSS, UP} <= (found := arm["extractors"][extractor]).keys()
    ]
    if not any(arm["null"] is None for arm, _ in arms):
        return None
    order, points = list(findings.arms), [_points(found) for _, found in arms]
    lines = [
        Line(order.index(arm["arm"]), arm["arm"], points_of, arm["null"] is not None)
        for (arm, _), points_of in zip(arms, points, strict=True)
    ]
    reals = list({str(real): real for _, found in arms if (real := _real(found)) is not None}.values())
    other = "" if extractor == findings.extractor else f"{extractor}-"
    heading = f"{metric_title(UP)} against {metric_title(ACROSS)}" + (f", {source_title(extractor)}" if other else "")
    heading = heading[0].upper() + heading[1:]
    about = "One line per arm, one mark per generation, from small to large: variety is lost to the left, quality downwards."
    key = f"{other}precision-recall"
    table = _table(key, heading, arms, points, findings.all_numbers)
    return Chart(key, heading, about, DEFINITION, drawn(key, heading, lines, reals), table)


def _points(found: Record) -> list[dict[str, Any]]:
    """Both means at the generations that have both: generation, x, y; of very many some."""
    across, up = ({point["generation"]: point for point in found[name]["by_generation"]} for name in (ACROSS, UP))
    shown = thin.evenly([generation for generation in across if generation in up], STOPS)
    return [{"generation": g, "x": across[g]["mean"], "y": up[g]["mean"], "spans": (up[g], across[g])} for g in shown]


def _real(found: Record) -> dict[str, Record] | None:
    if found[ACROSS]["real"] is None or found[UP]["real"] is None:
        return None
    return {"x": found[ACROSS]["real"], "y": found[UP]["real"]}


def drawn(key: str, title: str, lines: Sequence[Line], reals: Sequence[dict[str, Record]]) -> Markup:
    """The chart: both axes hold all means and real vs real, and no more than 0 to 1."""
    ends = {
        axis: [point[axis] for line in lines for point in line.points] + [real[axis][end] for real in reals for end in ("low", "high")]
        for axis in ("x", "y")
    }
    x, y = (Range.around(max(0.0, min(ends[axis]) - 0.04), min(1.0, max(ends[axis]) + 0.04)) for axis in ("x", "y"))
    left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM

    def at(across: float, up: float) -> tuple[float, float]:
        return x.place(across, left, right), y.place(up, bottom, TOP)

    parts = _axes(x, y)
    for real in reals:
        (x0, y1), (x1, y0) = at(real["x"]["low"], real["y"]["low"]), at(real["x"]["high"], real["y"]["high"])
        box = '<rect class="between" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
        parts.append(Markup(box).format(x0, y0, round(x1 - x0, 1), round(y1 - y0, 1), REAL))
        name = '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
        parts.append(Markup(name).format(x1, round(y0 - 4, 1), REAL))
        cross = '<path class="lost" d="M-5 0H5M0-5V5" transform="translate({},{})"><title>{}, mean</title></path>'
        parts.append(Markup(cross).format(*at(real["x"]["mean"], real["y"]["mean"]), REAL))
    for line in sorted(lines, key=lambda one: one.null, reverse=True):
        places = [(point["generation"], *at(point["x"], point["y"])) for point in line.points]
        parts.append(charts.group(line, _way(line, places)))
    description = f"{title}, generation by generation; the table below has the numbers."
    return svg(f"chart-{key}", WIDTH, HEIGHT, title, description, Markup().join(parts))


def _way(line: Line, places: Sequence[tuple[int, float, float]]) -> Markup:
    """A line with its marks, which grow from the first generation to the last, and the numbers of these two."""
    corners = " ".join(f"{x:g},{y:g}" for _, x, y in places)
    parts = Markup('<polyline class="line" points="{}" {}/>').format(corners, charts.dashes(line.number, line.null))
    for number, (generation, x, y) in enumerate(() if line.null else places):
        size = round(0.7 + 0.7 * number / max(1, len(places) - 1), 2)
        mark = '<path class="mark" d="{}" transform="translate({},{}) scale({})"><title>{}, generation {}</title></path>'
        parts += Markup(mark).format(charts.marker(line.number), x, y, size, line.name, generation)
    for generation, x, y in {places[0], places[-1]}:
        parts += Markup('<text class="tick" x="{}" y="{}">{}</text>').format(round(x + 6, 1), round(y - 5, 1), generation)
    return parts


def _axes(x: Range, y: Range) -> list[Markup]:
    bottom = HEIGHT - BOTTOM
    parts = [value_ticks(y, bottom, TOP), axis_title(LEFT, HEIGHT, metric_title(ACROSS))]
    for tick in x.ticks:
        place = x.place(tick, LEFT, WIDTH - RIGHT)
        parts.append(Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(place, TOP, bottom))
        parts.append(tick_across(place, bottom + 14, f"{tick:g}"))
    name = '<text class="tick" x="{0}" y="{1}" text-anchor="middle" transform="rotate(-90 {0} {1})">{2}</text>'
    return [*parts, Markup(name).format(11, (TOP + bottom) / 2, metric_title(UP))]


def _table(key: str, heading: str, arms: Sequence[tuple[Record, Record]], points: Sequence[list[dict[str, Any]]], whole: str) -> Table:
    """Generations down, arms across, `precision / recall` in a cell."""
    by_generation = [{point["generation"]: point["spans"] for point in of_arm} for of_arm in points]
    shown = sorted(set().union(*by_generation))
    judged = {point["generation"] for _, found in arms for point in found[UP]["by_generation"]}
    reals = [_real(found) for _, found in arms]
    rows = [[REAL, *("" if real is None else f"{spanned(real['y'], UP)} / {spanned(real['x'], ACROSS)}" for real in reals)]]
    rows = rows if any(reals) else []
    for g in shown:
        cells = (f"{spanned(there[g][0], UP)} / {spanned(there[g][1], ACROSS)}" if g in there else "" for there in by_generation)
        rows.append([str(g), *cells])
    records = [
        {"arm": arm["arm"], "null": arm["null"] or "", "generation": point["generation"], ACROSS: point["x"], UP: point["y"]}
        for (arm, _), of_arm in zip(arms, points, strict=True)
        for point in of_arm
    ]
    part = f"; {some}, all of them in {whole}" if (some := thin.some_of(shown, judged)) else ""
    caption = f"{heading}: {metric_title(UP)} / {metric_title(ACROSS)}, mean over seeds [95 % interval]{part}"
    return Table(key, caption, ["generation", *(named(arm["arm"], arm["null"]) for arm, _ in arms)], rows, records)
