"""The writers: files and folders that are there whole or not at all, and put on the disk before they take their place."""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import placed_at
from imgcollapse.files import locks
from imgcollapse.files.regular import is_file

# what file systems answer that put nothing on the disk when asked, or keep no permissions (exFAT, CIFS, FUSE)
UNKNOWN = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EPERM, errno.EACCES)
PART = re.compile(r"\.imgcollapse-[0-9a-f]{16}\.part")  # a file on its way to its place


def write_text(path: Path, text: str) -> None:
    """All of it or nothing: another reader never sees half a file."""
    write_bytes(path, bytes_of(text))


def write_bytes(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever else writes the same: see `written`. Raises OSError with its place."""
    with placed_at(path), written(path) as part:
        part.write_bytes(data)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A file of its own beside the place, empty, that the block fills under the name it is given.

    After the block it is put on the disk and renamed, whatever was there before; it is gone where the block fails. What a killed process
    leaves of it is known by its name: see `sweep`. An OSError names the place, where it is of that file.
    """
    part = path.with_name(f".imgcollapse-{token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            locks.mark(file.fileno())
            yield part
            with placed_at(part):
                _put_on_disk(file.fileno(), part)
            if os.name == "nt":
                file.close()  # Windows renames no open file
            os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (part, str(part)):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def folder_in_place(place: Path) -> Iterator[Path]:
    """A draft folder beside the place that the block fills; put on the disk as a whole, it takes its place by one rename.

    It is gone where the block fails. Raises OSError with its place, and FileExistsError where the draft (see `draft_beside`) is there.
    """
    draft = draft_beside(place)
    with placed_at(draft), draft_folder(draft):
        yield draft
        sync_all(draft)
        draft.rename(place)
        sync(place.parent)


def link_in_place(source: Path, path: Path) -> None:
    """Puts a hard link to a file in place of another one with the same content, in a draft. Raises OSError where there are none."""
    part = path.with_name(f".imgcollapse-{token_hex(8)}.part")
    os.link(source, part)
    try:
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def draft_beside(place: Path) -> Path:
    """Where `folder_in_place` makes what is to stand at a place."""
    return place.with_name(f"{place.name}.draft")


@contextmanager
def draft_folder(draft: Path) -> Iterator[Path]:
    """A new folder that is gone after the block, unless the block has renamed it. Raises FileExistsError where something is there."""
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def is_part(path: Path) -> bool:
    """Whether the file is one of `write_bytes` on its way to its place, or what is left of one."""
    return PART.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Removes what killed processes left of files on their way; not those whose writer is alive."""
    for path in folder.glob(".imgcollapse-*.part"):
        if is_part(path) and not locks.is_locked(path):
            with suppress(OSError):
                path.unlink()


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Adds one line of JSON. Raises as `append_text` does."""
    append_text(path, json.dumps(record, ensure_ascii=False, allow_nan=False))


def append_text(path: Path, line: str) -> None:
    """Adds one line; one that a killed process left unfinished is ended first.

    Raises OSError (EEXIST) for a link and for whatever else is no regular file: nothing is written through it.
    """
    line += "\n"
    if os.path.lexists(path) and not is_file(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with placed_at(path), open(path, "a+b", opener=_not_followed) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(bytes_of(line))


def _not_followed(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)  # it may have become a link since it was looked at


def bytes_of(text: str) -> bytes:
    """Text in UTF-8; what of a file name is no text stands as `\\udce9`."""
    return text.encode(errors="backslashreplace")


def as_usual(folder: Path) -> None:
    """Gives every file in the folder the permissions of any new file there: some libraries write theirs for the owner alone.

    Where the file system keeps none, that is reported once, and all stays as it is.
    """
    probe = folder / f".imgcollapse-{token_hex(8)}.part"
    with placed_at(folder):
        probe.touch()
        usual = stat.S_IMODE(probe.stat().st_mode)
        probe.unlink()
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) != usual:
                _change_mode(path, usual)


def _change_mode(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except OSError as error:
        wrong = f"lets nobody change permissions ({error.strerror}); those of new files stay as they are"
        _bear(error, f"{path.parent}: this file system {wrong}", f"chmod {path.stat().st_dev}")


def _bear(error: OSError, line: str, what: str) -> None:
    """Says once what a file system does not do; raises the error where it means something else."""
    if error.errno not in UNKNOWN:
        raise error
    progress.say_once(line, what)


def sync(path: Path) -> None:
    """Asks the system to put a file or folder on the disk, so that a crash after the rename cannot leave it empty."""
    with placed_at(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _put_on_disk(descriptor, path)
        finally:
            os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Asks the system to put a folder and all that is in it on the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def _put_on_disk(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        wrong = "cannot put files on the disk when asked; a power cut may damage the newest"
        _bear(error, f"{path.parent}: this file system {wrong}", f"fsync {os.fstat(descriptor).st_dev}")
