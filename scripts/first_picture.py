"""The picture at the head of README.md, cut from docs/results/mnist-ddpm/grids.png: MNIST digits of a chain that learns from its own.

python scripts/first_picture.py      writes docs/loss.png

Every small picture starts from the same noise in all panels.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "docs" / "results" / "mnist-ddpm" / "grids.png", ROOT / "docs" / "loss.png"
LEFT, TOP, WIDE, HIGH, GAP = 114, 42, 144, 115, 8  # where the panels of `imgcollapse.grids.table` lie in it, in pixels
ROWS = {"learns from its own pictures": 0, "learns from real pictures": 3}
COLUMNS = {"first model": 0, "fifth model": 2, "tenth model": 4}  # generations 0, 4 and 9
ZOOM, MARGIN, HEAD, SPACE = 2, 16, 40, 14
INK, PAPER = (20, 20, 20), (255, 255, 255)


def main() -> None:
    """Writes the picture."""
    source = Image.open(SOURCE).convert("RGB")
    wide, high = WIDE * ZOOM, HIGH * ZOOM
    page = Image.new("RGB", (2 * MARGIN + len(COLUMNS) * (wide + SPACE) - SPACE, 2 * HEAD + 2 * (high + HEAD) - HEAD // 2), PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(20)
    for c, (heading, column) in enumerate(COLUMNS.items()):
        left = MARGIN + c * (wide + SPACE)
        pen.text((left + wide // 2, HEAD // 2), heading, INK, font, anchor="mm")
        for r, (name, row) in enumerate(ROWS.items()):
            top = 2 * HEAD + r * (high + HEAD)
            if c == 0:
                pen.text((MARGIN, top - HEAD // 2), name, INK, font, anchor="lm")
            x, y = LEFT + column * (WIDE + GAP), TOP + row * (HIGH + GAP)
            page.paste(source.crop((x, y, x + WIDE, y + HIGH)).resize((wide, high), Image.Resampling.NEAREST), (left, top))
    page.save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
