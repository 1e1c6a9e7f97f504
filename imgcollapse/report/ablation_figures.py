"""`curves.png`, `forest.png` and `grids.png` of an ablation: arms side by side."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from imgcollapse import grids, store
from imgcollapse.images import ImageSet
from imgcollapse.metrics.scores import SCORES
from imgcollapse.report.style import FROM_ZERO, GREY, PAPER, arm_style, figure, tidy
from imgcollapse.summary import HALVED, Record, Run

PANELS = ("fd", "precision", "recall", "coverage", "classes_alive", "effective_classes")
FOREST = (("fd", "area"), ("fd", "slope"), ("recall", "slope"), ("coverage", "slope"), ("effective_classes", "last"))
NULL = "bootstrap"  # the null model drawn as a reference; the gaussian one is so far off on pictures that all arms would look alike
SHOWN = 5  # generations in the sample grids
MOSAIC = (4, 5)  # rows and columns of pictures of one cell


def draw_ablation(folder: Path, runs: Sequence[Run], summary: Record) -> list[Path]:
    """Draws what is there so far into the ablation's folder; returns the files written."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):  # a question may hold a dollar sign
        made = [_curves(folder, summary), _forest(folder, summary), _grids(folder, runs)]
    return [path for path in made if path]


def _curves(folder: Path, summary: Record) -> Path | None:
    """A panel a metric: every arm's mean, its interval as a band, the floor dashed, the null model under the reference regime dotted."""
    extractor = _extractor(summary)
    arms = [arm for arm in summary["arms"] if arm["null"] is None and extractor in arm["extractors"]]
    if not arms:
        return None
    panels = [name for name in PANELS if name in arms[0]["extractors"][extractor]]
    rows = math.ceil(len(panels) / 3)
    page, axes = figure(rows, 3, (12, 3.1 * rows + 1.3))
    nulls = [
        arm for arm in summary["arms"] if arm["null"] == NULL and arm["arm"] == summary["reference"] and extractor in arm["extractors"]
    ]
    for place, name in zip(axes.flat, panels, strict=False):
        highest = 0.0
        for number, arm in enumerate(arms):
            points = arm["extractors"][extractor][name]["by_generation"]
            style = arm_style(number)
            x, mean = [point["generation"] for point in points], [point["mean"] for point in points]
            place.plot(x, mean, label=arm["arm"], **style)
            banded = [point for point in points if point["low"] is not None]
            if banded:
                x, low, high = ([point[key] for point in banded] for key in ("generation", "low", "high"))
                place.fill_between(x, low, high, color=style["color"], alpha=0.12, linewidth=0)
            highest = max(highest, *mean)
        for arm in nulls:
            points = arm["extractors"][extractor][name]["by_generation"]
            label = f"null model {NULL}, {arm['arm']}"
            place.plot([p["generation"] for p in points], [p["mean"] for p in points], ":", color=GREY, linewidth=1.6, label=label)
            highest = max(highest, *(p["mean"] for p in points))
        floor = arms[0]["extractors"][extractor][name]["floor"]
        place.axhline(floor, color=GREY, linestyle="--", linewidth=1.2, label="floor: real against real")
        tidy(place, SCORES[name].title, SCORES[name].meaning, whole=True)
        # the mean decides the window: with few seeds an interval may reach far beyond what a metric can be
        if name in FROM_ZERO or name == "fd":
            place.set_ylim(0, 1.12 * max(highest, floor, 1e-9))
    for place in list(axes.flat)[len(panels) :]:
        place.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False, fontsize=9)
    page.suptitle(_title(summary, f"mean over seeds with 95 % intervals; {_seeds(arms)}; features: {extractor}"), fontsize=11)
    return _saved(page, folder / "curves.png")


def _forest(folder: Path, summary: Record) -> Path | None:
    """Collapse numbers with their intervals: a row an arm (under it, in grey, the null model of finite sampling), a panel a number."""
    extractor = _extractor(summary)
    arms = [arm for arm in summary["arms"] if extractor in arm["extractors"] and arm["null"] in (None, NULL)]
    wanted = [(name, what) for name, what in FOREST if arms and name in arms[0]["extractors"][extractor]]
    if not wanted:
        return None
    halved = next((name for name in HALVED if name in arms[0]["extractors"][extractor]), None)
    page, axes = figure(1, len(wanted) + (halved is not None), (3.0 * len(wanted) + 3.2, 0.27 * len(arms) + 1.9))
    own = [arm["arm"] for arm in arms if arm["null"] is None]
    names = [arm["arm"] if arm["null"] is None else f"null: {arm['null']}" for arm in arms]
    for place, (name, what) in zip(axes.flat, wanted, strict=False):
        for row, arm in enumerate(arms):
            span = arm["extractors"].get(extractor, {}).get(name, {}).get(what)
            if span is None or span["mean"] is None:
                continue
            style = arm_style(own.index(arm["arm"])) if arm["null"] is None else {"color": GREY, "marker": ".", "markersize": 7}
            if span["low"] is not None:
                place.plot([span["low"], span["high"]], [row, row], color=style["color"], linewidth=1.4)
            place.plot([span["mean"]], [row], color=style["color"], marker=style["marker"], markersize=style["markersize"])
            unit = span["unit"]
        words = {"area": "area above the floor", "slope": "slope", "last": "last generation"}[what]
        tidy(place, SCORES[name].title, words if what == "last" else f"{words} ({unit})")
        place.set_yticks(range(len(arms)), names if place is axes.flat[0] else [""] * len(arms), fontsize=8)
        place.set_ylim(len(arms) - 0.5, -0.5)
        if what == "last":
            place.axvline(arms[0]["extractors"][extractor][name]["floor"], color=GREY, linestyle="--", linewidth=1.2)
        else:
            place.axvline(0, color=GREY, linewidth=0.8)
    if halved is not None:
        place = axes.flat[len(wanted)]
        place.set_axis_off()
        place.set_ylim(len(arms) - 0.5, -0.5)
        place.set_title(f"{SCORES[halved].title} below half", fontsize=10, loc="left", fontweight="bold", pad=18)
        for row, arm in enumerate(arms):
            words = arm["extractors"][extractor][halved]["half"]["words"]
            place.text(0, row, words, fontsize=8, va="center", color=GREY if arm["null"] else "black")
    page.suptitle(_title(summary, f"means with 95 % intervals; {_seeds([a for a in arms if a['null'] is None])}"), fontsize=11)
    return _saved(page, folder / "forest.png")


def _grids(folder: Path, runs: Sequence[Run]) -> Path | None:
    """Arm by generation: in every cell the same places of noise, so that what changes is what the arm has forgotten."""
    arms = {run.arm: run for run in reversed(runs) if run.null is None and run.seed == runs[0].seed and _there(run)}
    arms = dict(reversed(arms.items()))
    if not arms:
        return None
    last = max(max(_there(run)) for run in arms.values())
    chosen = sorted({round(last * part / (SHOWN - 1)) for part in range(SHOWN)})
    cells = {}
    for arm, run in arms.items():
        for generation in set(chosen) & set(_there(run)):
            latents = store.read_images(store.generation_folder(run.folder, generation) / store.LATENTS)
            if latents.are_points:
                return None
            cells[arm, generation] = _mosaic(latents)
    kind = next(iter(arms.values())).study
    title = f"{kind.model.kind} on {kind.dataset.kind}, seed {kind.seed}: samples from the same noise"
    page = grids.table(
        title,
        list(arms),
        [f"generation {generation}" for generation in chosen],
        {(arm, f"generation {generation}"): cell for (arm, generation), cell in cells.items()},
    )
    page.save(folder / "grids.png", optimize=True)
    return folder / "grids.png"


def _mosaic(images: ImageSet) -> torch.Tensor:
    """uint8 [C, H, W] of the first pictures, MOSAIC of them, with a grey line between."""
    rows, columns = MOSAIC
    pixels = torch.nn.functional.pad(images.pixels[: rows * columns], (0, 1, 0, 1), value=90)
    n, c, h, w = pixels.shape
    pixels = torch.cat([pixels, pixels.new_full((rows * columns - n, c, h, w), 255)])
    return pixels.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w)[:, :-1, :-1]


def _there(run: Run) -> list[int]:
    return store.finished(run.folder) if (run.folder / store.STUDY).is_file() else []


def _extractor(summary: Record) -> str:
    return next((name for arm in summary["arms"] for name in arm["extractors"]), "")


def _seeds(arms: Sequence[dict[str, Any]]) -> str:
    counts = sorted({len(arm["seeds"]) for arm in arms})
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _title(summary: Record, rest: str) -> str:
    return f"{summary.get('question') or 'ablation'}\n{rest}"


def _saved(page: Any, path: Path) -> Path:
    page.savefig(path, facecolor=PAPER)
    return path
