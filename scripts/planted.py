"""What each metric sees and misses: ten failures planted into real pictures, each by every metric (the figure of docs/metrics.md).

python scripts/planted.py --out docs/planted.png                                    on the bundled digits
python scripts/planted.py --dataset mnist --n 5000 --out docs/planted.png           on MNIST (in the data folder)

The pictures that stand for samples are real ones that neither the judge nor its classifier has seen (which therefore learns from a part of
the training pictures here: the shipped one knows them all); a failure is done to them. Several draws without any failure tell what real
pictures score (their mean) and by how much a value differs by chance alone.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from imgcollapse.machine import torchvision_guard  # noqa: F401 (clean-fid and diffusers import torchvision)

import torch  # isort: skip
from torch import Tensor  # isort: skip

from imgcollapse import datasets, seeds  # isort: skip
from imgcollapse.extractors.classifier import Classifier  # isort: skip
from imgcollapse.machine import devices  # isort: skip
from imgcollapse.images import ImageSet, World  # isort: skip
from imgcollapse.judges.judge import Judge  # isort: skip
from imgcollapse.judges.titles import metric_title  # isort: skip
from imgcollapse.metrics.scores import SCORES  # isort: skip
from imgcollapse.reports.style import figure  # isort: skip
from imgcollapse.settings import build  # isort: skip
from imgcollapse.study import Study  # isort: skip

DRAWS = 20  # of real pictures without a failure
SEEN = 4.0  # standard deviations between draws from which a metric sees a failure
Plant = Callable[[World, ImageSet, int, torch.Generator], ImageSet]  # (world, unseen pictures, n, randomness) -> n samples


def keep(unseen: ImageSet, n: int, weights: Tensor, draws: torch.Generator) -> ImageSet:
    """n different pictures in which the classes are as often as these weights say."""
    counts = torch.bincount(unseen.labels, minlength=len(weights))
    shares = weights * counts
    wanted = (n * shares / shares.sum()).round().long()
    wanted[shares.argmax()] += n - wanted.sum()
    order = torch.randperm(len(unseen), generator=draws)
    rows = torch.cat([order[unseen.labels[order] == c][:count] for c, count in enumerate(wanted.tolist())])
    assert len(rows) == n, "too few unseen pictures for this failure; use a smaller --n"
    return unseen[rows[torch.randperm(n, generator=draws)]]


def fresh(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
    return unseen[torch.randperm(len(unseen), generator=draws)[:n]]


def lose(count: int) -> Plant:
    def plant(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
        return keep(unseen, n, (torch.arange(len(world.classes)) >= count).double(), draws)

    return plant


def tail(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
    return keep(unseen, n, 20 ** -torch.linspace(0, 1, len(world.classes), dtype=torch.float64), draws)


def changed(change: Callable[[Tensor, Tensor, torch.Generator], Tensor], training: bool = False) -> Plant:
    """A failure that changes pixels (float [N, C, H, W], 0 to 255) of unseen pictures, or of training pictures."""

    def plant(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
        images = world.train[:n] if training else fresh(world, unseen, n, draws)
        pixels = change(images.pixels.float(), images.labels, draws)
        return ImageSet.of(pixels.round().clamp(0, 255).to(torch.uint8), images.labels)

    return plant


def shrink(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    for c in labels.unique():
        own = labels == c
        pixels[own] += 0.5 * (pixels[own].mean(0) - pixels[own])
    return pixels


def inflate(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    return pixels + 0.5 * (pixels - pixels.mean(0))


def noise(sd: float) -> Callable[[Tensor, Tensor, torch.Generator], Tensor]:
    return lambda pixels, labels, draws: pixels + sd * torch.randn(pixels.shape, generator=draws)


def blend(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    return (pixels + pixels[torch.randperm(len(pixels), generator=draws)]) / 2


def repeat(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    return pixels[torch.arange(len(pixels)) % max(1, len(pixels) // 20)]


FAILURES: dict[str, Plant] = {
    "1 of 10 classes lost": lose(1),
    "5 of 10 classes lost": lose(5),
    "long tail, 20 to 1": tail,
    "shrunk half-way to class means": changed(shrink),
    "a twentieth of them, repeated": changed(repeat),
    "training pictures copied": changed(lambda pixels, labels, draws: pixels, training=True),
    "copied with a little noise": changed(noise(4), training=True),
    "noise added": changed(noise(40)),
    "inflated (contrast x 1.5)": changed(inflate),
    "two pictures blended": changed(blend),
}


def measure(world: World, unseen: ImageSet, n: int) -> tuple[dict[str, list[float]], dict[str, dict[str, float]]]:
    """The scores of DRAWS draws without a failure, a list a metric, and the scores of every failure."""
    reference = Judge(extractors=(Classifier(weights="own"),), n=n).resolved(world, n).open(world)

    def scores(plant: Plant, *place: int | str) -> dict[str, float]:
        samples = plant(world, unseen, n, seeds.torch_generator(seeds.derive(0, "planted", *place)))
        found = reference(samples).scores.sources["classifier"]
        return {name: found[name].value for name in SCORES if name in found}

    real = [scores(fresh, "fresh", draw) for draw in range(DRAWS)]
    return {name: [one[name] for one in real] for name in real[0]}, {name: scores(plant, name) for name, plant in FAILURES.items()}


def draw(real: dict[str, list[float]], planted: dict[str, dict[str, float]], caption: str, path: Path) -> None:
    """Failures down, metrics across. A cell: value by that of real pictures; its colour: whether the metric sees the failure, or takes it
    for better."""
    names = list(real)
    page, axes = figure(1, 1, (0.62 * len(names) + 3.2, 0.42 * len(planted) + 3.6))
    place: Any = axes[0, 0]
    for row, scores in enumerate(planted.values()):
        for column, name in enumerate(names):
            expected, spread = statistics.mean(real[name]), statistics.stdev(real[name])
            away = (scores[name] - expected) * (-1 if SCORES[name].better == "higher" else 1)
            sigmas = away / spread if spread > 0 else (0.0 if away == 0 else float("inf") * away)
            strength = 0.0 if abs(sigmas) < SEEN else min(1.0, 0.25 + abs(sigmas) / 80)
            red, blue = (0.84, 0.37, 0.30), (0.27, 0.46, 0.71)
            shade = [1 - strength * (1 - part) for part in (red if sigmas > 0 else blue)]
            place.add_patch(_box(column, row, shade))
            place.text(column, row, _cell(scores[name], expected, spread), ha="center", va="center", fontsize=8)
    place.set_xlim(-0.5, len(names) - 0.5)
    place.set_ylim(len(planted) - 0.5, -0.5)
    place.set_yticks(range(len(planted)), list(planted), fontsize=9)
    place.set_xticks(
        range(len(names)), [f"{metric_title(name, short=True)} {'↓' if SCORES[name].better == 'lower' else '↑'}" for name in names]
    )
    place.tick_params(axis="x", labeltop=True, labelbottom=False, top=False, bottom=False, labelsize=9)
    place.tick_params(axis="y", left=False)
    for label in place.get_xticklabels():
        label.set(rotation=45, ha="left", rotation_mode="anchor")
    for side in place.spines.values():
        side.set_visible(False)
    page.supxlabel(caption, fontsize=9)
    page.savefig(path)


def _box(column: int, row: int, shade: list[float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=shade, edgecolor="white")


def _cell(value: float, expected: float, spread: float) -> str:
    """`1.0` for what real pictures score; where that is not told from 0, the value itself in brackets."""
    if abs(expected) <= 3 * spread or expected <= 0:
        return f"({value:.0f})" if abs(value) >= 10 else f"({value:.2g})"
    ratio = value / expected
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 1.995 else f"{ratio:.2f}"


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--n", type=int, help="Pictures compared. [a fifth of the training part, at most half of what is held out]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("planted.png"), show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), default=None)
def main(dataset: str, n: int | None, out: Path, data_dir: Path | None) -> None:
    """Draws the figure, and writes its numbers beside it as JSON."""
    place = devices.Machine(device="cpu", precision="float32", **({"data_dir": data_dir} if data_dir else {}))
    with devices.use(place):
        whole = datasets.load(build(Study, {"dataset": dataset}).dataset, 0)
        n = n or min(len(whole.held_out) // 2, len(whole.train) // 5)
        unseen = whole.train[: len(whole.train) - max(n, len(whole.train) // 3)]
        world = replace(whole, train=whole.train[len(unseen) :])
        real, planted = measure(world, unseen, n)
    about = f"{whole.name}, N = {n:,}, classifier features. A cell: value / that of real pictures; (value) where that is not told from 0. "
    key = f"Red: the metric sees the failure; blue: it takes it for better than real; white: within {SEEN:g} standard deviations of"
    draw(real, planted, f"{about}\n{key} {DRAWS} draws of real pictures.", out)
    expected = {name: {"mean": statistics.mean(values), "sd": statistics.stdev(values)} for name, values in real.items()}
    record = {"dataset": whole.name, "n": n, "draws": DRAWS, "real": expected, "planted": planted}
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{out}, {out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
