"""Distances between the distributions of real and generated features."""

import torch

from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.kernel import mean_between
from imgcollapse.metrics.score import Score

FRECHET: dict[str, Score] = {
    "fd": Score(
        "Fréchet distance (FD)",
        "distance to the real pictures; lower is better",
        "lower",
        "linear",
        2,
        "|m_r - m_g|² + tr(C_r + C_g - 2 (C_r C_g)^(1/2)) of the means and covariances of real and generated features. It sees two "
        "moments only, and is biased upwards by about 1/N: compare at one N. It is called FID with Inception features alone. Heusel "
        "et al. 2017.",
    ),
}


def frechet_distance(evidence: Evidence) -> dict[str, float]:
    """Fréchet distance between Gaussians fitted to the features: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

    In squared feature units, from 0 (equal first two moments) up; lower is better. Dowson & Landau 1982; Heusel et al. 2017, where with
    Inception features it is FID; with any other extractor it is called FD. Biased upwards by about 1/N: compare at one N, beside the floor.
    The trace of the root is the sum of the singular values of R1 R2^T, where C = R^T R: exact to rounding, also where collapse makes
    covariances singular (rounding errors are not put under a root). Float64. Cost: O(N D^2 + D^3).
    """
    real, made = evidence.held_out, evidence.generated
    apart = (real.mean - made.mean).square().sum()
    spread = real.factor.square().sum() + made.factor.square().sum()
    cross = torch.linalg.matrix_norm(real.factor @ made.factor.T, "nuc")
    return {"fd": max(0.0, float(apart + spread - 2 * cross))}


KERNEL: dict[str, Score] = {
    "kid": Score(
        "kernel distance (KID)",
        "distance without bias in N; lower is better",
        "lower",
        "linear",
        3,
        "The squared maximum mean discrepancy of the features under the kernel (xᵀy / D + 1)³, estimated without bias, so that small "
        "values can be negative. Bińkowski et al. 2018.",
    ),
}


def kernel_distance(evidence: Evidence) -> dict[str, float]:
    """KID: the unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3 (Bińkowski et al. 2018).

    From about 0 up (an unbiased estimate may be slightly negative); lower is better; no bias in N. All N pictures are used at once rather
    than averages over random subsets. Cost: O(N^2 D) time, O(block N) memory.
    """
    real, made = evidence.held_out, evidence.generated
    between = mean_between(real.features, made.features)
    return {"kid": real.kernel_within + made.kernel_within - 2 * between}
