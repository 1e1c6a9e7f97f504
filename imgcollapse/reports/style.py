"""One look for all figures: colour-blind safe (Okabe & Ito 2008), told apart by markers and dashes as well."""

import io
import textwrap
from typing import Any

BLUE, VERMILLION, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
GREY, PAPER = "#555555", "white"


def arm_style(number: int) -> dict[str, Any]:
    """Line and marker of the arm with that number: colours first, then dashes; markers differ all along."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        "markersize": 4.5,
        "linewidth": 1.5,
    }


def figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """A page of rows x columns axes, without any global state of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=size, layout="constrained", dpi=110, facecolor=PAPER)
    FigureCanvasAgg(page)
    return page, page.subplots(rows, columns, squeeze=False)


def png(page: Any) -> bytes:
    """The page as PNG, laid out and drawn once (`savefig` would do both twice)."""
    file = io.BytesIO()
    page.canvas.print_png(file)
    return file.getvalue()


def tidy(axes: Any, title: str, meaning: str, *, whole: bool = False) -> None:
    """Heading, plain words below it, light grid; `whole`: the x axis counts generations."""
    from matplotlib.ticker import MaxNLocator

    lines = textwrap.wrap(meaning, 52) or [""]  # as wide as a panel
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold", pad=7 + 11 * len(lines))
    axes.annotate("\n".join(lines), (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8, color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator("auto" if whole else 5, integer=whole, min_n_ticks=1))
    if whole:
        axes.set_xlabel("generation", fontsize=8)
    axes.margins(x=0.03)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
