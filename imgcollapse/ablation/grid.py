"""An ablation: a grid of studies, arms by seeds, each of them a run folder of its own."""

import itertools
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PositiveFloat, field_validator, model_validator

from imgcollapse.ablation.comparisons import MOST_SEEDS
from imgcollapse.ablation.endpoint import DEFAULT, Endpoint, Rivals
from imgcollapse.ablation.intervals import FEWEST
from imgcollapse.ablation.summary import named
from imgcollapse.errors import SettingsProblem, brief
from imgcollapse.gates import chains
from imgcollapse.models.nulls import NULLS, nulls_for
from imgcollapse.settings import Settings, build, expand, merge, unfolded
from imgcollapse.settings.yaml12 import is_text
from imgcollapse.store.identity import decided
from imgcollapse.study import DEFAULT_KINDS, Study

ABLATION, PLAN, RUNS, SHARED, CSV, SUMMARY = "ablation.yaml", "plan.json", "runs", "shared", "ablation.csv", "summary.json"
MOST_RUNS = 100_000
MODEL = "model"  # the setting in which generators that are ranked differ
OF_NETWORKS = {"init": "scratch", "correction": None}  # what a null model, which has no weights, does without
AUTO, PILOT = "auto:", 5  # `seeds: auto:0.1`: so many first, and then as many as make every difference known to ± 0.1


class Ablation(Settings):
    """A question, and the studies that answer it."""

    HOLDS: ClassVar = {"base": Study}
    question: str = Field("", description="what the ablation is to find out, in one sentence")
    base: dict[str, Any] = Field({}, description="settings that all studies have in common")
    arms: dict[str, dict[str, Any]] = Field({}, description="name of an arm -> settings in which it differs from the base")
    models: dict[str, Any] = Field({}, description="generators to rank: a list of kinds, or name -> model; they cross with arms and axes")
    axes: dict[str, tuple[Any, ...]] = Field({}, description="path of a setting -> its values; axes (and arms) cross")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="seeds of every arm: a list, or how many (3: 0, 1, 2), or auto:HALF_WIDTH")
    half_width: PositiveFloat | None = Field(
        None, description="add seeds until every arm's difference from the reference is known to ± this; none: add none"
    )
    nulls: bool = Field(True, description="also run the null models (bootstrap, smooth; for points gaussian too) under every regime")
    reference: str | None = Field(None, description="the arm that the others are compared with; none: the first")
    endpoint: Endpoint = Field(DEFAULT, description="what decides the question: a score, or {metric, quantity, extractor, margin}")

    @model_validator(mode="before")
    @classmethod
    def _auto(cls, values: Any) -> Any:
        """`seeds: auto:0.1` stands for `seeds: 5` and `half_width: 0.1`."""
        seeds = values.get("seeds") if isinstance(values, dict) else None
        if not isinstance(seeds, str) or not seeds.startswith(AUTO):
            return values
        try:
            width = float(seeds.removeprefix(AUTO))
        except ValueError:
            raise ValueError(f"seeds: {brief(seeds)} cannot be used; write for example auto:0.1") from None
        return {**values, "seeds": PILOT, "half_width": width}

    @field_validator("endpoint", mode="before")
    @classmethod
    def _score(cls, value: object) -> object:
        return {"metric": value} if isinstance(value, str) else value

    @field_validator("models", mode="before")
    @classmethod
    def _generators(cls, value: object) -> object:
        """A list names them by their kinds, or as YAML writes them."""
        if not isinstance(value, (list, tuple)):
            return value
        named = {one if isinstance(one, str) else _short(one): one for one in value}
        if len(named) < len(value):
            raise ValueError(f"{brief(list(value))} cannot be used; name every generator once")
        return named

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

    @model_validator(mode="after")
    def _enough(self) -> "Ablation":
        if self.half_width is not None and not FEWEST <= len(self.seeds) <= MOST_SEEDS:
            raise ValueError(f"half_width: {len(self.seeds)} seeds cannot say how many more are needed; name {FEWEST} to {MOST_SEEDS}")
        return self

    @field_validator("arms", "models")
    @classmethod
    def _visible(cls, arms: dict[str, Any]) -> dict[str, Any]:
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
        _check_models(self.models, self.arms, self.axes)
        if self._crossings() * len(self.seeds) > MOST_RUNS:
            raise ValueError(f"arms, models, axes and seeds cross to more than {MOST_RUNS:,} runs; take fewer of them")
        arms = self.named()
        _check_alike(list(arms))
        of_nulls = {named(arm, null): arm for arm, null in itertools.product(arms, NULLS)}
        for name in sorted(of_nulls.keys() & arms):
            raise ValueError(f"arms: {brief(name)} is how the null model of the arm {brief(of_nulls[name])} is called; choose another name")
        if self.reference is not None and self.reference not in arms:
            there = brief(", ".join(arms), quoted=False)
            raise ValueError(f"reference: there is no arm {brief(self.reference)}; there are: {there}")
        return self

    def named(self) -> dict[str, dict[str, Any]]:
        """Name of every arm -> the settings in which it differs from the base.

        An arm of axes is named with their values as YAML writes them, so that 1, 1.0, "1" and true are four arms.
        """
        found = {}
        for name, _, _, changes, places in self._crossed():
            try:
                found[name] = unfolded([*changes.items(), *places])
            except SettingsProblem as problem:
                raise SettingsProblem(f"arm {brief(name)}: {problem}") from None
        if len(found) < self._crossings():
            raise ValueError("arms: two of them, crossed with models and axes, have one name; rename one, without commas")
        return found

    def rivals(self) -> tuple[Rivals, ...]:
        """The generators that are ranked: one ranking for each of the other arms and axes; none without `models` or an axis `model`."""
        found: dict[str, dict[str, str]] = {}
        for name, beside, model, _, _ in self._crossed():
            found.setdefault(beside, {})[model] = name
        return tuple(Rivals(beside, arms) for beside, arms in found.items() if len(arms) > 1)

    def _crossed(self) -> Iterator[tuple[str, str, str, dict[str, Any], list[tuple[str, Any]]]]:
        """Of every arm: its name, that without its generator, the generator's, the settings of its `arms`, and those of models and axes."""
        ends = [path.rpartition(".")[2] for path in self.axes]
        words = {path: end if ends.count(end) == 1 else path for path, end in zip(self.axes, ends, strict=True)}
        values = ([(path, value) for value in values] for path, values in self.axes.items())
        for (arm, changes), (model, chosen), *places in itertools.product(
            (self.arms or {"": {}}).items(), (self.models or {"": None}).items(), *values
        ):
            own, own_model = [arm] * bool(self.arms), [model] * bool(self.models)
            others = [f"{words[path]} {_short(value)}" for path, value in places if path != MODEL]
            of_axes = [f"{words[path]} {_short(value)}" for path, value in places]
            rival = model or next((_short(value) for path, value in places if path == MODEL), "")
            settings = [(MODEL, chosen)] * bool(self.models) + places
            yield ", ".join(own + own_model + of_axes) or "base", ", ".join(own + others), rival, changes, settings

    def _crossings(self) -> int:
        """How many arms there are."""
        return max(1, len(self.arms)) * max(1, len(self.models)) * math.prod(map(len, self.axes.values()))

    def studies(self) -> Iterator[tuple[str, str | None, Study]]:
        """(arm, null model or None, study with the first seed): every arm, and after it the null models under its regime."""
        for arm, changes in self.named().items():
            values = merge(merge(DEFAULT_KINDS, self.base), changes)
            try:
                own = build(Study, {**values, "seed": self.seeds[0]})
            except SettingsProblem as problem:
                raise SettingsProblem(f"arm {brief(arm)}: {problem}") from None
            if self.models and own.ensemble is not None and own.ensemble.models is not None:
                raise SettingsProblem(f"arm {brief(arm)}: ensemble.models takes the place of `models`; leave out one of the two")
            yield arm, None, own
            if own.regime.streams:  # a null model learns from a set of as many pictures as a regime gives it
                values = merge(values, {"regime": {"stream": False}})
            learn = self.nulls and any(model.kind not in NULLS for model in chains.models(own.model, own.ensemble))
            for null in nulls_for(own.dataset.are_points) if learn else ():
                yield arm, null, build(Study, {**values, **_by_null(null, own), **OF_NETWORKS, "seed": self.seeds[0]})

    def default_folder(self, name: str) -> Path:
        """`runs/NAME-...`: the same for the same base, whatever the arms and seeds, so that those can be added to."""
        base = without_gens(merge(DEFAULT_KINDS, self.base))
        digest = sha256(json.dumps(base, sort_keys=True, default=str).encode()).hexdigest()[:6]
        model = "models" if self.models or {"model", "model.kind"} & set(self.axes) else _kind(base["model"])
        return Path("runs") / "-".join((name, _kind(base["dataset"]), model, digest))


def _by_null(null: str, own: Study) -> dict[str, Any]:
    """What of a study is another where a null model takes the place of its model, in every chain."""
    chained = {"ensemble": own.ensemble.model_copy(update={"models": None})} if own.ensemble else {}
    return {"model": {"kind": null}, **{name: one.model_dump(mode="json", exclude_none=True) for name, one in chained.items()}}


def without_gens(base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in decided(base).items() if key != "gens"}


def _check_axis(path: str, values: Sequence[Any]) -> None:
    place = f"axes.{brief(path, quoted=False)}"
    if "" in map(str.strip, path.split(".")):
        raise ValueError(f"{place}: is not the path of a setting; write for example axes: {{model.steps: [300, 600]}}")
    if not values:
        raise ValueError(f"{place}: has no values; give at least one")
    for name, times in Counter(map(_short, values)).items():
        if times > 1:
            raise ValueError(f"{place}: has the value {brief(name, quoted=False)} {times} times; give each value once")


def _check_models(models: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]], axes: Mapping[str, Any]) -> None:
    """Raises ValueError for generators that are named twice, at one place or at two."""
    elsewhere = [f"the arm {brief(name)}" for name, changes in arms.items() if MODEL in changes] + ["an axis"] * (MODEL in axes)
    if models and elsewhere:
        raise ValueError(f"models: {elsewhere[0]} names a model, too; name all generators under `models`, and there what else differs")
    seen: dict[str, str] = {}
    for name, chosen in models.items():
        other = seen.setdefault(json.dumps(expand(chosen), sort_keys=True, default=str), name)
        if other != name:
            raise ValueError(f"models: {brief(other)} and {brief(name)} are the same; leave out one of the two")


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
