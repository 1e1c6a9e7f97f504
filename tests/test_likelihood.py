"""How probable pictures are to models: against closed forms, other people's code, sums over all pictures, and what the models draw."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import logsumexp
from scipy.stats import logistic, multivariate_normal, norm
from sklearn.decomposition import PCA
from test_models import pictures, points, quick
from torch import Tensor, nn
from torch.nn import functional

from imgcollapse import models
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.models import MODELS, Likely
from imgcollapse.models.gmm import GMM
from imgcollapse.models.likelihood import (
    LEVEL,
    ROUNDING,
    dequantised,
    log_exponential_levels,
    log_logistic_cells,
    log_normal_cells,
)
from imgcollapse.models.nulls import Gaussian
from imgcollapse.models.vae import VAE
from imgcollapse.models.vae_prior import Prior
from imgcollapse.settings import build

KINDS = ("vae", "gmm", "gaussian")
OBSERVATIONS = [{"kind": "vae", "observation": one} for one in ("gaussian", "bernoulli")]  # beside the default
LEVELS = torch.arange(256, dtype=torch.uint8)


def of_values(values: Tensor) -> ImageSet:
    """Pictures from numbers in 0..1, [N, C, H, W]."""
    return ImageSet.of((values * 255).round().clamp(0, 255).to(torch.uint8))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- one pixel


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.3, 1.0, 7.5])
@pytest.mark.parametrize("spread", [0.0, ROUNDING, 0.02, 1.5])
def test_the_cells_of_a_normal_pixel_are_all_of_it(mean: float, spread: float) -> None:
    found = log_normal_cells(LEVELS, torch.tensor(mean), torch.tensor(spread))
    assert found.dtype == torch.float64 and found.isfinite().all() and (found <= 0).all()
    assert float(found.logsumexp(0)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("spread", [1.5, 40.0])
def test_a_normal_cell_is_the_integral_of_the_density_far_out_too(spread: float) -> None:
    """Against a sum of 2,000 densities in each cell, in logarithms: at spread 1.5 up to 170 standard deviations from the mean."""
    places = np.arange(1, 255)[:, None] + (np.arange(2000) + 0.5) / 2000 - 0.5
    expected = logsumexp(norm(3.3, spread).logpdf(places), axis=1) - math.log(2000)
    found = log_normal_cells(LEVELS[1:-1], torch.tensor(3.3 * LEVEL).double(), torch.tensor(spread * LEVEL).double())
    assert np.allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.3, 1.0, 7.5])
@pytest.mark.parametrize("scale", [1e-9, ROUNDING, 0.02, 1.5])
def test_the_cells_of_a_logistic_pixel_are_all_of_it_and_have_a_gradient(mean: float, scale: float) -> None:
    place, width = torch.tensor(mean, dtype=torch.float64, requires_grad=True), torch.tensor(math.log(scale)).double().requires_grad_()
    found = log_logistic_cells(LEVELS, place, width)
    assert found.isfinite().all() and (found <= 0).all() and float(found.detach().logsumexp(0)) == pytest.approx(0, abs=1e-9)
    assert torch.allclose(log_logistic_cells(LEVELS, place.float(), width.float()).double(), found, rtol=1e-3, atol=1e-4)
    found.sum().backward()
    assert place.grad is not None and width.grad is not None and place.grad.isfinite() and width.grad.isfinite()


def test_a_logistic_cell_is_a_difference_of_the_distribution_function() -> None:
    edges = np.concatenate([[-np.inf], np.arange(255) + 0.5, [np.inf]])
    expected = np.diff(logistic(100.3, 9.0).cdf(edges))
    found = log_logistic_cells(LEVELS, torch.tensor(100.3 * LEVEL).double(), torch.tensor(9 * LEVEL).double().log())
    assert np.allclose(found.exp().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("logit", [-300.0, -2.0, -1e-7, 0.0, 1e-3, 5.0, 80.0])
def test_the_grey_levels_of_a_bernoulli_pixel_are_all_of_it_and_differ_by_its_cross_entropy(logit: float) -> None:
    logits = torch.full((256,), logit, dtype=torch.float64)
    found = log_exponential_levels(LEVELS, logits)
    assert float(found.logsumexp(0)) == pytest.approx(0, abs=1e-6)
    entropy = functional.binary_cross_entropy_with_logits(logits, LEVELS.double() / 255, reduction="none")
    assert torch.allclose(found - found[7], entropy[7] - entropy, atol=1e-6)
    assert torch.allclose(log_exponential_levels(LEVELS, logits.float()).double(), found, atol=1e-4)


def test_a_dequantised_picture_lies_anywhere_in_its_cells() -> None:
    images = ImageSet.of(LEVELS.repeat(400)[:, None, None, None])
    noise = dequantised(images, 0) * 255 - images.pixels.flatten(1).double()
    assert noise.abs().max() <= 0.5 and abs(noise.mean()) < 4.5 / math.sqrt(12 * len(noise))
    assert float(noise.var()) == pytest.approx(1 / 12, rel=0.02) and not torch.equal(noise * LEVEL, dequantised(images, 1))


# --- every model


def test_who_knows_likelihoods() -> None:
    assert [kind for kind in MODELS if isinstance(quick(kind), Likely)] == ["vae", "gmm", "gaussian"]


@pytest.mark.parametrize("more", [*OBSERVATIONS, *({"kind": kind} for kind in KINDS)])
def test_every_picture_has_a_finite_probability_that_outlives_the_fit(more: dict[str, Any], tmp_path: Path) -> None:
    """Of a model that has only seen one picture, too: nothing in it ever varied."""
    extreme = ImageSet.of(torch.cat([torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 255)]).to(torch.uint8))
    for number, learned_from in enumerate((pictures(), ImageSet.of(pictures(1).pixels.repeat(48, 1, 1, 1)))):
        fitted: Any = quick(**more).fit(learned_from, 0)
        for images in (pictures(seed=1), extreme):
            found = fitted.log_likelihood(images, 3, 4)
            assert found.shape == (len(images),) and found.dtype == torch.float64 and found.isfinite().all() and (found < 0).any()
            assert torch.equal(found, fitted.log_likelihood(images, 3, 4))
        fitted.save(tmp_path / str(number))
        opened: Any = models.load(tmp_path / str(number))
        assert torch.allclose(opened.log_likelihood(extreme, 3, 4), fitted.log_likelihood(extreme, 3, 4), rtol=1e-12)


@pytest.mark.parametrize(("kind", "more"), [("vae", {"steps": 100}), ("gmm", {})])
def test_the_learned_pictures_are_likelier_than_noise(kind: str, more: dict[str, Any]) -> None:
    """Not to pixels that know nothing of each other, for these pictures are of two kinds."""
    fitted: Any = quick(kind, **more).fit(pictures(), 0)
    noise = ImageSet.of(torch.randint(0, 256, (48, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8))
    own, other = (-fitted.log_likelihood(images, 0, 8).mean() / (64 * math.log(2)) for images in (pictures(seed=1), noise))
    assert own < other - 0.3


# --- gaussian


def test_what_a_gaussian_draws_it_draws_as_often_as_it_says() -> None:
    """Of one pixel, clipped at both ends: the count of every grey value is binomial."""
    fitted = Gaussian()._fitted(torch.full((1, 1, 1), 0.4).double(), torch.full((1, 1, 1), 0.4).double(), False)
    n = 200_000
    share = fitted.log_likelihood(ImageSet.of(LEVELS[:, None, None, None]), 0, 1).exp()
    counts = torch.bincount(fitted.sample(n, 1).pixels.flatten().long(), minlength=256)
    assert share[0] > 0.1 and share[255] > 0.05, "it is clipped"
    assert ((counts - n * share).abs() < 4.5 * (n * share * (1 - share)).sqrt()).all()


def test_the_bits_of_a_known_normal_are_its_entropy() -> None:
    """h = log2(s sqrt(2 pi e)) bits of a normal of standard deviation s in grey values, for s well above one."""
    spread = 12.0
    fitted = Gaussian()._fitted(torch.full((1, 20, 20), 0.5).double(), torch.full((1, 20, 20), spread * LEVEL).double(), False)
    bits = -fitted.log_likelihood(fitted.sample(500, 2), 0, 1) / (400 * math.log(2))
    error = math.sqrt(0.5) / math.log(2) / math.sqrt(500 * 400)  # of the mean: z^2 / 2 has variance 1/2
    assert abs(bits.mean().item() - math.log2(spread * math.sqrt(2 * math.pi * math.e))) < 4.5 * error


def test_the_density_of_points_is_scipys() -> None:
    images = points(50)
    values = images.pixels.flatten(1).double().numpy()
    expected = norm(values.mean(0), values.std(0)).logpdf(values).sum(1)
    assert np.allclose(Gaussian().fit(images, 0).log_likelihood(images, 0, 1).numpy(), expected, rtol=1e-9)


def test_points_that_never_varied_have_a_finite_density() -> None:
    same = ImageSet.of(torch.ones(20, 1, 1, 3))
    fitted = Gaussian().fit(same, 0)
    resolution = torch.finfo(torch.float32).eps
    assert float(fitted.log_likelihood(same, 0, 1)[0]) == pytest.approx(3 * norm(1, resolution).logpdf(1))
    assert fitted.log_likelihood(points(), 0, 1).isfinite().all()


# --- gmm


def by_scipy(fitted: GMM, values: Tensor, more: float = 0.0) -> Any:
    """Log density of a mixture in the full space: its covariances there, the variance that its PCA leaves out, and so much more."""
    axes, left_out = fitted._axes.numpy(), 0.0 if fitted._left_out is None else float(fitted._left_out)
    terms = []
    for component, (weight, mean) in enumerate(zip(fitted._mixture.weights_, fitted._mixture.means_, strict=True)):
        covariance = axes @ fitted._full_covariance(component) @ axes.T
        covariance += left_out * (np.eye(len(axes)) - axes @ axes.T) + more * np.eye(len(axes))
        terms.append(np.log(weight) + multivariate_normal(fitted._centre.numpy() + axes @ mean, covariance).logpdf(values.numpy()))
    return logsumexp(terms, axis=0)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_the_likelihood_of_a_mixture_is_scipys_in_the_space_of_pixels(covariance: str) -> None:
    fitted = build(GMM, {"components": 3, "covariance": covariance}).fit(points(300), 0)
    expected = by_scipy(fitted, points(300).pixels.flatten(1).double())
    assert np.allclose(fitted.log_likelihood(points(300), 0, 1).numpy(), expected, rtol=1e-8)
    for pca in (6, 64):
        of_pictures = build(GMM, {"components": 3, "covariance": covariance, "pca": pca}).fit(pictures(80), 0)
        assert (of_pictures._left_out is None) == (pca == 64)
        expected = by_scipy(of_pictures, dequantised(pictures(30), 5), ROUNDING**2) + 64 * math.log(LEVEL)
        assert np.allclose(of_pictures.log_likelihood(pictures(30), 5, 1).numpy(), expected, rtol=1e-8)


def test_one_gaussian_after_a_pca_is_probabilistic_pca() -> None:
    """scikit-learn's, of the dequantised pictures: the same up to its division by n - 1 and what was drawn in the cells."""
    images = of_values(0.5 + 0.05 * normal(3000, 1, 2, 5) @ normal(5, 5, seed=1))
    fitted = GMM(components=1, pca=3, regularisation=1e-9).fit(images, 0)
    values = dequantised(images, 0)
    expected = PCA(3).fit(values.numpy()).score_samples(values.numpy()) + 10 * math.log(LEVEL)
    found = fitted.log_likelihood(images, 0, 1).numpy()
    assert np.allclose(found, expected, atol=0.2) and found.mean() == pytest.approx(expected.mean(), abs=0.005)


def test_the_probabilities_of_all_pictures_of_a_mixture_sum_to_one() -> None:
    """Numeric integration: 256^2 pictures of two pixels, one place in each cell; the PCA leaves out one direction of two."""
    seen = of_values(0.5 + torch.stack([0.1 * normal(400), 0.03 * normal(400, seed=1)], 1)[:, None, None, :])
    fitted = GMM(components=2, pca=1).fit(seen, 0)
    all_of_them = ImageSet.of(torch.cartesian_prod(LEVELS, LEVELS)[:, None, None, :])
    assert float(fitted.log_likelihood(all_of_them, 0, 1).logsumexp(0).exp()) == pytest.approx(1, abs=0.005)


def test_a_mixture_of_an_older_version_draws_but_knows_no_likelihoods_of_pictures(tmp_path: Path) -> None:
    fitted = GMM(components=3, pca=4).fit(pictures(), 0)
    fitted.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert tensors.pop("left_out") > 0
    save_file(tensors, tmp_path / "model.safetensors")
    older: Any = models.load(tmp_path)
    assert older.sample(9, 0).digest() == fitted.sample(9, 0).digest()
    with pytest.raises(DataProblem, match=r"^an older version saved this gmm without the variance that its PCA leaves out; make the run "):
        older.log_likelihood(pictures(), 0, 1)
    GMM(components=3).fit(points(), 0).save(tmp_path / "points")
    assert "left_out" not in load_file(tmp_path / "points" / "model.safetensors")


# --- vae


class Linear(nn.Module):
    """A decoder x = W z + b, and an encoder that is given: as far from the true posterior as a test wants it."""

    def __init__(self, matrix_DL: Tensor, spread: float, exact: bool) -> None:
        super().__init__()
        self.matrix_DL, self.exact = matrix_DL, exact
        self.log_deviation = torch.tensor(math.log(spread))
        self.prior = Prior(matrix_DL.shape[1], 0)
        precision = torch.eye(matrix_DL.shape[1]) + matrix_DL.T @ matrix_DL / spread**2
        self.root = torch.linalg.cholesky(torch.linalg.inv(precision))
        self.gain = torch.linalg.inv(precision) @ matrix_DL.T / spread**2

    def encode(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        mean = (unit.flatten(1) - 0.5) @ self.gain.T
        # columns of W are orthogonal, so the posterior's covariance is diagonal
        return (mean, 2 * self.root.diagonal().log().expand_as(mean)) if self.exact else (0 * mean, 0 * mean)

    def decode(self, latent: Tensor) -> Tensor:
        return (0.5 + latent @ self.matrix_DL.T).unflatten(1, (1, 1, -1))


SPREAD = 0.06


def linear(exact: bool) -> tuple[VAE, ImageSet, Tensor]:
    """A linear VAE of two latent numbers, 200 pictures of five pixels from it, and their exact log probabilities.

    x is normal with covariance W W^T + s^2 I (Tipping & Bishop 1999), whose density changes little within a cell: s is 15 grey values.
    """
    matrix_DL = 0.08 * torch.linalg.qr(normal(5, 2)).Q.float()
    values = 0.5 + normal(200, 2, seed=1).float() @ matrix_DL.T + SPREAD * normal(200, 5, seed=2).float()
    images = of_values(values[:, None, None, :])
    covariance = (matrix_DL @ matrix_DL.T).double() + SPREAD**2 * torch.eye(5)
    density = multivariate_normal(np.full(5, 0.5), covariance.numpy()).logpdf(images.pixels.flatten(1).double().numpy() * LEVEL)
    vae = VAE(latent=2, observation="gaussian")._fitted(Linear(matrix_DL, SPREAD, exact))
    return vae, images, torch.from_numpy(density) + 5 * math.log(LEVEL)


@pytest.mark.parametrize("draws", [1, 7])
def test_the_bound_of_a_linear_vae_with_its_true_posterior_is_exact(draws: int) -> None:
    vae, images, exact = linear(exact=True)
    assert torch.allclose(vae.log_likelihood(images, 0, draws), exact, atol=0.01)


def test_the_bound_rises_with_the_draws_towards_the_exact_value() -> None:
    vae, images, exact = linear(exact=False)
    gaps = [float((exact - vae.log_likelihood(images, 0, draws)).mean()) for draws in (1, 4, 16, 64, 4096)]
    assert all(more > fewer for more, fewer in pairwise(gaps)) and gaps[0] > 0.5
    assert gaps[-1] == pytest.approx(0, abs=0.01)


def mixture(*parts: tuple[float, ...]) -> Prior:
    """Of one latent number, from (weight, mean, standard deviation)."""
    prior, (shares, means, spreads) = Prior(1, len(parts)), torch.tensor(parts).T
    prior.logits, prior.means, prior.roots = shares.log() + 3, means[:, None], spreads[:, None, None]
    return prior


class Sigmoids(Linear):
    """The same as logits."""

    def decode(self, latent: Tensor) -> Tensor:
        return (latent @ self.matrix_DL.T).unflatten(1, (1, 1, -1))


@pytest.mark.parametrize("prior", [None, [(0.7, -1.5, 0.4), (0.3, 2.0, 0.8)]])
def test_the_bound_of_grey_levels_reaches_their_integral_over_the_latent(prior: list[tuple[float, ...]] | None) -> None:
    """Under the standard normal prior, and under a mixture of (weight, mean, standard deviation)."""
    matrix_DL = 2 * normal(5, 1, seed=3).float()
    images = ImageSet.of(torch.randint(0, 256, (20, 1, 1, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8))
    z = torch.linspace(-8, 8, 4001)[:, None]
    each = log_exponential_levels(images.pixels.flatten(1)[:, None], (z @ matrix_DL.T)[None]).double().sum(2)  # [20, 4001]
    density = sum(share * norm(mean, spread).pdf(z.double().flatten().numpy()) for share, mean, spread in prior or [(1, 0, 1)])
    exact = (each + torch.from_numpy(np.log(density))).logsumexp(1) + math.log(16 / 4000)
    vae = VAE(latent=1, observation="bernoulli")._fitted(Sigmoids(matrix_DL, SPREAD, exact=False))
    vae._net.prior = mixture(*prior) if prior else vae._net.prior
    assert torch.allclose(vae.log_likelihood(images, 0, 20_000), exact, atol=0.05)
    assert (vae.log_likelihood(images, 0, 1) - exact).mean() < -0.3


def test_what_a_logistic_decoder_draws_it_draws_as_often_as_it_says() -> None:
    """Of one pixel whose decoder does not listen to the code, clipped at both ends: the count of every grey value is binomial."""
    net = Linear(torch.zeros(1, 1), 0.15, exact=False)
    net.shape = (1, 1, 1)  # type: ignore[assignment]
    fitted = build(VAE, {"latent": 1, "observation": "logistic", "sampling": {"draw": "sample"}})._fitted(net)
    n, share = 200_000, fitted.log_likelihood(ImageSet.of(LEVELS[:, None, None, None]), 0, 1).exp()
    counts = torch.bincount(fitted.sample(n, 1).pixels.flatten().long(), minlength=256)
    assert share[0] > 0.02 and float(share.sum()) == pytest.approx(1, abs=1e-6)
    assert ((counts - n * share).abs() < 4.5 * (n * share * (1 - share)).sqrt()).all()


@pytest.mark.parametrize("observation", ["bernoulli", "gaussian", "logistic"])
def test_the_bound_of_a_trained_vae_is_a_function_of_the_seed_and_rises(observation: str) -> None:
    fitted: Any = quick("vae", steps=60, observation=observation).fit(pictures(), 0)
    few, other, many = (fitted.log_likelihood(pictures(seed=1), seed, draws) for seed, draws in ((0, 2), (1, 2), (0, 200)))
    assert not torch.equal(few, other) and many.mean() > few.mean()
    assert torch.equal(torch.random.get_rng_state(), (fitted.log_likelihood(pictures(), 0, 2), torch.random.get_rng_state())[1])
