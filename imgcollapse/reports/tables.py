"""The tables and charts of a page, as plain values: what stands in each, in words and in full precision."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from imgcollapse.ablation.summary import Record, Run, named, spanned
from imgcollapse.judges.titles import REAL, metric_title, source_title
from imgcollapse.metrics.gates import DROPPED, KEPT
from imgcollapse.metrics.record import what_of
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import charts, panels, thin
from imgcollapse.reports.charts import Line
from imgcollapse.reports.findings import Findings

TOGETHER = (KEPT, DROPPED)  # in one chart for each arm
CURVES = 11  # metrics with a chart above the fold
NEVER = "–"  # where nothing was lost in any seed
WORDS = {"slope": "slope per generation", "area": "area to real vs real", "last": "last generation"}

QUANTITY = {
    "slope": "Slope of the straight line fitted by least squares: to the values themselves for distances, to their logarithms for what "
    "decays geometrically (then it is the relative change per generation: -0.1 loses a tenth of what is left every time).",
    "area": "The area between the curve and the mean of real vs real over the generations, by the trapezoidal rule; about 0 for "
    "real pictures.",
    "last": "The value at the last generation that was reached; the band is real vs real.",
}


@dataclass(frozen=True)
class Table:
    """A table for people (`rows`, text) and the same for programs (`records`: one a row, full precision)."""

    key: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    records: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A chart with the table below it. `about`: what it shows in plain words; `definition`: one click away; `arm`: the arm it is of;
    `above`: a table above the other one, open as long as it is short."""

    key: str
    title: str
    about: str
    definition: str
    drawing: Markup
    table: Table
    arm: int | None = None
    above: Table | None = None


def curves(findings: Findings) -> list[Chart]:
    """A chart a metric: the CURVES most prominent by the first extractor that judged, and the most prominent one by every other."""
    return [chart for extractor in _of(findings, gates=False) for chart in _curves(findings, extractor, _shown(findings, extractor))]


def more_curves(findings: Findings) -> list[Chart]:
    """All other metrics, by all extractors."""
    found = []
    for extractor in _of(findings, gates=False):
        shown = _shown(findings, extractor)
        found += _curves(findings, extractor, [name for name in SCORES if name not in shown])
    return found


def gate_curves(findings: Findings) -> list[Chart]:
    """All metrics of all gates; of one arm without those that have a chart together (see `report/gates.py`)."""
    shown = [name for name in SCORES if findings.is_ablation or name not in TOGETHER]
    return [chart for source in _of(findings, gates=True) for chart in _curves(findings, source, shown)]


def _of(findings: Findings, gates: bool) -> list[str]:
    """The sources that are gates, or those that are not."""
    return [source for source in findings.extractors if (what_of(source) == "gate") == gates]


def _shown(findings: Findings, extractor: str) -> Sequence[str]:
    """The metrics that are not below a fold."""
    measured = [name for arm in findings.summary["arms"] for name in arm["extractors"].get(extractor, ())]
    return worth_showing(CURVES if extractor == findings.extractor else 1, measured)


def _curves(findings: Findings, extractor: str, names: Sequence[str]) -> list[Chart]:
    judged = [arm for arm in findings.summary["arms"] if extractor in arm["extractors"]]
    # of the first extractor's keys are the metrics' own; an HTML id has no spaces in it
    other = "" if extractor == findings.extractor else f"{re.sub(r'[^A-Za-z0-9_.]+', '-', extractor).strip('-')}-"
    found = []
    for key in [name for name in names if any(name in arm["extractors"][extractor] for arm in judged)]:
        arms = [(arm, arm["extractors"][extractor][key]) for arm in judged if key in arm["extractors"][extractor]]
        drawn = [(arm, metric) for arm, metric in arms if arm["null"] in (None, panels.NULL)]
        if not drawn:  # another null model was the quickest
            continue
        reals = list({tuple(metric["real"].values()): metric["real"] for _, metric in drawn if metric["real"] is not None}.values())
        lines = [Line(_number(findings, arm), arm["arm"], metric["by_generation"], arm["null"] is not None) for arm, metric in drawn]
        last = max(metric["by_generation"][-1]["generation"] for _, metric in drawn)
        score = SCORES[key]
        heading = metric_title(key, extractor) + (f", {source_title(extractor)}" if other else "")
        drawing = charts.curves(f"{other}{key}", heading, lines, reals, last)
        table = _series(findings, key, arms, other, heading)
        found.append(Chart(f"{other}{key}", heading, score.meaning, score.definition, drawing, table))
    return found


def numbers(findings: Findings) -> list[Chart]:
    """A forest plot for each collapse number, and a table of the half-lives."""
    extractor = findings.extractor
    arms = [arm for arm in findings.summary["arms"] if extractor in arm["extractors"] and arm["null"] in (None, panels.NULL)]
    found = []
    for key, what in panels.forests(extractor, arms):
        rows = [(arm, arm["extractors"][extractor][key][what]) for arm in arms if what in arm["extractors"][extractor].get(key, ())]
        known = [(arm, span) for arm, span in rows if span["mean"] is not None]
        if not known or len(arms) < 2:
            continue
        lines = [
            (Line(_number(findings, arm), f"null: {arm['null']}" if arm["null"] else arm["arm"], (), arm["null"] is not None), span)
            for arm, span in known
        ]
        real = known[0][0]["extractors"][extractor][key]["real"] if what == "last" else {"mean": 0.0, "low": 0.0, "high": 0.0}
        unit = panels.unit(key, what, extractor, [arm for arm, _ in known])
        heading = f"{metric_title(key, extractor)}: {WORDS[what]}"
        records = [{"arm": arm["arm"], "null": arm["null"] or "", "metric": key, "quantity": what, **span} for arm, span in known]
        table = Table(
            f"number-{key}-{what}",
            heading,
            ["arm", f"{unit}, mean [95 % interval] or both values", "seeds"],
            [[named(arm["arm"], arm["null"]), _plain(span), str(span["n"])] for arm, span in known],
            records,
        )
        about = unit if real is None else f"{unit}; the dashed line is {f'the mean of {REAL}' if what == 'last' else '0'}"
        drawing = charts.forest(f"{key}-{what}", heading, lines, real, unit)
        found.append(Chart(f"{key}-{what}", heading, about, QUANTITY[what], drawing, table))
    return found


def half_lives(findings: Findings) -> Table | None:
    """When metrics first fell below half of their value at generation 0, arm by arm: those that did in any seed; None where none did."""
    extractor = findings.extractor
    arms = [arm for arm in findings.summary["arms"] if extractor in arm["extractors"]]
    keys = [key for key in _halved(arms, extractor) if any(_reached(arm, extractor, key) for arm in arms)]
    if not keys:
        return None
    halves = [
        (arm, {key: arm["extractors"][extractor][key]["half"] for key in keys if key in arm["extractors"][extractor]}) for arm in arms
    ]
    return Table(
        "half-lives",
        "First generation below half of generation 0 (median over seeds)",
        ["arm", *(SCORES[key].title for key in keys)],
        [[named(arm["arm"], arm["null"]), *(_half_words(half[key]) if key in half else "" for key in keys)] for arm, half in halves],
        [{"arm": arm["arm"], "null": arm["null"] or "", "metric": key, **half[key]} for arm, half in halves for key in half],
    )


def _half_words(half: Record) -> str:
    """Its words; a dash where no seed came so far and there is no more to say."""
    return NEVER if re.fullmatch(r"not within \d+ generations? \(0 of \d+ seeds?\)", half["words"]) else str(half["words"])


def kept_half(findings: Findings) -> str:
    """Which metrics never fell below half, in a sentence; empty where all did, and where none can be halved."""
    extractor = findings.extractor
    arms = [arm for arm in findings.summary["arms"] if extractor in arm["extractors"]]
    keys = _halved(arms, extractor)
    kept = [SCORES[key].title for key in keys if not any(_reached(arm, extractor, key) for arm in arms)]
    never = "No metric fell below half of its value at generation 0"
    return "" if not kept else f"{never}." if len(kept) == len(keys) else f"Never below half in any seed: {', '.join(kept)}."


def _halved(arms: Sequence[Record], extractor: str) -> list[str]:
    return [key for key in SCORES if SCORES[key].halved and any(key in arm["extractors"][extractor] for arm in arms)]


def _reached(arm: Record, extractor: str, key: str) -> bool:
    """Whether any seed of the arm fell below half."""
    return key in arm["extractors"][extractor] and arm["extractors"][extractor][key]["half"]["reached"] > 0


def _number(findings: Findings, arm: Record) -> int:
    return list(findings.arms).index(arm["arm"])


def _series(findings: Findings, key: str, arms: Sequence[tuple[Record, Record]], other: str, heading: str) -> Table:
    """Generations down, arms across, of very many some; the first row is real vs real, where there is such a value."""
    series = [{point["generation"]: point for point in metric["by_generation"]} for _, metric in arms]
    judged = set().union(*series)
    shown = thin.evenly(judged, thin.ROWS)
    reals = ["" if metric["real"] is None else spanned(metric["real"], key) for _, metric in arms]
    rows = [[REAL, *reals]] if any(reals) else []
    for g in shown:
        rows.append([str(g), *(spanned(points[g], key) if g in points else "" for points in series)])
    records = [
        {"arm": arm["arm"], "null": arm["null"] or "", "metric": key, **point, **_real_cells(metric["real"])}
        for arm, metric in arms
        for point in metric["by_generation"]
        if point["generation"] in shown
    ]
    headings = ["generation", *(named(arm["arm"], arm["null"]) for arm, _ in arms)]
    part = f"; {some}, all of them in {findings.all_numbers}" if (some := thin.some_of(shown, judged)) else ""
    return Table(
        f"curve-{other}{key}", f"{heading}: mean over seeds [95 % interval], or the values of two seeds{part}", headings, rows, records
    )


def _real_cells(real: Record | None) -> Record:
    """As the columns of the tidy table."""
    mean, low, high = (None if real is None else real[part] for part in ("mean", "low", "high"))
    return {"real": mean, "real_low": low, "real_high": high}


def _plain(span: Record) -> str:
    if span["low"] is None:
        return " and ".join(f"{value:.3g}" for value in span["values"])
    return f"{span['mean']:.3g} [{span['low']:.3g}, {span['high']:.3g}]"


def first_run(findings: Findings, runs: Sequence[Run]) -> Run | None:
    """The first of an arm's runs that has anything to show."""
    return next((run for run in runs if findings.there(run)), None)
