"""What `imgcollapse ablate` and `imgcollapse.ablate` do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, track
from imgcollapse.ablation import grid, plan, sequential, summary
from imgcollapse.ablation.engines import ENGINES, Engine, EngineConfiguration
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.status import RunStatus, account, as_record, run_statuses
from imgcollapse.ablation.summary import Record, Run
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import DivergedProblem, SettingsProblem, brief
from imgcollapse.files import ledger, to_json
from imgcollapse.files.places import tried
from imgcollapse.interface import bundled
from imgcollapse.interface.ablation_progress import AblationProgress
from imgcollapse.interface.common import checked, fetch_weights_of, layer, listed, machine_from, stoppable
from imgcollapse.interface.long import say_if_long_ablation
from imgcollapse.interface.several import read_several
from imgcollapse.machine import devices
from imgcollapse.settings import build, merge, nested, read_list
from imgcollapse.store import log

Axes = Sequence[str] | Mapping[str, Any]  # PATH=VALUE,VALUE each, as after --axis; or path -> values
AXES = {name: name for name in ("dataset", "model", "regime", "samples")} | {name: f"regime.{name}" for name in ("real_fraction", "pool")}


@dataclass(frozen=True)
class Asked:
    """What a call asks for, found fit for use.

    folder: of the ablation
    here:   the machine, which is that of the runs where the engine executes them here
    given:  the flags, of which those of the engine, `interval`, `retry` and `track` are still to be looked at
    """

    ablation: Ablation
    folder: Path
    here: devices.Machine
    given: Mapping[str, Any]

    @property
    def engine(self) -> Engine:
        """What executes the runs."""
        return ENGINES[self.given["engine"]]


@dataclass(frozen=True)
class Executed:
    """What came of it.

    after:   every run, and how far it is
    made:    the files that were made from them
    record:  the summary; empty before any scores
    stopped: the exit code, where it was stopped
    """

    after: list[RunStatus]
    made: list[Path]
    record: Record
    stopped: list[int]


def asked(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]], axes: Axes, elsewhere: bool = False) -> Asked:
    """`given` are the flags (None where not given), `changes` those of --set, `axes` those of --axis. `elsewhere`: nothing is executed.

    Raises SettingsProblem; nothing is written.
    """
    chosen = ablation_from(given, changes, axes)
    file = given["file"]
    folder = given["out"] or chosen.default_folder(file.stem if isinstance(file, Path) else "ablation")
    if given["engine"] not in ENGINES:
        raise SettingsProblem(f"--engine: '{given['engine']}' is unknown; there are: {', '.join(ENGINES)}")
    _options(given["engine_options"])
    track.known(given["track"])
    list(chosen.studies())  # every arm is read before torch is asked for the device
    here = checked(machine_from(given), elsewhere=elsewhere or not ENGINES[given["engine"]].here)
    return Asked(chosen, folder, here, given)


def execute(one: Asked) -> Executed:
    """Executes what is not done, on the machine in use, and sums up what is there."""
    chosen, folder, threads = one.ablation, one.folder, one.given["threads"]
    resources = Resources.of(one.here, threads, folder / grid.SHARED)
    jobs = jobs_of(one)
    configuration = EngineConfiguration(jobs=jobs, threads=threads, options=_options(one.given["engine_options"]))
    one.engine.execute([], configuration, lambda: None)  # before anything is written: can it be used, and does it know its options?
    tried(folder / grid.ABLATION)
    progress.say(f"{folder}: {len(list(chosen.studies()))} arms and null models; {jobs} runs at once, engine {one.given['engine']}")
    for line in fetch_weights_of([own for _, _, own in chosen.studies()]):  # before any worker starts, as nodes often have no network
        progress.say(f"{line}; going on without it")
    resolved = plan.resolve(chosen, folder)
    with plan.alone(folder):
        first = plan.runs_of(resolved, folder, chosen.seeds)
        if one.engine.here:
            say_if_long_ablation(first, jobs, threads)
        seeds, done = sequential.seeds_of(chosen, first), list[int]()
        while seeds != done:
            runs = plan.make(chosen, resolved, folder, resources, seeds)
            executed = _executed(one, runs, configuration)
            seeds, done = seeds if executed.stopped else sequential.seeds_of(chosen, first), seeds
    if executed.stopped:
        progress.say(f"stopped; what is finished is kept in {folder}. To go on, run the same command again.")
    return executed


def _executed(one: Asked, runs: Sequence[Run], configuration: EngineConfiguration) -> Executed:
    chosen, folder = one.ablation, one.folder
    before = run_statuses(runs, checked=True)
    todo = [run.run for run in before if run.state != "done" and not (diverged(run) and not one.given["retry"])]
    asked, there = sum(run.run.study.gens for run in before), sum(run.done for run in before)
    seeds = f" with {len({run.seed for run in runs})} seeds" if chosen.half_width is not None else ""
    progress.say(f"{folder}: {len(before)} runs{seeds} of {asked} generations; {there} generations are there")
    lines = AblationProgress(before, configuration.jobs)
    with stoppable() as stopped, log.kept(folder), track.tracking(one.given["track"], plan.in_order(runs)) as look:

        def news() -> None:
            lines()
            look()

        one.engine.execute(plan.in_order(todo), configuration, news)
    lines.end()
    after = run_statuses(runs, checked=True)
    return Executed(after, *finish(folder, chosen, runs, after, one.given["interval"]), stopped)


def ablation_from(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]], axes: Axes) -> Ablation:
    """The ablation that file and flags add up to: a flag with several values is an axis, one with a single value changes the base."""
    file = given.get("file")
    values = dict(file) if isinstance(file, Mapping) else bundled.ablation(file) if file else {}
    base, crossed = _mapping(values, "base"), _mapping(values, "axes")
    named = {name: _several(name, given[name]) for name in AXES if given.get(name) is not None}
    if ("real_fraction" in named or "pool" in named) and "regime" not in base and "regime" not in named:
        base["regime"] = {"kind": "retain"}
    for name, wanted in named.items():
        if len(wanted) == 1:
            base = merge(base, nested(AXES[name], wanted[0]))
    crossed |= _axes(axes, {name: wanted for name, wanted in named.items() if len(wanted) > 1})
    if given.get("gens") is not None:
        base["gens"] = given["gens"]
    if given.get("plugins"):
        base["plugins"] = [*listed(base, "plugins"), *given["plugins"]]
    if given.get("extractor") is not None:
        base = merge(base, {"judge": {"extractors": given["extractor"]}})
    for one in map(layer, changes):
        base = merge(base, one)
    over: dict[str, Any] = {"base": base, "axes": crossed}
    if given.get("seeds") is not None:
        over["seeds"] = _seeds(given["seeds"])
    if given.get("nulls") is not None:
        over["nulls"] = given["nulls"]
    return build(Ablation, {**values, **over})


def _several(name: str, value: Any) -> list[Any]:
    """The values of a flag: of a text those between its commas."""
    if isinstance(value, str):
        return read_several(name, value)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _seeds(text: Any) -> Any:
    """`3`, `0,7` or `auto:0.1` as a file has it."""
    if not isinstance(text, str) or text.startswith(grid.AUTO):
        return text
    wanted = read_list(text, "--seeds")
    return wanted if len(wanted) > 1 or "," in text else wanted[0]


def _mapping(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of the file that flags change; none where it is not there, or empty."""
    part = values.get(name)
    if part is not None and not isinstance(part, Mapping):
        raise SettingsProblem(f"{name}: {brief(part)} cannot be used; it should be a mapping, such as {{key: value}}")
    return dict(part or {})


def _axes(axes: Axes, flags: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The axes of --axis (or a mapping) and of flags with several values."""
    crossed = {AXES[name]: wanted for name, wanted in flags.items()}
    if isinstance(axes, Mapping):
        if twice := crossed.keys() & axes.keys():
            raise SettingsProblem(f"--axis: {brief(min(twice))} is given twice; name all its values at one place")
        return {**crossed, **{path: _several("axis", values) for path, values in axes.items()}}
    for text in axes:
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
        record = summed_up(chosen.question, findings, folder, after)
        ledger.put(folder, {grid.SUMMARY: to_json(record)})
        made = [folder / grid.CSV, folder / grid.SUMMARY, *reports.draw_ablation(folder, runs, record)]
    page = reports.write(findings, folder / reports.PAGE, aside=True)
    progress.say(f"report: {page.page} ({page.size / 1e6:.2f} MB)")
    return [page.page, *made], record


def summed_up(question: str, findings: reports.Findings, folder: Path, statuses: Sequence[RunStatus]) -> Record:
    """What is written to `summary.json`."""
    runs = [as_record(one, folder) for one in statuses]
    return {"question": question, **findings.summary, "account": account(statuses), "runs": runs}


def jobs_of(one: Asked) -> int:
    """How many runs at once; where nobody says it, not this machine's cores, but a cluster's places limit the other engines."""
    if one.given["jobs"]:
        return int(one.given["jobs"])
    if not one.engine.here:
        return len(list(one.ablation.studies())) * len(one.ablation.seeds)
    return max(1, devices.cores() // one.given["threads"]) if one.here.torch_device().type == "cpu" else 1


def diverged(one: RunStatus) -> bool:
    """Whether the run's network diverged: it would do so again."""
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
