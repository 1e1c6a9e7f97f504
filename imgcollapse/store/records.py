"""Records of a run, an ablation or a generation: read whole or not at all, and never from what is no file."""

import json
from pathlib import Path
from typing import Any

from imgcollapse.errors import DataProblem, placed_at
from imgcollapse.files import NOT_THERE, digest, read_regular, to_json, write_text

MOST = 2**28  # bytes of a record
AGAIN = "run the same run or ablation again, which makes it anew"


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
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
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
    record = plain(record)
    write_text(path, to_json({**record, "sha256": digest(record)}))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote. Raises as `read_text` does, and DataProblem where it has been changed since."""
    record = read_json(path)
    if record.pop("sha256", None) != digest(record):
        raise DataProblem(f"{path}: cannot be read (it has changed since it was written); {AGAIN}")
    return record
