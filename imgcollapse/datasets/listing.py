"""What lies in a folder or a zip archive of pictures: names only, by one rule for all, and nothing is passed over uncounted."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from imgcollapse.datasets.dataset import problems_at
from imgcollapse.datasets.names import PARTS, passed_over, passed_over_folder, same, shown
from imgcollapse.errors import DataProblem
from imgcollapse.files import open_regular, read_regular

INDEX = "dataset.json"
MOST = 2**28  # bytes of one picture file

Parts = tuple[str, ...]


class Entry(NamedTuple):
    """A file that is yet to be read: its path inside the folder or archive, where it lies (for messages), its bytes on demand."""

    parts: Parts
    place: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Listing:
    """What a folder or archive holds.

    place:    the folder or archive itself
    archive:  whether it is an archive
    pictures: in the order of their names
    folders:  all that may hold pictures, empty ones too
    index:    the dataset.json at the top, or in the one folder that holds all pictures
    others:   each file that is passed over, and why
    below:    the folder inside `place` that this is a listing of
    """

    place: Path
    archive: bool
    pictures: list[Entry]
    folders: set[Parts]
    index: Entry | None
    others: list[tuple[Parts, str]]
    below: Parts = ()

    def __str__(self) -> str:
        return self.at()

    def at(self, *inside: str) -> str:
        """Where that lies, for messages."""
        parts = self.below + inside
        if not self.archive:
            return shown(str(self.place.joinpath(*parts)))
        return shown(": ".join([str(self.place), *(["/".join(parts)] if parts else [])]))

    def first(self) -> list[str]:
        """The folders at the top, in order of their names."""
        depth = len(self.below)
        return sorted({parts[depth] for parts in self.folders if len(parts) > depth and parts[:depth] == self.below})

    def inside(self, *names: str) -> "Listing":
        """The same of one folder in it."""
        below = self.below + names
        pictures = [entry for entry in self.pictures if entry.parts[: len(below)] == below and len(entry.parts) > len(below)]
        return replace(self, pictures=pictures, below=below, index=None)

    def reasons(self) -> Counter[str]:
        """How many files are passed over, by the reason."""
        return Counter(reason for _, reason in self.others)


def of_folder(root: Path) -> Listing:
    """Lists a folder at any depth.

    Links to files are read. Links to folders are followed where class folders can be, that is at the top or in the folders of a set that
    has been split, and not below, so that none leads in circles. Raises DataProblem for what cannot be listed.
    """
    with problems_at(shown(str(root)), "name a folder that holds one folder of pictures for each class"):
        os.scandir(root).close()
    folders: set[Parts] = set()
    pictures, others, indices = list[Entry](), list[tuple[Parts, str]](), dict[Parts, Entry]()
    for parts, reason in _walk(root, folders):
        path = root.joinpath(*parts)
        entry = Entry(parts, shown(str(path)), partial(read_regular, path, MOST))
        if parts[-1] == INDEX:
            indices[parts] = entry
        if reason:
            others.append((parts, reason))
        else:
            pictures.append(entry)
    index = _index(pictures, indices)
    others = [one for one in others if index is None or one[0] != index.parts]
    return Listing(root, False, sorted(pictures, key=_by_name), folders, index, others, index.parts[:-1] if index else ())


def of_archive(file: Path, stack: ExitStack) -> Listing:
    """Lists a zip archive, which stays open as long as the stack does. Backslashes part names as slashes do: some programs write them.

    Raises DataProblem for what is no archive, and for names that lead out of it.
    """
    with problems_at(shown(str(file)), "it is cut or no zip archive: copy or make it again"):
        archive = stack.enter_context(ZipFile(stack.enter_context(open_regular(file))))
    members, folders, twice = dict[Parts, ZipInfo](), set[Parts](), 0
    for info in archive.infolist():
        parts = _parts(file, info)
        if info.filename.endswith(("/", "\\")):
            folders |= _folders(parts)
        elif parts:
            twice += parts in members
            members[parts] = info  # an archive can hold a name twice; the last one counts
    found = {parts: Entry(parts, shown(f"{file}: {info.filename}"), partial(_member, archive, info)) for parts, info in members.items()}
    reasons = {parts: passed_over(parts) for parts in found}
    pictures = sorted((entry for parts, entry in found.items() if not reasons[parts]), key=_by_name)
    index = _index(pictures, found)
    others: list[tuple[Parts, str]] = [((), "replaced by a later one of the same name")] * twice
    others += [(parts, reason) for parts, reason in reasons.items() if reason and (index is None or parts != index.parts)]
    folders |= {folder for entry in pictures for folder in _folders(entry.parts[:-1])}
    return Listing(file, True, pictures, folders, index, others, index.parts[:-1] if index else ())


def read_member(archive: ZipFile, info: ZipInfo, most: int) -> bytes:
    """A member's bytes, and never more than its header says. Raises ValueError before reading what is too large, or no plain member."""
    check_member(info)
    if info.file_size > most:
        raise ValueError(f"it has {info.file_size:,} bytes, and at most {most:,} are read")
    with archive.open(info) as opened:
        return opened.read(info.file_size)


def check_member(info: ZipInfo) -> None:
    """Raises ValueError for a member that is encrypted, a link, or packed so that a few bytes can fill the memory."""
    if info.flag_bits & 1:
        raise ValueError("it is encrypted: make the archive again without a password")
    if info.file_size > 2000 * (info.compress_size + 1):  # Deflate makes a thousandth at most
        raise ValueError(
            f"its header says {info.file_size:,} bytes, which cannot come out of {info.compress_size:,}: make the archive again"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError("it is a link, and not the file itself: make the archive again with the files")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # zipfile unpacks all others without a bound
        raise ValueError(f"it is packed by method {info.compress_type}, which is not read: make the archive again with Deflate, or stored")


def _walk(root: Path, folders: set[Parts]) -> Iterator[tuple[Parts, str | None]]:
    """Every file below, and why it is passed over; notes the folders."""
    waiting: list[Parts] = [()]
    while waiting:
        at = waiting.pop()
        folder = root.joinpath(*at)
        with problems_at(shown(str(folder)), "make it readable, or move it elsewhere"), os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            parts, linked = (*at, entry.name), entry.is_symlink()
            if not (os.path.isdir(entry.path) if linked else entry.is_dir(follow_symlinks=False)):
                yield parts, passed_over(parts)
            elif reason := passed_over_folder(entry.name):
                yield from ((parts, reason) for _ in range(1 if linked else _count(entry.path)))
            elif linked and not _may_be_class(parts):
                yield parts, "links to folders"
            else:
                if linked and folder.resolve().is_relative_to(Path(entry.path).resolve()):
                    raise DataProblem(f"{shown(entry.path)}: is a link back to where it lies; move the link elsewhere")
                folders.add(parts)
                waiting.append(parts)


def _may_be_class(parts: Parts) -> bool:
    return len(parts) == 1 or (len(parts) == 2 and parts[0].lower() in PARTS[0] | PARTS[1])


def _count(folder: str) -> int:
    """The files in a folder that is passed over, as far as it can be read; one that cannot be read counts as one."""
    unreadable: list[OSError] = []
    return sum(len(files) for _, _, files in os.walk(folder, onerror=unreadable.append)) + len(unreadable)


def _folders(parts: Parts) -> set[Parts]:
    kept = [n for n in range(1, len(parts) + 1) if not any(passed_over_folder(part) for part in parts[:n])]
    return {parts[:n] for n in kept}


def _parts(file: Path, info: ZipInfo) -> Parts:
    path = PureWindowsPath(info.filename)  # knows both kinds of separators, and drives
    if path.anchor or ".." in path.parts:
        wrong = "the name leads out of the archive; make the archive again without it"
        raise DataProblem(f"{shown(str(file))}: {shown(info.filename)}: {wrong}")
    return path.parts


def _index(pictures: Sequence[Entry], found: Mapping[Parts, Entry]) -> Entry | None:
    """The dataset.json at the top, or in the one folder in which all pictures lie."""
    tops = {entry.parts[:1] for entry in pictures if len(entry.parts) > 1}
    inside = (*min(tops), INDEX) if len(tops) == 1 and all(len(entry.parts) > 1 for entry in pictures) else ()
    return found.get((INDEX,)) or found.get(inside)


def _member(archive: ZipFile, info: ZipInfo) -> bytes:
    return read_member(archive, info, MOST)


def _by_name(entry: Entry) -> str:
    return same("/".join(entry.parts))
