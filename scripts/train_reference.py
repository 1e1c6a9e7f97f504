"""Trains the reference classifiers that come with the package, and writes what says how good they are.

    python scripts/train_reference.py digits
    python scripts/train_reference.py cifar10 --data 'data/train-*.zip' --held-out data/test.zip

One that is stopped goes on when the command is given again. The temperature is chosen by 5,000 pictures of the training part that are
kept out of the training; where there are too few of them, by all, each seen by a network that has learned from the other four fifths. The
held-out part is looked at once, at the end. Written are

    imgcollapse/extractors/references/NAME.safetensors, NAME.json                     the weights, and what they are
    docs/references/NAME/log.csv, confusion.csv, confusion.png, reliability.png       how it learned, and how good it is
"""

import csv
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from imgcollapse import progress
from imgcollapse.datasets import DATASETS, load
from imgcollapse.datasets.archive import Archive
from imgcollapse.extractors.classifier import Classifier, FittedClassifier, logits
from imgcollapse.extractors.classifier_network import ClassifierNetwork
from imgcollapse.extractors.references import FOLDER, Reference, contents
from imgcollapse.files import digest_of, to_json, write_bytes, write_text
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.machine.cache import Checkpoint, digest
from imgcollapse.reports.style import BLUE, GREY, figure, png
from imgcollapse.seeds import torch_generator

VERSION = 1  # of all of them: raise it when one is trained anew
SETTINGS = {
    "digits": Classifier(steps=500, widths=(32, 64), mixup=True),
    "mnist": Classifier(steps=5000, widths=(32, 64, 128), mixup=True),
    "fashion-mnist": Classifier(steps=4300, batch=256, widths=(48, 96, 128), mirror=True, smoothing=0.1, learning_rate=3e-3),
    "cifar10": Classifier(
        steps=12_000, batch=256, widths=(64, 192, 128), mirror=True, symmetric=True, whiten=True, smoothing=0.1, learning_rate=3e-3
    ),
}
ROOT = Path(__file__).resolve().parent.parent
BINS = 10  # of the reliability diagram
CALIBRATION, FOLDS = 5000, 5  # pictures by which a temperature is chosen, and parts of a training part that is too small for that


class Printer(progress.Silent):
    """Lines for a log."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def ordered(images: ImageSet) -> ImageSet:
    """The same pictures in an order that depends on them alone, not on the form in which they are stored; mixed."""
    images = images[fingerprints(images.pixels).argsort(stable=True)]
    return images[torch.randperm(len(images), generator=torch_generator(0))]


def learned(name: str, images: ImageSet, classes: int, work: Path, fold: str = "") -> ClassifierNetwork:
    """The trained network; goes on from where an earlier call was stopped. Its log has a line for each 25 steps."""
    settings, log = SETTINGS[name], work / f"{name}{fold}.log"
    started = time.monotonic()

    def note(step: int, loss: float) -> None:
        with log.open("a", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([step + 1, f"{loss:.4f}", f"{time.monotonic() - started:.0f}"])

    key = json.dumps([settings.model_dump(mode="json", exclude={"weights"}), images.digest()])
    return settings.train(images, classes, Checkpoint(work / f"{name}{fold}.safetensors", key, every=120), note)


def fitting_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least cross entropy (Guo et al. 2017)."""
    found = minimize_scalar(lambda log: float(functional.cross_entropy(logits / 2.0**log, labels)), bounds=(-4, 4), method="bounded")
    return round(float(2.0**found.x), 4)


def logits_of(net: ClassifierNetwork, images: ImageSet) -> Tensor:
    """float32 [N, classes]."""
    return logits(net, FittedClassifier(net, 1.0).features(images.pixels))


def parts(train: ImageSet) -> tuple[ImageSet | None, ImageSet]:
    """What the temperature is chosen by, None where all is learned from; and what is learned from."""
    train = ordered(train)
    return (train[:CALIBRATION], train[CALIBRATION:]) if len(train) >= 10 * CALIBRATION else (None, train)


def trained(name: str, world: World, work: Path) -> tuple[ClassifierNetwork, float, dict[str, Any]]:
    """The network, its temperature, and what it was made of."""
    classes, (by, train) = len(world.classes), parts(world.train)
    net = learned(name, train, classes, work)
    if by is not None:
        logits, how = logits_of(net, by), "kept out of the training"
    else:
        by, folds = train, torch.arange(len(train)) % FOLDS
        logits, how = torch.empty(len(by), classes), f"cross-fitted in {FOLDS} folds"
        for fold in range(FOLDS):
            logits[folds == fold] = logits_of(learned(name, train[folds != fold], classes, work, f"-{fold}"), train[folds == fold])
    made_of = {"learned_from": train, "calibrated_by": by}
    made = {part: {"pictures": len(images), "sha256": contents(images)} for part, images in made_of.items()}
    return net, fitting_temperature(logits, by.labels), {"calibrated": how, **made}


def confusion(page: Any, place: Any, counts: Tensor, classes: tuple[str, ...], title: str) -> bytes:
    """Classes down, the class found across; a cell: how many of the held-out pictures."""
    place.imshow((counts / counts.sum(1, keepdim=True)).sqrt(), cmap="Blues", vmin=0, vmax=1)
    for row in range(len(counts)):
        for column in range(len(counts)):
            if counts[row, column]:
                place.text(column, row, int(counts[row, column]), ha="center", va="center", fontsize=7, color="w" if row == column else "k")
    place.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
    place.set_yticks(range(len(classes)), classes, fontsize=8)
    place.set_xlabel("class found", fontsize=9)
    place.set_ylabel("class", fontsize=9)
    place.set_title(title, fontsize=10)
    return png(page)


def reliability(page: Any, place: Any, sure: Tensor, right: Tensor, title: str) -> bytes:
    """Of the pictures in which the classifier is that sure of a class, the share in which it is right."""
    bins = (sure * BINS).long().clamp(max=BINS - 1)
    there = [b for b in range(BINS) if (bins == b).any()]
    x, y = ([float(of[bins == b].double().mean()) for b in there] for of in (sure, right))
    place.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    place.plot(x, y, color=BLUE, marker="o")
    for b, left, up in zip(there, x, y, strict=True):
        place.annotate(f"{int((bins == b).sum()):,}", (left, up), (4, -12), textcoords="offset points", fontsize=7, color=GREY)
    place.set_xlabel("probability of the class found (mean of a bin; beside: pictures in it)", fontsize=9)
    place.set_ylabel("share in which it is right", fontsize=9)
    place.set_title(title, fontsize=10)
    return png(page)


def publish(name: str, world: World, net: ClassifierNetwork, temperature: float, made: dict[str, Any], log: Path) -> None:
    """Weights, record, log and diagrams into their places."""
    sure = (logits_of(net, world.held_out) / temperature).softmax(1).max(1)
    right = sure.indices == world.held_out.labels
    counts = torch.bincount(world.held_out.labels * len(world.classes) + sure.indices, minlength=len(world.classes) ** 2)
    counts = counts.reshape(len(world.classes), -1)
    settings = SETTINGS[name]
    made = {
        **made,
        "command": f"python scripts/train_reference.py {name}",
        "settings": settings.model_dump(mode="json", exclude={"weights", "kind"}),
        "right": {label: int(counts[c, c]) for c, label in enumerate(world.classes)},
        "held_out": {label: int(counts[c].sum()) for c, label in enumerate(world.classes)},
    }
    accuracy = float(right.double().mean())
    weights = {key: values.contiguous() for key, values in net.state_dict().items()}
    shape, classes = world.train.shape, len(world.classes)
    one = Reference(
        name,
        VERSION,
        contents(world.all_held_out),
        shape,
        classes,
        settings.widths,
        temperature,
        accuracy,
        digest(weights),
        made,
        settings.symmetric,
    )
    FOLDER.mkdir(exist_ok=True)
    save_file(weights, FOLDER / f"{name}.safetensors")
    (FOLDER / f"{name}.safetensors").chmod(0o644)  # safetensors lets nobody else read it
    write_text(FOLDER / f"{name}.json", to_json(one.record()))
    docs = ROOT / "docs" / "references" / name
    docs.mkdir(parents=True, exist_ok=True)
    write_text(docs / "log.csv", "step,loss,seconds\n" + log.read_text(encoding="utf-8"))
    rows = [["class", *world.classes], *([label, *map(str, row)] for label, row in zip(world.classes, counts.tolist(), strict=True))]
    write_text(docs / "confusion.csv", "".join(",".join(row) + "\n" for row in rows))
    title = f"{name} {VERSION}: right on {100 * accuracy:.2f} % of {len(right):,} held-out pictures"
    (page, places), (other, others) = figure(1, 1, (6, 5.6)), figure(1, 1, (5.4, 4.6))
    write_bytes(docs / "confusion.png", confusion(page, places[0, 0], counts, world.classes, title))
    by = f"{made['calibrated_by']['pictures']:,} training pictures, {made['calibrated']}"
    title = f"{name} {VERSION}: reliability on held-out pictures\n(temperature {temperature:.2f} from\n{by})"
    write_bytes(docs / "reliability.png", reliability(other, others[0, 0], sure.values, right, title))
    print(f"{name}: accuracy {accuracy:.4f}, temperature {temperature}, {digest_of(FOLDER / f'{name}.safetensors')[:12]}")


def world_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command's argument `name` and options for where its pictures are; it is called with the name and the world."""

    @click.argument("name", type=click.Choice(list(SETTINGS)))
    @click.option("--data", help="pattern of zip archives of the training part, where the data set is at hand as such only")
    @click.option("--held-out", help="and of the held-out part")
    @click.option("--classes", help="names of the classes by their numbers, where the archives have none: airplane,automobile,...")
    @wraps(command)
    def with_world(name: str, data: str | None, held_out: str | None, classes: str | None, **others: Any) -> None:
        with progress.watched_by(Printer()):
            world = load(Archive(path=data, held_out=held_out) if data else DATASETS[name](), 0)
            if classes:
                world = dataclasses.replace(world, classes=tuple(classes.split(",")))
            command(name, world, **others)

    return with_world


@click.command()
@world_options
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build" / "references", help="where unfinished work is kept")
def main(name: str, world: World, work: Path) -> None:
    """Trains one reference classifier."""
    work.mkdir(parents=True, exist_ok=True)
    publish(name, world, *trained(name, world, work), work / f"{name}.log")


if __name__ == "__main__":
    main()
