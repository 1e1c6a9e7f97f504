"""Features of a convolutional network with fixed random weights: a space that has learned nothing, the same for everybody.

Convolution with random filters, modulus, halving, level by level, and the average of each map over all positions: a scattering transform
(Bruna & Mallat 2013) with random filters in the place of wavelets. Random networks as judges: Naeem et al. 2020. docs/metrics.md says how
this one was chosen.
"""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, PositiveInt

from imgcollapse import seeds
from imgcollapse.errors import DataProblem
from imgcollapse.extractors.forward import forward
from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.images import World, to_signed
from imgcollapse.machine import cache
from imgcollapse.settings import Settings

BATCH = 256  # pictures at once; changes no number
LEVELS = 4  # at most; pictures of 8 x 8 have two
SCALE = 10.0  # features are times this, so that neither FD nor KID, a sixth power of the scale, needs powers of ten
LAYOUT = 1  # part of the digest: raise it when what is computed from the weights changes


class Random(Settings):
    """Mean absolute activations of a convolutional network with fixed random weights, which has learned nothing."""

    kind: Literal["random"] = "random"
    width: PositiveInt = Field(24, description="filters of each level, and features that it gives")
    seed: int = Field(0, description="seed of the weights; the same ones in every study")

    def check(self, world: World) -> None:
        """Raises DataProblem for points."""
        if world.train.are_points:
            raise DataProblem(f"{world.name}: the extractor 'random' needs pictures; use 'pixels'")

    def fit(self, world: World) -> "FittedRandom":
        """Nothing is learned: the seed and the size of the pictures are all of it. Raises DataProblem for points."""
        self.check(world)
        channels, height, side = world.train.shape
        generator = seeds.torch_generator(seeds.derive(self.seed, "random network"))
        filters = []
        for _ in range(min(LEVELS, _halvings(max(height, side)) + 1)):
            uniform = 2 * torch.rand(self.width, channels, 3, 3, generator=generator) - 1  # whole multiples of 2^-23 on every machine
            filters.append(uniform * math.sqrt(3 / (9 * channels)))  # a map's mean square is that of the maps below
            channels = self.width
        return FittedRandom(tuple(filters))


@dataclass(frozen=True)
class FittedRandom:
    """filters: float32 [width, channels, 3, 3] of each level."""

    filters: tuple[Tensor, ...]
    name: str = "random"

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, levels width] on the CPU."""
        return forward(self._see, pixels, BATCH, "random")

    def _see(self, block: Tensor) -> Tensor:
        maps, found = to_signed(block), list[Tensor]()
        for level, filters in enumerate(self.filters):
            maps = functional.avg_pool2d(maps, 2, ceil_mode=True) if level else maps
            maps = functional.conv2d(functional.pad(maps, (1, 1, 1, 1), mode="replicate"), filters.to(maps.device)).abs()
            found.append(SCALE * maps.mean((2, 3)))
        return torch.cat(found, 1)

    def probabilities(self, features_ND: Tensor) -> None:
        """None: it knows no classes."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: digest of the weights, number of features."""
        weights = {f"{level}": filters for level, filters in enumerate(self.filters)}
        return {"digest": cache.digest(weights, {"layout": LAYOUT}), "dim": sum(map(len, self.filters))}


def _halvings(side: int) -> int:
    """How often a picture is halved until it is at most 4 wide."""
    return max(1, (side - 1).bit_length() - 2)
