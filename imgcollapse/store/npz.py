"""Image sets in `.npz` files: `pixels`, `labels`, `born`, as they stand in an ImageSet; nothing in them is pickled."""

import io
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet

PARTS = ("pixels", "labels", "born")
SMALL, MAPPED = 2**16, 2**26  # bytes of pixels from which on compressing saves anything, and from which on they are to be mapped
LEVEL, WORTH, LOOKED_AT = 1, 0.7, 2**16  # of zlib (6 takes four times as long for a tenth less); the share that must be left at most; bytes
LARGE = 2**20  # bytes of a file from which on it is mapped: a mapping holds the file open, and there may be thousands of small ones
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member: signature, and the lengths of name and extra field that follow (APPNOTE 4.3.7)


def write_images(path: Path, images: ImageSet) -> str | None:
    """Writes the pictures: compressed where that pays and they are not so many that whoever reads them should map them.

    Returns the SHA-256 of what it would have written uncompressed, by which the same pictures are known whatever compressed them; None
    where it was.
    """
    arrays = {name: getattr(images, name).numpy() for name in PARTS}
    if not _pays(arrays["pixels"]):
        np.savez(path, **arrays)
        return None
    plain = io.BytesIO()
    np.savez(plain, **arrays)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return sha256(plain.getbuffer()).hexdigest()


def _pays(pixels: NDArray[Any]) -> bool:
    """Whether they are to be compressed, which follows from them alone: so every run that draws them writes the same."""
    if not SMALL <= pixels.nbytes < MAPPED:
        return False
    some = pixels[:: max(1, len(pixels) * pixels[0].nbytes // LOOKED_AT)].tobytes()
    return len(zlib.compress(some, LEVEL)) < WORTH * len(some)


def read_images(path: Path, first: int | None = None) -> ImageSet:
    """The pictures in an `.npz` that this package wrote; the first so many, without reading the others, where `first` is given.

    A large set lies in the file, mapped into memory, where it is not compressed: it takes no memory that the system could not have back.
    What is written into its tensors stays in this process. Raises DataProblem where it cannot be read, or has changed since it was
    written (CRC-32, of a set read whole).
    """
    with _readable(path):
        return ImageSet(*map(torch.from_numpy, _arrays(path, PARTS, first)))


def read_pixels(path: Path, first: int | None = None) -> NDArray[Any]:
    """The pixels alone, uint8 [N, C, H, W], or float32 [N, 1, 1, D] of points; otherwise as `read_images`, and without torch."""
    with _readable(path):
        (pixels,) = _arrays(path, PARTS[:1], first)
        assert pixels.ndim == 4 and pixels.dtype in (np.uint8, np.float32), (pixels.shape, pixels.dtype)
        return pixels


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # zipfile, zlib, numpy and the checks of ImageSet each raise their own
        raise DataProblem(f"{path}: cannot be read ({error}); run the same command again, which repairs damaged generations") from None


def _arrays(path: Path, names: Sequence[str], first: int | None) -> list[NDArray[Any]]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if first is not None:
            return [_first_rows(archive, name, first) for name in names]
        large = os.fstat(file.fileno()).st_size >= LARGE
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if large else None
        return [_array(archive, name, whole) for name in names]


def _array(archive: zipfile.ZipFile, name: str, whole: mmap.mmap | None) -> NDArray[Any]:
    """The array, where it can be in the mapped file; read, where somebody has compressed it or written it in Fortran's order."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        if whole is None or info.compress_type != zipfile.ZIP_STORED:
            return np.lib.format.read_array(member, allow_pickle=False)
        shape, fortran, dtype = _header(member)
        if fortran or dtype.hasobject:
            member.seek(0)
            return np.lib.format.read_array(member, allow_pickle=False)
        header = member.tell()
    start = _start(info, whole)
    if zlib.crc32(memoryview(whole)[start : start + info.file_size]) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if header + size > info.file_size:
        raise ValueError(f"{info.filename} ends before its array does")
    array = np.ndarray(shape, dtype, whole, start + header)
    return array if array.flags.aligned else array.copy()  # zip members begin anywhere; the pixels, which come first, are aligned


def _start(info: zipfile.ZipInfo, whole: mmap.mmap) -> int:
    """Where in the file a stored member's bytes begin."""
    signature, name, extra = LOCAL_HEADER.unpack_from(whole, info.header_offset)
    start = int(info.header_offset + LOCAL_HEADER.size + name + extra)
    if signature != b"PK\x03\x04" or start + info.file_size > len(whole):
        raise zipfile.BadZipFile(f"{info.filename} does not lie where the file says")
    return start


def _first_rows(archive: zipfile.ZipFile, name: str, count: int) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        shape, _, dtype = _header(member)
        rows = min(count, shape[0])
        size = rows * int(np.prod(shape[1:])) * dtype.itemsize
        return np.frombuffer(bytearray(member.read(size)), dtype).reshape(rows, *shape[1:])


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(member)
    return shape, fortran, dtype
