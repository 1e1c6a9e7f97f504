"""Manifests: what a folder's files are, and what made them; they tell when one has changed."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imgcollapse.errors import DataProblem
from imgcollapse.files import bytes_of, digest, digest_of
from imgcollapse.store.records import read_json, sealed, write_sealed

MANIFEST = "MANIFEST.json"


def write_manifest(folder: Path, made_by: dict[str, Any] | None = None, contents: Mapping[str, str | None] = MappingProxyType({})) -> None:
    """Names every file in the folder with its size and SHA-256, and what made them. The last that is written into a draft folder.

    contents: of compressed files, the SHA-256 of what is in them, by which they are known; None: the file's own
    """
    files = {path.relative_to(folder).as_posix(): _entry(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, content in contents.items():
        files[name] |= {} if content is None else {"content": content}
    record = {"written": datetime.now(UTC).isoformat(timespec="seconds"), "made_by": made_by, "files": files}
    (folder / MANIFEST).write_bytes(bytes_of(sealed(record)))  # the folder is put on the disk as a whole


def read_manifest(folder: Path) -> dict[str, Any]:
    """`written`, `made_by` (None: not known), `files`: path -> `size`, `sha256`, `content` where it is compressed, and `thrown_away` where
    that was done on purpose.

    Raises DataProblem for what is missing or damaged.
    """
    try:
        record = read_json(folder / MANIFEST)
        own = record.pop("sha256", None)
        files = {
            str(name): {
                "size": int(entry["size"]),
                "sha256": str(entry["sha256"]),
                **({"content": str(entry["content"])} if "content" in entry else {}),
                **({"thrown_away": True} if entry.get("thrown_away") else {}),
            }
            for name, entry in record["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        if not os.path.lexists(folder / MANIFEST):
            raise DataProblem(f"{MANIFEST} is missing") from None
        raise DataProblem(f"{MANIFEST} is damaged") from None
    if own != digest(record) and (own is not None or "made_by" in record):  # those of older versions have neither
        raise DataProblem(f"{MANIFEST} is damaged")
    return {"written": record.get("written"), "made_by": record.get("made_by"), "files": files}


def made_by(folder: Path) -> dict[str, Any] | None:
    """What made a finished generation; None where the first version of this program wrote it, which kept no word of that."""
    made: dict[str, Any] | None = read_manifest(folder)["made_by"]
    return made


def damage(folder: Path, but: str = "", only: str = "") -> str | None:
    """What is wrong with a generation's files, in words; None where every file is as its manifest says.

    Files in the folder `but`, others than those in the folder `only`, and what was thrown away on purpose, are not looked at.
    """
    try:
        files = read_manifest(folder)["files"]
    except DataProblem as problem:
        return str(problem)
    for name, entry in files.items():
        path = folder / name
        if (but and _is_of(name, but)) or (only and not _is_of(name, only)) or "thrown_away" in entry:
            continue
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["size"]:
            return f"{name} has {path.stat().st_size:,} bytes, the manifest says {entry['size']:,}"
        if _entry(path)["sha256"] != entry["sha256"]:
            return f"{name} has changed (its SHA-256 is not the manifest's)"
    return None


def part_digest(folder: Path, part: str) -> str | None:
    """SHA-256 of a file in the folder (of what is in it, where it is compressed), or of all the files in a folder in it, by the manifest;
    None where that cannot be told."""
    try:
        files = read_manifest(folder)["files"]
    except DataProblem:
        return None
    if part in files:
        return str(files[part].get("content", files[part]["sha256"]))
    inside = {name: entry["sha256"] for name, entry in files.items() if _is_of(name, part)}
    return digest(inside) if inside else None


def has(folder: Path, part: str) -> bool:
    """Whether a part of a finished generation, a file or a folder, is kept there, and has not been thrown away on purpose."""
    entries = [entry for name, entry in read_manifest(folder)["files"].items() if _is_of(name, part)]
    return bool(entries) and not any("thrown_away" in entry for entry in entries)


def throw_away(folder: Path, *parts: str) -> None:
    """Removes parts of a finished generation, files or folders; their digests stay in the manifest, which is written first."""
    record = read_json(folder / MANIFEST)
    record.pop("sha256", None)
    for name, entry in record["files"].items():
        if any(_is_of(name, part) for part in parts):
            entry["thrown_away"] = True
    write_sealed(folder / MANIFEST, record)
    for part in parts:
        if (folder / part).is_dir():
            shutil.rmtree(folder / part)
        else:
            (folder / part).unlink(missing_ok=True)


def _is_of(name: str, part: str) -> bool:
    """Whether a file, by its name in a manifest, is that part of a generation or lies in it."""
    return name == part or name.startswith(f"{part}/")


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": digest_of(path)}
