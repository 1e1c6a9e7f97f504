"""`report.html`: one page, whole in itself, that shows runs and ablations; written from their folders alone."""

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup

from imgcollapse.ablation.grid import ABLATION
from imgcollapse.ablation.summary import Record, named, ranking_lines
from imgcollapse.errors import OtherStudyProblem
from imgcollapse.files import bytes_of, digest_of, ledger, sweep, write_bytes
from imgcollapse.judges.titles import REAL, counted_together, features_title, judges_of
from imgcollapse.reports import charts, composition, gates, pictures, tables
from imgcollapse.reports.agreement import disagreements
from imgcollapse.reports.answer import answer, details
from imgcollapse.reports.chains import chains
from imgcollapse.reports.differences import decided, differences
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.panels import NULL
from imgcollapse.reports.paths import paths
from imgcollapse.reports.pictures import SIZES, Keep
from imgcollapse.reports.rankings import rankings
from imgcollapse.reports.rates import rates
from imgcollapse.reports.record import about_runs, notes, settings
from imgcollapse.reports.reproduce import reproduce, typed
from imgcollapse.reports.spectra import spectra
from imgcollapse.reports.strips import strips
from imgcollapse.reports.tables import Chart, Table
from imgcollapse.reports.warnings import warning_sentences, warnings
from imgcollapse.reports.whole import made, policy, rendered, template

MARK = '<meta name="generator" content="imgcollapse'  # by which a page of ours is known
NOTED = "../page"  # under which the ledger of its folder knows a page, whatever its name
RELOAD = 10  # seconds after which a page of a run that still works looks again


@dataclass(frozen=True)
class Written:
    """What `write` wrote: the page, its size in bytes with its pictures beside it, and the folder of these where there are any."""

    page: Path
    size: int
    beside: Path | None


def claim(page: Path, *, aside: bool = False) -> None:
    """Sees to it that a page, and the folder beside it, are ours to write: something else there is refused by OtherStudyProblem.

    `aside`: it is set aside and said instead; for the page of a run or an ablation in its own folder, at the end of a long work.
    """
    folder = pictures.folder_beside(page)
    other = "is not the folder of a report" if ledger.is_others(folder) else None
    for place, wrong in ((page, _no_page(page, ledger.known(folder)[NOTED])), (folder, other)):
        if wrong and not aside:
            raise OtherStudyProblem(f"{place}: {wrong}, and nothing is ever overwritten; choose another -o")
        if wrong:
            ledger.clear(place, page.parent)


def _no_page(page: Path, known: set[str]) -> str | None:
    """What is at the place of a page and is none that we may replace, in words; None where there is nothing, or a page of ours.

    `known`: the SHA-256 of the pages that were written there, as far as they were noted; without any, the page is known by MARK alone.
    """
    try:
        mode = page.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(mode):
        return "is a link" if stat.S_ISLNK(mode) else "is a folder" if stat.S_ISDIR(mode) else "is not a regular file"
    if not mode & 0o222:
        return "is read-only"
    with page.open(encoding="utf-8", errors="replace") as file:
        if MARK not in file.read(2000):
            return "is not a report that imgcollapse wrote"
    return "has been changed since it was written" if known and digest_of(page) not in known else None


def write(findings: Findings, page: Path, *, budget: float = 25e6, live: bool = False, aside: bool = False) -> Written:
    """Writes the page in at most `budget` bytes: if need be with fewer and coarser pictures, and at last with them in a folder beside it.

    `live`: the page loads itself again every few seconds. `aside`: see `claim`. Raises OtherStudyProblem for what is there and no report.
    """
    claim(page, aside=aside)
    page.parent.mkdir(parents=True, exist_ok=True)
    folder = pictures.folder_beside(page)
    for size in SIZES:
        html = bytes_of(_render(findings, page, size, pictures.inline, live))
        if len(html) <= budget:
            return put(page, html)
    kept = dict[str, bytes]()
    html = bytes_of(_render(findings, page, SIZES[0], pictures.beside(folder, kept), live))
    ledger.put(folder, kept)  # before the page that shows them
    _write(page, folder, html)
    ledger.forget(folder, set(kept))
    return Written(page, page.stat().st_size + sum(map(len, kept.values())), folder)


def put(page: Path, html: bytes) -> Written:
    """Writes a page, whose place is claimed, without pictures beside it; those of an earlier, larger one go."""
    folder = pictures.folder_beside(page)
    _write(page, folder, html)
    ledger.forget(folder, set())
    return Written(page, page.stat().st_size, None)


def _write(page: Path, folder: Path, html: bytes) -> None:
    """Writes the page, which is noted first where its folder has a ledger."""
    if ledger.known(folder):
        ledger.note(folder, NOTED, sha256(html).hexdigest())
    sweep(page.parent)
    write_bytes(page, html)


def _render(findings: Findings, page: Path, size: tuple[int, int, int], keep: Keep, live: bool) -> str:
    strip, noise = strips(findings, size, keep)
    charted, moving = _charted(findings), {"stops": findings.stops, "reload": RELOAD if live else 0}
    return rendered(
        "page.html",
        **_head(findings, live),
        **_legend(findings),
        **charted,
        strip=strip,
        noise=noise,
        stops=findings.stops,
        halves=(halves := tables.half_lives(findings)),
        kept_half=tables.kept_half(findings),
        chains=(parts := chains(findings, page)),
        rankings=(ranked := rankings(findings)),
        ranking_lines=ranking_lines(findings.summary),
        rates=(approach := rates(findings)),
        early=(early := warnings(findings)),
        early_words=warning_sentences(findings),
        compared=(compared := decided(findings)),
        apart=(apart := differences(findings)),
        command=reproduce(findings),
        typed=typed(findings),
        file=ABLATION if findings.is_ablation and any((place / ABLATION).is_file() for place in findings.places) else "",
        record=about_runs(findings),
        settings=settings(findings),
        data=_embedded({**moving, "tables": _records(charted, compared, halves, approach, early, *apart, *ranked, parts and parts.table)}),
    )


def _head(findings: Findings, live: bool) -> dict[str, Any]:
    """What the page says first, and by what it is styled and moved; nothing else may style or move it."""
    style, script = template("page.css"), template("page.js")
    reference = _legend(findings)["null_shown"]
    if reference is not None:
        style += f'.chart .null[data-arm="{reference}"] {{ display: inline; }}\n'
    scope = findings.summary["scope"]
    return {
        "policy": policy(style, script),
        "reload": RELOAD if live else None,
        "question": findings.question,
        "scope": f"{scope[0].upper()}{scope[1:]}.",
        "answer": answer(findings),
        "grounds": details(findings, spelled=False),
        "facts": _facts(findings),
        "notes": [*notes(findings), *disagreements(findings.summary)],
        "style": Markup(style),
        "script": Markup(script),
    }


def _legend(findings: Findings) -> dict[str, Any]:
    """The arms and null models, and how they are told apart. `null_shown`: the number of the arm whose null model is always drawn."""
    summary, order = findings.summary, list(findings.arms)
    nulls = any(arm["null"] == NULL and arm["extractors"] for arm in summary["arms"])
    shown = order.index(summary["reference"]) if nulls and summary["reference"] in order else None
    judge: Record = next((one for one in findings.judges if findings.extractor in one["extractors"]), {"extractors": {}})
    return {
        "arms": [{"number": n, "name": name, "swatch": charts.swatch(n)} for n, name in enumerate(order)],
        "names": _columns(findings),
        "nulls": NULL if nulls else "",
        "null_shown": shown,
        "null_swatch": charts.swatch(0, null=True),
        "reference": summary["reference"] if findings.is_ablation else "",
        "source": features_title(judge, findings.extractor),
        "real": REAL,
    }


def _charted(findings: Findings) -> dict[str, Sequence[Chart]]:
    """All charts with their tables, section by section."""
    return {
        "charts": [*tables.curves(findings), *(ways := paths(findings))[:1]],
        "more": [*tables.more_curves(findings), *ways[1:]],
        "details": spectra(findings),
        "classes": composition.class_charts(findings),
        "gates": tables.gate_curves(findings),
        "gates_by_arm": gates.by_arm(findings),
        "origins": composition.origins(findings),
        "numbers": tables.numbers(findings),
    }


def _records(charted: dict[str, Sequence[Chart]], *others: Table | None) -> dict[str, Sequence[dict[str, Any]]]:
    """The tables for programs, by their keys."""
    charts_of_all = [chart for section in charted.values() for chart in section]
    shown = (*(chart.table for chart in charts_of_all), *(chart.above for chart in charts_of_all), *others)
    return {table.key: table.records for table in shown if table}


def _facts(findings: Findings) -> list[str]:
    """What the page is of, in a few words each."""
    studies = [run.study for run in findings.runs if run.null is None]
    seeds = sorted({run.seed for run in findings.runs if run.null is None})
    facts = [
        ", ".join(dict.fromkeys(study.dataset.kind for study in studies)),
        ", ".join(dict.fromkeys(study.learner for study in studies)),
        f"{len(findings.arms)} arms" if findings.is_ablation else studies[0].regime.title(),
        f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}",
        f"{max(study.gens for study in studies)} generations",
    ]
    every = sorted({study.judge.every for study in studies})
    facts += [f"judged every {' or '.join(map(str, every))} generations, and the last"] if every != [1] else []
    sizes = counted_together(one for judge in findings.judges for one in judges_of(judge))
    facts += [sizes] if sizes else []
    return [*facts, made()]


def _columns(findings: Findings) -> dict[str, dict[str, Any]]:
    """A column's heading -> which arm it is of, and whether it is a null model."""
    order = list(findings.arms)
    keys = {(arm["arm"], arm["null"]) for arm in findings.summary["arms"]}
    return {named(arm, null): {"number": order.index(arm), "null": null is not None} for arm, null in keys}


def _embedded(record: dict[str, Any]) -> Markup:
    """JSON that cannot end the element it stands in, nor begin another."""
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
