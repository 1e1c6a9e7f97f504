"""Weights that others have published: fetched once into the data folder, whole or not at all, and known by their SHA-256."""

import os
import pickle
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, WeightsProblem, explained
from imgcollapse.files import digest_of as digest_of
from imgcollapse.files import ledger, locks, sweep, written
from imgcollapse.machine import cache, devices

TIMEOUT = 20  # seconds without an answer, or without a further byte, after which the server counts as absent
BLOCK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file of weights as its makers published it.

    kind:   of the extractor that needs it
    file:   its name
    url:    where it is published
    size:   in bytes
    sha256: hexadecimal
    """

    kind: str
    file: str
    url: str
    size: int
    sha256: str

    def place(self) -> Path:
        """Where it lies in the data folder."""
        return folder() / self.file


@dataclass(frozen=True)
class Weights:
    """A file of weights that is there.

    path:      where it lies, which decides nothing
    digest:    its SHA-256
    published: whether it is the published file
    """

    path: Path
    digest: str
    published: bool


def folder() -> Path:
    """The folder of weights in the data folder."""
    return devices.current().data_dir / "weights"


def find(wanted: Published) -> Weights:
    """The file the user named, else the published one from the data folder, into which it is fetched at its first use.

    Raises SettingsProblem for a named file that is not there, and WeightsProblem where the published one is not there (or is damaged) and
    cannot be fetched. Several processes fetch it once.
    """
    given = devices.current().weights.get(wanted.kind)
    if given is not None:
        if not given.is_file():
            cure = f"name a file, or leave the option out: {wanted.file} is looked for in {folder()}"
            raise SettingsProblem(f"--{wanted.kind}-weights: {given}: there is no such file; {cure}")
        digest = digest_of(given)
        return Weights(given, digest, digest == wanted.sha256)
    path = wanted.place()
    if not _whole(wanted, path):
        if cache.looks_only():
            raise WeightsProblem(f"{wanted.kind}: the weights are {state(wanted)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locks.locked(path.with_name(path.name + ".lock"), waiting=f"{wanted.kind}: another process fetches the weights; waiting"):
                if not _whole(wanted, path):  # else another process was faster
                    _fetch(wanted, path)
        except OSError as error:
            reason = str(explained(error)).partition("; ")[0]
            raise WeightsProblem(f"{wanted.kind}: the weights cannot be put there ({reason}); {_cure(wanted, path)}") from None
    return Weights(path, wanted.sha256, True)


def state(wanted: Published) -> str:
    """What `find` would find, in words. Nothing is fetched."""
    given = devices.current().weights.get(wanted.kind)
    path = given or wanted.place()
    if not path.is_file():
        if given:
            return f"not there: give another --{wanted.kind}-weights ({path})"
        return f"not there: the first use fetches {wanted.size / 1e6:,.0f} MB, or put {path.name} into {path.parent}"
    if digest_of(path) == wanted.sha256:
        return f"there, verified ({path})"
    return f"other weights than the published ones ({path})" if given else f"damaged: the next use fetches it again ({path})"


@contextmanager
def tried(wanted: Published, weights: Weights, distance: str, cure: str) -> Iterator[None]:
    """The block loads the weights and tries them. Raises SettingsProblem where it fails with other weights than the published ones; where
    it works with them, says that the Fréchet distance is not called by the name of `distance`."""
    try:
        yield
    except Exception as error:  # unpickling raises what it likes
        if weights.published:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds other things than weights, or is damaged"
        reason = textwrap.shorten(reason, 120, placeholder=" ...")
        raise SettingsProblem(f"--{wanted.kind}-weights: {weights.path}: cannot be used ({reason}); {cure}") from error
    if not weights.published:
        other = f"{weights.path} holds other weights than the published ones"
        progress.say(f"{wanted.kind}: {other}; the distance is called FD, not {distance}")


def _whole(wanted: Published, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == wanted.size and digest_of(path) == wanted.sha256


def _fetch(wanted: Published, path: Path) -> None:
    """Into a file beside, which takes the place only when its size and digest are right."""
    sweep(path.parent)
    progress.say(f"{wanted.kind}: fetching {wanted.url} ({wanted.size / 1e6:,.0f} MB) into {path.parent}")
    size = 0
    try:
        with written(path) as part:
            with urlopen(Request(wanted.url, headers={"User-Agent": "imgcollapse"}), timeout=TIMEOUT) as answer, part.open("wb") as file:
                while size <= wanted.size and (block := answer.read(BLOCK)):
                    size += file.write(block)
            if not _whole(wanted, part):
                came = f"{size:,} bytes came" if size <= wanted.size else "more came"
                raise OSError(f"{came} and not the published {wanted.size:,} with their SHA-256")
            if os.path.lexists(path):  # somebody put it there
                ledger.clear(path, path.parent)
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the server's answer as well
        there = f"{path} is damaged and cannot be fetched again" if path.exists() else "the weights are not there and cannot be fetched"
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise WeightsProblem(f"{wanted.kind}: {there} ({reason}); {_cure(wanted, path)}") from error


def _cure(wanted: Published, path: Path) -> str:
    return f"put {path.name} into {path.parent}, or give --{wanted.kind}-weights PATH"
