"""How far the runs of an ablation are, from their folders alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from imgcollapse import store
from imgcollapse.ablation import ensemble, worker
from imgcollapse.ablation.summary import Run
from imgcollapse.store import history
from imgcollapse.store.ended import by

State = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class RunStatus:
    """How far one run is.

    state:   done, running (a process writes it), failed (and not being tried again), or waiting (not begun, or stopped)
    done:    finished generations of those that the study asks for
    made:    seconds of each generation that was made here
    linked:  generations that were made by another run and linked
    failure: what `worker.record_failure` left
    chains:  of an ensemble, the seconds of each generation that its chains made here, and how many of theirs were linked
    ended:   by what condition it ended before its last generation (`run --until`), which is then done; empty where it did not
    """

    run: Run
    state: State
    done: int
    made: tuple[float, ...]
    linked: int
    failure: dict[str, Any] | None
    ended: str = ""
    chains: tuple[tuple[float, ...], int] = ((), 0)

    @classmethod
    def of(cls, run: Run, checked: bool = False) -> "RunStatus":
        """Reads the run's folder. `checked`: what is finished counts only if it fits, which takes longer."""
        there = (run.folder / store.STUDY).is_file()
        finished = store.sound if checked else store.finished
        done = sum(generation < run.study.gens for generation in finished(run.folder)) if there else 0
        failure = worker.read_failure(run.folder) if there else None
        made, linked = _past(run.folder)
        parts = [_past(store.chain_folder(run.folder, k)) for k, _ in enumerate(ensemble.chains_of(run.study))]
        chains = tuple(second for seconds, _ in parts for second in seconds), sum(count for _, count in parts)
        ended = by(run.folder) if there and done < run.study.gens else None
        state: State = "waiting"
        if (done == run.study.gens or ended) and failure is None and (store.whole if checked else _is_judged)(run.folder):
            state = "done"
        elif there and store.in_use(run.folder):
            state = "running"
        elif failure is not None:
            state = "failed"
        words = f"until {ended['condition']}: met at generation {ended['generation']}" if ended and state == "done" else ""
        return cls(run, state, done, made, linked, failure, words, chains)


def _past(folder: Path) -> tuple[tuple[float, ...], int]:
    """The seconds of each generation that was made in that folder, and how many were linked there."""
    past = history.lines(folder)
    made = tuple(float(line["seconds"]) for line in past if line["how"] == "made")
    return made, len({line["generation"] for line in past if line["how"] == "shared"})


def _is_judged(run: Path) -> bool:
    return not store.unjudged(run)


def run_statuses(runs: Iterable[Run], checked: bool = False) -> list[RunStatus]:
    """One a folder, in the order of the runs."""
    return [RunStatus.of(run, checked) for run in {run.folder: run for run in reversed(list(runs))}.values()][::-1]


def seconds_left(all_of_them: Sequence[RunStatus], jobs: int) -> float | None:
    """Generations still to be made, each at the mean time of those of its model, shared among the jobs.

    None while a model is still to run of which no generation has been timed.
    """
    usual, left = _usual_seconds(all_of_them), 0.0
    for one in all_of_them:
        remaining = 0 if one.state in ("done", "failed") else one.run.study.gens - one.done
        if remaining and one.run.study.model.kind not in usual:
            return None
        left += remaining * usual.get(one.run.study.model.kind, 0.0)
    return left / jobs


def account(all_of_them: Sequence[RunStatus]) -> dict[str, Any]:
    """What sharing saved: generations asked for, finished, made, linked, and the seconds that making took and linking saved.

    Those of an ensemble are of all its chains together; which of its chains were linked is counted beside them.
    """
    usual = _usual_seconds(all_of_them)
    saved = sum(one.linked * usual.get(one.run.study.model.kind, 0.0) for one in all_of_them)
    of_chains, in_chains = [second for one in all_of_them for second in one.chains[0]], sum(one.chains[1] for one in all_of_them)
    saved += in_chains * sum(of_chains) / max(1, len(of_chains))
    return {
        "runs": len(all_of_them),
        "states": dict(Counter(one.state for one in all_of_them)),
        "generations_asked_for": sum(one.run.study.gens for one in all_of_them),
        "generations_finished": sum(one.done for one in all_of_them),
        "generations_made": sum(len(one.made) for one in all_of_them),
        "generations_linked": sum(one.linked for one in all_of_them),
        **({"generations_linked_in_chains": in_chains} if in_chains else {}),
        "seconds_making": round(sum(second for one in all_of_them for second in one.made), 3),
        "seconds_saved": round(saved, 3),
    }


def _usual_seconds(all_of_them: Sequence[RunStatus]) -> dict[str, float]:
    """Kind of model -> mean seconds of its generations, where any were made."""
    times = defaultdict[str, list[float]](list)
    for one in all_of_them:
        times[one.run.study.model.kind] += one.made
    return {kind: sum(seconds) / len(seconds) for kind, seconds in times.items() if seconds}


def as_record(one: RunStatus, folder: Path) -> dict[str, Any]:
    """A status as plain JSON values."""
    return {
        "run": str(one.run.folder.relative_to(folder)),
        "arm": one.run.arm,
        "null": one.run.null,
        "seed": one.run.seed,
        "state": one.state,
        "generations": one.done,
        "of": one.run.study.gens,
        "failure": one.failure,
        **({"ended": one.ended} if one.ended else {}),
    }
