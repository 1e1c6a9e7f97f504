"""A look at the world: what would make every number a lie is refused or said, and nothing is said where nothing is wrong."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from standins import Ear, folder, world
from terminal import call

from imgcollapse import datasets, progress
from imgcollapse.datasets import look
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.folder import Folder
from imgcollapse.datasets.toys import Gaussian, Grid25
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, World


def said(one: World) -> list[str]:
    ear = Ear()
    with progress.watched_by(ear):
        look.check_world(one)
    return ear.lines


def changed(one: World, part: str, change: Callable[[torch.Tensor, torch.Tensor], None]) -> World:
    images: ImageSet = getattr(one, part)
    pixels, labels = images.pixels.clone(), images.labels.clone()
    change(pixels, labels)
    return replace(one, **{part: ImageSet.of(pixels, labels)})


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    ear = Ear()
    with progress.watched_by(ear):
        for dataset in (Digits(), Digits(subset=10), Digits(imbalance=100), Gaussian(), Grid25(), Gaussian(size=1), Grid25(subset=25)):
            datasets.load(dataset, 0)
    assert ear.lines == [] and said(world()) == []


def test_a_world_of_one_picture_is_refused() -> None:
    for part, name in (("train", "training"), ("held_out", "held-out")):

        def equal(pixels: torch.Tensor, labels: torch.Tensor) -> None:
            pixels[:] = pixels[0].clone()

        n = len(getattr(world(), part))
        with pytest.raises(DataProblem, match=rf"^tiny: all {n} pictures of the {name} part are the same; look at the files, and at how"):
            said(changed(world(), part, equal))
    points = datasets.load(Gaussian(size=9), 0)
    with pytest.raises(DataProblem, match=r"^gaussian: all 9 pictures of the training part are the same; "):
        said(replace(points, train=ImageSet.of(torch.zeros(9, 1, 1, 2), torch.zeros(9))))


def test_a_world_of_blank_pictures_is_refused_and_single_ones_are_said() -> None:
    def blank(n: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
        def change(pixels: torch.Tensor, labels: torch.Tensor) -> None:
            pixels[:n] = pixels[:n, :, :1, :1].clone()  # each of one colour, and no two of the same

        return change

    with pytest.raises(DataProblem, match=r"^tiny: each of its 60 pictures is of one value only; look at the files"):
        said(changed(changed(world(), "train", blank(40)), "held_out", blank(20)))
    assert said(changed(world(), "train", blank(3))) == ["tiny: 3 of 60 pictures are of one value only, the first of them in class 'a'"]
    dots = ImageSet.of(torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1), torch.arange(40) % 2)
    assert said(World("dots", dots[:30], dots[30:], ("a", "b"))) == []  # pictures of one pixel are not blank


def test_a_class_of_one_picture_is_said() -> None:
    one = world()
    first = one.train.pixels[one.train.labels == 1][0].clone()

    def same(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        pixels[labels == 1] = first

    lines = said(changed(changed(one, "train", same), "held_out", same))
    assert lines[0] == "tiny: all 30 pictures of class 'b' are the same"
    assert lines[1].startswith("tiny: 10 of 20 held-out pictures (50 %) are in the training part too, so copies of these pass for new")
    assert lines[2] == "tiny: 19 of 40 training pictures are copies of others there" and len(lines) == 3
    assert said(changed(one, "train", same)) == [lines[2]]  # with others among the held-out ones

    def all_same(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        same(pixels, labels)
        pixels[labels == 0] = 255 - first

    assert said(changed(changed(one, "train", all_same), "held_out", all_same))[0] == (
        "tiny: all 30 pictures of class 'a' and 1 other classes are the same"
    )


def test_a_class_with_one_picture_alone_is_no_class_of_one_picture() -> None:
    def alone(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        labels[:] = 0
        labels[0] = 1

    def none(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        labels[:] = 0

    assert said(changed(changed(world(), "train", alone), "held_out", none)) == []


def test_classes_with_the_same_pictures_are_said() -> None:
    def twice(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        pixels[1] = pixels[0].clone()  # labels 0 and 1

    assert said(changed(world(), "train", twice)) == ["tiny: 2 of 60 pictures stand in more than one class, such as in 'a' and in 'b'"]


def test_parts_that_share_pictures_are_said() -> None:
    one = world()

    def shared(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        pixels[[0, 2, 4]] = one.train.pixels[[0, 2, 2]]

    assert said(changed(one, "held_out", shared)) == [
        "tiny: 3 of 20 held-out pictures (15 %) are in the training part too, so copies of these pass for new pictures, "
        "and scores are too good"
    ]


def test_copies_are_said_where_they_are_many() -> None:
    def copies(n: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
        def change(pixels: torch.Tensor, labels: torch.Tensor) -> None:
            pixels[2 : 2 + 2 * n : 2] = pixels[0].clone()

        return change

    assert said(changed(world(), "train", copies(4))) == []
    assert said(changed(world(), "train", copies(5))) == ["tiny: 5 of 40 training pictures are copies of others there"]


def test_it_is_cheap() -> None:
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (70_000, 1, 28, 28), generator=draws, dtype=torch.uint8)
    images = ImageSet.of(pixels, torch.arange(70_000) % 10)
    large = World("large", images[:60_000], images[60_000:], tuple("0123456789"))
    began = time.process_time()
    assert said(large) == [] and time.process_time() - began < 2  # 0.3 seconds on a quiet core


# From the command line ----------------------------------------------------------------------------------------------


def write(root: Path, draw: Callable[[int, int], np.ndarray[Any, Any]], n: int = 20) -> Path:
    for c in range(2):
        (root / str(c)).mkdir(parents=True)
        for number in range(n):
            Image.fromarray(draw(c, number)).save(root / str(c) / f"{number:02}.png")
    return root


FEW = ("--set", "judge.metrics=[frechet_distance]", "--set", "judge.k=4")  # of ten that are held out, five are compared
RUN = ("run", "--model", "bootstrap", "--gens", 1, "--extractor", "pixels", *FEW)


def test_run_refuses_what_is_no_world_and_says_what_is_odd() -> None:
    """The first is the issue's: shapes in the alpha channel alone, laid on the colour that they have."""

    def black(c: int, number: int) -> np.ndarray[Any, Any]:
        return np.dstack([np.zeros((8, 8, 3), np.uint8), np.random.default_rng(20 * c + number).integers(256, size=(8, 8), dtype=np.uint8)])

    write(Path("black"), black)
    wrong = call(*RUN, "--dataset", "folder:black", "--set", "dataset.alpha=black")
    assert wrong.exit_code == 3 and wrong.stderr.splitlines()[-1].startswith(
        "imgcollapse: folder-black: all 30 pictures of the training part are the same; look at the files"
    )
    assert not Path("runs").exists()
    assert call(*RUN, "--dataset", "folder:black", "--set", "dataset.alpha=white").exit_code == 0

    def one_class(c: int, number: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng(c * number).integers(256, size=(8, 8), dtype=np.uint8)

    write(Path("odd"), one_class)
    odd = call(*RUN, "--dataset", "folder:odd")
    assert odd.exit_code == 0
    _, read, first = odd.stderr.splitlines()[:3]
    assert read.startswith("folder-odd: 40 pictures in 2 classes")
    assert first == "folder-odd: all 20 pictures of class '0' are the same", odd.stderr
    assert "folder-odd: 21 of 40 pictures stand in more than one class, such as in '0' and in '1'" in odd.stderr


def test_collapsed_samples_are_said_and_scored() -> None:
    real = folder(Path("real"))
    write(Path("one"), lambda c, number: np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    write(Path("blank"), lambda c, number: np.full((8, 8, 3), 20 * c + number, np.uint8))
    write(Path("fine"), lambda c, number: np.random.default_rng(20 * c + number).integers(256, size=(8, 8, 3), dtype=np.uint8))
    few = ("--against", f"folder:{real}", "--extractor", "pixels", "--set", "judge.metrics=[frechet_distance]")
    for name, line in (
        ("one", "one: all its 40 pictures are the same"),
        ("blank", "blank: each of its 40 pictures is of one value only"),
        ("fine", None),
    ):
        scored = call("score", name, *few)
        assert scored.exit_code == 0, scored.output
        looked = [heard for heard in scored.stderr.splitlines() if "pictures are the same" in heard or "one value only" in heard]
        assert looked == ([line] if line else [])
    assert datasets.load(Folder(path=str(real)), 0).train.shape == (3, 8, 8)
