"""Samples in the layouts of other programs: what these read is what was drawn, and nothing is ever overwritten."""

import json
import os
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terminal
import torch
from chains import files, made_when_asked
from PIL import Image

from imgcollapse import datasets, store
from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.dataset import held_out_of
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.layouts import WRITERS, write_image_folder
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files.places import HERE, made_once
from imgcollapse.images import ImageSet
from imgcollapse.settings import build
from imgcollapse.store.npz import write_images
from imgcollapse.store.records import read_sealed, write_sealed
from imgcollapse.study import Study, run

CHAINS: dict[str, dict[str, Any]] = {
    "digits": {"model": "bootstrap", "gens": 2, "samples": 60},
    "unlabelled": {"model": {"kind": "vae", "steps": 1, "width": 8}, "gens": 1, "samples": 60},
    "points": {"dataset": {"kind": "grid25", "size": 200}, "model": "bootstrap", "gens": 1},
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run of that name, made when a test first asks for it, and not judged."""
    judge = {"extractors": list[str]()}
    return made_when_asked(tmp_path_factory.mktemp("chains"), {name: {**own, "judge": judge} for name, own in CHAINS.items()})


def drawn(run_folder: Path, generation: int) -> ImageSet:
    return store.read_images(store.generation_folder(run_folder, generation) / store.SAMPLES)


call = partial(terminal.call, "export")


def arrays(path: Path | str) -> dict[str, Any]:
    """What an .npz holds, by name and in order."""
    with np.load(path, allow_pickle=False) as opened:
        return {name: opened[name] for name in opened.files}


def member(path: Path | str, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def picture(file: Path | str) -> tuple[str, Any]:
    """Mode and pixels."""
    with Image.open(file) as opened:
        return opened.mode, np.asarray(opened)


def counted(images: ImageSet) -> Counter[tuple[bytes, int]]:
    """How often each picture is there with each class."""
    return Counter(zip((one.tobytes() for one in images.pixels.numpy()), images.labels.tolist(), strict=True))


def colours(n: int = 12, labels: torch.Tensor | None = None) -> ImageSet:
    pixels = torch.randint(256, (n, 3, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet.of(pixels, torch.arange(n) % 2 if labels is None else labels)


def test_a_flat_folder_holds_the_pictures_in_order_as_clean_fid_looks_for_them(chain: Callable[[str], Path]) -> None:
    said = call(chain("digits"), "--gen", 0, "--to", "folder", "--out", "out")
    assert said.exit_code == 0 and said.stdout == "generation 0: 60 pictures, without classes\nwritten: out\n", said.output
    found = sorted(glob("out/**/*.png", recursive=True))  # as clean-fid, pytorch-fid and torch-fidelity list a folder
    assert [Path(path).name for path in found] == [f"{number:05d}.png" for number in range(60)] and len(os.listdir("out")) == 60
    modes, pixels = zip(*map(picture, found), strict=True)
    assert set(modes) == {"L"} and np.array_equal(np.stack(pixels), drawn(chain("digits"), 0).pixels[:, 0].numpy())


@pytest.mark.parametrize("to", list(WRITERS))
def test_colours_stay_what_they_are(to: str, tmp_path: Path) -> None:
    images = colours()
    WRITERS[to](images, ["a", "b"], tmp_path / f"out.{to}", "--to")
    expected = images.pixels.permute(0, 2, 3, 1).numpy()
    if to == "npz":
        found = arrays(tmp_path / "out.npz")["arr_0"]
    else:
        if to == "zip":
            shutil.unpack_archive(tmp_path / "out.zip", tmp_path / "out.zip.folder")
        paths = sorted((tmp_path / (f"out.{to}.folder" if to == "zip" else f"out.{to}")).rglob("*.png"), key=lambda path: path.name)
        found = np.stack([picture(path)[1] for path in paths])
    assert np.array_equal(found, expected)


def test_an_image_folder_is_read_by_torchvision(chain: Callable[[str], Path]) -> None:
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (mends an import of torchvision that would die)
    from torchvision.datasets import ImageFolder  # isort: skip

    assert call(chain("digits"), "--to", "imagefolder", "--out", "out").exit_code == 0
    images, found = drawn(chain("digits"), 1), ImageFolder("out")
    for path, label in found.samples:
        number = int(Path(path).stem)
        assert found.classes[label] == str(int(images.labels[number]))
        assert np.array_equal(picture(path)[1], images.pixels[number, 0].numpy())
    assert len(found) == 60


def test_an_archive_is_read_by_the_zip_data_set(chain: Callable[[str], Path]) -> None:
    said = call(chain("digits"), "--gen", 1, "--to", "zip", "--out", "out.zip")
    assert said.exit_code == 0 and said.stdout == "generation 1: 60 pictures, each with its class\nwritten: out.zip\n"
    with zipfile.ZipFile("out.zip") as archive:
        names = archive.namelist()
        assert names[:2] == ["00000/img00000000.png", "00000/img00000001.png"] and names[-1] == "dataset.json" and len(names) == 61
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {(info.date_time, info.create_system, info.external_attr) for info in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 3, 0o644 << 16)
        }
        labels = json.loads(archive.read("dataset.json"))["labels"]
    images = drawn(chain("digits"), 1)
    assert labels == [[name, label] for name, label in zip(names[:-1], images.labels.tolist(), strict=True)]
    train, held_out = (getattr(Archive(path="out.zip").read(0, 0), part) for part in ("train", "held_out"))
    assert counted(train) + counted(held_out) == counted(images)
    assert held_out.labels.bincount(minlength=10).tolist() == [held_out_of(n, 0.25) for n in images.labels.bincount(minlength=10).tolist()]


def test_an_archive_serves_a_study_as_its_real_pictures(tmp_path: Path) -> None:
    images = datasets.load(Digits(), 0).train
    WRITERS["zip"](images, tuple("0123456789"), tmp_path / "out.zip", "--to")
    world = datasets.load(Archive(path=str(tmp_path / "out.zip")), 0)
    assert counted(world.train) + counted(world.held_out) == counted(images)


def test_the_numbers_in_an_archive_go_on_beyond_a_thousand(tmp_path: Path) -> None:
    many = ImageSet.of(torch.zeros(1002, 1, 2, 2, dtype=torch.uint8))
    WRITERS["zip"](many, [], tmp_path / "out.zip", "--to")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
    assert names[999:1002] == ["00000/img00000999.png", "00001/img00001000.png", "00001/img00001001.png"]


@pytest.mark.parametrize("labels", [torch.full((12,), -1), torch.arange(12) - 1], ids=["none", "not all"])
def test_without_a_class_for_each_picture_archives_have_no_classes(labels: torch.Tensor, tmp_path: Path) -> None:
    for to in ("zip", "npz"):
        WRITERS[to](colours(labels=labels), ["a"] * 11, tmp_path / f"out.{to}", "--to")
    assert json.loads(member(tmp_path / "out.zip", "dataset.json")) == {"labels": None}  # as dataset_tool writes it
    assert list(arrays(tmp_path / "out.npz")) == ["arr_0"]


def test_an_npz_is_what_guided_diffusion_writes_and_its_evaluator_reads(chain: Callable[[str], Path]) -> None:
    assert call(chain("digits"), "--to", "npz", "--out", "out.npz").exit_code == 0
    images = drawn(chain("digits"), 1)
    found = arrays("out.npz")
    assert list(found) == ["arr_0", "arr_1"]
    assert found["arr_0"].dtype == np.uint8 and found["arr_0"].shape == (60, 8, 8, 3)  # the evaluator's placeholder has 3 channels
    for channel in range(3):
        assert np.array_equal(found["arr_0"][..., channel], images.pixels[:, 0].numpy())
    assert found["arr_1"].dtype == np.int64 and np.array_equal(found["arr_1"], images.labels.numpy())
    said = call(chain("unlabelled"), "--to", "npz", "--out", "none.npz")
    assert list(arrays("none.npz")) == ["arr_0"] and said.stdout.startswith("generation 0: 60 pictures, without classes\n")


def test_points_are_arrays_only(chain: Callable[[str], Path]) -> None:
    assert call(chain("points"), "--to", "npz", "--out", "out.npz").exit_code == 0
    found = arrays("out.npz")
    assert found["arr_0"].dtype == np.float32 and np.array_equal(found["arr_0"], drawn(chain("points"), 0).pixels[:, 0, 0].numpy())
    for to in ("folder", "zip", "imagefolder"):
        wrong = call(chain("points"), "--to", to)
        assert wrong.exit_code == 2 and wrong.stdout == ""
        assert wrong.stderr == f"imgcollapse: --to: {to} holds grey or RGB pictures, and these are points; use --to npz\n"
    assert not list((chain("points") / "export").iterdir())


def test_a_card_names_its_own_option() -> None:
    with pytest.raises(SettingsProblem, match=r"^--export: imagefolder .* use --export npz$"):
        write_image_folder(ImageSet.of(torch.zeros(1, 1, 1, 2)), [], Path("out"))


def test_the_last_generation_goes_into_the_run_folder_where_nothing_else_is_said(chain: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(chain("digits"), tmp_path / "run"))
    for to in WRITERS:
        made = json.loads(call(folder, "--to", to, "--json").stdout)
        name = f"gen_001.{to}" if to in ("zip", "npz") else f"gen_001-{to}"
        with_class = 0 if to == "folder" else 60
        place = folder / "export" / name
        expected = {"generation": 1, "to": to, "pictures": 60, "with_class": with_class}
        assert made == {"run": str(folder), **expected, "place": str(place)} and place.exists()
    run(build(Study, {**CHAINS["digits"], "judge": {"extractors": []}}), folder)  # the run goes on


@pytest.mark.parametrize("to", list(WRITERS))
def test_the_same_export_gives_the_same_bytes_and_may_be_made_again(to: str, chain: Callable[[str], Path], tmp_path: Path) -> None:
    suffix = f".{to}" if to in ("zip", "npz") else ""
    places = [tmp_path / "here" / f"out{suffix}", tmp_path / "there" / f"out{suffix}"]
    places[1].parent.mkdir()
    draft = places[1].with_name(f".out{suffix}.draft-{HERE}-{os.getpid()}")
    draft.mkdir() if not suffix else draft.write_text("left by a process that was killed")
    for place in (*places, places[0]):
        assert call(chain("digits"), "--to", to, "--out", place).exit_code == 0
    assert files(places[0].parent) == files(places[1].parent) and [len(list(place.parent.iterdir())) for place in places] == [1, 1]


@pytest.mark.parametrize("to", list(WRITERS))
def test_something_else_is_not_overwritten(to: str, chain: Callable[[str], Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    suffix = f".{to}" if to in ("zip", "npz") else ""
    (mine / f"thesis{suffix}").write_text("x")
    (mine / f"folder{suffix}").mkdir()
    (mine / f"folder{suffix}" / "a.png").write_text("x")
    assert call(chain("digits"), "--gen", 0, "--to", to, "--out", mine / f"other{suffix}").exit_code == 0
    before = files(mine)
    for name in ("thesis", "folder", "other"):
        place = mine / f"{name}{suffix}"
        wrong = call(chain("digits"), "--gen", 1, "--to", to, "--out", place)
        assert wrong.exit_code == 5 and wrong.stdout == ""
        assert (
            wrong.stderr
            == f"imgcollapse: {place}: holds something else; nothing is ever overwritten; move it elsewhere, or choose another --out\n"
        )
    assert files(mine) == before and len(list(mine.iterdir())) == 3


def test_a_folder_that_somebody_changed_is_something_else(chain: Callable[[str], Path]) -> None:
    assert call(chain("digits"), "--to", "folder", "--out", "out").exit_code == 0
    Path("out/00060.png").write_bytes(Path("out/00000.png").read_bytes())
    assert call(chain("digits"), "--to", "folder", "--out", "out").exit_code == 5 and Path("out/00060.png").is_file()


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with made_once(tmp_path / "empty") as draft:
        draft.mkdir()
        (draft / "a").write_text("a")
    assert files(tmp_path) == {"empty/a": b"a"}
    with pytest.raises(KeyboardInterrupt), made_once(tmp_path / "other") as draft:
        draft.mkdir()
        (draft / "a").write_text("a")
        raise KeyboardInterrupt
    (tmp_path / "bare").mkdir()
    with pytest.raises(OtherStudyProblem), made_once(tmp_path / "bare") as draft:
        draft.write_text("a file is no folder")
    (tmp_path / "file").write_text("ab")
    with pytest.raises(OtherStudyProblem), made_once(tmp_path / "file") as draft:
        draft.write_text("cd")
        os.utime(draft, ns=(0, (tmp_path / "file").stat().st_mtime_ns))  # as old and as long
    assert (tmp_path / "file").read_text() == "ab"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "empty", "file"]


def test_what_cannot_be_exported_is_one_line(chain: Callable[[str], Path], tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(chain("digits"), tmp_path / "damaged"))
    data = bytearray((damaged / "gen_001" / store.SAMPLES).read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "gen_001" / store.SAMPLES).write_bytes(data)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copyfile(damaged / store.STUDY, empty / store.STUDY)
    ok = chain("digits")
    cases: list[tuple[list[object], int, str]] = [
        ([damaged, "--to", "zip"], 3, rf"{damaged}/gen_001: samples.npz has changed .*; run the run's own command again, which repairs"),
        ([tmp_path, "--to", "zip"], 3, rf"{tmp_path}: is not a run folder \(study.yaml is missing\)"),
        ([empty, "--to", "zip"], 2, rf"{empty}: no generation is finished yet; let `imgcollapse run` finish one first$"),
        ([ok, "--to", "zip", "--gen", 7], 2, rf"--gen: generation 7 of {ok} is not finished; choose among 0, 1$"),
        ([ok, "--to", "zip", "--out", "out.npz"], 2, "--out: out.npz: .*; end it in .zip$"),
    ]
    for arguments, code, text in cases:
        wrong = call(*arguments)
        assert wrong.exit_code == code and wrong.stdout == "" and wrong.stderr.count("\n") == 1, wrong.output
        assert re.match(f"imgcollapse: {text}", wrong.stderr), wrong.stderr
    assert call(damaged, "--gen", 0, "--to", "npz", "--out", "whole.npz").exit_code == 0
    assert not (damaged / "export").exists() and call(ok).exit_code == 2 and call(ok, "--to", "tar").exit_code == 2


def test_a_class_with_a_hostile_name_stays_inside_its_folder(
    chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(chain("digits"), tmp_path / "run"))
    data = read_sealed(folder / store.DATA)
    data["classes"][3] = "../../up"
    write_sealed(folder / store.DATA, data)
    monkeypatch.setattr(store, "check", lambda folder: None)  # which tells that these are other real pictures
    assert call(folder, "--to", "imagefolder", "--out", "out").exit_code == 0
    assert {path.parent.parent for path in Path("out").rglob("*.png")} == {Path("out")} and not Path("../up").exists()


def test_our_own_samples_file_has_the_same_pictures(chain: Callable[[str], Path], tmp_path: Path) -> None:
    """What `export` reads is what the run wrote: no file of samples in between is trusted without its manifest."""
    folder = Path(shutil.copytree(chain("digits"), tmp_path / "run"))
    write_images(folder / "gen_001" / store.SAMPLES, colours())
    assert call(folder, "--to", "zip", "--out", "out.zip").exit_code == 3 and not Path("out.zip").exists()


def test_a_stopped_export_leaves_nothing(chain: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(images: ImageSet, classes: object, place: Path, flag: str) -> None:
        place.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setitem(WRITERS, "folder", stop)
    said = call(chain("digits"), "--to", "folder", "--out", "here/out")
    assert said.exit_code == 130 and said.stderr == "stopped; nothing was written. To go on, run the same command again.\n"
    assert not list(Path("here").iterdir())
