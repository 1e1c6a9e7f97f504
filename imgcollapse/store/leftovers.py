"""What lies in a run folder at names of ours: told apart before a run is written, for only what is surely ours may go."""

import re
from pathlib import Path

from imgcollapse import files
from imgcollapse.files import ledger
from imgcollapse.store.history import HISTORY
from imgcollapse.store.layout import (
    DATA,
    ENVIRONMENT,
    GENERATION,
    LATENTS,
    LOCK,
    LOG,
    MODEL,
    PROGRAMS,
    PROVENANCE,
    REFERENCE,
    SAMPLES,
    SCORES,
    START,
    STUDY,
    UNFINISHED,
    UNMARKED,
)
from imgcollapse.store.manifest import MANIFEST

_OLDER_PARTS = [f"{name}.part" for name in (STUDY, REFERENCE, ENVIRONMENT, "worker.json", "failed.json")]  # older versions' way of writing
_DRAFT, _IN_DRAFT = re.compile(r"gen_\d{3,}\.draft"), (SAMPLES, UNMARKED, LATENTS, PROVENANCE, MODEL, MANIFEST)


def is_ours(path: Path) -> bool:
    """Whether a run that was stopped before its study was written may have left this file."""
    return (path.name == LOCK and is_lock(path)) or files.is_part(path) or path.name in _OLDER_PARTS


def is_lock(path: Path) -> bool:
    """Whether it may be a lock of ours: they are empty."""
    return files.is_file(path) and files.is_empty(path)


def clear(path: Path, study: str) -> None:
    """Removes what is surely left of a process that was killed; whatever else has a name of ours and is none of ours is set aside.

    A generation may be a link to a folder, as it is only ever read.
    """
    name = path.name
    if _DRAFT.fullmatch(name):
        ledger.discard(path, _IN_DRAFT)
    elif name in _OLDER_PARTS and _is_begun(path, study if path.stem == STUDY else ""):
        path.unlink()
    elif (
        name in _OLDER_PARTS
        or (name in (STUDY, DATA, START, ENVIRONMENT, HISTORY, LOG) and not files.is_file(path))
        or (name in (SCORES, PROGRAMS, UNFINISHED) and not path.is_dir())
        or (name == UNFINISHED and path.is_symlink())
        or (GENERATION.fullmatch(name) and not path.is_dir())
    ):
        ledger.clear(path, path.parent)


def _is_begun(path: Path, text: str) -> bool:
    """Whether it is a file with the beginning of this text, or an empty one."""
    wanted = files.bytes_of(text)
    return files.is_file(path) and path.stat().st_size <= len(wanted) and wanted.startswith(path.read_bytes())
