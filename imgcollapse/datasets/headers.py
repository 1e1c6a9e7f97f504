"""What a picture file says of itself, read from its own bytes, because Pillow passes over it in silence: whether it is whole, how deep its
pixels are, how many pictures it holds, what its colours mean.

Every format has a function here, which refuses what `decoder` could not read exactly, and a line in FORMATS.
"""

import io
import re
import struct
import warnings
from collections.abc import Callable

from PIL import TiffImagePlugin

from imgcollapse.datasets import png
from imgcollapse.datasets.refused import AS_PNG, EIGHT_BITS, SINGLE, TO_SRGB, WHOLE, Header, Refused, check_primaries, deep, ends_at


def read(content: bytes) -> tuple[str, Header]:
    """The format, by the content alone, as Pillow calls it, and the header. Raises Refused."""
    for name, (magic, header) in FORMATS.items():
        if re.match(magic, content, re.DOTALL):
            try:
                return name, header(content)
            except Refused:
                raise
            except Exception as error:  # bytes that are not there, tags that are no numbers ...
                raise Refused("its header is cut or damaged", WHOLE) from error
    if not content:
        raise Refused("it is empty", WHOLE)
    raise Refused("it is not a PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or PGM picture", f"{AS_PNG}, or move it elsewhere")


# JPEG (ITU-T T.81), WebP, GIF (89a) ---------------------------------------------------------------------------------


def _jpeg(content: bytes) -> Header:
    at = 2
    while True:
        while content[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        ff, marker = struct.unpack_from(">BB", content, at)
        if ff != 0xFF:
            raise Refused("its segments are damaged", WHOLE)
        if marker == 0xD9:
            ends_at(content, at + 2)
            return Header()
        (length,) = struct.unpack_from(">H", content, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            if content[at + 4] != 8:
                raise deep(content[at + 4])
        at += 2 + length
        if marker == 0xDA:  # the start of a scan, which goes on until a marker that is none of a restart
            after = AFTER_SCAN.search(content, at)
            if after is None:
                raise Refused("it is cut", WHOLE)
            at = after.start()


AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _webp(content: bytes) -> Header:
    ends_at(content, 8 + struct.unpack_from("<I", content, 4)[0])
    return Header()


def _gif(content: bytes) -> Header:
    size, flags = struct.unpack_from("<4sB", content, 6)
    everywhere = 2 << (flags & 7) if flags & 0x80 else None  # entries of the palette
    at = 13 + 3 * (everywhere or 0)
    palettes: list[int | None] = []
    while (kind := content[at]) != 0x3B:
        if kind == 0x21:  # an extension
            if content[at + 3 : at + 11] == b"ICCRGBG1":
                raise Refused("it has a colour profile of its own", TO_SRGB)
            at = _after_blocks(content, at + 2)
        elif kind == 0x2C:
            place, covered, flags = struct.unpack_from("<4s4sB", content, at + 1)
            if place != b"\0\0\0\0" or covered != size:
                raise Refused("its picture does not cover all of it", AS_PNG)
            own = 2 << (flags & 7) if flags & 0x80 else None
            palettes.append(own or everywhere)
            at = _after_blocks(content, at + 11 + 3 * (own or 0))
        else:
            raise Refused("its blocks are damaged", WHOLE)
    ends_at(content, at + 1)
    if len(palettes) != 1:
        raise Refused(f"it holds {len(palettes)} pictures", SINGLE)
    if palettes == [None]:
        raise Refused("it has no palette, so its colours are not known", AS_PNG)
    return Header(colours=palettes[0])


def _after_blocks(content: bytes, at: int) -> int:
    while content[at]:
        at += 1 + content[at]
    return at + 1


# BMP ----------------------------------------------------------------------------------------------------------------


def _bmp(content: bytes) -> Header:
    start, size = struct.unpack_from("<10xII", content)
    if size == 12:
        width, height, bits, compression, colours = *struct.unpack_from("<HH2xH", content, 18), 0, 0
    else:
        width, height, bits, compression, colours = struct.unpack_from("<ii2xHI12xI", content, 18)
    if bits not in BMP_MODES or compression not in (0, 3, 6):
        what = f"{bits} bits per pixel" if bits not in BMP_MODES else "compressed pixels"
        raise Refused(f"it is a BMP with {what}, which are not read exactly here", AS_PNG)
    if size >= 108:
        _bmp_colours(content)
    row = (width * bits + 31) // 32 * 4
    end = start + row * abs(height)
    ends_at(content, end)
    if bits == 32 and compression == 0:
        fourth = content[start + 3 : end : 4]
        if len(set(fourth)) > 1:
            raise Refused("the fourth bytes of its pixels differ, and nothing in it says what they mean", AS_PNG)
    return Header(bits=bits, colours=(colours or 2**bits) if bits <= 8 else None)


BMP_MODES = {1: ("1", "P"), 4: ("P",), 8: ("L", "P"), 24: ("RGB",), 32: ("RGB", "RGBA")}
"""By the bits of a pixel, the modes of Pillow that are right: it takes a byte for a pixel, or a bit, by the palette alone."""


def _bmp_colours(content: bytes) -> None:
    """bV4CSType: 0 is a space of its own by primaries and gammas, which writers leave empty when they mean none."""
    space = content[70:74][::-1]
    if space in (b"MBED", b"LINK") or (space == bytes(4) and any(content[74:122])):
        raise Refused("it has a colour profile of its own", TO_SRGB)


# TIFF 6.0 -----------------------------------------------------------------------------------------------------------

KINDS = {4: "a mask", 5: "CMYK, which is for printing", 6: "YCbCr", 8: "LAB", 9: "LAB", 10: "LAB"}  # PhotometricInterpretation
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1}


def _tiff(content: bytes) -> Header:
    tags = _tags(content)

    def tag(number: int, *default: int) -> tuple[int, ...]:
        found = tags.get(number, default)
        return tuple(found) if isinstance(found, tuple) else (found,)

    samples, bits, extra = tag(277, 1)[0], tag(258, 1), tag(338)
    (kind,) = tag(262, -1)
    if kind not in COLOURS:
        raise Refused(
            f"its pixels are {KINDS.get(kind, 'of a kind that is not known here')}, and not RGB or grey", "convert it to RGB or grey"
        )
    if set(tag(339, 1)) != {1}:
        raise Refused("its values are signed or fractions, and not 0 ... 255", EIGHT_BITS)
    if max(bits) > 8:
        raise deep(max(bits))
    if samples != COLOURS[kind] + len(extra) or len(extra) > 1 or not set(extra) <= {1, 2}:
        raise Refused("it has channels beside its colours, and nothing in it says that they are alpha", "save it as RGB, grey or RGBA")
    if 301 in tags:
        raise Refused("it has a transfer function of its own", TO_SRGB)
    if 318 in tags or 319 in tags:
        check_primaries([float(value) for value in (*tag(318), *tag(319))])
    _check_pieces(content, tag, samples, bits[0])
    return Header(premultiplied=extra == (1,), colours=2 ** bits[0] if kind == 3 else None)


def _check_pieces(content: bytes, tag: Callable[..., tuple[int, ...]], samples: int, bits: int) -> None:
    """Raises Refused where a strip or tile is missing, for which Pillow would put black."""
    (width,), (height,), planes = tag(256), tag(257), samples if tag(284, 1) == (2,) else 1
    tiled = bool(tag(322))
    across, down = (tag(322)[0], tag(323)[0]) if tiled else (width, min(tag(278, height)[0], height))
    starts, lengths = tag(324 if tiled else 273), tag(325 if tiled else 279)
    pieces = planes * -(-width // across) * -(-height // down)
    raw = planes * height * ((width * bits * samples // planes + 7) // 8) if tag(259, 1) == (1,) else 0
    if not len(starts) == len(lengths) == pieces or sum(lengths) < raw:
        raise Refused("it lacks a part of its pixels", WHOLE)
    if max(start + length for start, length in zip(starts, lengths, strict=True)) > len(content):
        raise Refused("it is cut", WHOLE)


def _tags(content: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    head = content[: 16 if 43 in content[2:4] else 8]  # BigTIFF
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of tags that are damaged, Pillow only warns
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file = io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        dict(tags)  # they are read when they are looked at
    return tags


# PPM, PGM and PBM ---------------------------------------------------------------------------------------------------

NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})"
COMMENT = re.compile(rb"(?:#[^\r\n]*(?:\r\n|\r|\n))+")


def _pnm(content: bytes) -> Header:
    kind = int(content[1:2])
    head = re.match(rb"P\d" + NUMBER * (2 if kind in (1, 4) else 3), content)
    if not head or content[head.end() : head.end() + 1].strip():
        raise Refused("its header is damaged", WHOLE)
    width, height, most = (*map(int, head.groups()), 1)[:3]
    if most > 255:
        raise deep(most.bit_length())
    start, channels = head.end() + 1, 3 if kind in (3, 6) else 1
    if kind < 4:
        _plain(re.sub(rb"#[^\r\n]*", b"", content[start:]), kind, width * height * channels)
    else:
        end = start + height * ((width + 7) // 8 if kind == 4 else width * channels)
        comment = COMMENT.match(content, start)
        if comment and comment.end() - start == len(content) - end:
            raise Refused("a comment stands after its header, where its pixels begin", f"move it up by a line, or {AS_PNG}")
        ends_at(content, end)
        if kind > 4 and max(content[start:end], default=0) > most:
            raise Refused(f"it has values above {most}, the highest that it names", WHOLE)
    return Header()


def _plain(text: bytes, kind: int, values: int) -> None:
    there = len(b"".join(text.split())) if kind == 1 else len(text.split())
    if there != values:
        wrong = ("it is cut", WHOLE) if there < values else ("more values follow after its end", SINGLE)
        raise Refused(f"{wrong[0]}: {there:,} values where {values:,} belong", wrong[1])


FORMATS: dict[str, tuple[bytes, Callable[[bytes], Header]]] = {
    "PNG": (rb"\x89PNG\r\n\x1a\n", png.header),
    "JPEG": (rb"\xff\xd8\xff", _jpeg),
    "WEBP": (rb"RIFF....WEBP", _webp),
    "GIF": (rb"GIF8[79]a", _gif),
    "BMP": (rb"BM", _bmp),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", _tiff),
    "PPM": (rb"P[1-6][\s#]", _pnm),
}
