"""Closed forms for chains of generations under `replace`, with their derivations. n: pictures in every training set."""

import math


def gaussian_variance(n: int, fits: int, ddof: int = 0) -> float:
    """E[var_t], the expected variance of the model after t fits, the real law being N(0, 1).

    Given the model N(m, v), the maximum-likelihood variance of n draws has expectation v (1 - 1/n), the unbiased one (ddof 1) v. By the
    tower rule, t fits give (1 - 1/n)^t, or 1. (Shumailov et al. 2024, section on the 1-D Gaussian; Alemohammad et al. 2024.)
    """
    return (1 - 1 / n) ** fits if ddof == 0 else 1.0


def gaussian_mean_variance(n: int, fits: int, ddof: int = 0) -> float:
    """Var(mean_t), the variance of the model's mean after t fits.

    The mean of n draws of N(m, v) is m plus a step of variance v / n, and the steps are uncorrelated, so the variance is the sum of
    E[var_s] / n over s = 0 .. t - 1 with var_0 = 1: a geometric series, 1 - (1 - 1/n)^t; for ddof 1 simply t / n.
    """
    return 1 - (1 - 1 / n) ** fits if ddof == 0 else fits / n


def gaussian_log_variance(n: int, fits: int) -> tuple[float, float]:
    """Mean and variance of log(var_t) for the maximum-likelihood fit.

    var_{t+1} = var_t chi2_{n-1} / n with independent chi-squares: a random walk of the logarithm. E[log chi2_k] = psi(k/2) + log 2 and
    Var[log chi2_k] = psi'(k/2).
    """
    from scipy.special import polygamma, psi

    return fits * (float(psi((n - 1) / 2)) + math.log(2 / n)), fits * float(polygamma(1, (n - 1) / 2))


def distinct_originals(n: int, fits: int) -> float:
    """Expected share of the n real pictures that still have a copy among n draws after t generations of bootstrap.

    Kingman's coalescent run forward: each of the n pictures of a generation has on average one copy in the next, binomially distributed, so
    for large n the lines of descent are a branching process with Poisson(1) offspring. The share extinct by t is q_t = exp(q_{t-1} - 1),
    q_0 = 0; what is left is 1 - q_t: 63.2, 46.9, 37.4, 31.2, 26.8 % at t = 1 .. 5.
    """
    extinct = 0.0
    for _ in range(fits):
        extinct = (1 - (1 - extinct) / n) ** n
    return 1 - extinct


def diagonal_frechet(mean_1: list[float], var_1: list[float], mean_2: list[float], var_2: list[float]) -> float:
    """|m1 - m2|^2 + sum (sqrt v1 - sqrt v2)^2, the Fréchet distance of two Gaussians with diagonal covariances."""
    moved = sum((a - b) ** 2 for a, b in zip(mean_1, mean_2, strict=True))
    return moved + sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(var_1, var_2, strict=True))


def expected_frechet(n: int, fits: int, dim: int) -> float:
    """E[FD] per study between N(0, I_dim) and the model after t maximum-likelihood fits, both known exactly.

    Per coordinate E[m_t^2] + 1 + E[v_t] - 2 E[sqrt v_t]. The first two are `gaussian_mean_variance` and `gaussian_variance`;
    sqrt v_t is a product of t independent chi_{n-1} / sqrt n, each of expectation sqrt(2/n) Gamma(n/2) / Gamma((n-1)/2).
    """
    root = math.sqrt(2 / n) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    return dim * (gaussian_mean_variance(n, fits) + 1 + gaussian_variance(n, fits) - 2 * root**fits)
