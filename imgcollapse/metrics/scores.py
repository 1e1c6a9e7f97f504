"""All scores, of all metrics, by name, and which of them are shown where there is room for some only."""

from collections.abc import Iterable, Iterator, Mapping

from imgcollapse.metrics import METRICS
from imgcollapse.metrics.score import Axis, Score


class _Scores(Mapping[str, Score]):
    """Of the metrics that are in the table when it is asked, so that one added later has a place everywhere."""

    def __getitem__(self, name: str) -> Score:
        for metric in METRICS.values():
            if name in metric.scores:
                return metric.scores[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for metric in METRICS.values() for name in metric.scores)

    def __len__(self) -> int:
        return sum(len(metric.scores) for metric in METRICS.values())


SCORES: Mapping[str, Score] = _Scores()


def worth_showing(most: int, measured: Iterable[str]) -> list[str]:
    """The scores of rank 1 to `most` that were measured; where none of them was, as many others. In the order of the metrics.

    What has room for some scores only shows these: so nobody's choice of metrics leaves it empty. Nothing where nothing was measured.
    """
    there = set(measured)
    scores = [name for name in SCORES if name in there]
    return [name for name in scores if _rank(name) <= most] or scores[:most]


def most_prominent(measured: Iterable[str], halved: bool = False) -> str | None:
    """The score of the first rank among those that were measured (`halved`: that have a half-life); None where there is none.

    Where none of them has a rank, the first in the order of the metrics.
    """
    there = set(measured)
    return min((name for name in SCORES if name in there and (SCORES[name].halved or not halved)), key=_rank, default=None)


def on_axis(axis: Axis) -> str:
    """The score that stands for quality, or for variety."""
    return next(name for name, score in SCORES.items() if score.axis == axis)


def _rank(name: str) -> float:
    rank = SCORES[name].rank
    return float("inf") if rank is None else rank
