"""Regimes: of what a generation's training set is made. To add one, write a class and add its line to the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from pydantic import Field

from imgcollapse import seeds
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import REAL, UNLABELLED, ImageSet, concatenate, gathered
from imgcollapse.settings import Settings, one_of


@dataclass(frozen=True, eq=False)
class Real:
    """The real pictures of a study.

    seen:   what generation 0 learns from
    unseen: the other pictures of the training part, which no generation has seen
    """

    seen: ImageSet
    unseen: ImageSet


class Have(NamedTuple):
    """The real pictures that there are to learn from.

    pictures: their number
    name:     of the data set, for messages
    endless:  whether it can make more of them (a toy world)
    """

    pictures: int
    name: str = "the data set"
    endless: bool = False


class Plan(NamedTuple):
    """How many real pictures a chain takes: what generation 0 learns from, and of those that it has not seen, what later ones need."""

    seen: int
    unseen: int


class Regime(Protocol):
    """How real pictures and samples become a training set."""

    needs_all_samples: ClassVar[bool]  # or only those of the newest generation

    @property
    def kind(self) -> str:
        """Its name in the table."""

    @property
    def streams(self) -> bool:
        """Whether the newest model draws training pictures as they are needed, instead of a set of its samples."""

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The training set of generation `len(past)`: `real.seen`, whole, while there are no samples yet.

        past: the samples of generations 0, 1 ..., each read when it is asked for; n of each, or fewer where a gate let fewer in
        n:    the size of a training set; under `accumulate`, what every generation adds to it
        """

    def title(self) -> str:
        """The regime in a few words."""

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """What a chain of `gens` generations with n samples each takes. Raises SettingsProblem where there are too few real pictures."""


class Replace(Settings):
    """Learn from the newest samples only: the fully synthetic loop."""

    kind: Literal["replace"] = "replace"
    stream: bool = Field(False, description="draw every batch anew from the newest model, which networks can learn from")
    needs_all_samples: ClassVar[bool] = False

    @property
    def streams(self) -> bool:
        """As asked for."""
        return self.stream

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The newest samples."""
        return past[-1][:n] if past else real.seen

    def title(self) -> str:
        """Its name."""
        return f"{self.kind} (stream)" if self.stream else self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0 alone."""
        return Plan(seen=min(n, have.pictures), unseen=0)


class Retain(Settings):
    """Learn from the newest samples with a share of real pictures mixed in; the total size stays the same."""

    kind: Literal["retain"] = "retain"
    needs_all_samples: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    real_fraction: float = Field(0.1, ge=0, le=1, description="share of real pictures in a training set of constant size")
    pool: Literal["fixed", "resample", "fresh"] = Field(
        "resample", description="the same real pictures for ever, drawn anew each generation, or pictures no generation has seen"
    )

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """k = round(real_fraction n) real pictures and the first n - k of the newest samples."""
        if not past:
            return real.seen
        k = self._real_count(n)
        source = real.unseen if self.pool == "fresh" else real.seen
        start = (len(past) - 1) * k if self.pool == "fresh" else 0
        assert start + k <= len(source), "the plan says what the regime needs before the start"
        kept = source[start : start + k]
        if self.pool == "resample":
            kept = source[torch.randperm(len(source), generator=seeds.torch_generator(seed))[:k]]
        return concatenate([kept, past[-1][: n - k]])

    def title(self) -> str:
        """Name, fraction and pool."""
        return f"{self.kind} {100 * self.real_fraction:g} % real ({self.pool})"

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """k = round(real_fraction n) of the seen pictures, or for the pool `fresh` k unseen ones for each generation after 0."""
        first, k = min(n, have.pictures), self._real_count(n)
        if self.pool != "fresh":
            if k > first:
                raise SettingsProblem(
                    f"regime.real_fraction: {k} real pictures are wanted in every training set of {n}, {have.name} has {first}; "
                    "take fewer --samples or a smaller fraction"
                )
            return Plan(seen=first, unseen=0)
        unseen = (gens - 1) * k
        if first + unseen > have.pictures and not have.endless:
            most = next((m for m in range(first, 0, -1) if m + (gens - 1) * self._real_count(m) <= have.pictures), 0)
            raise SettingsProblem(
                f"regime.pool: fresh real pictures will not last: generation 0 takes {first}, the {gens - 1} after it {unseen} more, "
                f"{have.name} has {have.pictures}; set --samples to at most {most}, or use --pool resample"
            )
        return Plan(seen=first, unseen=unseen)

    def _real_count(self, n: int) -> int:
        return int(self.real_fraction * n + 0.5)  # to the nearest, halves up: Python's round() would take 0.5 to 0


class Accumulate(Settings):
    """Learn from all real pictures and the samples of every generation so far."""

    kind: Literal["accumulate"] = "accumulate"
    needs_all_samples: ClassVar[bool] = True
    streams: ClassVar[bool] = False

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The real pictures, then the samples in the order of their generations."""
        return gathered(real.seen, past, most=n) if past else real.seen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0, which all others learn from too."""
        return Plan(seen=min(n, have.pictures), unseen=0)


REGIMES: dict[str, type[Regime]] = {
    "replace": Replace,
    "retain": Retain,
    "accumulate": Accumulate,
}

if TYPE_CHECKING:
    AnyRegime = Regime
else:
    AnyRegime = one_of(REGIMES)  # built from the table, which a type checker cannot follow


def provenance(images: ImageSet, classes: tuple[str, ...], gates: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Of what a training set is made: its size, its digest and its `origins`. Plain JSON values.

    gates: where there are any, whom they were offered and whom they let in (see `imgcollapse.gates`).
    """
    made = {"size": len(images), "training_set": images.digest(), "made_of": origins(images, classes)}
    return made if gates is None else {**made, "gates": dict(gates)}


def origins(images: ImageSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """For `real` and each generation that made some of the pictures, in this order: their number, in all and per class.

    Pictures that their maker gave no class are counted as `unlabelled`, or `(unlabelled)` where a class has that name. Plain JSON values.
    """
    if not len(images):
        return {}
    width = len(classes) + 2  # no class, each class, and what is in none of them, which counts only in all
    column = torch.where((images.labels < UNLABELLED) | (images.labels >= len(classes)), len(classes), images.labels) - UNLABELLED
    first = int(images.born.min())
    counted = torch.bincount((images.born - first) * width + column).tolist()
    names = ["(unlabelled)" if "unlabelled" in classes else "unlabelled", *classes]
    order = [*range(1, width - 1), 0]  # the classes first
    found = {}
    for born, start in enumerate(range(0, len(counted), width), first):
        counts = (counted[start : start + width] + [0] * width)[:width]  # the last row ends with its last picture
        if sum(counts):
            per_class = {names[at]: counts[at] for at in order if counts[at]}
            found["real" if born == REAL else f"generation {born}"] = {"pictures": sum(counts), "classes": per_class}
    return found


def generations_in(provenance: Mapping[str, Any]) -> list[int]:
    """The generations whose samples are in a training set, in order."""
    return [int(name.split()[-1]) for name in provenance["made_of"] if name != "real"]


def made_of(provenance: dict[str, Any]) -> str:
    """A set's origins in words: `learned from 10 % real, 90 % generation 3`."""
    parts, size = provenance["made_of"], provenance["size"]
    shares = {name: f"{100 * part['pictures'] / size:.3g} %" for name, part in parts.items()}
    if len(parts) == 1:
        return f"learned from {'real pictures' if 'real' in parts else next(iter(parts))}"
    if len(parts) > 3:
        made = [name for name in parts if name != "real"]
        rest = f"generations {made[0].split()[-1]} to {made[-1].split()[-1]}"
        return f"learned from {shares['real']} real, the rest {rest}" if "real" in parts else f"learned from {rest}"
    return "learned from " + ", ".join(f"{share} {name}" for name, share in shares.items())
