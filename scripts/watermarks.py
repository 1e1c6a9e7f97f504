"""What a watermark can do on a data set: how often it is found, what it costs, what attacks leave of it, and how long it lives on.

python scripts/watermarks.py carry                                       the bundled digits
python scripts/watermarks.py carry --dataset mnist                       MNIST (in the data folder), or any data set as JSON
python scripts/watermarks.py lifetime --dataset digits --model ddpm      is generation 0's mark found in what later ones draw?

The tables of docs/watermarks.md are made of what these print.
"""

import itertools
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

import torch  # isort: skip
from torch import Tensor  # isort: skip

from imgcollapse import datasets, store  # isort: skip
from imgcollapse.extractors.random import Random  # isort: skip
from imgcollapse.gates import Watermark  # isort: skip
from imgcollapse.gates.attacks import ATTACKS  # isort: skip
from imgcollapse.gates.mark import Detector, marked, pattern, psnr  # isort: skip
from imgcollapse.images import World  # isort: skip
from imgcollapse.metrics import Evidence, FeatureSet  # isort: skip
from imgcollapse.metrics.distances import frechet_distance, kernel_distance  # isort: skip
from imgcollapse.settings import build  # isort: skip
from imgcollapse.study import Study, run  # isort: skip

MOST = 10_000  # real pictures that the detector is made of
LOOKED_AT = 2_000  # held-out pictures that are marked, and as many that are not
DECIBELS = (30.0, 34.0, 38.0, 42.0, 46.0)
HARDER = {"noise": 16.0, "shift": 2.0, "crop": 2.0, "jpeg": 50.0, "blur": 1.0, "requantise": 8.0}  # beside the usual strength of an attack
Found = list[float]


@click.group()
def main() -> None:
    """Measures watermarks."""


def _study(dataset: str, **more: Any) -> Study:
    return build(Study, {"dataset": json.loads(dataset) if dataset.startswith("{") else dataset, **more})


@main.command()
@click.option("--dataset", default="digits", show_default=True, help="Its kind, or all of it as JSON.")
@click.option("--keys", default=10, show_default=True, help="Patterns, over which means and the least and greatest are taken.")
@click.option("--false-positives", default=0.01, show_default=True)
def carry(dataset: str, keys: int, false_positives: float) -> None:
    """How often the mark is found in held-out real pictures, by its signal-to-noise ratio and after each attack; what it costs in FD."""
    world = datasets.load(_study(dataset).dataset, 0)
    half = min(LOOKED_AT, len(world.held_out) // 2)
    clean, others = world.held_out.pixels[:half], world.held_out.pixels[half : 2 * half]
    real = world.train[:MOST]
    detectors = [Detector.of(real, key, false_positives) for key in range(keys)]
    click.echo(f"{world.name}: {world.train.pixels[0].numel():,} values, detector of {min(MOST, len(world.train)):,} pictures, {keys} keys")
    click.echo(f"{half:,} held-out pictures; in those without a mark it is found in {_over(_rates(detectors, lambda key: clean))}")
    click.echo("| PSNR (dB) | found | in the set of 100: z | FD (real vs real) | KID (real vs real) |\n|---|---|---|---|---|")
    for decibels in DECIBELS:
        published = [marked(clean, pattern(clean.shape[1:], key), decibels) for key in range(keys)]
        found = _over(_rates(detectors, published.__getitem__))
        in_set = _over([one.of_set(published[key][:100], 999, key)[0] for key, one in enumerate(detectors)], 1)
        least = float(torch.cat([psnr(clean, one) for one in published]).min())
        assert least >= decibels, "no picture is changed by more"
        costs = [_cost(world, published[key], others) for key in range(min(3, keys))]
        plain = _cost(world, clean, others)
        fd, kid = (statistics.fmean(one[at] for one in costs) for at in (0, 1))
        click.echo(f"| {decibels:g} | {found} | {in_set} | {fd:.3f} ({plain[0]:.3f}) | {kid:.3g} ({plain[1]:.2g}) |")
    click.echo("\n| attack at 38 dB | found | in those without a mark |\n|---|---|---|")
    for name, (attack, usual, _) in ATTACKS.items():
        for strength in (usual, HARDER[name]):
            after = [attack(marked(clean, pattern(clean.shape[1:], key), 38.0), strength, key) for key in range(keys)]
            without = [attack(clean, strength, key) for key in range(keys)]
            rates = [_over(_rates(detectors, one.__getitem__)) for one in (after, without)]
            click.echo(f"| {name} {strength:g} | {rates[0]} | {rates[1]} |")


def _rates(detectors: list[Detector], pictures: Callable[[int], Tensor]) -> Found:
    return [float(one.finds(pictures(key)).double().mean()) for key, one in enumerate(detectors)]


def _over(values: Found, decimals: int = 3) -> str:
    mean, low, high = statistics.fmean(values), min(values), max(values)
    return f"{mean:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def _cost(world: World, pictures: Tensor, others: Tensor) -> tuple[float, float]:
    """FD and KID, by random features, of pictures to as many other held-out real ones."""
    extractor = Random().fit(world)
    real, made = (FeatureSet(extractor.features(pixels).double()) for pixels in (others, pictures))
    evidence = Evidence(real, real, made)
    return frechet_distance(evidence)["fd"], kernel_distance(evidence)["kid"]


@main.command()
@click.option("--dataset", default="digits", show_default=True, help="Its kind, or all of it as JSON.")
@click.option("--model", default="gmm", show_default=True, help="Its kind, or all of it as JSON.")
@click.option("--samples", type=int, help="Pictures of a generation. [default: as of a run]")
@click.option("--gens", default=6, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--psnr", "decibels", default=38.0, show_default=True)
def lifetime(dataset: str, model: str, samples: int | None, gens: int, seeds: int, decibels: float) -> None:
    """Generation 0 marks all it publishes, and nothing is filtered: is its mark found in what the unmarked later ones draw?

    For each generation: the share of pictures in which the detector finds the mark; the set as a whole, in standard deviations of what
    other keys' patterns have in it; and in how many chains that is significant at 1 % by the exact test. Every chain has a key of its own.
    Each beside the same of a chain with the same seed that nobody marks.
    """
    head = "| generation | found, share of pictures (nobody marks) | whole set, z (nobody marks) | chains with p <= 0.01 (nobody marks) |"
    click.echo(f"{head}\n|---|---|---|---|")
    table: dict[int, dict[float, list[tuple[float, float, float]]]] = {}
    for seed, adoption in itertools.product(range(seeds), (1.0, 0.0)):
        gate = {"kind": "watermark", "marks": "first", "filter": False, "psnr": decibels, "key": seed, "adoption": adoption}
        more: dict[str, Any] = {"model": json.loads(model) if model.startswith("{") else model, "gens": gens, "seed": seed}
        study = _study(dataset, **more, samples=samples, gates=[gate], judge={"extractors": [], "metrics": []})
        for generation, found in enumerate(_followed(study)):
            table.setdefault(generation, {}).setdefault(adoption, []).append(found)
    for generation, both in table.items():
        cells = []
        for rows in both.values():
            share, z = ([row[at] for row in rows] for at in (0, 1))
            cells.append((_over(share), _over(z, 1), f"{sum(row[2] <= 0.01 for row in rows)} of {len(rows)}"))
        click.echo(f"| {generation} | " + " | ".join(f"{with_marks} ({plain})" for with_marks, plain in zip(*cells, strict=True)) + " |")


def _followed(study: Study) -> Iterator[tuple[float, float, float]]:
    """Of each generation: the share of pictures with the mark, z and p of the set."""
    (gate,) = study.gates
    assert isinstance(gate, Watermark)
    world = datasets.load(study.dataset, study.seed)
    detector = Detector.of(world.train[: study.size(len(world.train))], gate.key, gate.false_positives)
    with tempfile.TemporaryDirectory() as place:
        run(study, Path(place) / "run")
        for generation in range(study.gens):
            drawn = store.read_images(store.generation_folder(Path(place) / "run", generation) / store.SAMPLES).pixels
            yield float(detector.finds(drawn).double().mean()), *detector.of_set(drawn, 999, gate.key)


if __name__ == "__main__":
    main()
