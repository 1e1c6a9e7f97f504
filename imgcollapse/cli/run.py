"""`imgcollapse run`."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, store
from imgcollapse.ablation.summary import SCORES_CSV, losses
from imgcollapse.cli.variables import say_used
from imgcollapse.interface import console, planning, running
from imgcollapse.interface.common import machine_from
from imgcollapse.interface.until import Outcome
from imgcollapse.machine import devices, processes, streams
from imgcollapse.settings import build, read_file, to_yaml
from imgcollapse.study import Study, prepare


def run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse run`: `given` are the flags (None where not given), `assignments` those of --set.

    Where several processes were launched (`accelerate launch`), the first does it, and the others help it.
    """
    with devices.use(machine_from(given)), processes.together() as first, progress.watched_by(console.lines(given["log_json"])):
        if first:
            say_used()
            _run(given, assignments, dry_run=dry_run, as_json=as_json)


def _run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    one = running.asked(given, assignments, elsewhere=dry_run)
    if dry_run:
        _show(one, as_json)
        return
    executed = running.execute(one, partial(console.watcher, as_json=given["log_json"]))
    if executed.stopped:
        sys.exit(executed.stopped[0])
    _end(one.folder, executed.until, one.study.gens, as_json)


def _end(folder: Path, until: Outcome | None, gens: int, as_json: bool) -> None:
    """Draws the run, and prints its scores."""
    pictures, page, findings = running.draw(folder)
    scores = store.scores(folder)
    lost = losses(scores, build(Study, read_file(folder / store.STUDY)))
    if as_json:
        drawn = [str(path) for path in pictures]
        found = [one.record() for one in scores]
        record = {
            "run": str(folder),
            "scores": found,
            "lost": lost,
            **({"until": until.record()} if until else {}),
            "table": str(folder / SCORES_CSV),
            "pictures": drawn,
            "report": str(page.page),
        }
        streams.out_json(record)
        return
    out = console.out(110)
    names = store.classes(folder)
    judge = store.known_reference(folder)["judge"]
    for extractor, table in console.tables(scores, judge).items():
        out.print(table)
        if line := console.lost(lost.get(extractor, {}), names):
            streams.out(line)
    for line in (
        *([until.line(gens)] if until else []),
        *reports.disagreements(findings.summary),
        f"table: {folder / SCORES_CSV}",
        "pictures:",
        *(f"  {path}" for path in pictures),
        f"  {folder}/grid_*.png",
    ):
        streams.out(line)
    streams.out(f"report: {page.page} ({page.size / 1e6:.2f} MB)")


def _show(one: running.Asked, as_json: bool) -> None:
    """What would be done, as settings that can be read back; and then what it costs, which takes a look at data and a little work."""
    chosen, folder = one.study, one.folder
    planned = planning.of_study(chosen) if as_json or one.until else None  # what a condition can be on, a prepared study alone says
    if planned and planned.cost and one.until:
        one.until.check(prepare(chosen)[0])
    if as_json and planned:
        more = {"until": str(one.until)} if one.until else {}
        streams.out_json({"run": str(folder), "study": chosen.model_dump(mode="json"), **more, **planned.record()})
        return
    lines = to_yaml(chosen).rstrip("\n").split("\n")
    if any(streams.shown(line, sys.stdout.encoding) != line for line in lines):
        lines = to_yaml(chosen, only_ascii=True).rstrip("\n").split("\n")  # YAML has escapes of its own
    streams.out(f"# {folder}")

    def settings(found: Mapping[str, Any]) -> None:
        until = [f"# until {one.until}; what follows is for all {chosen.gens} generations"] if one.until else []
        for line in (*planning.with_chosen(lines, found), *until):
            streams.out(line)

    if planned:
        settings(planned.chosen)
    for line in (planned or planning.of_study(chosen, settings)).lines():
        streams.out(f"# {line}")
