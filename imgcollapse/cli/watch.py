"""An ablation on a terminal or in a log file, while it works and at its end."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from imgcollapse import progress, store
from imgcollapse.ablation import standing, worker
from imgcollapse.ablation.standing import Standing
from imgcollapse.ablation.summary import Run, named
from imgcollapse.cli import console
from imgcollapse.machine import streams
from imgcollapse.store import history


class Aloud(progress.Silent):
    """Says what a user should hear, and nothing of single steps."""

    def say(self, line: str) -> None:
        """Prints the line."""
        streams.err(line)


class Watch:
    """Tells of generations as they land, whoever makes them, by looking into the run folders."""

    def __init__(self, before: Sequence[Standing], jobs: int) -> None:
        self.runs, self.jobs = [one.run for one in before], jobs
        self.seen = {run.folder: len(history.lines(run.folder)) for run in self.runs}
        self.told = {one.run.folder: one.failure["when"] for one in before if one.failure is not None}
        self.asked = sum(run.study.gens for run in self.runs)
        self.last = 0.0

    def __call__(self) -> None:
        """Prints a line for every generation and failure that is new."""
        if time.monotonic() - self.last < 0.5:
            return
        self.last = time.monotonic()
        landed = [(run, line) for run in self.runs for line in self._landed(run)]
        count = self._count() if landed else ""  # looks into every run's folder: once a look is enough
        for run, line in landed:
            how = "shared" if line["how"] == "shared" else console.duration(line["seconds"])
            scores = console.in_short(store.scores_of(run.folder, line["generation"]))
            streams.err(f"{count}  {_who(run)}: generation {line['generation']}  {scores}  ({how})")
        for run in self.runs:
            failure = worker.read_failure(run.folder)
            if failure is not None and self.told.get(run.folder) != failure["when"]:
                self.told[run.folder] = failure["when"]
                streams.err(f"{_who(run)}: FAILED in generation {failure['generation']}: {failure['message']}")

    def _landed(self, run: Run) -> Iterator[dict[str, Any]]:
        """The lines of its history on generations that have landed since the last look, judged where they are to be."""
        for line in history.lines(run.folder)[self.seen[run.folder] :]:
            if not store.landed(run.folder, line["generation"]):
                return
            self.seen[run.folder] += 1
            if line["how"] in ("made", "shared"):
                yield line

    def end(self) -> None:
        """What the last look missed."""
        self.last = 0.0
        self()

    def _count(self) -> str:
        now = standing.standings(self.runs)
        left = standing.seconds_left(now, self.jobs)
        done = sum(one.done for one in now)
        return f"[{done:>{len(str(self.asked))}}/{self.asked}{f', {console.duration(left)} left' if left else ''}]"


def _who(run: Run) -> str:
    return f"{named(run.arm, run.null)}, seed {run.seed}"


def account_line(all_of_them: Sequence[Standing], left: float | None = None) -> str:
    """What is done and what sharing saved, in one line; `left`: seconds."""
    about = standing.account(all_of_them)
    states = ", ".join(f"{count} {state}" for state, count in about["states"].items())
    line = (
        f"{about['runs']} runs ({states}); {about['generations_finished']} of {about['generations_asked_for']} generations: "
        f"{about['generations_made']} made in {console.duration(about['seconds_making'])}, {about['generations_linked']} linked, "
        f"which saved {console.duration(about['seconds_saved'])}"
    )
    return line + (f"; {console.duration(left)} left" if left else "")
