"""Distances between the distributions of real and generated features."""

import torch

from imgcollapse.metrics.evidence import Evidence

BLOCK = 1024  # rows of the kernel matrix that are in memory at once


def frechet_distance(evidence: Evidence) -> dict[str, float]:
    """Fréchet distance between Gaussians fitted to the features: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

    In squared feature units, from 0 (equal first two moments) up; lower is better. Dowson & Landau 1982; Heusel et al. 2017, where with
    Inception features it is FID; with any other extractor it is called FD. Biased upwards by about 1/N: compare at one N, beside the floor.
    Computed in float64 in the symmetric form, which stays exact where collapse makes covariances singular. Cost: O(N D^2 + D^3).
    """
    real, made = evidence.held_out, evidence.generated
    root_DD = real.root_covariance
    cross = torch.linalg.eigvalsh(root_DD @ made.covariance @ root_DD).clamp(min=0).sqrt().sum()
    apart = (real.mean - made.mean).square().sum()
    return {"fd": max(0.0, float(apart + real.covariance.trace() + made.covariance.trace() - 2 * cross))}


def kernel_distance(evidence: Evidence) -> dict[str, float]:
    """KID: the unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3 (Bińkowski et al. 2018).

    From about 0 up (an unbiased estimate may be slightly negative); lower is better; no bias in N. All N pictures are used at once rather
    than averages over random subsets. Cost: O(N^2 D) time, O(block N) memory.
    """
    real, made = evidence.held_out.features, evidence.generated.features
    n, m = len(real), len(made)

    def total(x_ND: torch.Tensor, y_MD: torch.Tensor) -> float:
        return float(sum((x_bD @ y_MD.T / x_ND.shape[1] + 1).pow(3).sum().item() for x_bD in x_ND.split(BLOCK)))

    def own(x_ND: torch.Tensor) -> float:
        return float((x_ND.square().sum(1) / x_ND.shape[1] + 1).pow(3).sum())

    within_real = (total(real, real) - own(real)) / (n * (n - 1))
    within_made = (total(made, made) - own(made)) / (m * (m - 1))
    return {"kid": within_real + within_made - 2 * total(real, made) / (n * m)}
