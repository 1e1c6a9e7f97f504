"""The primary endpoint of an ablation: the one number that its question is decided by, named before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from imgcollapse.errors import SettingsProblem, brief
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.record import gate_sources
from imgcollapse.metrics.score import UNIT, Quantity
from imgcollapse.metrics.scores import SCORES
from imgcollapse.settings import Settings
from imgcollapse.study import Study

MARGIN = 0.05  # of a share at the last generation: what differs by less is called the same, where nothing else was named

When = Literal["by default", "before the runs", "after the runs"]


class Endpoint(Settings):
    """What decides the question: one collapse number of one score by one extractor."""

    metric: str | None = Field(None, description="a score; none: the most prominent one that is measured, usually min(recall, coverage)")
    quantity: Quantity = Field(
        "last", description="last (value at the last generation), slope (per generation), or area (between the curve and real vs real)"
    )
    extractor: str | None = Field(
        None, description="whose features the score is of, or which gate (`gate watermark`); none: all extractors, which must agree"
    )
    margin: PositiveFloat | None = Field(
        None, description="differences within ± this count as the same; none: 0.05 for a share at the last generation, else no margin"
    )

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in SCORES:
            raise ValueError(f"{brief(name)} is unknown; there are: {', '.join(SCORES)}")
        return name

    def check(self, study: Study) -> None:
        """Raises SettingsProblem for what a study, with every choice made, does not measure."""
        kinds = [extractor.kind for extractor in study.judge.extractors or ()]
        of_gates = [name for name, metric in METRICS.items() if metric.of == "gate" and study.gates]
        scores = [name for metric in (*(study.judge.metrics or ()), *of_gates) for name in METRICS[metric].scores]
        kinds += gate_sources([gate.kind for gate in study.gates]) if kinds else []
        if self.extractor is not None and self.extractor not in kinds:
            there = ", ".join(kinds) or "none"
            raise SettingsProblem(
                f"endpoint.extractor: {brief(self.extractor)} is not among the extractors; there are: {there}; name it in judge.extractors"
            )
        if self.metric is not None and (self.metric not in scores or not kinds):
            where = "judge.metrics" if kinds else "judge.extractors"
            raise SettingsProblem(f"endpoint.metric: {brief(self.metric)} is not measured; set {where} so that it is, or name another")

    def margin_of(self, metric: str) -> float | None:
        """The margin, and where none was named MARGIN for a share at the last generation; None: nothing is called the same."""
        if self.margin is None and self.quantity == "last" and SCORES[metric].bounds == UNIT:
            return MARGIN
        return self.margin


DEFAULT = Endpoint()


@dataclass(frozen=True)
class Rivals:
    """Generators that are ranked against each other, for they differ in nothing else.

    beside: what else their arms have in common, in the words of their names; empty where there is nothing else
    arms:   name of each generator -> that of its arm
    """

    beside: str
    arms: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """What an ablation was to decide, and when that was said.

    named: when the endpoint was named; `after the runs`: some of them were there, and it was another before, or none
    pilot: the first seeds, where the number of the others followed from their spread; else empty
    rivals: the generators that are ranked
    """

    endpoint: Endpoint = DEFAULT
    named: When = "by default"
    pilot: tuple[int, ...] = ()
    rivals: tuple[Rivals, ...] = ()


NOTHING_ASKED = Asked()
