"""Locks between processes. They are tried before they are waited for: on a file system that has none, waiting would never end."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from imgcollapse import progress
from imgcollapse.errors import InUseProblem, SystemProblem, placed_at

try:
    import fcntl
except ImportError:  # Windows, where filelock has locks of another kind
    fcntl = None  # type: ignore[assignment]

CONTENTION = (errno.EAGAIN, errno.EWOULDBLOCK)  # another process holds it
OPEN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

__all__ = ["Timeout", "alone", "is_locked", "locked", "mark"]


@contextmanager
def locked(path: Path, seconds: float = -1, waiting: str = "") -> Iterator[None]:
    """Only one process at a time is in the block with this lock file; one that dies gives it up.

    Waits for others at most so many seconds (-1: as long as it takes), and says `waiting` if it has to. Raises Timeout, SystemProblem
    where the file system has no locks, and OSError where the file cannot be made.
    """
    with placed_at(path):
        _try(path.parent.resolve(), path.name)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                progress.say(waiting)
            lock.acquire(timeout=seconds)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def alone(path: Path, taken: str) -> Iterator[None]:
    """Only this process is in the block with this lock file. Raises InUseProblem that says `taken` where another one is."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, seconds=1))  # `_try` holds it for a moment
        except Timeout:
            raise InUseProblem(taken) from None
        yield


def is_locked(path: Path) -> bool:
    """Whether a process is in the block of that lock file now. Needs no right to write; False where that cannot be told."""
    if fcntl is None:
        with suppress(OSError), FileLock(path).acquire(timeout=0):
            return False
        return path.exists()
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | OPEN)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in CONTENTION
        finally:
            os.close(descriptor)
    return False


def mark(descriptor: int) -> None:
    """Locks an open file as long as it is open, where there are locks, so that `is_locked` tells a living writer from a dead one."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@cache
def _try(folder: Path, name: str) -> None:
    """Takes the lock once, or sees that another process has it. Raises SystemProblem where the system answers anything else."""
    if fcntl is None:
        return
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | OPEN, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in CONTENTION:
            why = f"file locks do not work there ({os.strerror(error.errno or 0)}), and two processes could write the same files"
            raise SystemProblem(f"{folder}: {why}; name a folder on another file system") from None
    finally:
        os.close(descriptor)
