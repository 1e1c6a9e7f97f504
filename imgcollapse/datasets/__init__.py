"""Real data, split once and for ever. To add a data set, write a class with `read` and add its line to the table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgcollapse.datasets import look
from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.dataset import Dataset, order
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.folder import Folder
from imgcollapse.datasets.torchvision_sets import Cifar10, FashionMnist, Mnist
from imgcollapse.datasets.toys import Gaussian, Grid25
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World
from imgcollapse.images.degraded import tail
from imgcollapse.settings import one_of

__all__ = ["DATASETS", "AnyDataset", "Dataset", "load"]


def load(dataset: Dataset, seed: int, extra: int = 0) -> World:
    """The data set, checked, with `subset` and `imbalance` applied; in random order: its first n are a sample.

    Only toy worlds and `split: seed` depend on `seed`, and only toy worlds have `extra` more training points (which a `subset` cuts off
    again). Smaller subsets lie within larger ones. Both parts get the long tail, so that they keep one distribution. What is odd in it is
    reported.

    Raises DataProblem.
    """
    if dataset.comes_split and dataset.split == "seed":
        raise DataProblem(f"{dataset.kind}: dataset.split is seed, but {dataset.comes_split}; leave split out")
    world = dataset.read(seed, extra)
    name, classes, train, held_out = world.name, world.classes, world.train, world.held_out
    _check(name, "training", train, classes)
    _check(name, "held-out", held_out, classes, world.split.get("judged_without", ()))
    if dataset.subset is not None:
        train = _keep(train, _equal_counts(name, train, classes, dataset.subset), "subset")
    if dataset.imbalance > 1:
        train, held_out = (_with_tail(part, len(classes), dataset.imbalance) for part in (train, held_out))
    world = replace(world, train=train, held_out=held_out, uncut=world.held_out if dataset.imbalance > 1 else None)
    look.check_world(world)
    return world


def _check(name: str, part: str, images: ImageSet, classes: tuple[str, ...], without: Sequence[str] = ()) -> None:
    outside = images.labels[(images.labels < 0) | (images.labels >= len(classes))]
    if len(outside):
        wrong = f"label {outside[0]} in the {part} part is out of range"
        raise DataProblem(f"{name}: {wrong}; label the pictures 0 to {len(classes) - 1}")
    for label, count in enumerate(_counts(images, len(classes))):
        if not count and classes[label] not in without:
            lost = f"no picture of class '{classes[label]}'"
            raise DataProblem(f"{name}: the {part} part has {lost}; add some, or use a larger set")


def _counts(images: ImageSet, classes: int) -> list[int]:
    return [int(count) for count in torch.bincount(images.labels, minlength=classes)]


def _equal_counts(name: str, images: ImageSet, classes: tuple[str, ...], n: int) -> list[int]:
    """n in as equal counts as possible; the first classes get one more."""
    there = _counts(images, len(classes))
    most = len(classes) * min(there)
    cure = f"set subset to {len(classes)} ... {most}"
    if n > len(images):
        raise DataProblem(f"{name}: subset is {n}, but there are {len(images)} training pictures; {cure}")
    if n < len(classes):
        raise DataProblem(f"{name}: subset is {n}, but there are {len(classes)} classes; {cure}")
    counts = [n // len(classes) + (label < n % len(classes)) for label in range(len(classes))]
    for label, (count, have) in enumerate(zip(counts, there, strict=True)):
        if count > have:
            needs = f"{count} pictures of class '{classes[label]}'"
            raise DataProblem(f"{name}: subset is {n}, which needs {needs}, but there are {have}; {cure}")
    return counts


def _with_tail(images: ImageSet, classes: int, ratio: float) -> ImageSet:
    return _keep(images, tail(_counts(images, classes), ratio), "tail")


def _keep(images: ImageSet, counts: list[int], place: str) -> ImageSet:
    """The first pictures of each class, which are a random draw because the order is, in a new random order."""
    index = torch.cat([(images.labels == label).nonzero()[:count, 0] for label, count in enumerate(counts)])
    return images[index[order(len(index), place)]]


DATASETS: dict[str, type[Dataset]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion-mnist": FashionMnist,
    "cifar10": Cifar10,
    "folder": Folder,
    "zip": Archive,
    "gaussian": Gaussian,
    "grid25": Grid25,
}

if TYPE_CHECKING:
    AnyDataset = Dataset
else:
    AnyDataset = one_of(DATASETS)  # pydantic builds it from the table, which mypy cannot follow
