"""An ablation: a grid of studies, arms by seeds, each of them a run folder of its own."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from imgcollapse import datasets, ledger, store, study, worker
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import first_difference, read_json, to_json
from imgcollapse.images import World
from imgcollapse.models.nulls import NULLS
from imgcollapse.settings import Settings, build, expand, merge, nested, read_file, to_yaml
from imgcollapse.study import DEFAULT_KINDS, Study
from imgcollapse.summary import Run
from imgcollapse.worker import Bench

ABLATION, PLAN, RUNS, SHARED, CSV, SUMMARY = "ablation.yaml", "plan.json", "runs", "shared", "ablation.csv", "summary.json"


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
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return tuple(range(value))
        return value

    @field_validator("seeds")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 0 or len(set(value)) < len(value):
            raise ValueError(f"{list(value)} cannot be used; name different seeds of at least 0, or how many")
        return value

    @model_validator(mode="after")
    def _known(self) -> "Ablation":
        if "seed" in self.base or "seed" in self.axes or any("seed" in changes for changes in self.arms.values()):
            raise ValueError("seed: an ablation runs every arm with every seed; name them under `seeds`, not in base, axes or arms")
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"axes.{path}: has no values; give at least one")
        if self.reference is not None and self.reference not in self.named():
            raise ValueError(f"reference: there is no arm '{self.reference}'; there are: {', '.join(self.named())}")
        return self

    def named(self) -> dict[str, dict[str, Any]]:
        """Name of every arm -> the settings in which it differs from the base."""
        arms = {name: _unfolded(changes) for name, changes in self.arms.items()} or {"": {}}
        ends = [path.rpartition(".")[2] for path in self.axes]
        words = {path: end if ends.count(end) == 1 else path for path, end in zip(self.axes, ends, strict=True)}
        named = {}
        for (arm, changes), *places in itertools.product(arms.items(), *([(p, v) for v in values] for p, values in self.axes.items())):
            for path, value in places:
                changes = merge(changes, nested(path, value))
            said = [arm] * bool(arm) + [f"{words[path]} {_short(value)}" for path, value in places]
            named[", ".join(said) or "base"] = changes
        return named

    def studies(self) -> Iterator[tuple[str, str | None, Study]]:
        """(arm, null model or None, study with the first seed): every arm, and after it the null models under its regime."""
        for arm, changes in self.named().items():
            values = merge(merge(DEFAULT_KINDS, self.base), changes)
            try:
                own = build(Study, {**values, "seed": self.seeds[0]})
            except SettingsProblem as problem:
                raise SettingsProblem(f"arm '{arm}': {problem}") from None
            yield arm, None, own
            for null in NULLS if self.nulls and own.model.kind not in NULLS else ():
                yield arm, null, build(Study, {**values, "model": {"kind": null}, "seed": self.seeds[0]})

    def default_folder(self, name: str) -> Path:
        """`runs/NAME-...`: the same for the same base, whatever the arms and seeds, so that those can be added to."""
        base = _without_gens(merge(DEFAULT_KINDS, self.base))
        kinds = (str(expand(base[part])["kind"]) for part in ("dataset", "model"))  # type: ignore[index]
        digest = sha256(json.dumps(base, sort_keys=True, default=str).encode()).hexdigest()[:6]
        return Path("runs") / "-".join((name, *kinds, digest))


def plan(ablation: Ablation, folder: Path, bench: Bench) -> list[Run]:
    """All runs of the ablation, each with its folder laid out, arms in their order within each seed.

    Two arms with the same settings share a folder. Raises the Problems of `study.prepare`, named by arm, before anything is written, and
    OtherStudyProblem for a folder that holds something else.
    """
    resolved, worlds = [], dict[str, World]()
    for arm, null, chosen in ablation.studies():
        key = chosen.dataset.model_dump_json()
        if key not in worlds:
            worlds[key] = datasets.load(chosen.dataset, chosen.seed)
        try:
            resolved.append((arm, null, study.prepare(chosen, worlds[key])[0]))
        except SettingsProblem as problem:
            raise SettingsProblem(f"arm '{arm}'{f' with null model {null}' if null else ''}: {problem}") from None
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
    for one in read_json(folder / PLAN)["runs"]:
        place = folder / RUNS / one["run"]
        runs.append(Run(one["arm"], one["null"], one["seed"], build(Study, read_file(place / store.STUDY)), place))
    return runs


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
    if folder.is_dir() and not (folder / ABLATION).exists() and any(entry.name != ledger.LEDGER for entry in folder.iterdir()):
        raise OtherStudyProblem(f"{folder}: this folder holds other files, and nothing is ever overwritten; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ABLATION).exists():
        before, now = (_without_gens(values["base"]) for values in (read_file(folder / ABLATION), ablation.model_dump(mode="json")))
        if before != now:
            raise OtherStudyProblem(f"{folder}: holds another ablation (base.{first_difference(before, now)}); choose another --out")
    ledger.put(folder, {ABLATION: to_yaml(ablation)})


def _without_gens(base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in base.items() if key != "gens"}


def _unfolded(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`{"regime.pool": "fixed"}` -> `{"regime": {"pool": "fixed"}}`."""
    whole: dict[str, Any] = {}
    for path, value in changes.items():
        whole = merge(whole, nested(path, value))
    return whole


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, (dict, list)) else str(value)
