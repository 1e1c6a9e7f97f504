"""`grid_all.png` and `curves.png` of a run folder."""

import math
from pathlib import Path

from imgcollapse import grids, store
from imgcollapse.files import ledger
from imgcollapse.metrics.scores import SCORES, title, worth_showing
from imgcollapse.report.style import BLUE, FROM_ZERO, GREY, figure, png, tidy
from imgcollapse.settings import build, read_file
from imgcollapse.study import Study

PANELS = ("fd", "precision", "recall", "coverage", "classes_alive", "effective_classes", "kid", "density", "total_variation")


def draw(run: Path) -> list[Path]:
    """Draws what the finished generations of a run allow; returns the files written."""
    there = store.sound(run)
    made = {"grid_all.png": _grid_all(run, there), "curves.png": _curves(run, there)} if there else {}
    return ledger.put(run, {name: picture for name, picture in made.items() if picture})


def _grid_all(run: Path, there: list[int]) -> bytes | None:
    """One row per generation, or of very many some, evenly spaced; each column starts from the same noise in every generation."""
    shown = [there[place] for place in grids.spaced(len(there), grids.ROWS)]
    rows = [(g, store.read_images(store.generation_folder(run, g) / store.LATENTS)) for g in shown]
    if rows[0][1].are_points:
        return None
    page = grids.sheet(
        _title(run),
        [(f"generation {g}", images.pixels) for g, images in rows],
        "a column starts from the same noise in every generation"
        + (f"; {len(shown)} of {len(there):,} generations, evenly spaced" if len(shown) < len(there) else ""),
    )
    return grids.png(page)


def _curves(run: Path, there: list[int]) -> bytes | None:
    """A panel per metric over the generations, the real-vs-real floor dashed."""
    scores = store.scores(run)
    judged = {name: one for name, one in scores[0]["extractors"].items() if worth_showing(PANELS, one["metrics"])}
    if not judged:
        return None
    extractor, first = next(iter(judged.items()))
    panels = worth_showing(PANELS, first["metrics"])
    rows = math.ceil(len(panels) / 3)
    page, places = figure(rows, 3, (11, 2.9 * rows + 0.9))
    page.suptitle(f"{_title(run)}\nN = {scores[0]['n']:,} pictures against as many held-out real ones; features: {extractor}", fontsize=11)
    for axes, name in zip(places.flat, [*panels, *[""] * (3 * rows - len(panels))], strict=True):
        if not name:
            axes.set_axis_off()
            continue
        floor = first["floor"][name]
        values = [one["extractors"][extractor]["metrics"][name] for one in scores]
        axes.plot(there, values, "o-", color=BLUE, markersize=4, linewidth=1.6, label="samples")
        axes.axhline(floor, color=GREY, linestyle="--", linewidth=1.2, label="floor: real against real")
        tidy(axes, title(name, extractor), SCORES[name].meaning, whole=True)
        if name in FROM_ZERO:
            axes.set_ylim(0, 1.08 * max(*values, floor, 1e-9))
        elif min(*values, floor) > 0 and max(*values, floor) > 20 * min(*values, floor):
            axes.set_yscale("log")
        else:
            axes.set_ylim(min(0, *values, floor), 1.08 * max(*values, floor, 1e-9))
        if name == panels[0]:
            axes.legend(fontsize=8, frameon=False)
    return png(page)


def _title(run: Path) -> str:
    return build(Study, read_file(run / store.STUDY)).title()
