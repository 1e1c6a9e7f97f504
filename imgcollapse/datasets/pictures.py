"""Picture files to a world: decoded, all of one size, every kind of damage told in one line."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcollapse import progress
from imgcollapse.datasets import decoder
from imgcollapse.datasets.dataset import LEAST, order, problems_at, stratified
from imgcollapse.datasets.fitting import Fitting
from imgcollapse.datasets.labels import ALONE, Classed, Key, classes_of, passed_over
from imgcollapse.datasets.names import in_words, shortened, shown, text
from imgcollapse.datasets.refused import WHOLE
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import devices

AS_IT_IS = Fitting()


class Listed(NamedTuple):
    """A picture file that is yet to be read: where it lies (for messages), its class, its bytes on demand."""

    place: str
    label: int
    read: Callable[[], bytes]


def world_of(
    kind: str,
    stem: str,
    train: Sequence[Classed],
    held_out: Sequence[Classed],
    share: float,
    alpha: decoder.Alpha = "refuse",
    place: tuple[int | str, ...] = (),
    fitting: Fitting = AS_IT_IS,
) -> World:
    """Reads the pictures; without held-out ones, holds out a random `share` of each class, the same for ever or one for each place (`seed`
    and its number). Says what it reads and passes over. Raises DataProblem for a place where there is nothing to be split."""
    name = f"{kind}-{text(stem).encode()[:120].decode(errors='ignore')}" if stem else kind
    if held_out and place:
        raise DataProblem(f"{shown(name)}: dataset.split is seed, but it comes with a held-out part of its own; leave split out")
    keys = classes_of(train, held_out)
    number = {key: label for label, key in enumerate(keys)}
    classes = tuple(ALONE if key is None else text(str(key)) for key in keys)
    files, others = ([Listed(entry.place, number[key], entry.read) for part in parts for entry, key in part] for parts in (train, held_out))
    passed = dict(sorted(passed_over([*train, *held_out]).items()))
    _say(name, keys, classes, (len(files), len(others)), passed, fitting.words())
    images = ImageSet.of(decode([*files, *others], alpha, fitting=fitting), torch.tensor([file.label for file in [*files, *others]]))
    if held_out:
        index = order(len(files), kind, "train"), len(files) + order(len(others), kind, "held_out")
        return World(name, images[index[0]], images[index[1]], classes, passed_over=passed)
    kept, out = stratified(images, share, shown(name), *place)
    without = [classes[label] for label in sorted(set(kept.labels.tolist()) - set(out.labels.tolist()))]
    if without:
        progress.say(f"{shown(name)}: fewer than {LEAST} pictures of {shortened(without)}: all of them are for training, none for judging")
    by = {"rule": "stratified", "share": share, "judged_without": without, **({"seed": place[1]} if place else {})}
    return World(name, kept, out, classes, by, passed)


def _say(name: str, keys: Sequence[Key], classes: Sequence[str], counts: tuple[int, int], passed: Mapping[str, int], fitted: str) -> None:
    number = f"{counts[0]:,} pictures" + (f" to learn from and {counts[1]:,} held out" if counts[1] else "")
    by = "numbers" if isinstance(keys[0], int) else "names"
    named = (
        "without classes, so that what is measured by class is left out"
        if keys == [None]
        else f"in {len(classes)} class{'es' if len(classes) > 1 else ''}, in the order of their {by}: {shortened(classes)}"
    )
    named += f"; each is {fitted}" if fitted else ""
    progress.say(f"{shown(name)}: {number} {named}" + (f"; skipped: {in_words(passed)}" if passed else ""))


def decode(files: Sequence[Listed], alpha: decoder.Alpha = "refuse", option: str = "dataset.alpha", fitting: Fitting = AS_IT_IS) -> Tensor:
    """uint8 [N, C, H, W]; C is 1 where all pixels of all are grey, else 3. `option` is the name of `alpha` for the user.

    Raises DataProblem for what `decoder` and `fitting` refuse, for a second size, and for more than the machine's memory holds.
    """
    pixels = np.empty((0, 0, 0, 0), np.uint8)
    for i in progress.steps(len(files), "read pictures"):
        with problems_at(files[i].place, WHOLE):
            picture = fitting(decoder.pixels(files[i].read(), alpha, option))
        if i == 0:
            pixels = _room(files, picture.shape)
        (h, w), (height, width) = picture.shape[1:], pixels.shape[2:]
        if (h, w) != (height, width):
            ours = ", or let dataset.crop=center and dataset.resize do it" if option.startswith("dataset.") else ""
            others = f"{files[0].place} is {width}x{height}"
            raise DataProblem(f"{files[i].place}: is {w}x{h} pixels, but {others}; make all pictures one size{ours}")
        if len(picture) > pixels.shape[1]:  # the first one in colour
            grey, pixels = pixels, _room(files, picture.shape)
            pixels[:i] = grey[:i]
        pixels[i] = picture  # grey spreads over three channels
    return torch.from_numpy(pixels)


def _room(files: Sequence[Listed], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 [N, *shape], not filled. Raises DataProblem where that, and its parts in their order beside it, are too much."""
    needed, there = 2 * len(files) * math.prod(shape), devices.memory()
    if needed > there:
        (_, height, width), most = shape, there // (2 * math.prod(shape))
        wrong = f"{len(files):,} pictures of {width}x{height} pixels need {needed / 1e9:,.1f} GB of memory, {there / 1e9:,.1f} GB are there"
        raise DataProblem(f"{files[0].place}: {wrong}; make them smaller, or name at most {most:,} of them")
    return np.empty((len(files), *shape), np.uint8)
