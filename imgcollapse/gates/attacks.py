"""What happens to published pictures before they are learned from, so that a mark has to survive it. To add one, write a function and add
its line to the table."""

import io
from collections.abc import Callable

from PIL import Image

from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.images import to_levels
from imgcollapse.images.degraded import blur, noise
from imgcollapse.seeds import torch_generator

Attack = Callable[[Tensor, float, int], Tensor]  # uint8 [N, C, H, W], strength, seed -> the same shape


def shift(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """Every picture is moved by so many whole pixels to one of the four sides; what comes in repeats the border."""
    by, found = round(strength), torch.empty_like(pixels)
    wide = functional.pad(pixels.float(), (by, by, by, by), mode="replicate").to(torch.uint8)
    side = torch.randint(4, (len(pixels),), generator=torch_generator(seed))
    height, width = pixels.shape[2:]
    for number, (down, right) in enumerate(((-by, 0), (by, 0), (0, -by), (0, by))):
        found[side == number] = wide[side == number][:, :, by - down : by - down + height, by - right : by - right + width]
    return found


def crop(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """A border of so many pixels is cut off on every side, and the rest enlarged to the old size (bilinear)."""
    by, size = round(strength), pixels.shape[2:]
    inner = pixels[:, :, by : size[0] - by, by : size[1] - by].float()
    return to_levels(functional.interpolate(inner, size=tuple(size), mode="bilinear", align_corners=False))


def jpeg(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """Written as JPEG and read again; strength: the quality, 1 to 95."""
    found = torch.empty_like(pixels)
    for number, picture in enumerate(pixels):
        whole = picture.permute(1, 2, 0).squeeze(2).numpy()
        file = io.BytesIO()
        Image.fromarray(whole).save(file, "jpeg", quality=round(strength))
        read = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8)
        found[number] = read.view(*picture.shape[1:], picture.shape[0]).permute(2, 0, 1)
    return found


def requantise(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """Rounded to so many grey levels, from black to white."""
    step = 255 / (round(strength) - 1)
    return to_levels((pixels / step).round() * step)


ATTACKS: dict[str, tuple[Attack, float, tuple[float, float]]] = {
    "noise": (noise, 8.0, (0.0, 255.0)),
    "shift": (shift, 1.0, (1.0, 64.0)),
    "crop": (crop, 1.0, (1.0, 64.0)),
    "jpeg": (jpeg, 75.0, (1.0, 95.0)),
    "blur": (blur, 0.5, (0.05, 64.0)),
    "requantise": (requantise, 16.0, (2.0, 256.0)),
}
"""The attack, its strength where nobody chose, and the least and greatest that it takes."""
