"""Manifests: what a folder's files are, and what made them; they tell when one has changed."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgcollapse.errors import DataProblem
from imgcollapse.files import digest, digest_of, sync_all
from imgcollapse.store.records import read_json, write_sealed

MANIFEST = "MANIFEST.json"


def write_manifest(folder: Path, made_by: dict[str, Any] | None = None) -> None:
    """Names every file in the folder with its size and SHA-256, and what made them; then asks the system to put all of it on the disk."""
    files = {path.relative_to(folder).as_posix(): _entry(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    record = {"written": datetime.now(UTC).isoformat(timespec="seconds"), "made_by": made_by, "files": files}
    write_sealed(folder / MANIFEST, record)
    sync_all(folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """`written`, `made_by` (None: not known), `files`: path -> `size`, `sha256`. Raises DataProblem for what is missing or damaged."""
    try:
        record = read_json(folder / MANIFEST)
        own = record.pop("sha256", None)
        files = {str(name): {"size": int(entry["size"]), "sha256": str(entry["sha256"])} for name, entry in record["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        if not os.path.lexists(folder / MANIFEST):
            raise DataProblem(f"{MANIFEST} is missing") from None
        raise DataProblem(f"{MANIFEST} is damaged") from None
    if own != digest(record) and (own is not None or "made_by" in record):  # those of older versions have neither
        raise DataProblem(f"{MANIFEST} is damaged")
    return {"written": record.get("written"), "made_by": record.get("made_by"), "files": files}


def damage(folder: Path, but: str = "") -> str | None:
    """What is wrong with a generation's files, in words; None where every file is as its manifest says.

    Files in the folder `but` are not looked at.
    """
    try:
        files = read_manifest(folder)["files"]
    except DataProblem as problem:
        return str(problem)
    for name, entry in files.items():
        path = folder / name
        if but and name.startswith(f"{but}/"):
            continue
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["size"]:
            return f"{name} has {path.stat().st_size:,} bytes, the manifest says {entry['size']:,}"
        if _entry(path)["sha256"] != entry["sha256"]:
            return f"{name} has changed (its SHA-256 is not the manifest's)"
    return None


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": digest_of(path)}
