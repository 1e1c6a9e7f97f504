"""Files that are there whole or not at all, and how they are told apart."""

import errno
import json
import os
import re
import stat
from contextlib import suppress
from hashlib import file_digest, sha256
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, brief, placed_at
from imgcollapse.files import locks

ASIDE = "set_aside"  # in a folder: what stood in the way, or was damaged
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # what the system says of what is no file; all else it refuses
# what file systems answer that put nothing on the disk when asked, or keep no permissions (exFAT, CIFS, FUSE)
UNKNOWN = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EPERM, errno.EACCES)
PART = re.compile(r"\.imgcollapse-[0-9a-f]{16}\.part")  # a file on its way to its place


def expanded(path: str | Path) -> Path:
    """The path with `~` and `~NAME` as the folders that they stand for. Raises SettingsProblem where there is no such user or home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsProblem(f"{path}: it cannot be told which folder `~` stands for here; write the path in full") from None


def write_text(path: Path, text: str) -> None:
    """All of it or nothing: another reader never sees half a file."""
    write_bytes(path, bytes_of(text))


def bytes_of(text: str) -> bytes:
    """Text in UTF-8; what of a file name is no text stands as `\\udce9`."""
    return text.encode(errors="backslashreplace")


def write_bytes(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever else writes the same: into a file of its own beside, put on the disk, then renamed.

    What a killed process leaves there is known by its name: see `sweep`. Raises OSError with its place.
    """
    part = path.with_name(f".imgcollapse-{token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            locks.mark(file.fileno())
            file.write(data)
            file.flush()
            _put_on_disk(file.fileno(), part)
            if os.name == "nt":
                file.close()  # Windows renames no open file
            os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise


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
    """Adds one line of JSON; a line that a killed process left unfinished is ended first.

    Raises OSError (EEXIST) for a link and for whatever else is no regular file: nothing is written through it.
    """
    line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    if os.path.lexists(path) and not is_file(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with placed_at(path), open(path, "a+b", opener=_not_followed) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(bytes_of(line))


def _not_followed(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)  # it may have become a link since it was looked at


def to_json(record: dict[str, Any]) -> str:
    """Readable JSON; NaN is no JSON and an error."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def is_empty(path: Path) -> bool:
    """Whether it is a file of no bytes, as a full disk leaves them."""
    return path.is_file() and not path.stat().st_size


def as_usual(folder: Path) -> None:
    """Gives every file in the folder the permissions of any new file there: some libraries write theirs for the owner alone.

    Where the file system keeps none, that is said once, and all stays as it is.
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


def set_aside(path: Path, folder: Path | None = None) -> Path:
    """Renames what cannot be used to `set_aside/NAME-1` in the folder (that of the file), or `-2` and so on; returns where it lies now.

    Nothing is replaced, whoever else sets something aside at the same time.
    """
    folder = folder or path.parent
    shelf = next(one for n in count() if is_folder(one := folder / (ASIDE + n * "_")) or not os.path.lexists(one))
    with placed_at(shelf):
        shelf.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            place = shelf / f"{path.name}-{number}"
            try:  # takes the name, which only one process can; the rename then replaces nothing but this
                place.mkdir() if is_folder(path) else place.touch(exist_ok=False)
            except FileExistsError:
                continue
            os.replace(path, place)
            return place
    raise AssertionError("numbers do not end")


def is_file(path: Path) -> bool:
    """Whether a regular file is there, and no link to one."""
    return os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def digest_of(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def digest(record: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-ready record; the order of its keys does not matter."""
    return sha256(json.dumps(record, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()).hexdigest()


def first_difference(before: Any, now: Any, place: str = "") -> str:
    """`place 'old', now 'new'` for the first value in which two records differ; long values are cut."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return first_difference(before.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            if one != other:
                return first_difference(one, other, f"{place}.{number}")
    return f"{place} {brief(before)}, now {brief(now)}"


def sync(path: Path) -> None:
    """Asks the system to put a file or folder on the disk, so that a crash after the rename cannot leave it empty."""
    with placed_at(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _put_on_disk(descriptor, path)
        finally:
            os.close(descriptor)


def _put_on_disk(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        wrong = "cannot put files on the disk when asked; a power cut may damage the newest"
        _bear(error, f"{path.parent}: this file system {wrong}", f"fsync {os.fstat(descriptor).st_dev}")


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
