"""The table of a page that says which scores leave real vs real first, and how long before recall halves."""

from imgcollapse.ablation.summary import Record, named, quoted
from imgcollapse.ablation.summary.early import cell, first_sentence
from imgcollapse.judges.titles import metric_title, source_title
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.panels import NULL
from imgcollapse.reports.tables import Table

ROWS = 40  # scores in the table: the first to leave in any arm
TOLD = 8  # arms of which a sentence tells


def warnings(findings: Findings) -> Table | None:
    """Scores down, the first to leave real vs real first, arms across; None where no run has two judged generations."""
    shown = [one for one in findings.summary["warnings"] if one["null"] in (None, NULL) and one["scores"]]
    by_score: dict[tuple[str, str], dict[str, Record]] = {}
    for one in shown:
        for score in one["scores"]:
            by_score.setdefault((score["extractor"], score["metric"]), {})[named(one["arm"], one["null"])] = score
    if not by_score:
        return None
    names = [named(one["arm"], one["null"]) for one in shown]
    own = [named(one["arm"], None) for one in shown if one["null"] is None] or names
    order = sorted(by_score, key=lambda key: _earliest(by_score[key], own))
    rows = [
        [f"{metric_title(name, extractor)}, {source_title(extractor)}", *(_cell(by_score[extractor, name].get(arm)) for arm in names)]
        for extractor, name in order[:ROWS]
    ]
    records = [{"arm": one["arm"], "null": one["null"] or "", **score} for one in shown for score in one["scores"]]
    more = f"; {ROWS} of {len(order)} scores, all of them in the CSV" if len(order) > ROWS else ""
    caption = f"The first generation from which on a score stays outside real vs real (median over seeds){more}"
    return Table("warnings", caption, ["score", *names], rows, records)


def warning_sentences(findings: Findings) -> list[str]:
    """`“half, fixed”: first to leave real vs real for good, at generation 1: ...`, an arm each; null models aside."""
    told = [one for one in findings.summary["warnings"] if one["null"] is None and one["scores"]]
    several = len(findings.arms) > 1
    found = []
    for one in told[:TOLD]:
        words = first_sentence(one)
        found.append(f"{quoted(one['arm'])}: {words}." if several else f"{words[0].upper()}{words[1:]}.")
    return [*found, f"{len(told) - TOLD} more arms: in the table."] if len(told) > TOLD else found


def _cell(score: Record | None) -> str:
    return "" if score is None else cell(score)


def _earliest(scores: dict[str, Record], names: list[str]) -> tuple[float, int]:
    """When a score left in the first of the arms in which it did."""
    times = [scores[name]["generation"] for name in names if name in scores and scores[name]["generation"] is not None]
    return min(times, default=float("inf")), -len(times)
