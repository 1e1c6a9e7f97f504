"""What every data set is: the options all share, and `read`."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field, PositiveInt

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings

ANEW = "both parts are drawn again for every seed"  # of toy worlds
LEAST = 4  # pictures of a class from which on some are held out


class Dataset(Settings):
    """The options that every data set has; `load` applies them."""

    kind: str
    are_points: ClassVar[bool] = False  # of a toy world
    files: ClassVar[str] = ""  # of a set that is downloaded: its folder in the data folder
    comes_split: ClassVar[str] = ""  # why there is nothing that could be split here; empty: `split` says how it is
    subset: PositiveInt | None = Field(None, description="number of training pictures, equally many of each class; none: all")
    imbalance: float = Field(1.0, ge=1, description="long tail: times as many pictures of the first class as of the last; 1: none")

    LATER: ClassVar[Sequence[str]] = ("split",)
    split: Literal["fixed", "seed"] = Field(
        "fixed", description="held-out part, where the data set has none: fixed (the same for all seeds), or seed (one for each seed)"
    )

    @property
    def shared_by_seeds(self) -> bool:
        """Whether all seeds have the same pictures in the training and in the held-out part."""
        return self.split == "fixed" and self.comes_split != ANEW

    def place(self, seed: int) -> tuple[int | str, ...]:
        """What tells the split of this seed from others in `order`: nothing for the fixed one."""
        return () if self.split == "fixed" else ("seed", seed)

    @abstractmethod
    def read(self, seed: int, extra: int) -> World:
        """All of the data set, both parts in random order; `load` is what callers want.

        Where the set is finite, split and order are the same for ever, by `split: seed` for each `seed`. Toy worlds draw a new set for
        each `seed`, with `extra` more training points. Raises DataProblem for data that is missing, damaged or not what it claims to be.
        """


def order(n: int, *place: int | str) -> Tensor:
    """int64 [n]: a random order that is the same for ever, one for each place."""
    return torch.randperm(n, generator=torch_generator(derive(0, *place)))


def split(images: ImageSet, held_out: int, *place: int | str) -> tuple[ImageSet, ImageSet]:
    """The training part, and `held_out` random pictures for the held-out part: the same for ever, not stratified (digits, published so)."""
    index = order(len(images), *place, "split")
    return images[index[held_out:]], images[index[:held_out]]


def stratified(images: ImageSet, share: float, name: str, *place: int | str) -> tuple[ImageSet, ImageSet]:
    """The training part and the held-out part: `share` of each class, to the nearest picture, and at least one, is held out.

    Classes of fewer than LEAST pictures are kept whole for training. The pictures, their classes and the place alone decide which ones are
    held out, not their order and names. Raises DataProblem where no class has enough.
    """
    images = images[fingerprints(images.pixels).argsort(stable=True)]  # equal pictures have equal fingerprints
    kept, out = [], []
    for label in images.labels.unique().tolist():
        members = (images.labels == label).nonzero()[:, 0]
        members = members[order(len(members), "stratified", *place)]
        held_out = held_out_of(len(members), share)
        out.append(members[:held_out])
        kept.append(members[held_out:])
    if not sum(map(len, out)):
        few = f"no class has {LEAST} pictures, so none can be held out to judge by"
        raise DataProblem(f"{name}: {few}; add pictures, or name a held-out part of their own with held_out")
    parts = (torch.cat(kept), "train"), (torch.cat(out), "held_out")
    train, held = (images[index[order(len(index), "stratified", part, *place)]] for index, part in parts)
    return train, held


def held_out_of(pictures: int, share: float) -> int:
    """How many pictures of a class are held out."""
    return min(pictures - 1, max(1, round(share * pictures))) if pictures >= LEAST else 0


@contextmanager
def problems_at(place: Path | str, cure: str) -> Iterator[None]:
    """Turns any error inside the block into a DataProblem of one line: place, reason, cure (the error's own, if it knows one)."""
    try:
        yield
    except Exception as error:  # damage makes Pillow and zipfile raise almost anything: SyntaxError, zlib.error ...
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise DataProblem(f"{place}: {reason}; {getattr(error, 'cure', cure)}") from error


@runtime_checkable
class Choosy(Protocol):
    """A part of a study that can do nothing with some worlds."""

    def check(self, world: World) -> None:
        """Raises DataProblem for a world that it can do nothing with."""


def check_all(parts: Iterable[object], world: World) -> None:
    """Raises DataProblem for a part that can do nothing with this world."""
    for part in parts:
        if isinstance(part, Choosy):
            part.check(world)
