"""Picture files to a world: decoded with Pillow, all of one size, every kind of damage told in one line."""

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from imgcollapse import progress
from imgcollapse.datasets.dataset import order, problems_at, split
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
) -> World:
    """Reads the files; without held-out files, holds out a fixed random `share` of the others."""
    name = f"{kind}-{stem}" if stem else kind
    files = [*train, *(held_out or ())]
    images = ImageSet.of(decode(files), torch.tensor([file.label for file in files]))
    if held_out is None:
        return World(name, *split(images, max(1, round(share * len(files))), kind), classes)
    index = order(len(train), kind, "train"), len(train) + order(len(held_out), kind, "held_out")
    return World(name, images[index[0]], images[index[1]], classes)


def decode(files: Sequence[Listed]) -> Tensor:
    """uint8 [N, C, H, W]; C is 1 where all are grey, else 3. Raises DataProblem for damage or a second size."""
    pixels = np.empty((0, 0, 0, 0), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for i in progress.steps(len(files), "read pictures"):
            with problems_at(files[i].place, "replace or remove this picture"):
                picture = _decode(files[i].read())
            if i == 0:
                pixels = np.empty((len(files), *picture.shape), np.uint8)
            (h, w), (height, width) = picture.shape[1:], pixels.shape[2:]
            if (h, w) != (height, width):
                others = f"{files[0].place} is {width}x{height}"
                raise DataProblem(f"{files[i].place}: is {w}x{h} pixels, but {others}; make all pictures one size")
            if len(picture) > pixels.shape[1]:  # the first one in colour
                pixels = np.repeat(pixels, 3, axis=1)
            pixels[i] = picture  # grey spreads over three channels
    return torch.from_numpy(pixels)


def _decode(content: bytes) -> NDArray[np.uint8]:
    """uint8 [1, H, W] if grey, else [3, H, W]; alpha is dropped, and of an animation the first picture is taken."""
    try:
        opened = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:  # its text is a memory address
        raise ValueError("no picture that Pillow can read") from None
    with opened as picture:
        if picture.mode in ("1", "L"):
            return np.asarray(picture.convert("L"))[None]
        if picture.mode[0] in "IF":  # Pillow would clip these
            raise ValueError(f"its pixels are not 8-bit (Pillow's mode {picture.mode})")
        # By way of RGBA, or Pillow warns of palettes with transparency.
        colour = picture if picture.mode == "RGB" else picture.convert("RGBA").convert("RGB")
        return np.asarray(colour).transpose(2, 0, 1)
