"""Image sets in `.npz` files: `pixels`, `labels`, `born`, as they stand in an ImageSet; nothing in them is pickled."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet


def write_images(path: Path, images: ImageSet) -> None:
    """Writes the pictures, uncompressed."""
    np.savez(path, pixels=images.pixels.numpy(), labels=images.labels.numpy(), born=images.born.numpy())


def read_images(path: Path, first: int | None = None) -> ImageSet:
    """The pictures in an `.npz` that this package wrote; the first so many, without reading the others, where `first` is given.

    Raises DataProblem where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if first is not None:
                with zipfile.ZipFile(file) as archive:
                    return ImageSet(*(torch.from_numpy(_first_rows(archive, name, first)) for name in ("pixels", "labels", "born")))
            with np.load(file, allow_pickle=False) as arrays:
                return ImageSet(*(torch.from_numpy(arrays[name]) for name in ("pixels", "labels", "born")))
    except Exception as error:  # zipfile, zlib, numpy and the checks of ImageSet each raise their own
        raise DataProblem(f"{path}: cannot be read ({error}); run the same command again, which mends damaged generations") from None


def _first_rows(archive: zipfile.ZipFile, name: str, count: int) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
        rows = min(count, shape[0])
        size = rows * int(np.prod(shape[1:])) * dtype.itemsize
        return np.frombuffer(bytearray(member.read(size)), dtype).reshape(rows, *shape[1:])
