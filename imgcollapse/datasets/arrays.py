"""Arrays of pictures in `.npz` files: our own, and those in the layout of guided-diffusion. Nothing is ever unpickled."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcollapse.datasets.dataset import problems_at
from imgcollapse.datasets.listing import check_member
from imgcollapse.errors import DataProblem
from imgcollapse.files import open_regular
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet

OURS, THEIRS, CLASSES = "pixels", "arr_0", "arr_1"  # the first two tell our own .npz from one as guided-diffusion writes it


def read_arrays(path: Path, classes: bool = False) -> ImageSet:
    """One of ours, whole, or the pictures of another's: `arr_0`, uint8 [N, H, W, C] (points: float [N, D]).

    classes: whether `arr_1`, integers [N], is read as well, where it is there; -1: no class. Raises DataProblem for anything else.
    """
    cure = "it is cut, or no .npz of plain arrays: copy or write it again"
    with problems_at(path, cure), open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        wanted = [OURS, "labels", "born"] if OURS in names else [THEIRS] if THEIRS in names else []
        wanted += [CLASSES] if classes and wanted == [THEIRS] and CLASSES in names else []
        arrays: list[NDArray[Any]] = []
        for name in wanted:
            info = archive.getinfo(f"{name}.npy")
            check_member(info)
            with archive.open(info) as member:
                _check_header(member, info.file_size)
                member.seek(0)
                arrays.append(np.lib.format.read_array(member, allow_pickle=False))
    if not wanted:
        there = f"holds {', '.join(names[:5])}" if names else "holds no arrays"
        raise DataProblem(f"{path}: {there}; write the pictures as {THEIRS}, uint8 [N, H, W, C]")
    first, *others = arrays
    if not first.size:
        raise DataProblem(f"{path}: {wanted[0]} is empty, {_shape(first)}; write at least one picture")
    if wanted[0] == THEIRS:
        return _of_theirs(path, first, *others)
    points = first.dtype == np.float32 and first.shape[1:3] == (1, 1)
    fits = first.ndim == 4 and (points or (first.dtype == np.uint8 and first.shape[1] in (1, 3)))
    if not fits or any(other.shape != first.shape[:1] or other.dtype != np.int64 for other in others):
        there = ", ".join(f"{name} {array.dtype} {_shape(array)}" for name, array in zip(wanted, arrays, strict=True))
        raise DataProblem(f"{path}: holds {there}; write pixels as uint8 [N, C, H, W], labels and born as int64 [N]")
    return ImageSet(_finite(path, OURS, first), *map(torch.from_numpy, others))


def _check_header(member: IO[bytes], size: int) -> None:
    """Raises ValueError where an array's header asks for more or less memory than there are values, before any is taken."""
    version = np.lib.format.read_magic(member)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(member)
    there = size - member.tell()
    if not dtype.hasobject and (dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != there):
        raise ValueError(f"its header says {dtype} {list(shape)}, and {there:,} bytes of values follow")


def _of_theirs(path: Path, array: NDArray[Any], labels: NDArray[Any] | None = None) -> ImageSet:
    """As guided-diffusion writes pictures: uint8 [N, H, W, C]; of points, float [N, D]."""
    if labels is not None and (labels.shape != array.shape[:1] or labels.dtype.kind not in "iu"):
        cure = f"write the class of each picture, 0, 1, 2, ... (-1: none), as int64 [{len(array)}]"
        raise DataProblem(f"{path}: {CLASSES} is {labels.dtype} {_shape(labels)}; {cure}")
    if array.ndim == 2 and array.dtype.kind == "f":
        return ImageSet.of(_finite(path, THEIRS, array.astype(np.float32))[:, None, None, :])
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        raise DataProblem(f"{path}: {THEIRS} is {_shape(array)}, channels first; put them last, [N, H, W, C]: transpose(0, 2, 3, 1)")
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise DataProblem(f"{path}: {THEIRS} is {_shape(array)}; write pictures as [N, H, W, C] with C = 1 (grey) or 3 (RGB)")
    if array.dtype != np.uint8:
        raise DataProblem(f"{path}: {THEIRS} is {array.dtype}; write the pixels 0 ... 255 as uint8")
    of_each = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    return ImageSet.of(torch.from_numpy(array.transpose(0, 3, 1, 2)), of_each)


def _finite(path: Path, name: str, array: NDArray[Any]) -> Tensor:
    wrong = 0 if array.dtype == np.uint8 else int((~np.isfinite(array)).any(axis=-1).sum())
    if wrong:
        raise DataProblem(
            f"{path}: {wrong:,} points in {name} are not finite; write the set again without them, or look why they are there"
        )
    return torch.from_numpy(array)


def _shape(array: NDArray[Any]) -> str:
    return str(list(array.shape))
