"""Charts as inline SVG: whole without JavaScript, in light and dark, on paper, and for those who do not tell the colours apart.

Colours are the page's CSS classes (`c0`, `c1`, ... for arms), so that one chart serves every theme. All text is escaped.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from imgcollapse.grids import lettering
from imgcollapse.reports import thin
from imgcollapse.reports.style import COLOURS, DASHES, MARKERS
from imgcollapse.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Range, frame, level, svg

# the markers of `style.MARKERS`, about 6 units wide around the origin
SHAPES = {
    "o": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "s": "M-2.7-2.7h5.4v5.4h-5.4z",
    "^": "M0-3.4L3.3 2.6h-6.6z",
    "D": "M0-3.6L3.6 0L0 3.6L-3.6 0z",
    "v": "M0 3.4L3.3-2.6h-6.6z",
    "P": "M-1.2-3.4h2.4v2.2h2.2v2.4h-2.2v2.2h-2.4v-2.2h-2.2v-2.4h2.2z",
    "X": "M-3.4-2L-2-3.4L0-1.4L2-3.4L3.4-2L1.4 0L3.4 2L2 3.4L0 1.4L-2 3.4L-3.4 2L-1.4 0z",
    "*": "M0-3.9L1-1.2H3.8L1.6.6L2.4 3.3L0 1.7L-2.4 3.3L-1.6.6L-3.8-1.2H-1z",
    "<": "M-3.4 0L2.6-3.3v6.6z",
    ">": "M3.4 0L-2.6-3.3v6.6z",
}
BESIDE, ABOVE = 20, 62  # letters of a name that have room beside its row of a forest plot, and above it
DOT = "M-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0z"  # one of two seeds


@dataclass(frozen=True)
class Line:
    """One arm's curve. `number` is the arm's place; `null`: the null model under that arm's regime; points: generation, mean, low, high,
    values (those of two seeds)."""

    number: int
    name: str
    points: Sequence[dict[str, Any]]
    null: bool = False


def swatch(number: int, null: bool = False) -> Markup:
    """A piece of an arm's line with its marker, for the legend."""
    mark = Markup() if null else Markup('<path class="mark" d="{}" transform="translate(14 7)"/>').format(marker(number))
    line = Markup('<path class="line" d="M1 7h26" {}/>').format(dashes(number, null))
    return Markup('<svg class="swatch {}" viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">{}{}</svg>').format(
        _colour(number, null), line, mark
    )


def curves(key: str, title: str, lines: Sequence[Line], reals: Sequence[Mapping[str, float]], last: int) -> Markup:
    """A metric over generations 0 to `last`: mean of every line, its interval as a band, real vs real as a grey one; long lines thinned.

    The means decide the window: with few seeds an interval may reach far beyond them. Of two seeds, both are dots. Attributes tell the
    script where generations lie (`data-x0`, `data-dx`).
    """
    means = [point["mean"] for line in lines for point in line.points]
    ends = [real[part] for real in reals for part in ("low", "high")]
    highest = max(*means, *ends, 1e-9)
    y = Range.around(1.04 * min(0.0, *means, *ends), 1.0 if 0.5 < highest <= 1 else 1.06 * highest)
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    dx = (x1 - x0) / max(1, last)

    def at(point: Mapping[str, Any], what: str) -> str:
        return f"{round(x0 + dx * point['generation'], 1):g},{y.place(min(max(point[what], y.low), y.high), y0, y1):g}"

    drawn = [frame(y, range(last + 1), x0, dx)]
    for real in reals:
        low, mean, high = (y.place(real[part], y0, y1) for part in ("low", "mean", "high"))
        drawn += [Markup('<rect class="between" x="{}" y="{}" width="{}" height="{}"/>').format(x0, high, x1 - x0, round(low - high, 1))]
        drawn += [level("level", mean)]
    for line in sorted(lines, key=lambda one: one.null, reverse=True):
        parts, points = Markup(), thin.curve(line.points)
        banded = [point for point in points if point["low"] is not None]
        if banded and not line.null:
            edge = " ".join([*(at(point, "high") for point in banded), *(at(point, "low") for point in reversed(banded))])
            parts += Markup('<polygon class="band" points="{}"/>').format(edge)
        path = " ".join(at(point, "mean") for point in points)
        parts += Markup('<polyline class="line" points="{}" {}/>').format(path, dashes(line.number, line.null))
        if not line.null:
            marks = [(point, marker(line.number)) for point in points[:: thin.mark_every(len(points))]]
            marks += [({**point, "mean": value}, DOT) for point in points if len(point["values"]) > 1 for value in point["values"]]
            for point, shape in marks:
                parts += Markup('<path class="mark" d="{}" transform="translate({})"/>').format(shape, at(point, "mean"))
        drawn.append(group(line, parts))
    drawn.append(Markup('<line class="cursor" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x0, y1, y0))
    description = f"{title} over generations 0 to {last}; the table below has the numbers."
    about = Markup(' tabindex="0" data-x0="{}" data-dx="{:.4f}" data-last="{}"').format(x0, dx, last)
    return svg(f"chart-{key}", WIDTH, HEIGHT, title, description, Markup().join(drawn), about)


def forest(key: str, title: str, rows: Sequence[tuple[Line, dict[str, Any]]], real: Mapping[str, float] | None, words: str) -> Markup:
    """One collapse number with its interval, or two seeds, for every arm, row under row; a band with a line marks real vs real, or 0."""
    known = [(line, span) for line, span in rows if span["mean"] is not None]
    ends = [value for _, span in known for value in (span["low"], span["mean"], span["high"], *span["values"]) if value is not None]
    ends += [] if real is None else list(real.values())
    low, high = min(ends), max(ends)
    x = Range.around(low - 0.04 * (high - low), high + 0.04 * (high - low), 4)
    widest = max(map(_width, (line.name for line, _ in known)), default=0)
    above = widest > BESIDE  # long names stand whole above their rows
    left, step, top = (RIGHT, 34, 8) if above else (max(LEFT, 16 + 6 * widest), 22, 8)
    height = top + step * len(known) + 34
    bottom = height - 30
    drawn = [_rule(x, tick, left, top, bottom) for tick in x.ticks]
    if real is not None:
        low, mean, high = (x.place(real[part], left, WIDTH - RIGHT) for part in ("low", "mean", "high"))
        band = Markup('<rect class="between" x="{}" y="{}" width="{}" height="{}"/>').format(low, top, round(high - low, 1), bottom - top)
        drawn += [band, Markup('<line class="level" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(mean, top, bottom)]
    for row, (line, span) in enumerate(known):
        middle = top + step * row + step * (0.75 if above else 0.5)
        parts = _name(line.name, left, middle, above)
        if span["low"] is not None:
            low, high = (x.place(span[part], left, WIDTH - RIGHT) for part in ("low", "high"))
            parts += Markup('<path class="line" d="M{} {}H{}"/>').format(low, middle, high)
        shape = SHAPES["o"] if line.null else marker(line.number)
        for value in span["values"] or [span["mean"]]:
            parts += Markup('<path class="mark" d="{}" transform="translate({},{})"/>').format(shape, *_tick(x, value, left), middle)
        drawn.append(group(line, parts))
    drawn.append(Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format((left + WIDTH) / 2, height - 3, words))
    return svg(
        f"forest-{key}",
        WIDTH,
        height,
        title,
        f"{title}: every arm with its 95 % interval, of one or two seeds their values.",
        Markup().join(drawn),
    )


def _name(name: str, left: float, middle: float, above: bool) -> Markup:
    """An arm's name to the left of its row, or whole above it; only what is wider than the chart is cut."""
    shown = lettering.shortened(name, lambda text: _width(text) <= ABOVE)
    x, y, anchor = (left, middle - 10, "start") if above else (left - 8, middle + 4, "end")
    text = '<text class="label" x="{:g}" y="{:g}" text-anchor="{}">{}<title>{}</title></text>'
    return Markup(text).format(x, y, anchor, shown, name)


def _width(text: str) -> int:
    """About how many Latin letters wide a text is."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _rule(x: Range, tick: float, left: float, top: float, bottom: float) -> Markup:
    """A grid line with its number below."""
    line = Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(*_tick(x, tick, left), top, bottom)
    number = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{:g}</text>').format(*_tick(x, tick, left), bottom + 13, tick)
    return line + number


def _tick(x: Range, value: float, left: float) -> tuple[float]:
    return (x.place(value, left, WIDTH - RIGHT),)


def group(line: Line, parts: Markup) -> Markup:
    """An arm's parts together, in its colour, so that the legend can switch them off."""
    return Markup('<g class="arm {}" data-arm="{}"{}>{}</g>').format(
        _colour(line.number, line.null), line.number, Markup(' data-null=""') if line.null else "", parts
    )


def _colour(number: int, null: bool) -> str:
    return f"c{number % len(COLOURS)}{' null' if null else ''}"


def marker(number: int) -> str:
    """The path of an arm's marker."""
    return SHAPES[MARKERS[number % len(MARKERS)]]


def dashes(number: int, null: bool) -> Markup:
    """The attribute that dashes an arm's line."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    if null:
        return Markup('stroke-dasharray="1.5 3"')
    return Markup('stroke-dasharray="{}"').format(" ".join(f"{2 * part:g}" for part in dash[1])) if isinstance(dash, tuple) else Markup()
