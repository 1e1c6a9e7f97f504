"""What `imgcollapse list NAME` says of a part, a score or a setting, and which parts a NAME means; reference pages say the same."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imgcollapse.errors import did_you_mean, plainly
from imgcollapse.metrics import Metric, metric_of
from imgcollapse.metrics.details import detail
from imgcollapse.metrics.score import Score
from imgcollapse.metrics.scores import SCORES
from imgcollapse.settings import shown_as


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
    metric = metric_of(name)
    return [
        f"{name} (score of the metric {metric}): {score.title}: {score.meaning}",
        f"{score.better} is better; {score.definition}",
        f"`imgcollapse list {metric}` says how it is computed",
    ]


def _means(name: str, own: str, score: Score) -> bool:
    titles = {own, score.title, *([score.short] if score.short else [])}
    titles |= {title.replace("FD", "FID") for title in titles} if score.frechet else set()
    return name.lower() in {title.lower() for title in titles}


def first_line(entry: Any) -> str:
    """An entry of a table in one sentence."""
    return (with_words(entry).__doc__ or "no description").strip().splitlines()[0]


def with_words(entry: Any) -> Any:
    """What has the words about an entry: of a metric, what measures it."""
    return entry.measure if isinstance(entry, Metric) else entry


def part(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a setting that has options of its own, one that may be left out too; None for all others."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)


def options(entry: type[BaseModel], within: str = "") -> dict[str, FieldInfo]:
    """Every option by its path; those of a part as `part.name`. `kind`, which names the entry, is none."""
    found: dict[str, FieldInfo] = {}
    for key, field in entry.model_fields.items():
        if isinstance(field.default, BaseModel):
            found |= options(type(field.default), f"{within}{key}.")
        elif key != "kind":
            inner = part(field) if field.default is None else None
            found[f"{within}{shown_as(key, field)}"] = field
            found |= {} if inner is None else options(inner, f"{within}{key}.")
    return found
