"""Shares of the classes with the classifier's own confusions taken out of them."""

from collections.abc import Callable

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import LEVEL, NO_CLASS, Evidence
from imgcollapse.metrics.score import UNIT, Score

ILL = 100.0  # condition number from which a confusion matrix is not inverted: an error of 1 % in it could become one of 100 %
HALVINGS = 40  # of the range 0..1 in search of a bound: to 1e-12

CORRECTED: dict[str, Score] = {
    "total_variation_corrected": Score(
        "total variation, corrected",
        "distance of the class shares from the real ones, corrected for the classifier's errors; lower is better",
        "lower",
        "linear",
        3,
        "½ Σ |p_c - real_c| of class shares p from which the classifier's confusions among held-out real pictures have been taken out "
        "(adjusted count: Rogan & Gladen 1978; Lipton et al. 2018), projected onto valid shares. It assumes that samples of a class are "
        "misclassified as often as its real pictures. Biased upwards in small samples, more than without the correction.",
        bounds=UNIT,
    ),
}


def corrected_shares(evidence: Evidence) -> dict[str, float]:
    """Shares of the classes as they would be counted by a classifier without errors, and their distance to the real shares.

    With q_j the part of all N samples drawn in which class j is found, and M_ij the part of the held-out pictures of class i in which
    class j is found (both only where the classifier is confident), the expectation of q is x M, x_i the part of all samples that is of
    class i, so

        x = q M^-1                 Rogan & Gladen 1978; as matrices Buonaccorsi 2010; "black-box shift estimation" Lipton et al. 2018
        share_corrected_c          x_c / sum x, with its 95 % interval share_corrected_low_c, share_corrected_high_c
        total_variation_corrected  1/2 sum |p_c - real_c|, p the nearest point to these shares, by Euclid's distance, with p >= 0, sum p = 1

    The interval holds each share s with (share_corrected_c - s)^2 <= z^2 V_c(s) in 0..1, V_c the variance that the delta method gives at
    that share: of the multinomial q of N samples and of the rows of M, multinomials of as many held-out pictures as the class has (see
    `estimate`). Where M is the identity, known exactly, this is Wilson's interval.

    total_variation_corrected: 0 (the real shares) to 1 (nothing in common), lower is better; biased upwards by sampling, more than
    total_variation, for the correction enlarges noise: read it beside real vs real. The shares themselves are nearly without bias, and may
    therefore lie below 0. All this assumes that the classifier mistakes samples of a class as often as its real pictures.
    Without a confident sample the shares are 0, their intervals 0 to 1, and total_variation_corrected is 1. Empty for worlds with fewer
    than two classes, and where M is singular or nearly (condition number above 100; a class without a held-out picture, or one that is
    never found): then no count says how many samples are of which class. Cost: O(N + C^3), C classes.
    """
    found, real, confusion = evidence.found, evidence.real_shares, evidence.confusion
    if found is None or real is None or confusion is None or len(real) < 2:
        return {}
    if not torch.linalg.cond(_rates(confusion)) <= ILL:  # it is no number where all are 0
        return {}
    counts = torch.bincount(torch.where(found == NO_CLASS, len(real), found), minlength=len(real) + 1)
    shares_C, low_C, high_C = estimate(counts, confusion)
    values = {"total_variation_corrected": float((nearest_shares(shares_C) - real).abs().sum() / 2) if shares_C.any() else 1.0}
    for c, (share, low, high) in enumerate(zip(shares_C.tolist(), low_C.tolist(), high_C.tolist(), strict=True)):
        values |= {f"share_corrected_{c}": share, f"share_corrected_low_{c}": low, f"share_corrected_high_{c}": high}
    return values


def estimate(counts: Tensor, confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """float64 [..., C] each: corrected shares, and the ends of their 95 % intervals; of an invertible confusion matrix.

    counts:    int64 [..., C + 1], samples in which each class is found, the last one NO_CLASS
    confusion: int64 [..., C, C + 1], held-out pictures by true class and class found

    With g_c = d share_c / d q at share s, which is M^-1 (e_c - s 1) / sum x, and x the composition with share s in which the other classes
    keep their proportions (none below 0), the delta method gives

        V_c(s) = sum_j g_cj^2 (x M)_j / N + sum_i x_i^2 (sum_j g_cj^2 M'_ij - (sum_j g_cj M'_ij)^2) / (m_i + 1)

    with M' = (K + 1/2) / m_i the posterior mean of the row of the counts K under Jeffreys' prior, m_i = n_i + (C + 1) / 2 for n_i held-out
    pictures of class i: a confusion that was not seen among n_i pictures is rare, not impossible. (The other term of the multinomial's
    variance, (g_c . x M)^2, is 0: g_c is a derivative of shares that do not change with the sum of x.) In simulations with 100 and more
    held-out pictures of a class the intervals held the truth in 93 to 97 % of cases; with fewer, and of lost classes, in more.
    """
    m_CC = _rates(confusion)
    inverse_CC = torch.linalg.inv(m_CC)
    n = counts.sum(-1, keepdim=True).double()
    x_C = ((counts[..., None, :-1] / n[..., None]) @ inverse_CC)[..., 0, :]
    whole = x_C.sum(-1, keepdim=True)
    known = whole > 0
    whole = torch.where(known, whole, 1.0)
    shares_C = torch.where(known, x_C / whole, 0.0)
    inside = _not_contradicted(shares_C, whole, n, inverse_CC, confusion)
    low_C, high_C = (torch.where(known, end_C, outer) for end_C, outer in zip(_bounds(shares_C, inside), (0.0, 1.0), strict=True))
    return shares_C, low_C, high_C


def _not_contradicted(shares_C: Tensor, whole: Tensor, n: Tensor, inverse_CC: Tensor, confusion: Tensor) -> Callable[[Tensor], Tensor]:
    """Whether shares s, float64 [..., C], are less than z sqrt(V(s)) away from the estimate, bool [..., C]; see `estimate`."""
    from scipy import stats

    m_CC, classes = _rates(confusion), confusion.shape[-2]
    pictures_C = confusion.sum(-1).double() + (classes + 1) / 2
    likely_CC = (confusion[..., :-1] + 0.5) / pictures_C[..., None]
    others_CC = shares_C.clamp(min=1e-9)[..., None, :] * (1 - torch.eye(classes, dtype=torch.float64))
    others_CC = others_CC / others_CC.sum(-1, keepdim=True)
    z = float(stats.norm.ppf((1 + LEVEL) / 2))

    def inside(s_C: Tensor) -> Tensor:
        """bool [any, ..., C]: which shares the estimate does not contradict."""
        x_CC = whole[..., None] * ((1 - s_C)[..., None] * others_CC + torch.diag_embed(s_C))
        g_CC = (inverse_CC.mT - s_C[..., None] * inverse_CC.sum(-1)[..., None, :]) / whole[..., None]
        of_samples_C = (g_CC.square() * (x_CC @ m_CC)).sum(-1) / n
        rows_CC = g_CC.square() @ likely_CC.mT - (g_CC @ likely_CC.mT).square()
        of_matrix_C = (x_CC.square() * rows_CC / (pictures_C + 1)[..., None, :]).sum(-1)
        return (shares_C - s_C).square() <= z**2 * (of_samples_C + of_matrix_C)

    return inside


def _bounds(shares_C: Tensor, inside: Callable[[Tensor], Tensor]) -> Tensor:
    """float64 [2, ..., C]: the shares farthest towards 0 and towards 1 that are still inside, by halving the way there."""
    outer_2C = torch.stack([torch.zeros_like(shares_C), torch.ones_like(shares_C)])
    within_2C, beyond_2C = shares_C.clamp(0, 1).expand_as(outer_2C), outer_2C
    for _ in range(HALVINGS):
        middle_2C = (within_2C + beyond_2C) / 2
        holds_2C = inside(middle_2C)
        within_2C, beyond_2C = torch.where(holds_2C, middle_2C, within_2C), torch.where(holds_2C, beyond_2C, middle_2C)
    return torch.where(inside(outer_2C), outer_2C, within_2C)


def nearest_shares(y_C: Tensor) -> Tensor:
    """float64 [C]: the p nearest to y with p >= 0 and sum p = 1: max(y - t, 0) with the t that makes the sum 1 (Held et al. 1974)."""
    falling_C = y_C.sort(descending=True).values
    t_C = (falling_C.cumsum(0) - 1) / torch.arange(1, len(y_C) + 1)
    return (y_C - t_C[int((falling_C > t_C).sum()) - 1]).clamp(min=0)


def _rates(confusion: Tensor) -> Tensor:
    """float64 [..., C, C]: part of the held-out pictures of a class (row) in which each class is found; 0 for a class without any."""
    return confusion[..., :-1] / confusion.sum(-1, keepdim=True).clamp(min=1).double()
