"""What all charts are drawn with: axes with round ticks, and one frame for charts over generations. All text is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 400, 250  # of the charts over generations, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34


@dataclass(frozen=True)
class Range:
    """The values of one axis and its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, low: float, high: float, count: int = 5) -> "Range":
        """Low to high, with about `count` ticks at round values inside; low == high is widened."""
        if not high > low:
            low, high = (low - 1, high + 1) if low else (0.0, 1.0)
        raw = (high - low) / max(1, count - 1)
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * unit for unit in (1, 2, 2.5, 5, 10) if size * unit >= raw * 0.999)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, tuple(round(step * number, 12) for number in range(first, last + 1)))

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between `start` and `end`, one decimal."""
        return round(start + (value - self.low) / (self.high - self.low) * (end - start), 1)


def svg(name: str, width: int, height: float, title: str, description: str, inside: Markup, more: str = "") -> Markup:
    """A chart with its name and what it tells, for those who do not see it."""
    return Markup(
        '<svg id="{0}" viewBox="0 0 {1} {2:g}" role="img" aria-labelledby="{0}-t {0}-d"{6}>'
        '<title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>'
    ).format(name, width, height, title, description, inside, more)


def frame(y: Range, generations: Sequence[int], first_x: float, dx: float, percent: bool = False) -> Markup:
    """Grid lines, ticks and axis titles of a chart over these generations, which lie `dx` apart from `first_x` on."""
    drawn = value_ticks(y, HEIGHT - BOTTOM, TOP, percent)
    return drawn + generation_ticks(generations, first_x, dx, HEIGHT - BOTTOM + 14) + axis_title(LEFT, HEIGHT)


def value_ticks(y: Range, bottom: float, top: float, percent: bool = False) -> Markup:
    """Grid lines at the ticks of the axis that goes up, and their numbers to the left."""
    drawn = Markup()
    for tick in y.ticks:
        height = y.place(tick, bottom, top)
        shown = f"{100 * tick:g} %" if percent else f"{tick:,.6g}"
        drawn += level("grid", height)
        drawn += Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(LEFT - 5, height + 3.5, shown)
    return drawn


def generation_ticks(generations: Sequence[int], first_x: float, dx: float, y: float) -> Markup:
    """The numbers of these generations on the axis, or of more than eleven of some: about every tenth, of very many at round places."""
    step = -(-len(generations) // 11)
    if step > 5:
        step = next(round_one for power in range(1, 10) for unit in (1, 2, 5) if (round_one := unit * 10**power) >= step)
    return Markup().join(
        tick_across(first_x + dx * place, y, str(generations[place])) for place in range(0, len(generations), max(1, step))
    )


def tick_across(x: float, y: float, words: str) -> Markup:
    """Words below a place of the axis that goes across."""
    return Markup('<text class="tick" x="{:g}" y="{:g}" text-anchor="middle">{}</text>').format(round(x, 1), y, words)


def axis_title(left: float, height: float, words: str = "generation") -> Markup:
    """Below the axis that begins at `left`, in a chart of that height."""
    return tick_across((left + WIDTH - RIGHT) / 2, height - 4, words)


def level(css: str, y: float) -> Markup:
    """A line across the chart."""
    return Markup('<line class="{}" x1="{}" x2="{}" y1="{:g}" y2="{:g}"/>').format(css, LEFT, WIDTH - RIGHT, y, y)
