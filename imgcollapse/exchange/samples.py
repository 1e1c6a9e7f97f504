"""Sets of pictures that any program drew: read whole, checked, and brought into the shape of the real ones."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from imgcollapse import progress, store
from imgcollapse.datasets import look
from imgcollapse.datasets.arrays import read_arrays
from imgcollapse.datasets.dataset import order
from imgcollapse.datasets.decoder import Alpha
from imgcollapse.datasets.listing import Listing, of_archive, of_folder
from imgcollapse.datasets.names import SUFFIXES, in_words
from imgcollapse.datasets.pictures import Listed, decode
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.files import expanded
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.store import manifest
from imgcollapse.store.manifest import MANIFEST

Whole = tuple[ImageSet, dict[str, int]]  # a set, and how many files beside it were passed over, by the reason


@dataclass(frozen=True, eq=False)
class Samples:
    """A set that is ready to be compared with a world.

    path:     where it lies, as the user named it
    sha256:   of the pictures alone: the same in whatever kind of file and in whatever order they lie
    pictures: how many there are
    images:   all or the first of them, in a random order that is the same for ever and that the pictures alone decide: not their names,
              which may sort them by class

    passed_over: how many other files lie there and were not read, by the reason; it is no part of the record, as it decides nothing
    """

    KEYS: ClassVar[tuple[str, ...]] = ("path", "sha256", "pictures")  # of its record

    path: Path
    sha256: str
    pictures: int
    images: ImageSet
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, world: World, most: int | None = None, alpha: Alpha = "refuse") -> "Samples":
        """Reads the set, and keeps `most` pictures of it. Raises DataProblem for what cannot be read or is not of the world's shape."""
        found, passed = _read(path, alpha)
        images = like(world, found, path)
        look.check_samples(path, images)
        pixels = images.pixels
        # equal pictures have equal fingerprints, so this does not depend on their order
        whole = ImageSet.of(pixels[fingerprints(pixels).argsort()])
        return cls(path, whole.digest(), len(whole), whole[order(len(whole), "samples")[:most]], passed)

    def record(self) -> dict[str, Any]:
        """What tells this set from any other. Plain JSON values."""
        return {"path": str(self.path), "sha256": self.sha256, "pictures": self.pictures}


def read(path: Path, alpha: Alpha = "refuse") -> ImageSet:
    """The pictures (or points) there, in order; labels and births only where this package wrote them.

    path: a folder of pictures, at any depth; a `.zip` of pictures; an `.npz` of ours, or with `arr_0`, uint8 [N, H, W, C] (points: float
    [N, D]); a run's folder (its last finished generation) or one generation's. Nothing is ever unpickled.
    Raises DataProblem for what is damaged or something else, SettingsProblem for a run without a finished generation.
    """
    return _read(path, alpha)[0]


def _read(path: Path, alpha: Alpha) -> Whole:
    """The set, and what lies there too and was not read."""
    path = expanded(path)
    if path.is_dir():
        if (path / store.STUDY).is_file():
            return generation(path)[1], {}
        return (_own_generation(path), {}) if (path / store.SAMPLES).is_file() or (path / MANIFEST).is_file() else _folder(path, alpha)
    readers: dict[str, Callable[[Path], Whole]] = {".npz": lambda file: (read_arrays(file), {}), ".zip": partial(_archive, alpha=alpha)}
    if path.suffix.lower() not in readers:
        wrong = "is not a folder, .zip or .npz" if path.exists() else "there is no such file or folder"
        raise DataProblem(f"{path}: {wrong}; name a folder of pictures, a .zip or .npz of them, or a run")
    return readers[path.suffix.lower()](path)


def generation(run: Path, number: int | None = None) -> tuple[int, ImageSet]:
    """A finished generation of a run, the last one where no number is given, and what it drew, checked against the manifest.

    Raises SettingsProblem for one that is not finished, DataProblem for damage, for a folder that is no run, and where the samples were
    thrown away.
    """
    number = store.chosen(run, number)
    return number, _own_generation(store.generation_folder(run, number))


def like(world: World, images: ImageSet, path: Path) -> ImageSet:
    """The same in the shape of the world's pictures: grey ones are spread over three channels, three equal channels become one.

    Raises DataProblem for another size and for colours in a grey world: what is done about these changes every score, so it is the
    user's choice.
    """
    (channels, *size), (own, *own_size) = world.train.shape, images.shape
    if images.are_points != world.train.are_points:
        mine, yours = ("points", "pictures") if images.are_points else ("pictures", "points")
        raise DataProblem(f"{path}: holds {mine}, and {world.name} is made of {yours}; compare it --against a data set of {mine}")
    if own_size != size:
        if images.are_points:
            raise DataProblem(f"{path}: its points have {own_size[1]} coordinates, those of {world.name} {size[1]}; give both the same")
        sizes = f"its pictures are {own_size[1]}x{own_size[0]} pixels, those of {world.name} {size[1]}x{size[0]}"
        raise DataProblem(f"{path}: {sizes}; resize them first (the way of resizing changes every score, so it is not done silently)")
    if own == channels:
        return images
    if own > channels:
        coloured = int((images.pixels != images.pixels[:, :1]).flatten(1).any(1).sum())
        if coloured:
            wrong = f"{coloured:,} of its {len(images):,} pictures are in colour, those of {world.name} are grey"
            raise DataProblem(f"{path}: {wrong}; make them grey first, or compare it --against pictures in colour")
    return ImageSet(images.pixels[:, :1].expand(-1, channels, -1, -1).contiguous(), images.labels, images.born)


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many as tell it from the others. Raises SettingsProblem for a path that stands there twice."""
    parts = [Path(os.path.abspath(expanded(path))).parts for path in paths]
    for number, path in enumerate(paths):
        if parts[number] in parts[:number]:
            raise SettingsProblem(f"{path}: is named twice; name each set once")
    return [
        next("/".join(one[-k:]) for k in range(1, len(one) + 1) if sum(other[-k:] == one[-k:] for other in parts) == 1) for one in parts
    ]


def refuse_thrown_away(folder: Path, part: str) -> None:
    """Raises DataProblem where that part of a finished generation (its samples, its model) was thrown away on purpose."""
    if manifest.has(folder, part):
        return
    beside = [folder.parent] if (folder.parent / store.STUDY).is_file() else []
    kept = [g for run in beside for g in store.finished(run) if manifest.has(store.generation_folder(run, g), part)]
    some = ", ".join(map(str, kept[:8])) + (f", ... {kept[-1]}" if len(kept) > 8 else "")
    cure = f"choose a generation that has them: {some}" if kept else "no generation has them"
    what, rule = ("samples", "keep.samples") if part == store.SAMPLES else ("weights", "keep.models")
    raise DataProblem(f"{folder}: its {what} are no longer kept ({rule}, or imgcollapse prune); {cure}")


def _own_generation(folder: Path) -> ImageSet:
    store.check(folder)
    refuse_thrown_away(folder, store.SAMPLES)
    return read_arrays(folder / store.SAMPLES)


def _folder(path: Path, alpha: Alpha) -> Whole:
    listing = of_folder(path)
    runs = sorted(parts[:-1] for parts, _ in listing.others if parts[-1:] == (store.STUDY,))
    if runs:
        raise DataProblem(f"{path}: holds runs; name one of them, such as {path.joinpath(*runs[0])}")
    return _pictures(path, listing, alpha)


def _archive(path: Path, alpha: Alpha) -> Whole:
    with ExitStack() as stack:
        return _pictures(path, of_archive(path, stack), alpha)


def _pictures(path: Path, listing: Listing, alpha: Alpha) -> Whole:
    passed = dict(sorted(listing.reasons().items()))
    if not listing.pictures:
        but = f", but {in_words(passed)}" if passed else ""
        raise DataProblem(f"{path}: holds no pictures ({', '.join(SUFFIXES)}){but}; name a folder or archive that does")
    if passed:
        progress.say(f"{path}: {len(listing.pictures):,} pictures; skipped: {in_words(passed)}")
    return ImageSet.of(decode([Listed(entry.place, 0, entry.read) for entry in listing.pictures], alpha, "alpha")), passed
