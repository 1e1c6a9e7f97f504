"""Picture files to a world: decoded with Pillow, all of one size, every kind of damage told in one line."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from imgcollapse import progress
from imgcollapse.datasets.dataset import LEAST, order, problems_at, stratified
from imgcollapse.datasets.labels import ALONE, Classed, Key, classes_of, passed_over
from imgcollapse.datasets.names import in_words, shortened, shown, text
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World


class Listed(NamedTuple):
    """A picture file that is yet to be read: where it lies (for messages), its class, its bytes on demand."""

    place: str
    label: int
    read: Callable[[], bytes]


def world_of(kind: str, stem: str, train: Sequence[Classed], held_out: Sequence[Classed], share: float) -> World:
    """Reads the pictures; without held-out ones, holds out a fixed random `share` of each class. Says what it reads and passes over."""
    name = f"{kind}-{text(stem).encode()[:120].decode(errors='ignore')}" if stem else kind
    keys = classes_of(train, held_out)
    number = {key: label for label, key in enumerate(keys)}
    classes = tuple(ALONE if key is None else text(str(key)) for key in keys)
    files, others = ([Listed(entry.place, number[key], entry.read) for part in parts for entry, key in part] for parts in (train, held_out))
    passed = dict(sorted(passed_over([*train, *held_out]).items()))
    _say(name, keys, classes, (len(files), len(others)), passed)
    images = ImageSet.of(decode([*files, *others]), torch.tensor([file.label for file in [*files, *others]]))
    if held_out:
        index = order(len(files), kind, "train"), len(files) + order(len(others), kind, "held_out")
        return World(name, images[index[0]], images[index[1]], classes, passed_over=passed)
    kept, out = stratified(images, share, shown(name))
    without = [classes[label] for label in sorted(set(kept.labels.tolist()) - set(out.labels.tolist()))]
    if without:
        progress.say(f"{shown(name)}: fewer than {LEAST} pictures of {shortened(without)}: all of them are for training, none for judging")
    return World(name, kept, out, classes, {"rule": "stratified", "share": share, "judged_without": without}, passed)


def _say(name: str, keys: Sequence[Key], classes: Sequence[str], counts: tuple[int, int], passed: Mapping[str, int]) -> None:
    number = f"{counts[0]:,} pictures" + (f" to learn from and {counts[1]:,} held out" if counts[1] else "")
    by = "numbers" if isinstance(keys[0], int) else "names"
    named = (
        "without classes"
        if keys == [None]
        else f"in {len(classes)} class{'es' if len(classes) > 1 else ''}, in the order of their {by}: {shortened(classes)}"
    )
    progress.say(f"{shown(name)}: {number} {named}" + (f"; passed over: {in_words(passed)}" if passed else ""))


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
