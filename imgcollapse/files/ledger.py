"""Our own files in folders where others may write too: recognised by a ledger, and never written over anything else."""

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path

from imgcollapse import progress
from imgcollapse.errors import placed_at
from imgcollapse.files import append_line, bytes_of, digest_of, is_file, is_folder, is_part, set_aside, sweep, write_bytes

LEDGER = ".written.jsonl"  # in a folder: the name and SHA-256 of every file that we wrote there, one a line


def put(folder: Path, wanted: Mapping[str, bytes | str]) -> list[Path]:
    """Writes files, `NAME` or `FOLDER/NAME`, into the folder, each whole or not at all, and returns their paths. Text as `bytes_of` says.

    What was written there before is replaced as long as nobody has changed it since, made it read-only or put a link in its place;
    whatever else stands in the way is kept in `set_aside/`, and reported.
    """
    ours = known(folder)
    for place in {(folder / name).parent for name in wanted}:
        sweep(place)
    for name, content in wanted.items():
        data = bytes_of(content) if isinstance(content, str) else content
        path, digest = folder / name, sha256(data).hexdigest()
        if obstacle := _in_the_way(folder, name, ours[name] | {digest}):
            clear(obstacle, folder)
        if digest not in ours[name]:  # noted first, so that a killed process leaves no file of ours that nobody knows
            note(folder, name, digest)
        if not path.exists() or digest_of(path) != digest:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)
    return [folder / name for name in wanted]


def note(folder: Path, name: str, digest: str) -> None:
    """Adds a line to the ledger: what has this SHA-256 under that name is ours."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(folder / LEDGER) and not is_file(folder / LEDGER):
        clear(folder / LEDGER, folder)
    append_line(folder / LEDGER, {"file": name, "sha256": digest})


def known(folder: Path) -> defaultdict[str, set[str]]:
    """Name -> the SHA-256 of all that was ever noted under it. A line that cannot be read is passed over."""
    found = defaultdict[str, set[str]](set)
    if is_file(folder / LEDGER):
        for line in (folder / LEDGER).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                found[str(record["file"])].add(str(record["sha256"]))
            except (ValueError, KeyError, TypeError):
                continue
    return found


def forget(folder: Path, kept: set[str]) -> None:
    """Removes the pictures that `put` wrote into the folder itself, named by their content, but for those kept; and the folder, if it is
    then empty. Nothing else is touched."""
    if not is_folder(folder):
        return
    for path in list(folder.iterdir()):
        if path.name not in kept and _named_by_content(path):
            path.unlink()
    if [path.name for path in folder.iterdir()] in ([], [LEDGER]):
        (folder / LEDGER).unlink(missing_ok=True)
        folder.rmdir()


def is_others(folder: Path) -> bool:
    """Whether something else than a folder of ours is there. Ours: with a ledger, empty, or with the pictures of earlier versions alone."""
    if not os.path.lexists(folder):
        return False
    if not is_folder(folder):
        return True
    return not is_file(folder / LEDGER) and not all(_named_by_content(path) for path in folder.iterdir())


def clear(path: Path, folder: Path) -> Path:
    """Sets aside what stands in the way, and says so; returns where it now lies."""
    place = set_aside(path, folder)
    progress.say(f"{path}: is not as imgcollapse wrote it; it is kept as {place}")
    return place


def discard(draft: Path, names: Collection[str]) -> None:
    """Removes the draft folder that a killed process left: one with nothing but these names in it, and half-written files.

    Whatever else is there is somebody else's, and set aside.
    """
    if is_folder(draft) and all((path.name in names or is_part(path)) and not path.is_symlink() for path in draft.iterdir()):
        with placed_at(draft):
            shutil.rmtree(draft)
    elif os.path.lexists(draft):
        clear(draft, draft.parent)


def _in_the_way(folder: Path, name: str, ours: set[str]) -> Path | None:
    """What stands at the place of a file and is not one of ours, or is not the folder that it belongs into."""
    path = folder / name
    for above in reversed(path.relative_to(folder).parents[:-1]):
        if os.path.lexists(folder / above) and not is_folder(folder / above):
            return folder / above
    if not os.path.lexists(path) or (is_file(path) and path.stat().st_mode & 0o222 and digest_of(path) in ours):
        return None
    return path


def _named_by_content(path: Path) -> bool:
    """Whether a file is a picture of a page: its name is the beginning of its SHA-256, which nobody else's would be."""
    return bool(re.fullmatch(r"[0-9a-f]{20}\.(png|webp)", path.name)) and is_file(path) and digest_of(path).startswith(path.stem)
