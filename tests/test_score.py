"""Pictures of other programs: how they are read, how they are made comparable, and what is said of them."""

import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from terminal import call
from torch import Tensor

from imgcollapse import datasets, store
from imgcollapse.cli.score_tables import ACROSS, decimals
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.layouts import WRITERS
from imgcollapse.datasets.toys import Grid25
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.exchange import samples
from imgcollapse.exchange.samples import Samples, short_names
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.extractors.inception import Inception
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.images import ImageSet, World
from imgcollapse.interface import scoring as score
from imgcollapse.judges.judge import Judge
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.record import RealVsReal, ranged
from imgcollapse.metrics.scores import SCORES
from imgcollapse.settings import build
from imgcollapse.store.npz import write_images
from imgcollapse.study import Study, run

CLASSIFIER = "judge.extractors=[classifier]"
FEW = ["--extractor", "pixels", "--set", "judge.metrics=[frechet_distance,neighbourhood]"]
PIXELS = Judge(extractors=(Pixels(),), metrics=("frechet_distance", "neighbourhood"))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations of copies of digits, 150 each, not judged."""
    folder = tmp_path_factory.mktemp("chain") / "run"
    run(build(Study, {"model": "bootstrap", "gens": 2, "samples": 150, "judge": {"extractors": []}}), folder)
    return folder


@pytest.fixture(scope="module")
def world() -> World:
    return datasets.load(Digits(), 0)


def scored(*arguments: object) -> dict[str, Any]:
    said = call("score", *arguments, "--against", "digits", "--json")
    assert said.exit_code == 0, said.output
    return dict(json.loads(said.stdout))


def colours(n: int = 20, side: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(256, (n, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def theirs(path: str, array: np.ndarray[Any, Any], **more: Any) -> Path:
    np.savez(path, arr_0=array, **more)
    return Path(path)


# --- one set, whatever it lies in


def test_all_layouts_of_a_generation_have_the_same_numbers(chain: Path) -> None:
    for to in WRITERS:
        assert call("export", chain, "--to", to, "--out", f"as.{to}").exit_code == 0
    places = [chain, *(f"as.{to}" for to in WRITERS)]
    record = scored(*places, "--n", 100, *FEW)
    assert list(record["samples"]) == ["run", "as.folder", "as.zip", "as.npz", "as.imagefolder"]
    first, *others = record["samples"].values()
    fd = first["sources"]["pixels"]["fd"]
    assert first["pictures"] == 150 and fd["n"] == 100 and fd["value"] > 0
    for place, other in zip(places[1:], others, strict=True):
        assert {**other, "path": str(chain)} == {**first, "path": str(chain)}, place
    of_generation = scored(chain / "gen_001", "--n", 100, *FEW)["samples"]["gen_001"]
    assert {**of_generation, "path": str(chain)} == first
    before = scored(chain / "gen_000", "--n", 100, *FEW)["samples"]["gen_000"]
    assert before["sha256"] != first["sha256"] and before["sources"] != first["sources"]


def test_the_numbers_are_those_of_the_reference(chain: Path, world: World) -> None:
    record = scored(chain, *FEW)["samples"]["run"]
    reference = PIXELS.resolved(world, 150).open(world)
    images = Samples.of(chain, world).images
    assert record["sources"] == reference(images).scores.record()["sources"]
    drawn = store.read_images(chain / "gen_001" / store.SAMPLES)
    plain = reference(drawn).scores.sources["pixels"]  # all 150 in another order: the same but for rounding
    found = {name: one["value"] for name, one in record["sources"]["pixels"].items()}
    assert found == pytest.approx({name: one.value for name, one in plain.items()}, rel=1e-9)


def test_a_folder_sorted_by_class_is_scored_fairly(world: World) -> None:
    train = world.train
    theirs("sorted.npz", train[train.labels.argsort()].pixels.permute(0, 2, 3, 1).numpy())
    theirs("shuffled.npz", train.pixels.permute(0, 2, 3, 1).numpy())
    by_class, shuffled = (Samples.of(Path(name), world, 600) for name in ("sorted.npz", "shuffled.npz"))
    assert torch.equal(by_class.images.pixels, shuffled.images.pixels) and by_class.sha256 == shuffled.sha256
    classes = {one.tobytes(): int(label) for one, label in zip(train.pixels.numpy(), train.labels, strict=True)}
    found = torch.tensor([classes[one.tobytes()] for one in by_class.images.pixels.numpy()]).bincount(minlength=10)
    assert int(found.sum()) == 600 and 40 <= int(found.min()) <= int(found.max()) <= 80, found  # 60 and a standard deviation of 5
    assert torch.equal(by_class.images.pixels[:50], Samples.of(Path("sorted.npz"), world, 50).images.pixels)  # fewer lie within more
    record = scored("sorted.npz", *FEW)
    assert record["samples"]["sorted.npz"]["sources"]["pixels"]["recall"]["value"] > 0.9  # and not that of half the classes


def test_pictures_that_are_there_many_times_are_drawn_as_often_as_others(world: World) -> None:
    """Equal pictures stand together before the random choice, and must not come into it together or not at all."""
    pixels = world.train.pixels[:300].clone()
    pixels[:150] = pixels[0]
    theirs("half.npz", pixels.permute(0, 2, 3, 1).numpy())
    chosen = Samples.of(Path("half.npz"), world, 100).images.pixels
    assert 35 <= int((chosen == pixels[0]).flatten(1).all(1).sum()) <= 65


def test_hidden_files_other_files_and_depth_in_a_folder(world: World) -> None:
    for number, name in enumerate(("a/b/1.png", "a/2.PNG", "3.bmp", ".hidden/4.png", "a/.5.png")):
        Path("set", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(world.train.pixels[number, 0].numpy()).save(Path("set", name), "png" if "png" in name.lower() else None)
    Path("set/notes.txt").write_text("no picture")
    found = samples.read(Path("set"))
    assert torch.equal(found.pixels, world.train.pixels[torch.tensor([2, 1, 0])]) and found.labels.tolist() == [-1] * 3
    shutil.make_archive("set", "zip", "set")
    assert torch.equal(samples.read(Path("set.zip")).pixels, found.pixels)


def test_our_own_files_and_theirs(world: World) -> None:
    mine = world.train[:9].born_in(4)
    write_images(Path("ours.npz"), mine)
    found = samples.read(Path("ours.npz"))
    assert torch.equal(found.pixels, mine.pixels) and torch.equal(found.labels, mine.labels) and found.born.tolist() == [4] * 9
    theirs("theirs.npz", colours(5).permute(0, 2, 3, 1).numpy(), arr_1=np.arange(5))
    assert torch.equal(samples.read(Path("theirs.npz")).pixels, colours(5))
    np.savez_compressed("small.npz", arr_0=colours(5).permute(0, 2, 3, 1).numpy())
    assert torch.equal(samples.read(Path("small.npz")).pixels, colours(5))
    theirs("fortran.npz", np.asfortranarray(colours(5).permute(0, 2, 3, 1).numpy()))
    assert torch.equal(samples.read(Path("fortran.npz")).pixels, colours(5))


# --- colours and sizes


def test_grey_pictures_are_spread_in_a_coloured_world_and_equal_channels_are_grey_in_a_grey_one(world: World) -> None:
    coloured = replace(world, train=ImageSet.of(colours()), held_out=ImageSet.of(colours(seed=1)))
    grey = ImageSet.of(colours()[:, :1])
    spread = samples.like(coloured, grey, Path("x")).pixels
    assert spread.shape == (20, 3, 8, 8) and all(torch.equal(spread[:, channel], grey.pixels[:, 0]) for channel in range(3))
    assert torch.equal(samples.like(world, ImageSet.of(spread), Path("x")).pixels, grey.pixels)
    spread[[3, 7], 2, 0, 0] ^= 1
    with pytest.raises(DataProblem, match=r"^x: 2 of its 20 pictures are in colour, those of digits are grey; make them grey first"):
        samples.like(world, ImageSet.of(spread), Path("x"))


def test_names_are_as_short_as_they_can_be() -> None:
    assert short_names([Path("a/b.zip"), Path("c/d/"), Path(".")]) == ["b.zip", "d", Path.cwd().name]
    assert short_names([Path("a/gen_1"), Path("b/gen_1"), Path("b/gen_2")]) == ["a/gen_1", "b/gen_1", "gen_2"]
    assert short_names([Path("x"), Path("y/x")]) == [f"{Path.cwd().name}/x", "y/x"]
    with pytest.raises(SettingsProblem, match=r"^b/\.\./a: is named twice; name each set once$"):
        short_names([Path("a"), Path("b/../a")])


# --- what cannot be scored: one line with place, value and cure


def bad_archive() -> str:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", bytes(3000))
    Path("x.zip").write_bytes(content.getvalue()[:2000])
    return "x.zip"


def no_pictures() -> str:
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.writestr("dataset.json", "{}")
    return "x.zip"


def cut_array() -> str:
    theirs("x.npz", colours().permute(0, 2, 3, 1).numpy())
    Path("x.npz").write_bytes(Path("x.npz").read_bytes()[:900])
    return "x.npz"


def flipped_bit() -> str:
    theirs("x.npz", colours().permute(0, 2, 3, 1).numpy())
    data = bytearray(Path("x.npz").read_bytes())
    data[2000] ^= 1
    Path("x.npz").write_bytes(data)
    return "x.npz"


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


def pickled() -> str:
    np.savez("x.npz", arr_0=np.array([Trap()], dtype=object))
    return "x.npz"


def only_pickle() -> str:
    Path("x.npz").write_bytes(pickle.dumps(Trap()))
    return "x.npz"


def single_array() -> str:
    np.save("x.npy", np.zeros((3, 8, 8, 1), np.uint8))
    Path("x.npy").rename("x.npz")
    return "x.npz"


def array(**arrays: Any) -> Callable[[], str]:
    def make() -> str:
        np.savez("x.npz", **arrays)
        return "x.npz"

    return make


def pictures(*made: tuple[str, tuple[int, int], str]) -> Callable[[], str]:
    def make() -> str:
        Path("set").mkdir()
        for mode, size, name in made:
            Image.new(mode, size).save(Path("set", name))
        return "set"

    return make


def text_for_a_picture() -> str:
    pictures(("L", (8, 8), "1.png"))()
    Path("set/2.png").write_text("not a picture")
    return "set"


def many_runs() -> str:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/study.yaml").write_text("gens: 1")
    return "runs"


def no_generation() -> str:
    Path("run").mkdir()
    Path("run/study.yaml").write_text("gens: 1")
    return "run"


N_LABELS = {"labels": np.zeros(3, np.int64), "born": np.zeros(3, np.int64)}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: "nowhere", "nowhere: there is no such file or folder; name a folder of pictures, a .zip or .npz of them, or a run"),
        (lambda: str(Path("x.tar").write_text("x") and "x.tar"), "x.tar: is not a folder, .zip or .npz; name a folder"),
        (lambda: str(Path("set").mkdir() or "set"), "set: holds no pictures (.png, .jpg, "),
        (no_pictures, "x.zip: holds no pictures (.png, .jpg, "),
        (bad_archive, "x.zip: File is not a zip file; it is cut or no zip archive: copy or make it again"),
        (cut_array, "x.npz: File is not a zip file; it is cut, or no .npz of plain arrays: copy or write it again"),
        (flipped_bit, "x.npz: Bad CRC-32 for file 'arr_0.npy'; it is cut, or no .npz"),
        (pickled, "x.npz: Object arrays cannot be loaded when allow_pickle=False; it is cut, or no .npz of plain arrays"),
        (only_pickle, "x.npz: File is not a zip file; "),
        (single_array, "x.npz: File is not a zip file; "),
        (array(mu=np.zeros(2), sigma=np.zeros(2)), "x.npz: holds mu, sigma; write the pictures as arr_0, uint8 [N, H, W, C]"),
        (array(), "x.npz: holds no arrays; write the pictures as arr_0, "),
        (array(arr_0=np.zeros((0, 8, 8, 3), np.uint8)), "x.npz: arr_0 is empty, [0, 8, 8, 3]; write at least one picture"),
        (array(arr_0=np.zeros((9, 8, 8, 3), np.float32)), "x.npz: arr_0 is float32; write the pixels 0 ... 255 as uint8"),
        (
            array(arr_0=np.zeros((9, 3, 8, 8), np.uint8)),
            "x.npz: arr_0 is [9, 3, 8, 8], channels first; put them last, [N, H, W, C]: transpose(0, 2, 3, 1)",
        ),
        (
            array(arr_0=np.zeros((9, 8, 8), np.uint8)),
            "x.npz: arr_0 is [9, 8, 8]; write pictures as [N, H, W, C] with C = 1 (grey) or 3 (RGB)",
        ),
        (array(arr_0=np.zeros((9, 8, 8, 4), np.uint8)), "x.npz: arr_0 is [9, 8, 8, 4]; write pictures as [N, H, W, C]"),
        (array(arr_0=np.zeros((9, 64), np.uint8)), "x.npz: arr_0 is [9, 64]; write pictures as [N, H, W, C]"),
        (array(arr_0=np.zeros((9, 2), np.float64)), "x.npz: holds points, and digits is made of pictures; compare it --against a data set"),
        (array(arr_0=np.array([[0.0, np.nan], [1, 2]])), "x.npz: 1 points in arr_0 are not finite; "),
        (array(pixels=np.zeros((3, 1, 8, 8), np.uint8)), "x.npz: "),
        (
            array(pixels=np.zeros((3, 8, 8, 3), np.uint8), **N_LABELS),
            "x.npz: holds pixels uint8 [3, 8, 8, 3], labels int64 [3], born int64 [3]; write pixels as uint8 [N, C, H, W], ",
        ),
        (array(pixels=np.zeros((4, 1, 8, 8), np.uint8), **N_LABELS), "x.npz: holds pixels uint8 [4, 1, 8, 8], labels int64 [3], "),
        (
            pictures(("L", (8, 8), "1.png"), ("L", (9, 8), "2.png")),
            "set/2.png: is 9x8 pixels, but set/1.png is 8x8; make all pictures one size",
        ),
        (
            pictures(("L", (16, 12), "1.png")),
            "set: its pictures are 16x12 pixels, those of digits 8x8; resize them first (the way of resizing changes every score",
        ),
        (
            pictures(("I;16", (8, 8), "1.png")),
            "set/1.png: its channels have 16 bits, and pictures of 8 are compared here; save it with 8 bits",
        ),
        (pictures(("CMYK", (8, 8), "1.jpg")), "set/1.jpg: its pixels are CMYK, which is for printing, and not RGB or grey; convert it"),
        (text_for_a_picture, "set/2.png: it is not a PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or PGM picture; save it as PNG"),
        (pictures(("L", (8, 8), "1.png")), "set: holds 1, but 5 neighbours are looked for; give more than 5"),
        (many_runs, "runs: holds runs; name one of them, such as runs/a"),
    ],
)
def test_what_cannot_be_scored_is_one_line(make: Callable[[], str], text: str) -> None:
    wrong = call("score", make(), "--against", "digits", *FEW)
    assert (wrong.exit_code, wrong.stdout) == (3, ""), wrong.output
    assert wrong.stderr.count("\n") == 1 and wrong.stderr.startswith(f"imgcollapse: {text}"), wrong.stderr
    assert not Path("scores").exists() and not Path("sprung").exists()


def test_wrong_settings_are_one_line(chain: Path) -> None:
    for arguments, text in (
        ([no_generation(), "--against", "digits"], "run: no generation is finished yet; "),
        ([chain, "--against", "cifar"], "dataset: 'cifar' is unknown; did you mean 'cifar10'? "),
        ([chain, "--against", "digits", "--extractor", "pixel"], "judge.extractors.0: 'pixel' is unknown; did you mean 'pixels'? "),
        ([chain, "--against", "digits", "--set", "model.steps=3"], "model: there is no such setting; "),
        ([chain, "--against", "digits", "--set", "judge.extractors=[]"], "judge.extractors: there are none, so nothing can be measured"),
        ([chain, "--against", "digits", "--n", "0"], "judge.n: 0 cannot be used; it should be greater than 0"),
        (
            [chain, "--against", "digits", "--n", "151"],
            "judge.n: 151 pictures cannot be compared: 599 are held out, of which two halves are real vs real, 1198 are for training, 150 ",
        ),
        ([chain, chain, "--against", "digits"], f"{chain}: is named twice; "),
    ):
        wrong = call("score", *arguments)
        assert (wrong.exit_code, wrong.stdout) == (2, ""), wrong.output
        assert wrong.stderr.count("\n") == 1 and wrong.stderr.startswith(f"imgcollapse: {text}"), wrong.stderr
    assert call("score", chain).exit_code == 2 and call("score", "--against", "digits").exit_code == 2


def test_a_damaged_generation_is_not_scored(chain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(chain, tmp_path / "copy"))
    shutil.copyfile(folder / "gen_000" / store.SAMPLES, folder / "gen_001" / store.SAMPLES)  # whole, but not what the manifest says
    for place in (folder, folder / "gen_001"):
        wrong = call("score", place, "--against", "digits", *FEW)
        assert wrong.exit_code == 3 and "gen_001: samples.npz has changed (its SHA-256" in wrong.stderr, wrong.output
    (folder / "gen_000" / "MANIFEST.json").unlink()
    assert "gen_000: MANIFEST.json is missing; " in call("score", folder / "gen_000", "--against", "digits", *FEW).stderr


# --- N


def test_the_smallest_set_decides_how_many_are_compared_and_it_is_said(chain: Path, world: World) -> None:
    theirs("few.npz", world.train.pixels[:40].permute(0, 2, 3, 1).numpy())
    said = call("score", chain, "few.npz", "--against", "digits", *FEW)
    assert said.exit_code == 0 and "N = 40 against held-out real pictures of digits" in said.stdout
    first, *rest = said.stderr.splitlines()
    assert first == "40 of each set are compared, as many as there are of few.npz; chosen at random, always the same ones"
    assert rest == ["run: 150 pictures, 40 of them compared", "few.npz: 40 pictures, 40 of them compared"]
    alone = call("score", "few.npz", "--against", "digits", *FEW)
    assert alone.stderr == "few.npz: 40 pictures, 40 of them compared\n"
    assert "as asked for" in call("score", chain, "--against", "digits", "--n", "30", *FEW).stderr
    theirs("many.npz", world.train.pixels.permute(0, 2, 3, 1).numpy())
    assert "299 of each set are compared, half of what digits holds out" in call("score", "many.npz", "--against", "digits", *FEW).stderr
    of_few = ("--set", "dataset.subset=200")
    assert (
        "200 of each set are compared, as many as digits has for training"
        in call("score", "many.npz", "--against", "digits", *FEW, *of_few).stderr
    )


# --- what is shown and written


def test_the_table_has_every_score_with_real_vs_real_first(chain: Path, world: World) -> None:
    without = theirs("no_7.npz", world.train[world.train.labels != 7].pixels[:150].permute(0, 2, 3, 1).numpy())
    said = call("score", chain / "gen_000", without, "--against", "digits", "--set", CLASSIFIER, "--set", "judge.k=4")
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 110
    assert " ".join(" ".join(lines[:3]).split()).startswith(
        "features: classifier (shipped reference digits 1; it finds the class of 99.0 % of the held-out pictures); N = 150 against "
        "held-out real pictures of digits k = 3 (precision, recall), 4 (density, coverage), 4 (probabilistic)"
    )
    record = json.loads(Path(lines[-1].removeprefix("written: ")).read_text())
    heads = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines if line.startswith("┃")]
    assert heads == [["score", "better", "real vs real", "gen_000", "no_7.npz"], ["class", "real vs real", "gen_000", "no_7.npz"]]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    found = {name: one["sources"]["classifier"] for name, one in record["samples"].items()}
    judged = {name: {key: one["value"] for key, one in values.items()} for name, values in found.items()}
    real = record["judge"]["extractors"]["classifier"]["real"]
    assert all(one["real"] == real.get(key) for values in found.values() for key, one in values.items()), "of one size"
    shown: dict[str, list[str]] = {}
    for head, *cells in [row for row in rows if len(row) == 5]:
        if not cells[0]:  # the title before goes on here
            shown[f"{list(shown)[-1]} {head}"] = shown.pop(list(shown)[-1])
        else:
            shown[head] = cells
    for name, one in SCORES.items():
        if name in judged["gen_000"]:
            row = shown.pop(metric_title(name, "classifier"))
            assert row[0] == one.better
            between = re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", row[1])
            assert between, row
            values = (*real[name].values(), judged["gen_000"][name], judged["no_7.npz"][name])
            for cell, value in zip((*between.groups(), *row[2:]), values, strict=True):
                digits = max(one.decimals, len(cell.partition(".")[2]))
                assert float(cell) == pytest.approx(value, abs=0.5001 * 10**-digits), name
    assert not shown
    classes = [row for row in rows if len(row) == 4]
    assert [row[0] for row in classes] == [f"class {c}" for c in range(10)]
    for c, row in enumerate(classes):
        shares = [(real[f"share_{c}"]["mean"], real[f"share_alive_{c}"]["mean"] > 0.5)]
        shares += [(metrics[f"share_{c}"], metrics[f"share_alive_{c}"] == 1) for metrics in judged.values()]
        assert row[1:] == [f"{'' if alive else 'lost '}{100 * share:.1f} %" for share, alive in shares]
    assert [(row[0], cell) for row in classes for cell in row[1:] if cell.startswith("lost")] == [("class 7", "lost 0.0 %")]


def test_small_distances_keep_their_digits(chain: Path) -> None:
    said = call("score", chain, "--against", "digits", *FEW)
    record = json.loads(Path(said.stdout.splitlines()[-1].removeprefix("written: ")).read_text())
    real = record["judge"]["extractors"]["pixels"]["real"]
    (row,) = [line.split("│") for line in said.stdout.splitlines() if line.startswith("│ Fréchet distance (FD)")]
    assert 0.1 < real["fd"]["mean"] < 1 and row[3].strip() == ranged(RealVsReal(**real["fd"]), 3)
    (row,) = [line.split("│") for line in said.stdout.splitlines() if line.startswith("│ recall ")]
    assert row[3].strip() == ranged(RealVsReal(**real["recall"]), 3)
    assert [decimals(SCORES["fd"], mean) for mean in (123.4, 1.2, 0.0123, -0.00123, 1e-12, 0.0)] == [2, 2, 4, 5, 8, 2]
    assert decimals(SCORES["recall"], 0.001) == 3
    assert len([line for line in said.stdout.splitlines() if line.startswith("┃")]) == 1  # pixels know no classes: no table of them


def test_many_sets_stand_in_tables_below_each_other(chain: Path) -> None:
    places = [chain / "gen_000"]
    for number in range(ACROSS):
        pixels = datasets.load(Digits(), 0).held_out.pixels[20 * number : 20 * number + 40]
        places.append(theirs(f"a_set_with_a_rather_long_name_{number}.npz", pixels.permute(0, 2, 3, 1).numpy()))
    said = call("score", *places, "--against", "digits", *FEW)
    heads = [line for line in said.stdout.splitlines() if line.startswith("features: ")]
    assert said.exit_code == 0 and len(heads) == 2 and max(map(len, said.stdout.splitlines())) <= 110
    rows = [line for line in said.stdout.splitlines() if line.startswith("│ Fréchet")]
    assert [len(row.split("│")) - 2 for row in rows] == [3 + ACROSS, 4]


def test_names_are_text_whatever_is_in_them(world: World) -> None:
    pixels = world.train.pixels[:20].permute(0, 2, 3, 1).numpy()
    places = [theirs(name, pixels) for name in ("[red]a.npz", "[b]c.npz", ":smile:.npz")]
    said = call("score", *places, "--against", "digits", *FEW)
    (head,) = [line for line in said.stdout.splitlines() if line.startswith("┃")]
    assert all(place.name in head for place in places), said.output


def test_json_alone_on_stdout_is_the_file_and_the_same_call_gives_the_same_bytes(chain: Path) -> None:
    arguments = ["score", chain, "--against", "digits", "--n", "100", "--set", CLASSIFIER]
    said = call(*arguments, "--json", "--out", "here/one.json")
    assert said.exit_code == 0 and said.stdout == Path("here/one.json").read_text(encoding="utf-8")
    assert call(*arguments, "--out", "two.json").stdout.endswith("\nwritten: two.json\n")
    assert Path("two.json").read_bytes() == Path("here/one.json").read_bytes()
    assert call(*arguments).exit_code == 0 and call(*arguments).exit_code == 0
    (default,) = Path("scores").iterdir()
    assert re.fullmatch(r"digits-[0-9a-f]{6}\.json", default.name) and default.read_bytes() == Path("two.json").read_bytes()

    def numbers(value: Any) -> list[float]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [value] if isinstance(value, float) else [number for part in parts for number in numbers(part)]

    record = json.loads(said.stdout, parse_constant=lambda name: pytest.fail(name))
    assert len(numbers(record)) > 100 and np.isfinite(numbers(record)).all()
    assert record["data"] == datasets.load(Digits(), 0).record() and record["options"]["judge"]["n"] == 100
    judge = record["judge"]
    assert (judge["n"], judge["k"]) == (100, 5) and len(judge["extractors"]["classifier"]["digest"]) == 64
    one = record["samples"]["run"]
    assert (one["path"], one["pictures"], len(one["sha256"])) == (str(chain), 150, 64)
    found, reals = one["sources"]["classifier"], judge["extractors"]["classifier"]["real"]
    assert {value["n"] for value in found.values()} == {100, 150} and found["fd"]["n"] == 100 and found["share_0"]["n"] == 150
    assert {name: value["real"] for name, value in found.items()} == {name: reals.get(name) for name in found}
    assert judge["metrics"]["frechet_distance"] == 1 and judge["metrics"]["class_variety"] == 2, "versions of the definitions"


def test_nothing_but_this_very_scoring_is_overwritten(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["score", chain, "--against", "digits", *FEW, "--out", "mine.json"]
    assert call(*arguments).exit_code == 0
    before = Path("mine.json").read_bytes()
    measured = json.loads(before)
    measured["samples"]["run"]["sources"]["pixels"]["fd"]["value"] += 1e-9  # the last digits of other hardware
    measured["judge"]["extractors"]["pixels"]["real"]["fd"]["mean"] += 1e-9
    Path("mine.json").write_text(json.dumps(measured))
    assert call(*arguments).exit_code == 0 and Path("mine.json").read_bytes() == before
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "open", lambda *_: pytest.fail("the slow part comes after the refusal"))
        for others, place in (
            (["--n", "50"], "options.judge.n 150, now 50"),
            (["--set", "dataset.subset=500"], "data.train.pictures 1198, now"),
        ):
            wrong = call(*arguments, *others)
            assert wrong.exit_code == 5 and wrong.stdout == ""
            assert wrong.stderr.splitlines()[-1].startswith(f"imgcollapse: mine.json: holds another scoring ({place}"), wrong.stderr
        for text in (
            "my thesis",
            "[]",
            "{}",
            '{"data": 1, "options": 1, "samples": 1, "learned_from": 1}',
        ):
            Path("mine.json").write_text(text)
            wrong = call(*arguments)
            assert wrong.exit_code == 5 and Path("mine.json").read_text() == text
            assert wrong.stderr == (
                "imgcollapse: mine.json: holds something else; nothing is ever overwritten; move it elsewhere, or choose another --out\n"
            )


def test_another_reference_with_the_same_options_is_another_scoring(chain: Path) -> None:
    arguments = ["score", chain, "--against", "digits", *FEW, "--out", "mine.json"]
    assert call(*arguments).exit_code == 0
    record = json.loads(Path("mine.json").read_text())
    record["judge"]["extractors"]["pixels"]["digest"] = "of other weights"
    Path("mine.json").write_text(json.dumps(record))
    wrong = call(*arguments)
    assert wrong.exit_code == 5 and "holds another scoring (judge.extractors.pixels.digest 'of other weights', now" in wrong.stderr


# --- toy worlds, training sets, papers


def test_points_of_a_toy_world(tmp_path: Path) -> None:
    dataset = {"kind": "grid25", "size": 200}
    run(build(Study, {"dataset": dataset, "model": "bootstrap", "gens": 1, "seed": 3, "judge": {"extractors": []}}), tmp_path / "run")
    assert call("export", tmp_path / "run", "--to", "npz", "--out", "points.npz").exit_code == 0
    against = ("--against", "grid25", "--set", "dataset.size=200", "--seed", "3", "--json")
    ours = json.loads(call("score", tmp_path / "run", *against).stdout)
    exported = json.loads(call("score", "points.npz", *against).stdout)
    one, other = ours["samples"]["run"], exported["samples"]["points.npz"]
    assert one["sources"] == other["sources"] and one["sha256"] == other["sha256"] and one["sources"]["pixels"]["fd"]["n"] == 100
    assert one["sources"]["pixels"]["copies"]["value"] == 1.0  # its seed is the run's: the training points are drawn again
    assert (
        json.loads(call("score", "points.npz", *against[:-3], "--json").stdout)["samples"]["points.npz"]["sources"]["pixels"]["copies"][
            "value"
        ]
        == 0.0
    )
    theirs("space.npz", np.zeros((30, 3), np.float32))
    wrong = call("score", "space.npz", *against)
    assert wrong.exit_code == 3 and "space.npz: its points have 3 coordinates, those of grid25 2; give both the same" in wrong.stderr
    theirs("pictures.npz", np.zeros((30, 1, 2, 1), np.uint8))
    assert "pictures.npz: holds pictures, and grid25 is made of points" in call("score", "pictures.npz", *against).stderr
    assert datasets.load(Grid25(size=200), 3).record() == ours["data"]


def test_with_the_own_training_set_its_memory_is_measured(chain: Path) -> None:
    of_memory = ["--extractor", "pixels", "--set", "judge.metrics=[memorisation]"]
    without = scored(chain, *of_memory)
    record = scored(chain, *of_memory, "--learned-from", chain / "gen_000")
    own = next(iter(record["samples"].values()))["sources"]["pixels"]["own_copies"]
    assert own["value"] == 1.0 and own["real"]["high"] == 0.0  # a bootstrap draws what it learned from
    assert record["learned_from"]["path"] == str(chain / "gen_000") and record["learned_from"]["pictures"] == 150
    assert without["learned_from"] is None and "own_copies" not in without["samples"]["run"]["sources"]["pixels"]
    assert "own copies" in call("score", chain, "--against", "digits", *of_memory, "--learned-from", chain / "gen_000").stdout


@dataclass(frozen=True)
class StandIn:
    """Pixels under the name of published features."""

    name: str = "inception"

    def features(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1) / 255

    def probabilities(self, features_ND: Tensor) -> None: ...

    def record(self) -> dict[str, object]:
        return {"digest": "stand-in", "dim": 64}


def test_with_inception_the_distance_of_papers_stands_below(chain: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inception, "fit", lambda self, world: StandIn())
    arguments = [chain, "--extractor", "inception", "--set", "judge.metrics=[frechet_distance]"]
    plain = call("score", *arguments, "--against", "digits", "--n", "100")
    assert "Fréchet distance (FID)" in plain.stdout and "papers" not in plain.stdout  # 150 are too few to look at everything
    monkeypatch.setattr(score, "MANY", 150)
    said = call("score", *arguments, "--against", "digits", "--n", "100", "--out", "x.json")
    line = said.stdout.splitlines()[-2]
    assert line.startswith("run: FID as papers report it (inception; all 150 samples against all 1,198 training pictures): ")
    record = json.loads(Path("x.json").read_text())["samples"]["run"]["as_published"]
    x_ND, y_ND = (pixels.flatten(1).double() / 255 for pixels in (samples.read(chain).pixels, world.train.pixels))
    a_DD, b_DD = torch.cov(x_ND.T), torch.cov(y_ND.T)
    cross = torch.linalg.eigvals(a_DD @ b_DD).real.clamp(min=0).sqrt().sum()
    expected = float((x_ND.mean(0) - y_ND.mean(0)).square().sum() + a_DD.trace() + b_DD.trace() - 2 * cross)
    assert record == {"inception": {"name": "FID", "value": pytest.approx(expected, abs=1e-4), "samples": 150, "reference": 1198}}
    assert line.endswith(f"{record['inception']['value']:.3f}")


def test_two_extractors_are_two_tables(chain: Path) -> None:
    both = "judge.extractors=[classifier, pixels]"
    said = call(
        "score", chain, "--against", "digits", "--n", "60", "--set", both, "--set", "judge.metrics=[frechet_distance,class_variety]"
    )
    heads = [line for line in said.stdout.splitlines() if line.startswith(("features: ", "class shares: "))]
    assert [re.split("[;( ]+", head)[1] for head in heads[:2]] == ["classifier", "pixels"] and len(heads) == 3


def test_the_kinds_of_settings_are_those_of_a_run() -> None:
    given = {"against": "folder:a/b", "extractor": ["classifier", "pixels"], "n": 7, "seed": 3}
    chosen = score.scoring_from(given, ["dataset.subset=5", "judge.k=2", "judge.extractors=[{kind: classifier, steps: 3}]"])
    assert chosen.dataset.model_dump(include={"kind", "path", "subset"}) == {"kind": "folder", "path": "a/b", "subset": 5}
    assert chosen.judge == Judge(extractors=(Classifier(steps=3),), n=7, k=2) and chosen.seed == 3
    assert score.scoring_from({"against": "digits", "extractor": ["classifier", "pixels"]}, []).judge.extractors == (Classifier(), Pixels())


def test_a_stopped_scoring_writes_nothing(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Judge, "open", stop)
    said = call("score", chain, "--against", "digits", *FEW)
    assert said.exit_code == 130 and said.stderr.endswith("stopped; nothing was written\n") and not Path("scores").exists()


def test_all_metrics_have_a_row_or_are_told_to_programs_alone() -> None:
    assert set(SCORES) == {name for metric in METRICS.values() for name in metric.scores}
