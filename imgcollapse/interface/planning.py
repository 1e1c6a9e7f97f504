"""What `--dry-run` shows beside the settings: what is chosen where they leave it open, and what all of it costs; nothing is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgcollapse import progress, study
from imgcollapse.ablation import ensemble, plan
from imgcollapse.ablation.cost import Cost, cost_of
from imgcollapse.ablation.cost_shared import Shared, shared_cost
from imgcollapse.ablation.summary import named
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.interface import ablating, cost_lines
from imgcollapse.machine import cache
from imgcollapse.study import Study

Arm = tuple[str, str | None, Study, int]  # its name, the null model or None, its study, and how many arms have this null model
NAMED = 6  # arms that a line has room for
DIGESTS = "sha256"  # of a program's files, which nobody reads


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
        return [f"the cost on this machine is unknown: {self.problem}"] if self.cost is None else cost_lines.cost_lines(self.cost)

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

    def chosen_lines(self, arms: Sequence[Arm]) -> list[str]:
        """What is left open and chosen, in words: together what is chosen in the same of these arms."""
        where: dict[str, list[Arm]] = {}
        for arm in arms:
            for path, value in shown(self.chosen_in(*arm[:3])).items():
                where.setdefault(f"{path} = {value}", []).append(arm)
        together: dict[str, list[str]] = {}
        for choice, chosen_by in where.items():
            together.setdefault(_all_of(chosen_by, arms), []).append(choice)
        return [f"chosen in {names}: {', '.join(choices)}" for names, choices in together.items()]

    def lines(self) -> list[str]:
        """In words."""
        if self.cost is None:
            return [f"the cost on this machine is unknown: {self.problem}"]
        return cost_lines.shared_lines(self.cost)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"cost": None if self.cost is None else cost_lines.shared_record(self.cost), "problem": self.problem or None}


def of_study(asked: Study, told: Callable[[Mapping[str, Any]], object] = lambda chosen: None) -> PlannedRun:
    """Of a run; data that are not there, and what cannot be executed, are told and not raised.

    told: hears what is chosen before anything is measured; nothing where the study cannot be executed
    """
    with cache.looking_only(), progress.watched_by(progress.Silent()):
        try:
            prepared = study.prepare(asked)
            ensemble.check_folder(prepared[0], prepared[1])
        except (SettingsProblem, DataProblem) as problem:
            told({})
            return PlannedRun({}, None, str(problem))
        found = _chosen(asked, prepared[0])
        told(found)
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


def once(studies: Iterable[tuple[str, str | None, Study]]) -> list[Arm]:
    """(arm, null model, study, of how many arms): where arms differ in what learns alone, their null models are one run."""
    found: dict[tuple[str, ...], Arm] = {}
    for arm, null, own in studies:
        key = (arm,) if null is None else (null, own.name())
        first = found.get(key, (arm, null, own, 0))
        found[key] = (*first[:3], first[3] + 1)
    return list(found.values())


def with_chosen(lines: Iterable[str], chosen: Mapping[str, Any]) -> list[str]:
    """The lines of a study in YAML, with what is chosen beside what it leaves open (`steps: 0  # chosen here: 600`), or at the end."""
    left, found, inside = shown(chosen), list[str](), list[str]()
    for line in lines:
        key, colon, _ = line.lstrip().partition(":")
        inside = [*inside[: (len(line) - len(line.lstrip())) // 2], key.strip("'")] if colon else inside
        value = left.pop(".".join(inside), None)
        found.append(line if value is None else f"{line}  # chosen here: {value}")
    return [*found, *(f"# chosen here: {path} = {value}" for path, value in left.items())]


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen settings as a line has room for them: of extractors the names, of many metrics how many, and no digests of files."""

    def short(value: Any) -> Any:
        if not isinstance(value, list):
            return str(value).lower() if isinstance(value, bool) else value
        names = [one.get("kind", one) if isinstance(one, Mapping) else one for one in value]
        return f"{len(names)} of them" if len(names) > 6 else f"[{', '.join(map(str, names))}]"

    return {path: short(value) for path, value in found.items() if f".{DIGESTS}." not in path}


def _all_of(some: Sequence[Arm], arms: Sequence[Arm]) -> str:
    """These arms and null models by their names, of very many some, or in a word where they are all of them."""
    if len(some) == len(arms) > 1:
        return "all arms" + " and null models" * any(null is not None for _, null, _, _ in arms)
    for what, is_null in (("arms", False), ("null models", True)):
        if len(some) > 1 and some == [arm for arm in arms if (arm[1] is not None) == is_null]:
            return f"all {what}"
    names = [named(arm, null, times) for arm, null, _, times in some]
    return "; ".join(names if len(names) <= NAMED else [*names[: NAMED // 2], f"and {len(names) - NAMED // 2} more"])


def _chosen(asked: Study, made: Study) -> dict[str, Any]:
    return cost_lines.chosen(asked.model_dump(mode="json"), made.model_dump(mode="json"))
