"""The one place where the bytes of a picture file become pixels, for data sets and for samples alike.

Nothing is decoded approximately or in silence. A picture is read exactly, or it is refused with reason and cure:

|             | exact                                            | refused                                              |
|-------------|--------------------------------------------------|------------------------------------------------------|
| format      | PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, PGM, PBM,  | all others                                           |
|             | by their content                                 |                                                      |
| bytes       | whole; checksums right (only PNG has them)       | cut, damaged, more after the end                     |
| frames      | one                                              | animations, pages, stereo pairs                      |
| mode        | 1-bit, grey, palette, RGB                        | CMYK, YCCK, LAB, YCbCr in TIFF, signed, fractions    |
| depth       | 1, 2, 4, 8 bits (b bits: times 255 / (2^b - 1)); | more than 8 bits per channel; BMP of 16 bits a pixel |
|             | PPM: 255 v / maxval, rounded                     |                                                      |
| alpha       | none, or 255 everywhere; any other, of any kind, | where `alpha` is "refuse"; premultiplied; channels   |
|             | where `alpha` is "white" or "black"              | that may be alpha or not                             |
| orientation | none, or 1 ... 8 (EXIF, TIFF): applied           | any other number                                     |
| colours     | no profile; one that means sRGB; gamma 1/2.2     | any other profile, gamma or primaries                |

A picture whose pixels all are grey is grey, whatever its mode: the same digits as L, RGB, palette or GIF are the same world.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from imgcollapse.datasets import headers
from imgcollapse.datasets.headers import BMP_MODES
from imgcollapse.datasets.refused import AS_PNG, SINGLE, TO_SRGB, WHOLE, Header, Refused

Alpha = Literal["refuse", "white", "black"]
ALPHA = "pictures with transparency: lay them on white or on black, or refuse them"

GROUNDS = {"white": 255, "black": 0}
EXACT = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # Pillow's mode -> the one in which the values are read
WITH_ALPHA = ("LA", "PA", "RGBA")
KINDS = {"CMYK": "CMYK, which is for printing", "La": "multiplied with their alpha"}
NEAR = 9  # of 255: sRGB's own curve and a gamma of 2.2, which stand for each other everywhere, are up to 8.5 apart


def pixels(content: bytes, alpha: Alpha = "refuse", option: str = "dataset.alpha") -> NDArray[np.uint8]:
    """uint8 [1, H, W] where all its pixels are grey, else [3, H, W]. `option`: `alpha` as the user knows it, or "". Raises Refused."""
    kind, header = headers.read(content)
    try:
        with _in_silence(kind), Image.open(io.BytesIO(content), formats=[kind]) as picture:
            found = _values(_upright(_checked(picture, header)), header, alpha, option)
    except Refused:
        raise
    except UnidentifiedImageError:  # its text is a memory address
        raise Refused(f"it is a {kind} picture of a kind that Pillow cannot read", AS_PNG) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Refused(f"it is too large ({error})", "make it smaller, or move it elsewhere") from error
    except Exception as error:  # damage makes Pillow raise almost anything
        raise Refused(f"it cannot be decoded ({' '.join(str(error).split()) or type(error).__name__})", WHOLE) from error
    planes = found.transpose(2, 0, 1)
    return planes[:1] if all(np.array_equal(planes[0], other) for other in planes[1:]) else planes


@contextmanager
def _in_silence(kind: str) -> Iterator[None]:
    """What Pillow only warns of is an error: it is not exact. And libtiff, which writes to stderr itself, is not heard."""
    stderr = None
    with suppress(OSError):  # a process without stderr
        stderr = os.dup(2) if kind == "TIFF" else None
    try:
        if stderr is not None:
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        if stderr is not None:
            os.dup2(stderr, 2)
            os.close(stderr)


def _checked(picture: Image.Image, header: Header) -> Image.Image:
    """The same, once everything is known to be exact that does not depend on single pixels."""
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        raise Refused(f"it holds {frames} pictures", SINGLE)
    if picture.mode not in (*EXACT, *WITH_ALPHA):
        raise Refused(f"its pixels are {KINDS.get(picture.mode, picture.mode)}, and not RGB or grey", "convert it to RGB or grey")
    if header.bits and picture.mode not in BMP_MODES[header.bits]:
        raise Refused(f"it is a BMP of {header.bits} bits per pixel with a palette that Pillow reads wrongly", AS_PNG)
    if "icc_profile" in picture.info and not _means_srgb(picture.info["icc_profile"] or b""):
        raise Refused("its colour profile is not sRGB", TO_SRGB)
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says; a TIFF picture is turned by Pillow when it is loaded."""
    exif = picture.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if orientation not in range(9):  # 0 is written for "not known"
        raise Refused(f"its orientation is {orientation}, and only 1 ... 8 mean something", "save it upright, without an orientation")
    if ExifTags.IFD.Exif in exif and exif.get_ifd(ExifTags.IFD.Interop).get(1) == "R03":  # how cameras say it without a profile (DCF 2.0)
        raise Refused("its colours are Adobe RGB", TO_SRGB)
    picture.load()
    return picture if orientation < 2 or picture.format == "TIFF" else ImageOps.exif_transpose(picture)


def _values(picture: Image.Image, header: Header, alpha: Alpha, option: str) -> NDArray[np.uint8]:
    """uint8 [H, W, C]: its colours, laid on the ground where it has transparency."""
    if not picture.width or not picture.height:
        raise Refused(f"it is {picture.width}x{picture.height} pixels", WHOLE)
    if header.colours and picture.mode in ("P", "L") and np.asarray(picture).max() >= header.colours:
        raise Refused(f"it has pixels beyond the {header.colours} colours of its palette", WHOLE)
    if picture.mode in EXACT and "transparency" not in picture.info:
        plain = EXACT[picture.mode]
        return np.atleast_3d(np.asarray(picture if picture.mode == plain else picture.convert(plain)))
    if header.clear is not None:
        picture.info["transparency"] = header.clear
    rgba = np.asarray(picture.convert("RGBA"))
    colours, opaque = rgba[..., :3], rgba[..., 3:]
    through = int((opaque < 255).sum())
    if not through:
        return colours
    wrong = f"{through:,} of its {opaque.size:,} pixels are transparent"
    if header.premultiplied:
        raise Refused(f"{wrong}, and its colours are multiplied with its alpha", AS_PNG)
    if alpha == "refuse":
        raise Refused(
            wrong, (f"lay it on white (or black) with --set {option}=white, or " if option else "") + "save it without transparency"
        )
    return on(colours, opaque, GROUNDS[alpha])


def on(colours: NDArray[np.uint8], alpha: NDArray[np.uint8], ground: int) -> NDArray[np.uint8]:
    """round((c a + g (255 - a)) / 255), in integers and so exact; the half never occurs, because 255 is odd."""
    sums = colours.astype(np.uint32) * alpha + ground * (255 - alpha.astype(np.uint32))
    return ((sums + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _means_srgb(profile: bytes) -> bool:
    """Whether going from this ICC profile to sRGB moves no value of a grid of colours (or greys) by more than NEAR, whatever its name."""
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = own.profile.xcolor_space.strip()
        steps = np.linspace(0, 255, 18).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3) if space == "RGB" else steps[None]
        values = Image.fromarray(grid)
        seen = ImageCms.profileToProfile(
            values, own, ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except Exception:  # damaged, or of a space that neither grey nor RGB values can have
        return False
    assert seen is not None
    return bool(np.abs(np.asarray(seen).astype(int) - np.asarray(values.convert("RGB"))).max() <= NEAR)
