"""`imgcollapse report`."""

import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from imgcollapse import progress, reports
from imgcollapse.ablation import plan
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface import console, reporting
from imgcollapse.interface.common import stoppable
from imgcollapse.interface.console import Lines
from imgcollapse.machine import streams
from imgcollapse.reports import Findings
from imgcollapse.reports.chosen import ChosenTable

LOOK = 2.0  # seconds between two looks at run folders


def make(places: tuple[Path, ...], given: dict[str, Any], *, watch: bool, show: bool, as_json: bool) -> None:
    """`imgcollapse report RUN_OR_ABLATION...`: `given` are `page`, `budget` (MB), `interval`, `latex`, `metrics`, `gens` and `arms`."""
    one = reporting.asked(places, given)
    if watch and one.of_many:
        raise SettingsProblem(f"--watch: {places[0]} is neither a run nor an ablation; {plan.name_them(plan.inside(places[0]))}")
    if one.latex and (watch or show):
        raise SettingsProblem(f"--latex: writes {one.page} and no page that could be watched or opened; leave --watch and --open out")
    with progress.watched_by(Lines()), stoppable() as stopped:
        reporting.claim(one)
        if watch:
            _watch(one, show)
    with console.watcher(None) as watching, progress.watched_by(watching):
        done = reporting.execute(one)
    if as_json:
        more = {"tables": [table.record() for table in done.tables]} if done.tables else {}
        files = [str(path) for path in done.files]
        streams.out_json({"report": str(done.written.page), "bytes": done.written.size, "files": files, **more})
    else:
        _say(one, done)
    if show and not watch:
        webbrowser.open(done.written.page.absolute().as_uri())
    if stopped:
        sys.exit(stopped[0])


def _say(one: reporting.Asked, done: reporting.Executed) -> None:
    written = done.written
    if one.choice and not one.latex:
        _print(done.tables)
    where = f", its pictures in {written.beside}" if written.beside else ""
    size = f"{len(done.tables)} table{'s' * (len(done.tables) > 1)}" if one.latex else f"{written.size / 1e6:.2f} MB"
    streams.out(f"{written.page}: {size}{where}")
    if beside := ", ".join(str(path.relative_to(one.page.parent)) for path in done.files[1:]):
        streams.out(f"beside it: {beside}")


def _print(tables: Sequence[ChosenTable]) -> None:
    out = console.out(140)
    for one in tables:
        streams.out(one.caption)
        table = Table()
        for place, heading in enumerate(one.headings):
            table.add_column(heading, justify="right" if place >= one.first else "left", overflow="fold")
        for row, after in zip(one.rows, [*one.rows[1:], None], strict=True):
            table.add_row(*row.cells, end_section=bool(after and after.apart))
        out.print(table)


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
