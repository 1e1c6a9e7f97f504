"""How long a judge takes on this machine, and how much it writes, measured on a few pictures."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from imgcollapse import grids
from imgcollapse.errors import WeightsProblem
from imgcollapse.extractors import Banded, Extractor, FittedExtractor
from imgcollapse.extractors.random import Random
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import World
from imgcollapse.judges.judge import Judge
from imgcollapse.judges.real import SPLITS, measured, taken
from imgcollapse.judges.titles import NEIGHBOURS
from imgcollapse.judges.view import feature_set, view_of
from imgcollapse.machine import cache, devices, timing
from imgcollapse.metrics import METRICS, Evidence

SMALL, LARGE = 250, 1000  # pictures by which it is found how the metrics' time grows with them: at most as n^2


@dataclass(frozen=True)
class JudgeWork:
    """Seconds of judging, and what it leaves.

    first:   before generation 0: an extractor that is to be trained, real vs real; 0 where the data folder has it
    each:    of every generation that is judged, without likelihoods
    values:  scores of a generation, without those of likelihoods
    grid:    bytes of its sample grid
    unknown: what cannot be said, in lines
    """

    first: float
    each: float
    values: int
    grid: int
    unknown: tuple[str, ...] = ()


def work_of(judge: Judge, world: World, drawn: int) -> JudgeWork:
    """Of a judge with every choice made, of a generation that draws so many pictures; the data folder is only looked at."""
    each, grid = _grid(world)
    first, values, unknown = 0.0, 0, list[str]()
    with cache.looking_only():
        for extractor in judge.extractors or ():
            try:
                opening, training, fitted = _fitted(extractor, world)
            except WeightsProblem as problem:
                unknown.append(f"{problem}; its time is not counted")
                continue
            begun, usual, found = _metrics(judge, fitted, world)
            values += found
            see = timing.seconds_each(partial(_seen, fitted, world), 4096)
            assert judge.n is not None
            knows = fitted.probabilities(_seen(fitted, world, 1)) is not None
            each += usual + see * ((drawn if knows else judge.n) + judge.n)  # of what is drawn, and of the training set
            first += opening
            if training or not _is_known(world.name, fitted.name):
                first += training + SPLITS * begun + see * (judge.n + len(world.held_out))
    return JudgeWork(first, each, values, grid, tuple(unknown))


def _fitted(extractor: Extractor, world: World) -> tuple[float, float, FittedExtractor]:
    """Seconds until it is there, and of its training, where that is to be done first; the extractor, or a random network in its place."""
    steps = timing.Steps()
    took, fitted = timing.seconds_of(lambda: steps.watch(lambda: extractor.fit(world)))
    if fitted is None:
        return 0.0, steps.step * steps.total, Random().fit(world)
    return took, 0.0, fitted


def _grid(world: World) -> tuple[float, int]:
    """Seconds and bytes of the sample grid of a generation."""
    few = world.train[: len(world.classes) * grids.COLUMNS]
    shown = grids.first_of_each(few.labels, len(world.classes))
    took, made = timing.seconds_of(lambda: grids.png(grids.by_class("", few, shown, world.classes)))
    return took, len(made)


def _is_known(world: str, extractor: str) -> bool:
    """Whether real vs real of such an extractor lies in the data folder, by whatever N: then nearly nothing is left to be done."""
    return any((devices.current().data_dir / "references").glob(f"{world.replace('/', '_')}-{extractor}-*.safetensors"))


def _seen(extractor: FittedExtractor, world: World, n: int) -> Tensor:
    """float32 [n, D]: features of real pictures, again and again where there are fewer."""
    return extractor.features(world.train.pixels[torch.arange(n) % len(world.train)])


def _metrics(judge: Judge, extractor: FittedExtractor, world: World) -> tuple[float, float, int]:
    """Seconds of all metrics at the judge's N, where nothing is known of the real pictures, and where all is; how many values they find."""
    assert judge.n is not None
    least = 2 * max(int(getattr(judge, name)) for name in NEIGHBOURS)
    sizes = sorted({min(max(size, least), judge.n) for size in (SMALL, LARGE)})
    found = [_measured(judge, extractor, world, n) for n in sizes]
    if sizes[-1] == judge.n or len(sizes) == 1:
        return found[-1]
    growth = (judge.n**2 - sizes[1] ** 2) / (sizes[1] ** 2 - sizes[0] ** 2)
    begun, usual = (after + max(0.0, after - before) * growth for before, after in zip(*(one[:2] for one in found), strict=True))
    return begun, usual, found[-1][2]


def _measured(judge: Judge, extractor: FittedExtractor, world: World, n: int) -> tuple[float, float, int]:
    small = replace(world, held_out=world.held_out[: 2 * n])
    train, unseen = (feature_set(extractor, part) for part in (world.train[:n], small.held_out))
    view = view_of(extractor, small, train, unseen, n)
    metrics = [METRICS[name] for name in judge.metrics or () if METRICS[name].of == "features"]
    none = torch.zeros(n, dtype=torch.bool)
    more: dict[str, Any] = {name: int(getattr(judge, name)) for name in NEIGHBOURS}
    more |= {"bands": extractor.bands} if isinstance(extractor, Banded) else {}

    def once() -> tuple[float, int]:
        made = taken(view.unseen, torch.arange(n, 2 * n))
        learned = taken(made, torch.arange(n)) if any(metric.trained for metric in metrics) else None
        shares, found = small.shares(), view.confusion
        evidence = Evidence(view.train, view.held_out, made, shares, found, learned=learned, copies=none, learned_copies=none, **more)
        took, values = timing.seconds_of(lambda: measured(metrics, evidence))
        return took, len(values)

    (begun, values), (usual, _) = once(), once()
    return begun, usual, values
