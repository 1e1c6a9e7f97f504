"""The ruler: reference pictures, extractors and floors, fixed before generation 0; the only place that knows extractors and metrics."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, WeightsProblem
from imgcollapse.extractors import AnyExtractor, FittedExtractor
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.images import ImageSet, World, marks
from imgcollapse.machine import cache, machine
from imgcollapse.metrics import METRICS, Evidence, Seen
from imgcollapse.metrics.classes import CONFIDENT
from imgcollapse.metrics.evidence import NO_CLASS, confusion_of
from imgcollapse.settings import Settings

Scores = dict[str, Any]
NEIGHBOURS = ("k", "k_precision", "k_probabilistic")


def neighbours(record: Mapping[str, Any]) -> str:
    """`k = 3 (precision, recall), 5 (density, coverage), 4 (probabilistic)` of scores or a ruler's record; older ones have one k."""
    k, k_precision, k_probabilistic = (record.get(name) for name in NEIGHBOURS)
    parted = f"k = {k_precision} (precision, recall), {k} (density, coverage), {k_probabilistic} (probabilistic)"
    return f"k = {k}" if k_precision is None else parted


class Judge(Settings):
    """How generations are judged."""

    extractors: tuple[AnyExtractor, ...] | None = Field(
        None, description="features to judge by; none: classifier for pictures of several classes, else pixels; []: no judging"
    )
    metrics: tuple[str, ...] | None = Field(None, description="names of metrics; none: all but those that have to be asked for")
    n: PositiveInt | None = Field(None, description="pictures compared; none: as many as are held out and drawn, at most 10,000")
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
        blind = world.train.are_points or len(world.classes) < 2  # to a classifier
        chosen = ((Pixels() if blind else Classifier()),) if self.extractors is None else self.extractors
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

    def open(self, world: World) -> "Ruler":
        """The fixed ruler of a study; call it on resolved options.

        An extractor whose weights are not there is said and left out, as long as another one is left. Raises WeightsProblem where none is.
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
        return Ruler(self, world, fitted)


class Judged(NamedTuple):
    """What the ruler found.

    scores:  every metric by every extractor, with its floor: `{"n": N, "k": ..., "extractors": {name: {"metrics": ..., "floor": ...}}}`
    classes: int64 [all drawn], the class found in each picture, or NO_CLASS; None where no extractor knows classes
    """

    scores: Scores
    classes: Tensor | None


@dataclass(frozen=True, eq=False)
class _Sight:
    """One extractor with everything it saw of the real world."""

    extractor: FittedExtractor
    train: Seen
    held_out: Seen
    confusion: Tensor | None


class Ruler:
    """Judges generations, all by the same reference, and never changes."""

    def __init__(self, judge: Judge, world: World, extractors: list[FittedExtractor]) -> None:
        assert judge.n is not None and judge.metrics is not None
        self.n, self.metrics = judge.n, {name: METRICS[name] for name in judge.metrics}
        self.neighbours = {name: int(getattr(judge, name)) for name in NEIGHBOURS}
        self.shares = world.shares()
        self.memory = any(metric.memory for metric in self.metrics.values())
        self._real = marks(world.train.pixels) if self.memory else None
        self._floors: dict[str, dict[str, float]] = {}
        self._sights = [self._look(extractor, world) for extractor in extractors]

    def __call__(self, drawn: ImageSet, learned_from: ImageSet | None = None) -> Judged:
        """Judges what a model drew by the first N of it. `learned_from` is the model's own training set, where it is known."""
        by_extractor, classes = {}, None
        known = learned_from if self.memory else None
        learned = None if known is None else _spread(known, self.n)
        copies, learned_copies = self._copies(drawn[: self.n], self._real, None if known is None else marks(known.pixels))
        for sight in self._sights:
            name = sight.extractor.name
            whole = sight.confusion is not None and classes is None  # of the first that knows classes, those of all that was drawn
            seen = _seen(sight.extractor, drawn if whole else drawn[: self.n])
            classes = seen.classes if whole else classes
            evidence = self._evidence(
                sight,
                seen.first(self.n),
                learned=None if learned is None else _seen(sight.extractor, learned),
                copies=copies,
                learned_copies=learned_copies,
            )
            metrics = {key: value for metric in self.metrics.values() for key, value in metric.measure(evidence).items()}
            by_extractor[name] = {"metrics": metrics, "floor": {key: self._floors[name][key] for key in metrics}}
        return Judged({"n": self.n, **self.neighbours, "extractors": by_extractor}, classes)

    @property
    def extractors(self) -> list[FittedExtractor]:
        """Those that judge, in order."""
        return [sight.extractor for sight in self._sights]

    def record(self) -> dict[str, Any]:
        """What names this ruler: N, k, metrics, and each extractor with the digest of its weights and its floor."""
        extractors = {s.extractor.name: {**s.extractor.record(), "floor": self._floors[s.extractor.name]} for s in self._sights}
        return {"n": self.n, **self.neighbours, "metrics": list(self.metrics), "extractors": extractors}

    def _look(self, extractor: FittedExtractor, world: World) -> _Sight:
        """The real pictures' features and their floor; of pictures they are kept in the data folder, for all runs with the same ruler."""
        if world.train.are_points:
            sight = self._first_look(extractor, world)
            self._floors[extractor.name] = self._floor(sight, world)
            return sight

        def make() -> cache.Made:
            sight = self._first_look(extractor, world)
            tensors = {"train": sight.train.features.float(), "held_out": sight.held_out.features.float()}
            for name, value in (
                ("found", sight.train.classes),
                ("held_out_found", sight.held_out.classes),
                ("confusion", sight.confusion),
            ):
                tensors |= {name: value} if value is not None else {}
            return tensors, self._floor(sight, world)

        ruler = [self.n, self.neighbours, list(self.metrics), _source()]
        key = json.dumps([world.record(), extractor.record(), ruler], sort_keys=True)
        real, self._floors[extractor.name] = cache.remembered("references", f"{world.name}-{extractor.name}", key, make)
        train = Seen(_placed(real["train"]), real.get("found"), world.train.labels[: self.n])
        held_out = Seen(_placed(real["held_out"]), real.get("held_out_found"), world.held_out.labels[: self.n])
        return _Sight(extractor, train, held_out, real.get("confusion"))

    def _first_look(self, extractor: FittedExtractor, world: World) -> _Sight:
        knows = extractor.probabilities(extractor.features(world.held_out.pixels[:1])) is not None
        held_out = _seen(extractor, world.held_out if knows else world.held_out[: self.n])  # confusions are counted in all of them
        confusion = None if held_out.classes is None else confusion_of(held_out.classes, world.held_out.labels, len(world.classes))
        train = _seen(extractor, world.train[: self.n])
        return _Sight(
            extractor,
            Seen(train.features, train.classes, world.train.labels[: self.n]),
            Seen(held_out.features, held_out.classes, world.held_out.labels[: len(held_out)]).first(self.n),
            confusion,
        )

    def _floor(self, sight: _Sight, world: World) -> dict[str, float]:
        (copies,) = self._copies(world.held_out[: self.n], self._real)
        remembering = self._evidence(sight, sight.held_out, learned=sight.train, copies=copies, learned_copies=copies)
        usual = self._evidence(sight, sight.train)
        return {
            key: value for metric in self.metrics.values() for key, value in metric.measure(remembering if metric.memory else usual).items()
        }

    def _evidence(self, sight: _Sight, generated: Seen, **more: Any) -> Evidence:
        more |= self.neighbours
        return Evidence(sight.train, sight.held_out, generated, self.shares, sight.confusion, **more)

    def _copies(self, drawn: ImageSet, *sets: Tensor | None) -> list[Tensor | None]:
        """bool [N] for the marks of each set: which pictures are in it."""
        own = marks(drawn.pixels) if self.memory else None
        return [None if own is None or of is None else torch.isin(own, of) for of in sets]


def _seen(extractor: FittedExtractor, images: ImageSet) -> Seen:
    features = extractor.features(images.pixels)
    sure = extractor.probabilities(features)
    if sure is None:
        return Seen(_placed(features))
    most = sure.max(1)
    return Seen(_placed(features), torch.where(most.values >= CONFIDENT, most.indices, NO_CLASS))


def _placed(features: Tensor) -> Tensor:
    """float64, on the GPU where there is one that computes in it."""
    device = machine.current().torch_device()
    return features.double().to(device if device.type == "cuda" else "cpu")


def _spread(images: ImageSet, n: int) -> ImageSet:
    """n pictures evenly spread over the set, so that each of its origins is there with its share; all where there are fewer."""
    return images if len(images) <= n else images[torch.arange(n) * len(images) // n]


@functools.cache
def _source() -> str:
    """A digest of the code that measures: what an older version measured is measured again."""
    files = [Path(__file__), *sorted((Path(__file__).parent.parent / "metrics").glob("*.py"))]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
