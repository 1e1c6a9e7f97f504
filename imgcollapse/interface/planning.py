"""What `--dry-run` shows beside the settings: what is chosen where they leave it open, and what all of it costs; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgcollapse import progress, study
from imgcollapse.ablation import ensemble, plan
from imgcollapse.ablation.cost import Cost, cost_of
from imgcollapse.ablation.cost_shared import Shared, shared_cost
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.interface import ablating, cost_lines
from imgcollapse.machine import cache
from imgcollapse.study import Study


@dataclass(frozen=True)
class PlannedRun:
    """A run before it is made.

    chosen:  path -> value of what the study leaves open
    cost:    None where the study cannot be executed here
    problem: why, in a line
    """

    chosen: Mapping[str, Any]
    cost: Cost | None
    problem: str = ""

    def lines(self) -> list[str]:
        """In words."""
        found = [f"chosen here: {path} = {value}" for path, value in shown(self.chosen).items()]
        if self.cost is None:
            return [*found, f"what it costs here cannot be said: {self.problem}"]
        return [*found, *cost_lines.cost_lines(self.cost)]

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        cost = None if self.cost is None else cost_lines.record(self.cost)
        return {"chosen": dict(self.chosen), "cost": cost, "problem": self.problem or None}


@dataclass(frozen=True)
class PlannedAblation:
    """An ablation before it is made.

    resolved: the study of each arm and null model with every choice made
    cost:     None where it cannot be executed here
    problem:  why, in a line
    """

    cost: Shared | None
    resolved: Mapping[tuple[str, str | None], Study] = field(default_factory=dict)
    problem: str = ""

    def chosen_in(self, arm: str, null: str | None, own: Study) -> dict[str, Any]:
        """Path -> value of what the study of an arm leaves open."""
        made = self.resolved.get((arm, null))
        return {} if made is None else _chosen(own, made)

    def lines(self) -> list[str]:
        """In words."""
        if self.cost is None:
            return [f"what it costs here cannot be said: {self.problem}"]
        return cost_lines.shared_lines(self.cost)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"cost": None if self.cost is None else cost_lines.shared_record(self.cost), "problem": self.problem or None}


def of_study(asked: Study) -> PlannedRun:
    """Of a run; data that are not there, and what cannot be executed, are told and not raised."""
    with cache.looking_only(), progress.watched_by(progress.Silent()):
        try:
            prepared = study.prepare(asked)
            ensemble.check_folder(prepared[0], prepared[1])
        except (SettingsProblem, DataProblem) as problem:
            return PlannedRun({}, None, str(problem))
        found = _chosen(asked, prepared[0])
        try:
            return PlannedRun(found, cost_of(prepared[0], prepared=prepared))
        except SettingsProblem as problem:  # a device that is another machine's
            return PlannedRun(found, None, str(problem))


def of_ablation(one: ablating.Asked) -> PlannedAblation:
    """Of an ablation, likewise."""
    resolved: dict[tuple[str, str | None], Study] = {}
    with cache.looking_only(), progress.watched_by(progress.Silent()):
        try:
            found = plan.resolve(one.ablation, one.folder)
            resolved = {(arm, null): own for arm, null, own in found}
            runs = plan.runs_of(found, one.folder, one.ablation.seeds)
            return PlannedAblation(shared_cost(runs, ablating.jobs_of(one), one.given["threads"]), resolved)
        except (SettingsProblem, DataProblem) as problem:
            return PlannedAblation(None, resolved, str(problem))


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen settings as a line has room for them: of extractors the names, of many metrics how many."""

    def short(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        names = [one.get("kind", one) if isinstance(one, Mapping) else one for one in value]
        return f"{len(names)} of them" if len(names) > 6 else f"[{', '.join(map(str, names))}]"

    return {path: short(value) for path, value in found.items()}


def _chosen(asked: Study, made: Study) -> dict[str, Any]:
    return cost_lines.chosen(asked.model_dump(mode="json"), made.model_dump(mode="json"))
