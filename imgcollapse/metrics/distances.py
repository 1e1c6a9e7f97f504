"""Distances between the distributions of real and generated features."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import Evidence, FeatureSet
from imgcollapse.metrics.kernel import by_moments, kernel_mean, third_moments
from imgcollapse.metrics.score import POSITIVE, Score
from imgcollapse.seeds import derive, torch_generator

FRECHET: dict[str, Score] = {
    "fd": Score(
        "Fréchet distance (FD)",
        "distance to the real pictures; lower is better",
        "lower",
        "linear",
        2,
        "|m_r - m_g|² + tr(C_r + C_g - 2 (C_r C_g)^(1/2)) of the means and covariances of real and generated features. It sees two "
        "moments only, and is biased upwards by about 1/N: compare at one N. Only with Inception features is it called FID. Heusel "
        "et al. 2017.",
        bounds=POSITIVE,
        short="FD",
        frechet=True,
        rank=3,
        from_zero=True,
        panels=("area", "slope"),
    ),
}


def frechet_distance(evidence: Evidence) -> dict[str, float]:
    """Fréchet distance between Gaussians fitted to the features: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

    In squared feature units, from 0 (equal first two moments) up; lower is better. Dowson & Landau 1982; Heusel et al. 2017, where with
    Inception features it is FID; with any other extractor it is called FD. Biased upwards by about 1/N: compare at
    one N, beside real vs real.
    The trace of the root is the sum of the singular values of R1 R2^T, where C = R^T R: exact to rounding, also where collapse makes
    covariances singular (there, rounding errors are not put under a root). Float64. Cost: O(N D^2 + D^3).
    """
    return {"fd": frechet(evidence.held_out, evidence.generated)}


KEPT = 1e-9  # of the sum of the singular values, the largest rounding error in it


def frechet(real: FeatureSet, made: FeatureSet) -> float:
    """The Fréchet distance of two sets; see `frechet_distance`."""
    if len(made) > made.features.shape[1]:
        # C_g costs less than its root does, and R_r C_g R_r^T has the squares of the singular values of R_r R_g^T
        cross = _sum_of_roots(real.factor @ made.covariance @ real.factor.T)
        if cross is not None:
            return _distance(real.mean, real.factor.square().sum(), made.mean, made.covariance.trace(), cross)
    return between_gaussians(real.mean, real.factor, made.mean, made.factor)


def between_gaussians(mean1_D: Tensor, root1_KD: Tensor, mean2_D: Tensor, root2_KD: Tensor) -> float:
    """The Fréchet distance of two Gaussians by their means and roots R of their covariances, C = R^T R; see `frechet_distance`."""
    product_KL = root1_KD @ root2_KD.T
    cross = _sum_of_roots(product_KL @ product_KL.T if len(root1_KD) <= len(root2_KD) else product_KL.T @ product_KL)
    if cross is None:
        cross = torch.linalg.matrix_norm(product_KL, "nuc")
    return _distance(mean1_D, root1_KD.square().sum(), mean2_D, root2_KD.square().sum(), cross)


def _distance(mean1_D: Tensor, trace1: Tensor, mean2_D: Tensor, trace2: Tensor, cross: Tensor) -> float:
    return max(0.0, float((mean1_D - mean2_D).square().sum() + trace1 + trace2 - 2 * cross))


def _sum_of_roots(squares_KK: Tensor) -> Tensor | None:
    """Sum of the roots of the eigenvalues, which takes a quarter of the time of singular values; None where it would lose too much."""
    squares_K = torch.linalg.eigvalsh(squares_KK)
    least = len(squares_K) ** 0.5 * torch.finfo(squares_K.dtype).eps * squares_K[-1]  # their rounding error, and so the least that is known
    roots_K = squares_K.clamp(min=least).sqrt()
    return roots_K.sum() if (least / roots_K).sum() <= KEPT * roots_K.sum() else None


SIZES = 15  # sample sizes on the line, as in the paper

FRECHET_INFINITY: dict[str, Score] = {
    "fd_infinity": Score(
        "Fréchet distance (FD∞)",
        "distance to the real pictures, without the bias of fd; lower is better",
        "lower",
        "linear",
        2,
        "Where the Fréchet distance at 15 sample sizes n, as a straight line of 1/n, meets 1/n = 0: without the bias of about 1/N of the "
        "Fréchet distance itself, so that small values can be negative, and noisier. Chong & Forsyth 2020.",
        short="FD∞",
        frechet=True,
    ),
}


def frechet_infinity(evidence: Evidence) -> dict[str, float]:
    """fd_infinity: the Fréchet distance extrapolated to n = infinity: the intercept of the least-squares line of FD(n) against 1/n.

    FD(n) is of n real and n generated pictures, drawn at random without replacement by a fixed seed, at 15 sizes n regularly from
    max(N/10, 2 D), at most N/2, to N. In squared feature units, from about 0 up (it may be slightly negative); lower is better.
    Chong & Forsyth 2020, who take as many sizes from N/10 up. Below about 2 D pictures FD(n) is no straight line of 1/n.
    Bias: the expectation of FD(n) is FD + a/n + O(D^3/n^2). The paper draws fewer generated pictures only, for its reference is large; the
    part of a that comes from the reference's own N pictures would then be left. Here both sets are drawn from, and the terms in 1/n of
    both are gone. What is left: the terms in 1/n^2 (where N < 8 D they are large), that two moments are all it sees, and that the
    held-out pictures are the only ones there are. In return its noise is up to three times that of fd where the distributions are
    nearly equal.
    Cost: O(N D^2 + D^3), about fifteen times fd.
    """
    real, made = evidence.held_out, evidence.generated
    most = min(len(real), len(made))
    sizes = torch.linspace(min(max(most / 10, 2 * made.features.shape[1]), most / 2), most, SIZES).round().long().tolist()
    inverse = torch.tensor([1 / n for n in sizes], dtype=torch.float64)
    found = torch.tensor([frechet(_some(real, n, "real"), _some(made, n, "made")) for n in sizes], dtype=torch.float64)
    away = inverse - inverse.mean()
    slope = (away * found).sum() / away.square().sum()
    return {"fd_infinity": float(found.mean() - slope * inverse.mean())}


def _some(pictures: FeatureSet, n: int, name: str) -> FeatureSet:
    """n pictures, always the same ones."""
    chosen = torch.randperm(len(pictures), generator=torch_generator(derive(0, "frechet_infinity", name, n)))[:n]
    return FeatureSet(pictures.features[chosen.to(pictures.features.device)])


KERNEL: dict[str, Score] = {
    "kid": Score(
        "kernel distance (KID)",
        "distance to the real pictures, without bias in N; lower is better",
        "lower",
        "linear",
        3,
        "The squared maximum mean discrepancy of the features under the kernel (xᵀy / D + 1)³, estimated without bias, so that small "
        "values can be negative. Bińkowski et al. 2018.",
        rank=8,
    ),
}


def kernel_distance(evidence: Evidence) -> dict[str, float]:
    """KID: the unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3 (Bińkowski et al. 2018).

    From about 0 up (an unbiased estimate may be slightly negative); lower is better; no bias in N. All N pictures are used at once rather
    than averages over random subsets. From third moments where D <= 128 and N > D^2, else with pairs in float32, which moves it by less
    than 1e-10 of the kernel's mean. Cost: O(N D^3) time and O(D^3) memory, or O(N^2 D) and O(N D) in the passes of `neighbourhood`.
    """
    real, made = evidence.held_out, evidence.generated
    if by_moments(real.features) or by_moments(made.features):
        return {"kid": _by_moments(real, made)}
    across = evidence.pair_statistics.kernel
    assert across is not None
    return {"kid": _by_pairs(real, made, across)}


def kernel(real: FeatureSet, made: FeatureSet) -> float:
    """The same of any two sets, in a pass of its own."""
    if by_moments(real.features) or by_moments(made.features):
        return _by_moments(real, made)
    return _by_pairs(real, made, kernel_mean(made.features, real.features))


def _by_moments(real: FeatureSet, made: FeatureSet) -> float:
    between = float(real.once(_moments) @ made.once(_moments)) / (len(real) * len(made))
    return _kernel_within(real) + _kernel_within(made) - 2 * between


def _by_pairs(real: FeatureSet, made: FeatureSet, across: float) -> float:
    in_real, in_made = real.own_pairs(1).kernel, made.own_pairs(1).kernel
    assert in_real is not None and in_made is not None
    return in_real + in_made - 2 * across


def _moments(pictures: FeatureSet) -> Tensor:
    return third_moments(pictures.features)


def _kernel_within(pictures: FeatureSet) -> float:
    """Mean of the kernel over all pairs of different pictures."""
    (n, d), moments_P = pictures.features.shape, pictures.once(_moments)
    own_N = (pictures.features.square().sum(1) / d + 1) ** 3
    return float(moments_P @ moments_P - own_N.sum()) / (n * (n - 1))
