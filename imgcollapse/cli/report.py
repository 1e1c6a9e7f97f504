"""`imgcollapse report`."""

import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, store
from imgcollapse.ablation import grid
from imgcollapse.cli.common import stoppable
from imgcollapse.cli.console import Lines
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import expanded
from imgcollapse.files.places import tried
from imgcollapse.machine import streams
from imgcollapse.reports import Findings

LOOK = 2.0  # seconds between two looks at run folders


def make(places: tuple[Path, ...], given: dict[str, Any], *, watch: bool, show: bool, as_json: bool) -> None:
    """`imgcollapse report RUN_OR_ABLATION...`: `given` are `page`, `budget` (MB) and `interval`."""
    page = page_of(places, given["page"])
    options: dict[str, Any] = {"budget": given["budget"] * 1e6, "aside": given["page"] is None and len(places) == 1}
    tried(page, "choose another -o")
    with progress.watched_by(Lines()), stoppable() as stopped:
        if not options["aside"]:
            reports.claim(page)  # before the work
        if watch:
            _watch(places, page, given["interval"], options, show)
    with progress.watched_by(Lines()):
        found = reports.read(places, given["interval"])
        written = reports.write(found, page, **options)
        made = [written.page, *reports.beside(found, page)]
    if as_json:
        streams.out_json({"report": str(written.page), "bytes": written.size, "files": [str(path) for path in made]})
    else:
        where = f", its pictures in {written.beside}" if written.beside else ""
        streams.out(f"{written.page}: {written.size / 1e6:.2f} MB{where}")
        streams.out("beside it: " + ", ".join(str(path.relative_to(page.parent)) for path in made[1:]))
    if show and not watch:
        webbrowser.open(written.page.absolute().as_uri())
    if stopped:
        sys.exit(stopped[0])


def page_of(places: Sequence[Path], named: str | None) -> Path:
    """Where the page goes: as `-o` names it, else into the folder that it is of; of several, here.

    Raises SettingsProblem for a name that is none of a page, OtherStudyProblem for the place of the page of one of many, or of others.
    """
    page = (places[0] if len(places) == 1 else Path()) / reports.PAGE if named is None else expanded(named)
    if named is not None and (page.suffix != ".html" or not named.endswith(".html")):
        raise SettingsProblem(f"-o: '{named}' names no page; end it in .html, for example -o both.html")
    of_one = any((page.parent / file).is_file() for file in (store.STUDY, grid.PLAN))
    if page.name == reports.PAGE and of_one and [place.resolve() for place in places] != [page.parent.resolve()]:
        raise OtherStudyProblem(f"{page}: is the place for the page of {page.parent} alone; choose another -o")
    return page


def _watch(places: Sequence[Path], page: Path, interval: str, options: dict[str, Any], show: bool) -> None:
    """Writes the page again whenever a generation has landed, until all runs have ended or this one is stopped."""
    seen: object = None
    while True:
        found = reports.read(places, interval)
        now = [(one.state, one.done, one.failure) for one in found.statuses]
        if now != seen:
            over = all(one.state in ("done", "failed") for one in found.statuses)
            if over:
                return
            written = reports.write(found, page, live=True, **options)
            progress.say(f"{written.page}: {_progress(found)}; it loads itself again; Ctrl-C ends the watch, not the runs")
            if show and seen is None:
                webbrowser.open(written.page.absolute().as_uri())
            seen = now
        if all(one.state != "running" for one in found.statuses):
            progress.say_once("no process executes these runs at the moment; the watch waits for one, Ctrl-C ends it")
        time.sleep(LOOK)


def _progress(found: Findings) -> str:
    return f"{sum(one.done for one in found.statuses)} of {sum(one.run.study.gens for one in found.statuses)} generations"
