"""The power of samples by wavelength over the generations: which details fade, or whether noise arrives; one chart an arm."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from imgcollapse.ablation.intervals import Interval, interval
from imgcollapse.ablation.summary.numbers import Seeds, chains
from imgcollapse.judges.titles import REAL
from imgcollapse.metrics.record import RealVsReal
from imgcollapse.metrics.spectrum import POWER
from imgcollapse.reports import charts, thin
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.style import COLOURS
from imgcollapse.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Range, frame, level, svg
from imgcollapse.reports.tables import Chart, Table

ROOM, APART = 66, 11  # to the right of the lines, for their names, and how far these are apart
BARS, BAR = 44, 7  # to the left of the lines, for real vs real, and how wide that of a band is
Spans = dict[int, Interval]  # by generation
Shown = dict[str, tuple[Spans, RealVsReal | None]]  # by the name of a band
DEFINITION = (
    "10 log10 of the mean power of the samples in a band of wavelengths, divided by that of as many held-out real pictures: -3 dB is half, "
    "3 dB twice the power. Power is the mean square of the coefficients of the orthonormal cosine transform whose waves are that long, in "
    "pixels. The bars at the left are the ranges of real vs real, one per band, in its colour."
)


def spectra(findings: Findings) -> list[Chart]:
    """For every arm, and every judge with an extractor of power by wavelength, its bands over the generations; mean over seeds."""
    judged = chains(findings.runs, findings.rows, lambda name: name.startswith(POWER) and name.removeprefix(POWER).isdecimal())
    of_arms = [(arm, judged[arm, None]) for arm in findings.arms if (arm, None) in judged]
    shown = {(arm, extractor): _shown(metrics) for arm, extractors in of_arms for extractor, metrics in extractors.items()}
    y = _range([one for bands in shown.values() for one in bands.values()])
    found = []
    for (arm, extractor), bands in shown.items():
        number, first = list(findings.arms).index(arm), next(iter(judged[arm, None]))
        key, more = (f"{number}", "") if extractor == first else (f"{number}-{extractor}", f", {extractor}")
        found.append(_chart(findings, f"spectrum-{key}", f"{arm}{more}", number, bands, y))
    return found


def _shown(metrics: Mapping[str, Seeds]) -> Shown:
    """What is shown of an arm: band by band, from long waves to short ones."""
    order = sorted(metrics, key=_wave, reverse=True)
    generations = thin.evenly({g for seeds in metrics.values() for one in seeds.values() for g in one.values}, thin.ROWS)
    found: Shown = {}
    for band, name in zip(band_names([_wave(name) for name in order]), order, strict=True):
        seeds = metrics[name].values()
        values = {g: [one.values[g] for one in seeds if g in one.values] for g in generations}
        found[band] = {g: interval(of_seeds) for g, of_seeds in values.items() if of_seeds}, RealVsReal.mean_of([one.real for one in seeds])
    return found


def _range(bands: Sequence[tuple[Spans, RealVsReal | None]]) -> Range:
    """The decibels of all arms, so that they are told apart at a glance."""
    means = [over.mean or 0.0 for spans, _ in bands for over in spans.values()]
    ends = [end for _, real in bands if real is not None for end in (real.low, real.high)]
    low, high = min(0.0, *means, *ends, 0.0), max(0.0, *means, *ends, 0.0)
    return Range.around(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _wave(name: str) -> int:
    return int(name.removeprefix(POWER))


def _chart(findings: Findings, key: str, arm: str, number: int, bands: Shown, y: Range) -> Chart:
    title = f"{arm}: power by wavelength"
    about = (
        "Power of details by their size in pixels, in decibels relative to real pictures: below 0 they fade, above 0 there are too many. "
        "Bars at the left: real vs real."
    )
    shown = sorted({g for spans, _ in bands.values() for g in spans})
    reals = [real for _, real in bands.values()]
    rows = (
        [[REAL, *("" if real is None else f"{real.mean:+.2f} [{real.low:+.2f}, {real.high:+.2f}]" for real in reals)]] if any(reals) else []
    )
    rows += [[str(g), *(_words(spans.get(g)) for spans, _ in bands.values())] for g in shown]
    records: list[dict[str, Any]] = [
        {"arm": arm, "pixels": name, "generation": g, "decibels": over.mean, "low": over.low, "high": over.high, "n": over.n}
        for name, (spans, _) in bands.items()
        for g, over in spans.items()
    ]
    some = f"; {len(shown)} generations, all of them in {findings.all_numbers}" if len(shown) >= thin.ROWS else ""
    caption = f"{title}, decibels, mean over seeds [95 % interval], or the values of two seeds{some}"
    table = Table(key, caption, ["generation", *bands], rows, records)
    return Chart(key, arm, about, DEFINITION, drawn(key, title, bands, y), table, number)


def _words(over: Interval | None) -> str:
    if over is None or over.mean is None:
        return ""
    if over.low is None or over.high is None:
        return " and ".join(f"{value:+.2f}" for value in over.values)
    return f"{over.mean:+.2f} [{over.low:+.2f}, {over.high:+.2f}]"


def band_names(waves: Sequence[int]) -> list[str]:
    """What bands are called, by their shortest waves, from long to short: `16 pixels and more`, `8 to 16`, ..., `under 3`."""
    longer = [None, *waves[:-1]]
    return [
        f"{wave} pixels and more" if above is None else f"under {above}" if wave == waves[-1] else f"{wave} to {above}"
        for wave, above in zip(waves, longer, strict=True)
    ]


def drawn(key: str, title: str, bands: Shown, y: Range) -> Markup:
    """A line a band over the generations, its name at its end; 0 dashed, at the left a bar a band for its real vs real."""
    last = max(g for spans, _ in bands.values() for g in spans)
    left, right, bottom = LEFT + BARS, WIDTH - RIGHT - ROOM, HEIGHT - BOTTOM
    dx = (right - left) / max(1, last)
    parts = [frame(y, range(last + 1), left, dx), level("level", y.place(0.0, bottom, TOP))]
    ways = [[(round(left + dx * g, 1), y.place(over.mean or 0.0, bottom, TOP)) for g, over in spans.items()] for spans, _ in bands.values()]
    names = _apart([points[-1][1] for points in ways])
    for number, ((name, (_, real)), points, height) in enumerate(zip(bands.items(), ways, names, strict=True)):
        line = Markup('<polyline class="line" points="{}" {}/>').format(_corners(points), charts.dashes(number, False))
        marks = [*points[:: thin.mark_every(len(points))], (right + 9, height)]
        for x, up in marks:
            line += Markup('<path class="mark" d="{}" transform="translate({:g},{:g})"/>').format(charts.marker(number), x, up)
        line += Markup('<text class="label" x="{:g}" y="{:g}">{}</text>').format(right + 16, height + 3.5, name.removesuffix(" and more"))
        if real is not None:
            ends = [y.place(end, bottom, TOP) for end in (real.high, real.low)]
            bar = '<path class="line" d="M{0:g} {1:g}V{2:g}M{3:g} {1:g}h4M{3:g} {2:g}h4"><title>{4}, {5}</title></path>'
            x = LEFT + 4 + BAR * number
            line += Markup(bar).format(x, *ends, x - 2, REAL, name)
        parts.append(Markup('<g class="c{}">{}</g>').format(number % len(COLOURS), line))
    parts.append(Markup('<line class="cursor" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(left, TOP, bottom))
    more = Markup(' tabindex="0" data-x0="{}" data-dx="{:.4f}" data-last="{}"').format(left, dx, last)
    description = f"{title} over generations 0 to {last}, in decibels; the table below has the numbers."
    return svg(f"chart-{key}", WIDTH, HEIGHT, title, description, Markup().join(parts), more)


def _corners(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{up:g}" for x, up in points)


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights of names, each near its line's end and APART from the others, inside of the chart."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed, above = dict[int, float](), TOP - APART + 4.0
    for number in order:
        above = placed[number] = max(heights[number], above + APART)
    below = float(HEIGHT - BOTTOM + APART)
    for number in reversed(order):
        below = placed[number] = min(placed[number], below - APART)
    return [placed[number] for number in range(len(heights))]
