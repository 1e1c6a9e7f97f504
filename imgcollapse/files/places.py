"""Places that are filled whole or not at all, and never in place of something else: files and folders for others."""

import errno
import filecmp
import glob
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from imgcollapse.errors import OtherStudyProblem, Problem, SettingsProblem, explained
from imgcollapse.files import digest_of, draft_folder, locks, same_or_refuse, to_json, write_text

RECORD = "CARD.json"  # in a placed folder: of what it is, and the SHA-256 of every other file
OLD = "old"  # ends the name of a folder that `placed` has moved out of the way of its next edition
CURE = "nothing is ever overwritten; move it elsewhere, or choose another --out"
HERE = sha256(platform.node().encode()).hexdigest()[:6]  # tells this machine's drafts from those of others that share the folder
BADLY_NAMED = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.EINVAL)
CLOSED = (errno.EACCES, errno.EPERM)


def tried(place: Path, cure: str = "choose another --out") -> None:
    """Tries, before long work, whether a file or folder can be written there: makes a file beside it, and takes it away again.

    Folders on the way that are not there are made and taken away as well. Raises SettingsProblem or SystemProblem, see `unwritable`.
    """
    made: list[Path] = []
    draft = place.parent / f".imgcollapse-{token_hex(8)}.part"  # a name that is swept, should this process be killed
    try:
        with suppress(FileNotFoundError):  # nothing is made, but a name that is too long is refused
            os.lstat(place.with_name(f"{_mine(place)}{os.getpid()}-{OLD}"))
        for folder in reversed([path for path in (place.parent, *place.parent.parents) if not path.exists()]):
            folder.mkdir()
            made.append(folder)
        with draft.open("xb") as file:
            locks.mark(file.fileno())
            file.write(b"tried")
    except (OSError, ValueError) as error:
        raise unwritable(place, error, cure) from None
    finally:
        with suppress(OSError, ValueError):
            draft.unlink()
        for folder in reversed(made):
            with suppress(OSError):  # another process has put something there
                folder.rmdir()


def unwritable(place: Path, error: OSError | ValueError, cure: str) -> Problem:
    """Why nothing can be written at a place that the user named: a SettingsProblem where the name is wrong or the place is closed to them.

    Else a SystemProblem, as where the disk is full.
    """
    if not isinstance(error, OSError) or error.errno in (*BADLY_NAMED, *CLOSED):
        return SettingsProblem(f"{place}: cannot be written ({getattr(error, 'strerror', None) or error}); {cure}")
    error.filename, error.filename2 = str(place), None
    found = explained(error)
    assert found is not None  # an OSError always has words
    return type(found)(f"{found}; {cure}")


@contextmanager
def _named(place: Path, draft: Path) -> Iterator[None]:
    """Tells an OSError inside the block with the place that the user knows, but for one of a file elsewhere, which is read."""
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else draft
        if error.filename2 is not None or named in (draft, *draft.parents) or draft in named.parents:
            error.filename, error.filename2 = str(place), None
        raise


@contextmanager
def made_once(place: Path) -> Iterator[Path]:
    """A draft, file or folder, that the block makes; after the block it takes its place by a rename, or is gone where the block fails.

    Where the very same is there already, all stays as it is. Raises OtherStudyProblem where anything else is there.
    """
    resolved = place.resolve()
    draft = resolved.with_name(f"{_mine(resolved)}{os.getpid()}")
    with _named(place, draft):
        resolved.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_of(resolved)
        try:
            yield draft
            if not _takes_place(draft, resolved) and not _same(draft, resolved):
                raise OtherStudyProblem(f"{place}: holds something else; {CURE}")
        finally:
            _remove(draft)


def draft_of(place: Path) -> Path:
    """Where this process makes what is to stand at a place; what processes of this machine that were killed have left there is gone.

    A folder that such a process had moved out of the way, and not yet replaced, is back in its place.
    """
    mine = _mine(place)
    for left in place.parent.glob(f"{glob.escape(mine)}*"):
        found = re.fullmatch(rf"(\d+)(-{OLD})?", left.name.removeprefix(mine))
        if found is None or _works(int(found[1])):
            continue
        if found[2] and not os.path.lexists(place):
            left.rename(place)
        else:
            _remove(left)
    return place.with_name(f"{mine}{os.getpid()}")


def _mine(place: Path) -> str:
    """How the names of this machine's drafts of that place begin."""
    return f".{place.name}.draft-{HERE}-"


def _works(process: int) -> bool:
    """Whether another process with this number works on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return process != os.getpid()  # a draft of this number was left by an earlier process


def _takes_place(draft: Path, place: Path) -> bool:
    """Puts the draft where nothing is, or an empty folder in place of a folder; False where there is something, even since a moment ago."""
    try:
        if draft.is_dir():
            draft.rename(place)  # which is an error where a folder is not empty
        else:
            os.link(draft, place)  # a rename would replace a file
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        if draft.is_dir():
            raise
        if os.path.lexists(place):
            return False
        draft.rename(place)  # a file system without hard links
    return True


def _same(one: Path, other: Path) -> bool:
    if one.is_dir() and other.is_dir():
        return _digests(one) == _digests(other)
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def placed(place: Path, of: dict[str, Any]) -> Iterator[Path]:
    """A draft folder that the block fills; it takes its place by a rename after the block, and is gone where the block fails.

    `of` says what the folder is (plain JSON values). What was placed there before with the same `of` is replaced, as long as nobody has
    changed it since. Raises OtherStudyProblem where anything else is there.
    """
    named, place = place, place.resolve()
    with _named(named, place.with_name(f"{_mine(place)}{os.getpid()}")):
        _refuse_other(named, of)
        place.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(draft_of(place)) as draft:
            yield draft
            # not put on the disk file by file, as generations are: thousands of small files would take minutes, and all can be made again
            write_text(draft / RECORD, to_json({"of": of, "files": _digests(draft)}))
            _refuse_other(named, of)  # again: the block may have taken minutes
            _replace(place, draft)


def _replace(place: Path, draft: Path) -> None:
    """Puts the draft folder at the place; what was there is gone after, and back where that fails."""
    old = draft.with_name(f"{draft.name}-{OLD}")
    if place.exists():
        place.rename(old)
    try:
        draft.rename(place)
    except BaseException:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_other(place: Path, of: dict[str, Any]) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    try:
        text = (place / RECORD).read_text(encoding="utf-8")
        record = json.loads(text)
        before, files = dict(record["of"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OtherStudyProblem(f"{place}: holds something else; {CURE}") from None
    same_or_refuse(place, before, of, "holds another card", CURE)
    now = _digests(place)
    changed = sorted(name for name in files | now if files.get(name) != now.get(name))
    changed += [RECORD] if text != to_json({"of": before, "files": files}) else []
    if changed:
        raise OtherStudyProblem(f"{place}: has been changed since it was written ({changed[0]}); {CURE}")


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file by its path, but for the record itself; a link is told by where it points, all else by its kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            found |= {} if any(path.iterdir()) else {name: "an empty folder"}
        elif name != RECORD:
            found[name] = digest_of(path) if path.is_file() else "no file"
    return found
