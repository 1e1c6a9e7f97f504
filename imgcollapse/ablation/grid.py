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
from typing import Any

from pydantic import Field, PositiveFloat, field_validator, model_validator

from imgcollapse.ablation.comparisons import MOST_SEEDS
from imgcollapse.ablation.endpoint import DEFAULT, Endpoint
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
OF_NETWORKS = {"init": "scratch", "correction": None}  # what a null model, which has no weights, does without
AUTO, PILOT = "auto:", 5  # `seeds: auto:0.1`: so many first, and then as many as make every difference known to ± 0.1


class Ablation(Settings):
    """A question, and the studies that answer it."""

    question: str = Field("", description="what the ablation is to find out, in one sentence")
    base: dict[str, Any] = Field({}, description="the settings that all studies have in common")
    arms: dict[str, dict[str, Any]] = Field({}, description="name of an arm -> settings in which it differs from the base")
    axes: dict[str, tuple[Any, ...]] = Field({}, description="path of a setting -> its values; axes (and arms) cross")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="seeds of every arm: a list, or how many (3: 0, 1, 2), or auto:HALF_WIDTH")
    half_width: PositiveFloat | None = Field(
        None, description="add seeds after these until every arm's difference of the endpoint is known to ± this; none: add none"
    )
    nulls: bool = Field(True, description="also run the null models under every regime")
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
            if own.regime.streams:  # a null model learns from a set of as many pictures as a regime gives it
                values = merge(values, {"regime": {"stream": False}})
            learn = self.nulls and any(model.kind not in NULLS for model in chains.models(own.model, own.ensemble))
            for null in nulls_for(own.dataset.are_points) if learn else ():
                yield arm, null, build(Study, {**values, **_by_null(null, own), **OF_NETWORKS, "seed": self.seeds[0]})

    def default_folder(self, name: str) -> Path:
        """`runs/NAME-...`: the same for the same base, whatever the arms and seeds, so that those can be added to."""
        base = without_gens(merge(DEFAULT_KINDS, self.base))
        digest = sha256(json.dumps(base, sort_keys=True, default=str).encode()).hexdigest()[:6]
        return Path("runs") / "-".join((name, _kind(base["dataset"]), _kind(base["model"]), digest))


def _by_null(null: str, own: Study) -> dict[str, Any]:
    """What of a study is another where a null model takes the place of its model, in every chain."""
    chained = {"ensemble": own.ensemble.model_copy(update={"models": None})} if own.ensemble else {}
    return {"model": {"kind": null}, **{name: one.model_dump(mode="json", exclude_none=True) for name, one in chained.items()}}


def without_gens(base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in decided(base).items() if key != "gens"}


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
