"""All scores, of all metrics, by name, and what the Fréchet distance is called."""

from imgcollapse.metrics import METRICS
from imgcollapse.metrics.score import Score

SCORES: dict[str, Score] = {name: score for metric in METRICS.values() for name, score in metric.scores.items()}

FRECHET_NAMES = {"inception": "FID", "inception-legacy": "FID", "dinov2": "FD-DINOv2"}
"""What the Fréchet distance is called with which extractor's features; with any other it is FD."""


def title(name: str, extractor: str | None = None, short: bool = False) -> str:
    """A score's name as people write it. Only with the published Inception features is a Fréchet distance called FID."""
    if name not in ("fd", "fd_infinity"):
        return SCORES[name].title
    called = FRECHET_NAMES.get(extractor or "", "FD") + ("∞" if name == "fd_infinity" else "")
    return called if short else f"Fréchet distance ({called})"
