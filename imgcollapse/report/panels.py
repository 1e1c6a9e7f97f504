"""Panels that several pages of figures share: a metric over the generations, and the rows of collapse numbers."""

from collections.abc import Callable, Sequence
from typing import Any

from imgcollapse.report.style import FROM_ZERO, GREY, arm_style
from imgcollapse.summary import Record

PANELS = ("fd", "precision", "recall", "coverage", "classes_alive", "effective_classes")
FOREST = (("fd", "area"), ("fd", "slope"), ("recall", "slope"), ("coverage", "slope"), ("effective_classes", "last"))
NULL = "bootstrap"  # the null model drawn as a reference; the gaussian one is so far off on pictures that all arms would look alike


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
    """Every arm's mean of that metric, its interval as a band, the floor dashed, these null models dotted.

    `label` makes a label of a name; lines and markers are `scale` times as large as those of `arm_style`.
    """
    highest = 0.0
    for number, arm in enumerate(arms):
        points = arm["extractors"][extractor][name]["by_generation"]
        style = _scaled(arm_style(number), scale)
        x, mean = [point["generation"] for point in points], [point["mean"] for point in points]
        place.plot(x, mean, label=label(arm["arm"]), **style)
        banded = [point for point in points if point["low"] is not None]
        if banded:
            x, low, high = ([point[key] for point in banded] for key in ("generation", "low", "high"))
            place.fill_between(x, low, high, color=style["color"], alpha=0.12, linewidth=0)
        highest = max(highest, *mean)
    for arm in nulls:
        points = arm["extractors"][extractor][name]["by_generation"]
        said = label(f"null model {NULL}, {arm['arm']}")
        place.plot([p["generation"] for p in points], [p["mean"] for p in points], ":", color=GREY, linewidth=1.6 * scale, label=said)
        highest = max(highest, *(p["mean"] for p in points))
    floor = arms[0]["extractors"][extractor][name]["floor"]
    place.axhline(floor, color=GREY, linestyle="--", linewidth=1.2 * scale, label="floor: real against real")
    # the mean decides the window: with few seeds an interval may reach far beyond what a metric can be
    if name in FROM_ZERO or name == "fd":
        place.set_ylim(0, 1.12 * max(highest, floor, 1e-9))


def forest(place: Any, name: str, quantity: str, extractor: str, arms: Sequence[Record], scale: float = 1) -> None:
    """That collapse number (QUANTITIES) of every arm with its interval, a row an arm, null models in grey.

    A line marks where nothing is lost: 0, or for the last generation, dashed, the floor.
    """
    own = [arm["arm"] for arm in arms if arm["null"] is None]
    for row, arm in enumerate(arms):
        span = arm["extractors"].get(extractor, {}).get(name, {}).get(quantity)
        if span is None or span["mean"] is None:
            continue
        style = arm_style(own.index(arm["arm"])) if arm["null"] is None else {"color": GREY, "marker": ".", "markersize": 7}
        style = _scaled(style, scale)
        if span["low"] is not None:
            place.plot([span["low"], span["high"]], [row, row], color=style["color"], linewidth=1.4 * scale)
        place.plot([span["mean"]], [row], color=style["color"], marker=style["marker"], markersize=style["markersize"])
    place.set_ylim(len(arms) - 0.5, -0.5)
    if quantity == "last":
        place.axvline(arms[0]["extractors"][extractor][name]["floor"], color=GREY, linestyle="--", linewidth=1.2 * scale)
    else:
        place.axvline(0, color=GREY, linewidth=0.8 * scale)


def _scaled(style: dict[str, Any], scale: float) -> dict[str, Any]:
    return {key: scale * value if key in ("markersize", "linewidth") else value for key, value in style.items()}
