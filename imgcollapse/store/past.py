"""The generations before: their samples and models, read when they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.store.layout import MENDS, MODEL, SAMPLES, generation_folder, origin_folder
from imgcollapse.store.manifest import damage, has, part_digest
from imgcollapse.store.npz import read_images

T = TypeVar("T")
Load = Callable[[Path], Any]  # of a model from its folder


class Start(Protocol):
    """Weights to begin with: of a generation, or from elsewhere."""

    @property
    def model(self) -> Any:
        """The model whose weights they are."""

    def origin(self) -> dict[str, Any]:
        """What of it decides a generation that begins with it."""


@dataclass(frozen=True)
class Generation:
    """A finished generation. Nothing of it is read before it is asked for.

    number:  its place in the chain
    folder:  where it lies
    load:    opens the model in a folder
    """

    number: int
    folder: Path
    load: Load

    @cached_property
    def samples(self) -> ImageSet:
        """What it drew; its arrays are mapped from the disk, not copied. Raises DataProblem where they cannot be read."""
        return read_images(self.folder / SAMPLES)

    @cached_property
    def model(self) -> Any:
        """The fitted model."""
        return self.load(self.folder / MODEL)

    @property
    def digest(self) -> str | None:
        """SHA-256 of its samples, by its manifest."""
        return part_digest(self.folder, SAMPLES)

    @property
    def model_digest(self) -> str | None:
        """SHA-256 of its weights, by its manifest."""
        return part_digest(self.folder, MODEL)

    def origin(self) -> dict[str, Any]:
        """What of it decides a generation that begins with its weights."""
        return {"generation": self.number, "sha256": self.model_digest}


def kept_model(run: Path, generation: int, load: Load) -> Any:
    """The fitted model of a finished generation. Raises DataProblem where it was thrown away or is damaged."""
    folder = generation_folder(run, generation)
    if wrong := damage(folder, only=MODEL):
        raise DataProblem(f"{folder}: {wrong}; {MENDS}")
    if not has(folder, MODEL):
        raise DataProblem("models are no longer kept (keep.models, or imgcollapse prune)")
    return load(folder / MODEL)


class OnDemand(Sequence[T]):
    """So many items, each made when it is asked for, and not kept: `item(number)`."""

    def __init__(self, count: int, item: Callable[[int], T]) -> None:
        self._count, self._item = count, item

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        numbers = range(self._count)[index]
        return self._item(numbers) if isinstance(numbers, int) else [self._item(number) for number in numbers]


class Past(OnDemand[Generation]):
    """Generations 0 to `count` - 1 of a run."""

    def __init__(self, run: Path, count: int, load: Load) -> None:
        self.run, self.load = run, load
        super().__init__(count, lambda number: Generation(number, generation_folder(run, number), load))

    @property
    def samples(self) -> Sequence[ImageSet]:
        """The sample sets alone, each read when it is asked for."""
        return OnDemand(len(self), lambda number: self[number].samples)

    def digest(self, origin: str) -> str | None:
        """SHA-256 of the samples of a generation, by its manifest: one of these, `3`, or `3 of chain 1`, another chain of the ensemble."""
        return part_digest(origin_folder(self.run, origin), SAMPLES)
