"""Intervals over seeds: of means, which stay within what a metric can be, and of paired differences. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.metrics.evidence import LEVEL as LEVEL
from imgcollapse.metrics.score import ANY, Bounds

RESAMPLES = 9999
FEWEST = 3  # seeds from which on there is an interval: of two, Student's t has 12.7 standard errors, and the bootstrap half the coverage

# method -> how an interval is made, for the reader
METHODS: dict[str, str] = {
    "t": "Student's t over seeds (mean ± t s/√n, of shares on the logit scale, of distances on the log scale)",
    "bootstrap": f"BCa bootstrap over seeds ({RESAMPLES:,} resamples; too narrow with few seeds)",
}


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds with its confidence interval; one or two seeds give no interval, none gives no mean.

    values: those of the seeds, where they are too few for an interval (fewer than FEWEST)
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...] = ()


def interval(values: Sequence[float], method: str = "t", level: float = LEVEL, seed: int = 0, bounds: Bounds = ANY) -> Interval:
    """The mean of the values, one per seed, with a two-sided confidence interval for the expectation over seeds.

        t          g(mean) ± g'(mean) h back by g^-1, h = t_{n-1, (1+level)/2} s / sqrt(n), s^2 = sum (x - mean)^2 / (n - 1),
                   g the identity without bounds (Student 1908), log(x - low) above a bound, log((x - low) / (high - x)) between two:
                   the delta method on the scale on which a mean cannot leave its bounds
        bootstrap  BCa: quantiles of the means of 9,999 resamples with replacement, at levels
                   Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z0 = Phi^-1(share of them below the mean),
                   a = sum (x - mean)^3 / (6 (sum (x - mean)^2)^(3/2))                            Efron 1987

    Both are of the expectation of the values themselves, and hold their mean. Only the mean is transformed: a single value of 0 or 1 is one
    like any other. t is exact for values from a normal distribution without bounds, and wide with few seeds because it has to be. The
    bootstrap assumes no distribution, but never looks beyond the smallest and largest value. How often either holds the expectation, with
    few seeds and of skewed and bounded values, stands in docs/statistics.md (`scripts/coverage.py`).
    Values that are all equal give a width of 0, on a bound too: they say that the seeds agree. `seed` decides the resamples. Raises
    DataProblem for a value that is no finite number.
    """
    from scipy.special import stdtrit

    if method not in METHODS:
        raise SettingsProblem(f"interval: '{method}' is unknown; there are: {', '.join(METHODS)}")
    x_N = finite(values)
    n = len(x_N)
    if n < FEWEST:
        return Interval(float(x_N.mean()) if n else None, None, None, n, tuple(x_N.tolist()))
    mean = float(x_N.mean())
    if x_N.min() == x_N.max() or mean in bounds:  # on a bound they differ by rounding alone
        return Interval(*3 * (float(x_N[0]),), n)
    if method == "bootstrap":
        return Interval(mean, *_bca(x_N, level, seed), n)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(x_N.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, *_within(mean, half, bounds), n)


def paired(
    a: Mapping[int, float], b: Mapping[int, float], method: str = "t", level: float = LEVEL, seed: int = 0, bounds: Bounds = ANY
) -> Interval:
    """`interval` of the differences a - b, seed by seed; a and b map seeds to values within `bounds`.

    What a seed does to both sides cancels, so the interval is narrower than that of unpaired means where the sides rise and fall together:
    Var(a - b) = Var a + Var b - 2 Cov(a, b). Seeds that one side lacks are dropped; n says how many are left. Differences keep their own
    scale, so that 0 is inside exactly where a paired t test does not reject it; the ends are cut at the largest difference of two numbers
    within the bounds (1 for shares), which loses nothing that can be true.
    """
    return cut(interval([a[one] - b[one] for one in sorted(a.keys() & b.keys())], method, level, seed), bounds)


def cut(found: Interval, bounds: Bounds) -> Interval:
    """The interval of a difference without what no difference of two numbers within the bounds can be."""
    low, high = bounds
    if found.low is None or found.high is None or low is None or high is None:
        return found
    return Interval(found.mean, max(found.low, low - high), min(found.high, high - low), found.n)


def finite(values: Sequence[float]) -> NDArray[np.float64]:
    """The values as float64. Raises DataProblem for one that is no finite number."""
    x_N = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x_N).all():
        raise DataProblem(f"statistics: {x_N[~np.isfinite(x_N)][0]} is not a finite number; leave out the run that it came from")
    return x_N


def _within(mean: float, half: float, bounds: Bounds) -> tuple[float, float]:
    """mean ± half by the delta method on the scale of the bounds."""
    from scipy.special import expit, logit

    low, high = bounds
    if low is None:
        assert high is None, "no metric has an upper bound alone"
        return mean - half, mean + half
    if high is None:
        stretch = math.exp(half / (mean - low))
        return low + (mean - low) / stretch, low + (mean - low) * stretch
    share, width = (mean - low) / (high - low), half / (high - low)
    ends = expit(logit(share) + width / (share * (1 - share)) * np.array([-1, 1]))
    return float(low + (high - low) * ends[0]), float(low + (high - low) * ends[1])


def _bca(x_N: NDArray[np.float64], level: float, seed: int) -> tuple[float, float]:
    from scipy.special import ndtr, ndtri

    n = len(x_N)
    # sorted, so that a resample that holds every value once has exactly the mean of the values: rounding must not break that tie
    rows_BN = np.sort(np.random.default_rng(seed).integers(n, size=(RESAMPLES, n)), axis=1)
    means_B, mean = x_N[rows_BN].mean(1), x_N[None].mean(1)
    z0 = ndtri(((means_B < mean).mean() + (means_B <= mean).mean()) / 2)
    away_N = x_N - mean
    skew = (away_N**3).sum() / (6 * (away_N**2).sum() ** 1.5)
    z = z0 + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means_B, ndtr(z0 + z / (1 - skew * z)))
    return float(low), float(high)
