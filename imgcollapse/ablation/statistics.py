"""What makes collapses comparable: slopes, half-lives and their medians over seeds, areas. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from imgcollapse.ablation.intervals import finite


def slope(generations: Sequence[int], values: Sequence[float], scale: Literal["linear", "log"]) -> float | None:
    """The straight line's rise per generation by ordinary least squares: b = sum (g - mean g)(y - mean y) / sum (g - mean g)^2.

        linear  y = value; b, in units of the metric per generation
        log     y = ln value; exp(b) - 1, the relative change per generation: -0.1 loses a tenth of what is left every time

    On the log scale a value of 0 or less ends the series before it, for nothing can be lost after it. None where fewer than two points
    are left. Raises DataProblem for a value that is no finite number.
    """
    g_T, y_T = np.asarray(generations, dtype=np.float64), finite(values)
    assert len(g_T) == len(y_T), (len(g_T), len(y_T))
    if scale == "log":
        gone = np.flatnonzero(y_T <= 0)
        end = int(gone[0]) if len(gone) else len(y_T)
        g_T, y_T = g_T[:end], np.log(y_T[:end])
    if len(y_T) < 2:
        return None
    away_T = g_T - g_T.mean()
    rise = float(away_T @ (y_T - y_T.mean()) / (away_T @ away_T))
    return math.expm1(rise) if scale == "log" else rise


@dataclass(frozen=True)
class EventTime:
    """When something happened to a series.

    generation: the first one looked at to which it had happened; None (censored): to none of them
    seen:       the last generation looked at, and one more
    exact:      whether the generation before was looked at too; else it may have happened at any since the last one that was
    """

    generation: int | None
    seen: int
    exact: bool = True


def half_life(values: Sequence[float], generations: Sequence[int] | None = None) -> EventTime | None:
    """min {g : v_g < v_0 / 2} of the values of these generations (None: 0, 1, 2, ...); censored where there is no such g.

    Where not every generation was looked at it is known only to the next one that was: `exact`. Exactly half is not below. A series
    that was cut short is censored at its own end, whatever number of generations was asked for. None where there is nothing to halve: v_0
    is 0 or less, or there is no v_0. Raises DataProblem for a value that is no finite number.
    """
    v_T = finite(values)
    if len(v_T) == 0 or v_T[0] <= 0:
        return None
    below = np.flatnonzero(v_T < v_T[0] / 2)
    return _event(int(below[0]) if len(below) else len(v_T), range(len(v_T)) if generations is None else generations)


def lost(alive: Sequence[float], generations: Sequence[int] | None = None) -> EventTime | None:
    """min {g : not alive at g, nor at any later generation seen}, of 1 (alive) or 0 at these generations (None: 0, 1, 2, ...).

    None for an empty series. Where not every generation was looked at it is known only to the next one that was: `exact`.

    Censored where it is alive at the last generation seen. What dies and comes back was not lost yet: dead at 3, alive at 4, dead from 6
    on is lost at 6. The last generations are therefore the least certain: what is dead at the last one alone may come back in the next.
    Raises DataProblem for a value that is no finite number.
    """
    v_T = finite(alive)
    if len(v_T) == 0:
        return None
    there = np.flatnonzero(v_T > 0)
    since = int(there[-1]) + 1 if len(there) else 0
    return _event(since, range(len(v_T)) if generations is None else generations)


def _event(place: int, generations: Sequence[int]) -> EventTime:
    """What happened at that place of a series; beyond its end: not at all."""
    seen = generations[-1] + 1
    if place >= len(generations):
        return EventTime(None, seen)
    return EventTime(generations[place], seen, place == 0 or generations[place - 1] == generations[place] - 1)


@dataclass(frozen=True)
class MedianTime:
    """The median over seeds of when something happened (a half-life, the loss of a class).

    generation: the median; None where it is not reached within the generations seen
    within:     the number of generations seen by the seed that was seen longest
    at:         the generations of the seeds to which it happened, in order
    of:         seeds to which it could happen, whether it did or is censored
    short:      censored seeds that were seen for fewer generations than `within`
    undefined:  seeds to which it cannot happen, counted nowhere else
    nothing:    what those have none of, in words: `nothing to halve`
    exact:      whether the generation before the median was looked at too; else the median is the latest that it can be
    """

    generation: int | None
    within: int
    at: tuple[int, ...]
    of: int
    short: int = 0
    undefined: int = 0
    nothing: str = "nothing to halve"
    exact: bool = True

    @property
    def words(self) -> str:
        """`4 (3 of 3 seeds)`, `40 at the latest (3 of 3 seeds)`, or `not within 10 generations (1 of 3 seeds at 7)`."""
        if not self.of:
            return self.nothing if self.undefined else "no seeds"
        counted = f"{len(self.at)} of {self.of} seed{'s' if self.of > 1 else ''}"
        notes = [f"{self.short} cut short"] * bool(self.short) + [f"{self.undefined} with {self.nothing}"] * bool(self.undefined)
        if self.generation is not None:
            return f"{self.generation}{'' if self.exact else ' at the latest'} ({'; '.join([counted, *notes])})"
        reached = f" at {', '.join(map(str, self.at))}" if self.at else ""
        return f"not within {self.within} generation{'s' if self.within > 1 else ''} ({'; '.join([counted + reached, *notes])})"


def median_time(times: Sequence[EventTime | None], nothing: str = "nothing to halve") -> MedianTime:
    """The Kaplan-Meier median of times, one per seed: the first generation t at which S(t) <= 1/2 (Kaplan & Meier 1958).

    S(t) = product over s <= t of (1 - d_s / r_s): to d_s seeds it happened at s, to r_s it had not happened before and they were seen at s.
    A censored seed counts among r_s for as long as it was seen, and is never taken for one that reached anything at its end. Where all
    seeds were seen equally long this is the plain median (of an even number, the lower of the two in the middle). It supposes that being
    cut short has nothing to do with the collapse: true of a run that waits for its turn, not of one that diverged. `nothing` is what seeds
    without a time (None) have none of, in words.
    """
    known = [one for one in times if one is not None]
    at = tuple(sorted(one.generation for one in known if one.generation is not None))
    left, median = Fraction(1), None
    for t in sorted(set(at)):
        at_risk = sum((one.seen - 1 if one.generation is None else one.generation) >= t for one in known)
        left *= 1 - Fraction(at.count(t), at_risk)
        if left <= Fraction(1, 2):
            median = t
            break
    within = max((one.seen for one in known), default=0)
    short = sum(one.generation is None and one.seen < within for one in known)
    exact = all(one.exact for one in known if one.generation == median)
    return MedianTime(median, within, at, len(known), short, len(times) - len(known), nothing, median is None or exact)


def area(generations: Sequence[int], values: Sequence[float], real: float, better: Literal["lower", "higher"]) -> float:
    """The area between a series and the mean of real vs real, in units of the metric times generations, by the trapezoidal rule.

        sum over i of (g_{i+1} - g_i) (e_i + e_{i+1}) / 2,  e = value - real where lower is better, real - value where higher is

    0 for a perfect generator, signed: better than real vs real counts as negative. What generation 0 itself lacks is part of it. It grows
    with the number of generations: compare equal ones. Fewer than two points enclose 0. Raises DataProblem for what is no finite number.
    """
    g_T, worse_T = np.asarray(generations, dtype=np.float64), finite(values) - finite([real])[0]
    assert len(g_T) == len(worse_T), (len(g_T), len(worse_T))
    found = float(np.diff(g_T) @ (worse_T[1:] + worse_T[:-1]) / 2)
    return found if better == "lower" else 0.0 - found
