"""Files that are there whole or not at all, and manifests that tell when one has changed."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from imgcollapse.errors import DataProblem, SettingsProblem

MANIFEST = "MANIFEST.json"


def write_text(path: Path, text: str) -> None:
    """All of it or nothing: another reader never sees half a file. In UTF-8; what of a file name is no text stands as `\\udce9`."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """All of it or nothing: another reader never sees half a file."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    sync(part)
    os.replace(part, path)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Adds one line of JSON; a line that a killed process left unfinished is ended first."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode())


def to_json(record: dict[str, Any]) -> str:
    """Readable JSON; NaN is no JSON and an error."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """A record of a run. Raises DataProblem where it cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataProblem(f"{path}: cannot be read ({error}); remove its generation folder and run again") from None


def write_manifest(folder: Path) -> None:
    """Names every file in the folder with its size and SHA-256, then asks the system to put all of it on the disk."""
    files = {str(path.relative_to(folder)): _entry(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    write_text(folder / MANIFEST, to_json({"written": datetime.now(UTC).isoformat(timespec="seconds"), "files": files}))
    for path in (*folder.rglob("*"), folder):
        sync(path)


def damage(folder: Path) -> str | None:
    """What is wrong with a generation's files, in words; None where every file is as its manifest says."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {name: (entry["size"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    for name, (size, sha256) in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes, the manifest says {size:,}"
        if _entry(path)["sha256"] != sha256:
            return f"{name} has changed (its SHA-256 is not the manifest's)"
    return None


def first_difference(before: Any, now: Any, place: str = "") -> str:
    """`place 'old', now 'new'` for the first value in which two records differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return first_difference(before.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    return f"{place} {before!r}, now {now!r}"


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": file_digest(file, "sha256").hexdigest()}


def sync(path: Path) -> None:
    """Asks the system to put a file or folder on the disk, so that a crash after the rename cannot leave it empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tried(place: Path, cure: str = "choose another --out") -> None:
    """Tries, before long work, whether a file or folder can be written there: makes one beside it, and takes it away again.

    Folders on the way that are not there are made and taken away as well. Raises SettingsProblem where it cannot be written.
    """
    made: list[Path] = []
    try:
        for folder in reversed([path for path in (place.parent, *place.parent.parents) if not path.exists()]):
            folder.mkdir()
            made.append(folder)
        # as long a name as any that is used on the way, see `imgcollapse.export.placed`
        draft = place.parent / f".{place.name}.tried-{os.getpid()}-old"
        draft.write_bytes(b"tried")
        draft.unlink()
    except (OSError, ValueError) as error:
        raise SettingsProblem(f"{place}: cannot be written ({getattr(error, 'strerror', None) or error}); {cure}") from None
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # another process has put something there
                folder.rmdir()
