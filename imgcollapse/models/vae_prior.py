"""The prior of a VAE's latent codes: a mixture of Gaussians, of which the standard normal is the one of a single component."""

import warnings

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from imgcollapse.seeds import torch_generator

FLOOR = 1e-4  # added to the variances of a fitted component, where a code of the standard normal has 1


class Prior(nn.Module):
    """p(z) = sum_k w_k N(z; m_k, R_k R_k^T), with w the softmax of `logits`; the standard normal until `learn` is called.

    What is not learned is not saved: components = 0 is the standard normal, and of no weight in a network.
    """

    logits: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        many, learned = max(1, components), components > 0
        self.register_buffer("logits", torch.zeros(many), persistent=learned)
        self.register_buffer("means", torch.zeros(many, latent), persistent=learned)
        self.register_buffer("roots", torch.eye(latent).repeat(many, 1, 1), persistent=learned)

    def learn(self, codes: Tensor, seed: int) -> None:
        """Fits the mixture to codes, [N, latent] on the CPU, by expectation maximisation."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(len(self.logits), covariance_type="full", reg_covar=FLOOR, random_state=seed % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture is a prior, a nearly converged one too
            mixture.fit(codes.double().numpy())
        found = torch.from_numpy(mixture.weights_).log(), torch.from_numpy(mixture.means_), torch.from_numpy(mixture.covariances_)
        for mine, value in zip((self.logits, self.means, self.roots), (*found[:2], torch.linalg.cholesky(found[2])), strict=True):
            mine.copy_(value)

    def draw(self, n: int, components: int, noise: int, temperature: float) -> Tensor:
        """float32 [n, latent] on the CPU, a function of two seeds: that of the components, and of the noise, which temperature scales."""
        logits, means, roots = (part.cpu() for part in (self.logits, self.means, self.roots))
        chosen = torch.multinomial(logits.double().softmax(0), n, replacement=True, generator=torch_generator(components))
        standard = temperature * torch.randn((n, means.shape[1]), generator=torch_generator(noise))
        return means[chosen] + (roots[chosen] @ standard[:, :, None])[:, :, 0]

    def log_density(self, codes: Tensor) -> Tensor:
        """float64 [...]: log p of codes [..., latent], on their device."""
        logits, means, roots = (part.to(codes.device).double() for part in (self.logits, self.means, self.roots))
        each = MultivariateNormal(means, scale_tril=roots, validate_args=False).log_prob(codes.double()[..., None, :])
        return (each + logits.log_softmax(0)).logsumexp(-1)
