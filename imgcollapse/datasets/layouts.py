"""Files and folders for others to use: samples in the layouts of other programs, under safe names."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet

Export = Literal["imagefolder", "npz"]
NO_CLASS = "unlabelled"
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)  # names that Windows keeps for itself


def folder_names(classes: Sequence[str]) -> list[str]:
    """A safe folder name for each class, no two of them alike even where a file system does not tell upper from lower case.

    Letters and digits of any script, `-`, `_` and `.` stay, all else becomes `_`. None begins with a dot or `_`: such folders are hidden,
    from the `datasets` library too.
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in classes:
        kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in normalize("NFKC", name))[:60].strip("._") or "class"
        kept = f"class_{kept}" if DEVICES.fullmatch(kept) else kept
        unique, number = kept, 2
        while unique.casefold() in taken:
            unique, number = f"{kept}-{number}", number + 1
        taken.add(unique.casefold())
        found.append(unique)
    return found


def write_image_folder(images: ImageSet, classes: Sequence[str], folder: Path, flag: str = "--export") -> None:
    """Writes picture 12 to `folder/CLASS/00012.png`, the layout that torchvision and `datasets` call ImageFolder.

    Pictures without a class lie in `folder` itself where no picture has one, else in a folder `unlabelled`.
    Raises SettingsProblem for points, and for pictures that are neither grey nor RGB. `flag` is the option that it names.
    """
    pixels = _pixels(images, flag, "imagefolder")
    labelled = bool((images.labels >= 0).any())
    *known, unknown = (folder / name for name in folder_names([*classes, NO_CLASS]))
    places = [*known, unknown if labelled else folder]  # UNLABELLED, -1, is the last
    labels = images.labels.tolist()
    for label in set(labels):
        places[label].mkdir(parents=True, exist_ok=True)
    for number in progress.steps(len(images), "write pictures"):
        Image.fromarray(pixels[number]).save(places[labels[number]] / _numbered(number, len(images)))


def write_folder(images: ImageSet, classes: Sequence[str], folder: Path, flag: str) -> None:
    """Writes picture 12 to `folder/00012.png`, whatever its class. Raises SettingsProblem as `write_image_folder` does."""
    pixels = _pixels(images, flag, "folder")
    folder.mkdir(parents=True)
    for number in progress.steps(len(images), "write pictures"):
        Image.fromarray(pixels[number]).save(folder / _numbered(number, len(images)))


def write_zip(images: ImageSet, classes: Sequence[str], file: Path, flag: str) -> None:
    """Writes an archive in the layout of NVlabs' dataset_tool: `00000/img00000012.png` and so on, stored, and dataset.json with the labels.

    Where a picture has no class, dataset.json says `"labels": null`, as that tool does. The same pictures give the same bytes.
    Raises SettingsProblem as `write_image_folder` does.
    """
    pixels = _pixels(images, flag, "zip")
    names = [f"{number // 1000:05d}/img{number:08d}.png" for number in range(len(images))]
    labels = [list(pair) for pair in zip(names, images.labels.tolist(), strict=True)] if _all_labelled(images) else None
    with zipfile.ZipFile(file, "w") as archive:
        for number in progress.steps(len(images), "write pictures"):
            content = io.BytesIO()
            Image.fromarray(pixels[number]).save(content, "png")
            archive.writestr(_member(names[number]), content.getvalue())
        archive.writestr(_member("dataset.json"), json.dumps({"labels": labels}))


def write_npz(images: ImageSet, classes: Sequence[str], file: Path, flag: str) -> None:
    """Writes `arr_0`, uint8 [N, H, W, 3], as guided-diffusion does, and, where all pictures have a class, `arr_1`, int64 [N].

    Its evaluator reads three channels only, so grey pictures have three equal ones. Of points, `arr_0` is float32 [N, D].
    """
    if images.are_points:
        first = images.pixels.flatten(1).numpy()
    else:
        pixels = _pixels(images, flag, "npz")
        first = np.repeat(pixels[..., None], 3, axis=3) if pixels.ndim == 3 else pixels
    _save_arrays(file, first, images)


def write_own_channels(images: ImageSet, classes: Sequence[str], file: Path, flag: str) -> None:
    """The same with the channels that the pictures have: `arr_0` is uint8 [N, H, W, 1] where they are grey."""
    pixels = _pixels(images, flag, "npz")
    _save_arrays(file, pixels[..., None] if pixels.ndim == 3 else pixels, images)


def _save_arrays(file: Path, first: NDArray[Any], images: ImageSet) -> None:
    with file.open("wb") as opened:
        np.savez(opened, np.ascontiguousarray(first), *([images.labels.numpy()] if _all_labelled(images) else []))


WRITERS: dict[str, Callable[[ImageSet, Sequence[str], Path, str], None]] = {
    "folder": write_folder,
    "zip": write_zip,
    "npz": write_npz,
    "imagefolder": write_image_folder,
}


def _pixels(images: ImageSet, flag: str, kind: str) -> NDArray[np.uint8]:
    """uint8 [N, H, W], or [N, H, W, 3] in colour."""
    channels = images.shape[0]
    if images.are_points or channels not in (1, 3):
        what = "points" if images.are_points else f"pictures of {channels} channels"
        raise SettingsProblem(f"{flag}: {kind} holds grey or RGB pictures, and these are {what}; use {flag} npz")
    pixels = images.pixels.permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if channels == 1 else pixels


def _numbered(number: int, count: int) -> str:
    return f"{number:0{max(5, len(str(count - 1)))}d}.png"


def _all_labelled(images: ImageSet) -> bool:
    return bool((images.labels >= 0).all())


def _member(name: str) -> zipfile.ZipInfo:
    """An entry with nothing in it of when, where and by whom it was written."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16  # else the bytes differ between systems, and unpacked files cannot be read
    return info
