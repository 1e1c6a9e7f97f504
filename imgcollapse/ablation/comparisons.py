"""Several differences over seeds at once: their adjusted intervals, what these say, and how many seeds they need. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from imgcollapse.ablation.intervals import FEWEST, LEVEL, Interval, cut, finite
from imgcollapse.metrics.score import ANY, Bounds

ERROR = 1 - LEVEL  # of all comparisons of an ablation together
MOST_SEEDS = 32  # that are added by themselves

# what an interval of a difference says: it leaves out 0, it lies within the margin, or neither
Verdict = Literal["higher", "lower", "same", "open"]


@dataclass(frozen=True)
class Difference:
    """Differences of one comparison, a seed each, and what t tests of their mean need.

    error:   standard error of the mean; None with fewer than FEWEST seeds
    freedom: its degrees of freedom
    """

    values: tuple[float, ...]
    mean: float | None
    error: float | None
    freedom: int

    @classmethod
    def of(cls, values: Mapping[int, float], pilot: Sequence[int] = ()) -> "Difference":
        """Of the differences by seed. `pilot`: where the number of seeds followed from the spread of these first ones, the standard error
        is of their spread alone, s_pilot / sqrt(n): that, and no other, keeps the error rate (Stein 1945)."""
        x_N, first_N = finite(list(values.values())), finite([value for seed, value in values.items() if not pilot or seed in pilot])
        mean = float(x_N.mean()) if len(x_N) else None
        if len(first_N) < FEWEST:
            return cls(tuple(x_N.tolist()), mean, None, 0)
        spread = 0.0 if first_N.min() == first_N.max() else float(first_N.std(ddof=1))
        return cls(tuple(x_N.tolist()), mean, spread / math.sqrt(len(x_N)), len(first_N) - 1)

    @property
    def chance(self) -> float:
        """The two-sided p value of Student's t test of a mean of 0; 1 where there is no test."""
        from scipy.special import stdtr

        if self.mean is None or self.error is None or self.mean == 0:
            return 1.0
        return 2 * float(stdtr(self.freedom, -abs(self.mean) / self.error)) if self.error else 0.0

    def interval(self, level: float, bounds: Bounds = ANY) -> Interval:
        """mean ± t error, cut at what differences of numbers within the bounds can be."""
        from scipy.special import stdtrit

        n = len(self.values)
        if self.mean is None or self.error is None:
            return Interval(self.mean, None, None, n, self.values if n < FEWEST else ())
        half = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return cut(Interval(self.mean, self.mean - half, self.mean + half, n), bounds)


def holm_levels(chances: Sequence[float], error: float = ERROR) -> list[float]:
    """The level of each comparison's interval so that 0 is outside exactly where Holm's procedure rejects (Holm 1979).

    chances: p values. The i-th smallest of m (i = 0, 1, ...) is held against error / (m - i), the first that is not below ends the
    procedure, and all after it are held against what that one was. The chance that any true 0 is rejected is at most `error`, whatever
    the comparisons have to do with each other (arms have the reference in common). Each interval by itself holds its difference at least
    as often as one of level 1 - error; that all hold theirs at once is not promised by those that leave out 0.
    """
    levels, left = [0.0] * len(chances), len(chances)
    for place in sorted(range(len(chances)), key=chances.__getitem__):
        levels[place] = 1 - error / left
        left -= chances[place] <= error / left
    return levels


def verdict(found: Interval, margin: float | None) -> Verdict:
    """What the interval of a difference says.

    `higher` or `lower`: all of it is on one side of 0. `same`: it is not, and all of it is within ± margin (the two one-sided tests of
    Schuirmann 1987, at half of the interval's error each); without a margin nothing is ever the same. `open`: neither, or no interval.
    """
    if found.low is None or found.high is None:
        return "open"
    if found.low > 0:
        return "higher"
    if found.high < 0:
        return "lower"
    return "same" if margin is not None and max(-found.low, found.high) <= margin else "open"


def seeds_needed(pilot: Sequence[float], half: float, level: float = LEVEL) -> int:
    """How many seeds make the interval of a mean no wider than ± half, from the spread of a pilot of n seeds: Stein's second stage.

        N = max(n, ceil((t_{n-1, (1+level)/2} s / half)^2))                                           Stein 1945

    With N seeds, mean ± t_{n-1} s / sqrt(N) (s of the pilot) is at most that wide and holds the expectation of normal values in at least
    `level` of cases. More than MOST_SEEDS are not asked for: the interval is then wider, and its level is kept.
    """
    from scipy.special import stdtrit

    found = Difference.of(dict(enumerate(pilot)))
    assert found.error is not None, f"a pilot has at least {FEWEST} seeds"
    spread = found.error * math.sqrt(len(pilot))
    return min(MOST_SEEDS, max(len(pilot), math.ceil((float(stdtrit(found.freedom, (1 + level) / 2)) * spread / half) ** 2)))
