"""Training pictures drawn from a fitted model as they are needed: every batch is new, and no set is ever made of them."""

from dataclasses import dataclass
from typing import Any, Protocol

from imgcollapse.files import digest
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, ImageStream, Sampler, concatenate
from imgcollapse.models.sampling import of_generation
from imgcollapse.regimes import Mixing, Real, Regime, origins, provenance
from imgcollapse.regimes.provenance import bias_of
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.training import Training

ROWS = 100  # of so many pictures each a mixed stream has its share of real ones, where a learner's batch is not known


class Parent(Protocol):
    """A finished generation (see `imgcollapse.store.past.Generation`)."""

    @property
    def number(self) -> int:
        """Its place in the chain."""

    @property
    def model(self) -> Any:
        """Its fitted model."""

    @property
    def model_digest(self) -> str | None:
        """SHA-256 of its weights."""


@dataclass(frozen=True, eq=False)
class ModelStream:
    """An `ImageStream` of what one model draws.

    model:      fitted
    shape:      (C, H, W) of a picture
    are_points: whether it draws points
    generation: its number
    digest:     of its weights
    """

    model: Sampler
    shape: tuple[int, int, int]
    are_points: bool
    generation: int
    digest: str | None

    @classmethod
    def of(cls, parent: Parent, like: ImageSet) -> "ModelStream":
        """Of that generation's model, which draws pictures like these."""
        return cls(of_generation(parent.model, parent.number), like.shape, like.are_points, parent.number, parent.model_digest)

    def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
        """n new pictures, wherever in the stream."""
        return self.model.sample(n, seed).born_in(self.generation)

    def record(self) -> dict[str, Any]:
        """The generation whose model draws, and the digest of its weights."""
        return {"generation": self.generation, "model": self.digest}


@dataclass(frozen=True, eq=False)
class MixedStream:
    """An `ImageStream` of real pictures and of what one model draws, in random places of every batch.

    Of the first i pictures round(i k / (k + samples)) are real, k = len(real): in each batch their share, to one picture, and in all
    batches together exactly. They come by random permutations of the k real ones, one after the other, as from a fixed set.

    drawn:   the stream of the samples
    real:    the real pictures
    samples: beside how many samples they would stand in a training set
    rows:    pictures of a batch
    seed:    of the order of the real pictures
    """

    drawn: ModelStream
    real: ImageSet
    samples: int
    rows: int
    seed: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        return self.drawn.shape

    @property
    def are_points(self) -> bool:
        """Whether it gives points."""
        return self.drawn.are_points

    def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
        """n pictures after the `first` ones: the seed decides the samples, and the place which real pictures there are, and where."""
        number = first // self.rows
        start = number * self.rows
        marks = [self._marks(one) for one in range(number, -(-(first + n) // self.rows))]
        is_real = torch.cat(marks)[: first + n - start] if marks else torch.zeros(0, dtype=torch.bool)
        before, is_real = self._before(start) + int(is_real[: first - start].sum()), is_real[first - start :]
        k = int(is_real.sum())
        real = self.real[self._order(before, k)]
        both = concatenate([real, self.drawn.batch(n - k, seed)]) if k < n else real
        places = torch.empty(n, dtype=torch.int64)
        places[is_real], places[~is_real] = torch.arange(k), torch.arange(k, n)
        return both[places]

    def record(self) -> dict[str, Any]:
        """The model that draws, the real pictures and how many samples stand beside them, and what else decides the batches."""
        real = {"sha256": self.real.digest(), "pictures": len(self.real), "samples": self.samples, "seed": self.seed}
        return {**self.drawn.record(), "real": real, "batch": self.rows}

    def consumed(self, size: int, classes: tuple[str, ...]) -> dict[str, Any]:
        """How many real pictures there are among the first `size`, in all and per class (as in `regimes.origins`), and how many samples."""
        k = self._before(size)
        passes, rest = divmod(k, len(self.real))
        whole, part = (origins(one, classes).get("real", {"classes": {}}) for one in (self.real, self.real[self._order(k - rest, rest)]))
        counts = {name: passes * count + part["classes"].get(name, 0) for name, count in whole["classes"].items()}
        real = {"pictures": k, "classes": {name: count for name, count in counts.items() if count}}
        return {"real": real, f"generation {self.drawn.generation}": {"pictures": size - k, "classes": {}}}

    def _before(self, size: int) -> int:
        """How many of the first `size` pictures are real: to the nearest, halves up."""
        k, of = len(self.real), len(self.real) + self.samples
        return (2 * size * k + of) // (2 * of)

    def _marks(self, number: int) -> Tensor:
        """bool [rows]: which pictures of that batch are real."""
        k = self._before((number + 1) * self.rows) - self._before(number * self.rows)
        order = torch.randperm(self.rows, generator=torch_generator(derive(self.seed, "places", number)))
        return torch.zeros(self.rows, dtype=torch.bool).index_fill(0, order[:k], True)

    def _order(self, start: int, n: int) -> Tensor:
        """int64 [n]: which real pictures come after the first `start` of them."""
        each = len(self.real)
        passes = range(start // each, -(-(start + n) // each))
        drawn = [torch.randperm(each, generator=torch_generator(derive(self.seed, "pass", one))) for one in passes]
        return torch.cat([torch.empty(0, dtype=torch.int64), *drawn])[start % each :][:n]


def streamed(
    regime: Regime, real: Real, parent: Parent, n: int, seed: int, learner: object, classes: tuple[str, ...]
) -> tuple[ImageSet | ImageStream, dict[str, Any]]:
    """What the generation after `parent` learns from under a regime that streams, and its provenance.

    As `imgcollapse.regimes.provenance` has it of a set, of as many pictures as the learner will ask for; where no sample is among them
    it is a set. n, seed: as for a regime.
    """
    drawn = ModelStream.of(parent, real.seen)
    size, rows = (learner.steps * learner.batch, learner.batch) if isinstance(learner, Training) else (0, ROWS)
    pictures, samples = regime.beside(real, parent.number + 1, n, seed) if isinstance(regime, Mixing) else (real.seen[:0], n)
    if not samples:
        return pictures, provenance(pictures, classes, regime=regime)
    if not len(pictures):
        origin = {f"generation {drawn.generation}": {"pictures": size, "classes": {}}}
        return drawn, {"size": size, "training_set": digest(drawn.record()), "stream": drawn.record(), "made_of": origin}
    stream = MixedStream(drawn, pictures, samples, rows, derive(seed, "stream"))
    made = {"size": size, "training_set": digest(stream.record()), "stream": stream.record()}
    return stream, {**made, "made_of": stream.consumed(size, classes), **bias_of(regime)}
