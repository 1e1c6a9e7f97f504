"""`figures/`: every figure as SVG, PNG and PDF for a paper, in the width of its columns and by one style file."""

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.ablation.summary import Record
from imgcollapse.files import ledger
from imgcollapse.grids.lettering import shortened
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics.scores import SCORES
from imgcollapse.reports import panels, style
from imgcollapse.reports.findings import Findings

FOLDER, STYLE = "figures", "paper.mplstyle"
COLUMN, BOTH = 3.25, 6.75  # inches: one column of a paper, and both
OWN = 5  # metrics with a figure of their own
ROW = 0.135  # inches: a line of the legend, or of the forest
NAME, TITLE = 22, 16  # letters in a line of an arm's name beside a forest, and of a title above one
# without a date, so that the same findings give the same bytes
KINDS: dict[str, dict[str, None]] = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
QUANTITY = {"area": "area to\nreal vs real", "slope": "slope per\ngeneration", "last": "last\ngeneration"}


def figures(findings: Findings, folder: Path) -> list[Path]:
    """Writes `figures/NAME.svg`, `.png` and `.pdf` into the folder, and returns their paths; none where nothing has been judged.

    `curves` (all metrics), a figure for each of the OWN most prominent, and `forest` (the collapse numbers, where there is more than one
    arm to compare).
    The same findings give the same bytes.
    """
    made = dict[str, bytes]()
    with styled():
        drawn = list(pages(findings))
        for _, (name, page) in zip(progress.steps(len(drawn), "figures"), drawn, strict=True):
            page.draw_without_rendering()
            page.set_layout_engine(None)  # laid out once, so that the three are one figure
            for kind, metadata in KINDS.items():
                file = io.BytesIO()
                page.savefig(file, format=kind, metadata=metadata)
                made[f"{FOLDER}/{name}.{kind}"] = file.getvalue()
    return ledger.put(folder, made) if made else []


@contextmanager
def styled() -> Iterator[None]:
    """Figures drawn inside the block look as the style file says, whatever the user's own settings of matplotlib are."""
    import matplotlib

    with resources.as_file(resources.files("imgcollapse.reports") / STYLE) as path, matplotlib.rc_context(fname=path):
        yield


def pages(findings: Findings) -> Iterator[tuple[str, Any]]:
    """Name and matplotlib figure of every page, to be drawn inside of `styled`."""
    summary, extractor = panels.drawable(findings.summary), findings.extractor
    arms = panels.judged(summary, extractor, None)
    if not arms:
        return
    nulls = [arm for arm in panels.judged(summary, extractor, panels.NULL) if arm["arm"] == summary["reference"]]
    yield "curves", _curves(panels.panels(panels.PANELS, extractor, arms), summary, extractor, arms, nulls, BOTH)
    for name in panels.panels(OWN, extractor, arms):
        yield name, _curves([name], summary, extractor, arms, nulls, COLUMN)
    rows = panels.judged(summary, extractor, None, panels.NULL)
    wanted = panels.forests(extractor, rows)
    if len(rows) > 1 and wanted:
        yield "forest", _forest(wanted, summary, extractor, rows)


def _curves(names: Sequence[str], summary: Record, extractor: str, arms: Sequence[Record], nulls: Sequence[Record], width: float) -> Any:
    """A panel a metric, side by side, and one legend below them."""
    across = len(names) if len(names) <= 4 else 3
    down = math.ceil(len(names) / across)
    page, axes = style.figure(down, across, (width, 1))
    for place in axes.flat[len(names) :]:
        place.set_axis_off()
    for place, name in zip(axes.flat, names, strict=False):
        panels.curves(place, name, extractor, arms, nulls, _label(page), _scale())
        for line in place.lines:
            line.set_markevery(max(1, len(line.get_xdata()) // 12))
        place.set_title(metric_title(name, extractor))
        place.set_xlabel("generation")
        _ticks(place.xaxis, 8 if across == 1 else 5, whole=True)
        _ticks(place.yaxis, 5, whole=SCORES[name].decimals == 0)
    _fit(page, panels.legend(axes.flat, summary), 0.1 + 1.6 * down)
    return page


def _forest(wanted: Sequence[tuple[str, str]], summary: Record, extractor: str, arms: Sequence[Record]) -> Any:
    """A panel a collapse number, and at the right when a metric fell below half; a row an arm, its null model in grey below it."""
    from matplotlib import rcParams

    halved = panels.halved(extractor, arms)
    names = [_wrapped(arm["arm"]) if arm["null"] is None else f"null: {arm['null']}" for arm in arms]
    lines = max(name.count("\n") + 1 for name in names)
    page, axes = style.figure(1, len(wanted) + (halved is not None), (BOTH, 0.9 + ROW * len(arms) * lines))
    small = rcParams["xtick.labelsize"]  # the panels are narrow
    for place, (name, quantity) in zip(axes.flat, wanted, strict=False):
        panels.forest(place, name, quantity, extractor, arms, _scale())
        relative = quantity == "slope" and SCORES[name].scale == "log"
        place.set_title("\n".join(textwrap.wrap(metric_title(name, extractor, short=True), TITLE)), fontsize=small)
        place.set_xlabel(f"relative {QUANTITY[quantity]}" if relative else QUANTITY[quantity])
        place.set_yticks(range(len(arms)), names if place is axes.flat[0] else [""] * len(arms))
        _ticks(place.xaxis, 3)
    if halved is not None:
        place = axes.flat[-1]
        place.get_gridspec().set_width_ratios([1.0] * len(wanted) + [1.15])
        place.set_axis_off()
        place.set_ylim(len(arms) - 0.5, -0.5)
        place.set_title("\n".join(textwrap.wrap(f"{SCORES[halved].title} below half", TITLE + 4)), fontsize=small)
        for row, arm in enumerate(arms):
            words = _half(arm["extractors"][extractor][halved]["half"]) if halved in arm["extractors"][extractor] else ""
            place.text(0, row, words, fontsize=small, va="center", color=style.GREY if arm["null"] else "black")
    if more := panels.left_out(summary):
        page.supxlabel(more, fontsize=small, x=0.01, ha="left")
    return page


def _wrapped(name: str) -> str:
    """A name whole, on as many short lines as it takes; cut only where it takes more than three."""
    return "\n".join(textwrap.wrap(shortened(name, lambda text: len(textwrap.wrap(text, NAME)) <= 3), NAME))


def _half(half: Record) -> str:
    """`generation 9 (2 of 3)`; seeds in brackets."""
    if not half["of"]:
        return str(half["words"])
    known = half["words"].partition(" (")[0]  # `40 at the latest`, where not every generation was judged
    when = f"not within {half['within']}" if half["generation"] is None else f"generation {known}"
    return f"{when} ({half['reached']} of {half['of']})"


def _fit(page: Any, texts: dict[str, Any], height: float) -> None:
    """Puts the legend (label -> handle) below the axes, in as many columns as the page is wide, and gives the page its height."""
    labels, handles = list(texts), list(texts.values())
    for columns in range(min(4, len(labels)), 0, -1):
        legend = page.legend(handles, labels, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent(page.canvas.get_renderer()).width <= page.bbox.width:
            break
        legend.remove()
    page.set_figheight(height + ROW * math.ceil(len(labels) / columns))


def _label(page: Any) -> Callable[[str], str]:
    """Cuts names to what a line of the legend has room for."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    renderer, font = page.canvas.get_renderer(), FontProperties(size=rcParams["legend.fontsize"])
    room = page.dpi * (page.get_figwidth() - 0.6)
    return lambda name: shortened(name, lambda text: renderer.get_text_width_height_descent(text, font, False)[0] <= room)


def _ticks(axis: Any, most: int, whole: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=whole, min_n_ticks=1 if whole else 2))


def _scale() -> float:
    """How much thinner than in `arm_style` the style file wants lines."""
    from matplotlib import rcParams

    return float(rcParams["lines.linewidth"]) / float(style.arm_style(0)["linewidth"])
