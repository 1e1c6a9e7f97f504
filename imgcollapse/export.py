"""Folders for others to use: samples in class folders, safe names, and a folder that is there whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

from PIL import Image

from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import first_difference, to_json, write_text
from imgcollapse.images import ImageSet

Export = Literal["imagefolder", "npz"]
RECORD = "CARD.json"  # in a placed folder: of what it is, and the SHA-256 of every other file
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


def write_image_folder(images: ImageSet, classes: Sequence[str], folder: Path) -> None:
    """Writes picture 12 to `folder/CLASS/00012.png`, the layout that torchvision and `datasets` call ImageFolder.

    Pictures without a class lie in `folder` itself where no picture has one, else in a folder `unlabelled`.
    Raises SettingsProblem for points, and for pictures that are neither grey nor RGB.
    """
    channels = images.shape[0]
    if images.are_points or channels not in (1, 3):
        what = "points" if images.are_points else f"pictures of {channels} channels"
        raise SettingsProblem(f"--export: imagefolder holds grey or RGB pictures, and these are {what}; use --export npz")
    labelled = bool((images.labels >= 0).any())
    *known, unknown = (folder / name for name in folder_names([*classes, NO_CLASS]))
    places = [*known, unknown if labelled else folder]  # UNLABELLED, -1, is the last
    labels = images.labels.tolist()
    for label in set(labels):
        places[label].mkdir(parents=True, exist_ok=True)
    pixels = images.pixels.permute(0, 2, 3, 1).numpy()  # uint8 [N, H, W, C]
    pixels = pixels[..., 0] if channels == 1 else pixels
    digits = max(5, len(str(len(images) - 1)))
    for number, label in enumerate(labels):
        Image.fromarray(pixels[number]).save(places[label] / f"{number:0{digits}d}.png")


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
    cure = "nothing is ever overwritten; remove it, or choose another --out"
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        before, files = dict(record["of"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OtherStudyProblem(f"{place}: holds something else; {cure}") from None
    if before != of:
        raise OtherStudyProblem(f"{place}: holds another card ({first_difference(before, of)}); {cure}")
    now = _digests(place)
    changed = sorted(name for name in files | now if files.get(name) != now.get(name))
    if changed:
        raise OtherStudyProblem(f"{place}: has been changed since it was written ({changed[0]}); {cure}")


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
