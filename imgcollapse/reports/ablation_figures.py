"""`curves.png`, `forest.png` and `grids.png` of an ablation: arms side by side."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgcollapse import grids, store
from imgcollapse.ablation.intervals import FEWEST
from imgcollapse.ablation.summary import Record, Run
from imgcollapse.files import ledger
from imgcollapse.grids import lettering
from imgcollapse.heavy import torch
from imgcollapse.judges.titles import metric_title, source_title
from imgcollapse.metrics.scores import SCORES
from imgcollapse.reports import panels
from imgcollapse.reports.findings import there
from imgcollapse.reports.mosaic import mosaic
from imgcollapse.reports.style import GREY, figure, png, tidy

SHOWN = 5  # generations in the sample grids
MOSAIC = (4, 5)  # rows and columns of pictures of one cell


def draw_ablation(folder: Path, runs: Sequence[Run], summary: Record) -> list[Path]:
    """Draws what is there so far into the ablation's folder; returns the files written."""
    import matplotlib

    summary = panels.drawable(summary)
    with matplotlib.rc_context({"text.parse_math": False}):  # a question may hold a dollar sign
        made = {"curves.png": _curves(summary), "forest.png": _forest(summary), "grids.png": _grids(runs)}
    return ledger.put(folder, {name: picture for name, picture in made.items() if picture})


def _curves(summary: Record) -> bytes | None:
    """A panel a metric: every arm's mean and interval, real vs real as a grey band, the null model under the reference regime dotted."""
    extractor = _extractor(summary)
    arms = panels.judged(summary, extractor, None)
    if not arms:
        return None
    names = panels.panels(panels.PANELS, extractor, arms)
    rows = math.ceil(len(names) / 3)
    page, axes = figure(rows, 3, (12, 3.1 * rows + 1.3))
    nulls = [arm for arm in panels.judged(summary, extractor, panels.NULL) if arm["arm"] == summary["reference"]]
    for place, name in zip(axes.flat, names, strict=False):
        panels.curves(place, name, extractor, arms, nulls, _cut)
        tidy(place, metric_title(name, extractor), SCORES[name].meaning, whole=True)
    for place in list(axes.flat)[len(names) :]:
        place.set_axis_off()
    legend = panels.legend(axes.flat, summary)
    page.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=min(5, len(legend)), frameon=False, fontsize=9)
    page.suptitle(_figure_title(summary, f"{_means(arms)}; {_seeds(arms)}; {source_title(extractor)}"), fontsize=11)
    return png(page)


def _forest(summary: Record) -> bytes | None:
    """Collapse numbers with their intervals: a row an arm (under it, in grey, the null model of finite sampling), a panel a number."""
    extractor = _extractor(summary)
    arms = panels.judged(summary, extractor, None, panels.NULL)
    wanted = panels.forests(extractor, arms)
    if not wanted:
        return None
    halved = panels.halved(extractor, arms)
    page, axes = figure(1, len(wanted) + (halved is not None), (3.0 * len(wanted) + 3.2, 0.27 * len(arms) + 1.9))
    names = [_cut(arm["arm"]) if arm["null"] is None else f"null: {arm['null']}" for arm in arms]
    for place, (name, what) in zip(axes.flat, wanted, strict=False):
        panels.forest(place, name, what, extractor, arms)
        unit = panels.unit(name, what, extractor, arms, short=True)
        words = {"area": "area to real vs real", "slope": "slope", "last": "last generation"}[what]
        tidy(place, metric_title(name, extractor), words if what == "last" else f"{words} ({unit})")
        place.set_yticks(range(len(arms)), names if place is axes.flat[0] else [""] * len(arms), fontsize=8)
    if halved is not None:
        place = axes.flat[len(wanted)]
        place.set_axis_off()
        place.set_ylim(len(arms) - 0.5, -0.5)
        place.set_title(f"{SCORES[halved].title} below half", fontsize=10, loc="left", fontweight="bold", pad=18)
        for row, arm in enumerate(arms):
            words = arm["extractors"][extractor].get(halved, {"half": {"words": ""}})["half"]["words"]
            place.text(0, row, words, fontsize=8, va="center", color=GREY if arm["null"] else "black")
    own = [arm for arm in arms if arm["null"] is None]
    page.suptitle(_figure_title(summary, f"{_means(own)}; {_seeds(own)}; {source_title(extractor)}"), fontsize=11)
    return png(page)


def _grids(runs: Sequence[Run]) -> bytes | None:
    """Arm by generation: in every cell the same places of noise, so that what changes is what the arm has forgotten."""
    arms = {run.arm: run for run in reversed(runs) if run.null is None and run.seed == runs[0].seed}
    done = {arm: there(run) for arm, run in arms.items()}
    arms = {arm: run for arm, run in reversed(arms.items()) if done[arm]}
    if not arms:
        return None
    last = max(max(done[arm]) for arm in arms)
    chosen = sorted({round(last * part / (SHOWN - 1)) for part in range(SHOWN)})
    cells = {}
    names = list(dict.fromkeys(run.arm for run in runs))
    drawn = dict(zip(names, lettering.drawn(names), strict=True))
    done = {drawn[arm]: done[arm] for arm in arms}
    arms = {drawn[arm]: run for arm, run in arms.items()}
    for arm, run in arms.items():
        for generation in set(chosen) & set(done[arm]):
            latents = store.read_pixels(store.generation_folder(run.folder, generation) / store.LATENTS)
            if latents.dtype == np.float32:
                return None
            cells[arm, generation] = torch.from_numpy(mosaic(latents, *MOSAIC))
    kind = next(iter(arms.values())).study
    title = f"{kind.learner} on {kind.dataset.kind}, seed {kind.seed}: samples from the same noise"
    page = grids.table(
        title,
        list(arms),
        [f"generation {generation}" for generation in chosen],
        {(arm, f"generation {generation}"): cell for (arm, generation), cell in cells.items()},
    )
    return grids.png(page)


def _extractor(summary: Record) -> str:
    return next((name for arm in summary["arms"] for name in arm["extractors"]), "")


def _seeds(arms: Sequence[dict[str, Any]]) -> str:
    counts = sorted({len(arm["seeds"]) for arm in arms}) or [0]
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _means(arms: Sequence[dict[str, Any]]) -> str:
    return "means over seeds with 95 % intervals" if any(len(arm["seeds"]) >= FEWEST for arm in arms) else "means, and two seeds as dots"


def _figure_title(summary: Record, rest: str) -> str:
    question = summary.get("question") or "ablation"
    if not lettering.can_draw(question):
        question = "ablation (this font lacks letters of its question, which stands in report.html)"
    more = f"; {panels.left_out(summary)}, which report.html has" if panels.left_out(summary) else ""
    more += "; #: the number of an arm in whose name the font lacks letters" if summary["numbered"] else ""
    return f"{_cut(question, 160)}\n{rest}{more}"


def _cut(text: str, longest: int = 60) -> str:
    return lettering.shortened(text, lambda cut: len(cut) <= longest)
