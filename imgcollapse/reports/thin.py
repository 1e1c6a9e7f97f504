"""What a screen can show of very long chains: some of the generations, and of a curve its extremes too. Short chains stay whole."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from imgcollapse import grids

POINTS = 200  # of a curve, about as many as a chart has room for
MARKED, MARKS = 60, 12  # points of a curve that all have markers, and of a longer one about how many: more would hide it
ROWS = 100  # generations in a table
BARS = 50  # generations side by side in a chart of shares
STOPS = 60  # generations that the slider stops at, and pictures of an arm
GROUPS = 20  # of generations, where a training set has pictures of very many
UNITS = (1, 2, 4, 5)


def evenly(generations: Collection[int], most: int) -> list[int]:
    """At most so many of them in order, the first and the last too: multiples of a round number where enough of them are there."""
    there = sorted(generations)
    if len(there) <= most:
        return there
    for step in _steps():
        some = [g for g in there if g % step == 0 or g in (there[0], there[-1])]
        if len(some) <= most:
            break
    return some if len(some) >= most / 4 else [there[place] for place in grids.spaced(len(there), most)]


def curve(points: Sequence[Mapping[str, Any]], most: int = POINTS) -> list[Mapping[str, Any]]:
    """At most so many points of a curve: the ends, and of every part between them where the mean is least and where it is greatest."""
    if len(points) <= most:
        return list(points)
    parts, inner = (most - 2) // 2, range(1, len(points) - 1)
    kept = {0, len(points) - 1}
    for part in range(parts):
        places = inner[part * len(inner) // parts : (part + 1) * len(inner) // parts]
        kept |= {pick(places, key=lambda place: points[place]["mean"]) for pick in (min, max)}
    return [points[place] for place in sorted(kept)]


def mark_every(points: int) -> int:
    """1 where every point of a curve has a marker; 20 where every twentieth has: arms are told apart by them."""
    return 1 if points <= MARKED else points // MARKS


def some_of(shown: Collection[int], there: Collection[int]) -> str:
    """`41 of 2,000 generations`; empty where all are shown."""
    return f"{len(shown):,} of {len(there):,} generations" if len(shown) < len(there) else ""


def group_width(generations: int) -> int:
    """How many generations stand together where there are so many of them: a round number, so that there are at most GROUPS."""
    return next(step for step in _steps() if -(-generations // step) <= GROUPS)


def _steps() -> Sequence[int]:
    return [unit * 10**power for power in range(10) for unit in UNITS]
