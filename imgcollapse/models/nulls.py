"""Null models: what finite sampling alone does to a chain of generations, without a network's own errors."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from imgcollapse import seeds
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, ImageStream, fingerprints, from_unit, to_unit
from imgcollapse.metrics.nearest import nearest
from imgcollapse.models.likelihood import log_normal_cells
from imgcollapse.models.network import set_only
from imgcollapse.models.sampling import Tempered, densest
from imgcollapse.models.weights import read_about, read_tensors, write_about, write_tensors
from imgcollapse.settings import Settings


class Gaussian(Settings):
    """An independent Gaussian per pixel or coordinate: the textbook chain of repeated estimation."""

    kind: Literal["gaussian"] = "gaussian"
    ddof: Literal[0, 1] = Field(0, description="variance divided by n (0: maximum likelihood) or by n - 1 (1: unbiased)")
    sampling: Tempered = Field(Tempered(), description="how draws are made; it decides nothing of what is learned")

    LATER: ClassVar = ("sampling",)

    _mean: Tensor = PrivateAttr()
    _standard_deviation: Tensor = PrivateAttr()
    _points: bool = PrivateAttr(False)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: nothing follows the world."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy: mean and standard deviation of every coordinate, in float64. The seed is not needed.

        Raises SettingsProblem for a stream or a start.
        """
        images = set_only(self, images, start)
        values = to_unit(images.pixels).double()
        standard_deviation = values.var(0, correction=min(self.ddof, len(values) - 1)).sqrt()
        return self._fitted(values.mean(0), standard_deviation, images.are_points)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n draws; of pictures, rounded to 0..255. Unlabelled."""
        noise = torch.randn((n, *self._mean.shape), generator=seeds.torch_generator(seed), dtype=torch.float64)
        varies = self._standard_deviation > 0  # the others have no density, and their noise moves nothing
        noise[:, varies] = densest(noise[:, varies], self.sampling.keep)
        values = self._mean + self.sampling.temperature * self._standard_deviation * noise
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
    """Redraws its training pictures with replacement: it loses what finite sampling alone loses (genetic drift)."""

    kind: Literal["bootstrap"] = "bootstrap"

    _images: ImageSet | None = PrivateAttr(None)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: nothing follows the world."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy that remembers the pictures. The seed is not needed. Raises SettingsProblem for a stream or a start."""
        fitted = self.model_copy()
        fitted._images = set_only(self, images, start)
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
        write_tensors(folder, _parts(self._images))

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        fitted = self.model_copy()
        fitted._images = _images(read_tensors(folder))
        return fitted


class Smooth(Settings):
    """Redraws training pictures with replacement and adds a little noise: a kernel density estimate, which never draws a picture twice.

    The noise of a picture is as long, in root mean square, as `noise` times the distance s from a training picture to the nearest
    different one (root mean square too): normal with standard deviation noise * s / sqrt(D) in each of D coordinates. With noise = 1 it is
    the one that maximises the leave-one-out likelihood (Duin 1976) where of each picture's kernels only the nearest counts, as in many
    dimensions: the maximum of sum(-D log h - d^2 / (2 h^2)) is at h^2 = mean d^2 / D. That is too wide for a chain, in which each
    generation adds its noise to the last one's: on digits precision falls from 0.92 to 0.42 in ten generations with noise = 1, to 0.73
    with 0.5, and stays at 0.91 with 0.1, as without noise, while no picture is drawn twice.
    """

    kind: Literal["smooth"] = "smooth"
    noise: float = Field(0.1, gt=0, description="length of the noise, as a share of the distance to the nearest different training picture")

    _images: ImageSet | None = PrivateAttr(None)
    _deviation: float = PrivateAttr(0.0)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: the noise follows the training set."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy that remembers the pictures and how far apart they are. The seed is not needed.

        Raises SettingsProblem for a stream or a start.
        """
        images = set_only(self, images, start)
        return self._fitted(images, self.noise * _spacing(images) / images.pixels[0].numel() ** 0.5)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n training pictures with their labels, drawn with replacement, each with noise of its own; of pictures, rounded to 0..255."""
        assert self._images is not None, "fit or load the model first"
        generator = seeds.torch_generator(seed)
        drawn = self._images[torch.randint(len(self._images), (n,), generator=generator)]
        noise = torch.randn(drawn.pixels.shape, generator=generator, dtype=torch.float64)
        values = to_unit(drawn.pixels).double() + self._deviation * noise
        return ImageSet(values.float() if drawn.are_points else from_unit(values), drawn.labels, drawn.born)

    def save(self, folder: Path) -> None:
        """Writes the model's folder: the pictures themselves, and the noise."""
        assert self._images is not None, "fit or load the model first"
        write_about(folder, self, deviation=self._deviation)
        write_tensors(folder, _parts(self._images))

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        return self._fitted(_images(read_tensors(folder)), float(read_about(folder)["state"]["deviation"]))

    def _fitted(self, images: ImageSet, deviation: float) -> Self:
        fitted = self.model_copy()
        fitted._images, fitted._deviation = images, deviation
        return fitted


def _spacing(images: ImageSet) -> float:
    """Root mean square distance of the different pictures (LOOKED_AT of them) to the nearest other one, pixels in 0..1; 0 without one."""
    _, which_N = fingerprints(images.pixels).unique(return_inverse=True)
    place_M = torch.zeros(int(which_N.max()) + 1, dtype=torch.int64).scatter(0, which_N, torch.arange(len(images)))
    values_MD = to_unit(images.pixels[place_M]).flatten(1).double()  # in the order of their fingerprints: a random one
    if len(values_MD) < 2:
        return 0.0
    apart_N, _ = nearest(values_MD[:LOOKED_AT], values_MD, 2)  # the nearest is the picture itself
    return float(apart_N.square().mean().sqrt())


def _parts(images: ImageSet) -> dict[str, Tensor]:
    """The pictures as they are written: where some stand there several times, each of them once, and `rows`, which of them stands where.

    A chain of `bootstrap` has ever fewer different ones, 1 - 1/e of n after the first draw.
    """
    beside = {"labels": images.labels, "born": images.born}
    _, which_N = fingerprints(images.pixels).unique(return_inverse=True)
    place_M = torch.full((int(which_N.max()) + 1,), len(images)).scatter_reduce(0, which_N, torch.arange(len(images)), "amin")
    order_M = place_M.argsort()  # in the order in which they are met
    rows_N = order_M.argsort()[which_N]
    different = images.pixels[place_M[order_M]]
    if len(different) < len(images) and torch.equal(different[rows_N], images.pixels):
        return {"pixels": different, "rows": rows_N.int(), **beside}
    return {"pixels": images.pixels, **beside}


def _images(tensors: dict[str, Tensor]) -> ImageSet:
    """What `_parts` made, and what older versions wrote."""
    rows = tensors.pop("rows", None)
    return ImageSet(**tensors if rows is None else {**tensors, "pixels": tensors["pixels"][rows.long()]})


LOOKED_AT = 1000  # pictures whose nearest neighbour tells how far apart they are, to about 1 %
REDRAWN = ("bootstrap", "smooth")  # null models that start from training pictures rather than from noise
FAIR = "smooth"  # what finite sampling alone does to a generator that, like the models it stands beside, never repeats itself
NULLS = ("bootstrap", "smooth", "gaussian")


def nulls_for(are_points: bool) -> tuple[str, ...]:
    """The null models that an ablation runs in a world of points, or of pictures, which are nothing like independent Gaussians."""
    return NULLS if are_points else REDRAWN
