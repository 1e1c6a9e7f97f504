"""Lines over any axis as inline SVG, with their names above: ROC curves, and what a few generations have in common. All text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from imgcollapse.reports.charts import marker
from imgcollapse.reports.style import COLOURS
from imgcollapse.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Range, axis_title, svg, tick_across, value_ticks

NAMES = 20  # height of the line of names


@dataclass(frozen=True)
class Curve:
    """A line through points (x, y), in order. marked: each of them has a marker."""

    name: str
    points: Sequence[tuple[float, float]]
    marked: bool = True


def lines(
    key: str, title: str, curves: Sequence[Curve], axes: tuple[Range, Range], words: str, chance: Sequence[tuple[float, float]] = ()
) -> Markup:
    """The curves over the axes (x, y); words: below the x axis; chance: a dashed line of what chance gives."""
    x, y = axes
    height = HEIGHT + NAMES
    bottom, top = height - BOTTOM, TOP + NAMES
    drawn = [value_ticks(y, bottom, top), axis_title(LEFT, height, words)]
    drawn += [tick_across(x.place(tick, LEFT, WIDTH - RIGHT), bottom + 14, f"{tick:g}") for tick in x.ticks]

    def path(points: Sequence[tuple[float, float]]) -> list[str]:
        return [f"{x.place(a, LEFT, WIDTH - RIGHT):g},{y.place(b, bottom, top):g}" for a, b in points]

    if chance:
        drawn.append(Markup('<polyline class="level" points="{}"/>').format(" ".join(path(chance))))
    wide = (WIDTH - LEFT) / max(1, len(curves))
    for number, curve in enumerate(curves):
        shape, places = marker(number), path(curve.points)
        parts = Markup('<polyline class="line" points="{}"/>').format(" ".join(places))
        marks = [*(places if curve.marked else ()), f"{LEFT + number * wide + 6:g},9"]
        parts += Markup().join(Markup('<path class="mark" d="{}" transform="translate({})"/>').format(shape, place) for place in marks)
        parts += Markup('<text x="{:g}" y="13">{}</text>').format(LEFT + number * wide + 14, curve.name)
        drawn.append(Markup('<g class="c{}">{}</g>').format(number % len(COLOURS), parts))
    return svg(f"chart-{key}", WIDTH, height, title, f"{title}; the table below has the numbers.", Markup().join(drawn))
