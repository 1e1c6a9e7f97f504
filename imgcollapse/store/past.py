"""The generations before: their samples and models, read when they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from imgcollapse.images import ImageSet
from imgcollapse.store.layout import MODEL, SAMPLES, generation_folder
from imgcollapse.store.manifest import part_digest
from imgcollapse.store.npz import read_images

Load = Callable[[Path], Any]  # of a model from its folder


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


class Past(Sequence[Generation]):
    """Generations 0 to `count` - 1 of a run."""

    def __init__(self, run: Path, count: int, load: Load) -> None:
        self._run, self._count, self._load = run, count, load

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Generation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Generation]: ...
    def __getitem__(self, index: int | slice) -> Generation | list[Generation]:
        if isinstance(index, slice):
            return [self[one] for one in range(self._count)[index]]
        number = range(self._count)[index]
        return Generation(number, generation_folder(self._run, number), self._load)

    @property
    def samples(self) -> Sequence[ImageSet]:
        """The sample sets alone, each read when it is asked for."""
        return _Samples(self)


class _Samples(Sequence[ImageSet]):
    def __init__(self, past: Past) -> None:
        self._past = past

    def __len__(self) -> int:
        return len(self._past)

    @overload
    def __getitem__(self, index: int) -> ImageSet: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageSet]: ...
    def __getitem__(self, index: int | slice) -> ImageSet | list[ImageSet]:
        found = self._past[index]
        return [one.samples for one in found] if isinstance(found, list) else found.samples
