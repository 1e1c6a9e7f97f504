"""The ruler: reference pictures, extractors and floors, fixed before generation 0; the only place that knows extractors and metrics."""

import functools
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from imgcollapse import cache
from imgcollapse.errors import SettingsProblem
from imgcollapse.extractors import AnyExtractor, FittedExtractor
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.images import ImageSet, World
from imgcollapse.metrics import METRICS, Evidence, Seen
from imgcollapse.metrics.classes import CONFIDENT, NO_CLASS, false_hit_rates
from imgcollapse.settings import Settings

Scores = dict[str, Any]


class Judge(Settings):
    """How generations are judged."""

    extractors: tuple[AnyExtractor, ...] | None = Field(
        None, description="features to judge by; none: classifier for pictures, pixels for points; []: no judging"
    )
    n: PositiveInt | None = Field(None, description="pictures compared; none: as many as are held out and drawn, at most 10,000")
    k: PositiveInt = Field(5, description="nearest neighbours for precision, recall, density, coverage")

    def resolved(self, world: World, samples: int) -> "Judge":
        """The same with every automatic choice made. Raises SettingsProblem for an n or k that this world does not have."""
        there = min(len(world.held_out), len(world.train), samples)
        n = min(there, 10_000) if self.n is None else self.n
        if n > there:
            raise SettingsProblem(
                f"judge.n: {n} pictures cannot be compared: {len(world.held_out)} are held out, {len(world.train)} are for training, "
                f"{samples} are drawn; set it to at most {there}"
            )
        chosen = ((Pixels() if world.train.are_points else Classifier()),) if self.extractors is None else self.extractors
        kinds = [extractor.kind for extractor in chosen]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise SettingsProblem(f"judge.extractors: '{kind}' is named {kinds.count(kind)} times; name each extractor once")
        if chosen and n <= self.k:
            raise SettingsProblem(
                f"judge.k: {self.k} neighbours need more than {self.k} pictures, {n} are compared; set a smaller k or more --samples"
            )
        return Judge(extractors=chosen, n=n, k=self.k)

    def open(self, world: World) -> "Ruler":
        """The fixed ruler of a study; call it on resolved options."""
        assert self.extractors is not None and self.n is not None, "resolve the options first"
        return Ruler(self, world, [extractor.fit(world) for extractor in self.extractors])


@dataclass(frozen=True, eq=False)
class _Sight:
    """One extractor with everything it saw of the real world."""

    extractor: FittedExtractor
    train: Seen
    held_out: Seen
    false_hits: Tensor | None


class Ruler:
    """Judges generations, all by the same reference, and never changes."""

    def __init__(self, judge: Judge, world: World, extractors: list[FittedExtractor]) -> None:
        assert judge.n is not None
        self.n, self.k = judge.n, judge.k
        self.shares = world.shares()
        self._floors: dict[str, dict[str, float]] = {}
        self._sights = [self._look(extractor, world) for extractor in extractors]

    def __call__(self, drawn: ImageSet) -> Scores:
        """Every metric by every extractor, with its floor: `{"n": N, "extractors": {name: {"metrics": {...}, "floor": {...}}}}`."""
        by_extractor = {}
        for sight in self._sights:
            name = sight.extractor.name
            generated = self._seen(sight.extractor, drawn[: self.n])
            by_extractor[name] = {"metrics": self._measure(sight, generated), "floor": self._floors[name]}
        return {"n": self.n, "k": self.k, "extractors": by_extractor}

    def classes(self, drawn: ImageSet) -> Tensor | None:
        """int64 [N]: the class found in each picture, or NO_CLASS; None where no extractor knows classes."""
        for sight in self._sights:
            if sight.false_hits is not None:
                return self._seen(sight.extractor, drawn).classes
        return None

    def record(self) -> dict[str, Any]:
        """What names this ruler: N, k, and each extractor with the digest of its weights and its floor."""
        extractors = {s.extractor.name: {**s.extractor.record(), "floor": self._floors[s.extractor.name]} for s in self._sights}
        return {"n": self.n, "k": self.k, "extractors": extractors}

    def _look(self, extractor: FittedExtractor, world: World) -> _Sight:
        """The real pictures' features and their floor; of pictures they are kept in the data folder, for all runs with the same ruler."""
        if world.train.are_points:
            sight = self._first_look(extractor, world)
            self._floors[extractor.name] = self._measure(sight, sight.train)
            return sight

        def make() -> cache.Made:
            sight = self._first_look(extractor, world)
            tensors = {"train": sight.train.features.float(), "held_out": sight.held_out.features.float()}
            for name, value in (
                ("found", sight.train.classes),
                ("held_out_found", sight.held_out.classes),
                ("false_hits", sight.false_hits),
            ):
                tensors |= {name: value} if value is not None else {}
            return tensors, self._measure(sight, sight.train)

        key = json.dumps([world.record(), extractor.record(), self.n, self.k, _source()], sort_keys=True)
        real, self._floors[extractor.name] = cache.remembered("references", f"{world.name}-{extractor.name}", key, make)
        train, held_out = Seen(real["train"].double(), real.get("found")), Seen(real["held_out"].double(), real.get("held_out_found"))
        return _Sight(extractor, train, held_out, real.get("false_hits"))

    def _first_look(self, extractor: FittedExtractor, world: World) -> _Sight:
        held_out = self._seen(extractor, world.held_out)
        false_hits = None
        if held_out.classes is not None:
            false_hits = false_hit_rates(held_out.classes, world.held_out.labels, len(world.classes))
        return _Sight(extractor, self._seen(extractor, world.train[: self.n]), self._seen(extractor, world.held_out[: self.n]), false_hits)

    def _seen(self, extractor: FittedExtractor, images: ImageSet) -> Seen:
        features = extractor.features(images.pixels)
        sure = extractor.probabilities(features)
        if sure is None:
            return Seen(features.double())
        most = sure.max(1)
        return Seen(features.double(), torch.where(most.values >= CONFIDENT, most.indices, NO_CLASS))

    def _measure(self, sight: _Sight, generated: Seen) -> dict[str, float]:
        evidence = Evidence(sight.train, sight.held_out, generated, self.shares, sight.false_hits, self.k)
        return {name: value for metric in METRICS.values() for name, value in metric(evidence).items()}


@functools.cache
def _source() -> str:
    """A digest of the code that measures: what an older version measured is measured again."""
    files = [Path(__file__), *sorted((Path(__file__).parent / "metrics").glob("*.py"))]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
