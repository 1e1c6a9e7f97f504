"""What a picture that cannot be read exactly is refused with, and what its header says where it can."""

from typing import NamedTuple

WHOLE = "replace it by a whole copy, or move it elsewhere"
EIGHT_BITS = "save it with 8 bits per channel"
SINGLE = "save one picture in each file"
AS_PNG = "save it as PNG"
TO_SRGB = "convert it to sRGB, or save it without that where its values are meant as they are"

SRGB_GAMMA = 1 / 2.2
SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x and y of white, red, green, blue (IEC 61966-2-1)


class Refused(ValueError):
    """A picture that cannot be read exactly: the reason, and the cure."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


class Header(NamedTuple):
    """What Pillow does not pass on.

    colours:       entries of its palette, None where it has none
    clear:         the grey value, of 0..255, that stands for transparent pixels
    bits:          of a pixel of a BMP file
    premultiplied: whether its colours are multiplied with its alpha
    """

    colours: int | None = None
    clear: int | None = None
    bits: int | None = None
    premultiplied: bool = False


def ends_at(content: bytes, end: int) -> None:
    """Refuses a file that ends early or goes on, but for the zeros and line ends with which some programs fill up."""
    if len(content) < end:
        raise Refused(f"it is cut: {len(content):,} of {end:,} bytes are there", WHOLE)
    if content[end:].strip(b"\0 \t\r\n"):
        raise Refused("more bytes follow after its end", SINGLE)


def deep(bits: int) -> Refused:
    """Of channels with more bits than 8."""
    return Refused(f"its channels have {bits} bits, and pictures of 8 are compared here", EIGHT_BITS)


def check_primaries(chromaticities: list[float]) -> None:
    """Raises Refused for x and y of white, red, green and blue that are not sRGB's."""
    if len(chromaticities) != 8 or max(abs(a - b) for a, b in zip(chromaticities, SRGB_CHROMATICITIES, strict=True)) > 0.005:
        raise Refused("its primaries are not those of sRGB", TO_SRGB)
