"""Sample grids: labelled pictures of pictures, in one layout for every generation so that they can be laid side by side."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from imgcollapse.grids import lettering
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet

COLUMNS = 20  # pictures in a row
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
TEXT = 13  # pixels
CELL = 32  # the least size of a picture on the sheet, in pixels: smaller ones are enlarged by a whole factor
# what keeps a sheet within 16,000 pixels: rows at most, and pixels of a picture, of a picture in a table and of a label; more are said
ROWS, LARGEST, IN_TABLE, LABEL = 120, 128, 640, 360
HIGHEST = 16_000
NUMBERED = "#: the number of a class in whose name this font lacks letters"


def spaced(count: int, most: int) -> list[int]:
    """0, ..., count - 1, or at most so many of them, evenly spaced, the first and the last too."""
    return list(range(count)) if count <= most else [round(part * (count - 1) / (most - 1)) for part in range(most)]


def sheet(title: str, rows: Sequence[tuple[str, Tensor]], note: str = "") -> Image.Image:
    """A grid with a title line, a label at the left of each row, and a note below.

    rows: (label, uint8 [n, C, H, W]) each, at most ROWS, n <= COLUMNS; missing pictures leave their place empty. Pictures of more than
    LARGEST pixels are made smaller.
    """
    font = lettering.font(TEXT, title, note, *(label for label, _ in rows))
    rows = [(_cut(label, font, LABEL), smaller(pixels, LARGEST)) for label, pixels in rows]
    title = _cut(title, font, 4 * LABEL)
    _, channels, height, width = next(pixels for _, pixels in rows if pixels.ndim == 4).shape
    factor = max(1, -(-CELL // max(height, width)))
    gap, line = 2, TEXT + 8
    cell_h, cell_w = height * factor + gap, width * factor + gap
    margin = 12 + max(int(font.getlength(label)) for label, _ in rows)
    columns = max(len(pixels) for _, pixels in rows)
    size_w = max(margin + columns * cell_w + 8, int(font.getlength(title)) + 16, int(font.getlength(note)) + 16)
    size_h = line + len(rows) * cell_h + (line if note else 4)
    page = Image.new("RGB", (size_w, size_h), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((8, 4), title, INK, font)
    for r, (label, pixels) in enumerate(rows):
        top = line + r * cell_h
        pen.text((margin - 6, top + cell_h // 2), label, INK, font, anchor="rm")
        if not len(pixels):
            pen.line((margin, top + cell_h // 2, margin + columns * cell_w, top + cell_h // 2), (205, 205, 205))
            continue
        # the row as one strip: [C, H, n, W + gap] -> an array that PIL takes, without a loop over pictures
        strip = torch.nn.functional.pad(pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3), (0, gap), value=255)
        joined = strip.permute(1, 2, 0, 3).reshape(channels, height * factor, -1)
        joined = joined.expand(3, -1, -1) if channels == 1 else joined[:3]
        page.paste(Image.fromarray(joined.permute(1, 2, 0).contiguous().numpy()), (margin, top))
    if note:
        pen.text((8, size_h - line + 4), note, FAINT, font)
    return page


def table(title: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Tensor]) -> Image.Image:
    """A table of pictures with a heading a row and a column; a cell that is missing stays empty. Of very many rows the first, as it says.

    cells: (row, column) -> uint8 [C, H, W], all of one size, enlarged by a whole factor where they are small, and made smaller beyond
    IN_TABLE pixels
    """
    cells = {place: smaller(cell[None], IN_TABLE)[0] for place, cell in cells.items()}
    _, height, width = next(iter(cells.values())).shape
    factor = max(1, 6 * CELL // max(height, width))
    line, gap = TEXT + 8, 8
    most = min(ROWS, (HIGHEST - 2 * line) // (height * factor + gap))
    title += f"; {len(rows) - most} more are not shown" if len(rows) > most else ""
    rows = rows[:most]
    font = lettering.font(TEXT, title, *rows)
    labels, title = [_cut(row, font, LABEL) for row in rows], _cut(title, font, 4 * LABEL)
    margin = 20 + max(int(font.getlength(label)) for label in labels)
    size_w = max(margin + len(columns) * (width * factor + gap), int(font.getlength(title)) + 16)
    page = Image.new("RGB", (size_w, 2 * line + len(rows) * (height * factor + gap)), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((8, 4), title, INK, font)
    for c, column in enumerate(columns):
        left = margin + c * (width * factor + gap)
        pen.text((left, line + 4), column, INK, font)
        for r, row in enumerate(rows):
            top = 2 * line + r * (height * factor + gap)
            if c == 0:
                pen.text((margin - 8, top + height * factor // 2), labels[r], INK, font, anchor="rm")
            if (row, column) in cells:
                large = cells[row, column].repeat_interleave(factor, 1).repeat_interleave(factor, 2)
                large = large.expand(3, -1, -1) if len(large) == 1 else large[:3]
                page.paste(Image.fromarray(large.permute(1, 2, 0).contiguous().numpy()), (left, top))
    return page


def png(page: Image.Image) -> bytes:
    """The sheet as PNG."""
    file = io.BytesIO()
    page.save(file, "png")  # the smallest that PNG can be is 1 to 2 % smaller, and takes six times as long
    return file.getvalue()


def first_of_each(found: Tensor | None, count: int) -> dict[str, Any] | None:
    """What `by_class` needs to know of the classes found in all pictures drawn (int64 [N], negative: none), as plain JSON values.

    `of`: N; `rows`: class (-1: none), how many pictures, and which are the first of them, of every class that has a row.
    """
    if found is None:
        return None
    rows = []
    for c in [*spaced(count, ROWS - 1), -1]:
        there = (found == c if c >= 0 else found < 0).nonzero()[:, 0]
        rows.append([c, len(there), there[:COLUMNS].tolist()])
    return {"of": len(found), "rows": rows}


def by_class(title: str, drawn: ImageSet, found: Mapping[str, Any] | None, classes: Sequence[str]) -> Image.Image:
    """The first samples of each class in a row of its own, with the class's share: a lost class leaves its row empty.

    `found` is what `first_of_each` says of the classes that the judge found, or None where it knows none: then the first samples are shown
    as they come. Of very many classes some stand there, evenly spaced in their order and the same in every generation; the note says so.
    Points are drawn in the plane of their first two coordinates.
    """
    if drawn.are_points:
        return scatter(title, drawn)
    if found is None:
        blocks = drawn.pixels[: 10 * COLUMNS].split(COLUMNS)
        return sheet(title, [(f"{i * COLUMNS}", block) for i, block in enumerate(blocks)])
    names, n = lettering.drawn(classes), int(found["of"])
    rows = [
        (f"{_short(names[c] if c >= 0 else 'none')}  {100 * count / n:.1f} %", drawn.pixels[torch.tensor(first, dtype=torch.int64)])
        for c, count, first in found["rows"]
    ]
    note = f"row: class found by the judge and its share of {n:,} samples; none: not confident of any class"
    if more := len(classes) + 1 - len(rows):
        note += f"; these are {len(rows) - 1} classes, evenly spaced in their order, and there are {more:,} more classes"
    return sheet(title, rows, f"{note}; {NUMBERED}" if lettering.numbered(classes) else note)


def scatter(title: str, drawn: ImageSet, side: int = 480, reach: float = 6.0) -> Image.Image:
    """Points as dots in the plane of their first two coordinates (a single coordinate as a histogram), the window fixed at +-reach."""
    page = Image.new("L", (side, side), 255)
    points = drawn.pixels.flatten(1)
    place = ((points[:, :2] + reach) / (2 * reach) * side).long()
    if points.shape[1] == 1:
        heights = torch.bincount(place[:, 0].clamp(0, side - 1), minlength=side).float()
        heights = torch.nn.functional.avg_pool1d(heights[None, None], 9, 1, 4)[0, 0]
        tall = (heights / heights.max().clamp(min=1e-9) * (side - 1)).long()
        dark = torch.arange(side - 1, -1, -1)[:, None] < tall
        page = Image.fromarray((255 - 175 * dark.to(torch.uint8)).numpy())
    else:
        inside = place[((place >= 0) & (place < side)).all(1)]
        hits = torch.bincount((side - 1 - inside[:, 1]) * side + inside[:, 0], minlength=side * side).view(1, 1, side, side).float()
        spread = torch.nn.functional.max_pool2d(hits, 3, 1, 1)[0, 0]
        page = Image.fromarray((255 - (spread.clamp(max=4) / 4).sqrt() * 235).to(torch.uint8).numpy())
    framed = Image.new("RGB", (side + 16, side + TEXT + 16), PAPER)
    pen = ImageDraw.Draw(framed)
    pen.text((8, 4), title, INK, lettering.font(TEXT, title))
    framed.paste(page.convert("RGB"), (8, TEXT + 10))
    pen.rectangle((7, TEXT + 9, side + 8, side + TEXT + 10), outline=(205, 205, 205))
    return framed


def _short(name: str) -> str:
    """A class's name with room for its share beside it."""
    return lettering.shortened(name, lambda text: len(text) <= 32)


def _cut(text: str, font: Any, width: int) -> str:
    return lettering.shortened(text, lambda cut: font.getlength(cut) <= width) if font.getlength(text) > width else text


def smaller(pixels: Tensor, largest: int) -> Tensor:
    """uint8 [n, C, H, W], made smaller (the mean of what falls together) where a side is larger."""
    if pixels.ndim < 4 or not len(pixels) or max(pixels.shape[2:]) <= largest:
        return pixels
    size = [max(1, round(side * largest / max(pixels.shape[2:]))) for side in pixels.shape[2:]]
    return torch.nn.functional.interpolate(pixels.float(), size=size, mode="area").round().to(torch.uint8)
