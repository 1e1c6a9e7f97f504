"""Model cards and data-set cards: heads for the hub, lineage, snippets that work, exports, folders that are whole or not there."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terminal
import torch
import yaml
from chains import files, made_when_asked
from huggingface_hub import DatasetCard, ModelCard
from markdown_it import MarkdownIt
from PIL import Image

from imgcollapse import models, store
from imgcollapse.datasets import layouts as export
from imgcollapse.datasets.layouts import folder_names, write_image_folder
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem
from imgcollapse.exchange.card import Lineage, lineages, write
from imgcollapse.exchange.card.heads import size_category
from imgcollapse.exchange.card.markdown import card, fenced, line, plain
from imgcollapse.exchange.card.text import COPIES
from imgcollapse.files.places import HERE, RECORD
from imgcollapse.images import ImageSet
from imgcollapse.metrics.record import ranged
from imgcollapse.metrics.scores import SCORES
from imgcollapse.models.nulls import REDRAWN
from imgcollapse.regimes import Accumulate, Real, Regime, Replace, Retain, provenance
from imgcollapse.settings import build, read_file
from imgcollapse.store.identity import study_digest
from imgcollapse.store.manifest import MANIFEST, write_manifest
from imgcollapse.store.records import read_json, read_sealed, write_sealed
from imgcollapse.study import Study, run

JUDGE = {"extractors": ["classifier"]}
RETAIN = {"kind": "retain", "real_fraction": 0.25}
CHAINS: dict[str, dict[str, Any]] = {
    "ddpm": {"model": {"kind": "ddpm", "steps": 1, "timesteps": 8, "sampling": {"steps": 4}}, "regime": RETAIN, "gens": 3, "judge": JUDGE},
    "bootstrap": {"model": "bootstrap", "regime": "accumulate", "gens": 3, "judge": JUDGE},
    "vae": {"model": {"kind": "vae", "steps": 1, "width": 8}, "gens": 1, "judge": {"extractors": []}},
    "points": {"dataset": {"kind": "grid25", "size": 200}, "model": "gaussian", "gens": 3, "samples": None},
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run of that name, made when a test first asks for it."""
    return made_when_asked(tmp_path_factory.mktemp("chains"), {name: {"samples": 60, **own} for name, own in CHAINS.items()})


@pytest.fixture
def copied(chain: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The same, to be changed by a test."""
    return lambda name: Path(shutil.copytree(chain(name), tmp_path / name))


def snippets(readme: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)


def tables(text: str) -> list[list[list[str]]]:
    """Tables, rows and cells as a reader of Markdown sees them; the page must hold no HTML."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text.partition("\n---\n")[2])
    assert not [t for token in tokens for t in (token, *(token.children or ())) if t.type.startswith("html") or t.type == "link_open"]
    found: list[list[list[str]]] = []
    for token, content in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            assert content is not None
            found[-1][-1].append("".join(child.content for child in content.children or ()))
    assert all(len(row) == len(table[0]) for table in found for row in table)
    return found


def worlds(regime: Regime, gens: int, n: int = 40) -> list[Lineage]:
    """The lineages of a chain of copies under a regime, without any model."""
    real = Real(ImageSet.of(torch.zeros(n, 1, 2, 2, dtype=torch.uint8), torch.arange(n) % 2), ImageSet.of(torch.zeros(0, 1, 2, 2).byte()))
    samples: list[ImageSet] = []
    records = []
    for generation in range(gens):
        records.append(provenance(regime(real, samples, n, generation), ("a", "b")))
        samples.append(real.seen.born_in(generation))
    return lineages(records)


def test_under_replace_every_generation_is_one_model_further_from_the_world() -> None:
    assert worlds(Replace(), 12) == [Lineage(float(g > 0), g, g) for g in range(12)]
    assert Lineage(0.0, 0, 0.0).drawn() == Lineage(1.0, 1, 1.0)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_retained_real_pictures_bound_the_mean_depth_but_not_the_longest_chain(fraction: float) -> None:
    found, depth = worlds(Retain(real_fraction=fraction, pool="resample"), 40), 0.0
    for g, lineage in enumerate(found):
        depth = (1 - fraction) * (1 + depth) if g else 0.0
        assert lineage == Lineage(pytest.approx((1 - fraction) * (g > 0)), g, pytest.approx(depth))
    assert found[-1].mean == pytest.approx((1 - fraction) / fraction, rel=0.02)  # the fixed point of the recursion


def test_accumulated_pictures_deepen_like_the_harmonic_numbers() -> None:
    found = worlds(Accumulate(), 12)
    assert [one.mean for one in found] == pytest.approx([sum(1 / k for k in range(2, g + 2)) for g in range(12)])
    assert [one.synthetic for one in found] == pytest.approx([g / (g + 1) for g in range(12)])
    assert [one.longest for one in found] == list(range(12))


def test_depth_is_weighted_by_pictures_and_follows_each_maker() -> None:
    def record(**parts: int) -> dict[str, Any]:
        made_of = {name.replace("_", " "): {"pictures": n, "classes": {}} for name, n in parts.items()}
        return {"size": sum(parts.values()), "made_of": made_of}

    found = lineages(
        [record(real=8), record(real=2, generation_0=6), record(generation_0=1, generation_1=3), record(real=9, generation_0=1)]
    )
    assert found[1] == Lineage(0.75, 1, 0.75)
    assert found[2] == Lineage(1.0, 2, (1 * 1 + 3 * 1.75) / 4)
    assert found[3] == Lineage(0.1, 1, pytest.approx(0.1))  # no chain through generations 1 and 2, though they are there


def test_the_heads_of_a_ddpm_say_what_the_run_folder_says(chain: Callable[[str], Path], tmp_path: Path) -> None:
    made = write(chain("ddpm"), out=tmp_path / "out")
    depth = 0.75 * (1 + 0.75)
    assert (made["generation"], made["synthetic_share"], made["longest_chain"], made["mean_depth"]) == (2, 0.75, 2, depth)
    own = ModelCard.load(tmp_path / "out/model/README.md")
    head = own.data.to_dict()
    assert (head["library_name"], head["pipeline_tag"], head["license"]) == ("diffusers", "unconditional-image-generation", "unknown")
    assert {"imgcollapse", "model-collapse", "synthetic-data"} <= set(head["tags"]) and "datasets" not in head
    assert head["provenance"] == {"generation": 2, "synthetic_share": 0.75, "longest_chain": 2, "mean_depth": depth}
    judged = store.scores_of(chain("ddpm"), 2).sources["classifier"]
    results = own.data.eval_results
    measured = [name for name in SCORES if name in judged]
    assert results and {one.metric_type: one.metric_value for one in results} == {name: judged[name].value for name in measured}
    reals = {name: asdict(real) for name in measured if (real := judged[name].real)}
    assert {one.metric_type: one.metric_args["real_vs_real"] for one in results} == reals
    assert results[0].task_type == "unconditional-image-generation" and (results[0].dataset_type, results[0].dataset_split) == (
        "digits",
        None,
    )
    written = Path(made["model"], "README.md").read_text(encoding="utf-8").split("---\n")[1]
    assert head == yaml.safe_load(written)  # the hub's library keeps all of it
    of_data = DatasetCard.load(tmp_path / "out/dataset/README.md").data.to_dict()
    assert of_data["task_categories"] == ["unconditional-image-generation"] and of_data["size_categories"] == ["n<1K"]
    assert of_data["pretty_name"] == "60 samples of generation 2 of ddpm on digits, retain 25 % real (resample), seed 0"
    assert of_data["annotations_creators"] == ["no-annotation"] and "synthetic" in of_data["tags"]


def test_the_words_say_of_what_the_training_set_was_made_and_what_was_measured(chain: Callable[[str], Path], tmp_path: Path) -> None:
    write(chain("ddpm"), out=tmp_path / "out")
    for name in ("model", "dataset"):
        text = (tmp_path / "out" / name / "README.md").read_text(encoding="utf-8")
        made_of, history, scores = tables(text)
        assert made_of[1][:3] == ["real", "15", "25 %"] and made_of[2] == ["generation 1", "45", "75 %", "unlabelled: 45"]
        assert made_of[3][:3] == ["synthetic in all", "45", "75 %"]
        parts = dict(part.split(": ") for part in made_of[1][3].split(" · "))
        assert sum(map(int, parts.values())) == 15
        assert history[1:] == [
            ["0", "0 %", "0", "0"],
            ["1", "75 %", "1", "0.75"],
            ["2", "75 %", "2", "1.312"],
            ["samples of 2", "100 %", "3", "2.312"],
        ]
        judged = store.scores_of(chain("ddpm"), 2).sources["classifier"]
        fd = [SCORES["fd"].title, f"{judged['fd'].value:.2f}", ranged(judged["fd"].real, 2), "lower"]
        assert fd in scores and len(scores) == 1 + len(SCORES.keys() & judged.keys())
        reference = store.reference(chain("ddpm"))
        k = "k = 3 (precision, recall), 5 (density, coverage), 4 (probabilistic)"
        for said in (reference["data"]["train"]["sha256"], reference["judge"]["extractors"]["classifier"]["digest"], "N = 60 samples", k):
            assert said in text
        assert "**75 % synthetic, through up to 2 generations of models (1.312 on average)**" in text
        assert len([part for part in text.splitlines() if part.startswith("> ") and "study of model collapse" in part]) == 1


def test_what_the_cards_of_a_ddpm_tell_to_type_opens_it(
    chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

    write(chain("ddpm"), out=tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    there: dict[str, Any] = {}
    pipeline, own = snippets(Path("model/README.md"))
    exec(pipeline, there)
    assert len(there["pictures"]) == 16 and there["pictures"][0].size == (8, 8)
    exec(own, there)
    kept = models.load(store.generation_folder(chain("ddpm"), 2) / store.MODEL).sample(16, seed=0)
    assert torch.equal(there["drawn"].pixels, kept.pixels)
    exec(snippets(Path("dataset/README.md"))[1], there)
    assert np.array_equal(
        there["pixels"], store.read_images(store.generation_folder(chain("ddpm"), 2) / store.SAMPLES).pixels[:, 0].numpy()
    )
    assert set(there["folders"]) == {"train"}  # unlabelled: no class folders


@pytest.mark.parametrize(
    ("width", "height", "patch", "box"),
    [(33, 17, 1, (0, 8, 33, 25)), (5, 8, 1, (1, 0, 6, 8)), (16, 16, 1, None), (13, 9, 2, (1, 3, 14, 12)), (16, 16, 4, None)],
)
def test_what_the_card_of_a_padded_ddpm_tells_to_type_gives_pictures_of_the_studys_size(
    width: int, height: int, patch: int, box: tuple[int, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

    draws = np.random.default_rng(0)
    for number in range(12):
        place = tmp_path / "pictures" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (height, width), dtype=np.uint8)).save(place / f"{number}.png")
    data = {"kind": "folder", "path": str(tmp_path / "pictures")}
    model = {"kind": "ddpm", "steps": 1, "batch": 8, "patch": patch, "widths": [8, 8], "timesteps": 3, "sampling": {"steps": 2}}
    run(build(Study, {"dataset": data, "model": model, "gens": 1, "judge": {"extractors": []}}), tmp_path / "run")
    write(tmp_path / "run", out=tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    text, there = Path("model/README.md").read_text(encoding="utf-8"), dict[str, Any]()
    pipeline, own = snippets(Path("model/README.md"))
    exec(pipeline, there)
    exec(own, there)
    side = there["pipeline"].unet.config.sample_size
    assert [picture.size for picture in there["pictures"]] == [(width, height)] * 16 and ("PatchedUNet" in text) == (patch > 1)
    assert there["drawn"].pixels.shape == (16, 1, height, width)
    assert (f".crop({box})" in text) == (box is not None) == (f"draws {side}x{side} pixels" in text)


def test_a_class_conditional_ddpm_is_not_promised_to_draw_through_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

    model = {**CHAINS["ddpm"]["model"], "class_conditional": True}
    run(build(Study, {"model": model, "gens": 1, "samples": 60, "judge": {"extractors": []}}), tmp_path / "run")
    write(tmp_path / "run", out=tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    there: dict[str, Any] = {}
    for snippet in snippets(Path("model/README.md")):
        exec(snippet, there)
    with pytest.raises(ValueError, match="class_labels"):
        there["pipeline"](batch_size=1, num_inference_steps=1)
    assert "pictures" not in there and int(there["drawn"].labels.min()) >= 0


def test_samples_with_classes_become_an_image_folder(chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(chain("bootstrap"), 1, tmp_path / "out")
    samples = store.read_images(store.generation_folder(chain("bootstrap"), 1) / store.SAMPLES)
    for number, label in enumerate(samples.labels.tolist()):
        with Image.open(tmp_path / "out/dataset/train" / str(label) / f"{number:05d}.png") as picture:
            assert picture.mode == "L" and np.array_equal(np.asarray(picture), samples.pixels[number, 0].numpy())
    assert len(list((tmp_path / "out/dataset/train").rglob("*"))) == len(samples) + len(samples.labels.unique())
    own = DatasetCard.load(tmp_path / "out/dataset/README.md")
    assert own.data.to_dict()["configs"][0] == {
        "config_name": "default",
        "drop_labels": False,
        "data_files": [{"split": "train", "path": "train/**"}],
    }
    counts = [[str(label), str(label), str(int((samples.labels == label).sum()))] for label in range(10)]
    assert tables(str(own))[0][1:] == counts
    monkeypatch.chdir(tmp_path / "out")
    there: dict[str, Any] = {}
    exec(snippets(Path("dataset/README.md"))[1], there)
    assert np.array_equal(there["pixels"], samples.pixels[:, 0].numpy())
    assert there["folders"] == [str(label) for label in samples.labels.tolist()]
    assert ModelCard.load(tmp_path / "out/model/README.md").data.library_name == "imgcollapse"
    assert "copy of a real one" in (tmp_path / "out/model/README.md").read_text()


def test_the_card_of_every_model_that_holds_its_training_set_says_so() -> None:
    assert COPIES.keys() == set(REDRAWN)
    assert all("the folder of the model holds its training set itself" in words for words in COPIES.values())


@pytest.mark.parametrize("name", ["bootstrap", "vae"])
def test_the_datasets_library_opens_it(name: str, chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    write(chain(name), out=tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    there: dict[str, Any] = {}
    exec(snippets(Path("dataset/README.md"))[0].replace("load_dataset(", "load_dataset(cache_dir='cache', path="), there)
    assert len(there["samples"]) == 60 and ("label" in there["samples"].features) == (name == "bootstrap")


def test_colours_and_pictures_without_a_class_among_others_keep_their_places(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (4, 3, 5, 7), generator=generator, dtype=torch.uint8)
    images = ImageSet.of(pixels, torch.tensor([1, -1, 0, -1]))
    write_image_folder(images, ["a", "unlabelled"], tmp_path)
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.png")}
    assert sorted(found) == ["a/00002.png", "unlabelled-2/00001.png", "unlabelled-2/00003.png", "unlabelled/00000.png"]
    with Image.open(found["unlabelled/00000.png"]) as picture:
        assert np.array_equal(np.asarray(picture), pixels[0].permute(1, 2, 0).numpy())
    with pytest.raises(SettingsProblem, match="5 channels"):
        write_image_folder(ImageSet.of(torch.zeros(1, 5, 2, 2, dtype=torch.uint8)), ["a"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_lost_class_stands_in_the_table_with_none(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = store.generation_folder(copied("bootstrap"), 0)
    kept = store.read_images(folder / store.SAMPLES)
    np.savez(folder / store.SAMPLES, pixels=kept.pixels.numpy(), labels=kept.labels.clamp(max=3).numpy(), born=kept.born.numpy())
    (folder / MANIFEST).unlink()
    write_manifest(folder)
    write(folder.parent, 0, tmp_path / "out")
    shown = tables((tmp_path / "out/dataset/README.md").read_text(encoding="utf-8"))[0]
    assert [row[2] for row in shown[5:]] == ["0"] * 6 and not (tmp_path / "out/dataset/train/9").exists()


@pytest.mark.parametrize("name", ["bootstrap", "points"])
def test_arrays_are_those_of_the_run(name: str, chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write(chain(name), 1, tmp_path / "out", None if name == "points" else "npz")
    assert made["export"] == "npz"
    monkeypatch.chdir(tmp_path / "out")
    there: dict[str, Any] = {}
    (snippet,) = snippets(Path("dataset/README.md"))
    exec(snippet, there)
    samples = store.read_images(store.generation_folder(chain(name), 1) / store.SAMPLES)
    for part in ("pixels", "labels", "born"):
        assert np.array_equal(there[part], getattr(samples, part).numpy())
    head = DatasetCard.load("dataset/README.md").data.to_dict()
    assert head["viewer"] is False and "configs" not in head


def test_points_are_no_pictures(chain: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match=r"points; use --export npz"):
        write(chain("points"), out=tmp_path / "out", export="imagefolder")
    assert list(tmp_path.iterdir()) == []
    write(chain("points"), out=tmp_path / "out")
    head = ModelCard.load(tmp_path / "out/model/README.md").data
    assert head.pipeline_tag is None and head.eval_results and head.eval_results[0].task_type == "other"
    assert DatasetCard.load(tmp_path / "out/dataset/README.md").data.task_categories == ["other"]


@pytest.mark.parametrize(
    ("kind", "there"), [("mnist", "ylecun/mnist"), ("fashion-mnist", "zalando-datasets/fashion_mnist"), ("cifar10", "uoft-cs/cifar10")]
)
def test_public_data_are_named_as_the_hub_does_and_not_loaded(kind: str, there: str, copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("bootstrap")
    settings = read_file(folder / store.STUDY)
    settings["dataset"] = {"kind": kind, "subset": 500}
    (folder / store.STUDY).write_text(yaml.safe_dump(settings))
    record = read_sealed(folder / store.ENVIRONMENT)
    write_sealed(folder / store.ENVIRONMENT, {**record, "study": study_digest(settings)})
    write(folder, out=tmp_path / "out")
    head = ModelCard.load(tmp_path / "out/model/README.md").data
    assert head.datasets == [there] and head.eval_results
    first = head.eval_results[0]
    assert (first.dataset_type, first.dataset_split, first.dataset_args) == (there, "test", {"subset": 500})
    assert DatasetCard.load(tmp_path / "out/dataset/README.md").data.source_datasets == [there]


def test_a_study_that_judged_nothing_has_no_model_index(chain: Callable[[str], Path], tmp_path: Path) -> None:
    write(chain("vae"), out=tmp_path / "out")
    own = ModelCard.load(tmp_path / "out/model/README.md")
    assert "model-index" not in own.data.to_dict() and "No judge has judged this generation" in str(own)
    assert "**0 % synthetic: real pictures only**" in str(own)


def test_the_settings_in_the_card_make_the_same_chain_again(chain: Callable[[str], Path], tmp_path: Path) -> None:
    write(chain("points"), 1, tmp_path / "out")
    text = (tmp_path / "out/model/README.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    Path("study.yaml").write_text(settings)
    command = ["run", "--config", "study.yaml", "--out", "again"]
    assert "`imgcollapse run --config study.yaml`" in text
    assert terminal.call(*command).exit_code == 0
    assert read_json(Path("again/gen_001/provenance.json"))["training_set"] in text
    kept = [store.read_images(folder / "gen_001" / store.SAMPLES).digest() for folder in (Path("again"), chain("points"))]
    assert kept[0] == kept[1]


HOSTILE = (
    "a|b",
    "`code`",
    "<img src=x onerror=alert(1)>",
    "two\nlines\n---\n",
    "[link](x.y)",
    "A",
    "a",
    "con",
    "$x$ & *y*",
    "\u202egnp",
    "é ü",
)


def test_names_break_neither_head_nor_table_nor_folder(tmp_path: Path) -> None:
    root = tmp_path / "in" / "x: |\n---\n<b>#1"
    for number, name in enumerate(HOSTILE):
        (root / name).mkdir(parents=True)
        for picture in range(8):
            made = Image.new("L", (4, 4), 20 * number + picture)
            made.putpixel((0, 0), 9)  # a world of blank pictures would be refused
            made.save(root / name / f"{picture}.png")
    held_out = shutil.copytree(root, tmp_path / "held out")
    dataset = {"kind": "folder", "path": str(root), "held_out": str(held_out)}
    run(build(Study, {"dataset": dataset, "model": "bootstrap", "gens": 2, "judge": {"extractors": ["pixels"], "k": 2}}), tmp_path / "run")
    write(tmp_path / "run", out=tmp_path / "out")
    own, of_data = (ModelCard.load(tmp_path / f"out/{name}/README.md") for name in ("model", "dataset"))
    assert own.data.eval_results and own.data.eval_results[0].dataset_name == line(f"folder-{root.name}") == "folder-x: | --- <b>#1"
    assert {"license", "pretty_name", "configs", "provenance"} <= set(of_data.data.to_dict())
    classes = read_json(tmp_path / "run" / store.DATA)["classes"]
    assert sorted(classes) == sorted(HOSTILE)
    shown, *_ = tables(str(of_data))
    assert [row[0] for row in shown[1:]] == [line(name) for name in classes]
    samples = store.read_images(store.generation_folder(tmp_path / "run", 1) / store.SAMPLES)
    for number, label in enumerate(samples.labels.tolist()):  # a class's folder holds its pictures and no other's
        with Image.open(tmp_path / "out/dataset/train" / shown[1 + label][1] / f"{number:05d}.png") as picture:
            assert np.array_equal(np.asarray(picture), samples.pixels[number, 0].numpy())
    for text in (str(own), str(of_data)):
        (settings,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M)
        assert build(Study, yaml.safe_load(settings)) == build(Study, read_file(tmp_path / "run" / store.STUDY))
        assert tables(text)


def test_folder_names_are_safe_and_unlike_each_other() -> None:
    names = [
        *HOSTILE,
        "",
        ".",
        "..",
        "../up",
        ".hidden",
        "__private",
        "a/b",
        "a\\b",
        "x" * 300,
        "x" * 301,
        "NUL.txt",
        "ﬁ",
        "fi",
        "e\u0301",
        "É",
        "a-2",
        "日本",
    ]
    found = folder_names(names)
    assert len({name.casefold() for name in found}) == len(names) == len(found)
    for name in found:
        assert re.fullmatch(r"[\w.-]+", name) and name[0] not in "._" and name[-1] != "." and len(name.encode()) < 255, name
        assert not export.DEVICES.fullmatch(name)
    assert folder_names(["airplane", "0", "T-shirt", "日本"]) == ["airplane", "0", "T-shirt", "日本"]


def test_text_stays_text_in_markdown() -> None:
    for name in (*HOSTILE, "# head", "a\\", "<!--", "&lt;", "~~x~~", "![x](y)", "_x_", "http://x.y"):
        parsed = MarkdownIt("commonmark").enable("table").parse(f"| {plain(name)} | x |\n|---|---|\n")
        cells = [token for token in parsed if token.type == "inline"]
        assert len(cells) == 2 and "".join(child.content for child in cells[0].children or ()) == line(name), name
        assert {child.type for child in cells[0].children or ()} <= {"text", "text_special"} and not set("<>") & set(plain(name)), name
    assert plain("\u200b") == "?"
    for code in ("a: b", "path: '```\n# x'", "````"):
        tokens = MarkdownIt("commonmark").parse(f"before\n\n{fenced(code, 'yaml')}\n\nafter")
        assert [token.content for token in tokens if token.type == "fence"] == [code + "\n"] and tokens[-2].content == "after"
    long = {"pretty_name": "x " * 200 + "\n---\n", "values": [1e-7, "no", "1.0"]}
    assert ModelCard(card(long, ["text"])).data.to_dict().items() >= long.items()


@pytest.mark.parametrize(
    ("n", "category"), [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (60_000, "10K<n<100K"), (10**6, "1M<n<10M"), (10**12, "100M<n<1B")]
)
def test_size_categories_are_those_of_the_hub(n: int, category: str) -> None:
    assert size_category(n) == category


def test_what_the_manifest_does_not_name_is_in_no_card(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("ddpm")
    write(folder, 1, tmp_path / "before")
    model = folder / "gen_001" / store.MODEL
    (model / "secret.txt").write_text("a token")
    (model / "notes").mkdir()
    (model / "notes" / "link").symlink_to("/etc/hosts")
    write(folder, 1, tmp_path / "after")
    assert files(tmp_path / "after") == files(tmp_path / "before") and not (tmp_path / "after/model/notes").exists()
    assert len(files(tmp_path / "after/model")) > 3


def test_writing_again_replaces_what_was_written_and_leaves_nothing_behind(chain: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "here" / "out"
    write(chain("bootstrap"), 1, out)
    before = files(out)
    for left in ("", "-old"):  # by a process that was killed
        (out.parent / f".out.draft-{HERE}-{os.getpid()}{left}" / "model").mkdir(parents=True)
    write(chain("bootstrap"), 1, out)
    assert files(out) == before and list(out.parent.iterdir()) == [out]
    write(chain("bootstrap"), 1, out, "npz")
    assert not list(out.rglob("*.png")) and (out / "dataset/samples.npz").is_file() and list(out.parent.iterdir()) == [out]
    empty = tmp_path / "empty"
    empty.mkdir()
    write(chain("bootstrap"), 1, empty)
    assert files(empty) == before


def test_the_default_place_is_in_the_run_folder_and_the_run_goes_on(copied: Callable[[str], Path]) -> None:
    folder = copied("points")
    before = files(folder)
    made = write(folder)
    assert Path(made["model"]) == folder / "card/gen_002/model" and Path(made["dataset"]) == folder / "card/gen_002/dataset"
    run(build(Study, read_file(folder / store.STUDY)), folder)
    assert {name: data for name, data in files(folder).items() if not name.startswith("card/")} == before


def _edit(out: Path) -> None:
    (out / "model/README.md").write_text("my own words")


def _add(out: Path) -> None:
    (out / "dataset/LICENSE").write_text("MIT")


def _link(out: Path) -> None:
    (out / "model/linked").symlink_to("nowhere")


def _lose(out: Path) -> None:
    (out / "dataset/README.md").unlink()


def _unmark(out: Path) -> None:
    (out / RECORD).write_text("[]")


@pytest.mark.parametrize("change", [_edit, _add, _link, _lose, _unmark])
def test_what_somebody_changed_is_not_overwritten(change: Callable[[Path], None], chain: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "here" / "out"
    write(chain("bootstrap"), 1, out)
    change(out)
    before = files(out)
    with pytest.raises(
        OtherStudyProblem, match=re.escape(str(out)) + r".*; nothing is ever overwritten; move it elsewhere, or choose another --out$"
    ):
        write(chain("bootstrap"), 1, out)
    assert files(out) == before and list(out.parent.iterdir()) == [out]


def test_something_else_is_not_overwritten(chain: Callable[[str], Path], tmp_path: Path) -> None:
    write(chain("bootstrap"), 1, tmp_path / "out")
    for name, generation, said in (("bootstrap", 0, "generation 1, now 0"), ("points", 1, "study")):
        with pytest.raises(OtherStudyProblem, match=f"another card .*{said}"):
            write(chain(name), generation, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    for place in (tmp_path / "mine", tmp_path / "mine/thesis.tex", chain("bootstrap")):
        with pytest.raises(OtherStudyProblem, match="holds something else"):
            write(chain("bootstrap"), 1, place)
    assert files(tmp_path / "mine") == {"thesis.tex": b"x"}


@pytest.mark.parametrize("stage", ["words", "rename"])
def test_a_failure_leaves_what_was_there(stage: str, chain: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename = tmp_path / "here" / "out", Path.rename

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    def not_from_draft(self: Path, target: Path) -> Path:
        if re.search(r"draft-.*-\d+$", self.name):
            raise OSError("the disk is gone")
        return rename(self, target)

    def failing() -> None:
        with monkeypatch.context() as patch:
            if stage == "words":
                patch.setattr("imgcollapse.exchange.card.data_card", fail)
            else:
                patch.setattr(Path, "rename", not_from_draft)
            with pytest.raises((KeyboardInterrupt, OSError)):
                write(chain("bootstrap"), 1, out, "npz")

    failing()
    assert list(out.parent.iterdir()) == []
    write(chain("bootstrap"), 1, out)
    before = files(out)
    failing()
    assert files(out) == before and list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("generation", [1, 2])
def test_damage_here_or_before_is_refused(generation: int, copied: Callable[[str], Path]) -> None:
    folder = copied("points")
    damaged = folder / "gen_001" / store.SAMPLES
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(DataProblem, match=r"gen_001: samples.npz has changed .*run the run's own command again"):
        write(folder, generation)
    assert not (folder / "card").exists()
    write(folder, 0)  # what came before the damage is not touched by it


def test_a_half_finished_run_has_cards_for_what_is_finished(copied: Callable[[str], Path]) -> None:
    folder = copied("points")
    (folder / "gen_002" / MANIFEST).unlink()
    assert write(folder)["generation"] == 1
    for wrong in (2, 7, -1):
        with pytest.raises(SettingsProblem, match=rf"generation {wrong} .* is not finished; choose among 0, 1$"):
            write(folder, wrong)
    shutil.rmtree(folder / "gen_000")
    with pytest.raises(DataProblem, match=r"gen_000: MANIFEST.json is missing"):
        write(folder)
    shutil.rmtree(folder / "gen_001")
    with pytest.raises(SettingsProblem, match="no generation is finished yet"):
        write(folder)
    with pytest.raises(DataProblem, match="is not a run folder"):
        write(folder / "gen_002")


def test_the_command_says_where_and_how_far_from_the_world(copied: Callable[[str], Path]) -> None:
    folder = copied("points")

    call = partial(terminal.call, "card", folder)
    said = call("--gen", "1", "--out", "out")
    assert said.exit_code == 0 and said.stderr == ""
    first, *rest = said.stdout.splitlines()
    assert first == "generation 1 learned from 100 % synthetic data (longest chain 1, mean depth 1)"
    assert rest == ["written:", "  out/model", "  out/dataset"] and Path("out/model/README.md").is_file()
    as_json = json.loads(call("--json", "--out", "last").stdout)
    assert as_json == {
        "generation": 2,
        "synthetic_share": 1.0,
        "longest_chain": 2,
        "mean_depth": 2.0,
        "export": "npz",
        "model": "last/model",
        "dataset": "last/dataset",
    }
    for arguments, code in ((("--gen", "9"), 2), (("--export", "imagefolder"), 2), (("--export", "zip"), 2), (("--out", str(folder)), 5)):
        wrong = call(*arguments)
        assert wrong.exit_code == code and wrong.stdout == "", arguments
        if arguments[-1] != "zip":
            assert wrong.stderr.count("\n") == 1 and wrong.stderr.startswith("imgcollapse: ")
