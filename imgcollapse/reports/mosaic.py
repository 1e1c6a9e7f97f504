"""Some pictures as one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mosaic(pixels: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """uint8 [N, C, H, W] -> uint8 [C, rows (H + 1) - 1, columns (W + 1) - 1]: the first pictures with a grey line between.

    Places without a picture are white.
    """
    pixels = np.pad(pixels[: rows * columns], ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=90)
    n, c, h, w = pixels.shape
    pixels = np.concatenate([pixels, np.full((rows * columns - n, c, h, w), 255, np.uint8)])
    return pixels.reshape(rows, columns, c, h, w).transpose(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w)[:, :-1, :-1]
