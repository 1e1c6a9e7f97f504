"""Null models: what finite sampling alone does to a chain of generations, without a network's own errors."""

from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from imgcollapse import seeds
from imgcollapse.images import ImageSet, ImageStream, from_unit, to_unit
from imgcollapse.models.likelihood import log_normal_cells
from imgcollapse.models.network import set_only
from imgcollapse.models.weights import read_about, read_tensors, write_about, write_tensors
from imgcollapse.settings import Settings


class Gaussian(Settings):
    """An independent Gaussian per pixel or coordinate: the textbook chain of repeated estimation."""

    kind: Literal["gaussian"] = "gaussian"
    ddof: Literal[0, 1] = Field(0, description="variance divided by n (0: maximum likelihood) or by n - 1 (1: unbiased)")

    _mean: Tensor = PrivateAttr(torch.empty(0, dtype=torch.float64))
    _standard_deviation: Tensor = PrivateAttr(torch.empty(0, dtype=torch.float64))
    _points: bool = PrivateAttr(False)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: nothing follows the world."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy: mean and standard deviation of every coordinate, in float64. The seed is not needed.

        Raises SettingsProblem for a stream or a start.
        """
        images = set_only(self.kind, images, start)
        values = to_unit(images.pixels).double()
        standard_deviation = values.var(0, correction=min(self.ddof, len(values) - 1)).sqrt()
        return self._fitted(values.mean(0), standard_deviation, images.are_points)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n draws; of pictures, rounded to 0..255. Unlabelled."""
        noise = torch.randn((n, *self._mean.shape), generator=seeds.torch_generator(seed), dtype=torch.float64)
        values = self._mean + self._standard_deviation * noise
        return ImageSet.of(values.float() if self._points else from_unit(values))

    def log_likelihood(self, images: ImageSet, seed: int, draws: int) -> Tensor:
        """float64 [N], in nats, exact: the log probability that a draw is this picture, or of a point the log density.

        A coordinate that hardly varied counts as one of the least standard deviation that its numbers can tell: that of rounding to a grey
        level, or the resolution of float32. Seed and draws are not needed.
        """
        if not self._points:
            return log_normal_cells(images.pixels, self._mean, self._standard_deviation).flatten(1).sum(1)
        spread = self._standard_deviation.clamp(min=torch.finfo(torch.float32).eps)
        return torch.distributions.Normal(self._mean, spread).log_prob(images.pixels.double()).flatten(1).sum(1)

    def save(self, folder: Path) -> None:
        """Writes the model's folder."""
        write_about(folder, self, points=self._points)
        write_tensors(folder, {"mean": self._mean, "deviation": self._standard_deviation})

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        tensors = read_tensors(folder)
        return self._fitted(tensors["mean"], tensors["deviation"], bool(read_about(folder)["state"]["points"]))

    def _fitted(self, mean: Tensor, standard_deviation: Tensor, points: bool) -> Self:
        fitted = self.model_copy()
        fitted._mean, fitted._standard_deviation, fitted._points = mean, standard_deviation, points
        return fitted


class Bootstrap(Settings):
    """Draws its training pictures again, with replacement: genetic drift, and nothing else."""

    kind: Literal["bootstrap"] = "bootstrap"

    _images: ImageSet | None = PrivateAttr(None)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: nothing follows the world."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy that remembers the pictures. The seed is not needed. Raises SettingsProblem for a stream or a start."""
        fitted = self.model_copy()
        fitted._images = set_only(self.kind, images, start)
        return fitted

    def sample(self, n: int, seed: int) -> ImageSet:
        """n training pictures with their labels, drawn with replacement."""
        assert self._images is not None, "fit or load the model first"
        rows = torch.randint(len(self._images), (n,), generator=seeds.torch_generator(seed))
        return self._images[rows]

    def save(self, folder: Path) -> None:
        """Writes the model's folder: the pictures themselves."""
        assert self._images is not None, "fit or load the model first"
        write_about(folder, self)
        write_tensors(folder, {name: getattr(self._images, name) for name in ("pixels", "labels", "born")})

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        fitted = self.model_copy()
        fitted._images = ImageSet(**read_tensors(folder))
        return fitted


NULLS = ("bootstrap", "gaussian")
