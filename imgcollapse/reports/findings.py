"""What a report is about: runs and ablations, read from their folders alone, half-finished ones too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.ablation import plan, status, summary
from imgcollapse.ablation.endpoint import NOTHING_ASKED, Asked
from imgcollapse.ablation.grid import ABLATION, CSV, PLAN, Ablation
from imgcollapse.ablation.status import RunStatus
from imgcollapse.ablation.summary import Record, Run
from imgcollapse.errors import SettingsProblem
from imgcollapse.files import to_json
from imgcollapse.judges.titles import neighbours
from imgcollapse.reports import thin
from imgcollapse.settings import build, read_file


@dataclass(frozen=True)
class Findings:
    """All that pages and figures are made of.

    places:    the folders that were asked for
    question:  what was to be found out, in one sentence
    runs:      every run, null models too; two runs of one arm and seed never stand here
    statuses: how far each of them is
    summary:   what `imgcollapse.ablation.summary.summarise` says of them; without arms where no generation has been judged yet
    rows:      the tidy table of all scores, see `imgcollapse.ablation.summary.rows`
    references:    each run's record of data and judge (`reference.json`), of those that have begun
    """

    places: tuple[Path, ...]
    question: str
    runs: tuple[Run, ...]
    statuses: tuple[RunStatus, ...]
    summary: Record
    rows: tuple[Record, ...]
    references: dict[Path, dict[str, Any]]

    @property
    def comparable(self) -> bool:
        """Whether all runs were judged by one reference: the same data, N, k and extractors. (The data of toy worlds follow the seed.)"""
        seeds = {run.folder: run.seed for run in self.runs}
        by_seed = {(seeds[folder], to_json(_unmeasured(reference))) for folder, reference in self.references.items()}
        references = [(one["data"]["name"], _unmeasured(one)["judge"]) for one in self.references.values()]
        names = {(name, judge["n"], neighbours(judge), *judge["extractors"]) for name, judge in references}
        return len(by_seed) == len({seed for seed, _ in by_seed}) and len(names) <= 1

    @property
    def judges(self) -> list[Record]:
        """The record of each run's judge, of those that have begun."""
        return [reference["judge"] for reference in self.references.values()]

    @property
    def extractor(self) -> str:
        """The first extractor that judged; empty where none did."""
        return next(iter(self.extractors), "")

    @property
    def endpoint_extractor(self) -> str:
        """The one by whose features the endpoint is; empty where nothing was measured."""
        return "" if self.summary["endpoint"] is None else str(self.summary["endpoint"]["extractor"])

    @property
    def extractors(self) -> list[str]:
        """All extractors that judged, in order."""
        return list(dict.fromkeys(name for arm in self.summary["arms"] for name in arm["extractors"]))

    @property
    def arms(self) -> dict[str, list[Run]]:
        """Name of each arm -> its runs, one a seed; null models aside."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            if run.null is None:
                found.setdefault(run.arm, []).append(run)
        return found

    def there(self, run: Run) -> list[int]:
        """The generations of one of the runs that are finished and fit, in order; looked for once."""
        return self._there[run.folder]

    @cached_property
    def _there(self) -> dict[Path, list[int]]:
        return {run.folder: there(run) for run in self.runs}

    @cached_property
    def stops(self) -> list[int]:
        """The generations that a page shows one after the other: all, or of very many some of those that were judged."""
        last = max((generation for there in self._there.values() for generation in there), default=0)
        if last < thin.STOPS:
            return list(range(last + 1))
        judged = {row["generation"] for row in self.rows} | {0, last}
        return thin.evenly(judged if len(judged) > 2 else range(last + 1), thin.STOPS)

    @property
    def all_numbers(self) -> str:
        """Where the numbers lie that a page of very many generations has no room for."""
        folders = [place.resolve().name for place in self.places]
        several = len(folders) > 1
        there = [CSV if _is_ablation(place) else f"{store.SCORES}/" for place in self.places]
        return " and ".join(f"{folder}/{file}" if several else file for folder, file in zip(folders, there, strict=True))

    @property
    def is_ablation(self) -> bool:
        """Whether there is anything to compare: more than one arm."""
        return len(self.arms) > 1


def read(places: Sequence[Path], method: str = "t") -> Findings:
    """The findings of these run folders and ablations together; `method` is how intervals are made.

    Runs that differ in their seed alone are one arm. Raises SettingsProblem for a folder that is neither, or that is named twice, and the
    Problems of `imgcollapse.store` for damaged records.
    """
    if len({place.resolve() for place in places}) < len(places):
        raise SettingsProblem("report: a folder is named twice; name each run or ablation once")
    parts = [_read_one(place) for place in places]
    several = len(parts) > 1
    runs: list[Run] = []
    for place, (_, _, own, _) in zip(places, parts, strict=True):
        grid = _is_ablation(place)
        runs += [replace(run, arm=f"{place.resolve().name}: {run.arm}") if several and grid else run for run in own]
    runs = _told_apart(runs)
    rows = summary.rows(runs)
    question, reference_arm, _, asked = parts[0] if not several else ("How do these runs compare?", None, None, NOTHING_ASKED)
    references = {run.folder: record for run in runs if (record := store.reference(run.folder)) is not None}
    return Findings(
        places=tuple(places),
        question=question,
        runs=tuple(runs),
        statuses=tuple(status.run_statuses(runs, checked=True)),
        summary=summary.summarise(runs, rows, reference_arm, method, asked),
        rows=tuple(rows),
        references=references,
    )


def there(run: Run) -> list[int]:
    """The generations that are finished and fit, in order; none where the run has not begun."""
    return store.sound(run.folder) if (run.folder / store.STUDY).is_file() else []


def sessions(findings: Findings) -> list[list[dict[str, Any]]]:
    """What each run that has begun was made with (`environment.json`), session by session."""
    found = [store.sessions(run.folder) for run in findings.runs]
    return [of_run for of_run in found if of_run]


def _unmeasured(reference: Record) -> Record:
    """A run's record of data and its own judge without what was measured, and without how many its generations draw: what follows from
    the rest."""
    judge = {name: value for name, value in reference["judge"].items() if name not in ("drawn", "models", "gates")}
    judge["extractors"] = {name: {**about, "real": None} for name, about in judge["extractors"].items() if "judge" not in about}
    return {**reference, "judge": judge}


def _is_ablation(place: Path) -> bool:
    return (place / PLAN).is_file()


def _read_one(place: Path) -> tuple[str, str | None, list[Run], Asked]:
    """Question, reference arm, runs and endpoint of one folder."""
    runs = plan.runs_in(place)
    if (place / store.STUDY).is_file():
        return f"Does a chain of {runs[0].study.gens} generations collapse? {runs[0].arm}", None, runs, NOTHING_ASKED
    chosen = build(Ablation, read_file(place / ABLATION))
    question = chosen.question or f"Do the arms of {place.resolve().name} differ?"
    return question, chosen.reference, runs, replace(plan.asked(place), rivals=chosen.rivals())


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """The same runs; where one name would stand for studies that differ in more than the seed, or for a seed twice, the folder is added.

    Where that leaves two alike, its whole path.
    """
    named = list(runs)
    for place in (lambda folder: folder.name, str):
        mixed = _mixed(named)
        names = [f"{run.arm} ({place(run.folder.resolve())})" for run in runs]
        named = [replace(run, arm=arm) if (run.arm, run.null) in mixed else run for run, arm in zip(named, names, strict=True)]
    return named


def _mixed(runs: Sequence[Run]) -> set[tuple[str, str | None]]:
    """The names that stand for more than one study, or for a seed twice."""
    by_arm: dict[tuple[str, str | None], list[Run]] = {}
    for run in runs:
        by_arm.setdefault((run.arm, run.null), []).append(run)
    mixed = set()
    for name, same in by_arm.items():
        studies = {one.study.model_copy(update={"seed": 0}).model_dump_json() for one in same}
        if len(studies) > 1 or len({one.seed for one in same}) < len(same):
            mixed.add(name)
    return mixed
