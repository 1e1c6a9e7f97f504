"""Training pictures drawn from a fitted model as they are needed: every batch is new, and no set is ever made of them."""

from dataclasses import dataclass
from typing import Any, Protocol

from imgcollapse.files import digest
from imgcollapse.images import ImageSet, Sampler
from imgcollapse.models.sampling import of_generation
from imgcollapse.training import Training


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

    def batch(self, n: int, seed: int) -> ImageSet:
        """n new pictures."""
        return self.model.sample(n, seed).born_in(self.generation)

    def record(self) -> dict[str, Any]:
        """The generation whose model draws, and the digest of its weights."""
        return {"generation": self.generation, "model": self.digest}


def stream_provenance(stream: ModelStream, learner: object) -> tuple[ModelStream, dict[str, Any]]:
    """The stream, and its provenance as `imgcollapse.images.provenance` has it of a set: as many pictures as the learner will ask for."""
    size = learner.steps * learner.batch if isinstance(learner, Training) else 0
    origin = {f"generation {stream.generation}": {"pictures": size, "classes": {}}}
    return stream, {"size": size, "training_set": digest(stream.record()), "stream": stream.record(), "made_of": origin}
