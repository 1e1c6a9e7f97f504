"""Pictures of any size cut to their central square and made smaller, in one documented way."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcollapse.datasets.refused import Refused

Crop = Literal["center"] | None
CROP = "center: cut every picture to its central square; none: do not crop"
RESIZE = "side, in pixels, to which every (square) picture is resized, by Pillow's antialiased Lanczos filter; none: do not resize"
FILTER = Image.Resampling.LANCZOS


@dataclass(frozen=True)
class Fitting:
    """What becomes of every picture, once it is decoded.

    As NVlabs' dataset_tool does with `--transform=center-crop` and `--resolution`: Lanczos in Pillow, whose support grows with the factor.
    """

    crop: Crop = None
    resize: int | None = None

    def __call__(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [C, H, W] -> uint8 [C, h, w]. Raises Refused for one that would be stretched or made larger."""
        if self.crop == "center":
            height, width = planes.shape[1:]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            planes = planes[:, top : top + side, left : left + side]
        return planes if self.resize is None else self._resized(planes, self.resize)

    def _resized(self, planes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        height, width = planes.shape[1:]
        if height != width:
            cure = "cut it to its central square with --set dataset.crop=center, or make all pictures square"
            raise Refused(f"is {width}x{height} pixels, which dataset.resize would stretch", cure)
        if side > height:
            wrong = f"is {width}x{height} pixels, fewer than dataset.resize = {side}"
            raise Refused(wrong, f"set dataset.resize to {height} or less, or take the picture away")
        return np.stack([np.asarray(Image.fromarray(plane).resize((side, side), FILTER)) for plane in planes])

    def words(self) -> str:
        """What is done, for messages; empty where nothing is."""
        done = ["cut to the central square"] if self.crop else []
        done += [f"resized to {self.resize}x{self.resize} (Lanczos)"] if self.resize else []
        return " and ".join(done)
