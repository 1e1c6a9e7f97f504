"""The spaces that have not learned classes: a network with fixed random weights, and principal components of the training part."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as Oracle
from standins import pictures
from torch import Tensor

from imgcollapse import datasets, seeds
from imgcollapse.datasets.toys import Gaussian
from imgcollapse.errors import DataProblem
from imgcollapse.extractors import EXTRACTORS
from imgcollapse.extractors.pca import PCA, FittedPCA
from imgcollapse.extractors.random import SCALE, FittedRandom, Random
from imgcollapse.images import ImageSet, World


def of_shape(channels: int, height: int, width: int, n: int = 12) -> World:
    parts = [ImageSet.of(pictures(n, channels, height, width, place), torch.arange(n) % 2) for place in ("train", "held out")]
    return World("noise", parts[0], parts[1], ("a", "b"))


def random_of(channels: int, height: int, width: int, seed: int = 0) -> FittedRandom:
    return Random(seed=seed).fit(of_shape(channels, height, width))


# --- both


@pytest.mark.parametrize("kind", ["random", "pca", "spectrum"])
def test_points_are_refused(kind: str) -> None:
    points = datasets.load(Gaussian(size=50), 0)
    with pytest.raises(DataProblem, match=f"^{re.escape(f'{points.name}: the extractor {kind!r} needs pictures; use')} 'pixels'$"):
        EXTRACTORS[kind]().fit(points)


@pytest.mark.parametrize("kind", ["random", "pca"])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 1, 1), (1, 2, 2), (3, 5, 9), (1, 1, 40), (3, 17, 16), (1, 70, 64)])
def test_pictures_of_any_shape_are_taken(kind: str, channels: int, height: int, width: int) -> None:
    fitted = EXTRACTORS[kind]().fit(of_shape(channels, height, width))
    features = fitted.features(pictures(5, channels, height, width))
    assert features.shape == (5, fitted.record()["dim"]) and features.isfinite().all()


# --- random


@pytest.mark.parametrize(("shape", "dim"), [((1, 8, 8), 48), ((1, 28, 28), 96), ((3, 32, 32), 96), ((3, 64, 64), 96)])
def test_there_are_few_features_so_that_their_covariance_is_known_from_few_pictures(shape: tuple[int, int, int], dim: int) -> None:
    assert random_of(*shape).record()["dim"] == dim


def test_the_weights_are_the_same_on_every_machine_and_for_every_world() -> None:
    digests = {name: random_of(*shape).record()["digest"] for name, shape in (("grey", (1, 28, 28)), ("colour", (3, 32, 32)))}
    assert digests == {
        "grey": "a93eece9cd94c785cc239f22e836f58bac79147beddb13a5698b36fbfd1fd234",
        "colour": "077e204914a582041a3f604cd516d2b23e914bce4a7620c7c5462e9814737750",
    }
    other = of_shape(1, 28, 28, n=30)
    assert Random().fit(replace(other, name="other", classes=("all",))).record()["digest"] == digests["grey"]
    assert random_of(1, 28, 28, seed=1).record()["digest"] != digests["grey"]


def by_hand(image: np.ndarray, filters: list[np.ndarray]) -> list[float]:
    """The features of one picture [C, H, W] of grey levels, pixel by pixel."""
    maps, found = image / 127.5 - 1, []
    for level, kernel in enumerate(filters):
        if level:
            halved = np.zeros((len(maps), -(-maps.shape[1] // 2), -(-maps.shape[2] // 2)))
            for _, row, column in np.ndindex(halved.shape):
                halved[:, row, column] = maps[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((1, 2))
            maps = halved
        height, width = maps.shape[1:]
        seen = np.zeros((len(kernel), height, width))
        for row, column in np.ndindex(height, width):
            rows, columns = (np.clip(at + np.arange(-1, 2), 0, size - 1) for at, size in ((row, height), (column, width)))
            seen[:, row, column] = np.tensordot(kernel, maps[:, rows][:, :, columns], 3)
        maps = np.abs(seen)
        found += (SCALE * maps.mean((1, 2))).tolist()
    return found


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9)])
def test_features_are_the_averages_of_moduli_of_convolutions_level_by_level(shape: tuple[int, int, int]) -> None:
    fitted = random_of(*shape)
    image = pictures(1, *shape)
    expected = by_hand(image[0].double().numpy(), [filters.double().numpy() for filters in fitted.filters])
    np.testing.assert_allclose(fitted.features(image)[0].numpy(), expected, rtol=1e-4)


def test_a_map_is_on_average_as_strong_as_those_below() -> None:
    filters = torch.cat([random_of(3, 32, 32, seed).filters[1] for seed in range(20)])
    assert float(filters.square().sum((1, 2, 3)).mean()) == pytest.approx(1, rel=0.03)


def test_what_moves_before_an_even_ground_is_the_same_picture_and_what_is_turned_is_another() -> None:
    thing = torch.arange(12, dtype=torch.uint8).view(3, 4) * 20
    there, moved, turned = (torch.zeros(1, 1, 64, 64, dtype=torch.uint8) for _ in range(3))
    there[..., 24:27, 24:28] = moved[..., 32:35, 40:44] = thing  # by whole cells of all levels, away from the border
    turned[..., 24:27, 24:28] = thing.flip(1)
    fitted = random_of(1, 64, 64)
    one, same, other = (fitted.features(picture) for picture in (there, moved, turned))
    np.testing.assert_allclose(same.numpy(), one.numpy(), rtol=1e-4)
    assert float((other - one).norm()) > 0.01 * float((one - fitted.features(torch.zeros_like(there))).norm())


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    random_of(1, 8, 8)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- principal components


def spread(n: int, place: str) -> Tensor:
    """uint8 [n, 1, 4, 4] that vary along two directions only, a wide and a narrow one, but for their rounding."""
    draws = seeds.torch_generator(seeds.derive(0, "spread", place))
    wide, narrow = torch.zeros(16), torch.zeros(16)
    wide[:8], narrow[8:] = 1, 1
    along = torch.randn(n, 2, generator=draws) * torch.tensor([20.0, 8.0])
    return (128 + along @ torch.stack([wide, narrow])).round().clamp(0, 255).to(torch.uint8).view(n, 1, 4, 4)


def fitted_pca(pixels: Tensor, held_out: Tensor, dim: int = 64) -> FittedPCA:
    return PCA(dim=dim).fit(World("spread", ImageSet.of(pixels), ImageSet.of(held_out), ("a",)))


def test_the_first_components_are_the_directions_in_which_training_pictures_vary_most() -> None:
    fitted = fitted_pca(spread(400, "train"), spread(50, "held out"), dim=2)
    wide, narrow = fitted.components.T
    assert wide[:8].numpy() == pytest.approx(8**-0.5, abs=0.02) and narrow[8:].numpy() == pytest.approx(8**-0.5, abs=0.02)
    assert wide[8:].abs().max() < 0.05 and narrow[:8].abs().max() < 0.05


def test_components_and_coordinates_are_those_of_scikit_learn() -> None:
    train, seen = pictures(300, 1, 4, 5), pictures(20, 1, 4, 5, "other")
    features = fitted_pca(train, seen, dim=6).features(seen)
    expected = Oracle(6, svd_solver="full").fit(train.flatten(1).double().numpy() / 255).transform(seen.flatten(1).double().numpy() / 255)
    np.testing.assert_allclose(features.abs().numpy(), np.abs(expected), atol=1e-6)


def test_all_components_keep_the_distances_of_pixels() -> None:
    train, seen = pictures(100, 1, 4, 4), pictures(10, 1, 4, 4, "other")
    features = fitted_pca(train, seen).features(seen)
    assert features.shape == (10, 16), "there are no more components than pixels"
    assert torch.allclose(torch.pdist(features), torch.pdist(seen.flatten(1) / 255), atol=1e-5)


def test_held_out_pictures_have_no_part_in_it_and_training_pictures_do() -> None:
    train = spread(60, "train")
    one, same, other = fitted_pca(train, spread(50, "a")), fitted_pca(train, spread(50, "b")), fitted_pca(train[:40], spread(50, "a"))
    assert torch.equal(one.components, same.components) and torch.equal(one.mean, same.mean) and one.record() == same.record()
    assert torch.allclose(one.mean, train.flatten(1).double().mean(0) / 255), "and not that of all pictures"
    assert one.record()["digest"] != other.record()["digest"] and not torch.equal(one.mean, other.mean)
