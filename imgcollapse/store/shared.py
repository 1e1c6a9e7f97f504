"""Generations that several runs have in common, made once: folders named by a digest of what decides them, hard-linked into the runs."""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.files import ASIDE, digest, draft_beside, folder_in_place, is_file, ledger, link_in_place, locks, set_aside
from imgcollapse.store.identity import Identity, learning
from imgcollapse.store.layout import MODEL
from imgcollapse.store.manifest import MANIFEST, damage, read_manifest, write_manifest


class SharedStore:
    """A folder that runs share. Whoever needs an entry first makes it; the others wait for it and link it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def lock(self, key: str, what: str) -> Iterator[None]:
        """Only one process at a time is in the block with this key. A process that dies frees it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.locked(self.folder / f"{key}.lock", waiting=f"{what}: another run is making the same one; waiting for it"):
            yield

    def link(self, key: str, place: Path, made_by: dict[str, Any] | None = None) -> bool:
        """Links the entry, checked by its manifest and by what made it, at `place` with one rename; False where there is none that fits."""
        if (entry := self._entry(key, made_by, "made again")) is not None:
            _link(entry, place)
        return entry is not None

    def add(self, key: str, place: Path) -> None:
        """Adds a finished folder by hard links."""
        if not (self.folder / key).exists():
            _link(place, self.folder / key)

    @staticmethod
    def weights_key(recipe: Identity) -> str:
        """The name of the weights that a generation with this recipe has learned."""
        return f"weights-{digest(learning(recipe))}"

    def fitted_model(self, key: str, load: Callable[[Path], Any]) -> Any:
        """The model of that entry, opened; None where there is none that is whole."""
        entry = self._entry(key, None, "learned again")
        return None if entry is None else load(entry / MODEL)

    def add_model(self, key: str, save: Callable[[Path], None]) -> None:
        """Adds a fitted model."""
        place = self.folder / key
        ledger.discard(draft_beside(place), [MODEL, MANIFEST])
        with folder_in_place(place) as draft:
            save(draft / MODEL)
            write_manifest(draft)

    def link_model(self, key: str, folder: Path) -> None:
        """Puts hard links to the fitted model of that entry in place of the files in a draft folder that are, byte for byte, the same.

        What a correction changed, or another way to draw, stays a file of its own; so does all where the file system has no links.
        """
        fitted = self.folder / key / MODEL
        for path in sorted(folder.rglob("*")):
            entry = fitted / path.relative_to(folder)
            with suppress(OSError):  # no such file there, or no hard links
                if is_file(path) and is_file(entry) and filecmp.cmp(entry, path, shallow=False):
                    link_in_place(entry, path)

    def forget(self, key: str) -> None:
        """Removes an entry, which whoever needs it makes again; runs keep what is linked into them."""
        with self.lock(key, "what is pruned"):
            if (self.folder / key).is_dir():
                shutil.rmtree(set_aside(self.folder / key))  # renamed first: a killed process leaves no half of an entry
                with suppress(OSError):  # others are there
                    (self.folder / ASIDE).rmdir()

    def _entry(self, key: str, made_by: dict[str, Any] | None, again: str) -> Path | None:
        """The folder of that entry; None where there is none. One that is damaged or made by something else is set aside, and reported."""
        entry = self.folder / key
        if not entry.is_dir():
            return None
        wrong = damage(entry)
        if wrong is None and read_manifest(entry)["made_by"] != made_by:
            wrong = "was made by something else"
        if wrong is None:
            return entry
        aside = set_aside(entry)
        progress.say(f"{entry}: {wrong}; {again} (the old one is kept as {aside.relative_to(self.folder)})")
        return None


def _link(source: Path, place: Path) -> None:
    """Makes a second folder with the same files: hard links where the file system has them, else copies."""
    ledger.discard(draft_beside(place), [path.name for path in source.iterdir()])
    with folder_in_place(place) as draft:
        shutil.copytree(source, draft, copy_function=_link_file, dirs_exist_ok=True)


def _link_file(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, place)
