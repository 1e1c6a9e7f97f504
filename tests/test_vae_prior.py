"""The prior of a VAE against closed forms, its way through a model's life, and what the VAE says of its codes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from test_models import pictures, quick
from torch import Tensor, nn

from imgcollapse import models
from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.models.vae import BY_SIZE, VAE
from imgcollapse.models.vae_prior import Prior

SHARES = np.array([0.2, 0.8])
MEANS = np.array([[-4.0, 0.0], [3.0, 1.0]])
COVARIANCES = np.array([[[1.0, 0.6], [0.6, 0.5]], [[0.3, 0.0], [0.0, 2.0]]])


def known() -> Prior:
    prior = Prior(2, 2)
    prior.logits, prior.means = torch.from_numpy(SHARES).log().float() - 1, torch.from_numpy(MEANS).float()
    prior.roots = torch.linalg.cholesky(torch.from_numpy(COVARIANCES)).float()
    return prior


def test_without_a_mixture_it_is_the_standard_normal_to_the_bit() -> None:
    prior, codes = Prior(3, 0), torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = -0.5 * (codes.double().square() + math.log(2 * math.pi)).sum(2)
    assert torch.allclose(prior.log_density(codes), expected, rtol=1e-12) and prior.log_density(codes).dtype == torch.float64
    assert torch.equal(prior.draw(40, 5, 7, 0.5), 0.5 * torch.randn((40, 3), generator=torch.Generator().manual_seed(7)))
    assert not prior.state_dict() and set(Prior(3, 1).state_dict()) == {"logits", "means", "roots"}
    assert torch.equal(Prior(3, 1).log_density(codes), prior.log_density(codes))


def test_the_density_of_a_mixture_is_that_of_its_parts() -> None:
    codes = 4 * torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    each = [multivariate_normal(m, c).logpdf(codes.numpy()) + np.log(w) for w, m, c in zip(SHARES, MEANS, COVARIANCES, strict=True)]
    assert np.allclose(known().log_density(codes).numpy(), logsumexp(each, axis=0), rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_draws_have_the_shares_means_and_covariances_of_the_parts_and_temperature_is_within_a_part(temperature: float) -> None:
    n = 20_000
    drawn = known().draw(n, 1, 2, temperature).double()
    own = drawn[:, 0] < -0.5  # two of the first part in 10,000 lie beyond, and of the second none
    assert float(own.double().mean()) == pytest.approx(0.2, abs=4.5 * math.sqrt(0.16 / n))
    for rows, mean, covariance in zip((own, ~own), MEANS, COVARIANCES, strict=True):
        assert np.allclose(drawn[rows].mean(0), mean, atol=0.1)
        assert np.allclose(drawn[rows].T.cov() / temperature**2, covariance, atol=0.12)


def test_a_mixture_is_learned_from_its_draws() -> None:
    codes, learned = known().draw(5000, 3, 4, 1.0), Prior(2, 2)
    learned.learn(codes, 0)
    order = learned.means[:, 0].argsort()
    assert np.allclose(learned.logits[order].softmax(0), SHARES, atol=0.03)
    assert np.allclose(learned.means[order], MEANS, atol=0.1)
    assert np.allclose(learned.roots[order] @ learned.roots[order].mT, COVARIANCES, atol=0.15)
    again = Prior(2, 2)
    again.learn(codes, 0)
    assert torch.equal(again.roots, learned.roots)


def test_codes_that_are_all_the_same_give_a_finite_mixture() -> None:
    prior = Prior(2, 3)
    prior.learn(torch.ones(100, 2), 0)
    assert prior.log_density(torch.tensor([[1.0, 1.0], [9.0, -9.0]])).isfinite().all()


# --- in a model


def test_the_mixture_raises_the_bound_and_changes_no_weight_that_was_trained() -> None:
    one, other = (VAE(steps=150, batch=32, prior=prior).fit(pictures(200), 0) for prior in ("normal", "mixture"))
    assert all(torch.equal(other.weights()[name], value) for name, value in one.weights().items())
    plain, mixed = (model.log_likelihood(pictures(200), 1, 8).mean() for model in (one, other))
    assert mixed > plain + 0.1


def test_the_prior_lives_with_the_weights(tmp_path: Path) -> None:
    one, other = (VAE(steps=20, batch=16, components=3).fit(pictures(), seed) for seed in (0, 1))
    one.save(tmp_path)
    opened = models.load(tmp_path)
    assert isinstance(opened, VAE) and torch.equal(opened._net.prior.roots, one._net.prior.roots)
    assert not torch.equal(one._net.prior.roots, other._net.prior.roots)
    assert one.with_weights(other.weights()).sample(9, 0).digest() == other.sample(9, 0).digest()
    begun = VAE(steps=1, batch=16, components=3, learning_rate=1e-9).fit(pictures(), 0, start=other)
    assert begun._net.prior.means.isfinite().all() and not torch.equal(begun._net.prior.means, other._net.prior.means), "fitted anew"
    with pytest.raises(DataProblem, match=r"^init: weights of another architecture \('prior\.logits': \[3\] there, none here\)"):
        VAE(steps=1, prior="normal").fit(pictures(), 0, start=one)


def test_what_was_saved_before_there_were_mixtures_opens_and_draws_from_the_standard_normal(tmp_path: Path) -> None:
    fitted = VAE(steps=5, batch=16, prior="normal", observation="bernoulli").fit(pictures(), 0)
    fitted.save(tmp_path)
    assert not [name for name in load_file(tmp_path / "diffusion_pytorch_model.safetensors") if name.startswith("prior")]
    for file, place in (("config.json", ()), ("imgcollapse.json", ("options",))):
        whole = part = json.loads((tmp_path / file).read_text())
        for step in place:
            part = part[step]
        for name in ("components", "prior"):
            part.pop(name, None)
        (tmp_path / file).write_text(json.dumps(whole))
    assert models.load(tmp_path).sample(9, 0).digest() == fitted.sample(9, 0).digest()


def test_of_a_stream_the_prior_is_fitted_to_new_pictures() -> None:
    class Drawn:
        shape, are_points = (1, 8, 8), False

        def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
            return pictures(n, seed=seed % 2**32)

        def record(self) -> dict[str, Any]:
            return {}

    one, two = (quick("vae").fit(Drawn(), 0) for _ in range(2))
    assert one.sample(9, 0).digest() == two.sample(9, 0).digest()
    assert not torch.equal(one._net.prior.means, torch.zeros(3, 16))  # type: ignore[attr-defined]


def test_what_is_left_to_the_picture_size_is_chosen_by_it_and_nothing_else_is() -> None:
    for shape, side in (((1, 8, 8), 8), ((3, 5, 9), 32), ((1, 28, 28), 32), ((3, 64, 64), 32)):
        chosen = VAE(components=7).for_world(shape, 10)
        assert {name: getattr(chosen, name) for name in BY_SIZE[side]} == BY_SIZE[side] | {"components": 7}
        assert chosen.for_world((1, 8, 8), 10) == chosen
    assert quick("vae").fit(pictures(), 0).model_dump()["latent"] == BY_SIZE[8]["latent"]  # type: ignore[attr-defined]


# --- what it says of its codes


class Given(nn.Module):
    """Codes that are the first two pixels, and a third number that is always 1; pictures that are black but for the first pixel."""

    def encode(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        flat = unit.flatten(1)
        return torch.stack([flat[:, 0], flat[:, 1] / 10, torch.ones(len(flat))], 1), torch.zeros(len(flat), 3)

    def decode(self, latent: Tensor) -> Tensor:
        return torch.cat([latent[:, :1], 0 * latent], 1)[:, None, None, :]


def test_codes_and_errors_of_a_known_network() -> None:
    images = ImageSet.of(torch.randint(256, (2000, 1, 1, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8))
    unit = images.pixels.double().flatten(1) / 255
    mean, error = VAE(latent=3, observation="gaussian")._fitted(Given()).codes(images)
    assert mean.dtype == error.dtype == torch.float64
    assert torch.allclose(mean, torch.stack([unit[:, 0], unit[:, 1] / 10, torch.ones(2000).double()], 1))
    assert torch.allclose(error, unit[:, 1:].square().sum(1) / 4, atol=1e-6)
    seen = VAE(latent=3, observation="bernoulli")._fitted(Given()).codes(images)[1]
    expected = (torch.cat([unit[:, :1].sigmoid(), torch.full((2000, 3), 0.5)], 1) - unit).square().mean(1)
    assert torch.allclose(seen, expected, atol=1e-6)
