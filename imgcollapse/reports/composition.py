"""Of what training sets and samples are made: charts of origins and classes, one an arm."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.ablation.summary.table import unbroken
from imgcollapse.datasets.names import class_title
from imgcollapse.metrics.classes import ALIVE, ALIVE_RULE, SHARE
from imgcollapse.reports import shares, thin
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.tables import Chart, Table, first_run
from imgcollapse.store.records import read_json

MOST = 20  # classes told apart in a stack
ROWS = 120  # classes in a chart of shares; of more, the rarest


def class_charts(findings: Findings) -> list[Chart]:
    """For every arm what became of the classes: shares relative to the real ones with the lost ones marked, and the shares stacked."""
    found = []
    for number, (arm, runs) in enumerate(findings.arms.items()):
        names: list[str] = next(
            (findings.references[run.folder]["data"]["classes"] for run in runs if run.folder in findings.references), []
        )
        judged, generations, cells = _class_cells(findings, arm, len(names)) if len(names) > 1 else ([], [], [])
        if not cells:
            continue
        rows, records = [], []
        for name, row in zip(names, cells, strict=True):
            rows.append([class_title(name), f"{100 * row[0]['real']:.1f} %", *(_class_words(cell) for cell in row)])
            records += [{"arm": arm, "class": name, "generation": g, **cell} for g, cell in zip(generations, row, strict=True)]
        part = f"; {some}, all of them in {findings.all_numbers}" if (some := thin.some_of(generations, judged)) else ""
        headings = ["class", "real", *map(str, generations)]
        table = Table(f"classes-{number}", f"{arm}: share of each class{part}", headings, rows, records)
        title = f"{arm}: classes"
        shown = _rarest(cells, ROWS)
        marked = [[(_ratio(cell), cell["lost"] * 2 >= cell["seeds"]) for cell in cells[c]] for c in shown]
        drawing = shares.heat(str(number), title, [class_title(names[c]) for c in shown], marked, generations)
        drawing += shares.stack(f"classes-{number}", f"{arm}: shares of the classes", _stacked(names, cells), generations)
        rule = "its few samples may all be mistakes of the classifier" if cells[0][0]["ruled"] else "no confident sample of it is left"
        about = (
            "First chart: the share of each class, divided by its share among real pictures (orange: too rare, blue: too frequent, white: "
            f"as real). Second chart: the shares. × marks a class as lost: {rule}, in at least half of the seeds."
        )
        about += f" The first chart shows the {ROWS} rarest of {len(names):,} classes, the table all." if len(shown) < len(names) else ""
        losses = _losses(findings, arm, number, names)
        listed = losses if losses and losses.rows else None
        if losses:
            about += " The first table: the generation from which on a class is lost for good." if listed else " No class is lost."
        found.append(Chart(f"classes-{number}", arm, about, ALIVE_RULE, drawing, table, number, listed))
    return found


def _losses(findings: Findings, arm: str, number: int, names: Sequence[str]) -> Table | None:
    """The lost classes, the first to go first; None where nothing is known of them, as in runs of older versions."""
    record = next(one for one in findings.summary["arms"] if (one["arm"], one["null"]) == (arm, None))
    times = {int(c): time for c, time in record["lost"].get(findings.extractor, {}).items()}
    listed = [c for c, time in times.items() if time["reached"] or not time["of"]]
    rows = []
    for c in sorted(listed, key=lambda c: (times[c]["generation"] is None, times[c]["generation"], c)):
        when, within, of = times[c]["generation"], times[c]["within"], times[c]["of"]
        known = times[c]["words"].partition(" (")[0]  # `40 at the latest`, where not every generation was judged
        words = known if when is not None else f"not within {within}" if of else "not alive among real pictures either"
        rows.append([class_title(names[c]), words, f"{times[c]['reached']} of {of}" if of else ""])
    records = [{"arm": arm, "class": names[c], **time} for c, time in times.items()]
    headings = ["class", "lost at generation", "seeds"]
    return Table(f"lost-{number}", f"{arm}: lost classes (median over seeds)", headings, rows, records) if times else None


def origins(findings: Findings) -> list[Chart]:
    """For every arm of what the training set of each generation was made: real pictures, and the samples of which generations."""
    found = []
    for number, (arm, runs) in enumerate(findings.arms.items()):
        run = first_run(findings, runs)
        if run is None:
            continue
        there = findings.there(run)
        made = [_Made.read(run.folder, g, thin.group_width(there[-1] + 1)) for g in thin.evenly(there, thin.BARS)]
        last, shown = there[-1], [one.generation for one in made]
        ordered = sorted({name for one in made for name in one.origins}, key=lambda name: (_first(name), name))
        parts = [(name, _css(name, last), [one.share(name) for one in made]) for name in ordered]
        part = f"; {some}, all of them in {store.PROVENANCE} of each" if (some := thin.some_of(shown, there)) else ""
        table = Table(
            f"origins-{number}",
            f"{arm}: what each training set was made of{part}",
            ["generation", "pictures", *ordered],
            [[str(one.generation), f"{one.size:,}", *(_percent(one.share(name)) for name in ordered)] for one in made],
            [
                {"arm": arm, "generation": one.generation, "origin": name, "pictures": pictures, "of": one.size}
                for one in made
                for name, pictures in one.origins.items()
            ],
        )
        drawing = shares.stack(f"origins-{number}", f"{arm}: origins of the training sets", parts, shown)
        about = f"{run.study.regime.title()}; the number in a segment is the generation that drew it"
        if run.study.correction is not None:
            about += f". Before it drew, each model was corrected by {run.study.correction.title()}"
        let_in = _let_in(run.folder, shown, f"let-in-{number}", arm)
        if let_in:
            gates = ", then ".join(gate.title() for gate in run.study.gates)
            about += f". Samples and real pictures passed the gates: {gates}. The first table: how many of them were let in."
        found.append(Chart(f"origins-{number}", arm, about, "", drawing, table, number, let_in))
    return found


def _let_in(run: Path, generations: Sequence[int], key: str, arm: str) -> Table | None:
    """Whom the gates were offered for each of these generations, and whom they let in; None where there are no gates."""
    rows, records = [], []
    for generation in generations:
        account = read_json(store.generation_folder(run, generation) / store.PROVENANCE).get("gates", {})
        for origin, offered in account.get("offered", {}).items():
            there, let_in = offered["pictures"], account["let_in"].get(origin, {"pictures": 0})["pictures"]
            rows.append([str(generation), origin, f"{there:,}", f"{let_in:,}", _percent(let_in / there)])
            records.append({"arm": arm, "generation": generation, "origin": origin, "offered": there, "let in": let_in})
    headings = ["generation", "of", "offered", "let in", "share"]
    return Table(key, f"{arm}: what the gates let in (first seed)", headings, rows, records) if rows else None


@dataclass(frozen=True)
class _Made:
    """Of what the training set of a generation was made: origin -> pictures, generations of one group together."""

    generation: int
    size: int
    origins: dict[str, int]

    @classmethod
    def read(cls, run: Path, generation: int, width: int) -> "_Made":
        """From its provenance; `width` generations are a group."""
        record = read_json(store.generation_folder(run, generation) / store.PROVENANCE)
        found: dict[str, int] = {}
        for name, part in record["made_of"].items():
            origin = name if name == "real" or width == 1 else _group(int(name.split()[1]), width)
            found[origin] = found.get(origin, 0) + part["pictures"]
        return cls(generation, record["size"], found)

    def share(self, origin: str) -> float | None:
        """The share of an origin; None where nothing is of it."""
        return self.origins[origin] / self.size if origin in self.origins else None


def _group(generation: int, width: int) -> str:
    first = generation // width * width
    return f"generations {first} to {first + width - 1}"


def _first(origin: str) -> int:
    """The generation of an origin, or the first of its group; real pictures come before all."""
    return -1 if origin == "real" else int(origin.split()[1])


def _css(origin: str, last: int) -> str:
    """One of ten shades for a generation: the older, the darker."""
    return "real" if origin == "real" else f"born b{round(9 * _first(origin) / max(1, last))}"


def _class_cells(findings: Findings, arm: str, count: int) -> tuple[list[int], list[int], list[list[dict[str, Any]]]]:
    """The judged generations, those shown, and class by shown generation: mean share over seeds, the real share, in how many seeds it is
    lost; empty where none are known."""
    found: dict[tuple[int, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    extractor = findings.extractor
    for row in findings.rows:
        kind = row["metric"].rstrip("0123456789")
        if row["arm"] == arm and not row["null"] and row["extractor"] == extractor and kind in (SHARE, ALIVE):
            at = found[int(row["metric"].removeprefix(kind)), row["generation"]]
            at[kind].append(row["value"])
            if kind == SHARE:
                at["real"].append(row["real"])
    known = {generation for _, generation in found}
    whole = [g for g in known if all((c, g) in found and found[c, g][SHARE] for c in range(count))]
    judged = unbroken(whole, findings.arms[arm][0].study)
    shown = thin.evenly(judged, thin.BARS)
    return judged, shown, [[_class_cell(found[c, generation]) for generation in shown] for c in range(count)] if shown else []


def _class_cell(at: dict[str, list[float]]) -> dict[str, Any]:
    alive = at[ALIVE] or [float(share > 0) for share in at[SHARE]]  # runs of older versions do not have it
    return {
        "share": sum(at[SHARE]) / len(at[SHARE]),
        "real": sum(at["real"]) / len(at["real"]),
        "lost": sum(one == 0 for one in alive),
        "seeds": len(at[SHARE]),
        "ruled": bool(at[ALIVE]),
    }


def _ratio(cell: dict[str, Any]) -> float:
    return cell["share"] / cell["real"] if cell["real"] else float(cell["share"] > 0)


def _class_words(cell: dict[str, Any]) -> str:
    lost = f", lost in {cell['lost']} of {cell['seeds']}" if cell["lost"] else ""
    return f"{100 * cell['share']:.1f} %{lost}"


def _rarest(cells: list[list[dict[str, Any]]], most: int) -> list[int]:
    """The numbers of at most so many classes, in order: the rarest among real pictures."""
    order = range(len(cells))
    return list(order) if len(cells) <= most else sorted(sorted(order, key=lambda c: cells[c][0]["real"])[:most])


def _stacked(names: Sequence[str], cells: list[list[dict[str, Any]]]) -> list[tuple[str, str, list[float | None]]]:
    """The classes' shares for a stack; of very many classes the rarest, and the others as one."""
    shown = _rarest(cells, MOST if len(names) <= MOST else MOST - 1)
    parts: list[tuple[str, str, list[float | None]]] = [
        (class_title(names[c]), f"class k{round(9 * place / max(1, len(shown) - 1))}", [cell["share"] for cell in cells[c]])
        for place, c in enumerate(shown)
    ]
    if len(shown) < len(names):
        rest = [sum(cells[c][g]["share"] for c in range(len(names)) if c not in shown) for g in range(len(cells[0]))]
        parts.append((f"{len(names) - len(shown)} other classes", "class other", [*rest]))
    return parts


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"
