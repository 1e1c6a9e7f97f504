"""Modes below classes: in which regions of the real features there are too few or too many samples."""

import math
import warnings
from dataclasses import dataclass

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import LEVEL, Evidence, FeatureSet
from imgcollapse.metrics.score import UNIT, Score
from imgcollapse.metrics.tiles import squared_distances
from imgcollapse.seeds import derive, torch_generator

MOST = 100  # bins, as in the paper
PER_BIN = 20  # reference pictures for one bin: then a lost bin is found, and the normal approximation of the test holds


@dataclass(frozen=True)
class Bins:
    """Regions of the real features, and how real pictures that had no part in drawing them fall into them.

    centres_KD: float64, on the features' device; a picture is in the bin of the nearest one
    real_K:     int64 on the CPU, real pictures in each bin
    """

    centres_KD: Tensor
    real_K: Tensor


def bins(real: FeatureSet) -> Bins:
    """Bins by k-means on a random half of the pictures, the other half counted in them.

    In halves, for k-means fits its bins to the very pictures it is given: in many dimensions new pictures of the same distribution fall
    into them otherwise (two sets of one normal distribution, D = 2048, N = 10,000: nine of ten bins seemed to differ).
    K = min(100, N // 20), at least 2; fewer where there are fewer different pictures. Starts by k-means++, once, always from one seed.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    n = len(real)
    order_N = torch.randperm(n, generator=torch_generator(derive(0, "bins"))).to(real.features.device)
    drawn, counted = real.features[order_N[: (n + 1) // 2]], real.features[order_N[(n + 1) // 2 :]]
    wanted = min(max(2, min(MOST, n // PER_BIN)), len(drawn))
    means = KMeans(wanted, n_init=1, random_state=derive(0, "bins", "k-means") % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different pictures than bins: the bins that are left are used
        found_N = torch.from_numpy(means.fit(drawn.cpu().numpy()).labels_)
    centres_KD = torch.from_numpy(means.cluster_centers_)[found_N.unique().long()].to(real.features.device)
    return Bins(centres_KD, in_bins(counted, centres_KD))


def in_bins(x_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """int64 [K] on the CPU: rows of x whose nearest centre is this one (of equally near ones the first)."""
    nearest_N = [apart_bK.argmin(1) for _, apart_bK in squared_distances(x_ND, centres_KD, block=4096)]
    return torch.bincount(torch.cat(nearest_N).cpu(), minlength=len(centres_KD))


def different(made_K: Tensor, real_K: Tensor) -> Tensor:
    """bool [K]: bins whose share among the samples differs from that among the real pictures, by the test of `different_bins`."""
    from scipy import stats

    n, m = made_K.sum(), real_K.sum()
    apart_K, pooled_K = made_K / n - real_K / m, (made_K + real_K).double() / (n + m)
    error_K = (pooled_K * (1 - pooled_K) * (1 / n + 1 / m)).sqrt()
    z_K = torch.where(error_K > 0, apart_K / error_K, 0.0)  # no error: the bin holds nothing of both, or everything
    chance_K = 2 * stats.norm.sf(z_K.abs().numpy())
    return torch.from_numpy(stats.false_discovery_control(chance_K, method="bh")) <= 1 - LEVEL


def divergence(p_K: Tensor, q_K: Tensor) -> float:
    """Jensen-Shannon divergence of two sets of shares, in bits: H((p + q)/2) - (H(p) + H(q))/2."""
    middle_K = (p_K + q_K) / 2
    nats = sum(torch.special.xlogy(share_K, share_K / middle_K.clamp(min=1e-300)).sum() / 2 for share_K in (p_K, q_K))
    return min(1.0, max(0.0, float(nats) / math.log(2)))


BINS: dict[str, Score] = {
    "ndb": Score(
        "different bins (NDB/K)",
        "share of regions with too few or too many samples; lower is better",
        "lower",
        "linear",
        3,
        "The share of K bins (k-means of real features) whose share of the samples differs significantly from that of the real pictures, "
        "by a two-proportion z-test at a false discovery rate of 5 % (Benjamini & Hochberg 1995). It finds lost modes within a class, "
        "and needs many pictures to see small differences: compare at one N. Richardson & Weiss 2018.",
        bounds=UNIT,
    ),
    "jsd": Score(
        "bin divergence (JSD)",
        "divergence of the shares of the regions from the real ones, in bits; lower is better",
        "lower",
        "linear",
        3,
        "The Jensen-Shannon divergence, in bits, between the shares of the samples and of the real pictures in the K bins of NDB: 0 for "
        "equal shares, 1 for nothing in common. Biased upwards by about 3 (K - 1) / (8 N ln 2).",
        bounds=UNIT,
    ),
}


def different_bins(evidence: Evidence) -> dict[str, float]:
    """How the samples spread over K bins of the real features (k-means, `bins`), against held-out pictures not used to fit them.

        ndb  share of the bins that differ: 0 to 1              NDB/K of Richardson & Weiss 2018, sec. 3
        jsd  H((p + q)/2) - (H(p) + H(q))/2 in bits: 0 to 1     of the shares p of the samples and q of the real pictures in the bins

    Lower is better. A bin differs by a two-proportion z-test, z = (p - q) / sqrt(s (1 - s) (1/n + 1/m)), s the share in both together,
    at a false discovery rate of 5 % over the K bins (Benjamini & Hochberg 1995). Uncorrected, 5 % of the bins would differ by chance;
    Bonferroni's and Holm's corrections bound the chance of a single error, more than a share needs, and find the beginning of a collapse
    later. The chance that any bin of samples of the real distribution differs is at most about 5 %, so real vs real is near 0.
    Bias: ndb has none between real pictures, but finds smaller differences the larger N is. jsd is biased upwards: where both
    distributions are one, 8 jsd ln 2 is to first order the sum of (p - q)^2 / p, whose mean is (K - 1) (1/n + 1/m). With n = N
    samples, m = N/2 held-out pictures (the others fitted the bins) and K = N/20, real vs real is 3 (K - 1) / (8 N ln 2): 0.027, and 0.005
    for N = 10,000.
    Both see lost and overfull regions, also within a class, but not what happens inside a bin.
    Cost: O(N K D), and once for the real pictures O(N K D) for each round of k-means (some ten).
    """
    there = evidence.held_out.once(bins)
    made_K = in_bins(evidence.generated.features, there.centres_KD)
    p_K, q_K = made_K.double() / made_K.sum(), there.real_K.double() / there.real_K.sum()
    return {"ndb": float(different(made_K, there.real_K).double().mean()), "jsd": divergence(p_K, q_K)}
