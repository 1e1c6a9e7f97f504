"""The summary in words: tables and sentences for people."""

from collections.abc import Sequence
from typing import NamedTuple

from imgcollapse.ablation.summary.table import Record
from imgcollapse.judges.titles import REAL, metric_title
from imgcollapse.metrics.scores import SCORES, worth_showing

MOST = 4  # scores that a table has room for

COARSER = 1  # decimals fewer than of single values, of means over seeds


class Line(NamedTuple):
    """A line of a table: the arm that it tells of (None: real vs real, of the arms below it), and its cells."""

    arm: Record | None
    cells: list[str]


def columns(summary: Record, most: int = MOST) -> dict[str, list[str]]:
    """Per extractor the metrics that a table has room for: those of rank 1 to `most`, and for an arm without any, what it has instead."""
    found: dict[str, set[str]] = {}
    for arm in summary["arms"]:
        for extractor, metrics in arm["extractors"].items():
            found.setdefault(extractor, set()).update(worth_showing(most, metrics))
    return {extractor: [name for name in SCORES if name in names] for extractor, names in found.items()}


def lines(summary: Record, most: int = MOST, coarser: int = 0) -> dict[str, list[Line]]:
    """Per extractor every arm at its last generation: name, generation, seeds, and `mean [low, high]` over seeds of the metrics shown.

    These are `columns`; those that an arm has not measured have empty cells. A line of real vs real stands above the arms that have
    it. `coarser`: so many decimals fewer than a single value deserves. A null model that is one run for several arms has one line.
    """
    found: dict[str, list[Line]] = {}
    wanted = columns(summary, most)
    for arm, times in _once(summary["arms"]):
        for extractor, metrics in arm["extractors"].items():
            there = {name: metrics[name] for name in wanted[extractor] if name in metrics}
            table = found.setdefault(extractor, [])
            reals = [_real(there.get(name), name, coarser) for name in wanted[extractor]]
            if any(reals) and reals != next((line.cells[3:] for line in reversed(table) if line.arm is None), None):
                table.append(Line(None, [REAL, "", "", *reals]))
            last = next(iter(there.values()))["last"]
            about = [named(arm["arm"], arm["null"], times), str(last["generation"]), f"{last['n']} of {len(arm['planned'])}"]
            values = (spanned(there[name]["last"], name, "", coarser) if name in there else "" for name in wanted[extractor])
            table.append(Line(arm, [*about, *values]))
    return found


def table_lines(summary: Record) -> dict[str, list[list[str]]]:
    """Per extractor the lines of a table, text by text: headings, then `lines`."""
    wanted = columns(summary)
    return {
        extractor: [
            ["arm", "generation", "seeds", *(metric_title(name, extractor, short=True) for name in wanted[extractor])],
            *(line.cells for line in table),
        ]
        for extractor, table in lines(summary).items()
    }


def half_lives(summary: Record) -> list[tuple[str, str, str]]:
    """(arm, extractor, words): when metrics first fell below half of generation 0, those that did in any seed; null models aside."""
    found = []
    for arm in (arm for arm in summary["arms"] if arm["null"] is None):
        for extractor, metrics in arm["extractors"].items():
            halves: dict[str, list[str]] = {}
            for name in [one for one in SCORES if one in metrics and SCORES[one].halved and metrics[one]["half"]["reached"]]:
                halves.setdefault(metrics[name]["half"]["words"], []).append(SCORES[name].title)
            if halves:
                found.append((arm["arm"], extractor, "; ".join(f"{', '.join(titles)}: {words}" for words, titles in halves.items())))
    return found


def named(arm: str, null: str | None, times: int = 1) -> str:
    """An arm, or a null model under its regime. times: how many arms have this one."""
    return arm if null is None else f"{arm}, null model {null}" + (f" (of {times} arms)" if times > 1 else "")


def _once(arms: Sequence[Record]) -> list[tuple[Record, int]]:
    """Every arm and null model, and for how many arms it stands: null models of arms that differ in what learns are the same runs."""
    found: list[tuple[Record, int]] = []
    for arm in arms:
        same = (i for i, (one, _) in enumerate(found) if arm["null"] is not None and {**one, "arm": arm["arm"]} == arm)
        if (place := next(same, None)) is None:
            found.append((arm, 1))
        else:
            found[place] = (found[place][0], found[place][1] + 1)
    return found


def spanned(span: Record, name: str, sign: str = "", coarser: int = 0) -> str:
    """`mean [low, high]` of a SPAN, in the digits that a metric deserves or `coarser`; of one or two seeds, the values: `0.7 and 0.8`."""
    if SCORES[name].better == "lower" and abs(span["mean"] or 0) < 1:
        coarser = 0  # distances have no common size: those of toy worlds are small
    decimals = max(1, SCORES[name].decimals - coarser)  # a mean of whole numbers is none
    shown = span.get("values") or [span[part] for part in ("mean", "low", "high") if span[part] is not None]
    texts = [f"{value:{sign}z.{decimals}f}" for value in shown]
    return " and ".join(texts) if span["low"] is None else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _real(metric: Record | None, name: str, coarser: int) -> str:
    """`mean [low, high]`, the least and greatest of many splits; empty where it was not measured, and where it has none."""
    return "" if metric is None or metric["real"] is None else spanned(metric["real"], name, "", coarser)
