"""Some pictures as one."""

from imgcollapse.heavy import Tensor, torch


def mosaic(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """uint8 [N, C, H, W] -> uint8 [C, rows (H + 1) - 1, columns (W + 1) - 1]: the first pictures with a grey line between.

    Places without a picture are white.
    """
    pixels = torch.nn.functional.pad(pixels[: rows * columns], (0, 1, 0, 1), value=90)
    n, c, h, w = pixels.shape
    pixels = torch.cat([pixels, pixels.new_full((rows * columns - n, c, h, w), 255)])
    return pixels.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w)[:, :-1, :-1]
