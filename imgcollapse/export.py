"""Files and folders for others to use: samples in the layouts of other programs, safe names, places that are filled whole or not at all."""

import filecmp
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcollapse import progress
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import first_difference, to_json, write_text
from imgcollapse.images import ImageSet

Export = Literal["imagefolder", "npz"]
RECORD = "CARD.json"  # in a placed folder: of what it is, and the SHA-256 of every other file
NO_CLASS = "unlabelled"
CURE = "nothing is ever overwritten; move it elsewhere, or choose another --out"
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


@contextmanager
def made_once(place: Path) -> Iterator[Path]:
    """A draft, file or folder, that the block makes; after the block it takes its place by a rename, or is gone where the block fails.

    Where the very same is there already, all stays as it is. Raises OtherStudyProblem where anything else is there.
    """
    resolved = place.resolve()
    resolved.parent.mkdir(parents=True, exist_ok=True)
    draft = resolved.with_name(f".{resolved.name}.draft-{os.getpid()}")
    _remove(draft)  # left by a process of the same number that was killed
    try:
        yield draft
        if not resolved.exists() or (draft.is_dir() and resolved.is_dir() and not any(resolved.iterdir())):
            draft.rename(resolved)
        elif not _same(draft, resolved):
            raise OtherStudyProblem(f"{place}: holds something else; {CURE}")
    finally:
        _remove(draft)


def _same(one: Path, other: Path) -> bool:
    if one.is_dir() and other.is_dir():
        return _digests(one) == _digests(other)
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def placed(place: Path, of: dict[str, Any]) -> Iterator[Path]:
    """A draft folder that the block fills; it takes its place by a rename after the block, and is gone where the block fails.

    `of` says what the folder is (plain JSON values). What was placed there before with the same `of` is replaced, as long as nobody has
    changed it since. Raises OtherStudyProblem where anything else is there.
    """
    _refuse_other(place, of)
    place = place.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.draft-{os.getpid()}")
    old = draft.with_name(f"{draft.name}-old")
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)  # by a process of the same number that was killed
    try:
        draft.mkdir()
        yield draft
        # not put on the disk file by file, as generations are: thousands of small files would take minutes, and all can be made again
        write_text(draft / RECORD, to_json({"of": of, "files": _digests(draft)}))
        _refuse_other(place, of)  # again: the block may have taken minutes
        if place.exists():
            place.rename(old)
        try:
            draft.rename(place)
        except BaseException:
            if old.exists():
                old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refuse_other(place: Path, of: dict[str, Any]) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        before, files = dict(record["of"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OtherStudyProblem(f"{place}: holds something else; {CURE}") from None
    if before != of:
        raise OtherStudyProblem(f"{place}: holds another card ({first_difference(before, of)}); {CURE}")
    now = _digests(place)
    changed = sorted(name for name in files | now if files.get(name) != now.get(name))
    if changed:
        raise OtherStudyProblem(f"{place}: has been changed since it was written ({changed[0]}); {CURE}")


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file by its path, but for the record itself; a link is told by where it points."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file() and name != RECORD:
            with path.open("rb") as file:
                found[name] = file_digest(file, "sha256").hexdigest()
    return found
