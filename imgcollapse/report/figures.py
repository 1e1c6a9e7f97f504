"""`grid_all.png` and `curves.png` of a run folder."""

import math
from pathlib import Path

from imgcollapse import grids, store
from imgcollapse.settings import build, read_file
from imgcollapse.study import Study

# metric -> (title, what it says in plain words)
PANELS = {
    "fd": ("Fréchet distance (FD)", "distance to the real pictures; lower is better"),
    "precision": ("precision", "share of samples that look real"),
    "recall": ("recall", "share of the real variety still there"),
    "coverage": ("coverage", "share of real pictures with a sample near"),
    "classes_alive": ("classes alive", "classes that are still drawn"),
    "effective_classes": ("effective classes", "exp(entropy) of the class shares"),
    "kid": ("kernel distance (KID)", "distance without bias in N; lower is better"),
    "density": ("density", "samples near each real picture; real: about 1"),
    "total_variation": ("total variation", "of class shares to the real ones; lower is better"),
}
FROM_ZERO = ("precision", "recall", "coverage", "density", "classes_alive", "effective_classes", "total_variation")
BLUE, GREY = "#0072B2", "#555555"


def draw(run: Path) -> list[Path]:
    """Draws what the finished generations of a run allow; returns the files written."""
    there = store.finished(run)
    made = [_grid_all(run, there), _curves(run, there)] if there else []
    return [path for path in made if path]


def _grid_all(run: Path, there: list[int]) -> Path | None:
    """One row per generation; each column starts from the same noise in every generation."""
    rows = [(g, store.read_images(store.generation_folder(run, g) / store.LATENTS)) for g in there]
    if rows[0][1].are_points:
        return None
    page = grids.sheet(
        _title(run),
        [(f"generation {g}", images.pixels) for g, images in rows],
        "a column starts from the same noise in every generation",
    )
    page.save(run / "grid_all.png", optimize=True)
    return run / "grid_all.png"


def _curves(run: Path, there: list[int]) -> Path | None:
    """A panel per metric over the generations, the real-vs-real floor dashed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scores = store.scores(run)
    if not scores[0]["extractors"]:
        return None
    extractor, first = next(iter(scores[0]["extractors"].items()))
    panels = [name for name in PANELS if name in first["metrics"]]
    rows = math.ceil(len(panels) / 3)
    figure = Figure(figsize=(11, 2.9 * rows + 0.9), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{_title(run)}\nN = {scores[0]['n']:,} pictures against as many held-out real ones; features: {extractor}", fontsize=11
    )
    for axes, name in zip(figure.subplots(rows, 3, squeeze=False).flat, [*panels, *[""] * (3 * rows - len(panels))], strict=True):
        if not name:
            axes.set_axis_off()
            continue
        title, meaning = PANELS[name]
        floor = first["floor"][name]
        values = [one["extractors"][extractor]["metrics"][name] for one in scores]
        axes.plot(there, values, "o-", color=BLUE, markersize=4, linewidth=1.6, label="samples")
        axes.axhline(floor, color=GREY, linestyle="--", linewidth=1.2, label="floor: real against real")
        axes.set_title(title, fontsize=10, loc="left", fontweight="bold", pad=18)
        axes.annotate(meaning, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8, color=GREY)
        axes.set_xlabel("generation", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.margins(x=0.03)
        if name in FROM_ZERO:
            axes.set_ylim(0, 1.08 * max(*values, floor, 1e-9))
        elif min(*values, floor) > 0 and max(*values, floor) > 20 * min(*values, floor):
            axes.set_yscale("log")
        else:
            axes.set_ylim(min(0, *values, floor), 1.08 * max(*values, floor, 1e-9))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        if name == panels[0]:
            axes.legend(fontsize=8, frameon=False)
    figure.savefig(run / "curves.png")
    return run / "curves.png"


def _title(run: Path) -> str:
    return build(Study, read_file(run / store.STUDY)).title()
