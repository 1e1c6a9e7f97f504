"""`imgcollapse run`."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from imgcollapse import console, machine, processes, progress, report, store, study, track
from imgcollapse.commands.common import machine_from, stoppable
from imgcollapse.files import read_json
from imgcollapse.metrics.scores import title
from imgcollapse.settings import assignment, build, expand, merge, read_file, to_yaml
from imgcollapse.study import DEFAULT_KINDS, Study
from imgcollapse.summary import losses
from imgcollapse.watch import Aloud


def run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse run`: `given` are the flags (None where not given), `assignments` those of --set.

    Where several processes were launched (`accelerate launch`), the first does it, and the others help it.
    """
    with machine.use(machine_from(given)), processes.together() as first:
        if first:
            _run(given, assignments, dry_run=dry_run, as_json=as_json)


def _run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    chosen = study_from(given, assignments)
    track.known(given["track"])
    folder = given["out"] or Path("runs") / chosen.name()
    if dry_run:
        click.echo(
            json.dumps({"run": str(folder), "study": chosen.model_dump(mode="json")})
            if as_json
            else f"# {folder}\n{to_yaml(chosen)}".rstrip()
        )
        return
    there = len(store.finished(folder)) if (folder / store.STUDY).is_file() else 0
    with (
        machine.use(machine_from(given)),
        console.watcher(chosen.gens) as watching,
        progress.watched_by(watching),
        stoppable() as stopped,
        track.tracking(given["track"], [folder]) as look,
    ):
        if there:
            progress.say(f"{folder}: {there} of {chosen.gens} generations are there; going on from here")

        def landed(generation: int, scores: dict[str, Any]) -> None:
            watching.landed(generation, scores)
            look()

        study.run(chosen, folder, landed)
    if stopped:
        done = len(store.finished(folder)) if (folder / store.STUDY).exists() else 0
        if done:
            _draw(folder)
        click.echo(
            f"stopped; {done} of {chosen.gens} generations are finished and kept in {folder}. To go on, run the same command again.",
            err=True,
        )
        sys.exit(stopped[0])
    pictures, page = _draw(folder)
    scores = store.scores(folder)
    lost = losses(scores)
    if as_json:
        drawn = [str(path) for path in pictures]
        record = {"run": str(folder), "scores": scores, "lost": lost, "pictures": drawn, "report": str(page.page)}
        click.echo(json.dumps(record))
        return
    out = Console(width=None if sys.stdout.isatty() else 110)
    names = read_json(folder / store.REFERENCE)["data"]["classes"]
    tables = console.tables(scores, lambda name, extractor: title(name, extractor, short=True))
    for extractor, table in zip(scores[0]["extractors"], tables, strict=True):
        out.print(table)
        if line := console.lost(lost[extractor], names):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(
        "pictures:",
        *(str(path) for path in pictures),
        f"{folder}/gen_*/{store.GRID}",
        sep="\n  ",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    click.echo(f"report: {page.page} ({page.size / 1e6:.2f} MB)")


def _draw(folder: Path) -> tuple[list[Path], report.Written]:
    """The run's pictures, and its page."""
    with progress.watched_by(Aloud()):
        return report.draw(folder), report.write(report.read([folder]), folder / report.PAGE, aside=True)


def study_from(given: dict[str, Any], assignments: tuple[str, ...]) -> Study:
    """The study that flags, environment, file and defaults add up to. Raises SettingsProblem."""
    values: dict[str, Any] = dict(DEFAULT_KINDS)
    named = read_file(given["config"]) if given.get("config") else {}
    flags = {name: given[name] for name in ("dataset", "model", "regime", "gens", "samples", "seed") if given.get(name) is not None}
    retained = {name: given[name] for name in ("real_fraction", "pool") if given.get(name) is not None}
    if retained:
        where = merge(merge(values, named), flags)["regime"]
        kind = expand(where)["kind"] if isinstance(where, (str, dict)) and "regime" in (named | flags) else "retain"  # type: ignore[index]
        flags["regime"] = {"kind": kind, **retained}
    if given.get("extractor") is not None:
        flags["judge"] = {"extractors": given["extractor"]}
    for layer in (named, flags, *(assignment(text) for text in assignments)):
        values = merge(values, layer)
    return build(Study, values)
