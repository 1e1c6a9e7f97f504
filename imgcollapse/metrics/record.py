"""The scores of one set of samples: one typed record from the judge to the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from imgcollapse.errors import DataProblem

Of = Literal["features", "model", "gate"]  # of what scores are
MODEL, GATE = "model", "gate"  # the source of what the models themselves know; and how those of gates begin; all others are extractors


def what_of(source: str) -> Of:
    """Of what the scores of a source are, by whatever judge: `model (n 500)`, `gate watermark`, or an extractor's name."""
    first = source.partition(" ")[0]
    return "model" if first == MODEL else "gate" if first == GATE else "features"


def gate_sources(kinds: Sequence[str]) -> list[str]:
    """The sources of gates of these kinds, in their order: `gate watermark`, of a second one of a kind `gate watermark 2`."""
    return [f"{GATE} {kind}{f' {n}' if (n := kinds[: place + 1].count(kind)) > 1 else ''}" for place, kind in enumerate(kinds)]


@dataclass(frozen=True)
class RealVsReal:
    """A metric's value between two sets of real pictures that no extractor has learned from, over many splits; see `judges/real.py`.

    mean:      over the splits
    low, high: the least and the greatest: where one more split would lie with probability 95 %, and nearly so new real pictures
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "RealVsReal":
        """Of the values of all splits."""
        return cls(math.fsum(values) / len(values), min(values), max(values))

    @classmethod
    def mean_of(cls, reals: Sequence["RealVsReal | None"]) -> "RealVsReal | None":
        """Of each part over the seeds, which are one where all were judged by the same pictures; None where any of them is."""
        known = [real for real in reals if real is not None]
        if len(known) < len(reals):
            return None
        return cls(*(math.fsum(getattr(real, part) for real in known) / len(known) for part in ("mean", "low", "high")))


def ranged(real: RealVsReal, decimals: int) -> str:
    """`4.1 [3.4, 5.0]`."""
    mean, low, high = (f"{part:z.{decimals}f}" for part in (real.mean, real.low, real.high))
    return f"{mean} [{low}, {high}]"


@dataclass(frozen=True)
class Value:
    """What a metric found.

    value: the number itself
    real:  the same between real pictures; None where the metric has no such value
    n:     pictures that both are of
    """

    value: float
    real: RealVsReal | None
    n: int


@dataclass(frozen=True)
class Scores:
    """All that was measured of one set of samples.

    generation: which one of its run; None for samples of no run
    sources:    by what it was found (an extractor's name, MODEL, or a gate), then metric -> value, in the order of the judge
    """

    generation: int | None
    sources: Mapping[str, Mapping[str, Value]]

    def of_generation(self, generation: int) -> "Scores":
        """The same, as those of that generation."""
        return replace(self, generation=generation)

    def record(self) -> dict[str, Any]:
        """`{"generation": g, "sources": {SOURCE: {METRIC: {"value": ..., "real": {"mean", "low", "high"} or None, "n": ...}}}}`."""
        sources = {
            source: {
                name: {"value": one.value, "real": None if one.real is None else asdict(one.real), "n": one.n}
                for name, one in values.items()
            }
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
    if not isinstance(one, dict) or one.keys() != {"value", "real", "n"} or not _is_whole(one["n"]):
        raise DataProblem(f"{name} is not a value, that of real vs real, and n")
    value, real, n = one["value"], one["real"], one["n"]
    if real is not None and (not isinstance(real, dict) or real.keys() != {"mean", "low", "high"}):
        raise DataProblem(f"{name}: real vs real is not a mean, low and high")
    for number in (value, *(real or {}).values()):
        if not _is_finite(number):
            raise DataProblem(f"{name} is {value}, real vs real {real}, which cannot be")
    return Value(float(value), None if real is None else RealVsReal(**{part: float(number) for part, number in real.items()}), n)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and math.isfinite(value)
