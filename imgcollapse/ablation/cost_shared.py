"""What an ablation costs: runs that have a generation in common make it once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse.ablation.cost import Cost, Generation, Known, cost_of
from imgcollapse.ablation.cost_files import of_ablation, seconds_of_ablation
from imgcollapse.ablation.summary import Run
from imgcollapse.gates import chains
from imgcollapse.heavy import torch
from imgcollapse.images import World
from imgcollapse.regimes import Real
from imgcollapse.store.identity import identity, learning
from imgcollapse.store.judged import is_due
from imgcollapse.study import Study, prepare

NOTHING = Generation(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)  # that is known of a generation


@dataclass(frozen=True)
class Shared:
    """What an ablation costs.

    runs:        how many; arms with the same settings share one
    asked:       generations of all runs
    made:        of these, those that are different
    jobs:        runs at once
    costs:       of each run by itself, as if it shared nothing
    learn, draw, judge, first: seconds of what is done once
    flop:        operations of networks
    disk:        bytes
    """

    runs: int
    asked: int
    made: int
    jobs: int
    costs: tuple[Cost, ...]
    learn: float
    draw: float
    judge: float
    first: float
    flop: float
    disk: float

    @property
    def known(self) -> bool:
        """Whether anything can be said of what some of the runs take."""
        return any(cost.generations for cost in self.costs)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What cannot be said, in lines."""
        return tuple(dict.fromkeys(line for cost in self.costs for line in cost.unknown))

    @property
    def other(self) -> float:
        """Seconds to start, and to draw figures and page."""
        return seconds_of_ablation([cost.beside for cost in self.costs])

    @property
    def seconds(self) -> float:
        """Until the command has ended: jobs have equal shares, but a run is not parted."""
        work = self.learn + self.draw + self.judge + self.first
        return max(work / self.jobs, max(cost.work for cost in self.costs)) + self.other

    @property
    def memory(self) -> int:
        """Bytes at the peak, of all jobs together."""
        return self.jobs * max(cost.memory for cost in self.costs)


def shared_cost(runs: Sequence[Run], jobs: int, threads: int | None, known: Known | None = None) -> Shared:
    """Of these runs, prepared, of which so many are executed at once; what is measured is measured with that many threads."""
    known, worlds, before = known or Known(), dict[str, Any](), torch.get_num_threads()
    torch.set_num_threads(threads or before)
    learnt, drawn, judged, firsts, costs = {}, {}, {}, {}, dict[Path, Cost]()
    flop, disk = dict[str, float](), dict[str, float]()  # of what is made once
    different = {run.folder: run for run in runs}
    try:
        for run in different.values():
            key = f"{run.study.dataset.model_dump_json()} {run.study.world_seed}"
            prepared = worlds[key] = prepare(run.study, worlds[key][1] if key in worlds else None)
            cost = costs[run.folder] = cost_of(run.study, known, prepared)
            judge = run.study.judge.model_dump_json()
            firsts[f"{key} {judge}"] = cost.first
            for number in range(run.study.gens):
                own, of_weights = _keys(*prepared, number)
                one = cost.generations[number] if cost.generations else NOTHING  # it is made, whatever it takes
                learnt[of_weights], drawn[own], judged[f"{own} {judge}"] = one.learn, one.draw, one.judge
                flop[own], disk[f"made {own}"], disk[f"weights {of_weights}"] = one.flop, one.made, one.fitted
                disk[f"scores {own} {judge}"] = cost.beside.scores * is_due(number, run.study.judge.every, run.study.gens)
    finally:
        torch.set_num_threads(before)
    asked, jobs = sum(run.study.gens for run in different.values()), max(1, min(jobs, len(different)))
    learn, draw, judging, first = (sum(found.values()) for found in (learnt, drawn, judged, firsts))
    room = sum(disk.values()) + _apart(runs, costs)
    return Shared(len(different), asked, len(drawn), jobs, (*costs.values(),), learn, draw, judging, first, sum(flop.values()), room)


def _apart(runs: Sequence[Run], costs: Mapping[Path, Cost]) -> float:
    """Bytes of what every run has for itself, and of the ablation's own files."""
    of_runs = sum(cost.beside.records + sum(one.own for one in cost.generations) for cost in costs.values() if cost.generations)
    some = {(run.arm, run.null): costs[run.folder].beside for run in runs}
    arms, nulls = ([one for (_, null), one in some.items() if bool(null) == wanted] for wanted in (False, True))
    return of_runs + of_ablation([costs[run.folder].beside for run in runs], arms, nulls)


def _keys(study: Study, world: World, real: Real, number: int) -> tuple[str, str]:
    """Two texts that are the same for two runs which have a generation in common, and which have only its weights in common."""
    values = study.model_dump(mode="json")
    own = {**identity(values), **study.drawing()}
    where: dict[str, Any] = {"number": number, "data": [values["dataset"], study.world_seed], "seen": len(real.seen)}
    where |= {"init": study.init if number or study.init.startswith("folder") else None}
    if number or chains.is_union(study.ensemble):
        where |= {name: values.get(name) for name in ("regime", "gates", "ensemble")}
    weights = where if number else {**where, "own": learning(own)}
    whole = json.dumps([own, where], sort_keys=True)
    return whole, whole if number else json.dumps(weights, sort_keys=True)
