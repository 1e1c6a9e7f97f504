"""What `imgcollapse list NAME` says of a score, and which group of parts a NAME means."""

from collections.abc import Mapping
from typing import Any

from imgcollapse.errors import did_you_mean, plainly
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.details import detail
from imgcollapse.metrics.score import Score
from imgcollapse.metrics.scores import SCORES


def group(name: str, tables: Mapping[str, Any]) -> str | None:
    """The table that a heading means, however it is parted: `datasets`, `data-sets`, `Data sets`, `model`; None for another name."""
    plain = plainly(name)
    return next((title for title in tables if plain in (plainly(title), plainly(title).removesuffix("s"))), None)


def explained(name: str) -> list[str]:
    """Of a score, or of what stands beside one (`share_3`), what it is and which metric gives it; empty for another name.

    A score is known by its name in CSV and records and by its title in tables, where a Fréchet distance may be called FID.
    """
    lines = [line for own, score in SCORES.items() if _means(name, own, score) for line in _of(own, score)]
    found = None if lines else detail(name)
    return lines if found is None else [f"{name} (detail of the metric {found[0]}): {found[1]}"]


def close(name: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """`did you mean 'recall'? `, where a name is nearly that."""
    return did_you_mean(name, [*(own for table in tables.values() for own in table), *SCORES, *tables], cutoff=0.75)


def _of(name: str, score: Score) -> list[str]:
    metric = next(own for own, one in METRICS.items() if name in one.scores)
    return [
        f"{name} (score of the metric {metric}): {score.title}: {score.meaning}",
        f"{score.better} is better; {score.definition}",
        f"`imgcollapse list {metric}` says how it is computed",
    ]


def _means(name: str, own: str, score: Score) -> bool:
    titles = {own, score.title, *([score.short] if score.short else [])}
    titles |= {title.replace("FD", "FID") for title in titles} if score.frechet else set()
    return name.lower() in {title.lower() for title in titles}
