"""What a regime is, and the real pictures that it has to do with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from imgcollapse.images import ImageSet


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
    train:    they themselves, in their order, of which what generation 0 sees is the beginning; for a regime that chooses among them
    """

    pictures: int
    name: str = "the data set"
    endless: bool = False
    train: ImageSet | None = None


class Plan(NamedTuple):
    """How many real pictures a chain takes: what generation 0 learns from, and of those that it has not seen, what later ones need."""

    seen: int
    unseen: int


class Regime(Protocol):
    """How real pictures and samples become a training set."""

    needs_all_samples: ClassVar[bool]  # or only those of the newest generation

    from_teacher: ClassVar[bool]  # or from what each generation published; where it is, generation 0 draws anew for each of them

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


@runtime_checkable
class Mixing(Protocol):
    """A regime that has real pictures beside the samples, where it streams too."""

    def beside(self, real: Real, generation: int, n: int, seed: int) -> tuple[ImageSet, int]:
        """The real pictures of that generation, and how many samples they stand beside; arguments as of the regime."""
