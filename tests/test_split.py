"""The split of a user's own pictures: by class, the same for ever, and what becomes of classes too small to be split."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from terminal import done

from imgcollapse.ablation.summary import Run, summarise
from imgcollapse.datasets import load
from imgcollapse.datasets.dataset import LEAST, held_out_of, stratified
from imgcollapse.datasets.folder import Folder
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.settings import build
from imgcollapse.study import Study


@cache
def bundled() -> tuple[Any, Any]:
    """uint8 [1797, 8, 8] and int [1797]."""
    pixels, labels = load_digits(return_X_y=True)
    return (pixels * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), labels


def class_folders(root: Path, counts: dict[int, int]) -> Path:
    """So many of scikit-learn's digits of each class, as PNG files in class folders."""
    pictures, labels = bundled()
    for digit, count in counts.items():
        (root / str(digit)).mkdir(parents=True)
        for number, picture in enumerate(pictures[labels == digit][:count]):
            Image.fromarray(picture).save(root / str(digit) / f"{number:04}.png")
    return root


def numbered(counts: list[int]) -> ImageSet:
    """So many pictures of each class, no two alike."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    numbers = torch.arange(len(labels))
    return ImageSet.of(torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8)[:, None, None, :], labels)


def ids(images: ImageSet) -> list[int]:
    return (images.pixels[:, 0, 0, 0].long() * 256 + images.pixels[:, 0, 0, 1].long()).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_any_counts_and_any_share(seed: int) -> None:
    draw = random.Random(seed)
    counts = [draw.choice([1, 2, 3, 4, 5, draw.randint(1, 60)]) for _ in range(draw.randint(1, 12))] + [draw.randint(4, 30)]
    share = draw.choice([0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999, draw.uniform(0.001, 0.999)])
    images = numbered(counts)
    train, held_out = stratified(images, share, "set")
    assert sorted([*ids(train), *ids(held_out)]) == sorted(ids(images)), "every picture in one part"
    label = dict(zip(ids(images), images.labels.tolist(), strict=True))
    for part in (train, held_out):
        assert [label[one] for one in ids(part)] == part.labels.tolist()
    assert train.labels.bincount(minlength=len(counts)).min() >= 1, "every class can be learned"
    expected = [0 if n < 4 else min(n - 1, max(1, round(share * n))) for n in counts]
    assert held_out.labels.bincount(minlength=len(counts)).tolist() == expected
    order = torch.tensor(draw.sample(range(len(images)), len(images)))
    again = stratified(images[order], share, "other")
    assert [part.digest() for part in again] == [train.digest(), held_out.digest()], "the order of the files has no say"


def test_the_split_is_the_same_for_ever() -> None:
    train, held_out = stratified(numbered([10, 5, 2]), 0.25, "set")
    assert ids(held_out) == [1, 14, 9] and ids(train) == [6, 15, 5, 16, 13, 7, 10, 4, 2, 12, 8, 0, 11, 3]
    assert [held_out_of(n, 0.25) for n in (1, 2, 3, 4, 6, 10, 20, 24, 100)] == [0, 0, 0, 1, 2, 2, 5, 6, 25] and LEAST == 4


def test_equal_pictures_are_split_by_their_classes() -> None:
    images = ImageSet.of(torch.zeros(40, 1, 2, 2, dtype=torch.uint8), torch.arange(40) % 2)
    for part, count in zip(stratified(images, 0.25, "set"), (15, 5), strict=True):
        assert part.labels.bincount().tolist() == [count, count]


@pytest.mark.parametrize("each", [20, 24])
def test_ten_balanced_classes_are_split(each: int, tmp_path: Path) -> None:
    world = load(Folder(path=str(class_folders(tmp_path / "set", dict.fromkeys(range(10), each)))), 0)
    assert world.held_out.labels.bincount().tolist() == [each // 4] * 10
    assert world.train.labels.bincount().tolist() == [each - each // 4] * 10
    assert world.record()["split"] == {"rule": "stratified", "share": 0.25, "judged_without": []}


def test_nothing_to_judge_by_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match=r"^folder-set: no class has 4 pictures, so none can be held out to judge by; add pictures, or "):
        load(Folder(path=str(class_folders(tmp_path / "set", {0: 3, 1: 2, 2: 1}))), 0)


def test_small_classes_are_for_training_and_stay_out_of_the_tail_of_the_held_out_part(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "set", {0: 40, 1: 3, 2: 40, 3: 1})
    world = load(Folder(path=str(root)), 0)
    assert world.train.labels.bincount(minlength=4).tolist() == [30, 3, 30, 1]
    assert world.held_out.labels.bincount(minlength=4).tolist() == [10, 0, 10, 0]
    assert world.record()["split"]["judged_without"] == ["1", "3"]
    tail = load(Folder(path=str(root), imbalance=8.0), 0)
    assert tail.held_out.labels.bincount(minlength=4).tolist() == [10, 0, 2, 0]  # 10 * 8^(-2/3) = 2.5, to the even number
    assert tail.train.labels.bincount(minlength=4).tolist() == [6, 3, 2, 1]  # class 1 has 3 = 6 / 8^(1/3)


def test_a_world_with_small_classes_from_end_to_end(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "set", {0: 60, 1: 60, 2: 3, 3: 2, 4: 1})
    few = ["--set", "judge.extractors=[{kind: classifier, steps: 60}]"]
    said = done("run", "--dataset", f"folder:{root}", "--model", "bootstrap", "--gens", 2, "--out", "run", *few, "--json")
    assert "folder-set: fewer than 4 pictures of 2, 3, 4: all of them are for training, none for judging" in said.stderr
    record = json.loads(said.stdout)
    metrics = {name: one["value"] for name, one in record["scores"][-1]["sources"]["classifier"].items()}
    assert [f"recall_{c}" in metrics for c in range(5)] == [True, True, False, False, False]
    assert metrics["min_class_recall"] == min(metrics["recall_0"], metrics["recall_1"])
    assert "total_variation_corrected" not in metrics, "nobody knows for what the classifier takes the classes that are not held out"
    assert sum(metrics[f"share_{c}"] for c in range(5)) == pytest.approx(1)
    assert all(np.isfinite(value) for value in metrics.values())
    lost = set(record["lost"]["classifier"])
    assert not lost & {"2", "3", "4"}, "one that is not alive among real pictures cannot be lost"
    data = json.loads(Path("run/data.json").read_text())
    assert data["split"]["judged_without"] == ["2", "3", "4"] and "class 4" in Path("run/report.html").read_text()
    scored = json.loads(done("score", "run", "--against", f"folder:{root}", *few, "--json").stdout)
    assert scored["data"]["split"] == data["split"]
    assert 0.8 < scored["judge"]["extractors"]["classifier"]["held_out_accuracy"] <= 1


def test_with_held_out_pictures_of_one_class_alone_nobody_is_called_lost(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "set", {0: 60, 1: 3})
    few = ["--set", "judge.extractors=[{kind: classifier, steps: 20}]"]
    said = done("run", "--dataset", f"folder:{root}", "--model", "bootstrap", "--gens", 1, "--out", "run", *few, "--json")
    (judged,) = json.loads(said.stdout)["scores"]
    found = judged["sources"]["classifier"]
    assert "share_alive_0" not in found and "rare_share" in found and all(one["real"] is not None for one in found.values())
    assert done("score", "run", "--against", f"folder:{root}", *few).stdout.count("lost") == 0


# --- a split for each seed


def digests(values: dict[str, Any], seed: int) -> tuple[str, str]:
    world = load(build(Study, {"dataset": values}).dataset, seed)
    return world.train.digest(), world.held_out.digest()


def test_the_split_of_a_seed_is_its_own_and_the_fixed_one_stays(tmp_path: Path) -> None:
    class_folders(tmp_path / "pics", {0: 20, 1: 16})
    for values in ({"kind": "digits"}, {"kind": "folder", "path": str(tmp_path / "pics")}):
        fixed = [digests(values, seed) for seed in (0, 1)]
        assert fixed[0] == fixed[1] == digests({**values, "split": "fixed"}, 2)
        by_seed = [digests({**values, "split": "seed"}, seed) for seed in (0, 1, 0)]
        assert by_seed[0] == by_seed[2] and len({fixed[0], *by_seed}) == 3
        world, other = (load(build(Study, {"dataset": {**values, "split": split}}).dataset, 3) for split in ("fixed", "seed"))
        everything = [torch.cat([one.train.pixels, one.held_out.pixels]).flatten(1).sum(1).sort().values for one in (world, other)]
        assert torch.equal(*everything) and len(world.train) == len(other.train), "the same pictures, and as many in either part"
        assert other.split["seed"] == 3 and "seed" not in world.split


def test_a_study_with_the_fixed_split_is_the_study_that_it_was() -> None:
    plain = build(Study, {})
    assert "split" not in plain.model_dump(mode="json")["dataset"] and plain == build(
        Study, {"dataset": {"kind": "digits", "split": "fixed"}}
    )
    assert plain.name() == "digits-ddpm-replace-seed0-04430c", (
        "the same for the same settings, for ever; an option that is new goes into LATER"
    )
    other = build(Study, {"dataset": {"kind": "digits", "split": "seed"}})
    assert other.model_dump(mode="json")["dataset"]["split"] == "seed" and build(Study, other.model_dump(mode="json")) == other


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"kind": "mnist"},
            "mnist: dataset.split is seed, but it comes split, and published numbers are of its own test part; leave split out",
        ),
        ({"kind": "cifar10"}, "cifar10: dataset.split is seed, but it comes split, and published numbers are of its own test part; leave"),
        ({"kind": "grid25"}, "grid25: dataset.split is seed, but both parts are drawn again for every seed; leave split out"),
    ],
)
def test_what_cannot_be_split_by_the_seed_is_refused_with_the_reason(values: dict[str, Any], text: str) -> None:
    with pytest.raises(DataProblem) as caught:
        load(build(Study, {"dataset": {**values, "split": "seed"}}).dataset, 0)
    assert str(caught.value).startswith(text)


def test_pictures_with_a_held_out_part_of_their_own_are_not_split_again(tmp_path: Path) -> None:
    parts = {part: str(class_folders(tmp_path / part, {0: 8, 1: 8})) for part in ("path", "held_out")}
    with pytest.raises(DataProblem, match=r"dataset\.split is seed, but it comes with a held-out part of its own; leave split out"):
        load(Folder(**parts, split="seed"), 0)


def test_the_summary_says_what_the_seeds_have_in_common() -> None:
    for values, scope in (({}, "are the same for all seeds, so"), ({"kind": "digits", "split": "seed"}, "every seed has its own split")):
        own = build(Study, {"dataset": values} if values else {})
        record = summarise([Run("a", None, 0, own, Path("nowhere"))], [])
        assert scope in record["scope"] and record["method"].endswith(record["scope"])
