"""What several processes of one run fit and sample from together."""

from typing import Protocol, Self, TypeVar

from imgcollapse.images import ImageSet, ImageStream


class Learner(Protocol):
    """What can be fitted and sampled from (see `imgcollapse.models.Model`)."""

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy."""

    def sample(self, n: int, seed: int) -> ImageSet:
        """n pictures."""


L = TypeVar("L", bound=Learner)
