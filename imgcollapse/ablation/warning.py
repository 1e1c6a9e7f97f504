"""When a score leaves real vs real for good: which sees a collapse first, and how long before recall halves. Pure functions."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from imgcollapse.ablation.intervals import finite
from imgcollapse.ablation.statistics import EventTime
from imgcollapse.metrics.record import RealVsReal

LOOKS = 2  # judged generations outside on one side, up to the last one, from which on a score counts as gone


@dataclass(frozen=True)
class Left:
    """When a series left what real pictures score, for good.

    time:    the first generation from which on it is outside, on one side, in all generations seen
    side:    1 where it is above then, -1 below, 0 where it did not leave
    already: whether generation 0 was outside, so that the time is counted from there
    """

    time: EventTime
    side: int
    already: bool


def leaves(values: Sequence[float], generations: Sequence[int], real: RealVsReal) -> Left:
    """min {g : from g on all values seen, LOOKS or more, are above `high`, or all are below `low`}; censored where there is no such g.

        low, high = the ends of real vs real's range                                              where v_0 lies within
        low, high = v_0 - sqrt(2) (mean - low), v_0 + sqrt(2) (high - mean)                       where it does not: `already`

    Of 39 splits, one more lies outside of the range with probability 5 %: looking at every generation, a single look outside says little.
    So a score that comes back has not left, and the last generation alone does not count. Where generation 0 is outside, its model errs and
    no collapse has begun: then the change since generation 0 is held against the spread of real vs real, sqrt(2) times, as both ends of a
    difference spread. That is exact for none, and too little where the spread grows with the value, as that of a distance does.
    generations: judged ones from 0 on, in order. Raises DataProblem for a value that is no finite number.
    """
    v_T = finite(values)
    assert len(v_T) == len(generations) > 0, (len(v_T), len(generations))
    low, high = real.low, real.high
    already = not low <= v_T[0] <= high
    if already:
        low, high = v_T[0] - math.sqrt(2) * (real.mean - real.low), v_T[0] + math.sqrt(2) * (real.high - real.mean)
    sides = [int(value > high) - int(value < low) for value in v_T]
    place = len(sides)
    while place and sides[place - 1] and sides[place - 1] == sides[-1]:
        place -= 1
    seen = generations[-1] + 1
    if len(sides) - place < LOOKS:
        return Left(EventTime(None, seen), 0, already)
    return Left(EventTime(generations[place], seen, place == 0 or generations[place - 1] == generations[place] - 1), sides[-1], already)


def lead(left: EventTime, event: EventTime | None) -> int | None:
    """How many generations before the event a score left; None where either did not happen, or the event cannot."""
    if event is None or event.generation is None or left.generation is None:
        return None
    return event.generation - left.generation


def lead_words(leads: Sequence[int], event: str) -> str:
    """`4 generations before recall halves`, of several seeds the median and the range: `4 (2 to 5) generations before recall halves`."""
    middle = statistics.median(leads)
    way = "before" if middle >= 0 else "after"
    ends = sorted((min(leads), max(leads)) if middle >= 0 else (-min(leads), -max(leads)))
    spread = f" ({ends[0]:g} to {ends[1]:g})" if ends[0] != ends[1] else ""
    if middle == 0 and not spread:
        return f"in the same generation in which {event}"
    return f"{abs(middle):g}{spread} generation{'s' * (abs(middle) != 1 or bool(spread))} {way} {event}"
