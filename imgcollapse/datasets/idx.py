"""IDX files, the form of MNIST and its relatives: found under the names that they have in the wild, packed or not."""

import gzip
import math
import os
import struct
from pathlib import Path
from typing import BinaryIO

from imgcollapse.datasets.dataset import problems_at
from imgcollapse.errors import DataProblem
from imgcollapse.files import open_regular
from imgcollapse.heavy import Tensor, torch

IDX = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))
WHOLE = "put a whole copy in its place"
MOST = 2**30  # bytes of values in one file


def find(folder: Path) -> dict[str, Path]:
    """Those of the four files that are there, by their names in IDX.

    In `folder/raw` or `folder`; called `train-images-idx3-ubyte` or `train-images.idx3-ubyte`; with `.gz` or without; in a folder of their
    own name too, as some programs unpack them. Where a file is there several times, the first of these counts.
    """
    found: dict[str, Path] = {}
    for name in IDX:
        forms = [f"{called}{end}" for end in ("", ".gz") for called in (name, name.replace("-idx", ".idx"))]
        places = [place / form for place in (folder / "raw", folder) for form in forms]
        there = [path for place in places for path in (place, place / place.name) if os.path.exists(path) and not os.path.isdir(path)]
        found |= {name: there[0]} if there else {}
    return found


def read_part(files: dict[str, Path], part: str) -> tuple[Tensor, Tensor]:
    """uint8 [N, H, W] and int64 [N]: the pictures and labels of `train` or `t10k`. Raises DataProblem for damage."""
    images, labels = (files[name] for name in IDX if name.startswith(part))
    pixels, classes = _read(images, 3), _read(labels, 1)
    if len(pixels) != len(classes):
        raise DataProblem(f"{labels}: holds {len(classes):,} labels for the {len(pixels):,} pictures of {images}; {WHOLE} of both")
    return pixels, classes.long()


def _read(file: Path, axes: int) -> Tensor:
    """uint8 [...]. IDX: 0, 0, 8 (uint8), number of axes, lengths as big-endian uint32, values."""
    with problems_at(file, WHOLE), open_regular(file) as opened:
        size, packed = os.fstat(opened.fileno()).st_size, opened.read(2) == b"\x1f\x8b"
        opened.seek(0)
        try:
            shape, values = _values(gzip.GzipFile(fileobj=opened) if packed else opened, axes)
        except Exception as error:  # gzip and zlib have an error of their own for each kind of damage
            raise ValueError(f"its {size} bytes are not a whole IDX file ({error})") from None
        return torch.frombuffer(bytearray(values), dtype=torch.uint8).view(shape)


def _values(file: BinaryIO | gzip.GzipFile, axes: int) -> tuple[list[int], bytes]:
    head = file.read(4 + 4 * axes)
    if len(head) < 4 + 4 * axes or head[:4] != bytes((0, 0, 8, axes)):
        raise ValueError(f"its header is not that of unsigned bytes along {axes} axes")
    shape = list(struct.unpack_from(f">{axes}I", head, 4))
    wanted = math.prod(shape)
    if not 0 < wanted <= MOST:
        raise ValueError(f"its header says {' x '.join(map(str, shape))} values")
    values = file.read(wanted + 1)
    if len(values) != wanted:
        raise ValueError(f"its header says {wanted} values, and {'more' if len(values) > wanted else len(values)} follow")
    return shape, values
