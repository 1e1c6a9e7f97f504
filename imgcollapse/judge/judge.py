"""The reference of a study: real pictures, extractors and floors, fixed before generation 0; only here extractors and metrics meet."""

import functools
import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, WeightsProblem
from imgcollapse.extractors import AnyExtractor, FittedExtractor, by_default
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.judge.titles import NEIGHBOURS
from imgcollapse.judge.view import View, feature_set, placed, real_view
from imgcollapse.machine import cache
from imgcollapse.metrics import METRICS, Evidence, FeatureSet, Metric
from imgcollapse.metrics.record import Scores, Value
from imgcollapse.settings import Settings


class Judge(Settings):
    """How generations are judged."""

    extractors: tuple[AnyExtractor, ...] | None = Field(
        None,
        description="features to judge by; none: classifier and random, of a single class random and pca, of points pixels; []: no judging",
    )
    metrics: tuple[str, ...] | None = Field(None, description="names of metrics; none: all but those that have to be asked for")
    n: PositiveInt | None = Field(None, description="pictures compared; none: as many as are held out and drawn, at most 10,000")
    every: PositiveInt = Field(1, description="judge every so manieth generation, and the last: 1: all of them")
    k: PositiveInt = Field(5, description="nearest neighbours for density and coverage")
    k_precision: PositiveInt = Field(3, description="nearest neighbours for improved and symmetric precision and recall")
    k_probabilistic: PositiveInt = Field(4, description="nearest neighbours for probabilistic precision and recall")

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in METRICS:
                raise ValueError(f"'{name}' is unknown; there are: {', '.join(METRICS)}")
        return names

    def resolved(self, world: World, samples: int) -> "Judge":
        """The same with every automatic choice made. Raises SettingsProblem for an n or k that this world does not have."""
        there = min(len(world.held_out), len(world.train), samples)
        n = min(there, 10_000) if self.n is None else self.n
        if n > there:
            raise SettingsProblem(
                f"judge.n: {n} pictures cannot be compared: {len(world.held_out)} are held out, {len(world.train)} are for training, "
                f"{samples} are drawn; set it to at most {there}"
            )
        chosen = by_default(world) if self.extractors is None else self.extractors
        kinds = [extractor.kind for extractor in chosen]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise SettingsProblem(f"judge.extractors: '{kind}' is named {kinds.count(kind)} times; name each extractor once")
        for name in NEIGHBOURS:
            k = getattr(self, name)
            if chosen and n <= k:
                raise SettingsProblem(
                    f"judge.{name}: {k} neighbours need more than {k} pictures, {n} are compared; set a smaller {name} or more --samples"
                )
        metrics = tuple(name for name, metric in METRICS.items() if metric.default) if self.metrics is None else self.metrics
        return self.model_copy(update={"extractors": chosen, "metrics": metrics, "n": n})

    def open(self, world: World, drawn: int | None = None) -> "Reference":
        """The fixed reference of a study whose generations draw so many pictures (None: the N compared); call it on resolved options.

        An extractor whose weights are missing is reported and left out, as long as another is left. Raises WeightsProblem where none is.
        """
        assert self.extractors is not None and self.n is not None, "resolve the options first"
        fitted: list[FittedExtractor] = []
        missing: list[WeightsProblem] = []
        for extractor in self.extractors:
            try:
                fitted.append(extractor.fit(world))
            except WeightsProblem as problem:
                missing.append(problem)
        if missing and not fitted:
            raise missing[0]
        for absent in missing:
            progress.say(f"{absent}; going on without it")
        return Reference(self, world, fitted, drawn)


class Judged(NamedTuple):
    """What the reference found.

    scores:  every metric by every extractor, each with its floor and the number of pictures that both are of
    classes: int64 [all drawn], the class found in each picture, or NO_CLASS; None where no extractor knows classes
    """

    scores: Scores
    classes: Tensor | None


class Reference:
    """What generations are judged against, and how: all of a study by the same one, which never changes."""

    def __init__(self, judge: Judge, world: World, extractors: list[FittedExtractor], drawn: int | None = None) -> None:
        assert judge.n is not None and judge.metrics is not None
        self.n, self.metrics = judge.n, {name: METRICS[name] for name in judge.metrics}
        self.drawn = judge.n if drawn is None else drawn
        self.neighbours = {name: int(getattr(judge, name)) for name in NEIGHBOURS}
        self.shares = world.shares()
        self.memory = any(metric.floor == "held_out" for metric in self.metrics.values())
        self._real = fingerprints(world.train.pixels) if self.memory else None
        self._compared: dict[str, dict[str, float]] = {}  # by extractor, the floors of what is of the N pictures compared
        self._of_all: dict[tuple[str, int], dict[str, float]] = {}  # and by pictures drawn, of what is of all of them
        self._views = [self._view(extractor, world) for extractor in extractors]

    def __call__(self, drawn: ImageSet, learned_from: ImageSet | None = None) -> Judged:
        """Judges what a model drew: by the first N of it, and its class shares by all of it. `learned_from` is the model's own training
        set, where it is known."""
        sources, classes = dict[str, dict[str, Value]](), None
        known = learned_from if self.memory else None
        learned = None if known is None else _spread(known, self.n)
        copies, learned_copies = self._copies(drawn[: self.n], self._real, None if known is None else fingerprints(known.pixels))
        for view in self._views:
            made = feature_set(view.extractor, drawn[: self.n] if view.confusion is None else drawn)
            classes = made.classes if classes is None else classes
            evidence = self._evidence(
                view,
                made.first(self.n),
                drawn=made.classes,
                learned=None if learned is None else feature_set(view.extractor, learned),
                copies=copies,
                learned_copies=learned_copies,
            )
            sources[view.extractor.name] = self._values(evidence, self._floors(view, len(made)))
        return Judged(Scores(None, sources), classes)

    @property
    def extractors(self) -> list[FittedExtractor]:
        """Those that judge, in order."""
        return [view.extractor for view in self._views]

    def record(self) -> dict[str, Any]:
        """What identifies this reference: N, how many are drawn, k, metrics with the versions of their definitions, and each extractor with
        the digest of its weights and its floor."""
        extractors = {s.extractor.name: {**s.extractor.record(), "floor": self._floors(s, self.drawn)} for s in self._views}
        return {"n": self.n, "drawn": self.drawn, **self.neighbours, "metrics": self._versions(), "extractors": extractors}

    def _versions(self) -> dict[str, int]:
        return {name: metric.version for name, metric in self.metrics.items()}

    def _values(self, evidence: Evidence, floors: dict[str, float]) -> dict[str, Value]:
        found = {}
        for metric in self.metrics.values():
            n = self.n if evidence.drawn is None or not metric.of_all else len(evidence.drawn)
            for name, value in metric.measure(evidence).items():
                found[name] = Value(value, None if metric.floor is None else floors[name], n)
        return found

    def _view(self, extractor: FittedExtractor, world: World) -> View:
        """The real pictures' features and their floor; of pictures they are kept in the data folder, for all runs with this reference."""
        if world.train.are_points:
            view = real_view(extractor, world, self.n)
            self._compared[extractor.name] = self._floor(view, world)
            return view

        def make() -> cache.Made:
            view = real_view(extractor, world, self.n)
            tensors = {"train": view.train.features.float(), "held_out": view.held_out.features.float()}
            for name, value in (
                ("found", view.found),
                ("held_out_found", view.held_out.classes),
                ("confusion", view.confusion),
            ):
                tensors |= {name: value} if value is not None else {}
            return tensors, self._floor(view, world)

        how = [self.n, self.neighbours, self._versions(), _source()]
        key = json.dumps([world.record(), extractor.record(), how], sort_keys=True)
        real, self._compared[extractor.name] = cache.remembered("references", f"{world.name}-{extractor.name}", key, make)
        found = real.get("found")
        train = FeatureSet(placed(real["train"]), None if found is None else found[: self.n], world.train.labels[: self.n])
        held_out = FeatureSet(placed(real["held_out"]), real.get("held_out_found"), world.held_out.labels[: self.n])
        return View(extractor, train, held_out, found, real.get("confusion"))

    def _floor(self, view: View, world: World) -> dict[str, float]:
        """The floors of the metrics that are of the N pictures compared."""
        (copies,) = self._copies(world.held_out[: self.n], self._real)
        remembering = self._evidence(view, view.held_out, learned=view.train, copies=copies, learned_copies=copies)
        usual = self._evidence(view, view.train)
        compared = [metric for metric in self.metrics.values() if metric.floor is not None and not metric.of_all]
        return _measured((metric, remembering if metric.floor == "held_out" else usual) for metric in compared)

    def _floors(self, view: View, drawn: int) -> dict[str, float]:
        """All floors: of what is of all that was drawn, those of as many real training pictures, or of all there are."""
        name = view.extractor.name
        if (name, drawn) not in self._of_all:
            evidence = self._evidence(view, view.train, drawn=None if view.found is None else view.found[:drawn])
            metrics = [metric for metric in self.metrics.values() if metric.floor is not None and metric.of_all]
            self._of_all[name, drawn] = _measured((metric, evidence) for metric in metrics)
        return self._compared[name] | self._of_all[name, drawn]

    def _evidence(self, view: View, generated: FeatureSet, **more: Any) -> Evidence:
        more |= self.neighbours
        return Evidence(view.train, view.held_out, generated, self.shares, view.confusion, **more)

    def _copies(self, drawn: ImageSet, *sets: Tensor | None) -> list[Tensor | None]:
        """bool [N] for the fingerprints of each set: which pictures are in it."""
        own = fingerprints(drawn.pixels) if self.memory else None
        return [None if own is None or of is None else torch.isin(own, of) for of in sets]


def _measured(metrics: Iterable[tuple[Metric, Evidence]]) -> dict[str, float]:
    return {name: value for metric, evidence in metrics for name, value in metric.measure(evidence).items()}


def _spread(images: ImageSet, n: int) -> ImageSet:
    """n pictures evenly spread over the set, so that each of its origins is there with its share; all where there are fewer."""
    return images if len(images) <= n else images[torch.arange(n) * len(images) // n]


@functools.cache
def _source() -> str:
    """A digest of the code that measures: what an older version measured is measured again."""
    own = Path(__file__)
    files = [own, own.with_name("view.py"), *sorted((own.parent.parent / "metrics").glob("*.py"))]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
