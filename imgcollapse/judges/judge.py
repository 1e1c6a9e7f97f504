"""The reference of a study: real pictures and extractors, fixed before generation 0; only here extractors and metrics meet."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import Field, PositiveInt, field_validator

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, WeightsProblem
from imgcollapse.extractors import AnyExtractor, Banded, FittedExtractor, by_default, own_metrics
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.judges import real as real_vs_real
from imgcollapse.judges.asked import Asked, Said
from imgcollapse.judges.real import measured, of_classes, over_splits, plain, ranges, taken
from imgcollapse.judges.titles import NEIGHBOURS
from imgcollapse.judges.view import View, feature_set, placed, real_view, source, view_of
from imgcollapse.machine import cache
from imgcollapse.metrics import METRICS, ON_REQUEST, Evidence, FeatureSet, askable
from imgcollapse.metrics.record import MODEL, RealVsReal, Scores, Value
from imgcollapse.settings import Settings


class Judge(Settings):
    """How generations are judged."""

    extractors: tuple[AnyExtractor, ...] | None = Field(
        None,
        description="features to judge by; none: classifier and random (single class: random and pca; points: pixels); []: no judging",
    )
    metrics: tuple[str, ...] | None = Field(None, description=f"metrics to compute; none: all but {ON_REQUEST}")
    n: PositiveInt | None = Field(
        None, description="N, the pictures compared; none: half of those held out, at most as many as a generation draws and 10,000"
    )
    every: PositiveInt = Field(1, description="judge one generation in this many, and the last; 1: all")
    k: PositiveInt = Field(5, description="nearest neighbours for density and coverage")
    k_precision: PositiveInt = Field(3, description="nearest neighbours for improved and symmetric precision and recall")
    k_probabilistic: PositiveInt = Field(4, description="nearest neighbours for probabilistic precision and recall")
    latent_draws: PositiveInt = Field(8, description="latent codes drawn for a picture's likelihood under a vae; more: a tighter bound")

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in METRICS:
                raise ValueError(f"'{name}' is unknown; there are: {', '.join(askable())}")
            if name not in askable():
                raise ValueError(f"'{name}' is a metric of gates and is measured in every study that has gates; leave it out")
        return names

    def resolved(self, world: World, samples: int, more: Collection[str] = ()) -> "Judge":
        """The same with every automatic choice made. Raises SettingsProblem for an n or k that this world does not have.

        more: metrics that are measured too where none were chosen
        """
        there = min(len(world.held_out) // 2, len(world.train), samples)
        n = min(there, 10_000) if self.n is None else self.n
        if n > there:
            raise SettingsProblem(
                f"judge.n: {n} pictures cannot be compared: {len(world.held_out)} are held out, of which two halves are real vs real, "
                f"{len(world.train)} are for training, {samples} are drawn; set it to at most {there}"
            )
        chosen = by_default(world) if self.extractors is None else self.extractors
        kinds = [extractor.kind for extractor in chosen]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise SettingsProblem(f"judge.extractors: '{kind}' is named {kinds.count(kind)} times; name each extractor once")
        for name in NEIGHBOURS:
            k = getattr(self, name)
            if chosen and n <= k:
                more = "more --samples" if n == samples else "hold out more pictures"
                raise SettingsProblem(
                    f"judge.{name}: {k} neighbours need more than {k} pictures, {n} are compared; set a smaller {name}, or {more}"
                )
        own = {*own_metrics(chosen), *more}
        metrics = tuple(name for name in askable() if METRICS[name].default or name in own) if self.metrics is None else self.metrics
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

    scores:  every metric by every extractor, and of what models and gates say, each with its real-vs-real value and the number of
             pictures that both are of
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
        self.memory = any(metric.trained for metric in self.metrics.values())
        self.likelihoods = bool(extractors) and any(metric.of == "model" for metric in self.metrics.values())
        self.latent_draws = judge.latent_draws
        self._trained_on = fingerprints(world.train.pixels) if self.memory else None
        self._world = world.record()
        self._compared: dict[str, dict[str, RealVsReal]] = {}  # by extractor, of what is of the N pictures compared
        self._of_all: dict[tuple[str, int], dict[str, RealVsReal]] = {}  # and by pictures drawn, of what is of all of them
        self._asked = Asked(self.metrics, self.n)
        self._views = [self._view(extractor, world) for extractor in extractors]

    def __call__(self, drawn: ImageSet, learned_from: ImageSet | None = None, said: Mapping[str, Said] = MappingProxyType({})) -> Judged:
        """Judges what a model drew: by the first N of it, and its class shares by all of it. `learned_from` is the model's own training
        set, where it is known; `said`: what models and gates say of it, by their sources."""
        sources, classes, seen = dict[str, dict[str, Value]](), None, list[Evidence]()
        known = learned_from if self.memory else None
        learned = None if known is None else _spread(known, self.n)
        copies, learned_copies = self._copies(drawn[: self.n], self._trained_on, None if known is None else fingerprints(known.pixels))
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
            sources[view.extractor.name] = self._values(evidence, self._real(view, len(made)))
            seen.append(self._evidence(view, made.first(self.n)))
        for name, one in said.items() if seen else ():
            if found := self._asked(name, one, len(drawn), partial(replace, seen[0])):
                sources[name] = found
        return Judged(Scores(None, sources), classes)

    @property
    def extractors(self) -> list[FittedExtractor]:
        """Those that judge, in order."""
        return [view.extractor for view in self._views]

    def record(self) -> dict[str, Any]:
        """What identifies this reference: N, how many are drawn, k, metrics with the versions of their definitions, how likelihoods are
        measured where they are, and each extractor with the digest of its weights and its real-vs-real values."""
        extractors = {}
        for view in self._views:
            extractors[view.extractor.name] = {**view.extractor.record(), "real": plain(self._real(view, self.drawn))}
        how = {"metrics": self._versions(), **({MODEL: {"latent_draws": self.latent_draws}} if self.likelihoods else {})}
        return {"n": self.n, "drawn": self.drawn, **self.neighbours, **how, "extractors": extractors}

    def _versions(self) -> dict[str, int]:
        return {name: metric.version for name, metric in self.metrics.items()}

    def _values(self, evidence: Evidence, real: dict[str, RealVsReal]) -> dict[str, Value]:
        found = {}
        for metric in self.metrics.values():
            n = self.n if evidence.drawn is None or not metric.of_all else len(evidence.drawn)
            for name, value in metric.measure(evidence).items():
                found[name] = Value(value, real.get(name), n)
        return found

    def features(self, images: ImageSet) -> Tensor:
        """float64 [N, D], by the first extractor."""
        return feature_set(self._views[0].extractor, images).features

    def _view(self, extractor: FittedExtractor, world: World) -> View:
        """The real pictures' features, and what of real vs real is of the N pictures compared."""

        def make() -> cache.Made:
            view = real_view(extractor, world, self.n)
            tensors = {"train": view.train.features.float(), "unseen": view.unseen.features.float()}
            tensors |= {} if view.unseen.classes is None else {"found": view.unseen.classes}
            return tensors, plain(self._between_real(view, world))

        tensors, real = self._remembered(extractor, "", make)
        self._compared[extractor.name] = ranges(real)
        train, unseen = FeatureSet(placed(tensors["train"])), FeatureSet(placed(tensors["unseen"]), tensors.get("found"))
        return view_of(extractor, world, train, unseen, self.n)

    def _remembered(self, extractor: FittedExtractor, more: str, make: Callable[[], cache.Made]) -> cache.Made:
        """What that gives; it is kept in the data folder, for all runs with this reference."""
        code = source(type(extractor), *(metric.measure for metric in self.metrics.values()))
        which = [self._world, extractor.record(), self.n, self.neighbours, self._versions(), code, real_vs_real.SPLITS, more]
        return cache.remembered("references", f"{self._world['name']}-{extractor.name}{more}", json.dumps(which, sort_keys=True), make)

    def _between_real(self, view: View, world: World) -> dict[str, RealVsReal]:
        """Real vs real of the metrics that are of the N pictures compared."""
        metrics = [metric for metric in self.metrics.values() if metric.real and not metric.of_all]
        (copies,) = self._copies(world.held_out, self._trained_on)

        def measure(samples: Tensor, held_out: Tensor, split: int) -> dict[str, float]:
            own = None if copies is None else copies[samples]
            learned = view.train if self.memory else None
            evidence = self._evidence(view, taken(view.unseen, samples), learned=learned, copies=own, learned_copies=own)
            return measured(metrics, replace(evidence, held_out=taken(view.unseen, held_out)))

        return over_splits(len(view.unseen), self.n, measure, f"real vs real ({view.extractor.name})")

    def _real(self, view: View, drawn: int) -> dict[str, RealVsReal]:
        """All real-vs-real values: of what is of all that was drawn, those of as many real pictures."""
        name = view.extractor.name
        if (name, drawn) not in self._of_all:
            metrics = [metric for metric in self.metrics.values() if metric.real and metric.of_all]

            def measure(classes: Tensor) -> dict[str, float]:
                return measured(metrics, self._evidence(view, view.held_out, drawn=classes))

            def make() -> cache.Made:
                known = view.unseen.classes is not None and metrics
                return {}, plain(of_classes(view.unseen, self.shares, drawn, measure)) if known else {}

            self._of_all[name, drawn] = ranges(self._remembered(view.extractor, f"-{drawn}", make)[1])
        return self._compared[name] | self._of_all[name, drawn]

    def _evidence(self, view: View, generated: FeatureSet, **more: Any) -> Evidence:
        more |= self.neighbours | {"bands": view.extractor.bands if isinstance(view.extractor, Banded) else ()}
        return Evidence(view.train, view.held_out, generated, real_shares=self.shares, confusion=view.confusion, **more)

    def _copies(self, drawn: ImageSet, *sets: Tensor | None) -> list[Tensor | None]:
        """bool [N] for the fingerprints of each set: which pictures are in it."""
        own = fingerprints(drawn.pixels) if self.memory else None
        return [None if own is None or of is None else torch.isin(own, of) for of in sets]


def _spread(images: ImageSet, n: int) -> ImageSet:
    """n pictures evenly spread over the set, so that each of its origins is there with its share; all where there are fewer."""
    return images if len(images) <= n else images[torch.arange(n) * len(images) // n]
