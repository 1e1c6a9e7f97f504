"""Regimes: of what a generation's training set is made. To add one, write a class and add its line to the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from pydantic import Field

from imgcollapse import seeds
from imgcollapse.images import ImageSet, concatenate
from imgcollapse.settings import Settings, one_of


@dataclass(frozen=True, eq=False)
class Real:
    """The real pictures of a study.

    seen:   what generation 0 learns from
    unseen: the other pictures of the training part, which no generation has seen
    """

    seen: ImageSet
    unseen: ImageSet


class Regime(Protocol):
    """How real pictures and samples become a training set."""

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def __call__(self, real: Real, samples: Sequence[ImageSet], seed: int) -> ImageSet:
        """The training set of generation `len(samples)`: `real.seen`, whole, while there are no samples yet."""

    def title(self) -> str:
        """The regime in a few words."""

    def needs(self, n: int, gens: int) -> tuple[int, int]:
        """How many seen and how many unseen real pictures a chain of `gens` generations with n samples each takes."""


class Replace(Settings):
    """Learn from the newest samples only: the fully synthetic loop."""

    kind: Literal["replace"] = "replace"

    def __call__(self, real: Real, samples: Sequence[ImageSet], seed: int) -> ImageSet:
        """The newest samples."""
        return samples[-1] if samples else real.seen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def needs(self, n: int, gens: int) -> tuple[int, int]:
        """Neither."""
        return 0, 0


class Retain(Settings):
    """Learn from the newest samples with a share of real pictures mixed in; the total size stays the same."""

    kind: Literal["retain"] = "retain"
    real_fraction: float = Field(0.1, ge=0, le=1, description="share of real pictures in a training set of constant size")
    pool: Literal["fixed", "resample", "fresh"] = Field(
        "resample", description="the same real pictures for ever, drawn anew each generation, or pictures no generation has seen"
    )

    def __call__(self, real: Real, samples: Sequence[ImageSet], seed: int) -> ImageSet:
        """k = round(real_fraction n) real pictures and the first n - k of the n newest samples."""
        if not samples:
            return real.seen
        newest = samples[-1]
        k = self._kept(len(newest))
        source = real.unseen if self.pool == "fresh" else real.seen
        start = (len(samples) - 1) * k if self.pool == "fresh" else 0
        assert start + k <= len(source), "the study checks what the regime needs before it starts"
        kept = source[start : start + k]
        if self.pool == "resample":
            kept = source[torch.randperm(len(source), generator=seeds.torch_generator(seed))[:k]]
        return concatenate([kept, newest[: len(newest) - k]])

    def title(self) -> str:
        """Name, fraction and pool."""
        return f"{self.kind} {100 * self.real_fraction:g} % real ({self.pool})"

    def needs(self, n: int, gens: int) -> tuple[int, int]:
        """k = round(real_fraction n) seen pictures, or for the pool `fresh` k unseen ones for each generation after 0."""
        k = self._kept(n)
        return (0, (gens - 1) * k) if self.pool == "fresh" else (k, 0)

    def _kept(self, n: int) -> int:
        return int(self.real_fraction * n + 0.5)  # to the nearest, halves up: Python's round() would take 0.5 to 0


class Accumulate(Settings):
    """Learn from all real pictures and the samples of every generation so far."""

    kind: Literal["accumulate"] = "accumulate"

    def __call__(self, real: Real, samples: Sequence[ImageSet], seed: int) -> ImageSet:
        """The real pictures, then the samples in the order of their generations."""
        return concatenate([real.seen, *samples]) if samples else real.seen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def needs(self, n: int, gens: int) -> tuple[int, int]:
        """Neither."""
        return 0, 0


REGIMES: dict[str, type[Regime]] = {
    "replace": Replace,
    "retain": Retain,
    "accumulate": Accumulate,
}

if TYPE_CHECKING:
    AnyRegime = Regime
else:
    AnyRegime = one_of(REGIMES)  # built from the table, which a type checker cannot follow
