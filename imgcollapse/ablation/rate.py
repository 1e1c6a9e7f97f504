"""How fast a curve over the generations approaches its limit: one rate, with an interval over seeds. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imgcollapse.ablation.intervals import FEWEST, LEVEL, finite

Values = NDArray[np.float64]
FEWEST_GENERATIONS = 4  # the three numbers of the curve go through any three points
STEPS = 2000  # rates that are tried are this part of 1 apart


@dataclass(frozen=True)
class Rate:
    """The share of the distance to its end that a curve covers in a generation: 1 - r of y_g = end + (y_0 - end) r^g.

    rate:  of the mean curve over seeds; None: there are too few generations
    low:   the least and
    high:  the greatest rate that the seeds do not contradict; None: fewer than FEWEST seeds, or no rate of 0 to 1 is left
    n:     seeds
    rises: whether the mean curve ends higher than it began
    """

    rate: float | None
    low: float | None
    high: float | None
    n: int
    rises: bool = False

    @property
    def words(self) -> str:
        """`0.19 [0.15, 0.24]`, or why it cannot be told."""
        if self.rate is None:
            return f"cannot tell: it takes {FEWEST_GENERATIONS} judged generations"
        if self.n < FEWEST:
            return f"{self.rate:.3f}, no interval: that takes {FEWEST} seeds"
        if self.low is None or self.high is None:
            return "none: the curve goes ever faster" if self.rate < 0.5 else "none: the curve turns"
        if (self.low, self.high) == (0.0, 1.0):
            return "cannot tell: the seeds allow every rate"
        text = f"{self.rate:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return text if self.low > 0 else f"{text}: perhaps a straight line, no limit in sight"


def fitted_rate(generations: Sequence[int], curves: Sequence[Sequence[float]], level: float = LEVEL) -> Rate:
    """The rate of the curves of several seeds at these generations, by least squares of their mean.

    Where the expected curve is a + b r^g, a curve's part along w_r has the expectation 0, w_r being what is left of the derivative
    g r^(g-1) by r after its projection on 1 and r^g. (Least squares has the r at which this part of the mean curve is 0.) The interval is
    of all r at which Student's t test over seeds does not reject that: for normal values it holds the true rate in `level` of all cases,
    however the generations of one seed have to do with each other, and it says by itself where the rate cannot be told (as in Fieller 1954
    it is then all of 0 to 1). A rate of 0 is a straight line. Raises DataProblem for a value that is no finite number.
    """
    from scipy.special import stdtrit

    y_NT = np.array([finite(curve) for curve in curves])
    n = len(y_NT)
    if n == 0 or len(generations) < FEWEST_GENERATIONS:
        return Rate(None, None, None, n)
    mean_T, rises = y_NT.mean(0), bool(y_NT[:, -1].mean() > y_NT[:, 0].mean())
    r_R, basis_R2T, w_RT = _directions(tuple(generations))
    best = int((np.einsum("rkt,t->rk", basis_R2T, mean_T) ** 2).sum(1).argmax())  # what it explains, least squares leaves least of
    if n < FEWEST:
        return Rate(float(1 - r_R[best]), None, None, n, rises)
    parts_NR = y_NT @ w_RT.T
    error_R = parts_NR.std(0, ddof=1) / math.sqrt(n)
    tiny = 1e-12 * float(np.abs(y_NT).max())  # of identical curves there is only rounding
    kept = r_R[np.abs(parts_NR.mean(0)) <= float(stdtrit(n - 1, (1 + level) / 2)) * error_R + tiny]
    inner = 0 < best < STEPS  # there the mean curve's own part is 0
    if not len(kept) and not inner:
        return Rate(float(1 - r_R[best]), None, None, n, rises)
    ends = (1 - kept.max(initial=r_R[best]), 1 - kept.min(initial=r_R[best])) if inner else (1 - kept.max(), 1 - kept.min())
    return Rate(float(1 - r_R[best]), float(ends[0]), float(ends[1]), n, rises)


@lru_cache(maxsize=8)
def _directions(generations: tuple[int, ...]) -> tuple[Values, Values, Values]:
    """[R]: the r that are tried; [R, 2, T]: orthonormal bases of a + b r^g (of a straight line for r = 1); [R, T]: the unit vectors w_r."""
    r_R, g_T = np.linspace(0, 1, STEPS + 1), np.asarray(generations, dtype=np.float64)
    curve_RT = r_R[:, None] ** g_T
    slope_RT = np.where(g_T > 0, g_T * r_R[:, None] ** np.maximum(g_T - 1, 0), 0.0)
    curve_RT[-1], slope_RT[-1] = g_T, g_T * (g_T - 1)  # their limits, without what 1 explains
    q_RTk, _ = np.linalg.qr(np.stack([np.ones_like(curve_RT), curve_RT, slope_RT], 2))
    return r_R, q_RTk[:, :, :2].transpose(0, 2, 1), q_RTk[:, :, 2]
