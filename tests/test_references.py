"""Shipped reference classifiers: found by what is held out, in whatever form it came; and what is said of any classifier."""

import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import standins
import torch
from PIL import Image
from safetensors.torch import save_file
from standins import Ear
from terminal import call, done

from imgcollapse import datasets, progress
from imgcollapse.datasets.archive import Archive
from imgcollapse.datasets.digits import Digits
from imgcollapse.errors import DataProblem
from imgcollapse.extractors import classifier as module
from imgcollapse.extractors import references
from imgcollapse.extractors.classifier import Classifier, FittedClassifier
from imgcollapse.extractors.classifier_network import ClassifierNetwork
from imgcollapse.extractors.references import Reference, contents, reference_of
from imgcollapse.files import to_json
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import cache, devices
from imgcollapse.metrics import FeatureSet

WIDTHS, VERSION, RIGHT = (4, 6), 3, 0.95


@pytest.fixture
def world() -> World:
    return standins.world()


@pytest.fixture
def shipped(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of references with one, of the tiny world; random weights, a temperature of 2."""
    folder = tmp_path / "references"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = ClassifierNetwork(world.train.shape, WIDTHS, 2).state_dict()
    one = Reference("tiny", VERSION, contents(world.held_out), world.train.shape, 2, WIDTHS, 2.0, RIGHT, cache.digest(weights), {})
    save_file({name: values.contiguous() for name, values in weights.items()}, folder / "tiny.safetensors")
    (folder / "tiny.json").write_text(to_json(one.record()))
    monkeypatch.setattr(references, "FOLDER", folder)
    references.references.cache_clear()
    with devices.use(devices.Machine(device="cpu", data_dir=tmp_path / "data")):
        yield folder
    references.references.cache_clear()


def shuffled(images: ImageSet) -> ImageSet:
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(1))]


def changed(images: ImageSet) -> ImageSet:
    """One value of one picture differs."""
    pixels = images.pixels.clone()
    pixels[3, 0, 0, 0] ^= 1
    return replace(images, pixels=pixels)


# --- which serves a world


def test_a_reference_serves_the_same_held_out_pictures_in_any_order_and_no_others(shipped: Path, world: World) -> None:
    found = reference_of(world)
    assert found and (found.name, found.version, found.widths, found.shape) == ("tiny", VERSION, WIDTHS, world.train.shape)
    held_out = world.held_out
    for same in (shuffled(held_out), ImageSet.of(held_out.pixels.clone(), held_out.labels)):
        assert reference_of(replace(world, held_out=same, name="another name")) == found
    relabelled = replace(held_out, labels=1 - held_out.labels)
    for other in (held_out[:-1], world.train, relabelled, changed(held_out), shuffled(world.train)[: len(held_out)]):
        assert reference_of(replace(world, held_out=other)) is None
    assert reference_of(datasets.load(datasets.DATASETS["grid25"](), 0)) is None


def test_what_of_the_training_part_is_used_and_a_tail_that_is_cut_make_no_difference(shipped: Path, world: World) -> None:
    cut = replace(world, train=world.train[:7], held_out=world.held_out[:5], uncut=world.held_out)
    assert reference_of(cut) == reference_of(world) is not None
    assert reference_of(replace(cut, uncut=None)) is None


def archive(path: Path, images: ImageSet) -> str:
    """A zip archive of PNG files in class folders."""
    with zipfile.ZipFile(path, "w") as file:
        for number, (pixels, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
            content = BytesIO()
            Image.fromarray(pixels.squeeze(0).numpy()).save(content, "png")
            file.writestr(f"{label}/{number:05d}.png", content.getvalue())
    return str(path)


def test_the_digits_that_are_shipped_serve_digits_in_any_form_with_any_subset_and_tail(tmp_path: Path) -> None:
    digits = datasets.load(Digits(), 0)
    found = reference_of(digits)
    assert found and found.name == "digits" and found.accuracy >= 0.985
    for other in (Digits(subset=100), Digits(imbalance=20), Digits(subset=200, imbalance=5)):
        world = datasets.load(other, 0)
        assert len(world.train) < len(digits.train) and reference_of(world) == found
    zipped = Archive(path=archive(tmp_path / "train.zip", digits.train[:300]), held_out=archive(tmp_path / "test.zip", digits.held_out))
    world = datasets.load(zipped, 0)
    assert world.held_out.digest() != digits.held_out.digest(), "another order"
    assert reference_of(world) == found
    assert reference_of(replace(digits, train=digits.held_out, held_out=digits.train, uncut=None)) is None


def test_the_digits_that_are_shipped_are_as_good_as_their_record_says() -> None:
    world = datasets.load(Digits(), 0)
    with progress.watched_by(ear := Ear()):
        fitted = Classifier().fit(world)
    assert not ear.begun and ear.lines == [fitted.quality()[0]], "nothing is trained"
    assert fitted.shipped == "digits 1" and fitted.record()["held_out_accuracy"] == fitted.accuracy
    sure = fitted.probabilities(fitted.features(world.held_out.pixels))
    assert sure is not None
    most = sure.max(1)
    right = (most.indices == world.held_out.labels).double()
    assert float(right.mean()) == pytest.approx(fitted.accuracy, abs=0.002), "but for a picture on the edge, on another machine"
    assert float(most.values.mean()) == pytest.approx(float(right.mean()), abs=0.01), "as sure as it is right"


# --- which is taken


def test_the_default_takes_the_shipped_one_and_any_option_learns_its_own(shipped: Path, world: World) -> None:
    with progress.watched_by(ear := Ear()):
        fitted = Classifier().fit(world)
    assert (fitted.shipped, fitted.accuracy, fitted.temperature) == (f"tiny {VERSION}", RIGHT, 2.0) and not ear.begun
    assert ear.lines == [f"classifier: shipped reference tiny {VERSION}; it finds the class of 95.0 % of the held-out pictures"]
    about = fitted.record()
    assert about["shipped"] == f"tiny {VERSION}" and about["dim"] == WIDTHS[-1]
    assert Classifier(weights="shipped", steps=7).fit(world).record() == about
    for own in (Classifier(weights="own", steps=1), Classifier(steps=1)):
        with progress.watched_by(ear := Ear()):
            fitted = own.fit(world)
        assert not fitted.shipped and "shipped" not in fitted.record() and fitted.record()["digest"] != about["digest"]
        assert ear.lines[0].startswith("classifier: learned from the training part; it finds the class of ")


def test_its_probabilities_are_those_of_its_temperature(shipped: Path, world: World) -> None:
    fitted = Classifier().fit(world)
    features = fitted.features(world.held_out.pixels)
    warm, plain = fitted.probabilities(features), replace(fitted, temperature=1.0).probabilities(features)
    assert warm is not None and plain is not None
    ratio = (warm[:, 0] / warm[:, 1]).log() / (plain[:, 0] / plain[:, 1]).log()
    assert torch.allclose(ratio, torch.tensor(0.5), atol=1e-3)
    assert fitted.record()["digest"] != replace(fitted, temperature=1.0).record()["digest"], "it decides what is found"


def test_where_none_is_shipped_asking_for_one_is_refused(shipped: Path, world: World) -> None:
    text = "tiny: no classifier is shipped for its held-out pictures (only for tiny); set weights to own"
    with pytest.raises(DataProblem, match=f"^{re.escape(text)}$"):
        Classifier(weights="shipped").check(replace(world, held_out=world.train))


@pytest.mark.parametrize("hurt", ["a flipped bit", "cut", "gone", "of another size"])
def test_a_damaged_file_of_weights_is_refused_in_one_line(hurt: str, shipped: Path, world: World) -> None:
    place = shipped / "tiny.safetensors"
    content = place.read_bytes()
    match hurt:
        case "a flipped bit":
            place.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        case "cut":
            place.write_bytes(content[:-1])
        case "gone":
            place.unlink()
        case _:
            others = ClassifierNetwork(world.train.shape, (4, 7), 2).state_dict()
            save_file({name: values.contiguous() for name, values in others.items()}, place)
    text = f"{place}: is not the file that came with the package; install imgcollapse again"
    with pytest.raises(DataProblem, match=f"^{re.escape(text)}$"):
        Classifier().fit(world)


# --- what is said of a classifier


def of_accuracy(accuracy: float, shipped: str = "") -> FittedClassifier:
    return FittedClassifier(ClassifierNetwork((1, 8, 8), (4,), 2).eval(), accuracy, shipped=shipped)


def test_below_9_in_10_it_warns_and_below_half_it_knows_no_classes() -> None:
    features = torch.zeros(3, 4)
    for accuracy in (0.9, 0.99):
        assert len(of_accuracy(accuracy).quality()) == 1 and of_accuracy(accuracy).probabilities(features) is not None
    first, warning = of_accuracy(0.899).quality()
    assert first == "classifier: learned from the training part; it finds the class of 89.9 % of the held-out pictures"
    assert warning.startswith(
        "classifier: warning: class shares, lost classes and distances by its features are not to be trusted, for it "
    )
    assert "right on fewer than 90 % of the held-out pictures; train it longer" in warning
    assert of_accuracy(0.5).probabilities(features) is not None and of_accuracy(0.5).quality()[1] == warning
    first, reason = of_accuracy(0.499).quality()
    assert first.endswith("49.9 % of the held-out pictures") and reason.startswith(
        "classifier: class shares and lost classes are left out, for it is right on fewer than 50 % of the held-out pictures, and "
    )
    assert of_accuracy(0.499).probabilities(features) is None


@pytest.mark.parametrize(("accuracy", "reason"), [(0.95, ""), (0.8, "too few to trust class shares"), (0.42, "too few for class shares")])
def test_a_run_says_how_good_its_judge_is_in_a_line_its_table_and_on_its_page(
    accuracy: float, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "accuracy", lambda net, images: accuracy)
    quick = ["--set", "judge.extractors=[{kind: classifier, steps: 1, widths: [4, 4]}]", "--samples", "40", "--gens", "2"]
    said = done("run", "--dataset", "digits", "--model", "bootstrap", *quick, "--out", "run", "--data-dir", tmp_path / "data")
    _, _, first, *rest = said.stderr.splitlines()  # after what is to be done
    how_good = f"it finds the class of {100 * accuracy:.1f} % of the held-out pictures"
    assert first.startswith(f"classifier: learned from the training part; {how_good}")
    assert rest[0].startswith("classifier: warning: ") == (accuracy == 0.8)
    assert sum(line.startswith("classifier: ") for line in rest) == (accuracy < 0.9), "once"
    scores = json.loads(next(Path("run/scores").glob("*/gen_001.json")).read_text())["sources"]["classifier"]
    assert ("classes_alive" in scores) == ("share_0" in scores) == (accuracy >= 0.5) and "recall" in scores and "recall_0" in scores
    page = " ".join(Path("run/report.html").read_text(encoding="utf-8").split())
    for text in (" ".join(said.stdout.split()), page):
        assert how_good in text and reason in text, text[:2000]
    scored = call("score", "run", "--against", "digits", *quick[:2], "--data-dir", tmp_path / "data")
    assert scored.exit_code == 0 and how_good in " ".join(scored.stdout.split())


def test_a_symmetric_classifier_sees_a_picture_and_its_mirror_image_as_one() -> None:
    """Once it has learned; and its features are the mean of what the same network finds in both."""
    pixels = torch.randint(0, 256, (5, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = ImageSet.of(pixels.repeat(8, 1, 1, 1), torch.arange(40) % 2)
    learner = Classifier(steps=5, batch=8, widths=(8, 8), symmetric=True)
    net = learner.train(images, 2)
    plain = Classifier(steps=5, batch=8, widths=(8, 8)).network((3, 12, 12), 2)
    plain.load_state_dict(net.state_dict())
    plain.eval()
    there, mirrored = (FittedClassifier(net, 1.0).features(some) for some in (pixels, pixels.flip(3)))
    assert torch.allclose(there, mirrored, atol=1e-5)
    found = [FittedClassifier(plain, 1.0).features(some) for some in (pixels, pixels.flip(3))]
    assert torch.allclose(there, (found[0] + found[1]) / 2, atol=1e-5) and not torch.allclose(found[0], found[1], atol=1e-3)


def test_closeness_tells_training_pictures_that_lie_together_from_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a classifier that knows its training pictures by heart would show; and equal laws read alike."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "scripts"))
    closeness = importlib.import_module("closeness").closeness
    generator = torch.Generator().manual_seed(0)
    unseen, learned = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (400, 900))
    training, new = closeness(FeatureSet(learned), FeatureSet(unseen))
    for score in ("fd", "precision", "recall", "coverage"):
        assert training[score].low < new[score].high and new[score].low < training[score].high, score
    training, again = closeness(FeatureSet(learned * 0.5), FeatureSet(unseen))
    assert training["recall"].high < new["recall"].low and training["fd"].low > new["fd"].high and again == new
