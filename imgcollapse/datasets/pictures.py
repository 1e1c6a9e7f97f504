"""Picture files to a world: decoded, all of one size, every kind of damage told in one line."""

import math
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgcollapse import machine, progress
from imgcollapse.datasets import decoder
from imgcollapse.datasets.dataset import order, problems_at, split
from imgcollapse.datasets.refused import WHOLE
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Listed(NamedTuple):
    """A picture file that is yet to be read: where it lies (for messages), its class, its bytes on demand."""

    place: str
    label: int
    read: Callable[[], bytes]


def is_picture(name: PurePath) -> bool:
    """Whether this relative name is a picture's, by its suffix. Hidden files and folders hold previews, not data."""
    return name.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in name.parts)


def world_of(
    kind: str,
    stem: str,
    classes: tuple[str, ...],
    train: Sequence[Listed],
    held_out: Sequence[Listed] | None,
    share: float,
    alpha: decoder.Alpha = "refuse",
) -> World:
    """Reads the files; without held-out files, holds out a fixed random `share` of the others."""
    name = f"{kind}-{stem}" if stem else kind
    files = [*train, *(held_out or ())]
    images = ImageSet.of(decode(files, alpha), torch.tensor([file.label for file in files]))
    if held_out is None:
        return World(name, *split(images, max(1, round(share * len(files))), kind), classes)
    index = order(len(train), kind, "train"), len(train) + order(len(held_out), kind, "held_out")
    return World(name, images[index[0]], images[index[1]], classes)


def decode(files: Sequence[Listed], alpha: decoder.Alpha = "refuse", option: str = "dataset.alpha") -> Tensor:
    """uint8 [N, C, H, W]; C is 1 where all pixels of all are grey, else 3. `option` is the name of `alpha` for the user.

    Raises DataProblem for what `decoder` refuses, for a second size, and for more than the machine's memory holds.
    """
    pixels = np.empty((0, 0, 0, 0), np.uint8)
    for i in progress.steps(len(files), "read pictures"):
        with problems_at(files[i].place, WHOLE):
            picture = decoder.pixels(files[i].read(), alpha, option)
        if i == 0:
            pixels = _room(files, picture.shape)
        (h, w), (height, width) = picture.shape[1:], pixels.shape[2:]
        if (h, w) != (height, width):
            others = f"{files[0].place} is {width}x{height}"
            raise DataProblem(f"{files[i].place}: is {w}x{h} pixels, but {others}; make all pictures one size")
        if len(picture) > pixels.shape[1]:  # the first one in colour
            grey, pixels = pixels, _room(files, picture.shape)
            pixels[:i] = grey[:i]
        pixels[i] = picture  # grey spreads over three channels
    return torch.from_numpy(pixels)


def _room(files: Sequence[Listed], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 [N, *shape], not filled. Raises DataProblem where that, and its parts in their order beside it, are too much."""
    needed, there = 2 * len(files) * math.prod(shape), machine.memory()
    if needed > there:
        (_, height, width), most = shape, there // (2 * math.prod(shape))
        wrong = f"{len(files):,} pictures of {width}x{height} pixels need {needed / 1e9:,.1f} GB of memory, {there / 1e9:,.1f} GB are there"
        raise DataProblem(f"{files[0].place}: {wrong}; make them smaller, or name at most {most:,} of them")
    return np.empty((len(files), *shape), np.uint8)
