"""What gates do, arm by arm: how their detectors tell, how far from the mean what is let in lies, and who is let in by origin."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from imgcollapse import store
from imgcollapse.judges.titles import source_title
from imgcollapse.metrics.gates import AUC, DETECTION, FAR, KEPT, QUARTER, RATES, ROC, SELECTION
from imgcollapse.metrics.record import what_of
from imgcollapse.reports import thin, xy
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.svg import Range
from imgcollapse.reports.tables import TOGETHER, Chart, Table
from imgcollapse.store.records import read_json

ByGeneration = dict[int, dict[str, float]]  # generation -> metric -> mean over seeds
UNIT = Range(0, 1, (0, 0.25, 0.5, 0.75, 1))
QUARTERS = ("nearest", "second", "third", "farthest")


def by_arm(findings: Findings) -> list[Chart]:
    """For every arm and each of its gates what it did, and whom they let in together."""
    found: list[Chart] = []
    for number, arm in enumerate(findings.arms):
        for place, source in enumerate(_sources(findings, arm)):
            key, of = f"{number}-{place}", _means(findings, arm, source)
            title = f"{arm}, {source_title(source)}" if len(findings.arms) > 1 else source_title(source)
            found += [chart for make in (_roc, _quarters, _distances) if (chart := make(key, number, title, of)) is not None]
        found += [chart for chart in [_origins(findings, number, arm)] if chart is not None]
    return found


def _sources(findings: Findings, arm: str) -> list[str]:
    own = (row["extractor"] for row in findings.rows if row["arm"] == arm and not row["null"])
    return [source for source in dict.fromkeys(own) if what_of(source) == "gate"]


def _means(findings: Findings, arm: str, source: str) -> ByGeneration:
    """Of all that was measured, of single parts too."""
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in findings.rows:
        if row["arm"] == arm and not row["null"] and row["extractor"] == source:
            values[row["generation"]][row["metric"]].append(row["value"])
    return {g: {name: sum(one) / len(one) for name, one in values[g].items()} for g in sorted(values)}


def _few(of: ByGeneration, name: str) -> list[int]:
    """The first, the middle and the last generation that have it."""
    there = [generation for generation, found in of.items() if name in found]
    return [there[place] for place in sorted({0, (len(there) - 1) // 2, len(there) - 1})] if there else []


def _table(key: str, caption: str, head: str, of: ByGeneration, parts: Sequence[tuple[str, str, Any]]) -> Table:
    """Parts (metric, its words, its value for programs) down, generations across."""
    shown = thin.evenly([g for g in of if any(name in of[g] for name, _, _ in parts)], thin.BARS)
    rows = [[words, *(f"{of[g][name]:.3f}" if name in of[g] else "" for g in shown)] for name, words, _ in parts]
    records = [{"generation": g, head: value, "value": of[g][name]} for name, _, value in parts for g in shown if name in of[g]]
    return Table(key, f"{caption}: mean over seeds", [head, *map(str, shown)], rows, records)


def _generations(last: int) -> Range:
    """Of generations 0 to `last`, with ticks at whole ones."""
    some = Range.around(0, max(1, last), 6)
    return Range(some.low, some.high, tuple(tick for tick in some.ticks if tick == int(tick)))


def _roc(key: str, arm: int, title: str, of: ByGeneration) -> Chart | None:
    few = _few(of, f"{ROC}0")
    if not few:
        return None
    curves = [
        xy.Curve(f"generation {g}", [(0, 0), *((rate / 1000, of[g][f"{ROC}{rate}"]) for rate in RATES), (1, 1)], marked=False) for g in few
    ]
    drawing = xy.lines(
        f"roc-{key}", f"{title}: ROC", curves, (UNIT, UNIT), "share of held-out real pictures taken for synthetic", ((0, 0), (1, 1))
    )
    parts = [(f"{ROC}{rate}", f"{rate / 10:g} %", rate / 1000) for rate in RATES]
    table = _table(f"roc-{key}", f"{title}: share found by false positives", "false positives", of, parts)
    areas = ", ".join(f"{of[g][AUC]:.3f}" for g in few)
    about = (
        f"Share of published samples found, against the share of held-out real pictures taken for samples, at every threshold. AUC {areas}."
    )
    return Chart(f"roc-{key}", f"{title}: ROC", about, DETECTION[AUC].definition, drawing, table, arm)


def _quarters(key: str, arm: int, title: str, of: ByGeneration) -> Chart | None:
    few = _few(of, f"{QUARTER}1")
    if not few:
        return None
    curves = [xy.Curve(f"generation {g}", [(quarter, of[g][f"{QUARTER}{quarter}"]) for quarter in (1, 2, 3, 4)]) for g in few]
    words = "quarter of the samples by distance from their mean, 4 the farthest"
    drawing = xy.lines(f"quarters-{key}", f"{title}: by distance", curves, (Range(0.8, 4.2, (1, 2, 3, 4)), UNIT), words)
    parts = [(f"{QUARTER}{quarter}", words, quarter) for quarter, words in enumerate(QUARTERS, 1)]
    table = _table(f"quarters-{key}", f"{title}: share let in by quarter of distance", "quarter", of, parts)
    about = "Share let in. A falling line: the gate cuts off the rim, which leads to the loss of modes. A level line: a random choice."
    return Chart(f"quarters-{key}", f"{title}: by distance", about, SELECTION[FAR].definition, drawing, table, arm)


def _distances(key: str, arm: int, title: str, of: ByGeneration) -> Chart | None:
    names = dict(zip(TOGETHER, ("let in", "turned away"), strict=True))
    points = {words: [(float(g), found[name]) for g, found in of.items() if name in found] for name, words in names.items()}
    curves = [xy.Curve(words, line, marked=len(line) <= thin.MARKED) for words, line in points.items() if line]
    if len(curves) < len(names):
        return None
    values = [y for curve in curves for _, y in curve.points]
    margin = max(0.02, 0.1 * (max(values) - min(values)))
    axes = _generations(max(of)), Range.around(min(values) - margin, max(values) + margin)
    drawing = xy.lines(f"distances-{key}", f"{title}: distance", curves, axes, "generation")
    table = _table(f"distances-{key}", f"{title}: distance", "samples", of, [(name, words, words) for name, words in names.items()])
    about = "Mean distance of the samples let in, and of those turned away, from the mean of all offered, in standard deviations of these."
    return Chart(f"distances-{key}", f"{title}: distance", about, SELECTION[KEPT].definition, drawing, table, arm)


def _origins(findings: Findings, number: int, arm: str) -> Chart | None:
    """Whom all gates together let in, by the generation that made them."""
    shares: dict[str, list[float]] = defaultdict(list)
    for run in findings.arms[arm] if findings.arms[arm][0].study.gates else ():
        of_run: dict[str, float] = {}
        for generation in thin.evenly(findings.there(run), thin.BARS):
            account = read_json(store.generation_folder(run.folder, generation) / store.PROVENANCE).get("gates", {})
            for origin, offered in account.get("offered", {}).items():
                of_run[origin] = account["let_in"].get(origin, {"pictures": 0})["pictures"] / offered["pictures"]
        for origin, share in of_run.items():
            shares[origin].append(share)
    means = {origin: sum(one) / len(one) for origin, one in shares.items()}
    made = sorted((int(origin.split()[-1]), share) for origin, share in means.items() if origin != "real")
    if not made:
        return None
    last = max(1, made[-1][0])
    curves = [xy.Curve("samples", [(float(g), share) for g, share in made], marked=len(made) <= thin.MARKED)]
    curves += [xy.Curve("real pictures", [(0, means["real"]), (last, means["real"])], marked=False)] if "real" in means else []
    title = f"{arm}: who got through all gates" if len(findings.arms) > 1 else "Who got through all gates"
    drawing = xy.lines(f"through-{number}", title, curves, (_generations(last), UNIT), "generation that made them")
    rows = [[name, f"{100 * share:.3g} %", str(len(shares[name]))] for name, share in means.items()]
    records = [{"arm": arm, "origin": name, "share": share, "seeds": len(shares[name])} for name, share in means.items()]
    table = Table(f"through-{number}", f"{title}: mean over seeds", ["made by", "share let in", "seeds"], rows, records)
    about = "Share of the pictures offered that were let into training sets, by the generation that made them, from the provenance."
    return Chart(f"through-{number}", title, about, "", drawing, table, number)
