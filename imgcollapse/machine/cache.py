"""Tensors that are costly to make, kept in the data folder: made once whoever asks first, whole or not at all, checked when read."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from imgcollapse import files, progress
from imgcollapse.errors import explained
from imgcollapse.files import locks
from imgcollapse.heavy import Tensor
from imgcollapse.machine import devices

END = 60.0  # seconds of work after which its end is kept, however seldom it is kept else
Made = tuple[dict[str, Tensor], dict[str, Any]]  # tensors by name, and a record of plain JSON values


_looks: ContextVar[bool] = ContextVar("looks", default=False)


@contextmanager
def looking_only() -> Iterator[None]:
    """Inside the block nothing is written into the data folder, and nothing is fetched into it: what is not there is made, and not kept."""
    token = _looks.set(True)
    try:
        yield
    finally:
        _looks.reset(token)


def looks_only() -> bool:
    """Whether the data folder is only to be looked at."""
    return _looks.get()


def remembered(what: str, name: str, key: str, make: Callable[[], Made]) -> Made:
    """What `make` gives, from the data folder where it is there: `what/name-key.safetensors`. Other processes wait meanwhile.

    `key` stands for all that decides the outcome. The file says by which key it was made, and has a digest of all tensors and of the
    record: one that is damaged (safetensors itself would load a flipped bit without a word) or was made for something else is reported, and
    made anew. From a folder that cannot be written, what is there is read; what is not is made, and not kept, which is reported.
    """
    path = place_of(what, name, key)
    if (found := _read(path, key, quiet=True)) is not None:
        return found
    if looks_only():
        return make()
    with _turn(path):
        if (found := _read(path, key)) is None:
            found = make()
            try:
                write(path, *found, key=key)
            except OSError as error:
                _not_kept(path, error)
    return found


def place_of(what: str, name: str, key: str) -> Path:
    """Where `remembered` keeps it."""
    return devices.current().data_dir / what / f"{name.replace('/', '_')}-{sha256(key.encode()).hexdigest()[:16]}.safetensors"


class Checkpoint:
    """Unfinished work at a place of its own, so that what is killed goes on from there: kept every so many seconds, gone when done.

    aside: the folder in whose `set_aside` a file is put that is damaged or of other work; None: it is written over
    """

    kept = 0  # by this process, of whatever work

    def __init__(self, path: Path, key: str, every: float = 20.0, aside: Path | None = None) -> None:
        self._path, self._key, self._every, self._aside, self._last = path, key, every, aside, time.monotonic()

    def load(self) -> dict[str, Tensor] | None:
        """What was kept of this very work, or None. What is there and cannot be used is reported."""
        if not self._path.is_file():
            return None
        found, wrong = _look(self._path, self._key)
        if found is not None:
            return found[0]
        how = "made again"
        if self._aside is not None:
            how = f"it is not continued from (the file is kept as {files.set_aside(self._path, self._aside)})"
        progress.say(f"{self._path}: {wrong}; {how}")
        return None

    def is_due(self, last: bool = False) -> bool:
        """Whether it is time to keep it again. last: there is nothing more to come; what follows may take long."""
        every = min(self._every, END) if last else self._every
        return time.monotonic() - self._last >= every and not looks_only()

    def keep(self, tensors: dict[str, Tensor]) -> None:
        """In the place of what was kept before. Where the folder cannot be written, that is reported once, and the work goes on."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write(self._path, tensors, key=self._key)
            Checkpoint.kept += 1
        except OSError as error:
            _not_kept(self._path, error)
        self._last = time.monotonic()

    def done(self) -> None:
        """What was kept is of no more use."""
        if not looks_only():
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def digest(tensors: dict[str, Tensor], record: dict[str, Any] | None = None) -> str:
    """SHA-256 (hexadecimal) of names, values and the record."""
    found = sha256(json.dumps(record, sort_keys=True).encode() if record else b"")
    for name, values in sorted(tensors.items()):
        found.update(name.encode())
        found.update(values.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def write(path: Path, tensors: dict[str, Tensor], record: dict[str, Any] | None = None, key: str = "") -> None:
    """All of it or nothing: safetensors, with the key's and the tensors' digests and the record in the metadata under `about`."""
    whole = {name: values.detach().cpu().contiguous() for name, values in tensors.items()}
    about = {"key": sha256(key.encode()).hexdigest(), "digest": digest(whole, record), "record": record}
    from safetensors.torch import save

    files.write_bytes(path, save(whole, {"about": json.dumps(about)}))


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Only one process at a time makes that file; where the folder cannot be written, each makes its own."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            waiting = f"{path.stem}: another process is making it; waiting for it"
            stack.enter_context(locks.locked(path.with_suffix(".lock"), waiting=waiting))
        except OSError as error:
            _not_kept(path, error)
        yield


def _not_kept(path: Path, error: OSError) -> None:
    folder = devices.current().data_dir
    reason = str(explained(error)).partition("; ")[0]
    if path.is_relative_to(folder):
        progress.say_once(
            f"{reason}; what is made for the data folder {folder} is not kept (--data-dir names another)", f"not kept {folder}"
        )
    else:
        progress.say_once(f"{reason}; unfinished work is not kept and starts again if it is stopped", f"not kept {path.parent}")


def _read(path: Path, key: str, quiet: bool = False) -> Made | None:
    if not path.is_file():
        return None
    found, wrong = _look(path, key)
    if found is None and not quiet:
        progress.say(f"{path}: {wrong}; made again")
    return found


def _look(path: Path, key: str) -> tuple[Made | None, str]:
    """What the file holds; None where it cannot be used, and why."""
    wrong = "is damaged"
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            about = json.loads((file.metadata() or {})["about"])
        if about["digest"] == digest(tensors, about["record"]):
            if about.get("key") == sha256(key.encode()).hexdigest():
                return (tensors, about["record"]), ""
            wrong = "was made for something else"
    except PermissionError as error:
        wrong = f"cannot be read ({error.strerror})"
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OSError):
        pass
    return None, wrong
