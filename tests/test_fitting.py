"""Pictures cut and resized on the way in: exactly as Pillow does it, recorded, and never stretched or made larger."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from terminal import call, done

from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.dataset import Dataset
from imgcollapse.datasets.fitting import Fitting
from imgcollapse.datasets.folder import Folder
from imgcollapse.errors import DataProblem
from imgcollapse.images import World
from imgcollapse.settings import read_file, to_yaml

SIZES = [(40, 30), (31, 52), (33, 33), (64, 47)]  # width and height, odd differences too


def noise(number: int, channels: int = 3) -> Image.Image:
    width, height = SIZES[number % len(SIZES)]
    values = np.random.default_rng(number).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values)


def flat(root: Path, channels: int = 3) -> Path:
    """Eight pictures in no class folder."""
    root.mkdir()
    for number in range(8):
        noise(number, channels).save(root / f"{number}.png")
    return root


def by_pillow(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """The picture through Pillow alone: cut as a box, all channels at once."""
    least, (width, height) = min(picture.size), picture.size
    left, top = (width - least) // 2, (height - least) // 2
    small = np.asarray(picture.crop((left, top, left + least, top + least)).resize((side, side), Image.Resampling.LANCZOS))
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


def all_of(world: World) -> set[bytes]:
    return {one.numpy().tobytes() for part in (world.train, world.held_out) for one in part.pixels}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_folder_is_cut_and_resized_as_pillow_does_it(channels: int, tmp_path: Path) -> None:
    root = flat(tmp_path / "set", channels)
    world = Folder(path=str(root), crop="center", resize=16).read(0, 0)
    assert world.train.pixels.shape[1:] == (channels, 16, 16) and world.train.pixels.dtype == torch.uint8
    assert all_of(world) == {by_pillow(noise(number, channels), 16).tobytes() for number in range(8)}
    with ZipFile(tmp_path / "set.zip", "w") as packed:
        for path in root.iterdir():
            packed.write(path, path.name)
    assert all_of(Archive(path=str(tmp_path / "set.zip"), crop="center", resize=16).read(0, 0)) == all_of(world)


def test_it_is_antialiased() -> None:
    """Stripes of one pixel become their mean, 127.5, and not black or white."""
    stripes = np.tile(np.array([0, 255], np.uint8), (1, 64, 32))
    inner = Fitting(resize=8)(stripes)[:, :, 1:-1].astype(int)
    assert (abs(inner - 127.5) <= 8).all()


def test_a_cut_alone_takes_the_middle() -> None:
    wide = np.arange(5, dtype=np.uint8)[None, None].repeat(2, 1)
    assert Fitting(crop="center")(wide)[0].tolist() == [[1, 2], [1, 2]]
    assert Fitting(crop="center")(wide.transpose(0, 2, 1))[0].tolist() == [[1, 1], [2, 2]]
    assert (Fitting()(wide) == wide).all() and (Fitting(resize=2)(wide[:, :, :2]) == wide[:, :, :2]).all(), "its own size is left as it is"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "make all pictures one size, or let dataset.crop=center and dataset.resize do it"),
        (
            {"resize": 8},
            "0.png: is 40x30 pixels, which dataset.resize would stretch; cut it to its central square with --set dataset.crop=center",
        ),
        ({"resize": 31, "crop": "center"}, "0.png: is 30x30 pixels, fewer than dataset.resize = 31; set dataset.resize to 30 or less"),
    ],
)
def test_nothing_is_stretched_or_made_larger(options: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataProblem) as problem:
        Folder(path=str(flat(tmp_path / "set")), **options).read(0, 0)  # type: ignore[arg-type]
    assert told in str(problem.value)


@pytest.mark.parametrize("kind", [Folder, Archive])
def test_a_study_without_them_is_named_as_before(kind: type[Dataset]) -> None:
    assert "crop" not in to_yaml(kind(path="x")) and "resize" not in to_yaml(kind(path="x"))  # type: ignore[call-arg]
    assert "crop: center" in to_yaml(kind(path="x", crop="center"))  # type: ignore[call-arg]


def test_a_run_says_and_records_it(tmp_path: Path) -> None:
    root = flat(tmp_path / "set")
    for number in range(8, 60):
        noise(number).save(root / f"{number}.png")
    made = ["--set", "dataset.crop=center", "--set", "dataset.resize=8"]
    said = done("run", "--dataset", f"folder:{root}", *made, "--model", "bootstrap", "--gens", 1, "--extractor", "pca", "--out", "run")
    words = "60 pictures without classes, so that what is measured by class is left out; "
    words += "each is cut to the central square and resized to 8x8 (Lanczos)"
    assert words in said.stderr
    dataset = read_file(Path("run/study.yaml"))["dataset"]
    assert (dataset["crop"], dataset["resize"]) == ("center", 8)
    again = call(
        "run", "--dataset", f"folder:{root}", *made[:2], "--set", "dataset.resize=9", "--model", "bootstrap", "--gens", 1, "--out", "run"
    )
    assert again.exit_code == 5, "another size is another study"
