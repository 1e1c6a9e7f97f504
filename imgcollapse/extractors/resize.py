"""Bicubic resizing as Pillow does it, for many pictures at once.

Pillow's resize is linear in each direction: out = rows @ picture @ columns^T, with weights that depend on the two sizes alone. They are
read off Pillow itself, by resizing a diagonal, so that filter, antialiasing and borders are its own.
"""

import functools

import numpy as np
from PIL import Image

from imgcollapse.heavy import Tensor, torch

FIXED = 22  # Pillow's weights for 8-bit pictures are whole multiples of 2^-22
FINE = 30  # as fine as 32-bit integers allow


def bicubic(pixels: Tensor, side: int, whole: bool = False) -> Tensor:
    """uint8 [N, C, H, W] -> float32 [N, C, side, side] in 0..255, on the same device.

    whole: as Pillow resizes 8-bit pictures, rounding and clipping after the horizontal and again after the vertical pass (equal to the
    bit; Pillow 13 takes the passes of some tall pictures in the other order); else as it resizes float pictures (mode F), where nothing is
    rounded, only clipped in the end (to 1e-4). Float64 inside, so that both hold; where a device has none, the processor does it.
    """
    place = pixels.device if pixels.device.type != "mps" else torch.device("cpu")
    found = pixels.to(place, torch.float64)
    columns, rows = (_weights(size, side, FIXED if whole else FINE).to(place) for size in (pixels.shape[3], pixels.shape[2]))
    found = found @ columns.T
    found = rows @ (_rounded(found) if whole else found)
    found = _rounded(found) if whole else found.clamp(0, 255)
    return found.float().to(pixels.device)


def _rounded(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)


@functools.cache
def _weights(size: int, side: int, bits: int) -> Tensor:
    """float64 [side, size], whole multiples of 2^-bits: of an old row, its share in each new one."""
    diagonal = Image.fromarray(np.eye(size, dtype=np.int32) << bits)  # 32-bit integers: Pillow computes in float64 and rounds once
    spread = diagonal.resize((size, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(spread).astype(np.float64)) / 2**bits
