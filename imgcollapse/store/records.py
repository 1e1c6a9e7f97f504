"""Records of a run, an ablation or a generation: read whole or not at all, and never from what is no file."""

import json
import os
from pathlib import Path
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import DataProblem, SettingsProblem, placed_at
from imgcollapse.files import NOT_THERE, digest, read_regular, to_json, write_text
from imgcollapse.settings import read_file
from imgcollapse.store.layout import MENDS

MOST = 2**28  # bytes of a record
AGAIN = "run the same run or ablation again, which makes it again"


def read_text(path: Path) -> str:
    """The text of a record. Raises DataProblem for what is damaged or no file, OSError where the system refuses to read it."""
    try:
        with placed_at(path):
            return read_regular(path, MOST).decode()
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        raise DataProblem(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from None
    except ValueError as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataProblem(f"{path}: cannot be read ({reason}); {AGAIN}") from None


def read_json(path: Path) -> dict[str, Any]:
    """A record. Raises as `read_text` does."""
    text = read_text(path)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not text else f"it is damaged: {error}"
        raise DataProblem(f"{path}: cannot be read ({reason}); {AGAIN}") from None
    if not isinstance(record, dict):
        raise DataProblem(f"{path}: cannot be read (it holds {type(record).__name__}, not a record); {AGAIN}")
    return record


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record as it is read back: tuples as lists, keys as text."""
    read: dict[str, Any] = json.loads(to_json(record))
    return read


def write_sealed(path: Path, record: dict[str, Any]) -> None:
    """Writes a record with the SHA-256 of all that is in it, by which `read_sealed` tells whether it has changed."""
    write_text(path, sealed(record))


def sealed(record: dict[str, Any]) -> str:
    """What `write_sealed` writes."""
    record = plain(record)
    return to_json({**record, "sha256": digest(record)})


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote. Raises as `read_text` does, and DataProblem where it has been changed since."""
    record = read_json(path)
    try:
        same = record.pop("sha256", None) == digest(record)
    except ValueError:  # NaN or infinity, which no JSON has
        same = False
    if not same:
        raise DataProblem(f"{path}: cannot be read (it has changed since it was written); {AGAIN}")
    return record


def readable(path: Path, quiet: bool = False) -> dict[str, Any] | None:
    """A record of a run or an ablation; None where there is none, and where it cannot be read, which is reported.

    Such a one is set aside, for whoever asks makes it anew; `quiet`: it is left where it is, for whoever only looks.
    """
    if not os.path.lexists(path):
        return None
    try:
        return read_file(path) if path.suffix == ".yaml" else read_sealed(path)
    except (DataProblem, SettingsProblem):
        pass
    if quiet:
        progress.say_once(f"{path}: {_wrong(path)} and left out ({MENDS})")
    else:
        make_way(path)
    return None


def make_way(path: Path) -> None:
    """Sets aside a record that cannot be read, and says that it is made anew."""
    wrong, aside = _wrong(path), files.set_aside(path)
    progress.say(f"{path}: {wrong}; made again (the old one is kept as {aside.relative_to(path.parent)})")


def _wrong(path: Path) -> str:
    return "is empty" if files.is_empty(path) else "is damaged"
