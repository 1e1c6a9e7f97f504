"""`imgcollapse run`."""

import sys
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, store, track
from imgcollapse.ablation import ensemble, plan
from imgcollapse.ablation.summary import losses
from imgcollapse.cli import console
from imgcollapse.cli.common import checked, fetch_weights_of, machine_from, stoppable
from imgcollapse.errors import Problem, SettingsProblem
from imgcollapse.files.places import tried
from imgcollapse.machine import devices, processes, streams
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import assignment, build, expand, merge, read_file, to_yaml
from imgcollapse.study import DEFAULT_KINDS, Study


def run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse run`: `given` are the flags (None where not given), `assignments` those of --set.

    Where several processes were launched (`accelerate launch`), the first does it, and the others help it.
    """
    with devices.use(machine_from(given)), processes.together() as first, progress.watched_by(console.Lines()):
        if first:
            _run(given, assignments, dry_run=dry_run, as_json=as_json)


def _run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    checked(devices.current(), elsewhere=dry_run)
    beside = not dry_run and _judged_beside(given.get("judge_beside"))
    chosen = study_from(given, assignments)
    ensemble.refuse_part(chosen)
    track.known(given["track"])
    folder = given["out"] or Path("runs") / chosen.name()
    if dry_run:
        _show(chosen, folder, as_json)
        return
    tried(folder / store.STUDY)
    fetch_weights_of([chosen])
    with (
        console.watcher(chosen.gens) as watching,
        progress.watched_by(watching),
        stoppable() as stopped,
        track.tracking(given["track"], [folder]) as look,
    ):
        if there := _there(folder, chosen.gens):
            progress.say(f"{folder}: {there}")

        def landed(generation: int, scores: Scores) -> None:
            watching.landed(generation, scores)
            look()

        def of_chain(chain: int, generation: int, scores: Scores) -> None:
            progress.say(f"generation {generation}  {console.in_short(scores)}")  # its name stands before all lines of a chain

        ensemble.run(chosen, folder, landed, beside=beside, of_chain=of_chain)
    if stopped:
        _end_early(chosen, folder)
        sys.exit(stopped[0])
    _end(folder, as_json)


def _judged_beside(asked: bool | None) -> bool:
    """Whether generations are judged in a process beside the run. Raises SettingsProblem where that is asked for and cannot be."""
    if asked and devices.launched() > 1:
        raise SettingsProblem("--judge-beside: several processes have shared out this machine; leave it out, or launch one")
    return devices.current().has_room_beside() if asked is None else asked


def _end_early(chosen: Study, folder: Path) -> None:
    """Shows what there is of a run that was stopped, and says how much that is."""
    done = sum(generation < chosen.gens for generation in store.finished(folder)) if (folder / store.STUDY).exists() else 0
    if done:
        draw(folder)
    kept = f"{done} of {chosen.gens} generations are finished and kept in {folder}"
    streams.err(f"stopped; {kept}. To go on, run the same command again.")


def _end(folder: Path, as_json: bool) -> None:
    """Draws the run, and prints its scores."""
    pictures, page, findings = draw(folder)
    scores = store.scores(folder)
    lost = losses(scores, build(Study, read_file(folder / store.STUDY)))
    if as_json:
        drawn = [str(path) for path in pictures]
        record = {"run": str(folder), "scores": [one.record() for one in scores], "lost": lost, "pictures": drawn, "report": str(page.page)}
        streams.out_json(record)
        return
    out = console.out(110)
    names = store.classes(folder)
    judge = store.known_reference(folder)["judge"]
    for extractor, table in console.tables(scores, judge).items():
        out.print(table)
        if line := console.lost(lost.get(extractor, {}), names):
            streams.out(line)
    for line in (*reports.disagreements(findings.summary), "pictures:", *(f"  {path}" for path in pictures), f"  {folder}/grid_*.png"):
        streams.out(line)
    streams.out(f"report: {page.page} ({page.size / 1e6:.2f} MB)")


def draw(folder: Path) -> tuple[list[Path], reports.Written, reports.Findings]:
    """The run's pictures, its page, and what the page is about; those of its chains first, where it is an ensemble."""
    for chain in plan.chains_in(plan.run_at(folder)):
        draw(chain.folder)
    with progress.watched_by(console.Lines()):
        pictures, findings = reports.draw(folder), reports.read([folder])
        return pictures, reports.write(findings, folder / reports.PAGE, aside=True), findings


def _there(folder: Path, gens: int) -> str:
    """What of the run is there already, in words; empty where nothing is, and where it cannot be told."""
    try:
        there = store.finished(folder)
    except Problem:
        return ""
    beyond = sum(generation >= gens for generation in there)
    message = f"{len(there) - beyond} of {gens} generations are there; going on from here"
    return message + f" ({beyond} beyond them left as they are)" * bool(beyond) if there else ""


def _show(chosen: Study, folder: Path, as_json: bool) -> None:
    """What would be done, as settings that can be read back."""
    if as_json:
        streams.out_json({"run": str(folder), "study": chosen.model_dump(mode="json")})
        return
    lines = to_yaml(chosen).rstrip("\n").split("\n")
    if any(streams.shown(line, sys.stdout.encoding) != line for line in lines):
        lines = to_yaml(chosen, only_ascii=True).rstrip("\n").split("\n")  # YAML has escapes of its own
    for line in (f"# {folder}", *lines):
        streams.out(line)


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
