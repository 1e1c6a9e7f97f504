"""What lies in a folder of runs and ablations, each in short."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.ablation import plan
from imgcollapse.ablation.grid import PLAN
from imgcollapse.ablation.status import RunStatus, run_statuses
from imgcollapse.errors import Problem


@dataclass(frozen=True)
class InShort:
    """A run or an ablation in a line.

    what:    `run`, or `ablation of 6 runs`
    state:   of its runs; `unreadable` where that cannot be told
    done, generations: finished ones, and those asked for, of all its runs; None where it is unreadable
    message: what went wrong, or by what condition it ended
    """

    name: str
    what: str
    state: str
    done: int | None
    generations: int | None
    message: str

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def places_in(folder: Path) -> list[Path]:
    """The runs and ablations in a folder that is neither itself; none where it is one."""
    return [] if any((folder / name).is_file() for name in (store.STUDY, PLAN)) else plan.inside(folder)


def in_short(place: Path) -> InShort:
    """Of one folder; what cannot be read is told, not raised."""
    try:
        return told(place, run_statuses(plan.runs_in(place)))
    except Problem as problem:
        return unreadable(place, problem)


def told(place: Path, found: Sequence[RunStatus]) -> InShort:
    """Of one folder, whose runs are that far."""
    counts = Counter(one.state for one in found)
    failed = [f"{one.failure['kind']} in generation {one.failure['generation']}: {one.failure['message']}" for one in found if one.failure]
    return InShort(
        place.name,
        "run" if _is_run(place) else f"ablation of {len(found)} runs",
        ", ".join(f"{count} {state}" for state, count in counts.items()) if len(counts) > 1 else next(iter(counts), "waiting"),
        sum(one.done for one in found),
        sum(one.run.study.gens for one in found),
        (failed or [one.ended for one in found if one.ended] or [""])[0],
    )


def unreadable(place: Path, problem: Problem) -> InShort:
    """Of one folder that cannot be read."""
    return InShort(place.name, "run" if _is_run(place) else "ablation", "unreadable", None, None, str(problem))


def _is_run(place: Path) -> bool:
    return (place / store.STUDY).is_file()
