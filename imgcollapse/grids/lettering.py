"""Text in pictures: a font that has the letters, and what stands for a name that no font here can write."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse.machine.streams import JOINERS


def font(size: int, *texts: str) -> Any:
    """A font for these texts: Pillow's own, which has ASCII alone, or DejaVu Sans, which comes with matplotlib. `size`: pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size) if all(text.isascii() for text in texts) else ImageFont.truetype(_file(), size)


def drawn(names: Iterable[str]) -> list[str]:
    """Each name as it can be drawn, on one line. Where DejaVu Sans lacks letters of it (CJK) or they cannot be seen, its number in the list
    stands before what is left of it: `#3`, `#3 cat`."""
    found = []
    for number, name in enumerate(names):
        whole = " ".join(unicodedata.normalize("NFC", name).split())
        kept = " ".join("".join(letter for letter in one_line(whole) if letter in JOINERS or ord(letter) in _letters()).split())
        found.append(whole if whole and kept == whole else f"#{number} {kept.strip(JOINERS)}".rstrip())
    return found


def can_draw(text: str) -> bool:
    """Whether DejaVu Sans has all letters of it."""
    return drawn([text]) == [" ".join(unicodedata.normalize("NFC", text).split())]


def numbered(names: Sequence[str]) -> bool:
    """Whether a number stands for any of these names when they are drawn."""
    return not all(map(can_draw, names))


def shortened(text: str, fits: Callable[[str], bool]) -> str:
    """The text on one line, cut at its end with an ellipsis where it does not fit."""
    text = one_line(text)
    if fits(text):
        return text
    low, high = 0, len(text)  # the first `low` characters fit, the first `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(text[:middle].rstrip() + "…") else (low, middle)
    return text[:low].rstrip() + "…"


def one_line(text: str) -> str:
    """The text without line ends, control characters and marks that turn the direction of writing."""
    spaced = " ".join("".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text).split())
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in ("Cf", "Cs") or letter in JOINERS)


def _file() -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_file())).get_charmap())
