"""What `imgcollapse run` and `imgcollapse.run` do."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, store, track
from imgcollapse.ablation import ensemble, plan, summary
from imgcollapse.errors import Problem, SettingsProblem
from imgcollapse.files.places import tried
from imgcollapse.images import World
from imgcollapse.interface import bundled
from imgcollapse.interface.common import checked, fetch_weights_of, layer, listed, stoppable
from imgcollapse.interface.console import Plain, in_short
from imgcollapse.interface.long import say_if_long
from imgcollapse.interface.until import FLAG, Outcome, Until, Watch
from imgcollapse.machine import devices
from imgcollapse.metrics.record import Scores
from imgcollapse.regimes import Real
from imgcollapse.settings import build, expand, merge
from imgcollapse.store import ended
from imgcollapse.study import DEFAULT_KINDS, Study, prepare

SPARED = 19  # times what it takes to write the table, until it is written again


@dataclass(frozen=True)
class Asked:
    """What a call asks for, found fit for use.

    folder:   of the run
    trackers: that are told of it
    beside:   whether generations are judged in a process beside the run
    until:    the condition that ends it before its last generation; None: it has none
    """

    study: Study
    folder: Path
    trackers: Sequence[str]
    beside: bool
    until: Until | None = None


@dataclass(frozen=True)
class Executed:
    """What came of it: the exit code, where it was stopped; of a condition, what came of that."""

    stopped: Sequence[int]
    until: Outcome | None


def asked(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]], elsewhere: bool = False) -> Asked:
    """`given` are the flags (None where not given), `changes` those of --set, or mappings. `elsewhere`: nothing is executed here.

    Raises SettingsProblem; nothing is written.
    """
    chosen = study_from(given, changes)
    ensemble.refuse_part(chosen)
    track.known(given["track"])
    until = None if given.get("until") is None else Until.of(given["until"])
    checked(devices.current(), elsewhere)  # last, for it asks torch, which takes seconds to import
    beside = not elsewhere and judged_beside(given.get("judge_beside"), until is not None)
    return Asked(chosen, given["out"] or Path("runs") / chosen.name(), given["track"], beside, until)


def execute(one: Asked, watcher: Callable[[int], Plain]) -> Executed:
    """Executes it, watched; where it was stopped, what is there is drawn, and said."""
    tried(one.folder / store.STUDY)
    fetch_weights_of([one.study])
    watching, watch = watcher(one.study.gens), None
    with (
        watching,
        progress.watched_by(watching),
        progress.beating(),
        stoppable() as stopped,
        track.tracking(one.trackers, [one.folder]) as look,
    ):
        progress.say(f"{one.folder}: {one.study.title()}, {one.study.gens} generations")
        table = _Table(one.folder)
        if there := _there(one.folder, one.study.gens):
            progress.say(f"{one.folder}: {there}")

        def landed(generation: int, scores: Scores) -> None:
            table.landed()
            watching.landed(generation, scores)
            look()

        def of_chain(chain: int, generation: int, scores: Scores) -> None:
            progress.say(f"generation {generation}  {in_short(scores)}")  # its name stands before all lines of a chain

        prepared = _prepared(one, len(store.finished(one.folder)) if there else 0)
        watch = None if one.until is None else Watch(one.until, prepared[0], one.folder)
        # the study with its choices made: of a world that has more points than were asked for at first, it would choose others
        ensemble.run(
            prepared[0], one.folder, landed, beside=one.beside, of_chain=of_chain, world=prepared[1], over=_over(one.folder, watch)
        )
    if stopped:
        _end_early(one.study, one.folder)
    return Executed(stopped, None if watch is None else watch.outcome)


def _over(folder: Path, watch: Watch | None) -> Callable[[int], bool]:
    """Whether a run ends at a generation; where it does, its folder keeps a word of that, and where it goes on, none."""

    def over(generation: int) -> bool:
        met = watch is not None and watch(generation)
        ended.note(folder, watch.outcome.record() if watch and met else None)
        return met

    return over


def _prepared(one: Asked, done: int) -> tuple[Study, World, Real]:
    """What `prepare` gives; what will be made of what is said, how it will be judged, and the time where it may be long.

    done: generations that are there
    """
    with progress.part("reading the data"):
        prepared = prepare(one.study)
    study, world, real = prepared
    judge = study.judge
    by = ", ".join(extractor.kind for extractor in judge.extractors or ())
    judged = f"judged by {by}, {judge.n:,} pictures compared" if by else "not judged"
    pictures = f"{len(real.seen):,} real pictures to learn from, {len(world.held_out):,} held out; every generation draws {study.drawn():,}"
    progress.say(f"{pictures}; {judged}")
    progress.whole(max(0, study.gens - done), say_if_long(prepared, done))
    return prepared


class _Table:
    """`scores.csv` of a run, written whole as generations land, in a twentieth of the time at most: of very many, not after every one."""

    def __init__(self, run: Path) -> None:
        self._run, self._next = run, 0.0

    def landed(self) -> None:
        """Writes it if it is time."""
        began = time.monotonic()
        if began >= self._next:
            _tabulate(self._run)
            self._next = time.monotonic() + SPARED * (time.monotonic() - began)


def _tabulate(run: Path) -> None:
    """Writes all scores that there are, as the rows of an ablation have them, to `scores.csv`."""
    summary.write_csv(summary.rows([plan.run_at(run)]), run / summary.SCORES_CSV)


def judged_beside(asked: bool | None, until: bool = False) -> bool:
    """Whether generations are judged in a process beside the run; never where a score decides whether the next one is made (`until`).

    Raises SettingsProblem where that is asked for and cannot be.
    """
    if until and asked:
        raise SettingsProblem(f"--judge-beside: with {FLAG} a generation is judged before the next one is made; leave one of them out")
    if until:
        return False
    if asked and devices.launched() > 1:
        raise SettingsProblem("--judge-beside: several processes have shared out this machine; leave it out, or launch one")
    return devices.current().has_room_beside() if asked is None else asked


def _end_early(chosen: Study, folder: Path) -> None:
    """Draws what there is of a run that was stopped, and says how much that is."""
    done = sum(generation < chosen.gens for generation in store.finished(folder)) if (folder / store.STUDY).exists() else 0
    if done:
        draw(folder)
    kept = f"{done} of {chosen.gens} generations are finished and kept in {folder}"
    progress.say(f"stopped; {kept}. To go on, run the same command again.")


def draw(folder: Path) -> tuple[list[Path], reports.Written, reports.Findings]:
    """The run's pictures, its page, and what the page is about, and its table; those of its chains first, where it is an ensemble."""
    for chain in plan.chains_in(plan.run_at(folder)):
        draw(chain.folder)
    _tabulate(folder)
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


def study_from(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]]) -> Study:
    """The study that flags, file and defaults add up to. Raises SettingsProblem."""
    values: dict[str, Any] = dict(DEFAULT_KINDS)
    config = given.get("config")
    named = dict(config) if isinstance(config, Mapping) else bundled.study(config) if config else {}
    flags = {name: given[name] for name in ("dataset", "model", "regime", "gens", "samples", "seed") if given.get(name) is not None}
    retained = {name: given[name] for name in ("real_fraction", "pool") if given.get(name) is not None}
    if retained:
        where = merge(merge(values, named), flags)["regime"]
        kind = expand(where)["kind"] if isinstance(where, (str, dict)) and "regime" in (named | flags) else "retain"  # type: ignore[index]
        flags["regime"] = {"kind": kind, **retained}
    if given.get("plugins"):
        flags["plugins"] = [*listed(named, "plugins"), *given["plugins"]]
    if given.get("extractor") is not None:
        flags["judge"] = {"extractors": given["extractor"]}
    for one in (named, flags, *map(layer, changes)):
        values = merge(values, one)
    return build(Study, values)
