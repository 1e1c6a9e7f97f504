"""`grid_all.png` and `curves.png` of a run folder."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcollapse import grids, store
from imgcollapse.files import ledger
from imgcollapse.judges.titles import counted, features_title, judge_of, metric_title
from imgcollapse.metrics.record import Value
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import panels
from imgcollapse.reports.style import arm_style, figure, png, tidy
from imgcollapse.settings import build, read_file
from imgcollapse.study import Study

PANELS = 9  # at most


def draw(run: Path) -> list[Path]:
    """Draws what the finished generations of a run allow; returns the files written."""
    there = store.sound(run)
    made = {"grid_all.png": _grid_all(run, there), "curves.png": _curves(run)} if there else {}
    return ledger.put(run, {name: picture for name, picture in made.items() if picture})


def _grid_all(run: Path, there: list[int]) -> bytes | None:
    """One row per generation, or of very many some, evenly spaced; each column starts from the same noise in every generation."""
    shown = [there[place] for place in grids.spaced(len(there), grids.ROWS)]
    rows = [(g, store.read_images(store.generation_folder(run, g) / store.LATENTS)) for g in shown]
    if rows[0][1].are_points:
        return None
    page = grids.sheet(
        _run_title(run),
        [(f"generation {g}", images.pixels) for g, images in rows],
        "a column starts from the same noise in every generation"
        + (f"; {len(shown)} of {len(there):,} generations, evenly spaced" if len(shown) < len(there) else ""),
    )
    return grids.png(page)


def _curves(run: Path) -> bytes | None:
    """A panel per metric over the generations, real vs real as a band where it has that."""
    scores = store.scores(run)
    judged = {name: values for name, values in scores[0].sources.items() if worth_showing(PANELS, values)} if scores else {}
    if not judged:
        return None
    extractor, first = next(iter(judged.items()))
    shown = worth_showing(PANELS, first)
    rows = math.ceil(len(shown) / 3)
    page, places = figure(rows, 3, (11, 2.9 * rows + 0.9))
    judge = store.known_reference(run)["judge"]
    size = counted(judge_of(judge, extractor), (first[name] for name in shown), " pictures against as many held-out real ones")
    page.suptitle(f"{_run_title(run)}\n{size}\n{features_title(judge, extractor)}", fontsize=11)
    for axes in list(places.flat)[len(shown) :]:
        axes.set_axis_off()
    for axes, name in zip(places.flat, shown, strict=False):
        there = {one.generation: one.sources.get(extractor, {}) for one in scores}
        _curve(axes, name, extractor, {generation: values[name] for generation, values in there.items() if name in values})
    places.flat[0].legend(fontsize=8, frameon=False)
    return png(page)


def _curve(axes: Any, name: str, extractor: str, found: Mapping[int | None, Value]) -> None:
    """found: generation -> value, of those that were judged."""
    values, real = [one.value for one in found.values()], next(iter(found.values())).real
    no_interval: dict[str, Any] = {"low": None, "high": None, "values": []}
    points = [{"generation": generation, "mean": one.value, **no_interval} for generation, one in found.items()]
    panels.curve(axes, points, "samples", arm_style(0))
    panels.draw_real(axes, None if real is None else dataclasses.asdict(real))
    tidy(axes, metric_title(name, extractor), SCORES[name].meaning, whole=True)
    low, high = (end(values if real is None else [*values, real.low, real.high]) for end in (min, max))
    if not SCORES[name].from_zero and low > 0 and high > 20 * low:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0 if SCORES[name].from_zero else min(0, low), 1.08 * max(high, 1e-9))


def _run_title(run: Path) -> str:
    return build(Study, read_file(run / store.STUDY)).title()
