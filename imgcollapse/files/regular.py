"""Regular files, told from whatever else may lie at a path, and read as nothing else is."""

import errno
import os
import stat
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # what the system says of what is no file; all else it refuses


def is_file(path: Path) -> bool:
    """Whether a regular file is there, and no link to one."""
    return os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def is_empty(path: Path) -> bool:
    """Whether it is a file of no bytes, as a full disk leaves them."""
    return path.is_file() and not path.stat().st_size


def open_regular(path: Path) -> BinaryIO:
    """The file, opened for reading. Raises ValueError for a device, a pipe and a socket, which have no end or never begin.

    It is looked at before, as opening alone does something to some devices, and after, when nobody can put another in its place.
    Raises OSError as `open` does.
    """
    _only_regular(os.stat(path))
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    try:
        _only_regular(os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """All that is in a file. Raises ValueError where it has more than `most` bytes, before reading any, and as `open_regular` does."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, and at most {most:,} are read")
        return file.read(size)


def _only_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is a device, a pipe or a socket, and only regular files are opened")


def stamp(path: Path) -> tuple[int, int]:
    """Tells a file from a changed one, mostly."""
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def digest_of(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
