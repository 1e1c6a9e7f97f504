"""Panels that several pages of figures share: a metric over the generations, and the rows of collapse numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from imgcollapse.ablation.summary import Record
from imgcollapse.grids import lettering
from imgcollapse.judges.titles import REAL, metric_title
from imgcollapse.metrics.score import Quantity
from imgcollapse.metrics.scores import SCORES, most_prominent, worth_showing
from imgcollapse.models.nulls import FAIR
from imgcollapse.reports import thin
from imgcollapse.reports.style import GREY, arm_style

PANELS = 6  # metrics in a figure
FOREST = 5  # collapse numbers in a figure, where none is of those that are worth a panel of their own
MOST = 40  # arms in a figure: the first of very many, and the reference, as it says
NULL = FAIR  # the null model drawn as a reference


def drawable(summary: Record) -> Record:
    """The summary as figures can draw it: names in letters that the font has, see `lettering.drawn`, and of very many arms the first and
    the reference. `left_out`: how many others there are; `numbered`: whether numbers stand for names."""
    names = list(dict.fromkeys(arm["arm"] for arm in summary["arms"]))
    first = names[:MOST] if summary["reference"] in names[:MOST] else [*names[: MOST - 1], summary["reference"]]
    shown = [name for name in names if name in first]
    drawn = dict(zip(names, lettering.drawn(names), strict=True))
    arms = [{**arm, "arm": drawn[arm["arm"]]} for arm in summary["arms"] if arm["arm"] in shown]
    reference = drawn.get(summary["reference"], summary["reference"])
    about = {"left_out": len(names) - len(shown), "numbered": lettering.numbered(names)}
    return {**summary, "arms": arms, "reference": reference, **about}


def left_out(summary: Record) -> str:
    """`and 3 more arms`, of a summary that is `drawable`; empty where all are drawn."""
    more = summary["left_out"]
    return f"and {more} more arm{'s' * (more > 1)}" if more else ""


def panels(most: int, extractor: str, arms: Sequence[Record]) -> list[str]:
    """The metrics that get a panel: those of rank 1 to `most`, and for an arm that has none of them, what it has instead."""
    found = {name for arm in arms for name in worth_showing(most, arm["extractors"][extractor])}
    return [name for name in SCORES if name in found]


def forests(extractor: str, arms: Sequence[Record]) -> list[tuple[str, Quantity]]:
    """The collapse numbers that get a panel, as (metric, quantity): those worth one; where none of them is there, metrics at the end."""
    there = [name for name in SCORES if any(name in arm["extractors"][extractor] for arm in arms)]
    wanted = [(name, what) for name in there for what in SCORES[name].panels]
    known = [(name, what) for name, what in wanted if any(what in arm["extractors"][extractor].get(name, ()) for arm in arms)]
    return known or [(name, "last") for name in there][:FOREST]


def judged(summary: Record, extractor: str, *nulls: str | None) -> list[Record]:
    """The arms of these kinds (None: the arms themselves, else the null model's name) that the extractor has judged."""
    return [arm for arm in summary["arms"] if arm["null"] in nulls and extractor in arm["extractors"]]


def curves(
    place: Any,
    name: str,
    extractor: str,
    arms: Sequence[Record],
    nulls: Sequence[Record],
    label: Callable[[str], str] = str,
    scale: float = 1,
) -> None:
    """Every arm's mean of that metric, its interval as a band, real vs real, where it has that, as a grey one, these null models dotted.

    `label` makes a label of a name; lines and markers are `scale` times as large as those of `arm_style`.
    """
    highest, real = 0.0, None
    for number, arm in enumerate(arms):
        if name not in arm["extractors"][extractor]:
            continue
        real = arm["extractors"][extractor][name]["real"] if real is None else real
        points = arm["extractors"][extractor][name]["by_generation"]
        highest = max(highest, curve(place, points, label(arm["arm"]), _scaled(arm_style(number), scale)))
    for arm in (arm for arm in nulls if name in arm["extractors"][extractor]):
        points = [{**point, "low": None, "values": []} for point in arm["extractors"][extractor][name]["by_generation"]]
        style = {"color": GREY, "linestyle": ":", "linewidth": 1.6 * scale}
        highest = max(highest, curve(place, points, label(f"null model {NULL}, {arm['arm']}"), style))
    draw_real(place, real, scale)
    # the mean decides the window: with few seeds an interval may reach far beyond what a metric can be
    if SCORES[name].from_zero:
        place.set_ylim(0, 1.12 * max(highest, real["high"] if real else 0.0, 1e-9))


def curve(place: Any, points: Sequence[Mapping[str, Any]], label: str, style: Mapping[str, Any]) -> float:
    """Draws a metric over the generations, its interval as a band where there is one, of two seeds both as dots; returns the highest mean.

    points: generation, mean, low, high, values; of very many, some, the extremes among them, and then with few markers.
    """
    shown = thin.curve(points)
    x, mean = [point["generation"] for point in shown], [point["mean"] for point in shown]
    place.plot(x, mean, label=label, markevery=thin.mark_every(len(shown)), **style)
    banded = [point for point in shown if point["low"] is not None]
    if banded:
        x, low, high = ([point[key] for point in banded] for key in ("generation", "low", "high"))
        place.fill_between(x, low, high, color=style["color"], alpha=0.12, linewidth=0)
    dots = [(point["generation"], value) for point in shown if len(point["values"]) > 1 for value in point["values"]]
    if dots:
        place.plot(*zip(*dots, strict=True), color=style["color"], linestyle="", marker=".", markersize=style.get("linewidth", 1.6) * 2)
    return max(float(point["mean"]) for point in shown)


def draw_real(place: Any, real: Mapping[str, float] | None, scale: float = 1) -> None:
    """What real pictures score against other real pictures, where there is such a value: its range as a band, its mean dashed."""
    if real is not None:
        place.axhspan(real["low"], real["high"], color=GREY, alpha=0.2, linewidth=0)
        place.axhline(real["mean"], color=GREY, linestyle="--", linewidth=1.2 * scale, label=REAL)


def forest(place: Any, name: str, quantity: str, extractor: str, arms: Sequence[Record], scale: float = 1) -> None:
    """That collapse number (QUANTITIES) of every arm with its interval, or the values of two seeds, a row an arm, null models in grey.

    A line marks where nothing is lost: 0, or for the last generation, real vs real as a band.
    """
    own = [arm["arm"] for arm in arms if arm["null"] is None]
    real = next(arm["extractors"][extractor][name]["real"] for arm in arms if name in arm["extractors"].get(extractor, {}))
    for row, arm in enumerate(arms):
        span = arm["extractors"].get(extractor, {}).get(name, {}).get(quantity)
        if span is None or span["mean"] is None:
            continue
        style = arm_style(own.index(arm["arm"])) if arm["null"] is None else {"color": GREY, "marker": ".", "markersize": 7}
        style = _scaled(style, scale)
        if span["low"] is not None:
            place.plot([span["low"], span["high"]], [row, row], color=style["color"], linewidth=1.4 * scale)
        shown = span["values"] or [span["mean"]]
        place.plot(shown, [row] * len(shown), color=style["color"], linestyle="", marker=style["marker"], markersize=style["markersize"])
    place.set_ylim(len(arms) - 0.5, -0.5)
    if quantity != "last":
        place.axvline(0, color=GREY, linewidth=0.8 * scale)
    elif real is not None:
        place.axvspan(real["low"], real["high"], color=GREY, alpha=0.2, linewidth=0)
        place.axvline(real["mean"], color=GREY, linestyle="--", linewidth=1.2 * scale)


def halved(extractor: str, arms: Sequence[Record]) -> str | None:
    """The most prominent metric with a half-life that any of the arms has."""
    return most_prominent((name for arm in arms for name in arm["extractors"][extractor]), halved=True)


def unit(name: str, quantity: str, extractor: str, arms: Sequence[Record], short: bool = False) -> str:
    """Of a collapse number that some of the arms have, with the metric's title in it."""
    found = next(str(arm["extractors"][extractor][name][quantity]["unit"]) for arm in arms if name in arm["extractors"][extractor])
    return found.replace(name, metric_title(name, extractor, short))


def legend(places: Iterable[Any], summary: Record) -> dict[str, Any]:
    """Label -> handle of all that any of these panels shows, each once, and last how many arms are not drawn."""
    from matplotlib.lines import Line2D

    found: dict[str, Any] = {}
    for place in places:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if more := left_out(summary):
        found[more] = Line2D([], [], linestyle="")
    return found


def _scaled(style: dict[str, Any], scale: float) -> dict[str, Any]:
    return {key: scale * value if key in ("markersize", "linewidth") else value for key, value in style.items()}
