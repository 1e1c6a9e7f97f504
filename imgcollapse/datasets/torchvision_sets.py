"""Data sets that torchvision knows: found in the data folder, else downloaded into it."""

import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, Literal

from imgcollapse import progress
from imgcollapse.datasets import cifar, idx
from imgcollapse.datasets.dataset import Dataset, order, problems_at
from imgcollapse.errors import DataProblem
from imgcollapse.files import draft_folder, locks, sync_all
from imgcollapse.heavy import Tensor
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import cache, devices

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OFFICIAL = "it comes split, and published numbers are of its own test part"
SOURCES = {"MNIST": "MNIST", "FashionMNIST": "FashionMNIST", cifar.FOLDER: "CIFAR10"}  # folder in the data folder: torchvision's class


class Mnist(Dataset):
    """MNIST: 60,000 + 10,000 handwritten digits of 28x28 pixels, grey (LeCun et al. 1998); downloaded at first use."""

    kind: Literal["mnist"] = "mnist"
    files: ClassVar[str] = "MNIST"
    comes_split: ClassVar[str] = OFFICIAL

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 1, 28, 28]; the original training and test parts."""
        return _of_idx(self.files, self.kind, tuple("0123456789"))


class FashionMnist(Dataset):
    """Fashion-MNIST: 60,000 + 10,000 clothes of 28x28 pixels, grey (Xiao et al. 2017); downloaded at first use."""

    kind: Literal["fashion-mnist"] = "fashion-mnist"
    files: ClassVar[str] = "FashionMNIST"
    comes_split: ClassVar[str] = OFFICIAL

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 1, 28, 28]; the original training and test parts."""
        return _of_idx(self.files, self.kind, CLOTHES)


class Cifar10(Dataset):
    """CIFAR-10: 50,000 + 10,000 photographs of 32x32 pixels (Krizhevsky 2009); downloaded at first use."""

    kind: Literal["cifar10"] = "cifar10"
    files: ClassVar[str] = cifar.FOLDER
    comes_split: ClassVar[str] = OFFICIAL

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 3, 32, 32]; the original training and test parts."""
        train, test, names = cifar.read(_found(self.files, self.kind))
        return World(self.kind, _images(*train, self.kind, "train"), _images(*test, self.kind, "held_out"), names)


def state(files: str, data_dir: Path) -> str:
    """Whether the set is in the data folder, in words: `there`, or what to put where."""
    there = _look(files, data_dir)
    absent = [name for name in _wanted(files) if name not in there]
    if not absent:
        return "there"
    if there:
        return f"not whole: put {_listed(absent)} into {_inside(files, data_dir)}"
    return f"not there: the first use downloads it, or put it into {data_dir / files}"


def _of_idx(files: str, kind: str, names: tuple[str, ...]) -> World:
    found = _found(files, kind)
    parts = [idx.read_part(found, part) for part in ("train", "t10k")]
    (_, *size), (_, *other) = (pixels.shape for pixels, _ in parts)
    if size != other:
        raise DataProblem(f"{found[idx.IDX[2]]}: its pictures are {other}, those of {found[idx.IDX[0]]} {size}; {idx.WHOLE}")
    train, held_out = (_images(p[:, None], labels, kind, part) for (p, labels), part in zip(parts, ("train", "held_out"), strict=True))
    return World(kind, train, held_out, names)


def _images(pixels: Tensor, labels: Tensor, kind: str, part: str) -> ImageSet:
    return ImageSet.of(pixels, labels)[order(len(pixels), kind, part)]


def _found(files: str, kind: str) -> dict[str, Path]:
    """The set's files in the data folder, downloaded where none is there. Raises DataProblem where some are."""
    root = devices.current().data_dir
    there, inside = _look(files, root), _inside(files, root)
    elsewhere = "name another folder with --data-dir or IMGCOLLAPSE_DATA, or use --dataset digits"
    if not there and cache.looks_only():
        raise DataProblem(f"{kind}: {state(files, root)}")
    if not there:
        cure = f"without a network, put {_listed(_wanted(files))} into {inside}, {elsewhere}"
        with problems_at(f"{kind}: not in {root}, and the download failed", cure):
            there = _downloaded(files, kind, root)
    absent = [name for name in _wanted(files) if name not in there]
    if absent:
        raise DataProblem(f"{kind}: {_listed(absent)} {'is' if len(absent) == 1 else 'are'} not in {inside}; put them there, {elsewhere}")
    return there


def _look(files: str, root: Path) -> dict[str, Path]:
    return cifar.find(root) if files == cifar.FOLDER else idx.find(root / files)


def _wanted(files: str) -> tuple[str, ...]:
    return tuple(cifar.SUMS) if files == cifar.FOLDER else idx.IDX


def _inside(files: str, root: Path) -> Path:
    """The folder with the files themselves."""
    return root / files if files == cifar.FOLDER else root / files / "raw"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _downloaded(files: str, kind: str, root: Path) -> dict[str, Path]:
    """The files after a download, which goes into a draft and takes its place by a rename when it is whole."""
    draft, place = root / f".{files}.draft", _inside(files, root)
    root.mkdir(parents=True, exist_ok=True)
    with locks.locked(root / f".{files}.lock", waiting=f"{kind}: another process downloads it; waiting for it"):
        if there := _look(files, root):  # another process was faster
            return there
        shutil.rmtree(draft, ignore_errors=True)  # left behind by a process that was killed
        progress.say(f"{kind}: downloading into {root}")
        with draft_folder(draft):
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # torchvision's own progress
                _source(SOURCES[files])(draft, download=True)
            sync_all(draft)
            place.parent.mkdir(exist_ok=True)
            _move(_inside(files, draft), place)
    return _look(files, root)


def _move(draft: Path, place: Path) -> None:
    """Into its place as a whole, or file by file where other files lie there; none of the set's own do."""
    if not place.is_dir() or not any(place.iterdir()):
        draft.rename(place)
        return
    for file in draft.iterdir():
        file.rename(place / file.name)


def _source(name: str) -> Any:
    """torchvision's class, imported late because that takes seconds."""
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (mends an import of torchvision that would die)
    from torchvision import datasets  # isort: skip

    return getattr(datasets, name)
