"""All scores, of all metrics, by name, and what the Fréchet distance is called."""

from collections.abc import Collection, Iterable

from imgcollapse.metrics import METRICS
from imgcollapse.metrics.score import Score

SCORES: dict[str, Score] = {name: score for metric in METRICS.values() for name, score in metric.scores.items()}

FRECHET_NAMES = {"inception": "FID", "inception-legacy": "FID", "dinov2": "FD-DINOv2"}
"""What the Fréchet distance is called with which extractor's features; with any other it is FD."""


def worth_showing(preferred: Collection[str], measured: Iterable[str]) -> list[str]:
    """The preferred scores that were measured; where none of them was, as many others, in the order of the metrics.

    What has room for some scores only shows these: so nobody's choice of metrics leaves it empty. Nothing where nothing was measured.
    """
    there = set(measured)
    return [name for name in preferred if name in there] or [name for name in SCORES if name in there][: len(preferred)]


def title(name: str, extractor: str | None = None, short: bool = False) -> str:
    """A score's name as people write it. Only with the published Inception features is a Fréchet distance called FID."""
    if name not in ("fd", "fd_infinity"):
        return SCORES[name].title
    called = FRECHET_NAMES.get(extractor or "", "FD") + ("∞" if name == "fd_infinity" else "")
    return called if short else f"Fréchet distance ({called})"
