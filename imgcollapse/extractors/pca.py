"""Pixels after a principal component analysis: a space that has learned how real pictures vary, but no classes.

It learns from the training part alone, so no picture that stands for real ones in `real vs real` has shaped it.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic import Field, PositiveInt

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.images import World, to_unit
from imgcollapse.machine import cache
from imgcollapse.settings import Settings

BLOCK = 1024  # pictures that are float64 at a time
SIDE = 32  # wider pictures are halved until they are not: the covariance of more pixels takes gigabytes, and hours
LAYOUT = 1  # part of the digest: raise it when what is computed changes


class PCA(Settings):
    """The first principal components of the pixels of the real training part (of the subset, where there is one)."""

    kind: Literal["pca"] = "pca"
    dim: PositiveInt = Field(64, description="number of components D; fewer where pictures have fewer pixels")

    def check(self, world: World) -> None:
        """Raises DataProblem for points."""
        if world.train.are_points:
            raise DataProblem(f"{world.name}: the extractor 'pca' needs pictures; use 'pixels'")

    def fit(self, world: World) -> "FittedPCA":
        """Learns from the training part alone; from the cache where it is there. Raises DataProblem for points."""
        self.check(world)
        key = f"{LAYOUT}{world.train.digest()}{self.model_dump_json()}"
        found, _ = cache.remembered("components", world.name, key, lambda: (_learn(world.train.pixels, self.dim), {}))
        return FittedPCA(found["mean"], found["components"], sha256(key.encode()).hexdigest())


@dataclass(frozen=True)
class FittedPCA:
    """Principal components as an extractor.

    mean:       float64 [P], of the P values of a picture
    components: float64 [P, D], orthonormal
    digest:     of what they were learned from: the linear algebra of another machine gives other last digits
    """

    mean: Tensor
    components: Tensor
    digest: str
    name: str = "pca"

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, D]: the coordinates along the components, of pixels in 0..1."""
        return torch.cat([((_values(block) - self.mean) @ self.components).float() for block in pixels.split(BLOCK)])

    def probabilities(self, features_ND: Tensor) -> None:
        """None: it knows no classes."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: digest of what it has learned from and of its options, number of features."""
        return {"digest": self.digest, "dim": self.components.shape[1]}


def _learn(pixels: Tensor, dim: int) -> dict[str, Tensor]:
    """Mean and components of uint8 [N, C, H, W], in float64: the covariance's eigenvectors of the largest eigenvalues (Pearson 1901).

    The sign of each is such that its largest entry is positive.
    """
    blocks = pixels.split(BLOCK)
    mean = torch.stack([_values(block).sum(0) for block in blocks]).sum(0) / len(pixels)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for block in blocks:
        centred = _values(block) - mean
        covariance += centred.T @ centred / len(pixels)
    components = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :dim]
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    return {"mean": mean, "components": components * largest.sign()}


def _values(block: Tensor) -> Tensor:
    """uint8 [n, C, H, W] -> float64 [n, P] in 0..1: the pixels, of wide pictures the averages of squares of them."""
    values = to_unit(block).double()
    while max(values.shape[2:]) > SIDE:
        values = functional.avg_pool2d(values, 2, ceil_mode=True)
    return values.flatten(1)
