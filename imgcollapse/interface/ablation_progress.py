"""An ablation on a terminal or in a log file, while it works and at its end."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgcollapse import progress, store
from imgcollapse.ablation import status, worker
from imgcollapse.ablation.status import RunStatus
from imgcollapse.ablation.summary import named
from imgcollapse.interface import console
from imgcollapse.progress.telling import STILL
from imgcollapse.store import history, log

SHOWN = 3  # runs of which a line says what they are at


class AblationProgress:
    """Prints generations as they land, whoever makes them, by looking into the run folders."""

    def __init__(self, before: Sequence[RunStatus], jobs: int) -> None:
        self.now, self.jobs = {one.run.folder: one for one in before}, jobs
        self.read = {folder: history.size(folder) for folder in self.now}
        self.waiting: dict[Path, list[dict[str, Any]]] = {folder: [] for folder in self.now}  # made, and still being judged
        self.reported = {one.run.folder: one.failure["when"] for one in before if one.failure is not None}
        self.asked = sum(one.run.study.gens for one in before)
        self.last = 0.0

    def __call__(self) -> None:
        """Prints a line for every generation and failure that is new."""
        if time.monotonic() - self.last < 0.5:
            return
        self.last = time.monotonic()
        landed = {folder: self._landed(folder) for folder in self.now}
        for folder, new in landed.items():
            run = self.now[folder].run
            who = f"{named(run.arm, run.null)}, seed {run.seed}"
            for line in new:
                scores = store.scores_of(run.folder, line["generation"])
                how = "shared" if line["how"] == "shared" else console.duration(line["seconds"])
                progress.say(
                    f"{self._count()}  {who}: generation {line['generation']}  {console.in_short(scores)}  ({how})",
                    **self._facts("generation", run),
                    generation=line["generation"],
                    how=line["how"],
                    seconds=line["seconds"],
                    scores=console.plainly(scores),
                )
            failure = worker.read_failure(run.folder)
            if failure is not None and self.reported.get(run.folder) != failure["when"]:
                self.reported[run.folder] = failure["when"]
                self.now[folder] = replace(self.now[folder], state="failed", failure=failure)
                told = f"{who}: FAILED in generation {failure['generation']}: {failure['message']}"
                progress.say(told, **self._facts("failed", run), **failure)
        if progress.silent_for() >= STILL:
            self._tell_of_work()

    def _tell_of_work(self) -> None:
        """Prints what the first few runs that are being worked on are at, by their logs."""
        busy = [one.run for folder, one in self.now.items() if one.state != "done" and store.in_use(folder)]
        of_each = [f"{named(run.arm, run.null)}, seed {run.seed}: {log.last(run.folder) or 'begun'}" for run in busy]
        shown = "; ".join(of_each[:SHOWN]) + (f"; and {len(busy) - SHOWN} more" if len(busy) > SHOWN else "")
        progress.say(f"{self._count()}  at work: {shown or 'nothing yet'}", event="work", runs=of_each, **self._left())

    def _facts(self, event: str, run: Any) -> dict[str, Any]:
        return {"event": event, "run": str(run.folder), "arm": run.arm, "null": run.null, "seed": run.seed, **self._left()}

    def _left(self) -> dict[str, Any]:
        now = list(self.now.values())
        return {
            "generations_done": sum(one.done for one in now),
            "generations": self.asked,
            "seconds_left": status.seconds_left(now, self.jobs),
        }

    def end(self) -> None:
        """What the last look missed."""
        self.last = 0.0
        self()

    def _landed(self, folder: Path) -> list[dict[str, Any]]:
        """The lines of generations that have landed since the last look, counted in the run's status."""
        new, self.read[folder] = history.since(folder, self.read[folder])
        self.waiting[folder] += new
        found = []
        while self.waiting[folder] and store.landed(folder, self.waiting[folder][0]["generation"]):
            line = self.waiting[folder].pop(0)
            if line["how"] in ("made", "shared"):
                found.append(line)
                self.now[folder] = _one_more(self.now[folder], line)
        return found

    def _count(self) -> str:
        now = list(self.now.values())
        left = status.seconds_left(now, self.jobs)
        done = sum(one.done for one in now)
        return f"[{done:>{len(str(self.asked))}}/{self.asked}{f', {console.duration(left)} left' if left else ''}]"


def _one_more(one: RunStatus, line: dict[str, Any]) -> RunStatus:
    """The status of a run after one more generation has landed: what is there already is not looked at again."""
    made = line["how"] == "made"
    done = min(one.done + 1, one.run.study.gens)
    return replace(
        one,
        state="done" if done == one.run.study.gens else "running",
        done=done,
        made=(*one.made, float(line["seconds"])) if made else one.made,
        linked=one.linked + (not made),
        failure=None,
    )


def account_line(all_of_them: Sequence[RunStatus], left: float | None = None) -> str:
    """What is done and what sharing saved, in one line; `left`: seconds."""
    about = status.account(all_of_them)
    states = ", ".join(f"{count} {state}" for state, count in about["states"].items())
    in_chains = about.get("generations_linked_in_chains", 0)
    line = (
        f"{about['runs']} runs ({states}); {about['generations_finished']} of {about['generations_asked_for']} generations: "
        f"{about['generations_made']} made in {console.duration(about['seconds_making'])}, {about['generations_linked']} linked"
        f"{f' and {in_chains} of chains of ensembles' if in_chains else ''}, "
        f"which saved {console.duration(about['seconds_saved'])}"
    )
    return line + (f"; {console.duration(left)} left" if left else "")
