"""Data sets that torchvision knows: found in the data folder, else downloaded into it."""

import io
import math
import shutil
import struct
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from filelock import FileLock

from imgcollapse import machine, progress
from imgcollapse.datasets.dataset import Dataset, order, problems_at
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World

IDX = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))


class Mnist(Dataset):
    """MNIST: 60,000 + 10,000 handwritten digits of 28x28 pixels, grey (LeCun et al. 1998); downloaded at first use."""

    kind: Literal["mnist"] = "mnist"
    files: ClassVar[str] = "MNIST"

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 1, 28, 28]; the original training and test parts."""
        return _read_idx(self.files, self.kind)


class FashionMnist(Dataset):
    """Fashion-MNIST: 60,000 + 10,000 clothes of 28x28 pixels, grey (Xiao et al. 2017); downloaded at first use."""

    kind: Literal["fashion-mnist"] = "fashion-mnist"
    files: ClassVar[str] = "FashionMNIST"

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 1, 28, 28]; the original training and test parts."""
        return _read_idx(self.files, self.kind)


class Cifar10(Dataset):
    """CIFAR-10: 50,000 + 10,000 photographs of 32x32 pixels (Krizhevsky 2009); downloaded at first use."""

    kind: Literal["cifar10"] = "cifar10"
    files: ClassVar[str] = "cifar-10-batches-py"

    def read(self, seed: int, extra: int) -> World:
        """uint8 [N, 3, 32, 32]; the original training and test parts."""
        source = _source("CIFAR10")
        batches = [name for name, _ in source.train_list + source.test_list]
        folder = _find(source, self.files, self.kind, f"{', '.join(batches)} and {source.meta['filename']}", "")
        return _world(source, folder, self.kind)


def _read_idx(name: str, kind: str) -> World:
    source = _source(name)
    folder = _find(source, name, kind, ", ".join(IDX), "raw")
    for file in IDX:
        _check_idx(folder / "raw" / file, folder)
    return _world(source, folder, kind)


def _source(name: str) -> Any:
    """torchvision's class, imported late because that takes seconds."""
    from imgcollapse import torchvision_guard  # noqa: F401 (mends an import of torchvision that would die)
    from torchvision import datasets  # isort: skip

    return getattr(datasets, name)


def _find(source: Any, name: str, kind: str, files: str, inside: str) -> Path:
    """The set's folder in the data folder. A download goes into a draft, renamed when it is whole."""
    root = machine.current().data_dir
    folder, draft = root / name, root / f".{name}.draft"
    elsewhere = "name another folder with --data-dir or IMGCOLLAPSE_DATA, or use --dataset digits"
    if folder.is_dir():
        return folder
    cure = f"without a network, put {files} into {folder / inside}, {elsewhere}"
    with problems_at(f"{kind}: not in {root}, and the download failed", cure):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if folder.is_dir():  # another process was faster
                return folder
            shutil.rmtree(draft, ignore_errors=True)  # left behind by a process that was killed
            progress.say(f"{kind}: downloading into {root}")
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # torchvision's own progress
                    source(draft, download=True)
                (draft / name).rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check_idx(file: Path, folder: Path) -> None:
    """torchvision only asserts. IDX: 0, 0, 8 (uint8), number of axes, lengths as big-endian uint32, values."""
    cure = f"delete {folder} and run again"
    with problems_at(file, cure), file.open("rb") as opened:
        head = opened.read(16)
        size = file.stat().st_size
    axes = 3 if "idx3" in file.name else 1
    start = 4 + 4 * axes
    headed = len(head) >= start and head[:4] == bytes((0, 0, 8, axes))
    if not headed or size != start + math.prod(struct.unpack_from(f">{axes}I", head, 4)):
        raise DataProblem(f"{file}: its {size} bytes do not fit its header, so it is cut or damaged; {cure}")


def _world(source: Any, folder: Path, kind: str) -> World:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 2.4 warns of the age of CIFAR's pickles
            train, held_out = source(folder.parent, train=True), source(folder.parent, train=False)
        parts = _images(train, kind, "train"), _images(held_out, kind, "held_out")
    except Exception as error:  # pickle raises what it likes, and torchvision's texts speak to programmers
        raise DataProblem(f"{folder}: its files are missing or damaged; delete that folder and run again") from error
    names = tuple(name.partition(" - ")[0] for name in train.classes)  # torchvision calls MNIST's classes "0 - zero"
    return World(kind, *parts, names)


def _images(loaded: Any, kind: str, part: str) -> ImageSet:
    pixels = torch.as_tensor(loaded.data)  # MNIST [N, H, W]; CIFAR [N, H, W, 3], a view of [N, 3, H, W]
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return ImageSet.of(pixels, torch.as_tensor(loaded.targets))[order(len(pixels), kind, part)]
