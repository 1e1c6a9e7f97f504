"""What every data set is: the options all share, and `read`."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings


class Dataset(Settings):
    """The options that every data set has; `load` applies them."""

    kind: str
    files: ClassVar[str] = ""  # of a set that is downloaded: its folder in the data folder
    subset: PositiveInt | None = Field(None, description="training pictures, equally many of each class; none: all")
    imbalance: float = Field(1.0, ge=1, description="long tail: pictures of the first class for one of the last")

    @abstractmethod
    def read(self, seed: int, extra: int) -> World:
        """All of the data set, both parts in random order; `load` is what callers want.

        Where the set is finite, split and order are the same for ever. Toy worlds draw a new set for each `seed`, with
        `extra` more training points. Raises DataProblem where the data is missing, damaged or not what it claims to be.
        """


def order(n: int, *place: int | str) -> Tensor:
    """int64 [n]: a random order that is the same for ever, one for each place."""
    return torch.randperm(n, generator=torch_generator(derive(0, *place)))


def split(images: ImageSet, held_out: int, *place: int | str) -> tuple[ImageSet, ImageSet]:
    """The training part, and `held_out` random pictures for the held-out part: the same for ever, not stratified."""
    index = order(len(images), *place, "split")
    return images[index[held_out:]], images[index[:held_out]]


@contextmanager
def problems_at(place: Path | str, cure: str) -> Iterator[None]:
    """Turns any error inside the block into a DataProblem of one line: place, reason, cure (the error's own, if it knows one)."""
    try:
        yield
    except Exception as error:  # damage makes Pillow and zipfile raise almost anything: SyntaxError, zlib.error ...
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise DataProblem(f"{place}: {reason}; {getattr(error, 'cure', cure)}") from error
