"""What `imgcollapse prune` does: takes weights and samples of finished runs from the disk that nothing needs any more."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcollapse import progress, store
from imgcollapse.ablation import ensemble, plan
from imgcollapse.ablation.grid import PLAN, SHARED
from imgcollapse.ablation.status import RunStatus, run_statuses
from imgcollapse.ablation.summary import named
from imgcollapse.errors import Problem, SettingsProblem, brief
from imgcollapse.gates import chains
from imgcollapse.metrics import METRICS
from imgcollapse.models import Likely
from imgcollapse.settings import build
from imgcollapse.store import history, pruned, run_folder
from imgcollapse.store.keep import Keep
from imgcollapse.store.layout import MODEL, SAMPLES, UNMARKED
from imgcollapse.store.manifest import made_by
from imgcollapse.store.pruned import Part, Rule
from imgcollapse.store.shared import SharedStore
from imgcollapse.study import Study

NAMES = {SAMPLES: "samples", UNMARKED: "samples before gates changed them", MODEL: "weights"}
FROM_NOW_ON = {
    SAMPLES: "no judge can judge these generations again, the page shows no pictures of them, and they cannot be exported",
    MODEL: "these generations cannot draw more, no run can begin with their weights (init), and they tell another judge no likelihoods",
}


@dataclass(frozen=True)
class Pruning:
    """What is to go, and what stays though the rules name it.

    entries: of the folder that the runs of an ablation share, which nothing holds any more
    stays:   why something stays; lines
    left:    runs that are left as they are, and why; lines
    room:    bytes that are free afterwards
    """

    folder: Path
    parts: Sequence[Part]
    entries: Sequence[Path]
    stays: Sequence[str]
    left: Sequence[str]
    room: int
    runs: Sequence[Path] = field(default=())

    def lines(self) -> list[str]:
        """In words."""
        found = [*self.left, *self.stays]
        if not self.parts and not self.entries:
            return [*found, "there is nothing to prune"]
        kinds = [part for part in NAMES if any(one.part == part for one in self.parts)]
        several = len(self.runs) > 1
        for part in kinds:
            own = [one for one in self.parts if one.part == part]
            of = f" in {len({one.run for one in own})} runs" if several else ""
            which = sorted({one.generation for one in own})
            found.append(f"{NAMES[part]} of generation{'s' * (len(which) > 1)} {pruned.ranges(which)}{of}")
        if self.entries:
            found.append(f"{len(self.entries)} entries of {self.folder / SHARED}: arms that are added later make those generations anew")
        return [*found, *(f"from now on {FROM_NOW_ON[part]}" for part in kinds if part in FROM_NOW_ON)]

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        parts = [{"run": str(one.run), "generation": one.generation, "part": one.part} for one in self.parts]
        told = {"stays": list(self.stays), "left": list(self.left)}
        return {"folder": str(self.folder), "parts": parts, "shared": [one.name for one in self.entries], "bytes": self.room, **told}


def rule(flag: str, text: str, words: Sequence[str]) -> Rule:
    """`last`, or `3`: as in `keep` of a study. Raises SettingsProblem for another word."""
    if text in words:
        return text
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise SettingsProblem(f"{flag}: {brief(text)} is no rule; use {', '.join(words)}, or K: those of every K-th generation, and the last")


def planned(folder: Path, models: str, samples: str) -> Pruning:
    """What is to go from a run or an ablation by these rules. Nothing is written.

    Raises SettingsProblem where there is nothing to keep by, the run is not finished, or it could not go on without what the rules drop.
    """
    rules: dict[str, Rule] = {
        MODEL: rule("--models", models, ("all", "last", "none")),
        SAMPLES: rule("--samples", samples, ("all", "last")),
    }
    if set(rules.values()) == {"all"}:
        raise SettingsProblem("prune: names nothing that should go; give --models last, for example, or --samples last")
    statuses = run_statuses(plan.runs_in(folder), checked=True)
    several = (folder / PLAN).is_file()
    parts, stays, left, runs = list[Part](), dict[str, None](), list[str](), list[Path]()
    for one in statuses:
        try:
            _refuse_unfinished(one)
            _refuse_needed(one.run.study, rules)
        except SettingsProblem as problem:
            if not several:
                raise
            left.append(f"{named(one.run.arm, one.run.null)}, seed {one.run.seed} is left as it is: {problem}")
            continue
        protected = _protected(one.run.study)
        runs.append(one.run.folder)
        for place in (one.run.folder, *(chain.folder for chain in plan.chains_in(one.run))):
            parts += pruned.to_go(place, rules, {part: generation for part, (generation, _) in protected.items()})
        stays |= {why: None for part, (_, why) in protected.items() if rules[part] != "all"}
    entries = _entries(folder, [one.run.folder for one in statuses], parts) if several else []
    freed = pruned.room([*(one.place for one in parts), *entries])
    return Pruning(folder, parts, entries, list(stays), left, freed, runs)


def execute(one: Pruning) -> None:
    """Removes it. Raises InUseProblem where a process writes the folder or one of its runs; the runs before it are pruned then."""
    by_run = defaultdict[Path, dict[int, list[str]]](lambda: defaultdict(list))
    for part in one.parts:
        by_run[part.run][part.generation].append(part.part)
    with _alone(one.folder):
        for run, generations in by_run.items():
            with run_folder.opened(run) as kept:
                for generation, parts in generations.items():
                    kept.throw_away(generation, *parts, how="pruned")
        for entry in one.entries:
            SharedStore(entry.parent).forget(entry.name)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    if not (folder / PLAN).is_file():
        yield
        return
    with plan.alone(folder):
        yield


def _refuse_unfinished(one: RunStatus) -> None:
    ensemble.refuse_part(one.run.study)
    if one.state != "done":
        done = f"{one.done} of {one.run.study.gens} generations, {one.state}"
        raise SettingsProblem(
            f"{one.run.folder}: is not finished ({done}); finish it first, or set keep.models and keep.samples of a study"
        )


def _refuse_needed(study: Study, rules: Mapping[str, Rule]) -> None:
    """Raises SettingsProblem where a run could not go on without what these rules drop."""
    keep = build(Keep, {"samples": rules[SAMPLES], "models": rules[MODEL]})
    try:
        keep.refuse(study.init, study.regime)
        if chains.is_union(study.ensemble) and study.ensemble is not None:
            study.ensemble.check(study.samples or study.ensemble.chains, study.regime.streams, keep.samples == "all")
    except SettingsProblem as problem:
        raise SettingsProblem(str(problem).replace("keep.", "--", 1)) from None
    if rules[MODEL] == "none" and (study.init == "previous" or study.regime.streams):
        why = "a stream draws from the newest model" if study.regime.streams else "init 'previous' begins with the newest weights"
        raise SettingsProblem(f"--models: {why}, so a longer run could not go on; set it to last")


def _protected(study: Study) -> dict[str, tuple[int, str]]:
    """Part -> a generation of which it stays whatever the rules say, and why."""
    found = dict[str, tuple[int, str]]()
    if study.gates:
        found[SAMPLES] = (0, "the samples of generation 0 stay: gates of later generations are made by them")
    measured = [METRICS[name].of for name in study.judge.metrics or ()] if study.judge.extractors else []
    if "model" in measured and isinstance(study.model, Likely):
        found[MODEL] = (0, "the weights of generation 0 stay: samples of later generations are judged by them (likelihoods)")
    return found


def _entries(folder: Path, runs: Sequence[Path], parts: Sequence[Part]) -> list[Path]:
    """The shared entries of which a run loses a part, and no run keeps that part."""
    shared, going = folder / SHARED, {(one.run, one.generation, one.part) for one in parts}
    lost, held = set[str](), set[str]()
    for run in runs:
        keys = {line["generation"]: str(line["key"]) for line in history.lines(run) if line.get("key")}
        for generation in store.numbers(run):
            for part in (SAMPLES, MODEL):
                names = {keys[generation]} if generation in keys else set()
                names |= {_weights(run, generation)} if part == MODEL else set()
                there = store.has(run, generation, part)
                gone = (run, generation, part) in going or not there
                (lost if gone else held).update(f"{part} {name}" for name in names)
    names = {one.partition(" ")[2] for one in lost - held}
    return [shared / name for name in sorted(names) if (shared / name).is_dir()]


def _weights(run: Path, generation: int) -> str:
    try:
        made = made_by(store.generation_folder(run, generation))
        return SharedStore.weights_key(made or {"model": {}})
    except Problem as problem:
        progress.say_once(f"{run}: {problem}")
        return ""
