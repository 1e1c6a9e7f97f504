"""`imgcollapse ablate`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from imgcollapse import progress, reports, track
from imgcollapse.ablation import grid, plan, sequential, summary
from imgcollapse.ablation.engines import ENGINES, Engine, EngineConfiguration
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.status import RunStatus, account, as_record, run_statuses
from imgcollapse.ablation.summary import Record, Run, named
from imgcollapse.ablation.worker import Resources
from imgcollapse.cli import console
from imgcollapse.cli.ablation_progress import AblationProgress, account_line
from imgcollapse.cli.common import checked, fetch_weights_of, machine_from, stoppable
from imgcollapse.cli.several import read_several
from imgcollapse.errors import DivergedProblem, SettingsProblem, brief
from imgcollapse.files import ledger, to_json
from imgcollapse.files.places import tried
from imgcollapse.judges.titles import source_title
from imgcollapse.machine import devices, streams
from imgcollapse.settings import assignment, build, merge, nested, read_file, read_list

SOME_FAILED = 7
AXES = {name: name for name in ("dataset", "model", "regime", "samples")} | {name: f"regime.{name}" for name in ("real_fraction", "pool")}


def ablate(given: dict[str, Any], assignments: tuple[str, ...], axes: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse ablate [FILE]`: `given` are the flags (None where not given), `axes` those of --axis."""
    chosen = ablation_from(given, assignments, axes)
    folder = given["out"] or chosen.default_folder(given["file"].stem if given["file"] else "ablation")
    threads = given["threads"]
    if given["engine"] not in ENGINES:
        raise SettingsProblem(f"--engine: '{given['engine']}' is unknown; there are: {', '.join(ENGINES)}")
    engine = ENGINES[given["engine"]]
    here = checked(machine_from(given), elsewhere=dry_run or not engine.here)
    options = _options(given["engine_options"])
    track.known(given["track"])
    with devices.use(here), progress.watched_by(console.Lines()):
        resources = Resources.of(here, threads, folder / grid.SHARED)
        if dry_run:
            _show_plan(chosen, folder, as_json)
            return
        configuration = EngineConfiguration(jobs=given["jobs"] or _jobs(chosen, engine, here, threads), threads=threads, options=options)
        engine.execute([], configuration, lambda: None)  # before anything is written: can it be used, and does it know its options?
        tried(folder / grid.ABLATION)
        for line in fetch_weights_of([own for _, _, own in chosen.studies()]):  # before any worker starts, as nodes often have no network
            streams.err(f"{line}; going on without it")
        resolved = plan.resolve(chosen, folder)
        with plan.alone(folder):
            first = plan.runs_of(resolved, folder, chosen.seeds)
            seeds, done = sequential.seeds_of(chosen, first), list[int]()
            while seeds != done:
                runs = plan.make(chosen, resolved, folder, resources, seeds)
                after, made, record, stopped = _executed(chosen, runs, folder, configuration, given)
                seeds, done = seeds if stopped else sequential.seeds_of(chosen, first), seeds
    if stopped:
        streams.err(f"stopped; what is finished is kept in {folder}. To go on, run the same command again.")
        sys.exit(stopped[0])
    if as_json:
        streams.out_json({"ablation": str(folder), "files": [str(path) for path in made], "account": account(after)})
    else:
        _print_end(after, made, record)
    if any(one.state != "done" for one in after):
        sys.exit(SOME_FAILED)


def _executed(
    chosen: Ablation, runs: Sequence[Run], folder: Path, configuration: EngineConfiguration, given: dict[str, Any]
) -> tuple[list[RunStatus], list[Path], Record, list[int]]:
    """Executes what is not done, and sums up what is there: statuses, files, summary, and the exit code where it was stopped."""
    before = run_statuses(runs, checked=True)
    todo = [one.run for one in before if one.state != "done" and not (_diverged(one) and not given["retry"])]
    asked, there = sum(one.run.study.gens for one in before), sum(one.done for one in before)
    seeds = f" with {len({run.seed for run in runs})} seeds" if chosen.half_width is not None else ""
    streams.err(f"{folder}: {len(before)} runs{seeds} of {asked} generations; {there} generations are there")
    lines = AblationProgress(before, configuration.jobs)
    with stoppable() as stopped, track.tracking(given["track"], plan.in_order(runs)) as look:

        def news() -> None:
            lines()
            look()

        ENGINES[given["engine"]].execute(plan.in_order(todo), configuration, news)
    lines.end()
    after = run_statuses(runs, checked=True)
    return after, *finish(folder, chosen, runs, after, given["interval"]), stopped


def ablation_from(given: dict[str, Any], assignments: Sequence[str], axes: Sequence[str]) -> Ablation:
    """The ablation that file and flags add up to: a flag with several values is an axis, one with a single value changes the base."""
    values = read_file(given["file"]) if given.get("file") else {}
    base, crossed = _mapping(values, "base"), _mapping(values, "axes")
    named = {name: read_several(name, given[name]) for name in AXES if given.get(name) is not None}
    if ("real_fraction" in named or "pool" in named) and "regime" not in base and "regime" not in named:
        base["regime"] = {"kind": "retain"}
    for name, wanted in named.items():
        if len(wanted) == 1:
            base = merge(base, nested(AXES[name], wanted[0]))
    crossed |= _axes(axes, {name: wanted for name, wanted in named.items() if len(wanted) > 1})
    if given.get("gens") is not None:
        base["gens"] = given["gens"]
    if given.get("extractor") is not None:
        base = merge(base, {"judge": {"extractors": given["extractor"]}})
    for text in assignments:
        base = merge(base, assignment(text))
    layer: dict[str, Any] = {"base": base, "axes": crossed}
    if given.get("seeds") is not None:
        layer["seeds"] = _seeds(given["seeds"])
    if given.get("nulls") is not None:
        layer["nulls"] = given["nulls"]
    return build(Ablation, {**values, **layer})


def _seeds(text: str) -> Any:
    """`3`, `0,7` or `auto:0.1` as a file has it."""
    if text.startswith(grid.AUTO):
        return text
    wanted = read_list(text, "--seeds")
    return wanted if len(wanted) > 1 or "," in text else wanted[0]


def _mapping(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of the file that flags change; none where it is not there, or empty."""
    part = values.get(name)
    if part is not None and not isinstance(part, dict):
        raise SettingsProblem(f"{name}: {brief(part)} cannot be used; it should be a mapping, such as {{key: value}}")
    return dict(part or {})


def _axes(texts: Sequence[str], flags: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The axes of --axis and of flags with several values."""
    crossed = {AXES[name]: wanted for name, wanted in flags.items()}
    for text in texts:
        path, equals, several = text.partition("=")
        if not equals or not path.strip():
            raise SettingsProblem(f"--axis: {brief(text)} is not PATH=VALUE,VALUE,...; write for example --axis model.steps=300,600")
        if path.strip() in crossed:
            raise SettingsProblem(f"--axis: {brief(path.strip())} is given twice; name all its values at one place")
        crossed[path.strip()] = read_list(several, "--axis")
    return crossed


def finish(folder: Path, chosen: Ablation, runs: Sequence[Run], after: Sequence[RunStatus], method: str) -> tuple[list[Path], Record]:
    """Writes page, tidy table, summary and figures of what is there; returns the files, and the summary (empty before any scores)."""
    if not any(one.done for one in after):
        return [], {}
    findings = reports.read([folder], method)
    made, record = list[Path](), Record()
    if findings.rows:
        summary.write_csv(findings.rows, folder / grid.CSV)
        record = {
            "question": chosen.question,
            **findings.summary,
            "account": account(after),
            "runs": [as_record(one, folder) for one in after],
        }
        ledger.put(folder, {grid.SUMMARY: to_json(record)})
        made = [folder / grid.CSV, folder / grid.SUMMARY, *reports.draw_ablation(folder, runs, record)]
    page = reports.write(findings, folder / reports.PAGE, aside=True)
    streams.err(f"report: {page.page} ({page.size / 1e6:.2f} MB)")
    return [page.page, *made], record


def _print_end(after: Sequence[RunStatus], made: Sequence[Path], record: Record) -> None:
    out = console.out(140)
    if record:
        for extractor, (headings, *lines) in summary.table_lines(record).items():
            table = Table(title=f"{source_title(extractor)}; {record['method'].partition(';')[0]}", title_justify="left")
            for heading in headings:
                table.add_column(heading, overflow="fold")
            for line in lines:
                table.add_row(*line)
            out.print(table)
        for message in (*summary.headline(record), *summary.rate_lines(record), *reports.disagreements(record)):
            out.print(message)
    streams.out(account_line(after))
    for one in after:
        if one.failure is not None:
            where = f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}, generation {one.failure['generation']}"
            streams.out(f"failed: {where}: {one.failure['message']}")
    if any(_diverged(one) for one in after):
        streams.out("runs that diverged would do so again and are not tried again, unless with --retry")
    for path in ("written:", *(f"  {path}" for path in made)) if made else ():
        streams.out(path)


def _show_plan(chosen: Ablation, folder: Path, as_json: bool) -> None:
    arms = list(chosen.studies())
    if as_json:
        seeds = list(chosen.seeds)
        records = [{"arm": arm, "null": null, "study": own.model_dump(mode="json"), "seeds": seeds} for arm, null, own in arms]
        streams.out_json({"ablation": str(folder), "arms": records})
        return
    streams.out(f"# {folder}")
    for arm, null, own in arms:
        streams.out(f"{named(arm, null)}: {own.title().rpartition(', seed')[0]}; seeds {', '.join(map(str, chosen.seeds))}")
    streams.out(f"{len(arms) * len(chosen.seeds)} runs")


def _jobs(chosen: Ablation, engine: Engine, here: devices.Machine, threads: int) -> int:
    """How many runs at once where nobody says it: not this machine's cores, but a cluster's places limit the other engines."""
    if not engine.here:
        return len(list(chosen.studies())) * len(chosen.seeds)
    return max(1, devices.cores() // threads) if here.torch_device().type == "cpu" else 1


def _diverged(one: RunStatus) -> bool:
    return one.failure is not None and one.failure["exit_code"] == DivergedProblem.exit_code


def _options(given: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, equals, value in (text.partition("=") for text in given):
        if not equals or not key.strip():
            raise SettingsProblem(f"--engine-option: {brief(key)} is not KEY=VALUE; write for example --engine-option partition=gpu")
        if key.strip() in options:
            raise SettingsProblem(f"--engine-option: {brief(key.strip())} is given twice; keep one of the two")
        options[key.strip()] = value
    return options
