"""What several runs would make alike, made once: a folder of generations addressed by all that decides them, hard-linked into every run."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from imgcollapse import progress
from imgcollapse.files import damage, sync


def address(recipe: dict[str, Any]) -> str:
    """SHA-256 (hexadecimal) of a JSON-ready record; the order of its keys does not matter."""
    return sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()).hexdigest()


class Shelf:
    """A folder that runs share. Whoever needs an entry first makes it; the others wait for it and link it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def turn(self, key: str, what: str) -> Iterator[None]:
        """Only one process at a time is in the block with this key. A process that dies gives its turn up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.say(f"{what}: another run is making the same one; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def lend(self, key: str, place: Path) -> bool:
        """Puts the entry, checked against its manifest, at `place` by one rename; False where there is none that is whole."""
        entry = self.folder / key
        if not entry.is_dir():
            return False
        if wrong := damage(entry):
            progress.say(f"{entry}: {wrong}; made again")
            shutil.rmtree(entry)
            return False
        _link(entry, place)
        return True

    def put(self, key: str, place: Path) -> None:
        """Takes a finished folder in."""
        if not (self.folder / key).exists():
            _link(place, self.folder / key)


def _link(source: Path, place: Path) -> None:
    """A second folder with the same files: hard links where the file system has them, else copies."""
    draft = place.with_name(place.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        shutil.copytree(source, draft, copy_function=_link_file)
        draft.rename(place)
        sync(place.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _link_file(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, place)
