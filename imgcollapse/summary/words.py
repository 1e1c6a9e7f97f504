"""The summary in words: tables and sentences for people."""

from imgcollapse.metrics.scores import SCORES
from imgcollapse.summary.numbers import HALVED
from imgcollapse.summary.table import Record

SHOWN = {"fd": "FD", "recall": "recall", "coverage": "coverage", "classes_alive": "classes alive"}


def table_lines(summary: Record) -> dict[str, list[list[str]]]:
    """Per extractor the lines of a table: headings, then every arm at its last generation, `mean [low, high]` over seeds.

    A floor's line stands above the arms that have it.
    """
    lines: dict[str, list[list[str]]] = {}
    for arm in summary["arms"]:
        for extractor, metrics in arm["extractors"].items():
            shown = {name: metrics[name] for name in SHOWN if name in metrics}
            if not shown:
                continue
            table = lines.setdefault(extractor, [["arm", "generation", "seeds", *SHOWN.values()]])
            floor = ["floor (real)", "", "", *(_digits(shown[name]["floor"], name) if name in shown else "" for name in SHOWN)]
            if floor != next((line for line in reversed(table) if line[0] == floor[0]), None):
                table.append(floor)
            last = next(iter(shown.values()))["last"]
            about = [named(arm["arm"], arm["null"]), str(last["generation"]), f"{last['n']} of {len(arm['planned'])}"]
            table.append([*about, *(_span(shown[name]["last"], name) if name in shown else "" for name in SHOWN)])
    return lines


def headline(summary: Record) -> list[str]:
    """What came out, in plain sentences: the arms' differences from the reference at the last generation, then their half-lives.

    Null models are left to `summary.json` and the table.
    """
    found = []
    for one in (one for one in summary["differences"] if one["against_null"] is None):
        for extractor, metrics in one["extractors"].items():
            spans = {name: metrics[name]["last"] for name in SHOWN if name in metrics}
            if spans:
                last = next(iter(spans.values()))
                pair = f"{named(one['arm'], one['null'])} minus {named(one['against'], one['against_null'])}"
                where = f"generation {last['generation']}, {extractor}, {last['n']} paired seed{'s' if last['n'] > 1 else ''}"
                parts = [f"{SHOWN[name]} {_span(span, name, '+')}{_in_floors(span)}" for name, span in spans.items()]
                found.append(f"{pair} ({where}): {', '.join(parts)}")
    for arm in (arm for arm in summary["arms"] if arm["null"] is None):
        for extractor, metrics in arm["extractors"].items():
            halves: dict[str, list[str]] = {}
            for name in [one for one in HALVED if one in metrics]:
                halves.setdefault(metrics[name]["half"]["words"], []).append(SCORES[name].title)
            if halves:
                parts = [f"{', '.join(titles)}: {words}" for words, titles in halves.items()]
                found.append(
                    f"{named(arm['arm'], arm['null'])} ({extractor}), first generation below half of generation 0: {'; '.join(parts)}"
                )
    return found


def named(arm: str, null: str | None) -> str:
    """An arm, or a null model under its regime."""
    return arm if null is None else f"{arm}, null model {null}"


def _digits(value: float, name: str, sign: str = "") -> str:
    return f"{value:{sign}.{max(1, SCORES[name].decimals)}f}"  # a mean of whole numbers is none


def _span(span: Record, name: str, sign: str = "") -> str:
    bounds = "" if span["low"] is None else f" [{_digits(span['low'], name, sign)}, {_digits(span['high'], name, sign)}]"
    return _digits(span["mean"], name, sign) + bounds


def _in_floors(span: Record) -> str:
    return f" ({span['in_floors']['mean']:+.2f} floors)" if span["in_floors"] else ""
