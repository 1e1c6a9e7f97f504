"""`imgcollapse report`."""

import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgcollapse import progress, report, streams
from imgcollapse.commands.common import stoppable
from imgcollapse.files import tried
from imgcollapse.report import Findings
from imgcollapse.watch import Aloud

LOOK = 2.0  # seconds between two looks at run folders


def make(places: tuple[Path, ...], given: dict[str, Any], *, watch: bool, show: bool, as_json: bool) -> None:
    """`imgcollapse report RUN_OR_ABLATION...`: `given` are `page`, `budget` (MB) and `interval`."""
    page = given["page"] or (places[0] if len(places) == 1 else Path()) / report.PAGE
    tried(page, "choose another -o")
    options = {"budget": given["budget"] * 1e6}
    with progress.watched_by(Aloud()), stoppable() as stopped:
        if watch:
            _watch(places, page, given["interval"], options, show)
    found = report.read(places, given["interval"])
    written = report.write(found, page, **options)
    made = [written.page, *report.beside(found, page.parent)]
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


def _watch(places: Sequence[Path], page: Path, interval: str, options: dict[str, Any], show: bool) -> None:
    """Writes the page again whenever a generation has landed, until all runs have ended or this one is stopped."""
    seen: object = None
    while True:
        found = report.read(places, interval)
        now = [(one.state, one.done, one.failure) for one in found.standings]
        if now != seen:
            over = all(one.state in ("done", "failed") for one in found.standings)
            if over:
                return
            written = report.write(found, page, live=True, **options)
            progress.say(f"{written.page}: {_progress(found)}; it loads itself again; Ctrl-C ends the watch, not the runs")
            if show and seen is None:
                webbrowser.open(written.page.absolute().as_uri())
            seen = now
        time.sleep(LOOK)


def _progress(found: Findings) -> str:
    return f"{sum(one.done for one in found.standings)} of {sum(one.run.study.gens for one in found.standings)} generations"
