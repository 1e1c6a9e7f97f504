"""Trains the reference classifiers that come with the package, and writes what says how good they are.

    python scripts/train_reference.py digits
    python scripts/train_reference.py cifar10 --data 'zip:data/train-*.zip' --held-out data/test.zip

One that is stopped goes on when the command is given again. A tenth of the training part, 5,000 pictures at most, is kept out of the
training, for the temperature; the held-out part is looked at once, at the end. Written are

    imgcollapse/extractors/references/NAME.safetensors, NAME.json     the weights, and what they are
    docs/references/NAME/                                             log, confusion matrix and reliability diagram
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from imgcollapse import progress
from imgcollapse.datasets import DATASETS, load
from imgcollapse.datasets.archive import Archive
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.seeds import torch_generator

SETTINGS = {
    "digits": Classifier(steps=2000, widths=(32, 64), smoothing=0.1),
    "mnist": Classifier(steps=4000, widths=(16, 32, 64), smoothing=0.1),
    "fashion-mnist": Classifier(steps=6000, widths=(32, 64, 128), mirror=True, smoothing=0.1),
    "cifar10": Classifier(steps=3400, batch=256, widths=(64, 192, 128), mirror=True, smoothing=0.1, learning_rate=3e-3),
}
ROOT = Path(__file__).resolve().parent.parent


class Printer(progress.Silent):
    """Lines for a log."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


def ordered(images: ImageSet) -> ImageSet:
    """The same pictures in an order that depends on them alone, not on the form in which they are stored; mixed."""
    images = images[fingerprints(images.pixels).argsort(stable=True)]
    return images[torch.randperm(len(images), generator=torch_generator(0))]


def calibration_part(train: ImageSet) -> tuple[ImageSet, ImageSet]:
    """What is learned from, and what the temperature is chosen by."""
    kept = min(5000, len(train) // 10)
    return train[kept:], train[:kept]


def train_one(name: str, world: World, work: Path) -> None:
    """Trains, or goes on with the training of, that reference."""
    settings, started = SETTINGS[name], time.time()
    learned, _ = calibration_part(ordered(world.train))
    work.mkdir(parents=True, exist_ok=True)
    lines = work / f"{name}.log"

    def log(step: int, loss: float) -> None:
        with lines.open("a") as file:
            print(f"{step + 1},{loss:.4f},{time.time() - started:.0f}", file=file)

    key = json.dumps([settings.model_dump(mode="json"), learned.digest()])
    net = settings.train(learned, len(world.classes), Checkpoint(work / f"{name}.safetensors", key, every=120), log)
    torch.save(net.state_dict(), work / f"{name}.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETTINGS)
    parser.add_argument("--data", help="zip:PATTERN where the data set is at hand as zip archives only")
    parser.add_argument("--held-out", help="and its held-out part")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "references")
    asked = parser.parse_args()
    if asked.data:
        dataset = Archive(path=asked.data.removeprefix("zip:"), held_out=asked.held_out)
    else:
        dataset = DATASETS[asked.name]()
    with progress.watched_by(Printer()):
        train_one(asked.name, load(dataset, 0), asked.work)


if __name__ == "__main__":
    main()
