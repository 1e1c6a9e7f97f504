"""Bytes to pixels: each rule exact, or refused with reason and cure; the same for `run` and for `score`."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from terminal import call

from imgcollapse import datasets
from imgcollapse.datasets import decoder
from imgcollapse.datasets.digits import Digits
from imgcollapse.datasets.folder import Folder
from imgcollapse.datasets.pictures import Listed, decode
from imgcollapse.datasets.refused import Refused
from imgcollapse.errors import DataProblem
from imgcollapse.exchange import samples
from imgcollapse.machine import devices

Bytes = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def refused(content: bytes, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        decoder.pixels(content, **options)
    line = f"{caught.value}; {caught.value.cure}"
    assert "\n" not in line and " at 0x" not in line
    return line


def planes(image: Image.Image) -> Bytes:
    """What Pillow's own conversion to RGB says, grey where it is."""
    found = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return found[:1] if (found == found[0]).all() else found


# Files that Pillow does not write -----------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: list[bytes], width: int, depth: int, colour: int, *more: tuple[bytes, bytes], interlace: int = 0, height: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height or len(rows), depth, colour, 0, 0, interlace)
    raster = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", head), *more, (b"IDAT", raster), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def packed(values: Bytes, depth: int) -> list[bytes]:
    """Rows of values below 2^depth, several in a byte, the first in the highest bits."""
    bits = np.unpackbits(values[..., None], axis=-1)[..., 8 - depth :]
    return [np.packbits(row.reshape(-1)).tobytes() for row in bits]


def tiff(raster: bytes, width: int, height: int, **tags: Any) -> bytes:
    """Uncompressed, one strip; `tags` go over the usual ones: t258=(16, 16, 16)."""
    numbers: dict[int, Any] = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(raster)}
    numbers |= {int(name[1:]): value for name, value in tags.items()}
    start = 8 + len(raster) + len(raster) % 2
    entries, beyond = b"", b""
    at = start + 2 + 12 * len(numbers) + 4
    for number, value in sorted(numbers.items()):
        values = value if isinstance(value, tuple) else (value,)
        data = struct.pack(f"<{len(values)}I", *values)
        place = data if len(data) <= 4 else struct.pack("<I", at + len(beyond))
        beyond += data if len(data) > 4 else b""
        entries += struct.pack("<HHI", number, 4, len(values)) + place
    directory = struct.pack("<H", len(numbers)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + raster.ljust(start - 8, b"\0") + directory + beyond


def bmp(raster: bytes, bits: int, palette: list[int], width: int = 8, height: int = 2, compression: int = 0) -> bytes:
    """Palettes are grey."""
    start = 54 + 4 * len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(raster), 0, 0, len(palette), 0)
    colours = b"".join(bytes([value, value, value, 0]) for value in palette)
    return b"BM" + struct.pack("<IHHI", start + len(raster), 0, 0, start) + head + colours + raster


def gif(size: tuple[int, int] = (4, 2), palette: bool = True, frames: int = 1, end: bytes = b";", more: bytes = b"") -> bytes:
    """4x2 pixels 0 1 2 3 0 1 2 3, in LZW codes of three bits that are cleared before they grow."""
    codes = (4, 0, 1, 4, 2, 3, 4, 0, 1, 4, 2, 3, 5)
    bits = "".join(format(code, "03b")[::-1] for code in codes)
    data = bytes(int(bits[at : at + 8].ljust(8, "0")[::-1], 2) for at in range(0, len(bits), 8))
    frame = b"," + struct.pack("<HHHHB", 0, 0, 4, 2, 0) + b"\x02" + bytes([len(data)]) + data + b"\0"
    colours = bytes((0, 0, 0, 255, 255, 255, 16, 32, 48, 64, 80, 96)) if palette else b""
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x81 if palette else 0, 0, 0) + colours + more + frame * frames + end


def profile(gamma: float, primaries: tuple[float, ...] | None) -> bytes:
    """An ICC profile (version 2, matrix and one curve) of these primaries, under D50; of greys where there are none."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"sRGB\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"cprt": b"text\0\0\0\0\0",
    }
    if primaries:
        tags |= {name: xyz(*primaries[3 * at : 3 * at + 3]) for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    else:
        tags[b"kTRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(value))
        data += value.ljust((len(value) + 3) // 4 * 4, b"\0")
    head = struct.pack(
        ">I4sI4s4s4s", 132 + len(table) - 4 + len(data), b"none", 0x02100000, b"mntr", b"RGB " if primaries else b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return head + table + data


SRGB_D50 = (0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7142)
ADOBE_D50 = (0.6097, 0.3111, 0.0195, 0.2053, 0.6257, 0.0609, 0.1492, 0.0632, 0.7446)
P3_D50 = (0.5151, 0.2412, -0.0011, 0.2920, 0.6922, 0.0419, 0.1571, 0.0666, 0.7841)


# Exact --------------------------------------------------------------------------------------------------------------

WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate": ("TIFF", {"compression": "tiff_deflate"}),
    "packbits": ("TIFF", {"compression": "packbits"}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {"lossless": True}),
    "ppm": ("PPM", {}),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_what_was_saved_is_read(writer: str, mode: str) -> None:
    kind, options = WRITERS[writer]
    for seed, size in enumerate(((1, 1), (3, 7), (8, 8), (17, 5), (1, 30))):
        image = Image.fromarray(noise(*size, 3, seed=seed)).convert(mode)
        if writer == "gif" and mode == "RGB":
            image = image.quantize(200).convert("RGB")  # a GIF has no more than 256 colours
        if (writer, mode) == ("ppm", "P"):
            continue
        found = decoder.pixels(saved(image, kind, **options))
        assert found.dtype == np.uint8 and np.array_equal(found, planes(image)), size


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_few_bits_are_spread_over_all_values(depth: int) -> None:
    values = noise(6, 9, seed=depth) >> (8 - depth)
    spread = (values.astype(int) * 255 // (2**depth - 1)).astype(np.uint8)[None]
    rows = packed(values, depth)
    assert np.array_equal(decoder.pixels(png(rows, 9, depth, 0)), spread)
    palette = noise(2**depth, 3, seed=7)
    coloured = palette[values].transpose(2, 0, 1)
    assert np.array_equal(decoder.pixels(png(rows, 9, depth, 3, (b"PLTE", palette.tobytes()))), coloured)
    assert np.array_equal(decoder.pixels(tiff(b"".join(rows), 9, 6, t258=depth)), spread)
    assert np.array_equal(decoder.pixels(tiff(b"".join(rows), 9, 6, t258=depth, t262=0)), 255 - spread)  # white is zero


@pytest.mark.parametrize("size", [(11, 13), (1, 1), (2, 3), (4, 9)])
def test_interlaced_png(size: tuple[int, int]) -> None:
    values = noise(*size)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = [row.tobytes() for x, y, right, down in passes for row in values[y::down, x::right] if len(row)]
    assert np.array_equal(decoder.pixels(png(rows, size[1], 8, 0, interlace=1, height=size[0]))[0], values)


@pytest.mark.parametrize("most", [1, 2, 15, 63, 100, 255])
def test_ppm_values_are_shares_of_the_highest(most: int) -> None:
    values = (noise(2, 3, 3).astype(int) % (most + 1)).astype(np.uint8)
    wanted = np.array([[[round(255 * Fraction(int(v), most)) for v in row] for row in plane] for plane in values.transpose(2, 0, 1)])
    numbers = b" ".join(b"%d" % v for v in values.ravel())
    assert np.array_equal(decoder.pixels(b"P6 3 2 %d\n" % most + values.tobytes()), wanted)
    assert np.array_equal(decoder.pixels(b"P3\n# made by hand\n3 2\n%d\n" % most + numbers), wanted)
    assert np.array_equal(decoder.pixels(b"P5 9 2 %d\n" % most + values.tobytes())[0], wanted.transpose(1, 2, 0).reshape(2, 9))
    assert decoder.pixels(b"P1\n3 2\n010 # comment\n101\n").tolist() == [[[255, 0, 255], [0, 255, 0]]]


def test_bmp_of_all_kinds_of_rows() -> None:
    rows = bytes((0, 1, 2, 1, 1, 1, 0, 0) * 2)
    assert decoder.pixels(bmp(rows, 8, [0, 255, 7]))[0].tolist() == [[0, 255, 7, 255, 255, 255, 0, 0]] * 2
    assert decoder.pixels(bmp(bytes((0x01, 0x20, 0x11, 0x22) * 2), 4, [0, 255, 9]))[0].tolist() == [[0, 255, 9, 0, 255, 255, 9, 9]] * 2
    assert decoder.pixels(bmp(bytes((0xA5, 0, 0, 0) * 2), 1, [10, 20]))[0].tolist() == [[20, 10, 20, 10, 10, 20, 10, 20]] * 2
    assert decoder.pixels(bmp(bytes((3, 2, 1, 0) * 16), 32, []))[:, 0, 0].tolist() == [1, 2, 3]
    # Pillow would take bits for bytes, or bytes for bits, because of the palette
    for content in (bmp(bytes((0, 1, 0, 1) * 4), 8, [0, 255]), bmp(bytes((1, 35, 69, 103) * 2), 4, list(range(16)))):
        assert "a palette that Pillow reads wrongly; save it as PNG" in refused(content)


ROUNDS: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.T,
    6: lambda seen: np.rot90(seen, -1),
    7: lambda seen: seen[::-1, ::-1].T,
    8: lambda seen: np.rot90(seen),
}


@pytest.mark.parametrize("orientation", [0, *ROUNDS, 9])
def test_orientation(orientation: int) -> None:
    """As EXIF 2.32 says where row 0 and column 0 lie."""
    values = noise(3, 5)
    exif = Image.Exif()
    exif[274] = orientation
    for kind, options in (("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True}), ("JPEG", {})):
        if options.get("compression") and orientation not in ROUNDS:
            continue  # libtiff does not write it
        plain = decoder.pixels(saved(Image.fromarray(values), kind, **options))[0]
        turned = saved(Image.fromarray(values), kind, exif=exif, **options)
        if orientation == 9:
            assert "its orientation is 9, and only 1 ... 8 mean something; save it upright" in refused(turned)
        else:
            assert np.array_equal(decoder.pixels(turned)[0], ROUNDS[orientation or 1](plain)), kind


def test_pictures_are_told_by_their_content() -> None:
    for kind in ("EPS", "ICO", "TGA", "PCX", "JPEG2000", "ICNS"):
        line = refused(saved(Image.fromarray(noise(16, 16, 3)), kind))
        assert line.startswith("it is not a PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or PGM picture; save it as PNG"), kind
    assert refused(b"8BPS" + bytes(60)).startswith("it is not a PNG")
    assert refused(b"Pf\n2 2\n-1.0\n" + bytes(16)).startswith("it is not a PNG")
    assert refused(b"").startswith("it is empty; replace it")


# Alpha --------------------------------------------------------------------------------------------------------------


def test_the_arithmetic_of_alpha_is_exact_for_all_values() -> None:
    colours, alpha = (part.astype(np.uint8) for part in np.meshgrid(np.arange(256), np.arange(256)))
    for ground in (0, 255):
        exact = colours * alpha.astype(np.float64) + ground * (255.0 - alpha)  # 255 times the result
        assert np.abs(255.0 * decoder.on(colours, alpha, ground) - exact).max() <= 127


def lucid() -> dict[str, tuple[bytes, Bytes]]:
    """Pictures with transparency of every kind, and their RGBA values."""
    rgba, grey, clear = noise(5, 6, 4), noise(5, 6), noise(5, 6, seed=3)
    la = np.stack([grey, grey, grey, clear], -1)
    indices, palette, alphas = noise(5, 6, seed=4) % 16, noise(16, 3, seed=5), noise(16, seed=6)
    indexed = Image.fromarray(indices).convert("P")
    indexed.putpalette(palette.tobytes())
    of_palette = np.concatenate([palette[indices], alphas[indices][..., None]], -1)
    one = np.concatenate([palette[indices], np.where(indices == 3, 0, 255).astype(np.uint8)[..., None]], -1)
    keyed = np.concatenate([rgba[..., :3], np.full((5, 6, 1), 255, np.uint8)], -1)
    keyed[2, 3, 3] = 0
    found = {
        "RGBA png": (saved(Image.fromarray(rgba), "PNG"), rgba),
        "RGBA tiff": (saved(Image.fromarray(rgba), "TIFF"), rgba),
        "RGBA webp": (saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True), rgba),
        "LA png": (saved(Image.fromarray(np.stack([grey, clear], -1), "LA"), "PNG"), la),
        "LA tiff": (saved(Image.fromarray(np.stack([grey, clear], -1), "LA"), "TIFF"), la),
        "P png": (saved(indexed, "PNG", transparency=alphas.tobytes()), of_palette),
        "P png, one": (saved(indexed, "PNG", transparency=3), one),
        "gif": (saved(indexed, "GIF", transparency=3), one),
        "RGB png, key": (png([row.tobytes() for row in rgba[..., :3]], 6, 8, 2, (b"tRNS", struct.pack(">3H", *keyed[2, 3, :3]))), keyed),
    }
    for depth in (1, 2, 4, 8):
        values, key = grey >> (8 - depth), int(grey[1, 1] >> (8 - depth))
        spread = (values.astype(int) * 255 // (2**depth - 1)).astype(np.uint8)
        opaque = np.where(values == key, 0, 255).astype(np.uint8)
        content = png(packed(values, depth), 6, depth, 0, (b"tRNS", struct.pack(">H", key)))
        found[f"L png of {depth} bits, key"] = (content, np.stack([spread, spread, spread, opaque], -1))
    return found


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_transparent_pictures_are_refused_or_laid_on_a_ground() -> None:
    for name, (content, rgba) in lucid().items():
        line = refused(content)
        number = int((rgba[..., 3] < 255).sum())
        assert line == (
            f"{number} of its 30 pixels are transparent; lay it on white (or black) with --set dataset.alpha=white, "
            "or save it without transparency"
        ), name
        for ground, value in (("white", 255), ("black", 0)):
            c, a = rgba[..., :3].astype(int).transpose(2, 0, 1), rgba[..., 3].astype(int)
            wanted = np.array([round(Fraction(int(v), 255)) for v in (c * a + value * (255 - a)).ravel()]).reshape(c.shape)
            found = decoder.pixels(content, alpha=ground)
            assert found.shape[0] == (1 if (wanted == wanted[0]).all() else 3), name
            assert np.array_equal(np.broadcast_to(found, wanted.shape), wanted), (name, ground)


def test_what_is_wholly_opaque_is_exact() -> None:
    rgb = noise(4, 5, 3)
    opaque = Image.fromarray(rgb).convert("RGBA")
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        assert np.array_equal(decoder.pixels(saved(opaque, kind, **options)), rgb.transpose(2, 0, 1))
    indexed = Image.fromarray(noise(4, 5) % 7).convert("P")
    assert np.array_equal(decoder.pixels(saved(indexed, "GIF", transparency=9)), planes(indexed))  # no pixel has this colour
    premultiplied = tiff(opaque.tobytes(), 5, 4, t258=(8,) * 4, t262=2, t277=4, t338=1)
    assert np.array_equal(decoder.pixels(premultiplied), rgb.transpose(2, 0, 1))
    for alpha in ("refuse", "white"):
        seen_through = tiff(noise(4, 5, 4).tobytes(), 5, 4, t258=(8,) * 4, t262=2, t277=4, t338=1)
        assert "and its colours are multiplied with its alpha; save it as PNG" in refused(seen_through, alpha=alpha)


# Refused ------------------------------------------------------------------------------------------------------------

RAW = b"\x10\x80" * 200
RGB8 = noise(8, 8, 3)


def animated(kind: str, **options: Any) -> bytes:
    frames = [Image.fromarray(noise(8, 8, 3, seed=seed)) for seed in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def twelve_bits() -> bytes:
    """A JPEG that says that its channels have 12 bits."""
    content = bytearray(saved(Image.fromarray(RGB8), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    return bytes(content)


DEEP = "bits, and pictures of 8 are compared here; save it with 8 bits per channel"
BESIDE = "it has channels beside its colours, and nothing in it says that they are alpha"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "L 16 png": (lambda: png([RAW[:16]] * 8, 8, 16, 0), f"its channels have 16 {DEEP}"),
    "LA 16 png": (lambda: png([RAW[:32]] * 8, 8, 16, 4), f"its channels have 16 {DEEP}"),
    "RGB 16 png": (lambda: png([RAW[:48]] * 8, 8, 16, 2), f"its channels have 16 {DEEP}"),
    "RGBA 16 png": (lambda: png([RAW[:64]] * 8, 8, 16, 6), f"its channels have 16 {DEEP}"),
    "L 16 tiff": (lambda: tiff(RAW[:128], 8, 8, t258=16), f"its channels have 16 {DEEP}"),
    "RGB 16 tiff": (lambda: tiff(RAW[:384], 8, 8, t258=(16,) * 3, t262=2, t277=3), f"its channels have 16 {DEEP}"),
    "L 12 tiff": (lambda: tiff(RAW[:96], 8, 8, t258=12), f"its channels have 12 {DEEP}"),
    "L 32 tiff": (lambda: tiff(RAW[:256], 8, 8, t258=32), f"its channels have 32 {DEEP}"),
    "float tiff": (lambda: tiff(RAW[:256], 8, 8, t258=32, t339=3), "its values are signed or fractions, and not 0 ... 255; save it with 8"),
    "signed tiff": (lambda: tiff(RAW[:64], 8, 8, t339=2), "its values are signed or fractions"),
    "F tiff": (lambda: saved(Image.new("F", (8, 8)), "TIFF"), "its values are signed or fractions"),
    "CMYK tiff": (
        lambda: saved(Image.new("CMYK", (8, 8)), "TIFF"),
        "its pixels are CMYK, which is for printing, and not RGB or grey; convert",
    ),
    "CMYK jpeg": (
        lambda: saved(Image.new("CMYK", (8, 8)), "JPEG"),
        "its pixels are CMYK, which is for printing, and not RGB or grey; convert",
    ),
    "LAB tiff": (lambda: saved(Image.new("LAB", (8, 8)), "TIFF"), "its pixels are LAB, and not RGB or grey; convert it to RGB or grey"),
    "YCbCr tiff": (lambda: saved(Image.new("YCbCr", (8, 8)), "TIFF"), "its pixels are YCbCr, and not RGB or grey; convert it"),
    "mask tiff": (lambda: tiff(RAW[:64], 8, 8, t262=4), "its pixels are a mask, and not RGB or grey"),
    "RGBX tiff": (lambda: tiff(RAW[:256], 8, 8, t258=(8,) * 4, t262=2, t277=4, t338=0), BESIDE),
    "RGB? tiff": (lambda: tiff(RAW[:256], 8, 8, t258=(8,) * 4, t262=2, t277=4), BESIDE),
    "transfer tiff": (lambda: tiff(RAW[:64], 8, 8, t301=tuple(range(256))), "it has a transfer function of its own; convert it to sRGB"),
    "tiff, strip missing": (lambda: tiff(RAW[:64], 8, 8, t278=4), "it lacks a part of its pixels"),
    "tiff, short strip": (lambda: tiff(RAW[:60], 8, 8), "it lacks a part of its pixels"),
    "pages": (lambda: animated("TIFF"), "it holds 3 pictures; save one picture in each file"),
    "apng": (lambda: animated("PNG"), "it is an animation; save one picture in each file"),
    "gif, moving": (lambda: animated("GIF"), "it holds 3 pictures; save one"),
    "webp, moving": (lambda: animated("WEBP"), "it holds 3 pictures; save one"),
    "mpo": (lambda: animated("MPO"), "more bytes follow after its end; save one picture in each file"),
    "two jpeg": (lambda: 2 * saved(Image.fromarray(RGB8), "JPEG"), "more bytes follow after its end; save one picture in each file"),
    "jpeg and zip": (lambda: saved(Image.fromarray(RGB8), "JPEG") + b"PK\5\6" + bytes(18), "more bytes follow after its end"),
    "jpeg, no end": (lambda: saved(Image.fromarray(RGB8), "JPEG")[:-2], "it is cut; replace it by a whole copy"),
    "jpeg, no end but zeros": (lambda: saved(Image.fromarray(RGB8), "JPEG")[:-2] + bytes(9), "it is cut; replace it by a whole copy"),
    "two bmp": (lambda: 2 * saved(Image.fromarray(RGB8), "BMP"), "more bytes follow after its end; save one picture in each file"),
    "two bmp, as one": (lambda: joined(saved(Image.fromarray(RGB8), "BMP")), "more bytes follow after its end"),
    "pgm, comment": (
        lambda: b"P5 8 8 255\n# made by hand\n# twice\n" + RAW[:64],
        "a comment stands after its header, where its pixels begin; move it up by a line, or save it as PNG",
    ),
    "ppm, comment, black": (lambda: b"P6\n8 8\n255\n#\n" + bytes(192), "a comment stands after its header"),
    "two pgm": (lambda: 2 * (b"P5 8 8 255\n" + RAW[:64]), "more bytes follow after its end; save one picture in each file"),
    "two png": (lambda: 2 * png([RAW[:8]] * 8, 8, 8, 0), "more bytes follow after its end"),
    "two plain pgm": (lambda: b"P2 2 1 9 1 2 3", "more values follow after its end: 3 values where 2 belong"),
    "pgm 16": (lambda: b"P5 8 8 65535\n" + RAW[:128], f"its channels have 16 {DEEP}"),
    "plain ppm 10": (lambda: b"P3 1 1 1023 1 2 3", f"its channels have 10 {DEEP}"),
    "pgm beyond": (lambda: b"P5 2 1 63\n\x20\x40", "it has values above 63, the highest that it names"),
    "jpeg 12": (twelve_bits, f"its channels have 12 {DEEP}"),
    "bmp 16": (lambda: bmp(RAW[:32], 16, []), "it is a BMP with 16 bits per pixel, which are not read exactly here; save it as PNG"),
    "bmp rle": (lambda: bmp(b"\x08\x01\0\0\x08\x01\0\x01", 8, [1, 2, 3], compression=1), "it is a BMP with compressed pixels"),
    "bmp, alpha?": (lambda: bmp(bytes((0, 0, 0, 0, 0, 0, 0, 9) * 8), 32, []), "the fourth bytes of its pixels differ"),
    "P beyond": (lambda: png([RAW[:8]] * 8, 8, 8, 3, (b"PLTE", bytes(30))), "it has pixels beyond the 10 colours of its palette; replace"),
    "no palette": (lambda: png([RAW[:8]] * 8, 8, 8, 3), "it has no palette"),
    "gif, no palette": (lambda: gif(palette=False), "it has no palette, so its colours are not known; save it as PNG"),
    "gif, part": (lambda: gif(size=(5, 2)), "its picture does not cover all of it"),
    "gif, no end": (lambda: gif(end=b""), "its header is cut or damaged"),
    "gif, icc": (lambda: gif(more=b"!\xff\x0bICCRGBG1012\0"), "it has a colour profile of its own"),
    "apple's png": (lambda: png([RAW[:8]] * 8, 8, 8, 0, (b"CgBI", b"1234")), "its chunk CgBI is not known here, and nothing can be told"),
    "short png": (lambda: png([RAW[:8]] * 8, 8, 8, 0, height=9), "its pixels are cut or damaged"),
    "long png": (lambda: png([RAW[:8]] * 9, 8, 8, 0, height=8), "its pixels are cut or damaged"),
    "png, adler": (lambda: wrong_sum(), "its pixels are cut or damaged"),
}


def joined(content: bytes) -> bytes:
    """Two BMP files, the first of which says that it is as long as both."""
    return content[:2] + struct.pack("<I", 2 * len(content)) + content[6:] + content


def wrong_sum() -> bytes:
    """A PNG with right checksums of its chunks around a wrong one of its pixels."""
    content = png([RAW[:8]] * 8, 8, 8, 0)
    at = content.index(b"IDAT")
    data = content[at + 4 : at + 4 + struct.unpack(">I", content[at - 4 : at])[0]]
    return content[: at - 4] + chunk(b"IDAT", data[:-1] + bytes([data[-1] ^ 1])) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_exactly(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, text = REFUSED[name]
    assert refused(make(), alpha="white").startswith(text)
    assert capfd.readouterr() == ("", "")


def test_the_hand_made_files_are_whole_but_for_what_they_are_refused_for() -> None:
    assert decoder.pixels(gif())[:, 0].T.tolist() == [[0, 0, 0], [255, 255, 255], [16, 32, 48], [64, 80, 96]]
    assert np.array_equal(decoder.pixels(tiff(RGB8.tobytes(), 8, 8, t258=(8,) * 3, t262=2, t277=3)), RGB8.transpose(2, 0, 1))
    assert decoder.pixels(saved(Image.fromarray(RGB8), "PNG") + b"\0\n").shape == (3, 8, 8)  # what some programs fill up with


@pytest.mark.parametrize(
    ("made", "sound"),
    [
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), True),
        (profile(2.2, SRGB_D50), True),
        (profile(2.2, None), True),
        (profile(1.8, SRGB_D50), False),  # all of them are named sRGB
        (profile(1.0, SRGB_D50), False),
        (profile(1.0, None), False),
        (profile(2.2, ADOBE_D50), False),
        (profile(2.2, P3_D50), False),
        (profile(2.2, SRGB_D50)[:200], False),
        (b"", False),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),  # what is in a profile changes with the time
)
def test_colour_profiles(made: bytes, sound: bool) -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WEBP") if made else ():
        content = saved(Image.fromarray(RGB8), kind, icc_profile=made)
        if sound:
            assert np.array_equal(decoder.pixels(content), decoder.pixels(saved(Image.fromarray(RGB8), kind)))
        else:
            assert refused(content).startswith("its colour profile is not sRGB; convert it to sRGB, or save it without"), kind
    named = b"any\0\0" + (zlib.compress(made) if made else b"no zlib")
    content = png([row.tobytes() for row in RGB8], 8, 8, 2, (b"iCCP", named), (b"gAMA", struct.pack(">I", 100_000)))  # the profile counts
    assert decoder.pixels(content).shape == (3, 8, 8) if sound else refused(content).startswith("its colour profile is not sRGB")


@pytest.mark.parametrize(
    ("chunks", "wrong"),
    [
        ([(b"gAMA", struct.pack(">I", 45455))], None),
        ([(b"gAMA", struct.pack(">I", 100_000))], "its gamma is 1, not that of sRGB (1/2.2 = 0.4545)"),
        ([(b"gAMA", struct.pack(">I", 55556))], "its gamma is 0.5556"),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], None),  # sRGB counts
        ([(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))], None),
        ([(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))], "its primaries are not those of sRGB"),
        ([(b"cICP", b"\x01\x0d\x00\x01")], None),
        ([(b"cICP", b"\x09\x10\x00\x01"), (b"sRGB", b"\0")], "its colours are not sRGB (cICP)"),
    ],
)
def test_gamma_and_primaries_of_png(chunks: list[tuple[bytes, bytes]], wrong: str | None) -> None:
    content = png([row.tobytes() for row in RGB8], 8, 8, 2, *chunks)
    if wrong:
        assert refused(content).startswith(f"{wrong}; convert it to sRGB") or refused(content).startswith(wrong)
    else:
        assert np.array_equal(decoder.pixels(content), RGB8.transpose(2, 0, 1))


def test_adobe_rgb_by_exif() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    assert refused(saved(Image.fromarray(RGB8), "JPEG", exif=exif)).startswith("its colours are Adobe RGB; convert it to sRGB")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("filling", [b"", b"\0" * 99, b"\r\n", b" \n\t"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"optimize": True},
        {"progressive": True, "restart_marker_blocks": 1},
        {"restart_marker_rows": 1},
        {"restart_marker_blocks": 2},
        {"subsampling": 0},
        {"subsampling": 2, "quality": 5},
        {"quality": 100, "comment": b"\xff\xd9\xff\xda"},
        {"exif": "thumbnail"},
    ],
)
def test_jpegs_of_all_kinds_of_scans_are_read(options: dict[str, Any], filling: bytes, mode: str) -> None:
    image = Image.fromarray(noise(40, 33, 3)).convert(mode)
    if "exif" in options:  # APP1 that holds a JPEG of its own
        options = {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + saved(image.resize((8, 8)), "JPEG")}
    content = saved(image, "JPEG", **options)
    with Image.open(io.BytesIO(content)) as opened:
        expected = planes(opened)
    filled = content[:2] + b"\xff" * 3 + content[2:-2] + b"\xff" * 5 + content[-2:]  # fill bytes before markers
    for one in (content, filled):
        assert np.array_equal(decoder.pixels(one + filling), expected)
    refused(content[:-1] + filling)
    refused(content + filling + b"x")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmps_may_be_filled_up_and_no_more(mode: str) -> None:
    content = saved(Image.fromarray(noise(5, 7, 3)).convert(mode), "BMP")
    expected = decoder.pixels(content)
    for length in (0, len(content) + 2, 2**32 - 1):  # what it says of its length is often wrong
        said = content[:2] + struct.pack("<I", length) + content[6:]
        assert np.array_equal(decoder.pixels(said + b"\0\0"), expected)
    assert refused(content + b"x").startswith("more bytes follow after its end")


def test_a_first_pixel_is_no_comment() -> None:
    pixels = b"#" + bytes(range(20, 83))
    assert decoder.pixels(b"P5 8 8 255\n" + pixels).ravel().tolist() == list(pixels)
    assert refused(b"P5 8 8 255\n" + pixels + b"#x\n").startswith("more bytes follow")


# Damage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_every_flipped_bit_of_a_png_is_found(mode: str) -> None:
    content = bytearray(saved(Image.fromarray(noise(3, 4, 3)).quantize(5).convert(mode), "PNG"))
    whole = decoder.pixels(bytes(content))
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        refused(bytes(content))
        content[bit // 8] ^= 1 << bit % 8
    assert np.array_equal(decoder.pixels(bytes(content)), whole)


@pytest.mark.parametrize("writer", [*WRITERS, "jpeg", "progressive", "lossy webp"])
def test_a_cut_file_is_found_wherever_it_is_cut(writer: str, capfd: pytest.CaptureFixture[str]) -> None:
    others = {"jpeg": ("JPEG", {}), "progressive": ("JPEG", {"progressive": True}), "lossy webp": ("WEBP", {})}
    kind, options = (WRITERS | others)[writer]
    content = saved(Image.fromarray(noise(5, 7, 3)).quantize(11).convert("RGB"), kind, **options)
    decoder.pixels(content)
    for length in range(len(content)):
        refused(content[:length])
    assert capfd.readouterr() == ("", "")  # libtiff would talk


@pytest.mark.parametrize("writer", [*WRITERS, "jpeg"])
def test_damage_of_any_kind_is_one_line_or_a_picture(writer: str, capfd: pytest.CaptureFixture[str]) -> None:
    kind, options = (WRITERS | {"jpeg": ("JPEG", {})})[writer]
    content = saved(Image.fromarray(noise(5, 7, 3)), kind, **options)
    for bit in np.random.default_rng(0).integers(8 * len(content), size=150):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoder.pixels(bytes(damaged), alpha="white")
        except Refused as error:
            assert "\n" not in str(error) and " at 0x" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (10, 40):  # above twice the limit Pillow raises, and only warns below that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = refused(saved(Image.fromarray(RGB8), "PNG"))
        assert "decompression bomb" in line and line.endswith("; make it smaller, or move it elsewhere")


# Sets ---------------------------------------------------------------------------------------------------------------


def listed(*contents: bytes) -> list[Listed]:
    return [Listed(f"{number}.png", 0, lambda content=content: content) for number, content in enumerate(contents)]


def test_a_set_is_grey_where_all_its_pixels_are() -> None:
    grey, colour = Image.fromarray(noise(4, 4)), Image.fromarray(noise(4, 4, 3))
    alone = decode(listed(*(saved(grey.convert(mode), "PNG") for mode in ("L", "RGB", "P"))))
    assert alone.shape == (3, 1, 4, 4) and (alone == alone[0]).all()
    mixed = decode(listed(saved(grey, "PNG"), saved(colour, "PNG"), saved(grey.convert("RGB"), "PNG")))
    assert mixed.shape == (3, 3, 4, 4) and (mixed[0] == mixed[2]).all() and np.array_equal(mixed[1].numpy(), planes(colour))
    assert (mixed[0] == alone[0]).all()


def test_more_than_the_memory_holds_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**27 < devices.memory() < 2**62
    grey, colour = (saved(Image.fromarray(noise(*shape)), "PNG") for shape in ((4, 4), (4, 4, 3)))
    monkeypatch.setattr(devices, "memory", lambda: 2 * 10 * 16)
    decode(listed(*[grey] * 10))
    for files, most in (([grey] * 11, 10), ([grey] * 5 + [colour], 3)):
        with pytest.raises(
            DataProblem, match=rf"^0\.png: {len(files)} pictures of 4x4 pixels need .* GB are there; make .* at most {most} of"
        ):
            decode(listed(*files))


# From the command line ----------------------------------------------------------------------------------------------

SAME: dict[str, Callable[[Image.Image], bytes]] = {
    "L.png": lambda digit: saved(digit, "PNG"),
    "LA.png": lambda digit: saved(digit.convert("LA"), "PNG"),
    "RGB.png": lambda digit: saved(digit.convert("RGB"), "PNG"),
    "RGBA.png": lambda digit: saved(digit.convert("RGBA"), "PNG"),
    "P.png": lambda digit: saved(digit.convert("P"), "PNG"),
    "alpha.png": lambda digit: shape_in_alpha(digit),
    "turned.png": lambda digit: turned(digit),
    "L.gif": lambda digit: saved(digit, "GIF"),
    "RGB.bmp": lambda digit: saved(digit.convert("RGB"), "BMP"),
    "L.bmp": lambda digit: saved(digit, "BMP"),
    "L.tif": lambda digit: saved(digit, "TIFF", compression="tiff_lzw"),
    "RGB.tiff": lambda digit: saved(digit.convert("RGB"), "TIFF"),
    "RGB.ppm": lambda digit: saved(digit.convert("RGB"), "PPM"),
    "L.pgm": lambda digit: saved(digit, "PPM"),
    "RGB.webp": lambda digit: saved(digit.convert("RGB"), "WEBP", lossless=True),
}


def shape_in_alpha(digit: Image.Image) -> bytes:
    """All colours are black, and the digit lies in the alpha channel: on white it is what it was."""
    picture = Image.new("RGBA", digit.size)
    picture.putalpha(digit.point(lambda value: 255 - value))
    return saved(picture, "PNG")


def turned(digit: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return saved(digit.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def digits(n: int = 60) -> Iterator[tuple[int, int, Image.Image]]:
    train = datasets.load(Digits(), 0).train
    for c in range(3):
        for number, one in enumerate(train.pixels[train.labels == c][: n // 3]):
            yield c, number, Image.fromarray(one[0].numpy())


def write(root: Path, form: str) -> Path:
    for c, number, digit in digits():
        (root / str(c)).mkdir(parents=True, exist_ok=True)
        (root / str(c) / f"{number:02}.{form.partition('.')[2]}").write_bytes(SAME[form](digit))
    return root


FEW = ("--extractor", "pixels", "--set", "judge.metrics=[frechet_distance,neighbourhood]", "--json")


def test_the_same_digits_are_the_same_world_and_have_the_same_scores() -> None:
    """Names in another suffix sort alike, so that split and order are the same."""

    def scores(*arguments: str) -> list[Any]:
        said = call("score", *arguments, *FEW)
        assert said.exit_code == 0, said.output
        return [one["sources"] for one in json.loads(said.stdout)["samples"].values()]

    places = [str(write(Path(form, "set"), form)) for form in SAME]
    first, *others = (datasets.load(Folder(path=place, alpha="white"), 0).record() for place in places)
    assert first["shape"] == [1, 8, 8] and first["train"]["pictures"] == 45
    for form, other in zip([*SAME][1:], others, strict=True):
        assert other == first, form
    of_all = scores(*places, "--against", "digits", "--set", "alpha=white")
    assert len(of_all) == len(SAME) and all(one == of_all[0] for one in of_all)
    against = [
        scores(places[0], "--against", f"folder:{place}", "--set", "dataset.alpha=white") for place in (places[0], places[5], places[8])
    ]
    assert against[0] == against[1] == against[2]


def test_one_bit_digits_are_the_same_in_all_forms() -> None:
    records = []
    for form, mode in (("PNG", "1"), ("PNG", "L"), ("BMP", "1"), ("TIFF", "1"), ("PPM", "1"), ("GIF", "1")):
        root = Path(form + mode, "set")
        for c, number, digit in digits():
            (root / str(c)).mkdir(parents=True, exist_ok=True)
            (root / str(c) / f"{number:02}.png").write_bytes(saved(digit.point(lambda v: 255 * (v > 99)).convert(mode), form))
        records.append(datasets.load(Folder(path=str(root)), 0).record())
    assert all(record == records[0] for record in records)


@pytest.mark.parametrize("name", ["RGB 16 png", "LA 16 png", "RGB 16 tiff", "CMYK jpeg", "float tiff", "pgm 16", "apng", "mpo", "LAB tiff"])
def test_run_and_score_refuse_the_same(name: str) -> None:
    make, text = REFUSED[name]
    root = write(Path("set"), "L.png")
    (root / "0" / "00.png").write_bytes(make())
    with zipfile.ZipFile("set.zip", "w") as archive:
        archive.write(root / "0" / "00.png", "00.png")
    for place, arguments in (
        ("set/0/00.png", ("run", "--dataset", "folder:set", "--model", "bootstrap", "--gens", 1)),
        ("set/0/00.png", ("score", "set", "--against", "digits", *FEW)),
        ("set.zip: 00.png", ("score", "set.zip", "--against", "digits", *FEW)),
        ("set/0/00.png", ("score", "set.zip", "--against", "folder:set", *FEW)),
    ):
        said = call(*arguments)
        assert said.exit_code == 3 and said.stderr.splitlines()[-1].startswith(f"imgcollapse: {place}: {text}"), said.output
        assert "Traceback" not in said.output and not Path("runs").exists()


def test_alpha_stands_in_the_record() -> None:
    write(Path("set"), "alpha.png")
    run = ("run", "--dataset", "folder:set", "--model", "bootstrap", "--gens", 1, "--extractor", "pixels")
    asked = call(*run)
    assert asked.exit_code == 3 and "pixels are transparent; lay it on white (or black) with --set dataset.alpha=white" in asked.stderr
    assert call(*run, "--set", "dataset.alpha=white", "--out", "run").exit_code == 0
    assert "  alpha: white\n" in Path("run/study.yaml").read_text()
    wrong = call(*run, "--set", "dataset.alpha=pink")
    assert wrong.exit_code == 2 and "dataset.alpha: 'pink' cannot be used" in wrong.stderr

    asked = call("score", "set", "--against", "digits", *FEW)
    assert asked.exit_code == 3 and "lay it on white (or black) with --set alpha=white" in asked.stderr
    for arguments, alpha in (
        (("--against", "digits", "--set", "alpha=white"), "white"),
        (("--against", "digits", "--set", "alpha=black"), "black"),
        (("--against", "folder:set", "--set", "dataset.alpha=white"), "white"),  # the data set's own where nothing else is said
    ):
        said = call("score", "set", *arguments, *FEW)
        assert said.exit_code == 0 and json.loads(said.stdout)["options"]["alpha"] == alpha, said.output
    assert samples.read(Path("set"), "white").pixels.shape == (60, 1, 8, 8)
