"""The header of a PNG file (ISO/IEC 15948), the one format here in which all damage can be found: every chunk has a checksum."""

import struct
import zlib

from imgcollapse.datasets.refused import AS_PNG, SINGLE, SRGB_GAMMA, TO_SRGB, WHOLE, Header, Refused, check_primaries, deep, ends_at

ONCE = (b"IHDR", b"PLTE", b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"IEND")


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: the first column and row of each pass, and the steps to the next ones."""


def header(content: bytes) -> Header:
    """Every chunk there and whole. Raises Refused."""
    chunks = _chunks(content)
    kinds = [kind for kind, _ in chunks]
    found = dict(chunks)
    if kinds[0] != b"IHDR" or b"IDAT" not in found or any(kinds.count(kind) > 1 for kind in ONCE):
        raise Refused("its chunks are not those of a PNG file", WHOLE)
    for kind in kinds:
        if kind[0] & 32 == 0 and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):  # a critical one: without it the picture is another
            raise Refused(f"its chunk {ascii(kind)[2:-1]} is not known here, and nothing can be told without it", AS_PNG)
    if b"acTL" in found:
        raise Refused("it is an animation", SINGLE)
    width, height, depth, colour, interlaced = struct.unpack(">IIBBxxB", found[b"IHDR"])
    if depth > 8:
        raise deep(depth)
    if colour == 3 and not found.get(b"PLTE"):
        raise Refused("it has no palette, so its colours are not known", WHOLE)
    wanted = _raster(width, height, depth * CHANNELS[colour], PASSES if interlaced else ((0, 0, 1, 1),))
    if _length(b"".join(data for kind, data in chunks if kind == b"IDAT"), wanted) != wanted:
        raise Refused("its pixels are cut or damaged", WHOLE)
    _check_colours(found)
    most = 2**depth - 1
    return Header(
        colours=len(found[b"PLTE"]) // 3 if colour == 3 else None,
        clear=(struct.unpack(">H", found[b"tRNS"])[0] & most) * 255 // most if colour == 0 and b"tRNS" in found else None,
    )


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and data of all, their checksums compared."""
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while not chunks or chunks[-1][0] != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        if zlib.crc32(content[at + 4 : at + 8 + length]) != checksum:
            raise Refused(f"its chunk {ascii(kind)[2:-1]} does not fit its checksum", WHOLE)
        chunks.append((kind, content[at + 8 : at + 8 + length]))
        at += 12 + length
    ends_at(content, at)
    return chunks


def _raster(width: int, height: int, bits: int, passes: tuple[tuple[int, int, int, int], ...]) -> int:
    """Bytes of all rows of all passes; each row begins with the number of its filter."""
    sizes = [(-((x - width) // right), -((y - height) // down)) for x, y, right, down in passes]
    return sum(h * (1 + (w * bits + 7) // 8) for w, h in sizes if w > 0)


def _length(data: bytes, most: int) -> int:
    """Bytes that come out of a zlib stream, or of its start where they are more than `most`; -1 for a stream that is not whole."""
    stream, found = zlib.decompressobj(), 0
    try:
        while found <= most and (piece := stream.decompress(data, 2**20)):
            found, data = found + len(piece), stream.unconsumed_tail
    except zlib.error:
        return -1
    return found if stream.eof else -1


def _check_colours(found: dict[bytes, bytes]) -> None:
    """Raises Refused for a gamma or primaries other than those of sRGB; the profile of an `iCCP` is the decoder's matter."""
    if b"cICP" in found:
        if found[b"cICP"] != b"\x01\x0d\x00\x01":
            raise Refused("its colours are not sRGB (cICP)", TO_SRGB)
    elif b"iCCP" not in found and b"sRGB" not in found:
        gamma = struct.unpack(">I", found[b"gAMA"])[0] / 1e5 if b"gAMA" in found else SRGB_GAMMA
        if abs(gamma - SRGB_GAMMA) > 0.005:
            raise Refused(f"its gamma is {gamma:.4g}, not that of sRGB (1/2.2 = 0.4545)", TO_SRGB)
        if b"cHRM" in found:
            check_primaries([value / 1e5 for value in struct.unpack(">8I", found[b"cHRM"])])
