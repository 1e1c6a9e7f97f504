"""`collapse.gif` and `collapse.webp`: the samples of all arms side by side, generation after generation."""

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from imgcollapse import grids, store
from imgcollapse.ablation.status import RunStatus
from imgcollapse.ablation.summary import Run
from imgcollapse.files import ledger
from imgcollapse.grids import lettering
from imgcollapse.grids.lettering import shortened
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.mosaic import mosaic

GIF, WEBP = "collapse.gif", "collapse.webp"
FRAMES, WIDTH, BYTES, PIXELS = 60, 1600, 4_000_000, 60_000_000  # at most so many frames, so wide a frame, bytes a file, pixels in all
SIDE_BY_SIDE, ARMS = 5, 30  # at most so many arms in a row, and in all
REACH = (600, 450, 360, 300, 296)  # width of an arm's place with 1, 2, ... of them in a row, in pixels
# how a movie becomes smaller: rows and columns of pictures, share of REACH, share of FRAMES
SIZES = ((4, 5, 1.0, 1.0), (3, 4, 0.8, 1.0), (2, 4, 0.6, 1.0), (2, 3, 0.4, 0.5), (1, 2, 0.25, 0.3))
POINTS = 2000  # of a toy world
GAP, BAR = 16, 3
BLUE, TRACK = (0, 114, 178), (225, 225, 225)  # of the progress bar
FIRST, LAST = 1200, 2500  # milliseconds for which the ends stay; the other frames share about twelve seconds


@dataclass(frozen=True)
class _Place:
    """An arm in the movie: its name as it is drawn, the run that stands for it, its finished generations of which there is something to
    draw, those of which there is not (thrown away), and what to say where one is missing."""

    name: str
    run: Run
    there: frozenset[int]
    gone: frozenset[int]
    failed: bool

    def missing(self, generation: int) -> str:
        if generation in self.gone:
            return "no longer kept"
        if generation >= self.run.study.gens:
            return f"ends at generation {self.run.study.gens - 1}"
        return "failed" if self.failed else "not there yet"


def movie(findings: Findings, folder: Path) -> list[Path]:
    """Writes the movie as GIF and as WebP into the folder, and returns their paths; none where no generation is finished.

    One frame a generation (of more than FRAMES, evenly spaced ones), at most WIDTH pixels wide; in every frame a place has the same
    noise. Pictures become fewer and smaller where a file would have more than BYTES. Raises DataProblem for pictures that cannot be read.
    """
    places = _places(findings)
    if not places:
        return []
    generations = sorted(set().union(*(place.there for place in places)))
    about = _about(places, len(findings.arms) - len(places))
    gif = webp = b""
    for number, size in enumerate(SIZES):
        chosen = [generations[place] for place in grids.spaced(len(generations), max(2, round(FRAMES * size[3])))]
        final = number == len(SIZES) - 1
        frames = _frames(about, places, chosen, size, final)
        if frames and (len(gif := _gif(frames)) <= BYTES or final):
            webp = _webp(frames)
            if len(webp) <= BYTES:
                break
    return ledger.put(folder, {GIF: gif, WEBP: webp})


def _places(findings: Findings) -> list[_Place]:
    """A place an arm, with the run of the seed that has come farthest; arms of which no generation is finished have an empty one."""
    statuses: dict[Path, RunStatus] = {one.run.folder: one for one in findings.statuses}
    done = {run.folder: frozenset(findings.there(run)) for runs in findings.arms.values() for run in runs}
    far = Counter(run.seed for runs in findings.arms.values() for run in runs for _ in done[run.folder])
    if not far:
        return []
    seed = far.most_common(1)[0][0]  # the first of equals
    found = []
    for name, runs in list(zip(lettering.drawn(findings.arms), findings.arms.values(), strict=True))[:ARMS]:
        run = next((run for run in runs if run.seed == seed), next((run for run in runs if done[run.folder]), runs[0]))
        gone = _gone(run, done[run.folder])
        found.append(_Place(name, run, done[run.folder] - gone, gone, statuses[run.folder].failure is not None))
    return found if any(place.there for place in found) else []


def _gone(run: Run, done: frozenset[int]) -> frozenset[int]:
    """The generations of which nothing can be drawn: points whose samples were thrown away. Pictures of equal noise always stay."""
    if not done or store.read_pixels(store.generation_folder(run.folder, min(done)) / store.LATENTS, 1).dtype != np.float32:
        return frozenset()
    return frozenset(generation for generation in done if not store.has(run.folder, generation, store.SAMPLES))


def _frames(
    about: str, places: Sequence[_Place], generations: Sequence[int], size: tuple[int, int, float, float], final: bool
) -> list[Image.Image]:
    """The frames, grey where everything is; none where they would be too many pixels (but for the final size)."""
    rows = math.ceil(len(places) / SIDE_BY_SIDE)
    columns = math.ceil(len(places) / rows)
    reach = round(REACH[columns - 1] * size[2])
    # a run's pictures have one size in all generations, but runs of several data sets may stand side by side
    known = [_cell(place, min(place.there), size, reach).size for place in places if place.there]
    box = max(width for width, _ in known), max(height for _, height in known)
    frames: list[Image.Image] = []
    for generation in generations:
        cells = {place.run.folder: _cell(place, generation, size, reach) for place in places if generation in place.there}
        progress = (len(frames) + 1) / len(generations)
        frames.append(_frame(about, places, cells, generation, (rows, columns), box, progress))
        if not final and len(generations) * frames[0].width * frames[0].height > PIXELS:
            return []
    if all(_is_grey(frame) for frame in frames):
        frames = [frame.convert("L") for frame in frames]
    return frames


def _cell(place: _Place, generation: int, size: tuple[int, int, float, float], reach: int) -> Image.Image:
    """An arm's pictures from the noise that is the same in every generation, at most `reach` wide; points as dots in the plane."""
    folder = store.generation_folder(place.run.folder, generation)
    latents = store.read_pixels(folder / store.LATENTS)
    if latents.dtype == np.float32:
        drawn = grids.scatter("", store.read_images(folder / store.SAMPLES, POINTS), side=reach - 2)
        return drawn.crop((7, grids.TEXT + 9, drawn.width - 7, drawn.height - 5))  # the frame and what is in it, without title and margin
    rows, columns, *_ = size
    pixels, width = latents[: rows * columns], latents.shape[3]
    factor = (reach + 1 - columns) // (columns * width)  # the line between pictures stays one pixel wide
    if factor:
        pixels = pixels.repeat(factor, 2).repeat(factor, 3)
    joined = mosaic(pixels, rows, columns)
    joined = joined.repeat(3, 0) if len(joined) == 1 else joined[:3]
    picture = Image.fromarray(np.ascontiguousarray(joined.transpose(1, 2, 0)))
    return picture if factor else picture.resize((reach, max(1, round(picture.height * reach / picture.width))), Image.Resampling.BOX)


def _frame(
    about: str,
    places: Sequence[_Place],
    cells: dict[Path, Image.Image],
    generation: int,
    grid: tuple[int, int],
    box: tuple[int, int],
    progress: float,
) -> Image.Image:
    """One generation: its number, how far the movie is, and every arm under its name, always in the same place."""
    large, font = lettering.font(grids.TEXT + 4), lettering.font(grids.TEXT, about, *(place.name for place in places))
    line, top = grids.TEXT + 8, 2 * grids.TEXT + 28
    width = max(240, grid[1] * (box[0] + GAP) + GAP)
    page = Image.new("RGB", (width, top + grid[0] * (line + box[1] + GAP)), grids.PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((GAP, 8), f"generation {generation}", grids.INK, large)
    pen.text((GAP, 30), _cut(about, font, width - 2 * GAP), grids.FAINT, font)
    pen.rectangle((0, 0, width - 1, BAR - 1), TRACK)
    pen.rectangle((0, 0, round(progress * width) - 1, BAR - 1), BLUE)
    for number, place in enumerate(places):
        row, column = divmod(number, grid[1])
        left, upper = GAP + column * (box[0] + GAP), top + row * (line + box[1] + GAP)
        pen.text((left, upper), _cut(place.name, font, box[0]), grids.INK, font)
        if place.run.folder in cells:
            page.paste(cells[place.run.folder], (left, upper + line))
        else:
            pen.rectangle((left, upper + line, left + box[0] - 1, upper + line + box[1] - 1), outline=(215, 215, 215))
            middle = (left + box[0] // 2, upper + line + box[1] // 2)
            pen.text(middle, _cut(place.missing(generation), font, box[0]), grids.FAINT, font, anchor="mm")
    return page


def _about(places: Sequence[_Place], left_out: int) -> str:
    kinds = sorted({f"{place.run.study.model.kind} on {place.run.study.dataset.kind}" for place in places})
    seeds = sorted({place.run.seed for place in places})
    caption = f"{', '.join(kinds)}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    caption += "; generations whose samples are no longer kept are left out" if any(place.gone for place in places) else ""
    return caption + f"; {left_out} more arm{'s' * (left_out > 1)} not shown" * (left_out > 0)


def _cut(text: str, font: Any, width: int) -> str:
    return shortened(text, lambda cut: font.getlength(cut) <= width)


def _is_grey(frame: Image.Image) -> bool:
    """Whether all but the progress bar is grey."""
    pixels = np.asarray(frame)[BAR:]
    return bool((pixels == pixels[..., :1]).all())


def _durations(frames: Sequence[Image.Image]) -> list[int]:
    """Milliseconds, in the whole hundredths of a second that a GIF knows."""
    usual = 10 * round(min(600, max(120, 12_000 / len(frames))) / 10)
    return [FIRST, *[usual] * (len(frames) - 2), LAST][: len(frames)] if len(frames) > 1 else [LAST]


def _gif(frames: Sequence[Image.Image]) -> bytes:
    """Grey frames without loss; colours by one palette for all frames, so that nothing flickers, dithered, so that nothing bands."""
    if frames[0].mode == "RGB":
        some = grids.spaced(len(frames), 6)
        strip = Image.new("RGB", (frames[0].width, len(some) * frames[0].height))
        for place, number in enumerate(some):
            strip.paste(frames[number], (0, place * frames[0].height))
        colours = np.array(strip.quantize(251, Image.Quantize.MEDIANCUT).getpalette()).reshape(-1, 3)
        # Pillow looks colours up coarsely: beside a nearly white one, white itself would never be found
        exact = np.array([grids.PAPER, grids.INK, grids.FAINT, BLUE, TRACK])
        apart = np.abs(colours[:, None] - exact).max(2)
        colours = np.concatenate([exact, np.where(apart.min(1)[:, None] < 8, exact[apart.argmin(1)], colours)])
        palette = Image.new("P", (1, 1))
        palette.putpalette(colours.flatten().tolist())
        frames = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    return _saved(frames, "GIF", optimize=False)


def _webp(frames: Sequence[Image.Image]) -> bytes:
    """Grey frames without loss, colours nearly so."""
    grey = frames[0].mode == "L"
    return _saved(frames, "WEBP", **({"lossless": True, "quality": 60} if grey else {"quality": 80}), method=4)


def _saved(frames: Sequence[Image.Image], kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=_durations(frames), loop=0, **options)
    return file.getvalue()
