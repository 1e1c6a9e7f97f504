"""The pictures themselves as features: for toy worlds, and for theory."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, PositiveFloat

from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import World
from imgcollapse.settings import Settings


class Pixels(Settings):
    """The pixels (0 to 1) or coordinates themselves; points belong to a class whose centre they lie near."""

    kind: Literal["pixels"] = "pixels"
    within: PositiveFloat = Field(3.0, description="points: within how many standard deviations of a class centre a point is of that class")

    def fit(self, world: World) -> "FittedPixels":
        """Nothing is learned from pictures; of points, the centre and spread of each class."""
        if not world.train.are_points or len(world.classes) < 2:
            return FittedPixels(world.train.shape)
        points, labels = world.train.pixels.flatten(1), world.train.labels
        classes = range(len(world.classes))
        centres = torch.stack([points[labels == c].mean(0) for c in classes])
        return FittedPixels(world.train.shape, centres, float((points - centres[labels]).square().mean().sqrt()) * self.within)


@dataclass(frozen=True)
class FittedPixels:
    """The identity as an extractor."""

    shape: tuple[int, int, int]
    centres: Tensor | None = None
    reach: float = 0.0
    name: str = "pixels"

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, C H W] in 0..1; points as they are."""
        flat = pixels.flatten(1)
        return flat / 255 if flat.dtype == torch.uint8 else flat

    def probabilities(self, features_ND: Tensor) -> Tensor | None:
        """float32 [N, classes]: 1 for the nearest class centre within reach, else 0 (the rule of Srivastava et al. 2017)."""
        if self.centres is None:
            return None
        apart = torch.cdist(features_ND, self.centres, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = torch.nn.functional.one_hot(apart.argmin(1), len(self.centres))
        return nearest * (apart <= self.reach).float()

    def record(self) -> dict[str, object]:
        """What identifies this extractor."""
        return {"digest": "identity", "dim": self.shape[0] * self.shape[1] * self.shape[2]}
