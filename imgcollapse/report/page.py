"""`report.html`: one page, whole in itself, that shows runs and ablations; written from their folders alone."""

import base64
import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from imgcollapse import __version__, store
from imgcollapse.ablation.ablation import ABLATION
from imgcollapse.ablation.summary import Run, named
from imgcollapse.errors import OtherStudyProblem
from imgcollapse.files import bytes_of, digest_of, ledger, sweep, write_bytes
from imgcollapse.judge.titles import counted, title
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.regimes import made_of
from imgcollapse.report import charts, composition, pictures, tables
from imgcollapse.report.findings import Findings, there
from imgcollapse.report.panels import NULL
from imgcollapse.report.pictures import SIZES, Keep, Picture
from imgcollapse.report.record import about_runs, notes, settings
from imgcollapse.report.tables import Chart
from imgcollapse.report.words import answer, reproduce
from imgcollapse.store.records import read_json

MARK = '<meta name="generator" content="imgcollapse'  # by which a page of ours is known
NOTED = "../page"  # under which the ledger of its folder knows a page, whatever its name
SMALL = 64  # pixels: pictures of this side or less are enlarged without smoothing
CAPTION = 2  # scores below a picture
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
    other = "is no folder of a report" if ledger.is_others(folder) else None
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
        return "is a link" if stat.S_ISLNK(mode) else "is a folder" if stat.S_ISDIR(mode) else "is no file"
    if not mode & 0o222:
        return "is read-only"
    with page.open(encoding="utf-8", errors="replace") as file:
        if MARK not in file.read(2000):
            return "is a file that is no report"
    return "has been changed since it was written" if known and digest_of(page) not in known else None


def write(findings: Findings, page: Path, *, budget: float = 25e6, live: bool = False, aside: bool = False) -> Written:
    """Writes the page in at most `budget` bytes: if need be with fewer and coarser pictures, and at last with them in a folder beside it.

    `live`: the page loads itself again every few seconds. `aside`: see `claim`. Raises OtherStudyProblem for what is there and no report.
    """
    claim(page, aside=aside)
    page.parent.mkdir(parents=True, exist_ok=True)
    folder = pictures.folder_beside(page)
    for size in SIZES:
        html = bytes_of(_render(findings, size, pictures.inline, live))
        if len(html) <= budget:
            _write(page, folder, html)
            ledger.forget(folder, set())  # the pictures of an earlier, larger page
            return Written(page, page.stat().st_size, None)
    kept = dict[str, bytes]()
    html = bytes_of(_render(findings, SIZES[0], pictures.beside(folder, kept), live))
    ledger.put(folder, kept)  # before the page that shows them
    _write(page, folder, html)
    ledger.forget(folder, set(kept))
    return Written(page, page.stat().st_size + sum(map(len, kept.values())), folder)


def _write(page: Path, folder: Path, html: bytes) -> None:
    """Writes the page, which is noted first where its folder has a ledger."""
    if ledger.known(folder):
        ledger.note(folder, NOTED, sha256(html).hexdigest())
    sweep(page.parent)
    write_bytes(page, html)


def _render(findings: Findings, size: tuple[int, int, int], keep: Keep, live: bool) -> str:
    style, script, template = (_template(name) for name in ("page.css", "page.js", "page.html"))
    summary = findings.summary
    arms = [{"number": n, "name": name, "swatch": charts.swatch(n)} for n, name in enumerate(findings.arms)]
    reference = list(findings.arms).index(summary["reference"]) if summary["arms"] and summary["reference"] in findings.arms else None
    nulls = any(arm["null"] == NULL and arm["extractors"] for arm in summary["arms"])
    if nulls and reference is not None:
        style += f'.chart .null[data-arm="{reference}"] {{ display: inline; }}\n'
    curves, more, classes = tables.curves(findings), tables.more_curves(findings), composition.class_charts(findings)
    origins = composition.origins(findings)
    numbers, halves = tables.numbers(findings), tables.half_lives(findings)
    last = max((generation for run in findings.runs for generation in there(run)), default=0)
    strip, noise = _pictures(findings, size, keep)
    charted: Sequence[Chart] = (*curves, *more, *classes, *origins, *numbers)
    shown = (*(chart.table for chart in charted), *(chart.above for chart in charted), halves)
    records = {table.key: table.records for table in shown if table}
    policy = (
        f"default-src 'none'; img-src data: 'self' file:; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        version=__version__,
        policy=policy,
        reload=RELOAD if live else None,
        question=findings.question,
        answer=answer(findings),
        facts=_facts(findings),
        notes=notes(findings),
        style=Markup(style),
        script=Markup(script),
        last=last,
        arms=arms,
        names=_columns(findings),
        nulls=NULL if nulls else "",
        null_swatch=charts.swatch(0, null=True),
        reference=summary["reference"] if findings.is_ablation else "",
        extractor=findings.extractor,
        strip=strip,
        noise=noise,
        charts=curves,
        more=more,
        classes=classes,
        numbers=numbers,
        halves=halves,
        origins=origins,
        command=reproduce(findings),
        file=ABLATION if findings.is_ablation and any((place / ABLATION).is_file() for place in findings.places) else "",
        record=about_runs(findings),
        settings=settings(findings),
        data=_embedded({"tables": records, "reload": RELOAD if live else 0}),
    )


def _pictures(findings: Findings, size: tuple[int, int, int], keep: Keep) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mosaics of samples, and rows from the same noise, of each arm's first run that has begun."""
    strip, noise = [], []
    for number, (arm, runs) in enumerate(findings.arms.items()):
        run = tables.first_run(runs)
        if run is None:
            continue
        frames, rows = [], []
        first = store.generation_folder(run.folder, there(run)[0])
        fine = store.read_images(first / store.LATENTS, 1).shape[2] <= SMALL
        for generation in there(run):
            whose = f"{arm}, generation {generation}"
            drawn = pictures.samples(run, generation, size)
            frames.append(_frame(drawn, keep, generation, f"Samples of {whose}", _caption(run, generation)))
            same = pictures.same_noise(run, generation, size)
            if same is not None:
                rows.append(_frame(same, keep, generation, f"{whose}, from the same noise"))
        shown = f"{arm}, seed {run.seed}"
        strip.append({"number": number, "name": shown, "frames": frames, "fine": fine})
        if rows and run.study.model.kind != NULL:  # which has no noise to start from: its seed draws training pictures
            noise.append({"number": number, "name": shown, "frames": rows, "fine": fine})
    return strip, noise


def _frame(picture: Picture, keep: Keep, generation: int, alt: str, caption: str = "") -> dict[str, Any]:
    size = {"width": picture.width, "height": picture.height}
    return {"generation": generation, "src": keep(picture), **size, "alt": alt, "caption": caption}


def _caption(run: Run, generation: int) -> str:
    """`learned from 10 % real, 90 % generation 2; FD 9.12, recall 0.812`."""
    words = made_of(read_json(store.generation_folder(run.folder, generation) / store.PROVENANCE))
    judged = store.is_judged(run.folder, generation)
    for extractor, values in store.scores_of(run.folder, generation).sources.items() if judged else ():
        there = worth_showing(CAPTION, values)
        shown = [f"{title(key, extractor, short=True)} {values[key].value:.{SCORES[key].decimals}f}" for key in there]
        if shown:
            return f"{words}; {', '.join(shown)}"
    return words


def _facts(findings: Findings) -> list[str]:
    """What the page is of, in a few words each."""
    studies = [run.study for run in findings.runs if run.null is None]
    seeds = sorted({study.seed for study in studies})
    facts = [
        ", ".join(dict.fromkeys(study.dataset.kind for study in studies)),
        ", ".join(dict.fromkeys(study.model.kind for study in studies)),
        f"{len(findings.arms)} arms" if findings.is_ablation else studies[0].regime.title(),
        f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}",
        f"{max(study.gens for study in studies)} generations",
    ]
    sizes = dict.fromkeys(counted(ruler["judge"]) for ruler in findings.rulers.values())
    facts += [" or ".join(sizes)] if sizes else []
    return [*facts, f"page made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by imgcollapse {__version__}"]


def _columns(findings: Findings) -> dict[str, dict[str, Any]]:
    """A column's heading -> which arm it is of, and whether it is a null model."""
    order = list(findings.arms)
    keys = {(arm["arm"], arm["null"]) for arm in findings.summary["arms"]}
    return {named(arm, null): {"number": order.index(arm), "null": null is not None} for arm, null in keys}


def _embedded(record: dict[str, Any]) -> Markup:
    """JSON that cannot end the element it stands in, nor begin another."""
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


@cache
def _template(name: str) -> str:
    return (files("imgcollapse.report") / "templates" / name).read_text(encoding="utf-8")
