"""Data set archives in the layout of NVlabs' dataset_tool."""

import glob
import json
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal
from zipfile import ZipFile

from pydantic import Field

from imgcollapse.datasets.dataset import Dataset, problems_at
from imgcollapse.datasets.decoder import ALPHA, Alpha
from imgcollapse.datasets.pictures import Listed, is_picture, world_of
from imgcollapse.errors import DataProblem
from imgcollapse.images import World

INDEX = "dataset.json"


class Archive(Dataset):
    """Zip archives as NVlabs' dataset_tool writes them: PNG files, and a dataset.json that lists their classes."""

    kind: Literal["zip"] = "zip"
    path: str = Field(min_length=1, description="an archive, or a pattern for several, such as data/train-*.zip")
    held_out: str | None = Field(None, min_length=1, description="archive or pattern of the held-out part")
    held_out_share: float = Field(0.25, gt=0, lt=1, description="share held out where no archive is")
    alpha: Alpha = Field("refuse", description=ALPHA)

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, C, H, W], C = 1 if all pictures are grey, else 3; classes are 0 to the highest label."""
        archives = _matches(self.path)
        others = _matches(self.held_out) if self.held_out else []
        for file in archives:
            if file.resolve() in {other.resolve() for other in others}:
                raise DataProblem(f"{file}: is in both parts; let path and held_out match different archives")
        with ExitStack() as stack:
            train = [listed for file in archives for listed in _list(file, stack)]
            kept = [listed for file in others for listed in _list(file, stack)]
            top = max([*train, *kept], key=lambda listed: listed.label)
            if top.label >= len(train):  # before a table of that many classes is made
                wrong = f"label {top.label} is out of range for {len(train)} pictures"
                raise DataProblem(f"{top.place}: {wrong}; number the classes 0, 1, 2, ...")
            classes = tuple(str(label) for label in range(top.label + 1))
            stem = Path(self.path).stem.strip("*?-_. ")
            return world_of(self.kind, stem, classes, train, kept if others else None, self.held_out_share, self.alpha)


def _matches(pattern: str) -> list[Path]:
    pattern = os.path.expanduser(pattern)
    found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise DataProblem(f"{pattern}: no such archive; name one, or a pattern that matches some")
    return [Path(file) for file in found]


def _list(file: Path, stack: ExitStack) -> list[Listed]:
    with problems_at(file, "it is cut or no zip archive: copy or make it again"):
        archive = stack.enter_context(ZipFile(file))
    members = list(dict.fromkeys(archive.namelist()))  # an archive can hold a name twice; the last one counts
    for member in members:
        path = PureWindowsPath(member)  # knows both kinds of separators, and drives
        if path.anchor or ".." in path.parts:
            raise DataProblem(f"{file}: {member}: the name leads out of the archive; make the archive again without it")
    if INDEX not in members:
        raise DataProblem(f"{file}: holds no {INDEX}; make the archive with labels, as NVlabs' dataset_tool does")
    with problems_at(f"{file}: {INDEX}", "make the archive again"):
        labels = _labels(json.loads(archive.read(INDEX)))
    pictures = [member for member in members if is_picture(PurePosixPath(member))]
    known = set(pictures)
    for member in pictures:
        if member not in labels:
            raise DataProblem(f"{file}: {member}: is not listed in {INDEX}; list it there with its class, or take it out")
    for member in labels:
        if member not in known:
            raise DataProblem(f"{file}: {member}: is listed in {INDEX}, but not there; add it, or take it off")
    return [Listed(f"{file}: {member}", labels[member], partial(archive.read, member)) for member in pictures]


def _labels(index: Any) -> dict[str, int]:
    """Class of each member. Raises ValueError for anything but `{"labels": [[member, class], ...]}`."""
    listed = index.get("labels") if isinstance(index, dict) else None
    if not listed:
        raise ValueError("it holds no labels")
    labels: dict[str, int] = {}
    for pair in listed:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f"{pair!r} is no pair of a picture and its class")
        member, label = pair
        if type(label) is not int or label < 0:
            raise ValueError(f"the label {label!r} of {member} is no class number (0, 1, 2, ...)")
        if member in labels:
            raise ValueError(f"{member} is listed twice")
        labels[member] = label
    return labels
