"""The log of a run: all that was told while it was worked on, of all its sessions, a line each with its time (UTC)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from imgcollapse import files, progress
from imgcollapse.errors import explained
from imgcollapse.machine import streams
from imgcollapse.store.layout import LOG

TAIL = 4096  # bytes at its end in which its last line is looked for


@contextmanager
def kept(run: Path) -> Iterator[None]:
    """What is told in the block is appended to the run's log, and with what it ended where that was an error or an interrupt."""
    write = partial(_append, run / LOG)
    with progress.logged(write):
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if progress.is_logged(write):
                end = "stopped" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {explained(error) or error}"
                write(end, time.time())
            raise


def last(run: Path) -> str:
    """Its last line, without the time; empty where there is none, or none that can be read."""
    try:
        with files.open_regular(run / LOG) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except (OSError, ValueError):
        return ""
    return lines[-1][len("2026-01-01 00:00:00") :].strip() if lines else ""


def _append(log: Path, line: str, when: float) -> None:
    """Where it cannot be written, that is said, and the work goes on without it."""
    try:
        files.append_text(log, streams.stamped(streams.shown(line), when))
    except OSError as error:
        progress.unlog()
        progress.say_once(f"{str(explained(error)).partition('; ')[0]}; nothing more is written to {log}", f"no log {log}")
