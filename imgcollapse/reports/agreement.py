"""Whether all extractors say the same of a score: only then does a sentence say that it rises or falls."""

from dataclasses import dataclass
from typing import Literal

from imgcollapse.ablation.summary import Record, spanned
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics.record import what_of
from imgcollapse.metrics.scores import worth_showing

Direction = Literal["rises", "falls", "stays"]
SHOWN = 10  # the most prominent scores, as many as have a chart above the fold


@dataclass(frozen=True)
class Way:
    """How a score goes by one extractor, from the first generation that was judged to the last (SPANs, see `ablation.summary`).

    `stays`: their intervals overlap. Of one or two seeds, which have none: their values overlap, or lie no farther apart than two sets of
    real pictures may by chance.
    """

    extractor: str
    begin: Record
    end: Record
    direction: Direction


def ways(arm: Record, name: str) -> list[Way]:
    """How the score goes in this arm of a summary, by each extractor that measured it in more than one generation."""
    points = {extractor: metrics[name] for extractor, metrics in arm["extractors"].items() if name in metrics}
    return [_way(extractor, name, found) for extractor, found in points.items() if len(found["by_generation"]) > 1]


def agreed(arm: Record, name: str) -> Direction | None:
    """What all extractors say of the score; None where they do not agree, and where none has two generations of it."""
    directions = {way.direction for way in ways(arm, name)}
    return directions.pop() if len(directions) == 1 else None


def disagreements(summary: Record) -> list[str]:
    """A sentence for each arm and each of its most prominent scores of which some extractors say that it rises, others that it falls.

    Null models aside, and what gates do, which is of each gate alone. Where one says that it moves and another that it stays, `agreed` is
    None too, but that is no contradiction.
    """
    arms = [arm for arm in summary["arms"] if arm["null"] is None]
    found = []
    for arm in arms:
        measured = {name for source, metrics in arm["extractors"].items() for name in metrics if what_of(source) != "gate"}
        for name in worth_showing(SHOWN, measured):
            by = ways(arm, name)
            if {"rises", "falls"} <= {way.direction for way in by}:
                found.append((f"{arm['arm']}: " if len(arms) > 1 else "") + _sentence(name, by))
    return found


def _way(extractor: str, name: str, metric: Record) -> Way:
    begin, *_, end = metric["by_generation"]
    up = end["mean"] > begin["mean"]
    low, high = (begin, end) if up else (end, begin)
    if low["high"] is None or high["low"] is None:
        apart = min(high["values"] or [high["mean"]]) - max(low["values"] or [low["mean"]])
        by_chance = 0.0 if metric["real"] is None else metric["real"]["high"] - metric["real"]["low"]
        moved = apart > by_chance and spanned(begin, name) != spanned(end, name)
    else:
        moved = high["low"] > low["high"]
    return Way(extractor, begin, end, ("rises" if up else "falls") if moved else "stays")


def _sentence(name: str, by: list[Way]) -> str:
    """`precision falls by classifier (0.830 to 0.650), rises by random (0.850 to 0.930): these features do not agree, so nothing ...`."""
    parts = [f"{way.direction} by {way.extractor} ({spanned(way.begin, name)} to {spanned(way.end, name)})" for way in by]
    return f"{metric_title(name)} {', '.join(parts)}: the extractors disagree, so no direction is claimed."
