"""Pictures for the page: mosaics of samples, small enough to stand in it, else in a folder beside it."""

import base64
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcollapse import grids, store
from imgcollapse.ablation.summary import Run
from imgcollapse.heavy import torch
from imgcollapse.reports.mosaic import mosaic

# how a page becomes smaller: (samples in a mosaic, pictures in a row of equal noise, quality of colour pictures)
SIZES = ((36, 20, 85), (25, 16, 75), (16, 12, 65), (9, 8, 50))


LARGEST = 512  # pixels: twenty pictures side by side are no wider than WebP can be


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its size in pixels."""

    data: bytes
    kind: str  # png or webp
    width: int
    height: int


Keep = Callable[[Picture], str]
"""`keep(picture)` puts a picture where a page finds it, and gives the address for it."""


def samples(run: Run, generation: int, size: tuple[int, int, int]) -> Picture:
    """The first samples of a generation as a square mosaic; points as dots in the plane."""
    path = store.generation_folder(run.folder, generation) / store.SAMPLES
    drawn = store.read_pixels(path, size[0])
    if drawn.dtype == np.float32:
        return _encode(grids.scatter(f"generation {generation}", store.read_images(path, 2000)), size[2])
    return _mosaic(drawn, round(size[0] ** 0.5), size[2])


def same_noise(run: Run, generation: int, size: tuple[int, int, int]) -> Picture | None:
    """A row of pictures drawn from the noise that is the same in every generation; None for points, which have no pictures."""
    drawn = store.read_pixels(store.generation_folder(run.folder, generation) / store.LATENTS, size[1])
    return None if drawn.dtype == np.float32 else _mosaic(drawn, size[1], size[2])


def inline(picture: Picture) -> str:
    """The picture itself as an address (`data:`)."""
    return f"data:image/{picture.kind};base64,{base64.b64encode(picture.data).decode()}"


def folder_beside(page: Path) -> Path:
    """`report_files` for `report.html`."""
    return page.with_name(f"{page.stem}_files")


def beside(folder: Path, kept: dict[str, bytes]) -> Keep:
    """Keeps pictures for the folder beside the page, each once: named by its content."""

    def keep(picture: Picture) -> str:
        name = f"{sha256(picture.data).hexdigest()[:20]}.{picture.kind}"
        kept[name] = picture.data
        return quote(os.fsencode(folder.name) + b"/") + name

    return keep


def _mosaic(drawn: NDArray[Any], columns: int, quality: int) -> Picture:
    """The pictures row by row, grey or the first three channels in colour."""
    pixels = drawn[:, :3] if drawn.shape[1] >= 3 else drawn[:, :1]
    if max(pixels.shape[2:]) > LARGEST:
        pixels = grids.smaller(torch.from_numpy(pixels), LARGEST).numpy()
    columns = min(columns, len(pixels))
    joined = mosaic(pixels, -(-len(pixels) // columns), columns).transpose(1, 2, 0)
    return _encode(Image.fromarray(np.ascontiguousarray(joined[..., 0] if joined.shape[2] == 1 else joined)), quality)


def _encode(picture: Image.Image, quality: int) -> Picture:
    """Grey as PNG, without loss; colour as WebP, but for the few pixels of a drawing."""
    kind = "webp" if picture.mode == "RGB" else "png"
    file = io.BytesIO()
    picture.save(file, kind, **({"quality": quality, "method": 4} if kind == "webp" else {"optimize": True}))
    return Picture(file.getvalue(), kind, picture.width, picture.height)
