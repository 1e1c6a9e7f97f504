"""`imgcollapse report`."""

import sys
import time
import webbrowser
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports
from imgcollapse.ablation import plan
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface import reporting
from imgcollapse.interface.common import stoppable
from imgcollapse.interface.console import Lines
from imgcollapse.machine import streams
from imgcollapse.reports import Findings

LOOK = 2.0  # seconds between two looks at run folders


def make(places: tuple[Path, ...], given: dict[str, Any], *, watch: bool, show: bool, as_json: bool) -> None:
    """`imgcollapse report RUN_OR_ABLATION...`: `given` are `page`, `budget` (MB) and `interval`."""
    one = reporting.asked(places, given["page"], given["budget"], given["interval"])
    if watch and one.of_many:
        raise SettingsProblem(f"--watch: {places[0]} is no run and no ablation; {plan.name_them(plan.inside(places[0]))}")
    with progress.watched_by(Lines()), stoppable() as stopped:
        reporting.claim(one)
        if watch:
            _watch(one, show)
    with progress.watched_by(Lines()):
        written, made = reporting.execute(one)
    if as_json:
        streams.out_json({"report": str(written.page), "bytes": written.size, "files": [str(path) for path in made]})
    else:
        where = f", its pictures in {written.beside}" if written.beside else ""
        streams.out(f"{written.page}: {written.size / 1e6:.2f} MB{where}")
        if beside := ", ".join(str(path.relative_to(one.page.parent)) for path in made[1:]):
            streams.out(f"beside it: {beside}")
    if show and not watch:
        webbrowser.open(written.page.absolute().as_uri())
    if stopped:
        sys.exit(stopped[0])


def _watch(one: reporting.Asked, show: bool) -> None:
    """Writes the page again whenever a generation has landed, until all runs have ended or this one is stopped."""
    seen: object = None
    while True:
        found = reports.read(one.places, one.interval)
        now = [(run.state, run.done, run.failure) for run in found.statuses]
        if now != seen:
            over = all(run.state in ("done", "failed") for run in found.statuses)
            if over:
                return
            written = reports.write(found, one.page, live=True, **one.options)
            progress.say(f"{written.page}: {_progress(found)}; it loads itself again; Ctrl-C ends the watch, not the runs")
            if show and seen is None:
                webbrowser.open(written.page.absolute().as_uri())
            seen = now
        if all(run.state != "running" for run in found.statuses):
            progress.say_once("no process executes these runs at the moment; the watch waits for one, Ctrl-C ends it")
        time.sleep(LOOK)


def _progress(found: Findings) -> str:
    return f"{sum(one.done for one in found.statuses)} of {sum(one.run.study.gens for one in found.statuses)} generations"
