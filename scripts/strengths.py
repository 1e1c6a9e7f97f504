"""Which features see planted failures: each failure of scripts/planted.py at four strengths, through several extractors (docs/metrics.md).

python scripts/strengths.py                                             the bundled digits
python scripts/strengths.py --dataset mnist --n 500 --draws 8           MNIST (in the data folder)

A metric sees a failure where it is worse than in draws of unseen real pictures by SEEN of their standard deviations, and takes it for
better where it is better by as many. Every strength is done to the same pictures.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from planted import DRAWS, SEEN, Plant, changed, fresh, keep, lose, noise

import torch  # isort: skip
from scipy.stats import spearmanr  # isort: skip
from torch import Tensor  # isort: skip
from torch.nn import functional  # isort: skip

from imgcollapse import datasets, seeds  # isort: skip
from imgcollapse.images import ImageSet, World, concatenate  # isort: skip
from imgcollapse.judges.judge import Judge  # isort: skip
from imgcollapse.judges.titles import metric_title  # isort: skip
from imgcollapse.machine import devices  # isort: skip
from imgcollapse.metrics.scores import SCORES  # isort: skip
from imgcollapse.settings import assignment, build, merge  # isort: skip
from imgcollapse.study import Study  # isort: skip

EXTRACTORS = ["classifier", "random", "pca", "pixels"]
METRICS = ["frechet_distance", "neighbourhood"]
Found = dict[str, dict[str, float]]  # extractor -> score -> value


def tail(ratio: float) -> Plant:
    def plant(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
        return keep(unseen, n, ratio ** -torch.linspace(0, 1, len(world.classes), dtype=torch.float64), draws)

    return plant


def shrunk(part: float) -> Plant:
    def shrink(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        for c in labels.unique():
            own = labels == c
            pixels[own] += part * (pixels[own].mean(0) - pixels[own])
        return pixels

    return changed(shrink)


def repeated(times: int) -> Plant:
    return changed(lambda pixels, labels, draws: pixels[torch.arange(len(pixels)) % max(1, len(pixels) // times)])


def copied(share: float, change: Callable[[Tensor, Tensor, torch.Generator], Tensor]) -> Plant:
    def plant(world: World, unseen: ImageSet, n: int, draws: torch.Generator) -> ImageSet:
        copies = round(share * n)
        others = fresh(world, unseen, n, draws)[copies:]
        return concatenate([changed(change, training=True)(world, unseen, n, draws)[:copies], others])

    return plant


def inflated(part: float) -> Plant:
    return changed(lambda pixels, labels, draws: pixels + part * (pixels - pixels.mean(0)))


def blended(part: float) -> Plant:
    return changed(lambda pixels, labels, draws: pixels + part * (pixels[torch.randperm(len(pixels), generator=draws)] - pixels))


def blurred(width: float) -> Plant:
    """By a Gaussian of that standard deviation, in widths of a picture."""

    def blur(pixels: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        deviation, channels = width * pixels.shape[3], pixels.shape[1]
        reach = max(1, math.ceil(3 * deviation))
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square())
        weights = (weights / weights.sum()).expand(channels, 1, 1, -1)
        padded = functional.pad(pixels, (reach,) * 4, mode="replicate")
        return functional.conv2d(functional.conv2d(padded, weights, groups=channels), weights.transpose(2, 3), groups=channels)

    return changed(blur)


FAILURES: dict[str, Mapping[float, Plant]] = {
    "classes lost, of 10": {count: lose(count) for count in (1, 2, 3, 5)},
    "long tail, to 1": {ratio: tail(ratio) for ratio in (2, 4, 8, 20)},
    "shrunk to class means by": {part: shrunk(part) for part in (0.1, 0.2, 0.35, 0.5)},
    "each repeated, times": {times: repeated(times) for times in (2, 4, 8, 20)},
    "training pictures, share": {share: copied(share, noise(0)) for share in (0.25, 0.5, 0.75, 1.0)},
    "the same with a little noise": {share: copied(share, noise(4)) for share in (0.25, 0.5, 0.75, 1.0)},
    "noise, grey levels": {sd: changed(noise(sd)) for sd in (5, 10, 20, 40)},
    "contrast inflated by": {part: inflated(part) for part in (0.1, 0.2, 0.35, 0.5)},
    "another blended in, share": {part: blended(part) for part in (0.05, 0.1, 0.25, 0.5)},
    "blurred, widths of a picture": {width: blurred(width) for width in (0.015, 0.02, 0.03, 0.05)},
}


def measure(world: World, unseen: ImageSet, judge: Judge, draws: int) -> tuple[list[Found], dict[str, dict[float, Found]]]:
    """The scores of so many draws without a failure, and of every failure at every strength."""
    assert judge.n is not None
    n, reference = judge.n, judge.open(world)

    def scores(plant: Plant, *place: int | str) -> Found:
        samples = plant(world, unseen, n, seeds.torch_generator(seeds.derive(0, "planted", *place)))
        return {
            source: {name: found[name].value for name in SCORES if name in found}
            for source, found in reference(samples).scores.sources.items()
        }

    real = [scores(fresh, "fresh", draw) for draw in range(draws)]
    return real, {name: {strength: scores(plant, name) for strength, plant in by.items()} for name, by in FAILURES.items()}


def judged(real: list[Found], planted: dict[str, dict[float, Found]], extractor: str, name: str) -> dict[str, dict[str, list[float]]]:
    """By failure, over the strengths: `z`, how far the score is to the worse of real pictures in standard deviations of their draws, and
    `rho`, Spearman's correlation of that with the strength (0 among them)."""
    values = [one[extractor][name] for one in real]
    middle, spread = statistics.mean(values), statistics.stdev(values)
    worse = -1 if SCORES[name].better == "higher" else 1
    found = {}
    for failure, by in planted.items():
        away = [worse * (one[extractor][name] - middle) for one in by.values()]
        rho = float(spearmanr([0, *by], [0, *away]).statistic) if any(away) else 0.0
        found[failure] = {"z": [one / max(spread, 1e-12) for one in away], "rho": [rho]}
    return found


def table(real: list[Found], planted: dict[str, dict[float, Found]]) -> list[str]:
    """Markdown: extractors down, scores across; `seen at each strength (taken for better) rho`, the last of failures that are seen."""
    names = list(next(iter(real[0].values())))
    lines = [f"| features | {' | '.join(metric_title(name, short=True) for name in names)} | all |", f"|---|{'---|' * (len(names) + 1)}"]
    for extractor in real[0]:
        cells, seen_of_all, better_of_all = [], 0, 0
        for name in names:
            found = judged(real, planted, extractor, name).values()
            seen = [sum(one["z"][at] >= SEEN for one in found) for at in range(4)]
            better = sum(z <= -SEEN for one in found for z in one["z"])
            rhos = [one["rho"][0] for one in found if one["z"][-1] >= SEEN]
            cells.append(f"{' '.join(map(str, seen))} ({better})" + (f" {statistics.mean(rhos):.2f}" if rhos else ""))
            seen_of_all, better_of_all = seen_of_all + sum(seen), better_of_all + better
        lines.append(f"| `{extractor}` | {' | '.join(cells)} | {seen_of_all} ({better_of_all}) |")
    return lines


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--set", "assignments", multiple=True, help="As of `imgcollapse run`: judge.extractors=[...], dataset.held_out=...")
@click.option("--n", type=int, help="Pictures compared. [a fifth of the training part, at most all held out]")
@click.option("--draws", default=DRAWS, show_default=True, help="Of real pictures without a failure.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("strengths.json"), show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), default=None)
def main(dataset: str, assignments: tuple[str, ...], n: int | None, draws: int, out: Path, data_dir: Path | None) -> None:
    """Writes all numbers as JSON, and prints the table."""
    values: dict[str, Any] = {"dataset": dataset, "judge": {"extractors": EXTRACTORS, "metrics": METRICS}}
    for text in assignments:
        values = merge(values, assignment(text))
    study = build(Study, values)
    with devices.use(devices.Machine(device="cpu", precision="float32", **({"data_dir": data_dir} if data_dir else {}))):
        whole = datasets.load(study.dataset, 0)
        n = n or min(len(whole.held_out), len(whole.train) // 5)
        unseen = whole.train[: len(whole.train) - max(n, len(whole.train) // 3)]
        world = replace(whole, train=whole.train[len(unseen) :])
        judge = study.judge.model_copy(update={"n": n}).resolved(world, n)
        real, planted = measure(world, unseen, judge, draws)
        extractors = {one.name: one.record() for one in judge.open(world).extractors}
    lines = [f"{whole.name}, N = {n:,}, {draws} draws", "", *table(real, planted)]
    record = {"dataset": whole.name, "n": n, "extractors": extractors, "real": real, "planted": planted, "table": lines}
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
