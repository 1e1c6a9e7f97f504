"""An ablation: a grid of studies, arms by seeds, each of them a run folder of its own."""

import itertools
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from imgcollapse import datasets, files, ledger, locks, store, study, worker
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem, brief
from imgcollapse.files import first_difference, read_json, to_json
from imgcollapse.images import World
from imgcollapse.models.nulls import NULLS
from imgcollapse.settings import Settings, build, expand, merge, read_file, to_yaml, unfolded
from imgcollapse.study import DEFAULT_KINDS, Study
from imgcollapse.summary import Run, named
from imgcollapse.worker import Bench
from imgcollapse.yaml12 import is_text

ABLATION, PLAN, RUNS, SHARED, CSV, SUMMARY = "ablation.yaml", "plan.json", "runs", "shared", "ablation.csv", "summary.json"
MOST_RUNS = 100_000


class Ablation(Settings):
    """A question, and the studies that answer it."""

    question: str = Field("", description="what the ablation is to find out, in one sentence")
    base: dict[str, Any] = Field({}, description="the settings that all studies have in common")
    arms: dict[str, dict[str, Any]] = Field({}, description="name of an arm -> settings in which it differs from the base")
    axes: dict[str, tuple[Any, ...]] = Field({}, description="path of a setting -> its values; axes (and arms) cross")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="seeds of every arm: a list, or how many (3: 0, 1, 2)")
    nulls: bool = Field(True, description="also run the null models under every regime")
    reference: str | None = Field(None, description="the arm that the others are compared with; none: the first")

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: object) -> object:
        if type(value) is not int:
            return value
        if not 1 <= value <= MOST_RUNS:
            raise ValueError(f"{brief(value)} cannot be used; name how many, 1 to {MOST_RUNS:,}, or a list of seeds of at least 0")
        return tuple(range(value))

    @field_validator("seeds")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError(f"{brief(list(value))} cannot be used; name different seeds of at least 0, or how many")
        return value

    @field_validator("arms")
    @classmethod
    def _visible(cls, arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in arms:
            if not any(letter.isprintable() and not letter.isspace() for letter in name):
                raise ValueError(f"an arm has the name {brief(name)}, in which nothing can be seen; give it another")
        return arms

    @model_validator(mode="after")
    def _known(self) -> "Ablation":
        if "seed" in self.base or "seed" in self.axes or any("seed" in changes for changes in self.arms.values()):
            raise ValueError("seed: an ablation runs every arm with every seed; name them under `seeds`, not in base, axes or arms")
        for path, values in self.axes.items():
            _check_axis(path, values)
        runs = max(1, len(self.arms)) * math.prod(map(len, self.axes.values())) * len(self.seeds)
        if runs > MOST_RUNS:
            raise ValueError(f"arms, axes and seeds cross to more than {MOST_RUNS:,} runs; take fewer of them")
        arms = self.named()
        _check_alike(list(arms))
        for arm, null in itertools.product(arms, NULLS):
            if named(arm, null) in arms:
                raise ValueError(
                    f"arms: {brief(named(arm, null))} is how the null model of the arm {brief(arm)} is called; choose another name"
                )
        if self.reference is not None and self.reference not in arms:
            there = brief(", ".join(arms), quoted=False)
            raise ValueError(f"reference: there is no arm {brief(self.reference)}; there are: {there}")
        return self

    def named(self) -> dict[str, dict[str, Any]]:
        """Name of every arm -> the settings in which it differs from the base.

        An arm of axes is named with their values as YAML writes them, so that 1, 1.0, "1" and true are four arms.
        """
        ends = [path.rpartition(".")[2] for path in self.axes]
        words = {path: end if ends.count(end) == 1 else path for path, end in zip(self.axes, ends, strict=True)}
        found = {}
        for (arm, changes), *places in itertools.product(
            (self.arms or {"": {}}).items(), *([(path, value) for value in values] for path, values in self.axes.items())
        ):
            name = ", ".join([arm] * bool(self.arms) + [f"{words[path]} {_short(value)}" for path, value in places]) or "base"
            try:
                found[name] = unfolded([*changes.items(), *places])
            except SettingsProblem as problem:
                raise SettingsProblem(f"arm {brief(name)}: {problem}") from None
        assert len(found) == max(1, len(self.arms)) * math.prod(map(len, self.axes.values())), "two arms have one name"
        return found

    def studies(self) -> Iterator[tuple[str, str | None, Study]]:
        """(arm, null model or None, study with the first seed): every arm, and after it the null models under its regime."""
        for arm, changes in self.named().items():
            values = merge(merge(DEFAULT_KINDS, self.base), changes)
            try:
                own = build(Study, {**values, "seed": self.seeds[0]})
            except SettingsProblem as problem:
                raise SettingsProblem(f"arm {brief(arm)}: {problem}") from None
            yield arm, None, own
            for null in NULLS if self.nulls and own.model.kind not in NULLS else ():
                yield arm, null, build(Study, {**values, "model": {"kind": null}, "seed": self.seeds[0]})

    def default_folder(self, name: str) -> Path:
        """`runs/NAME-...`: the same for the same base, whatever the arms and seeds, so that those can be added to."""
        base = _without_gens(merge(DEFAULT_KINDS, self.base))
        digest = sha256(json.dumps(base, sort_keys=True, default=str).encode()).hexdigest()[:6]
        return Path("runs") / "-".join((name, _kind(base["dataset"]), _kind(base["model"]), digest))


Resolved = list[tuple[str, str | None, Study]]


def resolve(ablation: Ablation, folder: Path) -> Resolved:
    """(arm, null model or None, study with every choice made), arms in their order. Nothing is written.

    Raises the Problems of `study.prepare`, named by arm, and OtherStudyProblem for a folder that holds something else.
    """
    resolved, worlds = [], dict[str, World]()
    for arm, null, chosen in ablation.studies():
        key = chosen.dataset.model_dump_json()
        if key not in worlds:
            worlds[key] = datasets.load(chosen.dataset, chosen.seed)
        try:
            resolved.append((arm, null, study.prepare(chosen, worlds[key])[0]))
        except (SettingsProblem, DataProblem) as problem:
            raise type(problem)(f"arm {brief(arm)}{f' with null model {null}' if null else ''}: {problem}") from None
    _refuse_other(folder)
    return resolved


def plan(ablation: Ablation, resolved: Resolved, folder: Path, bench: Bench) -> list[Run]:
    """All runs of the ablation, each with its folder laid out, arms in their order within each seed.

    Two arms with the same settings share a folder. Raises OtherStudyProblem for a folder that holds another ablation.
    """
    _keep(ablation, folder)
    runs = []
    for seed in ablation.seeds:
        for arm, null, chosen in resolved:
            own = chosen.model_copy(update={"seed": seed})
            run = Run(arm, null, seed, own, folder / RUNS / own.name())
            worker.lay_out(run.folder, own, bench)
            runs.append(run)
    index = [{"arm": run.arm, "null": run.null, "seed": run.seed, "run": run.folder.name} for run in runs]
    ledger.put(folder, {PLAN: to_json({"runs": index})})
    return runs


def planned(folder: Path) -> list[Run]:
    """The runs of an ablation's last call, from its folder alone. Raises SettingsProblem where the folder holds none."""
    if not (folder / PLAN).is_file():
        raise SettingsProblem(f"{folder}: holds no ablation ({PLAN} is missing); name a folder that `imgcollapse ablate` made")
    runs = []
    try:
        for one in read_json(folder / PLAN)["runs"]:
            place = folder / RUNS / one["run"]
            runs.append(Run(one["arm"], one["null"], one["seed"], build(Study, read_file(place / store.STUDY)), place))
    except SettingsProblem as problem:
        raise DataProblem(f"{str(problem).partition(';')[0]}; run the ablation's own command again, which makes it anew") from None
    except (DataProblem, KeyError, TypeError):
        raise DataProblem(f"{folder / PLAN}: is damaged; run the ablation's own command again, which makes it anew") from None
    for run in runs:
        if run.study.seed != run.seed:
            wrong = f"its seed is {run.study.seed}, and {PLAN} says {run.seed}"
            raise DataProblem(f"{run.folder / store.STUDY}: {wrong}; put back the one that was changed, or run the ablation again")
    return runs


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else plans, carries out or sums up this ablation inside the block. Raises InUseProblem where somebody does."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"{folder}: another process works on this ablation; wait for its end, or choose another --out"
    with locks.alone(folder / store.LOCK, taken):
        files.sweep(folder)
        yield


def run_at(folder: Path) -> Run:
    """A single run, as an arm of its own."""
    own = build(Study, read_file(folder / store.STUDY))
    return Run(own.title().rpartition(", seed")[0], None, own.seed, own, folder)


def in_order(runs: Sequence[Run]) -> list[Path]:
    """The folders of these runs, each once, in the order to carry them out: the first arm with every seed, then the others seed by seed.

    So runs that are carried out side by side do not wait for each other's generation 0, and complete comparisons come early.
    """
    return list(dict.fromkeys(run.folder for run in sorted(runs, key=lambda run: run.arm != runs[0].arm)))


def _keep(ablation: Ablation, folder: Path) -> None:
    """Writes `ablation.yaml`; arms, seeds and the number of generations may change from call to call, the rest of the base may not."""
    _refuse_other(folder)
    if (old := store.readable(folder / ABLATION)) is not None:
        before, now = (_without_gens(values["base"]) for values in (old, ablation.model_dump(mode="json")))
        if before != now:
            raise OtherStudyProblem(f"{folder}: holds another ablation (base.{first_difference(before, now)}); choose another --out")
    ledger.put(folder, {ABLATION: to_yaml(ablation)})


def _refuse_other(folder: Path) -> None:
    """Raises OtherStudyProblem where the folder holds other files than an ablation's, or than what one left that was killed at once."""
    ours = (store.LOCK, ledger.LEDGER, f"{ABLATION}.part", f"{PLAN}.part")  # the last two by older versions
    if folder.is_dir() and not (folder / ABLATION).exists() and any(e.name not in ours and not files.is_part(e) for e in folder.iterdir()):
        raise OtherStudyProblem(f"{folder}: this folder holds other files, and nothing is ever overwritten; choose another --out")


def _without_gens(base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in base.items() if key != "gens"}


def _check_axis(path: str, values: Sequence[Any]) -> None:
    place = f"axes.{brief(path, quoted=False)}"
    if "" in map(str.strip, path.split(".")):
        raise ValueError(f"{place}: is no path of a setting; write for example axes: {{model.steps: [300, 600]}}")
    if not values:
        raise ValueError(f"{place}: has no values; give at least one")
    for name, times in Counter(map(_short, values)).items():
        if times > 1:
            raise ValueError(f"{place}: has the value {brief(name, quoted=False)} {times} times; give each value once")


def _check_alike(names: Sequence[str]) -> None:
    """Raises ValueError for two names that only differ in how their accents are written (NFC, NFD), which nobody can see."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise ValueError(f"arms: {brief(ascii(other), quoted=False)} and {brief(ascii(name), quoted=False)} look alike; rename one")


def _kind(chosen: object) -> str:
    """For a folder's name; the base may hold anything where every arm has its own."""
    part = expand(chosen)
    kind = part.get("kind") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) and re.fullmatch(r"[\w-]{1,40}", kind) else "any"


def _short(value: object) -> str:
    """The value in an arm's name, each in another way: text as it is, where that could be taken for nothing else; the rest as JSON."""
    if isinstance(value, str) and is_text(value) and value.isprintable() and value == value.strip() and not set(value) & set(',"[]{}'):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
