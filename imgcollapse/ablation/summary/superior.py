"""P(better) in words."""

from imgcollapse.ablation.summary.table import Record

BETTER = "P(better)"


def likely(span: Record) -> str:
    """` (P(better) 0.98)`; empty where there is none."""
    words = in_words(span["probability_better"])
    return f" ({BETTER} {words})" if words else ""


def in_words(probability: float | None) -> str:
    """`0.98`, or above 0.999 and below 0.001 that; empty where there is none."""
    if probability is None:
        return ""
    return "> 0.999" if probability > 0.9995 else "< 0.001" if probability < 0.0005 else f"{probability:.3f}"
