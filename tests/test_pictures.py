"""Image sets, and the pictures that users show each other: grids and curves."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from terminal import call

from imgcollapse import grids, reports, store
from imgcollapse.ablation import plan
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet, concatenate, from_signed, from_unit, to_signed, to_unit
from imgcollapse.regimes import provenance
from imgcollapse.reports.style import arm_style
from imgcollapse.settings import build
from imgcollapse.store.manifest import MANIFEST
from imgcollapse.study import Study, run

pytestmark = pytest.mark.figures


def squares(n: int, channels: int = 1, side: int = 8) -> ImageSet:
    """Picture i is filled with the value i."""
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, channels, side, side)
    return ImageSet.of(pixels, torch.arange(n) % 3)


def test_every_grey_level_survives_the_way_to_a_network_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(from_signed(to_signed(levels)), levels) and torch.equal(from_unit(to_unit(levels)), levels)
    assert to_signed(levels).min() == -1 and to_signed(levels).max() == 1
    assert from_signed(torch.tensor([[[[-9.0, 9.0]]]])).flatten().tolist() == [0, 255]
    points = torch.randn(3, 1, 1, 2)
    assert to_signed(points) is points and to_unit(points) is points


def test_a_digest_tells_pixels_labels_order_and_shape_apart() -> None:
    images = squares(6)
    others = [
        images[:5],
        images[torch.tensor([1, 0, 2, 3, 4, 5])],
        ImageSet.of(images.pixels, images.labels + 1),
        ImageSet.of(images.pixels.view(6, 1, 4, 16), images.labels),
        ImageSet.of(images.pixels + 1, images.labels),
    ]
    assert len({images.digest(), *(one.digest() for one in others)}) == 6
    assert images.digest() == images.born_in(3).digest() == concatenate([images[:2], images[2:]]).digest()


def test_provenance_counts_by_birth_and_class() -> None:
    mixed = concatenate([squares(4), squares(3).born_in(0), ImageSet.of(squares(2).pixels).born_in(1)])
    assert provenance(mixed, ("a", "b", "c"))["made_of"] == {
        "real": {"pictures": 4, "classes": {"a": 2, "b": 1, "c": 1}},
        "generation 0": {"pictures": 3, "classes": {"a": 1, "b": 1, "c": 1}},
        "generation 1": {"pictures": 2, "classes": {"unlabelled": 2}},
    }


def test_pictures_without_a_class_are_not_taken_for_a_class_of_that_name() -> None:
    images = ImageSet.of(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, -1]))
    assert provenance(images, ("unlabelled",))["made_of"]["real"]["classes"] == {"unlabelled": 2, "(unlabelled)": 1}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_holds_the_very_pixels_enlarged_by_a_whole_factor(channels: int) -> None:
    images = squares(40, channels)
    page = np.asarray(grids.sheet("title", [("first", images.pixels[:20]), ("second", images.pixels[20:])]))
    found = [int(value) for value in range(40) if (page == value).all(2).sum() >= 32 * 32]
    assert set(range(1, 40)) - {20} <= set(found)  # 20 is the colour of the ink


def test_a_lost_class_leaves_its_row_empty_and_the_layout_as_it_was() -> None:
    images = squares(60)
    full = grids.by_class("x", images, grids.first_of_each(images.labels, 3), ("a", "b", "c"))
    found = grids.first_of_each(torch.where(images.labels == 1, 0, images.labels), 3)
    lost = grids.by_class("x", images, found, ("a", "b", "c"))
    assert full.size == lost.size
    left, top = full.width // 2, 21 + 34
    row = np.asarray(lost)[top : top + 32, left : left + 100]
    assert row.min() > 200 > np.asarray(full)[top : top + 32, left : left + 100].min()


def test_points_are_drawn_where_they_are() -> None:
    points = ImageSet.of(torch.tensor([[3.0, 3.0], [100.0, 0.0]]).repeat(50, 1).view(100, 1, 1, 2))
    page = np.asarray(grids.scatter("x", points).convert("L"))[24:-4, 10:-10]
    rows, columns = np.nonzero(page < 60)
    assert abs(columns.mean() / page.shape[1] - 0.75) < 0.02 and abs(rows.mean() / page.shape[0] - 0.25) < 0.02
    assert grids.scatter("x", ImageSet.of(torch.randn(500, 1, 1, 1))).size == grids.scatter("x", points).size


def sizes(paths: list[Path]) -> list[tuple[int, int]]:
    found = []
    for path in paths:
        with Image.open(path) as picture:
            found.append(picture.size)
    return found


def test_figures_are_made_from_a_half_finished_folder_alone(tmp_path: Path) -> None:
    judge = {"extractors": ["classifier"]}
    run(build(Study, {"model": "bootstrap", "gens": 3, "samples": 100, "judge": judge}), tmp_path / "run")
    whole = sizes(reports.draw(tmp_path / "run"))
    for path in (tmp_path / "run" / "gen_002").iterdir():
        if path.name == MANIFEST:
            path.unlink()  # as while it is being written
    half = sizes(reports.draw(tmp_path / "run"))
    assert half[0][1] < whole[0][1] and half[1] == whole[1]


def test_a_study_that_judges_nothing_has_no_curves(tmp_path: Path) -> None:
    run(build(Study, {"dataset": "gaussian", "model": "gaussian", "gens": 1, "judge": {"extractors": []}}), tmp_path / "run")
    assert reports.draw(tmp_path / "run") == []
    with pytest.raises(DataProblem):
        reports.draw(tmp_path)


ARMS = ("none", "a tenth", "half", "all", "fixed", "fresh", "accumulate")


def grid_of(folder: Path, **more: object) -> Path:
    """A small ablation on pictures, judged by pixels: classes are not known, and no classifier is trained."""
    values = {
        "question": "What is $lost$ <first>?",
        "base": {"dataset": {"kind": "digits", "subset": 200}, "model": "gaussian", "gens": 3, "judge": {"extractors": ["pixels"]}},
        "arms": {name: {"regime": {"kind": "retain", "real_fraction": number / 10}} for number, name in enumerate(ARMS)},
        "seeds": 2,
        **more,
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    result = call("ablate", folder / "grid.yaml", "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


@pytest.mark.slow
def test_an_ablation_is_drawn_arm_by_arm(tmp_path: Path) -> None:
    folder = grid_of(tmp_path)
    for name in ("curves.png", "forest.png", "grids.png"):
        with Image.open(folder / name) as picture:
            assert picture.width > 500 and len(picture.convert("RGB").getcolors(10**6) or []) > 20, name
    with Image.open(folder / "grids.png") as picture:
        seven = picture.height
    fewer = grid_of(tmp_path, arms={"none": {}, "accumulate": {"regime": "accumulate"}})
    with Image.open(fewer / "grids.png") as picture:
        assert picture.height < seven / 2


def test_arms_are_told_apart_without_colour() -> None:
    styles = [arm_style(number) for number in range(20)]
    assert len({(str(style["linestyle"]), style["marker"], style["color"]) for style in styles}) == 20
    assert len({style["marker"] for style in styles[:10]}) == 10
    assert len({(style["color"], str(style["linestyle"])) for style in styles}) == 20


def test_the_same_noise_lies_in_the_same_place_of_every_cell(tmp_path: Path) -> None:
    """Pictures of generation 0 are those of every arm: the first column of cells is one picture repeated."""
    folder = grid_of(tmp_path, arms={"none": {}, "half": {"regime": {"kind": "retain", "real_fraction": 0.5}}})
    (one,) = [run for run in plan.read(folder) if run.arm == "none" and run.seed == 0]
    latents = store.read_images(one.folder / "gen_000" / store.LATENTS).pixels
    pixels = torch.from_numpy(np.asarray(Image.open(folder / "grids.png").convert("L")).copy())
    factor = 4
    cell = latents[0, 0].repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    found = pixels.unfold(0, cell.shape[0], 1).unfold(1, cell.shape[1], 1)
    assert int((found == cell).flatten(2).all(2).sum()) == 2
