"""CIFAR-10's own files: seven pickles, in a folder or an archive. A pickle is a program, so only the published ones are loaded."""

import os
import pickle
import tarfile
import warnings
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np

from imgcollapse.datasets.dataset import problems_at
from imgcollapse.datasets.idx import WHOLE
from imgcollapse.files import open_regular, read_regular
from imgcollapse.heavy import Tensor, torch

FOLDER, ARCHIVES = "cifar-10-batches-py", ("cifar-10-python.tar.gz", "cifar-10-python.tar")
META = "batches.meta"
SUMS = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    META: "5ff9c542aee3614f3951f8cda6e48888",
}  # MD5, as published
MOST = 2**26  # bytes of one of them
MOST_PACKED = 10**9  # bytes of the archive, and of what is in it; the published one has 170,498,071

Contents = Callable[[str], tuple[str, bytes]]  # of a file by its name: where it lies, and its bytes


def find(root: Path) -> dict[str, Path]:
    """Those of the seven files that are in the data folder, by their names: each its own path, or that of the archive with all of them."""
    folders = (root / FOLDER, root / FOLDER / FOLDER, root / "cifar-10-python" / FOLDER)  # some programs unpack one deeper
    found: dict[str, Path] = {}
    for name in SUMS:
        there = [folder / name for folder in folders if os.path.exists(folder / name)]
        found |= {name: there[0]} if there else {}
    if len(found) == len(SUMS):
        return found
    packed = [place / name for place in (root, root / FOLDER) for name in ARCHIVES if os.path.exists(place / name)]
    return dict.fromkeys(SUMS, packed[0]) if packed else found


def read(files: dict[str, Path]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[str, ...]]:
    """uint8 [N, 3, 32, 32] and int64 [N] of the training and the test part, and the names of the classes. Raises DataProblem for damage."""
    archive = next((file for file in files.values() if file.name in ARCHIVES), None)
    packed = {} if archive is None else _unpacked(archive)

    def content(name: str) -> Any:
        place = files[name] if archive is None else f"{archive}: {name}"
        with problems_at(place, WHOLE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 2.4 warns of the age of these pickles
            return _loaded(name, read_regular(files[name], MOST) if archive is None else packed[name], place)

    names = content(META)
    train = [content(name) for name in SUMS if name.startswith("data_batch")]
    pixels, labels = (torch.cat(one) for one in zip(*train, strict=True))
    return (pixels, labels), content("test_batch"), names


def _loaded(name: str, data: bytes, place: Path | str) -> Any:
    """The names of the classes, or a batch's pictures and labels. Raises whatever a pickle that is none of CIFAR's does."""
    if md5(data, usedforsecurity=False).hexdigest() != SUMS[name]:
        raise ValueError(f"its {len(data):,} bytes are not the published ones (another MD5)")
    held = pickle.loads(data, encoding="latin1")
    if name == META:
        return tuple(held["label_names"])
    labels = torch.tensor(held["labels"], dtype=torch.int64)
    return torch.from_numpy(np.asarray(held["data"], np.uint8).reshape(len(labels), 3, 32, 32)), labels


def _unpacked(archive: Path) -> dict[str, bytes]:
    with problems_at(archive, WHOLE), open_regular(archive) as opened:
        _bounded(os.fstat(opened.fileno()).st_size)  # before any of it is read
        with tarfile.open(fileobj=opened, mode="r:*") as members:
            found = _members(members)
        if absent := [name for name in SUMS if name not in found]:
            raise ValueError(f"holds no {', '.join(absent)}")
    return found


def _bounded(size: int) -> None:
    if size > MOST_PACKED:
        raise ValueError(f"it has {size:,} bytes, and the published one has 170,498,071")


def _members(archive: tarfile.TarFile) -> dict[str, bytes]:
    """CIFAR's files in an archive by their names. Raises ValueError before more is unpacked than is in the published one many times."""
    found: dict[str, bytes] = {}
    for member in archive:
        if archive.offset > MOST_PACKED:
            raise ValueError(f"more than {MOST_PACKED:,} bytes are packed in it, and in the published one 186 million")
        name = Path(member.name).name
        if name in SUMS and member.isreg() and member.size <= MOST:
            file = archive.extractfile(member)
            assert file is not None, member
            found[name] = file.read()
    return found
