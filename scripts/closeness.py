"""How a reference classifier sees the pictures that it has learned from, beside real pictures that are new to it.

    python scripts/closeness.py digits
    python scripts/closeness.py cifar10 --data 'data/train-*.zip' --held-out data/test.zip

A half of the held-out pictures is what both are compared with: the other half, and as many of (at most 10,000) training pictures. Written
is docs/references/NAME/closeness.csv: mean, least and greatest value of 39 random halves and draws, within which another lies with
probability 95 %.
"""

import csv
import io

import click
import torch
from train_reference import ROOT, parts, world_options

from imgcollapse.extractors.classifier import FittedClassifier
from imgcollapse.extractors.references import reference_of
from imgcollapse.files import write_text
from imgcollapse.images import World
from imgcollapse.judges.real import measured, over_splits, taken
from imgcollapse.metrics import METRICS, Evidence, FeatureSet
from imgcollapse.metrics.record import RealVsReal
from imgcollapse.seeds import torch_generator

MOST = 10_000  # training pictures that are looked at
METRICS_OF = [METRICS["frechet_distance"], METRICS["neighbourhood"]]
SCORES = ["fd", "precision", "recall", "coverage", "min_recall_coverage"]
CLOSENESS = ["score", *(f"{pictures}_{of}" for pictures in ("training", "new") for of in ("mean", "low", "high"))]


def closeness(learned: FeatureSet, unseen: FeatureSet) -> tuple[dict[str, RealVsReal], dict[str, RealVsReal]]:
    """What the scores are of training pictures, and of new ones, each time N = half of the unseen, against the same other half."""
    n = min(len(unseen) // 2, len(learned))

    def both(rows: torch.Tensor, real: torch.Tensor, split: int) -> dict[str, float]:
        held_out = taken(unseen, real)  # one for both: what is costly of it is found once
        drawn = torch.randperm(len(learned), generator=torch_generator(split))[:n]
        sets = {"training": taken(learned, drawn), "new": taken(unseen, rows)}
        found = {
            name: measured(METRICS_OF, Evidence(train=learned, held_out=held_out, generated=samples)) for name, samples in sets.items()
        }
        return {f"{name} {score}": values[score] for name, values in found.items() for score in SCORES}

    found = over_splits(len(unseen), n, both, "training pictures and new ones")
    training, new = ({score: found[f"{name} {score}"] for score in SCORES} for name in ("training", "new"))
    return training, new


@click.command()
@world_options
def main(name: str, world: World) -> None:
    """Writes the table of one shipped reference classifier."""
    one = reference_of(world)
    if one is None or one.name != name:
        raise click.ClickException(f"these are not the held-out pictures that '{name}' serves; give those of the official split")
    fitted = FittedClassifier(one.network(), one.accuracy)
    seen = [fitted.features(images.pixels).double() for images in (parts(world.train)[1][:MOST], world.all_held_out)]
    found = closeness(*map(FeatureSet, seen))
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(CLOSENESS)
    for score in SCORES:
        table.writerow([score, *(f"{value:.4g}" for by in found for value in (by[score].mean, by[score].low, by[score].high))])
    write_text(ROOT / "docs" / "references" / name / "closeness.csv", lines.getvalue())
    print(lines.getvalue(), end="")


if __name__ == "__main__":
    main()
