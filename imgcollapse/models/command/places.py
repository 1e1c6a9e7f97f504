"""Where a program works, what it finds there, and what it may leave."""

import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import ProgramProblem
from imgcollapse.files import digest_of, stamp
from imgcollapse.machine import programs
from imgcollapse.models.weights import ABOUT
from imgcollapse.store.manifest import damage, made_by

TEMPORARY = "imgcollapse-program-"


class Scratch:
    """A workplace outside of any run: it is gone with the last model that was fitted in it. Where something fails, there is none, and all
    of it stays to be looked at."""

    @classmethod
    def of(cls, place: Path) -> "Scratch | None":
        """That of a workplace; None of one in a run."""
        if programs.workplace() is not None:
            return None
        scratch = cls()
        weakref.finalize(scratch, shutil.rmtree, place, ignore_errors=True)
        return scratch


def workplace() -> Path:
    """The run's, made where it is not there yet; outside of a run a new folder among the temporary files."""
    place = programs.workplace()
    if place is None:
        return Path(tempfile.mkdtemp(prefix=TEMPORARY))
    place.mkdir(parents=True, exist_ok=True)
    progress.say_once(f"{place.parent}: what the programs print is kept here, a folder a generation", "programs")
    return place


def empty(folder: Path) -> Path:
    """The folder, new: what an earlier attempt has left there is gone."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def holds(folder: Path, learned: dict[str, Any]) -> bool:
    """Whether an earlier attempt has left the very same model there, whole: one whose samples were not kept any more."""
    if damage(folder) is not None or made_by(folder) != learned:
        return False
    progress.say(f"{folder}: is what model.fit has left before this run was stopped; it is not fitted again")
    return True


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def digest(path: Path) -> str:
    """SHA-256 of a file; of one that has not changed it is taken once."""
    return _digest(path.absolute(), stamp(path))


@cache
def _digest(path: Path, stamped: tuple[int, int]) -> str:
    return digest_of(path)


def check_left(model: Path, log: Path) -> None:
    """Raises ProgramProblem where a program has left what cannot be a model's folder."""
    left = sorted(model.rglob("*"))
    for path in left:
        name = path.relative_to(model)
        if not files.is_file(path) and not files.is_folder(path):
            what = "a link" if path.is_symlink() else "no file and no folder"
            raise ProgramProblem(
                f"model.fit: left {what} in {{model}} ('{name}'), and only files can be kept; copy what it stands for; {_see(log)}"
            )
    if not any(files.is_file(path) for path in left):
        raise ProgramProblem(
            f"model.fit: left nothing in {{model}}; let it write there what the program of model.sample reads; {_see(log)}"
        )
    if (model / ABOUT).exists():
        raise ProgramProblem(f"model.fit: left a file {ABOUT} in {{model}}, a name that is taken; give it another; {_see(log)}")


def _see(log: Path) -> str:
    return f"what it printed is in {log}"
