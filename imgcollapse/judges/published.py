"""Distances as papers report them: all samples against the whole training part, and our statistics against the published ones.

A run's own scores compare N samples with as many held-out pictures, because that tells collapse from sampling error; papers compare 50,000
samples with the training part. The two numbers are not comparable.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcollapse import progress
from imgcollapse.errors import DataProblem
from imgcollapse.extractors import FittedExtractor, frechet_name
from imgcollapse.extractors import weights as files
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import World
from imgcollapse.machine import cache
from imgcollapse.metrics.distances import between_gaussians

STATISTICS = {"inception": "cifar10_clean_train_32.npz", "inception-legacy": "cifar10_legacy_tensorflow_train_32.npz"}
"""By extractor: clean-fid's file of mean and covariance of CIFAR-10's training part."""
SOURCE = "https://www.cs.cmu.edu/~clean-fid/stats/"
CURE = f"put a whole copy from {SOURCE} in its place, or move it elsewhere"
CIFAR10 = 50_000  # pictures in its training part
CLOSE = 0.01  # a Fréchet distance below which two sets of statistics are the same for every purpose
BLOCK = 5_000  # pictures whose features are in memory at once


@dataclass(frozen=True, eq=False)
class Moments:
    """The first two moments of features. mean: float64 [D], covariance: float64 [D, D], divided by n - 1; n: how many pictures."""

    mean: Tensor
    covariance: Tensor
    n: int


def as_published(extractor: FittedExtractor, world: World, pixels: Tensor) -> dict[str, Any]:
    """The Fréchet distance of all `pixels` (uint8 [N, C, H, W]) to the whole training part of the world, as papers report it.

    `{"name": "FID", "value": ..., "samples": N, "reference": M}`, where the name is FID or FD-DINOv2 only for the published weights, and FD
    for any other; papers mean N = 50,000. In a world that is all of CIFAR-10, with clean-fid's file beside the weights, there is also
    `"published_statistics": {"file": ..., "distance": ...}`, how far our reference is from theirs. The reference is kept in the data
    folder. Cost: all pictures once through the extractor, O(N D^2 + D^3). Raises DataProblem for fewer than two pictures.
    """
    if len(pixels) < 2:
        raise DataProblem(f"{len(pixels)} samples have no covariance; the Fréchet distance needs at least 2, and papers mean 50,000")
    real = reference(extractor, world)
    found: dict[str, Any] = {
        "name": frechet_name(extractor.name),
        "value": frechet(moments(extractor, pixels), real),
        "samples": len(pixels),
        "reference": real.n,
    }
    compared = against_published(extractor, world, real)
    return found if compared is None else {**found, "published_statistics": compared}


def reference(extractor: FittedExtractor, world: World) -> Moments:
    """Moments of the whole training part, from the data folder where they are there."""

    def make() -> cache.Made:
        found = moments(extractor, world.train.pixels)
        return {"mean": found.mean, "covariance": found.covariance}, {"n": found.n}

    key = json.dumps([world.train.digest(), extractor.record()], sort_keys=True)
    tensors, record = cache.remembered("statistics", f"{world.name}-{extractor.name}", key, make)
    return Moments(tensors["mean"], tensors["covariance"], record["n"])


def moments(extractor: FittedExtractor, pixels: Tensor) -> Moments:
    """Moments of the features, a block of pictures at a time (Chan, Golub & LeVeque 1979: sums of two blocks, about their own means)."""
    mean, spread, n = torch.zeros(0), torch.zeros(0), 0
    for block in pixels.split(BLOCK):
        x_ND = extractor.features(block).double()
        own, m = x_ND.mean(0), len(x_ND)
        scatter = (x_ND - own).T @ (x_ND - own)
        if n == 0:
            mean, spread, n = own, scatter, m
            continue
        apart = own - mean
        spread = spread + scatter + torch.outer(apart, apart) * (n * m / (n + m))
        mean, n = mean + apart * (m / (n + m)), n + m
    return Moments(mean, spread / (n - 1), n)


def frechet(one: Moments, other: Moments) -> float:
    """The Fréchet distance, from the moments alone. Float64."""
    return between_gaussians(one.mean, _root(one.covariance), other.mean, _root(other.covariance))


def against_published(extractor: FittedExtractor, world: World, real: Moments) -> dict[str, Any] | None:
    """How far our statistics of CIFAR-10 are from clean-fid's: their file's name, and the Fréchet distance. None where there is nothing
    to compare: another world, a part of this one, other weights, or no file. Raises DataProblem for a damaged one."""
    if extractor.name not in STATISTICS or world.name != "cifar10" or real.n != CIFAR10:
        return None
    path = files.folder() / STATISTICS[extractor.name]
    if not path.is_file():
        return None
    distance = frechet(real, _read(path, len(real.mean)))
    verdict = "they are the same" if distance < CLOSE else "they are NOT the same, and neither are distances to them"
    progress.say(f"{path}: a Fréchet distance of {distance:.2g} from our statistics of the same pictures; {verdict}")
    return {"file": path.name, "distance": distance}


def _read(path: Path, dim: int) -> Moments:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            mean, covariance = (torch.from_numpy(held[name].astype(np.float64)) for name in ("mu", "sigma"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataProblem(f"{path}: holds no arrays mu and sigma, or is damaged; {CURE}") from error
    if mean.shape != (dim,) or covariance.shape != (dim, dim):
        raise DataProblem(f"{path}: is of {tuple(covariance.shape)} features, not {dim}; {CURE}")
    return Moments(mean, covariance, CIFAR10)


def _root(covariance: Tensor) -> Tensor:
    """float64 [D, D], R with R^T R = C; eigenvalues that rounding has made negative count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()).T
