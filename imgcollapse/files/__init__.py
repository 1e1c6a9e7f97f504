"""Files and folders: what they are, what they hold, and how two records of them differ; writers are in `atomic`."""

import json
import os
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from imgcollapse.errors import OtherStudyProblem, SettingsProblem, brief, placed_at
from imgcollapse.files.atomic import append_line as append_line
from imgcollapse.files.atomic import append_text as append_text
from imgcollapse.files.atomic import as_usual as as_usual
from imgcollapse.files.atomic import bytes_of as bytes_of
from imgcollapse.files.atomic import draft_beside as draft_beside
from imgcollapse.files.atomic import draft_folder as draft_folder
from imgcollapse.files.atomic import folder_in_place as folder_in_place
from imgcollapse.files.atomic import is_part as is_part
from imgcollapse.files.atomic import link_in_place as link_in_place
from imgcollapse.files.atomic import sweep as sweep
from imgcollapse.files.atomic import sync as sync
from imgcollapse.files.atomic import sync_all as sync_all
from imgcollapse.files.atomic import write_bytes as write_bytes
from imgcollapse.files.atomic import write_text as write_text
from imgcollapse.files.atomic import written as written
from imgcollapse.files.regular import NOT_THERE as NOT_THERE
from imgcollapse.files.regular import digest_of as digest_of
from imgcollapse.files.regular import is_empty as is_empty
from imgcollapse.files.regular import is_file as is_file
from imgcollapse.files.regular import is_folder as is_folder
from imgcollapse.files.regular import open_regular as open_regular
from imgcollapse.files.regular import read_regular as read_regular
from imgcollapse.files.regular import stamp as stamp

ASIDE = "set_aside"  # in a folder: what stood in the way, or was damaged


def expanded(path: str | Path) -> Path:
    """The path with `~` and `~NAME` as the folders that they stand for. Raises SettingsProblem where there is no such user or home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsProblem(f"{path}: it cannot be told which folder `~` stands for here; write the path in full") from None


def set_aside(path: Path, folder: Path | None = None) -> Path:
    """Renames what cannot be used to `set_aside/NAME-1` in the folder (that of the file), or `-2` and so on; returns where it lies now.

    Nothing is replaced, whoever else sets something aside at the same time.
    """
    folder = folder or path.parent
    aside = next(one for n in count() if is_folder(one := folder / (ASIDE + n * "_")) or not os.path.lexists(one))
    with placed_at(aside):
        aside.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            place = aside / f"{path.name}-{number}"
            try:  # takes the name, which only one process can; the rename then replaces nothing but this
                place.mkdir() if is_folder(path) else place.touch(exist_ok=False)
            except FileExistsError:
                continue
            os.replace(path, place)
            return place
    raise AssertionError("numbers do not end")


def to_json(record: dict[str, Any]) -> str:
    """Readable JSON; NaN is no JSON and an error."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def digest(record: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-ready record; the order of its keys does not matter."""
    return sha256(json.dumps(record, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()).hexdigest()


def first_difference(before: Any, now: Any, place: str = "") -> str:
    """`place 'old', now 'new'` for the first value in which two records differ; long values are cut."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return first_difference(before.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            if one != other:
                return first_difference(one, other, f"{place}.{number}")
    return f"{place} {brief(before)}, now {brief(now)}"


def same_or_refuse(place: Path, before: Any, now: Any, wrong: str, cure: str = "choose another --out") -> None:
    """Raises OtherStudyProblem where two records differ: `PLACE: WRONG (the first difference); CURE`."""
    if before != now:
        raise OtherStudyProblem(f"{place}: {wrong} ({first_difference(before, now)}); {cure}")
