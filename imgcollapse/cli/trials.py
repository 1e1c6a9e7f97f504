"""What `imgcollapse doctor` tries: does this machine let files be written and locked, and processes be started?"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from imgcollapse import files
from imgcollapse.ablation.engines.local import check
from imgcollapse.errors import Problem, explained
from imgcollapse.files import locks

Tried = dict[str, str | None]
"""Name of each trial -> None where it went well, else place, reason and cure in one line."""


def of_files(data_dir: Path) -> Tried:
    """Can files be written, and locked?"""
    kept = existing(data_dir)
    return {
        "write and lock in the data folder": _found(lambda: _written_and_locked(kept)),
        "write and lock in this folder": _found(lambda: _written_and_locked(Path.cwd())),
        "write temporary files": _found(lambda: _written(Path(tempfile.gettempdir()))),
    }


def of_processes() -> Tried:
    """Can a process be started? It takes as long as what a process imports."""
    return {"start a process (ablate)": _found(check)}


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _written(folder: Path) -> None:
    place = folder / f".imgcollapse-{token_hex(8)}"
    files.write_text(place, "tried")
    place.unlink()


def _written_and_locked(folder: Path) -> None:
    _written(folder)
    place = folder / f".imgcollapse-{token_hex(8)}.lock"
    try:
        with locks.locked(place):
            pass
    finally:
        place.unlink(missing_ok=True)


def _found(trial: Callable[[], None]) -> str | None:
    try:
        trial()
    except (OSError, RuntimeError, EOFError, Problem) as error:
        return str(explained(error) or error) or type(error).__name__
    return None
