"""Pictures that go to a program and come from it, in one of four layouts; what does not fit is refused in one line."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from imgcollapse.datasets.arrays import read_arrays
from imgcollapse.datasets.labels import Classed, Key, classed
from imgcollapse.datasets.layouts import NO_CLASS, WRITERS, write_own_channels
from imgcollapse.datasets.listing import of_archive, of_folder
from imgcollapse.datasets.names import in_words
from imgcollapse.datasets.pictures import Listed, decode
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import torch
from imgcollapse.images import UNLABELLED, ImageSet

Layout = Literal["folder", "imagefolder", "zip", "npz"]
LAYOUTS = (
    "folder: png files; imagefolder: png files in a folder for each class, 0, 1, ...; zip: as NVlabs' dataset_tool writes it; npz: arr_0, "
    "uint8 [N, H, W, C], and arr_1, the classes"
)
AS_NUMBERS = "name the folders by the numbers of the classes, 0, 1, ..."


def place_of(name: str, layout: Layout, folder: Path) -> Path:
    """Where pictures of that layout lie in a folder."""
    return folder / name if layout in ("folder", "imagefolder") else folder / f"{name}.{layout}"


def write(images: ImageSet, classes: int, layout: Layout, place: Path) -> None:
    """Writes a training set. Classes are called by their numbers, of equal length, so that their order is that of their names."""
    names = [f"{number:0{len(str(max(0, classes - 1)))}d}" for number in range(classes)]
    if layout == "imagefolder":
        place.mkdir()
    writer = write_own_channels if layout == "npz" else WRITERS[layout]
    writer(images, names, place, "model.training_set")


def read(place: Path, layout: Layout, n: int, shape: tuple[int, int, int], classes: int) -> ImageSet:
    """The n pictures of (C, H, W) that a program drew, in the order of their names, with their classes where it gave them some.

    Raises DataProblem for anything else: another number, another size, colours in a grey world, values that are no grey levels, classes
    that there are not.
    """
    if _is_nothing(place):
        raise DataProblem(f"{place}: nothing was written there ({{samples}}); write {n:,} pictures, as model.samples says: {layout}")
    images = read_arrays(place, classes=True) if layout == "npz" else _decoded(place, layout)
    if images.are_points:
        raise DataProblem(f"{place}: holds numbers of points; write pictures, uint8 [N, H, W, C]")
    if len(images) != n:
        raise DataProblem(f"{place}: holds {len(images):,} pictures, and {n:,} were asked for ({{n}}); write as many")
    wrong = images.labels[(images.labels < UNLABELLED) | (images.labels >= classes)]
    if len(wrong):
        there = f"there are {classes:,} classes, 0 to {classes - 1}" if classes else "the training pictures have no classes"
        raise DataProblem(f"{place}: a picture is of class {int(wrong[0])}, and {there}; give it one of these, or none (-1)")
    return _fitting(images, shape, place)


def _is_nothing(place: Path) -> bool:
    return not any(place.iterdir()) if place.is_dir() else not place.exists()


def _decoded(place: Path, layout: Layout) -> ImageSet:
    with _listed(place, layout) as found:
        pixels = decode([Listed(entry.place, 0, entry.read) for entry in found.entries], option="")
        labels = _labels(found.keys, place)
    order = torch.tensor(sorted(range(len(labels)), key=lambda row: found.entries[row].parts[-1]) if layout == "imagefolder" else [])
    images = ImageSet.of(pixels, torch.tensor(labels))
    return images[order] if len(order) else images


@contextmanager
def _listed(place: Path, layout: Layout) -> Iterator[Classed]:
    """The pictures there with their classes; of a plain folder, at any depth and without."""
    if (layout == "zip") != place.is_file():
        raise DataProblem(
            f"{place}: is a {'file' if place.is_file() else 'folder'}, and model.samples is {layout}; write that, or set it so"
        )
    with ExitStack() as stack:
        listing = of_archive(place, stack) if layout == "zip" else of_folder(place)
        if not listing.pictures:
            but = f", but {in_words(listing.reasons())}" if listing.others else ""
            raise DataProblem(f"{place}: holds no pictures{but}; write png files there")
        if layout == "folder":
            yield Classed(listing, listing.pictures, [None] * len(listing.pictures))
            return
        found = classed(listing)
        if found.beside:
            raise DataProblem(f"{place}: {found.beside:,} pictures lie beside the class folders; put all of them into these, or none")
        yield found


def _labels(keys: Sequence[Key], place: Path) -> list[int]:
    labels = []
    for key in keys:
        if isinstance(key, str) and key != NO_CLASS and not (key.isascii() and key.isdigit()):
            raise DataProblem(f"{place / key}: is not a class; {AS_NUMBERS}")
        labels.append(UNLABELLED if key in (None, NO_CLASS) else int(key or 0))
    return labels


def _fitting(images: ImageSet, shape: tuple[int, int, int], place: Path) -> ImageSet:
    """The same with the world's channels: grey ones are spread over three, three equal ones become one."""
    (own, *size), (channels, *wanted) = images.shape, shape
    if size != wanted:
        raise DataProblem(f"{place}: its pictures are {size[1]}x{size[0]} pixels, the real ones {wanted[1]}x{wanted[0]}; draw that size")
    if own == channels:
        return images
    if own > channels and (coloured := int((images.pixels != images.pixels[:, :1]).flatten(1).any(1).sum())):
        raise DataProblem(f"{place}: {coloured:,} of its {len(images):,} pictures are in colour, the real ones are grey; draw grey ones")
    return ImageSet(images.pixels[:, :1].expand(-1, channels, -1, -1).contiguous(), images.labels, images.born)
