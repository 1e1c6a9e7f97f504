"""`--until`: a condition on the scores of a run that ends it before its last generation."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem, brief, did_you_mean
from imgcollapse.metrics import METRICS, metric_of
from imgcollapse.metrics.details import detail
from imgcollapse.metrics.record import MODEL, RealVsReal, Scores, Value, gate_sources, ranged
from imgcollapse.metrics.score import ANY
from imgcollapse.metrics.scores import SCORES
from imgcollapse.settings import read_number
from imgcollapse.store import judged
from imgcollapse.study import Study

FLAG = "--until"
SIGNS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_FORM = re.compile(r"\s*(?:([^<>=]+?)\s*:)?\s*([^\s<>=:]+)\s*(<=|>=|<|>)\s*([^\s<>=]+)\s*")


@dataclass(frozen=True)
class Until:
    """A condition on one score.

    source: by what it is found (an extractor's name, `model`, `gate watermark`); None: the first of the study's judge that measures it
    """

    source: str | None
    metric: str
    sign: str
    bound: float

    @classmethod
    def of(cls, text: str) -> "Until":
        """`recall<0.5`, `random:recall<0.5`. Raises SettingsProblem for what is no condition, and for an unknown or impossible one."""
        if not isinstance(text, str) or (found := _FORM.fullmatch(text)) is None:
            raise SettingsProblem(f"{FLAG}: {brief(text)} is not a condition; write SCORE<NUMBER (or >, <=, >=), for example 'recall<0.5'")
        source, metric, sign, number = found.groups()
        if metric not in SCORES and _detail(metric) is None:
            raise SettingsProblem(
                f"{FLAG}: {brief(metric)} is not a score; {did_you_mean(metric, SCORES)}there are: {', '.join(SCORES)}, and "
                "those of one class, as share_3"
            )
        bound = float(read_number(number, float, None, FLAG))
        low, high = SCORES[metric].bounds if metric in SCORES else ANY
        if (sign[0] == "<" and low is not None and not SIGNS[sign](low, bound)) or (
            sign[0] == ">" and high is not None and not SIGNS[sign](high, bound)
        ):
            within = f"is never below {low:g}" if high is None else f"is between {low:g} and {high:g}"
            raise SettingsProblem(f"{FLAG}: '{metric}{sign}{number}' never holds, as {metric} {within}; name a number that it can pass")
        return cls(source, metric, sign, bound)

    def __str__(self) -> str:
        return f"{f'{self.source}:' if self.source else ''}{self.metric}{self.sign}{self.bound:g}"

    def check(self, study: Study) -> None:
        """Raises SettingsProblem for what a study, with every choice made, does not measure."""
        kinds = [extractor.kind for extractor in study.judge.extractors or ()]
        if not kinds:
            raise SettingsProblem(f"{FLAG}: nothing is judged (judge.extractors is empty); name an extractor, such as --extractor random")
        owner = _owner(self.metric)
        of = METRICS[owner].of
        if owner not in (study.judge.metrics or ()) and not (of == "gate" and study.gates):
            others = [name for metric in study.judge.metrics or () for name in METRICS[metric].scores]
            cure = "name a gate that has it" if of == "gate" else f"add {owner} to judge.metrics"
            raise SettingsProblem(f"{FLAG}: {self.metric} is not measured; {cure}, or name one that is: {', '.join(others)}")
        there = {"features": kinds, "model": [MODEL], "gate": gate_sources([gate.kind for gate in study.gates])}[of]
        if self.source is not None and self.source not in there:
            raise SettingsProblem(f"{FLAG}: {brief(self.source)} does not measure {self.metric}; {', '.join(there)} can")

    def found_in(self, scores: Scores) -> tuple[str, Value] | None:
        """By what it was measured, and what was found; None where it was not measured."""
        names = list(scores.sources) if self.source is None else [self.source]
        return next(((name, scores.sources[name][self.metric]) for name in names if self.metric in scores.sources.get(name, {})), None)

    def holds(self, value: float) -> bool:
        """Whether the condition holds for that value."""
        return SIGNS[self.sign](value, self.bound)


@dataclass(frozen=True)
class Outcome:
    """What came of a condition in a run.

    generation: the first judged one at which it held; where it never did, the last one that was judged (None: none was)
    after:      the last judged generation before that one, at which it did not hold; it first held somewhere after it
    low, high:  of the 95 % interval of the value, where it has one
    """

    condition: str
    met: bool
    generation: int | None = None
    after: int | None = None
    source: str | None = None
    metric: str | None = None
    value: float | None = None
    real: RealVsReal | None = None
    low: float | None = None
    high: float | None = None

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def line(self, gens: int) -> str:
        """In words; `gens`: how many generations the run may have."""
        begin = f"until {self.condition}: "
        if self.generation is None:
            return f"{begin}no generation was judged"
        assert self.metric is not None and self.value is not None
        decimals = SCORES[self.metric].decimals if self.metric in SCORES else 3
        more = [] if self.low is None else [f"95 % interval {self.low:.{decimals}f} to {self.high:.{decimals}f}"]
        more += [f"real vs real {ranged(self.real, decimals)}"] if self.real else []
        what = f"{self.metric} by {self.source} {self.value:.{decimals}f}" + (f" ({'; '.join(more)})" if more else "")
        if not self.met:
            return f"{begin}not met in generations 0 to {self.generation} ({what}); more --gens go on"
        skipped = self.generation - (-1 if self.after is None else self.after)
        since = "" if skipped == 1 else f", or at one of the {skipped - 1} before it, which are not judged"
        ends = f"; the run ends here, after {self.generation + 1} of at most {gens} generations" if self.generation < gens - 1 else ""
        return f"{begin}met at generation {self.generation}{since}: {what}{ends}"


class Watch:
    """Looks, generation by generation, whether a condition holds in the run in a folder. `study`: with every choice made."""

    def __init__(self, until: Until, study: Study, folder: Path) -> None:
        until.check(study)
        self._until, self._folder, self._judge = until, folder, judged.judge_name(study.judge.model_dump(mode="json"))
        self.outcome = Outcome(str(until), False)

    def __call__(self, generation: int) -> bool:
        """Whether it holds at that generation, as far as it is judged.

        Raises SettingsProblem where the first judged generation does not have that score.
        """
        scores = judged.found_by(self._folder, self._judge, generation)
        if scores is None:
            return False
        if (found := self._until.found_in(scores)) is None:
            self._lacks(generation, scores)
            return False
        (source, value), before = found, self.outcome.generation
        values = {name: one.value for name, one in scores.sources[source].items()}
        low, high = (values.get(_end(self._until.metric, end)) for end in ("low", "high"))
        now = (self._until.holds(value.value), generation, before, source, self._until.metric, value.value, value.real, low, high)
        self.outcome = Outcome(str(self._until), *now)
        return self.outcome.met

    def _lacks(self, generation: int, scores: Scores) -> None:
        by = f" by {self._until.source}" if self._until.source else ""
        message = f"{FLAG}: {self._until.metric} was not measured{by} in generation {generation}"
        if self.outcome.generation is not None:
            progress.say(f"{message}; going on")
            return
        there = dict.fromkeys(name for values in scores.sources.values() for name in values if name in SCORES)
        raise SettingsProblem(f"{message}; there are: {', '.join(there)}; what is finished is kept")


def looked_up(text: str, study: Study, folder: Path, generations: Sequence[int]) -> Outcome:
    """What a condition comes to in these generations of a run, as its own judge found. Raises as `Until` does."""
    watch = Watch(Until.of(text), study, folder)
    next((generation for generation in generations if watch(generation)), None)
    return watch.outcome


def _detail(name: str) -> str | None:
    found = detail(name)
    return None if found is None else found[0]


def _owner(name: str) -> str:
    """The metric that a score is of."""
    return _detail(name) or metric_of(name)


def _end(name: str, end: str) -> str:
    """The name of one end of a score's interval: `share_3` -> `share_low_3`."""
    first, _, last = name.rpartition("_")
    return f"{first}_{end}_{last}"
