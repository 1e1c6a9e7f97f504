"""The scores of one set of samples: one typed record from the judge to the page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from imgcollapse.errors import DataProblem

MODEL = "model"  # the source of what the models themselves know; all others are extractors


@dataclass(frozen=True)
class Value:
    """What a metric found.

    value: the number itself
    floor: the same of real pictures against real pictures; None where the metric has no such value
    n:     pictures that both are of
    """

    value: float
    floor: float | None
    n: int


@dataclass(frozen=True)
class Scores:
    """All that was measured of one set of samples.

    generation: which one of its run; None for samples of no run
    sources:    by what it was found (an extractor's name, or MODEL), then metric -> value, in the order of the judge
    """

    generation: int | None
    sources: Mapping[str, Mapping[str, Value]]

    def of_generation(self, generation: int) -> "Scores":
        """The same, as those of that generation."""
        return replace(self, generation=generation)

    def record(self) -> dict[str, Any]:
        """`{"generation": g, "sources": {SOURCE: {METRIC: {"value": ..., "floor": ..., "n": ...}}}}`: plain JSON values."""
        sources = {
            source: {name: {"value": one.value, "floor": one.floor, "n": one.n} for name, one in values.items()}
            for source, values in self.sources.items()
        }
        return {"generation": self.generation, "sources": sources}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Scores":
        """What `record` made. Raises DataProblem, one line, for what is damaged, of another version, or no finite number."""
        generation, sources = record.get("generation"), record.get("sources")
        if not isinstance(sources, dict) or not (generation is None or _is_whole(generation)):
            raise DataProblem("holds no scores as this version writes them (a generation and its sources)")
        for source, values in sources.items():
            if not isinstance(values, dict):
                raise DataProblem(f"{source} holds {type(values).__name__}, not metrics")
        found = {source: {name: _value(f"{source}: {name}", one) for name, one in values.items()} for source, values in sources.items()}
        return cls(generation, found)


def _value(name: str, one: Any) -> Value:
    if not isinstance(one, dict) or one.keys() != {"value", "floor", "n"} or not _is_whole(one["n"]):
        raise DataProblem(f"{name} is not a value, its floor and n")
    value, floor, n = one["value"], one["floor"], one["n"]
    if not (_is_finite(value) and (floor is None or _is_finite(floor))):
        raise DataProblem(f"{name} is {value}, its floor {floor}, which is no result")
    return Value(float(value), None if floor is None else float(floor), n)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and math.isfinite(value)
