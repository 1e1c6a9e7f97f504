"""The history of a run: how each of its generations came to be."""

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import placed_at
from imgcollapse.files import NOT_THERE, open_regular, read_regular, stamp
from imgcollapse.store.records import MOST

HISTORY = "history.jsonl"


def lines(run: Path) -> list[dict[str, Any]]:
    """How each generation came to be, in the order in which they did: `made` or `shared`, and in how many seconds.

    A line that is damaged is reported, and passed over: it counts in no sum.
    """
    if not os.path.lexists(run / HISTORY):
        return []
    try:
        with placed_at(run / HISTORY):
            written = read_regular(run / HISTORY, MOST).splitlines()
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_THERE:
            raise
        progress.say_once(f"{run / HISTORY}: is skipped ({error}); times and counts of this run are lacking")
        return []
    found = []
    for number, line in enumerate(written):
        if (record := _record(line)) is not None:
            found.append(record)
        elif line.strip():
            progress.say_once(f"{run / HISTORY}:{number + 1}: this line is damaged and skipped; times and counts of this run lack it")
    return found


def size(run: Path) -> int:
    """Bytes of the history; 0 where there is none."""
    return max(0, stamp(run / HISTORY)[0])


def since(run: Path, read: int) -> tuple[list[dict[str, Any]], int]:
    """The whole lines behind the first `read` bytes, and how many bytes have been read with them: a look costs what is new, not what is
    there. Nothing is said of damage, as `lines` says it."""
    if size(run) <= read:
        return [], min(read, size(run))
    try:
        with open_regular(run / HISTORY) as file:
            file.seek(read)
            new = file.read(MOST)
    except (ValueError, OSError):
        return [], read
    whole = new[: new.rfind(b"\n") + 1]
    return [record for line in whole.splitlines() if (record := _record(line)) is not None], read + len(whole)


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is damaged."""
    try:
        record = dict(json.loads(line))
        seconds = float(record["seconds"])
        if not math.isfinite(seconds):
            return None
        return {**record, "generation": int(record["generation"]), "how": str(record["how"]), "seconds": seconds}
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def manifests(run: Path) -> dict[int, str]:
    """The SHA-256 of the manifest of each generation as the run left it, by its history."""
    return _manifests(run, stamp(run / HISTORY))


@cache
def _manifests(run: Path, stamp: tuple[int, int]) -> dict[int, str]:
    return {line["generation"]: str(line["manifest"]) for line in lines(run) if "manifest" in line}
