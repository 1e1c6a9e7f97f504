"""A pool of real pictures that is not like the real distribution: class-skewed, or degraded."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from imgcollapse import seeds
from imgcollapse.errors import SettingsProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet
from imgcollapse.images.degraded import blur, noise, tail
from imgcollapse.settings import Settings

AT_ONCE = 256  # pictures degraded at a time


class PoolBias(Settings):
    """How the real pictures that are mixed in differ from those that generation 0 learns from; more than one of these may be given."""

    imbalance: float = Field(
        1.0, ge=1, description="long tail, as in dataset.imbalance: times as many pictures of the first class as of the last; 1: none"
    )
    classes: tuple[NonNegativeInt, ...] = Field((), description="numbers of the classes that it is limited to; []: all")
    blur: float | None = Field(None, ge=0.05, le=64, description="standard deviation of a Gaussian blur, in pixels; none: no blur")
    noise: PositiveFloat | None = Field(
        None, description="standard deviation of added noise, in grey levels (points: in their units); none: no noise"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if twice := [one for one in self.classes if self.classes.count(one) > 1]:
            raise ValueError(f"classes names class {twice[0]} twice; name it once")
        if self.imbalance > 1 and self.classes:
            raise ValueError("imbalance and classes both say how many of each class there are: give one of them")
        if self == type(self).model_construct():
            raise ValueError("says nothing; give imbalance, classes, blur or noise, or leave pool_bias out")
        return self

    @property
    def chooses(self) -> bool:
        """Whether there are fewer real pictures in the pool, and not only worse ones."""
        return self.imbalance > 1 or bool(self.classes)

    def check(self, images: ImageSet) -> None:
        """Raises SettingsProblem for real pictures that have no such classes, and for points that cannot be blurred."""
        least, most = int(images.labels.min()), int(images.labels.max())
        if unknown := [label for label in self.classes if not least <= label <= most]:
            raise SettingsProblem(f"regime.pool_bias.classes: there is no class {unknown[0]}; there are: {least} to {most}")
        if self.imbalance > 1 and most == least:
            raise SettingsProblem("regime.pool_bias.imbalance: there is one class, which can have no long tail; give noise or blur")
        if self.blur is not None and images.are_points:
            raise SettingsProblem("regime.pool_bias.blur: points cannot be blurred; give noise")

    def chosen(self, labels: Tensor) -> Tensor:
        """int64: which rows of real pictures with these labels are in the pool, in order."""
        if self.classes:
            return torch.isin(labels, torch.tensor(self.classes)).nonzero()[:, 0]
        if self.imbalance == 1 or not len(labels):
            return torch.arange(len(labels))
        counts = tail(torch.bincount(labels).tolist(), self.imbalance)  # up to the last class that is there
        rows = [(labels == label).nonzero()[:count, 0] for label, count in enumerate(counts)]
        return torch.cat(rows).sort().values

    def title(self) -> str:
        """What is peculiar to the pool, in a few words."""
        parts = [f"long tail {self.imbalance:g} to 1"] if self.imbalance > 1 else []
        parts += [f"class{'es' * (len(self.classes) > 1)} {', '.join(map(str, self.classes))} only"] if self.classes else []
        parts += [f"blur {self.blur:g}"] if self.blur is not None else []
        parts += [f"noise {self.noise:g}"] if self.noise is not None else []
        return ", ".join(parts)


@lru_cache(maxsize=1)  # of the one set of real pictures that a run has
def biased(images: ImageSet, bias: PoolBias) -> ImageSet:
    """The pool: those of the real pictures that the bias leaves, in order, each degraded in the same way for ever.

    Whatever more pictures there are behind it: a toy world has as many as a chain is long.
    """
    pool = images[bias.chosen(images.labels)]
    degraded = [_degraded(part, bias, seeds.derive(0, "pool bias", pool[:1].digest(), place)) for place, part in _parts(pool.pixels)]
    return ImageSet(torch.cat([pool.pixels[:0], *degraded]), pool.labels, pool.born)


def _parts(pixels: Tensor) -> Iterator[tuple[int, Tensor]]:
    return enumerate(pixels.split(AT_ONCE)) if len(pixels) else iter(())


def _degraded(pixels: Tensor, bias: PoolBias, seed: int) -> Tensor:
    found = pixels if bias.blur is None else blur(pixels, bias.blur, 0)
    if bias.noise is None:
        return found
    whole = torch.cat([found, found.new_zeros((AT_ONCE - len(found), *found.shape[1:]))])  # its noise depends on how many there are
    return noise(whole, bias.noise, seed)[: len(found)]
