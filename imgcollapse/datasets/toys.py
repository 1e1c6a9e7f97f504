"""Toy worlds: points from a known distribution, drawn anew for each study seed."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from imgcollapse.datasets.dataset import ANEW, Dataset
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World
from imgcollapse.seeds import derive, numpy_generator

MODES = tuple((x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4))
SPREAD = 0.05  # standard deviation of each mode


class Gaussian(Dataset):
    """Points from the standard normal distribution N(0, I): the world in which collapse can be calculated by hand."""

    kind: Literal["gaussian"] = "gaussian"
    are_points: ClassVar[bool] = True
    comes_split: ClassVar[str] = ANEW
    size: PositiveInt = Field(1000, description="training points; as many are held out")
    dim: PositiveInt = Field(2, description="number of dimensions")

    def read(self, seed: int, extra: int) -> World:
        """float32 [N, 1, 1, dim]; one class."""

        def points(part: str, n: int) -> ImageSet:
            return _as_images(_normal(derive(seed, self.kind, part), n, self.dim), np.zeros(n, np.int64))

        return World(self.kind, points("train", self.size + extra), points("held_out", self.size), ("0",))


class Grid25(Dataset):
    """Points from 25 narrow Gaussians on a grid (Srivastava et al. 2017): the world in which modes are counted."""

    kind: Literal["grid25"] = "grid25"
    are_points: ClassVar[bool] = True
    comes_split: ClassVar[str] = ANEW
    size: PositiveInt = Field(2500, description="training points; as many are held out")

    def read(self, seed: int, extra: int) -> World:
        """float32 [N, 1, 1, 2]; a point's class is its mode, drawn uniformly."""

        def points(part: str, n: int) -> ImageSet:
            modes = numpy_generator(derive(seed, self.kind, part, "modes")).integers(len(MODES), size=n)
            noise = _normal(derive(seed, self.kind, part, "noise"), n, 2)
            return _as_images(np.array(MODES, np.float32)[modes] + np.float32(SPREAD) * noise, modes)

        classes = tuple(str(mode) for mode in MODES)
        return World(self.kind, points("train", self.size + extra), points("held_out", self.size), classes)


def _normal(seed: int, n: int, dim: int) -> NDArray[np.float32]:
    """By numpy: torch's normal draws depend on how many there are, and `extra` must not change the others."""
    return numpy_generator(seed).standard_normal((n, dim), dtype=np.float32)


def _as_images(points: NDArray[np.float32], labels: NDArray[np.int64]) -> ImageSet:
    return ImageSet.of(torch.from_numpy(points)[:, None, None, :], torch.from_numpy(labels))
