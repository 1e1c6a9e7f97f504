"""An ablation on a terminal or in a log file, while it works and at its end."""

import time
from collections.abc import Sequence

from imgcollapse import progress, store
from imgcollapse.ablation import standing, worker
from imgcollapse.ablation.standing import Standing
from imgcollapse.ablation.summary import named
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
        self.last, count = time.monotonic(), ""
        for run in self.runs:
            who = f"{named(run.arm, run.null)}, seed {run.seed}"
            past = history.lines(run.folder)
            for line in past[self.seen[run.folder] :]:
                if line["how"] not in ("made", "shared"):
                    continue
                count = count or self._count()  # looks into every run's folder: once a look is enough
                scores = store.scores_of(run.folder, line["generation"])
                how = "shared" if line["how"] == "shared" else console.duration(line["seconds"])
                streams.err(f"{count}  {who}: generation {line['generation']}  {console.in_short(scores)}  ({how})")
            self.seen[run.folder] = len(past)
            failure = worker.read_failure(run.folder)
            if failure is not None and self.told.get(run.folder) != failure["when"]:
                self.told[run.folder] = failure["when"]
                streams.err(f"{who}: FAILED in generation {failure['generation']}: {failure['message']}")

    def end(self) -> None:
        """What the last look missed."""
        self.last = 0.0
        self()

    def _count(self) -> str:
        now = standing.standings(self.runs)
        left = standing.seconds_left(now, self.jobs)
        done = sum(one.done for one in now)
        return f"[{done:>{len(str(self.asked))}}/{self.asked}{f', {console.duration(left)} left' if left else ''}]"


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
