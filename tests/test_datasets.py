"""Data sets: one contract for all, then what is particular to each. All files are made here; nothing is downloaded."""

import contextvars
import errno
import gzip
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import struct
import tarfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel
from standins import Ear
from terminal import call

from imgcollapse import progress
from imgcollapse.datasets import DATASETS, AnyDataset, Dataset, cifar, load
from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.folder import Folder
from imgcollapse.datasets.idx import IDX
from imgcollapse.datasets.torchvision_sets import CLOTHES, Cifar10, FashionMnist, Mnist, _source, state
from imgcollapse.datasets.toys import MODES, SPREAD, Gaussian, Grid25
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import devices
from imgcollapse.settings import build
from imgcollapse.testing import check_dataset

Monkey = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path) -> Iterator[Path]:
    with devices.use(devices.Machine(data_dir=tmp_path / "data")):
        yield tmp_path / "data"


# Small files --------------------------------------------------------------------------------------------------------


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(sum(shape)).integers(256, size=shape, dtype=np.uint8)


def write_idx(raw: Path, train: int = 400, test: int = 200) -> Path:
    """Ten classes, sorted by class."""
    raw.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", train), ("t10k", test)):
        pixels, labels = noise(n, 28, 28), (np.arange(n) * 10 // n).astype(np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, n, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, n) + labels.tobytes())
    return raw


class OldPickle:
    """Loading it warns, as loading CIFAR's own pickles does under NumPy 2.4.0."""

    def __reduce__(self) -> tuple[Any, ...]:
        return warnings.warn, ("old",)


CIFAR_CLASSES = [f"thing {label}" for label in range(10)]


def write_cifar(data_dir: Path, monkeypatch: Monkey, batch: object = None) -> Path:
    """Two training batches and a test batch of 100, sorted by class, with their sums in place of the real ones."""
    folder = data_dir / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    labels = sorted(list(range(10)) * 10)
    files: dict[str, object] = {
        name: {"data": noise(100, 3072 + i)[:, :3072], "labels": labels, "old": OldPickle()}
        for i, name in enumerate(("data_batch_1", "data_batch_2", "test_batch"))
    }
    files["data_batch_2"] = files["data_batch_2"] if batch is None else batch
    files["batches.meta"] = {"label_names": CIFAR_CLASSES}
    sums = {}
    for name, content in files.items():
        data = content if isinstance(content, bytes) else pickle.dumps(content)
        (folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    monkeypatch.setattr(cifar, "SUMS", sums)
    return folder


def picture(mode: str = "RGB", size: tuple[int, int] = (8, 8), value: int = 0) -> Image.Image:
    pixels = (noise(size[1], size[0], 4).astype(int) + value) % 256
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)  # four channels: RGBA


def write_folder(root: Path, classes: Sequence[str] = "ab", n: int = 20, mode: str = "RGB", first: int = 0) -> Path:
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(mode, value=first + 100 * c + i).save(root / name / f"{i:03}.png")
    return root


def write_zip(
    file: Path,
    n: int = 40,
    classes: int = 2,
    index: object = ...,
    extra: dict[str, bytes] | None = None,
    mode: str = "RGB",
) -> Path:
    """n pictures, sorted by class."""
    file.parent.mkdir(parents=True, exist_ok=True)
    labels = [[f"00000/img{i:08}.png", i * classes // n] for i in range(n)]
    with zipfile.ZipFile(file, "w") as archive:
        for i, (name, _) in enumerate(labels):
            with archive.open(str(name), "w") as opened:
                picture(mode, value=i).save(opened, "png")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
        if index is not None:
            made = index(labels) if callable(index) else {"labels": labels} if index is ... else index
            archive.writestr("dataset.json", made if isinstance(made, bytes) else json.dumps(made))
    return file


def problem(dataset: Dataset, *texts: str) -> str:
    """Loading fails with one line that holds all of `texts`."""
    with pytest.raises(DataProblem) as caught:
        load(dataset, seed=0)
    line = str(caught.value)
    assert "\n" not in line and ";" in line, line
    for text in texts:
        assert text in line, line
    assert caught.value.exit_code == 3
    return line


def counts(images: ImageSet, classes: int) -> list[int]:
    return torch.bincount(images.labels, minlength=classes).tolist()


# The contract -------------------------------------------------------------------------------------------------------

Make = Callable[[str], dict[str, Any]]


@pytest.fixture
def make(tmp_path: Path, data_dir: Path, monkeypatch: Monkey) -> Make:
    """The settings of a small data set of each kind; a new kind that needs files gets a line here."""
    in_data_dir: dict[str, Callable[[], Path]] = {
        "mnist": lambda: write_idx(data_dir / "MNIST" / "raw"),
        "fashion-mnist": lambda: write_idx(data_dir / "FashionMNIST" / "raw"),
        "cifar10": lambda: write_cifar(data_dir, monkeypatch),
    }
    with_path: dict[str, Callable[[], Path]] = {
        "folder": lambda: write_folder(tmp_path / "folder", "abc"),
        "zip": lambda: write_zip(tmp_path / "set.zip"),
    }

    def settings(kind: str) -> dict[str, Any]:
        if kind in in_data_dir:
            in_data_dir[kind]()
        return {"kind": kind, "path": str(with_path[kind]())} if kind in with_path else {"kind": kind}

    return settings


class Holder(BaseModel):
    dataset: AnyDataset


def built(values: dict[str, Any]) -> Dataset:
    return build(Holder, {"dataset": values}).dataset


@pytest.mark.parametrize("kind", DATASETS)
def test_contract(kind: str, make: Make) -> None:
    values = make(kind)
    dataset = built(values)
    assert type(dataset) is DATASETS[kind] and dataset.kind == kind
    assert (type(dataset).__doc__ or "").endswith("."), "a sentence for `imgcollapse list`"
    check_dataset(dataset)


@pytest.mark.parametrize("kind", DATASETS)
def test_subset_and_imbalance_work_for_all(kind: str, make: Make) -> None:
    values = make(kind)
    c = len(load(built(values), seed=0).classes)
    small = load(built({**values, "subset": 3 * c + c // 2}), seed=0)
    assert counts(small.train, c) == [3 + (label < c // 2) for label in range(c)]
    tail = load(built({**values, "imbalance": 3.0}), seed=0)
    for part in (tail.train, tail.held_out):
        found = counts(part, c)
        assert found == [max(1, round(found[0] * 3 ** (-label / max(1, c - 1)))) for label in range(c)]


def test_a_name_stands_for_a_data_set() -> None:
    assert built({"kind": "digits"}) == build(Holder, {"dataset": "digits"}).dataset == Digits()
    assert build(Holder, {"dataset": "folder:some/where"}).dataset == Folder(path="some/where")
    assert build(Holder, {"dataset": "zip:a-*.zip"}).dataset == Archive(path="a-*.zip")
    with pytest.raises(SettingsProblem, match="did you mean 'mnist'"):
        build(Holder, {"dataset": "mnits"})
    for wrong in ({"subset": 0}, {"imbalance": 0.5}):
        with pytest.raises(SettingsProblem, match=rf"dataset\.{next(iter(wrong))}"):
            built({"kind": "digits", **wrong})
    with pytest.raises(SettingsProblem, match=r"dataset\.path"):
        build(Holder, {"dataset": "folder:"})


# What load adds -----------------------------------------------------------------------------------------------------


class Made(Dataset):
    """A data set made of labels; the pixel is the picture's number."""

    kind: str = "made"
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    names: int

    def read(self, seed: int, extra: int) -> World:
        def images(labels: tuple[int, ...]) -> ImageSet:
            return ImageSet.of(torch.arange(len(labels), dtype=torch.float32).view(-1, 1, 1, 1), torch.tensor(labels))

        classes = tuple(f"class {c}" for c in range(self.names))
        return World(self.kind, images(self.train), images(self.held_out), classes)


def made(train: list[int], held_out: list[int] | None = None, names: int = 2, **options: Any) -> Made:
    return Made(train=tuple(train), held_out=tuple(held_out or train), names=names, **options)


def test_labels_that_make_no_sense() -> None:
    problem(made([0, 1, 2]), "made: label 2 in the training part is out of range", "0 to 1")
    problem(made([0, 1], [0, -1, 1]), "label -1 in the held-out part")
    problem(made([0, 0]), "training part has no picture of class 'class 1'", "larger set")
    problem(made([0, 1], [0]), "held-out part has no picture of class 'class 1'")


def test_subset_is_balanced_nested_and_fixed() -> None:
    labels = [0, 1, 1, 2] * 25
    sets = [load(made(labels, names=3, subset=n), seed).train for n, seed in ((30, 0), (31, 1), (32, 2), (75, 3))]
    assert [counts(images, 3) for images in sets] == [[10, 10, 10], [11, 10, 10], [11, 11, 10], [25, 25, 25]]
    numbers = [set(images.pixels.flatten().tolist()) for images in sets]
    assert numbers[0] < numbers[1] < numbers[2] < numbers[3] and len(numbers[3]) == 75
    assert load(made(labels, names=3, subset=30), 9).train.digest() == sets[0].digest()
    assert len(load(made(labels, names=3, subset=30), 0).held_out) == 100


def test_subsets_that_cannot_be() -> None:
    labels = [0] * 10 + [1] * 4
    problem(made(labels, subset=15), "made: subset is 15, but there are 14 training pictures", "set subset to 2 ... 8")
    problem(made(labels, subset=10), "needs 5 pictures of class 'class 1', but there are 4", "set subset to 2 ... 8")
    problem(made(labels, subset=1), "subset is 1, but there are 2 classes", "set subset to 2 ... 8")


def test_imbalance_follows_the_formula() -> None:
    tail = load(made(list(range(10)) * 40, list(range(10)) * 20, names=10, imbalance=100), seed=0)
    # 40 and 20 times 100^(-c/9), rounded, at least 1
    assert counts(tail.train, 10) == [40, 24, 14, 9, 5, 3, 2, 1, 1, 1]
    assert counts(tail.held_out, 10) == [20, 12, 7, 4, 3, 2, 1, 1, 1, 1]
    assert counts(load(made(list(range(10)) * 40, names=10, subset=100, imbalance=10), 0).train, 10)[0] == 10
    # Class 1 has too few for a head of 100: the whole tail is shorter, its shape the same.
    assert counts(load(made([0] * 100 + [1] * 20 + [2] * 50, names=3, imbalance=4), 0).train, 3) == [40, 20, 10]
    assert len(load(made([0] * 5, names=1, imbalance=50), 0).train) == 5


def test_what_is_kept_is_in_random_order(data_dir: Path) -> None:
    """The files are sorted by class: the first half of a part has half of each class, within 5 standard errors."""
    write_idx(data_dir / "MNIST" / "raw", 2000, 2000)
    for dataset in (Mnist(), Mnist(subset=1000), Mnist(imbalance=10)):
        world = load(dataset, seed=0)
        for part in (world.train, world.held_out):
            half, whole = counts(part[: len(part) // 2], 10), counts(part, 10)
            assert all(abs(h - w / 2) < 5 * math.sqrt(w / 4) for h, w in zip(half, whole, strict=True)), (half, whole)


# Digits -------------------------------------------------------------------------------------------------------------


def test_digits_are_split_for_ever() -> None:
    world = load(Digits(), seed=5)
    assert world.train.pixels.shape == (1198, 1, 8, 8) and world.held_out.pixels.shape == (599, 1, 8, 8)
    assert world.classes == tuple("0123456789") and world.name == "digits"
    assert world.train.digest() == "2d239c39b206d148ccf0e43bf7a9e5f13d2f8341df8c96f7783a686f28abb835"
    assert world.held_out.digest() == "0dab5a7f770db0b93e9850559208d40638c363add5215ac10cb1f3f16fcb2f2a"
    assert {0, 128, 255} < set(world.train.pixels.flatten().tolist()) <= {round(v * 255 / 16) for v in range(17)}


# Toys ---------------------------------------------------------------------------------------------------------------


def test_gaussian_is_standard_normal() -> None:
    n = 20_000
    world = load(Gaussian(size=n, dim=3), seed=0)
    for part in (world.train, world.held_out):
        x = part.pixels.view(n, 3).double()
        assert part.pixels.shape == (n, 1, 1, 3) and part.pixels.dtype == torch.float32
        assert (x.mean(0).abs() < 5 / math.sqrt(n)).all()
        # The variance of an entry of the covariance is 2/n on the diagonal, 1/n off it.
        bound = 5 * torch.sqrt((torch.ones(3, 3) + torch.eye(3)) / n)
        assert ((x.T.cov() - torch.eye(3)).abs() < bound).all()
    assert not torch.isin(world.train.pixels[:, 0, 0, 0], world.held_out.pixels[:, 0, 0, 0]).all()
    assert world.classes == ("0",)


def test_grid25_is_25_modes() -> None:
    n = 25_000
    world = load(Grid25(size=n), seed=0)
    assert len(world.classes) == 25 and world.classes[3] == "(-4, 2)" and world.classes[24] == "(4, 4)"
    modes = torch.tensor(MODES, dtype=torch.float64)
    for part in (world.train, world.held_out):
        apart = part.pixels.view(n, 2).double() - modes[part.labels]
        assert apart.mean(0).abs().max() < 5 * SPREAD / math.sqrt(n)
        assert abs(apart.std() / SPREAD - 1) < 5 / math.sqrt(2 * 2 * n)
        assert max(abs(count - n / 25) for count in counts(part, 25)) < 5 * math.sqrt(n * 0.04 * 0.96)
    problem(Grid25(size=20), "grid25", "no picture of class", "larger set")


# MNIST, Fashion-MNIST, CIFAR-10 -------------------------------------------------------------------------------------


def test_idx_files_are_read_as_they_are(data_dir: Path) -> None:
    write_idx(data_dir / "MNIST" / "raw")
    write_idx(data_dir / "FashionMNIST" / "raw", 30, 10)
    world = load(Mnist(), seed=0)
    assert world.name == "mnist" and world.classes == tuple("0123456789")
    assert world.train.pixels.shape == (400, 1, 28, 28) and world.held_out.pixels.shape == (200, 1, 28, 28)
    for part, pixels in ((world.train, noise(400, 28, 28)), (world.held_out, noise(200, 28, 28))):
        label = {pixels[i].tobytes(): i * 10 // len(pixels) for i in range(len(pixels))}
        assert [label[one.numpy().tobytes()] for one in part.pixels] == part.labels.tolist()
        assert len(label) == len({one.numpy().tobytes() for one in part.pixels})
    fashion = load(FashionMnist(), seed=0)
    assert fashion.classes[0] == "T-shirt/top" and fashion.train.pixels.shape == (30, 1, 28, 28)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 1)


FORMS: dict[str, Callable[[str, bytes], tuple[str, bytes]]] = {
    "dotted": lambda name, content: (f"raw/{name.replace('-idx', '.idx')}", content),
    "packed": lambda name, content: (f"raw/{name}.gz", gzipped(content)),
    "dotted and packed": lambda name, content: (f"raw/{name.replace('-idx', '.idx')}.gz", gzipped(content)),
    "without raw": lambda name, content: (name, content),
    "packed without raw": lambda name, content: (f"{name}.gz", gzipped(content)),
    "in a folder of its own name": lambda name, content: (f"{name}/{name}", content),
    "dotted in a folder of its own name": lambda name, content: (
        f"raw/{name.replace('-idx', '.idx')}/{name.replace('-idx', '.idx')}",
        content,
    ),
    "unpacked by a browser that kept the name": lambda name, content: (f"raw/{name}.gz", content),
    "packed without a suffix": lambda name, content: (f"raw/{name}", gzipped(content)),
    "each in another form": lambda name, content: (f"raw/{name}.gz", gzipped(content)) if "images" in name else (name, content),
}


@pytest.mark.parametrize("form", FORMS)
def test_idx_files_in_all_their_forms(form: str, data_dir: Path, tmp_path: Path) -> None:
    raw = write_idx(data_dir / "MNIST" / "raw", 30, 20)
    plain = load(Mnist(), 0).record()
    shutil.move(raw, tmp_path / "plain")
    assert state("MNIST", data_dir).startswith("not there: the first use downloads it")
    for name in IDX:
        place, content = FORMS[form](name, (tmp_path / "plain" / name).read_bytes())
        (data_dir / "MNIST" / place).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / "MNIST" / place).write_bytes(content)
    assert load(Mnist(), 0).record() == plain and state("MNIST", data_dir) == "there"
    assert sorted(entry.name for entry in data_dir.iterdir()) == ["MNIST"], "nothing is made where nothing has to be"


def test_the_names_of_classes_are_those_of_torchvision() -> None:
    assert tuple(_source("FashionMNIST").classes) == CLOTHES
    assert [name[:1] for name in _source("MNIST").classes] == list("0123456789")
    source = _source("CIFAR10")
    assert dict([*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]) == cifar.SUMS
    assert cifar.ARCHIVES[0] == source.filename and source.base_folder == cifar.FOLDER


@pytest.mark.slow  # asks for every one of them, as `doctor` does
def test_a_set_that_is_not_whole_is_not_there(data_dir: Path, monkeypatch: Monkey) -> None:
    monkeypatch.setattr(_source("MNIST"), "download", lambda mnist: pytest.fail("what there is stays as it is"))
    raw = write_idx(data_dir / "MNIST" / "raw", 20, 10)
    for name in IDX[2:]:
        (raw / name).unlink()
    said = f"{IDX[2]} and {IDX[3]}"
    problem(Mnist(), f"mnist: {said} are not in {raw}; put them there, name another folder with --data-dir")
    assert state("MNIST", data_dir) == f"not whole: put {said} into {raw}"
    assert call("doctor", "--data-dir", data_dir).output.count("not whole: put") == 1


@pytest.mark.parametrize("there", ["MNIST", "MNIST/raw", "MNIST/raw/.DS_Store"])
def test_an_empty_folder_is_filled(there: str, data_dir: Path, monkeypatch: Monkey) -> None:
    (data_dir / there).mkdir(parents=True)
    assert state("MNIST", data_dir).startswith("not there")
    monkeypatch.setattr(_source("MNIST"), "download", lambda mnist: write_idx(Path(mnist.raw_folder), 30, 20))
    assert len(load(Mnist(), 0).train) == 30 and state("MNIST", data_dir) == "there"
    assert sorted(entry.name for entry in data_dir.iterdir()) == [".MNIST.lock", "MNIST"] and (data_dir / there).is_dir()


@pytest.mark.parametrize("damage", ["cut", "flipped", "more", "header", "huge", "pipe"])
def test_damaged_packed_idx_files(damage: str, data_dir: Path) -> None:
    raw = write_idx(data_dir / "MNIST" / "raw", 20, 10)
    file = raw / f"{IDX[0]}.gz"
    content = (raw / IDX[0]).read_bytes()
    (raw / IDX[0]).unlink()
    packed = bytearray(gzipped(content))
    packed[len(packed) // 2] ^= 255
    spoiled = {
        "cut": gzipped(content)[:-200],
        "flipped": bytes(packed),
        "more": gzipped(content + b"x"),
        "header": gzipped(b"\1" + content),
        "huge": gzipped(struct.pack(">4I", 0x803, 2**31, 2**31, 28) + content),
    }
    if damage == "pipe":
        os.mkfifo(file)
        problem(Mnist(), f"{file}: it is a device, a pipe or a socket", "put a whole copy in its place")
    else:
        file.write_bytes(spoiled[damage])
        problem(Mnist(), f"{file}: its {len(spoiled[damage])} bytes are not a whole IDX file (", "put a whole copy in its place")
    assert os.path.lexists(file)


@pytest.mark.parametrize(
    "form", ["cifar-10-python.tar.gz", "cifar-10-python.tar", "cifar-10-batches-py/cifar-10-python.tar.gz", "deeper", "beside"]
)
def test_cifar_in_all_its_forms(form: str, data_dir: Path, tmp_path: Path, monkeypatch: Monkey) -> None:
    folder = write_cifar(data_dir, monkeypatch)
    plain = load(Cifar10(), 0).record()
    shutil.move(folder, tmp_path / "plain")
    assert state(cifar.FOLDER, data_dir).startswith("not there")
    if form in ("deeper", "beside"):
        place = data_dir / (cifar.FOLDER if form == "deeper" else "cifar-10-python")
        shutil.copytree(tmp_path / "plain", place / cifar.FOLDER)
    else:
        (data_dir / form).parent.mkdir(exist_ok=True)
        with tarfile.open(data_dir / form, "w:gz" if form.endswith(".gz") else "w") as archive:
            archive.add(tmp_path / "plain", cifar.FOLDER)
    before = sorted(data_dir.rglob("*"))
    assert load(Cifar10(), 0).record() == plain and state(cifar.FOLDER, data_dir) == "there"
    assert sorted(data_dir.rglob("*")) == before, "nothing is unpacked"


def test_damaged_archives_of_cifar(data_dir: Path, tmp_path: Path, monkeypatch: Monkey) -> None:
    shutil.move(write_cifar(data_dir, monkeypatch), tmp_path / "plain")
    file = data_dir / "cifar-10-python.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tmp_path / "plain", cifar.FOLDER)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    problem(Cifar10(), f"{file}: ", "put a whole copy in its place")
    (tmp_path / "plain" / "test_batch").unlink()
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tmp_path / "plain", cifar.FOLDER)
    problem(Cifar10(), f"{file}: holds no test_batch", "put a whole copy in its place")
    (tmp_path / "plain" / "test_batch").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tmp_path / "plain", cifar.FOLDER)
    problem(Cifar10(), f"{file}: test_batch: its 24 bytes are not the published ones", "put a whole copy in its place")


def test_archives_of_cifar_that_have_no_end(data_dir: Path, tmp_path: Path, monkeypatch: Monkey) -> None:
    shutil.move(write_cifar(data_dir, monkeypatch), tmp_path / "plain")
    file = data_dir / "cifar-10-python.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tmp_path / "plain", cifar.FOLDER)
    os.truncate(file, 60 * 10**9)  # a hole, which takes no room on the disk
    began = time.monotonic()
    problem(Cifar10(), f"{file}: it has 60,000,000,000 bytes, and the published one has 170,498,071", "put a whole copy in its place")
    monkeypatch.setattr(cifar, "MOST_PACKED", 10**6)
    with tarfile.open(file, "w:gz") as archive:
        large = tarfile.TarInfo("x")
        large.size = 2 * 10**6
        archive.addfile(large, io.BytesIO(bytes(large.size)))
        archive.add(tmp_path / "plain", cifar.FOLDER)
    problem(Cifar10(), f"{file}: more than 1,000,000 bytes are packed in it", "put a whole copy in its place")
    assert time.monotonic() - began < 30


def test_cifar_is_read_channels_first_and_in_silence(data_dir: Path, monkeypatch: Monkey) -> None:
    write_cifar(data_dir, monkeypatch)
    world = load(Cifar10(), seed=0)
    assert world.name == "cifar10" and world.classes == tuple(CIFAR_CLASSES)
    assert world.train.pixels.shape == (200, 3, 32, 32) and world.held_out.pixels.shape == (100, 3, 32, 32)
    label = {noise(100, 3074)[i, :3072].tobytes(): i // 10 for i in range(100)}
    assert [label[one.numpy().tobytes()] for one in world.held_out.pixels] == world.held_out.labels.tolist()


@pytest.mark.parametrize("name", IDX)
def test_damaged_idx_files(name: str, data_dir: Path) -> None:
    folder = data_dir / "MNIST"
    write_idx(folder / "raw", 20, 10)
    file = folder / "raw" / name
    whole = file.read_bytes()
    zipped, floats = b"\x1f\x8b" + whole[2:], whole[:2] + b"\x0d" + whole[3:]
    for damaged in (b"", whole[:7], whole[:-1], whole + b"\0", zipped, floats):
        file.write_bytes(damaged)
        problem(Mnist(), f"{file}: its {len(damaged)} bytes", "put a whole copy in its place")
    file.unlink()
    problem(Mnist(), f"mnist: {name} is not in {folder / 'raw'}", "put them there")


def test_idx_files_that_do_not_belong_together(data_dir: Path) -> None:
    write_idx(data_dir / "MNIST" / "raw", 20, 10)
    labels = data_dir / "MNIST" / "raw" / IDX[1]
    labels.write_bytes(struct.pack(">2I", 0x801, 19) + bytes(19))
    problem(Mnist(), f"{labels}: holds 19 labels for the 20 pictures of", "put a whole copy in its place of both")


def test_damaged_cifar(data_dir: Path, monkeypatch: Monkey) -> None:
    folder = write_cifar(data_dir, monkeypatch)
    whole = (folder / "test_batch").read_bytes()
    (folder / "test_batch").write_bytes(whole[:-5])
    problem(Cifar10(), f"{folder / 'test_batch'}: its {len(whole) - 5:,} bytes are not the published ones", "put a whole copy in its place")
    (folder / "test_batch").unlink()
    problem(Cifar10(), f"cifar10: test_batch is not in {folder}", "put them there")


@pytest.mark.parametrize("batch", [b"no pickle", b"", [], {"data": noise(5, 9), "labels": [0] * 5}, {"labels": [0] * 5}])
def test_cifar_that_is_none(batch: object, data_dir: Path, monkeypatch: Monkey) -> None:
    folder = write_cifar(data_dir, monkeypatch, batch)
    problem(Cifar10(), f"{folder / 'data_batch_2'}: ", "put a whole copy in its place")


def test_a_download_is_there_whole_or_not_at_all(data_dir: Path, monkeypatch: Monkey, capfd: Any) -> None:
    def half(mnist: Any) -> None:
        print("0%|")
        Path(mnist.raw_folder).mkdir(parents=True)
        (Path(mnist.raw_folder) / IDX[0]).write_bytes(b"half")
        raise URLError("connection lost")

    def whole(mnist: Any) -> None:
        print("100%|")
        write_idx(Path(mnist.raw_folder))

    def never(mnist: Any) -> None:
        raise AssertionError("it is there")

    monkeypatch.setattr(_source("MNIST"), "download", half)
    line = problem(Mnist(), f"mnist: not in {data_dir}", "connection lost", f"{data_dir / 'MNIST' / 'raw'}", *IDX)
    assert "--data-dir" in line and "IMGCOLLAPSE_DATA" in line and "--dataset digits" in line
    assert [entry.name for entry in data_dir.iterdir() if not entry.name.endswith(".lock")] == []

    (data_dir / ".MNIST.draft" / "MNIST" / "raw").mkdir(parents=True)  # of a process that was killed
    monkeypatch.setattr(_source("MNIST"), "download", whole)
    heard = Ear()
    with progress.watched_by(heard):
        first = load(Mnist(), seed=0)
    assert heard.lines == [f"mnist: downloading into {data_dir}"]
    assert capfd.readouterr() == ("", "")
    assert [entry.name for entry in data_dir.iterdir() if not entry.name.endswith(".lock")] == ["MNIST"]

    monkeypatch.setattr(_source("MNIST"), "download", never)
    assert load(Mnist(), seed=0).train.digest() == first.train.digest()


def test_two_at_once_download_once(data_dir: Path, monkeypatch: Monkey) -> None:
    calls: list[int] = []

    def slow(mnist: Any) -> None:
        calls.append(1)
        time.sleep(0.2)
        write_idx(Path(mnist.raw_folder))

    monkeypatch.setattr(_source("MNIST"), "download", slow)
    worlds: list[World] = []
    jobs = [contextvars.copy_context() for _ in range(2)]  # with this test's machine
    threads = [threading.Thread(target=job.run, args=(lambda: worlds.append(load(Mnist(), 0)),)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1] and len(worlds) == 2


@pytest.mark.parametrize(
    ("name", "dataset", "texts"),
    [
        ("FashionMNIST", FashionMnist(), ["FashionMNIST", "t10k-labels-idx1-ubyte"]),
        ("CIFAR10", Cifar10(), ["cifar-10-batches-py", "data_batch_5, test_batch and batches.meta"]),
    ],
)
def test_without_network(name: str, dataset: Dataset, texts: list[str], data_dir: Path, monkeypatch: Monkey) -> None:
    def download(self: Any) -> None:
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr(_source(name), "download", download)
    problem(dataset, f"{dataset.kind}: not in {data_dir}", "Name or service not known", "--dataset digits", *texts)


def test_a_data_folder_that_cannot_be(data_dir: Path) -> None:
    data_dir.write_text("a file")
    problem(Mnist(), f"mnist: not in {data_dir}", "--data-dir")


# Folders ------------------------------------------------------------------------------------------------------------


def test_folder_reads_class_folders(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for i, suffix in enumerate((".png", ".JPG", ".jpeg", ".bmp", ".webp", ".gif")):
        (root / "dog" / "deep" / "er").mkdir(parents=True, exist_ok=True)
        picture(value=100 + i).save(root / "dog" / "deep" / "er" / f"{i}{suffix}")
    write_folder(root, ["cat"], 14)
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / "cat" / "._000.png").write_text("no picture")
    for hidden in (root / ".git", root / "dog" / ".ipynb_checkpoints"):
        hidden.mkdir()
        (hidden / "a.png").write_text("no picture")
    world = load(Folder(path=str(root)), seed=0)
    assert world.name == "folder-pets" and world.classes == ("cat", "dog")
    assert len(world.train) == 14 and len(world.held_out) == 6 and world.train.shape == (3, 8, 8)
    assert sorted([*world.train.labels.tolist(), *world.held_out.labels.tolist()]) == [0] * 14 + [1] * 6
    cats = {np.asarray(Image.open(root / "cat" / f"{i:03}.png")).transpose(2, 0, 1).tobytes() for i in range(14)}
    for part in (world.train, world.held_out):
        assert [int(one.numpy().tobytes() not in cats) for one in part.pixels] == part.labels.tolist()
    half = load(Folder(path=str(root), held_out_share=0.5), seed=0)
    assert len(half.train) == len(half.held_out) == 10


@pytest.mark.parametrize("second", ["test", "val"])
def test_folder_with_its_own_parts(second: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "train", n=4)
    write_folder(tmp_path / "set" / second, n=3, first=50)
    own = load(Folder(path=str(tmp_path / "set")), seed=0)
    named = load(Folder(path=str(tmp_path / "set" / "train"), held_out=str(tmp_path / "set" / second)), seed=0)
    assert own.name == "folder-set" and named.name == "folder-train"
    assert own.classes == ("a", "b") and len(own.train) == 8 and len(own.held_out) == 6
    assert own.train.digest() == named.train.digest() and own.held_out.digest() == named.held_out.digest()


def test_folder_parts_that_do_not_fit(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_folder(root / "train", "ab", 2)
    write_folder(root / "test", "ac", 2)
    problem(Folder(path=str(root)), f"{root / 'test'}: has other classes than {root / 'train'} ('b')", "same folders")
    write_folder(root / "val", "ab", 2)
    problem(Folder(path=str(root)), f"{root}: holds train, test and val", "set path")
    train = str(root / "train")
    problem(Folder(path=train, held_out=train), f"{train}: is the training part too", "another folder")
    problem(Folder(path=train, held_out=str(root / "no")), f"{root / 'no'}: No such file")


def test_folder_modes(tmp_path: Path) -> None:
    for i, mode in enumerate(("L", "1", "L", "1", "P", "RGB")):
        root = write_folder(tmp_path / str(i) / "set", n=0)
        for c in "ab":
            for j in range(8):
                picture("L", value=j).save(root / c / f"{j}.png")
            picture().convert(mode).save(root / c / "9.png")
        world = load(Folder(path=str(root), held_out_share=0.5), seed=0)
        assert world.train.shape == ((1, 8, 8) if mode in ("L", "1") else (3, 8, 8)), mode
        if mode not in ("L", "1"):  # grey pictures before and after a coloured one stay grey
            pixels = torch.cat([world.train.pixels, world.held_out.pixels])
            assert int((pixels == pixels[:, :1]).all(3).all(2).all(1).sum()) >= 16


def test_folder_of_two_sizes(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", n=3)
    picture(size=(9, 8)).save(root / "a" / "002.png")
    picture(size=(7, 7)).save(root / "b" / "002.png")
    first, differs = root / "a" / "000.png", root / "a" / "002.png"
    problem(Folder(path=str(root)), f"{differs}: is 9x8 pixels, but {first} is 8x8", "make all pictures one size")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif", "tif"])
def test_folder_with_damaged_pictures(suffix: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", n=2)
    file = root / "b" / f"zzz.{suffix}"
    picture().save(file)
    whole = file.read_bytes()
    for damaged in (b"", b"no picture", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        line = problem(Folder(path=str(root)), f"{file}: ", ", or move it elsewhere")
        assert "0x" not in line


@pytest.mark.parametrize("limit", [10, 40])  # Pillow raises above twice the limit, and only warns below that
def test_decompression_bombs(limit: int, tmp_path: Path, monkeypatch: Monkey) -> None:
    root = write_folder(tmp_path / "set", n=2)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as for a user; in these tests every warning is an error already
        problem(Folder(path=str(root)), f"{root / 'a' / '000.png'}: ", "decompression bomb", "move it elsewhere")


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    root = tmp_path / "set"
    problem(Folder(path=str(root)), f"{root}: No such file", "one folder of pictures for each class")
    root.mkdir()
    problem(Folder(path=str(root)), f"{root}: holds no class folders", f"put the pictures into {root / 'CLASS'}")
    picture().save(root / "a.png")
    problem(Folder(path=str(root / "a.png")), f"{root / 'a.png'}: Not a directory")
    problem(Folder(path=str(root)), "no class has 4 pictures")
    write_folder(root, "ab", 2)
    (root / "c" / "deep").mkdir(parents=True)
    problem(Folder(path=str(root)), f"{root / 'c'}: holds no pictures", "add some, or move the folder elsewhere")
    (root / "c" / "gone.png").symlink_to(root / "no.png")
    problem(Folder(path=str(root)), f"{root / 'c' / 'gone.png'}: No such file", "move it elsewhere")


def test_links(tmp_path: Path) -> None:
    elsewhere = write_folder(tmp_path / "elsewhere", "b", 8)
    root = write_folder(tmp_path / "set", "a", 8)
    (root / "b").symlink_to(elsewhere / "b", target_is_directory=True)
    (root / "a" / "circle").symlink_to(root, target_is_directory=True)
    (root / "itself").symlink_to(root / "itself")
    world = load(Folder(path=str(root)), seed=0)
    assert world.classes == ("a", "b") and len(world.train) + len(world.held_out) == 16
    (root / "c").symlink_to(root, target_is_directory=True)
    problem(Folder(path=str(root)), f"{root / 'c'}: is a link back", "move the link elsewhere")


def test_unreadable_folders_are_not_passed_over(tmp_path: Path, monkeypatch: Monkey) -> None:
    root = write_folder(tmp_path / "set", n=2)
    (root / "a" / "deep").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # in place of the folder's mode, which means nothing to root
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    problem(Folder(path=str(root)), f"{root / 'a' / 'deep'}: Permission denied", "make it readable")


# Archives -----------------------------------------------------------------------------------------------------------


def test_archives_are_read_together(tmp_path: Path) -> None:
    for i in range(3):
        write_zip(tmp_path / "zips" / f"birds-train-{i}.zip", n=12, classes=i + 1, extra={"LICENSE.txt": b"free"})
    held_out = write_zip(tmp_path / "zips" / "birds-test.zip", n=8, classes=4)
    pattern = str(tmp_path / "zips" / "birds-train-*.zip")
    problem(Archive(path=pattern, held_out=str(held_out)), "training part has no picture of class '3'")
    write_zip(held_out, n=9, classes=3)
    world = load(Archive(path=pattern, held_out=str(held_out)), seed=0)
    assert world.name == "zip-birds-train" and world.classes == ("0", "1", "2")
    assert counts(world.train, 3) == [12 + 6 + 4, 6 + 4, 4] and counts(world.held_out, 3) == [3, 3, 3]
    assert world.train.shape == (3, 8, 8)
    label = {np.asarray(picture(value=i)).transpose(2, 0, 1).tobytes(): i // 3 for i in range(9)}
    assert [label[one.numpy().tobytes()] for one in world.held_out.pixels] == world.held_out.labels.tolist()
    write_zip(held_out, n=18, classes=3)
    shared = load(Archive(path=str(held_out), held_out_share=1 / 3), seed=0)
    assert shared.name == "zip-birds-test" and len(shared.train) == 12 and counts(shared.held_out, 3) == [2, 2, 2]


def test_archives_of_grey_pictures(tmp_path: Path) -> None:
    assert load(Archive(path=str(write_zip(tmp_path / "grey.zip", mode="L"))), seed=0).train.shape == (1, 8, 8)


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    assert load(Archive(path=str(write_zip(tmp_path / "set[1].zip"))), seed=0).name == "zip-set[1]"


def test_archives_that_are_not_there(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.zip")
    problem(Archive(path=pattern), f"{pattern}: no such archive", "a pattern that matches some")
    file = str(write_zip(tmp_path / "a.zip"))
    problem(Archive(path=file, held_out=str(tmp_path / "b.zip")), "b.zip: no such archive")
    problem(Archive(path=pattern, held_out=file), f"{file}: is in both parts", "different archives")


def test_damaged_archives(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip")
    whole = file.read_bytes()
    cure = "copy or make it again"
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        problem(Archive(path=str(file)), f"{file}: ", "zip", cure)
    problem(Archive(path=str(tmp_path)), f"{tmp_path}: Is a directory", cure)
    place = whole.index(b"IDAT") + 30  # members are stored as they are; the archive's sum is compared before the PNG's
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    problem(Archive(path=str(file)), f"{file}: 00000/img00000000.png: Bad CRC-32", "replace it by a whole copy")
    name = "00000/z.png"
    write_zip(file, index=lambda labels: {"labels": [*labels, [name, 0]]}, extra={name: b"no picture"})
    problem(Archive(path=str(file)), f"{file}: {name}: it is not a PNG, JPEG, WebP", "save it as PNG")


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png", "/etc/hosts"])
def test_archives_that_would_leave_their_folder(name: str, tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", extra={name: b""})
    problem(Archive(path=str(file)), f"{file}: {name}: ", "leads out of the archive", "without it")


def test_archives_of_two_sizes(tmp_path: Path) -> None:
    picture(size=(4, 8)).save(tmp_path / "odd.png")
    odd = {"odd.png": (tmp_path / "odd.png").read_bytes()}
    file = write_zip(tmp_path / "a.zip", index=lambda labels: {"labels": [*labels, ["odd.png", 0]]}, extra=odd)
    problem(Archive(path=str(file)), f"{file}: odd.png: is 4x8", f"{file}: 00000/img00000000.png is 8x8", "one size")


@pytest.mark.parametrize(
    ("index", "texts"),
    [
        ({}, ("dataset.json: it holds no labels",)),
        ({"labels": []}, ("dataset.json: it holds no labels",)),
        ([1], ("dataset.json: it holds no labels",)),
        (b"{", ("dataset.json: Expecting property name",)),
        (b"\xff\xfe\xfd", ("dataset.json: ",)),
        ({"labels": {"a.png": 1}}, ("dataset.json: 'a.png' is not a pair",)),
        ({"labels": [["a.png"]]}, ("dataset.json: ['a.png'] is not a pair",)),
        ({"labels": [["a.png", 1.0]]}, ("the label 1.0 of a.png is not a class number",)),
        ({"labels": [["a.png", True]]}, ("the label True of a.png",)),
        ({"labels": [["a.png", "1"]]}, ("the label '1' of a.png",)),
        ({"labels": [["a.png", [0, 1]]]}, ("the label [0, 1] of a.png",)),
        ({"labels": [["a.png", -1]]}, ("the label -1 of a.png is not a class number",)),
        ({"labels": [["a.png", 1], ["a.png", 1]]}, ("a.png is listed twice",)),
        (lambda labels: {"labels": labels[:-1]}, ("img00000003.png: is not listed in dataset.json", "make the archive again without it")),
        (lambda labels: {"labels": [*labels, ["a.png", 0]]}, ("a.png: is listed in dataset.json, but not there",)),
        (
            lambda labels: {"labels": [*labels[:-1], [labels[-1][0], 10**12]]},
            ("00000/img00000003.png: label 1000000000000 is out of range for 4 pictures", "number the classes"),
        ),
        (lambda labels: {"labels": [[name, 3 * label] for name, label in labels]}, ("no picture of class '1'",)),
    ],
)
def test_labels_of_archives(index: object, texts: tuple[str, ...], tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", n=4, index=index)
    line = problem(Archive(path=str(file)), *texts)
    assert line.startswith((str(file), "zip-a"))
