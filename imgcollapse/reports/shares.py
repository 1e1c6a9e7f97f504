"""Charts of shares: of what training sets and samples are made, and which classes are lost."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from imgcollapse.reports.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Range,
    axis_title,
    frame,
    generation_ticks,
    svg,
)


def stack(key: str, title: str, parts: Sequence[tuple[str, str, Sequence[float | None]]], generations: Sequence[int]) -> Markup:
    """Shares that add up to 1, a bar for each of these generations: (name, CSS class, share in each, or None where it is not known)."""
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    y, dx = Range(0, 1, (0, 0.25, 0.5, 0.75, 1)), (x1 - x0) / max(1, len(generations))
    drawn = [frame(y, generations, x0 + dx / 2, dx, percent=True)]
    for place, generation in enumerate(generations):
        below = 0.0
        for name, css, shares in parts:
            share = shares[place]
            if not share:
                continue
            top, end = (round(y0 - (y0 - y1) * level, 1) for level in (below + share, below))
            left = round(x0 + dx * place + dx * 0.06, 1)
            drawn.append(
                Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                    css, left, top, round(dx * 0.88, 1), round(end - top, 1), f"generation {generation}: {name} {100 * share:.3g} %"
                )
            )
            if end - top > 11 and dx > 15:
                room = max(1, int(dx / 7))
                shown = name if len(name) <= room else name.removeprefix("generation ").removeprefix("class ")[:room]
                drawn.append(
                    Markup('<text class="in {}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                        css, round(left + dx * 0.44, 1), round((top + end) / 2 + 3.5, 1), shown
                    )
                )
            below += share
    return svg(f"stack-{key}", WIDTH, HEIGHT, title, f"{title}; the table below has the numbers.", Markup().join(drawn))


def heat(
    key: str, title: str, names: Sequence[str], cells: Sequence[Sequence[tuple[float, bool] | None]], generations: Sequence[int]
) -> Markup:
    """Class by these generations: (share relative to the real share, whether the class is lost), or None where nothing is known.

    Too rare is orange, too frequent blue, as real is white, in either theme; a lost class has a cross.
    """
    left, row_height = LEFT + 24, max(9, min(20, 240 // len(names)))
    dx = (WIDTH - RIGHT - left) / len(generations)
    height = TOP + row_height * len(names) + BOTTOM
    bed = Markup('<rect class="bed" x="{}" y="{}" width="{}" height="{}"/>')
    drawn = [bed.format(left, TOP, WIDTH - RIGHT - left, row_height * len(names))]
    for row, (name, values) in enumerate(zip(names, cells, strict=True)):
        top = TOP + row_height * row
        shown = name if len(name) < 10 else name[:8] + "…"
        label = Markup('<text class="label" x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>')
        drawn.append(label.format(left - 6, round(top + row_height / 2 + 3.5, 1), shown, name))
        for place, (generation, cell) in enumerate(zip(generations, values, strict=True)):
            if cell is None:
                continue
            ratio, lost = cell
            x = round(left + dx * place, 1)
            far = min(1.0, abs(math.log2(max(ratio, 1e-9))) / 3)  # an eighth, or eight times, has the full colour
            text = f"generation {generation}, {name}: {ratio:.2f} times the real share{', lost' if lost else ''}"
            drawn.append(
                Markup('<rect class="{}" fill-opacity="{:.2f}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                    "rare" if ratio < 1 else "often", far, x, top, round(dx, 1), row_height, text
                )
            )
            if lost:
                cx, cy = round(x + dx / 2, 1), round(top + row_height / 2, 1)
                drawn.append(Markup('<path class="lost" d="M-4-4L4 4M-4 4L4-4" transform="translate({},{})"/>').format(cx, cy))
    drawn += [generation_ticks(generations, left + dx / 2, dx, height - BOTTOM + 14), axis_title(left, height)]
    return svg(f"heat-{key}", WIDTH, height, title, f"{title}; the table below has the numbers.", Markup().join(drawn))
