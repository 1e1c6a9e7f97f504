"""What a gate is."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from imgcollapse import progress
from imgcollapse.heavy import Tensor
from imgcollapse.images import ImageSet
from imgcollapse.regimes import Real


class Gate(Protocol):
    """What is done to pictures before they are published, and which of them may be learned from."""

    changes: ClassVar[bool]  # whether `publish` changes pictures, so that its options decide what a generation is

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def title(self) -> str:
        """The gate in a few words."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Its options (see `Settings`)."""

    def candidates(self, n: int) -> int:
        """How many pictures must be drawn so that about n of them are let in; n or more."""

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The pictures as the world gets to see them, as many and in the same order (a watermark is put in)."""

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """bool [N]: which pictures may be learned from.

        offered: samples of one generation, or the real pictures of a training set; `born` says which
        real:    the study's real pictures
        past:    for samples, those of the generations before theirs; for real pictures, all samples there are
        """


@runtime_checkable
class Detecting(Protocol):
    """A gate that goes by how surely a detector takes pictures for synthetic: what it tells is judged (metric `detection`)."""

    def told_apart(self, samples: ImageSet, held_out: ImageSet, real: Real, past: Sequence[ImageSet]) -> tuple[Tensor, Tensor]:
        """float64 [n] and [M], the greater the surer: of samples of one generation, without those that it has learned from, and of real
        pictures that it has not learned from.

        real: the study's real pictures; past: the samples of the generations before these, read when they are asked for
        """


@runtime_checkable
class Marking(Protocol):
    """A gate that publishes pictures with a mark in them, to which more may be done afterwards."""

    def before_attack(self, drawn: ImageSet, published: ImageSet, seed: int) -> ImageSet:
        """What `publish(drawn, seed)` had made, when nothing but the mark was in it; `published` is what that gave."""


def kth_greatest(found: Tensor, share: float) -> float:
    """The k-th greatest of m numbers of real pictures, k = floor(share (m + 1)): that of a new one passes it with probability k / (m + 1),
    whatever their distribution; infinite where k = 0."""
    k = int(share * (len(found) + 1))
    if not k:
        progress.say_once(
            f"gates: no threshold of {len(found)} real pictures keeps to {100 * share:g} % false positives, so nothing is taken for "
            f"synthetic: it takes {math.ceil(1 / share) - 1} of them, twice as many in all; set false_positives higher, or --samples"
        )
    return float(found.sort(descending=True).values[k - 1]) if k else float("inf")
