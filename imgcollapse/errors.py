"""What can go wrong for a user, and the exit code that says so. Every message names the place, the value and the cure."""

import difflib
import errno
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Problem(ValueError):
    """An error with one clear line for the user."""

    exit_code = 1


class SettingsProblem(Problem):
    """A setting, flag or configuration file that cannot be used."""

    exit_code = 2


class DataProblem(Problem):
    """A data set that is missing, cut or not what it claims to be."""

    exit_code = 3


class WeightsProblem(DataProblem):
    """Weights of an extractor that are not there; others can go on without it."""


class InUseProblem(Problem):
    """A run folder that another process is writing."""

    exit_code = 4


class OtherStudyProblem(Problem):
    """A run folder that holds another study; it is never overwritten."""

    exit_code = 5


class DivergedProblem(Problem):
    """A network whose loss stopped being a finite number."""

    exit_code = 6


class UnfinishedProblem(Problem):
    """Runs of an ablation that failed or were not executed; what is there has been summed up."""

    exit_code = 7


class SystemProblem(Problem):
    """Something that the operating system refuses: no room on the disk, no permission, no locks."""

    exit_code = 8


class ProgramProblem(Problem):
    """A program or plug-in of the user's that failed, took too long, or gave something else than was asked for."""

    exit_code = 9


AGAIN = "then run the same command again: what is finished is kept"
CURES = {
    errno.ENOSPC: f"make room there, or name another folder, {AGAIN}",
    errno.EDQUOT: f"make room within your quota, or name another folder, {AGAIN}",
    errno.EFBIG: f"the system bounds the size of files (`ulimit -f`): raise the bound, or name another folder, {AGAIN}",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "ask for permission, or name another place",
    errno.EPERM: "ask for permission, or name another place",
    errno.ENOENT: "look whether it is named rightly, and is still there",
    errno.ENOTDIR: "a part of this path is a file and no folder: name another place",
    errno.EISDIR: "it is a folder where a file is wanted: name another place",
    errno.EEXIST: "something else has this name: name another place",
    errno.ENAMETOOLONG: "name a shorter place",
    errno.ELOOP: "the links there lead in a circle: name another place",
    errno.EMFILE: f"too many files are open at once: raise the bound (`ulimit -n`), {AGAIN}",
    errno.ENFILE: f"too many files are open on this machine: close some programs, {AGAIN}",
    errno.ENOMEM: f"close other programs, or take fewer --samples or --jobs, {AGAIN}",
    errno.EIO: f"the disk or its connection fails: look at the system's log, or name another folder, {AGAIN}",
    errno.ESTALE: f"the network file system has lost it: look whether it is still mounted, {AGAIN}",
    errno.ENOLCK: "name a folder on a file system that has locks",
    errno.ENOSYS: "name a folder on another file system",
}
"""By error number, what to do about it."""
OTHERWISE = f"see that the system allows it, {AGAIN}"


@contextmanager
def placed_at(path: str | os.PathLike[str]) -> Iterator[None]:
    """Gives an OSError inside the block its place, where the system did not say one (as when writing fails for want of room)."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)
        raise


def explained(error: BaseException) -> Problem | None:
    """The Problem in which an error is told to a user: itself where it is one, else what the system refused, with place, reason and cure,
    or the line of a plug-in that raised it.

    None for everything else, which is a fault of the program. The one boundary: the command line and the workers ask it.
    """
    if isinstance(error, Problem):
        return error
    number = getattr(error, "errno", None) or _number(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or number == errno.ENOMEM:
        return SystemProblem(f"memory: {_reason(error) or 'there is not enough'}; {CURES[errno.ENOMEM]}")
    if number is None and not isinstance(error, OSError):
        return of_plugin(error)
    place = getattr(error, "filename", None)
    message = os.strerror(number) if number else _reason(error)
    where = os.fsdecode(place) if isinstance(place, (str, bytes)) else "the system says no" if place is None else str(place)
    return SystemProblem(f"{where}: {message}; {CURES.get(number or 0, OTHERWISE)}")


PLUGINS: set[str] = set()
"""The files of the plug-ins that were loaded, and the folders of packages (ending in a separator), as tracebacks name them."""


def of_plugin(error: BaseException) -> ProgramProblem | None:
    """Of an error that went through a plug-in's code: the last line of it that did."""
    folders = tuple(one for one in PLUGINS if one.endswith(os.sep))
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    theirs = [(file, line) for file, line in frames if file in PLUGINS or file.startswith(folders)]
    if not theirs:
        return None
    return ProgramProblem(f"{plugin_line(*theirs[-1], error)}; mend it (`imgcollapse --debug ...` shows the way there)")


def plugin_line(file: str, line: int | None, error: BaseException) -> str:
    """`plugins: FILE, line 3: KeyError: 'x'`, on one line."""
    what = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"plugins: {file}, line {line}: {type(error).__name__}: {brief(what, quoted=False, most=200)}"


def _number(error: BaseException) -> int | None:
    """The system's error number in the words of what does not carry it: safetensors (`os error 28`), torch, shutil (`[Errno 28]`)."""
    found = re.search(r"(?:os error|[Ee]rrno:?) (\d+)", str(error))
    if found:
        return int(found[1])
    full = ("PytorchStreamWriter failed", "No space left on device")
    return errno.ENOSPC if any(message in str(error) for message in full) else None


def _reason(error: BaseException) -> str:
    """Its first line, without what only programmers read."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200].rstrip(".") if lines else ""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Of the known names the one that is likely meant; capitals and how words are parted (MNIST, Fashion_MNIST) are no difference."""
    plain = {plainly(one): one for one in reversed(list(known))}
    near = difflib.get_close_matches(plainly(name), list(plain), n=1, cutoff=cutoff)
    return plain[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean 'mnist'? `, for a message; empty where nothing is near."""
    near = nearest(name, known, cutoff)
    return f"did you mean '{near}'? " if near else ""


def plainly(name: str) -> str:
    """A name without capitals, and without what parts its words."""
    return "".join(name.lower().split()).replace("-", "").replace("_", "")


def brief(value: object, *, quoted: bool = True, most: int = 80) -> str:
    """A value in a message, at most `most` characters of it, as Python writes it; `quoted=False`: text as it is, if it can be printed."""
    text = value if isinstance(value, str) and not quoted and value.isprintable() else repr(value)
    return text if len(text) <= most else f"{text[: most - 20]}... ({len(text):,} characters)"
