"""Where the parts of plug-ins go: the tables that can be added to, what an entry must be, and whose each one is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ClassVar

from pydantic import model_validator
from typing_extensions import get_protocol_members

from imgcollapse.corrections import CORRECTIONS, Correction
from imgcollapse.datasets import DATASETS
from imgcollapse.datasets.dataset import Dataset
from imgcollapse.errors import SettingsProblem
from imgcollapse.extractors import EXTRACTORS, Extractor
from imgcollapse.gates import GATES, Gate
from imgcollapse.images import promises
from imgcollapse.metrics import METRICS, Evidence, Metric
from imgcollapse.metrics.scores import SCORES
from imgcollapse.models import MODELS, Model
from imgcollapse.regimes import REGIMES, Regime
from imgcollapse.settings import Settings

TABLES: Mapping[str, tuple[dict[str, Any], Any]] = {
    "MODELS": (MODELS, Model),
    "DATASETS": (DATASETS, Dataset),
    "REGIMES": (REGIMES, Regime),
    "GATES": (GATES, Gate),
    "CORRECTIONS": (CORRECTIONS, Correction),
    "EXTRACTORS": (EXTRACTORS, Extractor),
    "METRICS": (METRICS, Metric),
}
"""What can be added to, and what an entry must be."""


class Plugin(Settings):
    """A file, or an installed package, with parts of one's own.

    file:    its path
    package: the name of an installed distribution; version: found when it is used
    sha256:  of the file's bytes, or of the package's Python files; found when they are read
    """

    LATER: ClassVar = ("file", "sha256", "package", "version")  # what is not there is not written

    file: str | None = None
    sha256: str | None = None
    package: str | None = None
    version: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> "Plugin":
        if (self.file is None) == (self.package is None):
            raise ValueError("a plug-in names a file or a package; write for example plugins: [mine.py]")
        return self


@dataclass(frozen=True)
class _Added:
    """Of a part: where it is from, and whether a metric is measured where nobody chose metrics."""

    source: Plugin
    by_default: bool = False


_added: dict[tuple[str, str], _Added] = {}  # table, name


def named_by(
    given: Iterable[Plugin], parts: Iterable[object], extractors: Iterable[object] | None, metrics: Iterable[str] | None
) -> tuple[Plugin, ...]:
    """These plug-ins, and those that the parts, extractors and metrics are of."""
    of_metrics = (_added[place].source for name in metrics or () if (place := ("METRICS", name)) in _added)
    return tuple(dict.fromkeys((*given, *_behind((*parts, *(extractors or ()))), *of_metrics)))


def digests(parts: Iterable[object]) -> dict[str, Any]:
    """What tells the plug-ins of these parts from others, and one version of each from another, wherever it lies; empty where there are
    none."""
    found = [f"{one.package} {one.version} {one.sha256}" if one.package else one.sha256 for one in _behind(parts)]
    return {"plugins": found} if found else {}


def _behind(parts: Iterable[object]) -> tuple[Plugin, ...]:
    sources = [one.source for (table, name), one in _added.items() for part in parts if TABLES[table][0].get(name) is type(part)]
    return tuple(dict.fromkeys(sources))


def own_metrics(plugins: Iterable[Plugin]) -> set[str]:
    """The metrics of these plug-ins that are measured where nobody chose metrics."""
    there = set(plugins)
    return {name for (table, name), one in _added.items() if table == "METRICS" and one.by_default and one.source in there}


def add(place: tuple[str, str], part: Any, source: Plugin, where: str) -> None:
    """Puts a part into its table, in place of what another version of the same plug-in had there."""
    table, name = place
    there, contract = TABLES[table]
    label = f"plugins: {where}: {table}[{name!r}]"
    if name in there and place not in _added:
        raise SettingsProblem(f"{label} has the name of a shipped part; choose another")
    if contract is Metric:
        _refuse_metric(part, place, label)
        _added[place] = _Added(source, part.default)
        there[name] = replace(part, default=False, measure=_kept_promise(part, label))  # of other studies it is none
        return
    _refuse_part(part, name, contract, label)
    _added[place] = _Added(source)
    there[name] = part


def _kept_promise(part: Metric, label: str) -> Callable[[Evidence], dict[str, float]]:
    @wraps(part.measure)
    def measure(evidence: Evidence) -> dict[str, float]:
        return promises.values(part.measure(evidence), part.scores, label)

    return measure


def _refuse_metric(part: Any, place: tuple[str, str], label: str) -> None:
    if not isinstance(part, Metric) or not part.scores:
        raise SettingsProblem(f"{label} is not an imgcollapse.metrics.Metric with scores; write Metric(measure, {{name: Score(...)}})")
    if part.of == "gate":
        raise SettingsProblem(f"{label} is of='gate', which every study with a gate would measure; make it of='features' or of='model'")
    own = METRICS[place[1]].scores if place in _added else {}
    for score in part.scores:
        if score in SCORES and score not in own:
            raise SettingsProblem(f"{label} has a score '{score}', as another metric has; choose another name")


def _refuse_part(part: Any, name: str, contract: Any, label: str) -> None:
    if not isinstance(part, type) or not issubclass(part, Settings):
        raise SettingsProblem(f"{label} is not a class of options; derive it from imgcollapse.settings.Settings")
    if contract is Dataset and not issubclass(part, Dataset):
        raise SettingsProblem(f"{label} is not a data set; derive it from imgcollapse.datasets.dataset.Dataset")
    if (kind := part.model_fields.get("kind")) is None or kind.default != name:
        raise SettingsProblem(
            f"{label}: the name in the dict and the class's field kind differ; give the class kind: Literal[{name!r}] = {name!r}"
        )
    if missing := lacking(part, contract):
        raise SettingsProblem(f"{label} {missing}")


def lacking(part: type[Settings], contract: Any) -> str:
    """What the class of a part lacks of its contract, in words: the first of its members that is not there; empty where all are."""
    members = {"read"} if contract is Dataset else get_protocol_members(contract)
    for member in sorted(members):
        if not (hasattr(part, member) or member in part.model_fields) or getattr(part, member, None) is getattr(contract, member, contract):
            wanted = " ".join((getattr(contract, member, None).__doc__ or "").split("\n\n")[0].split())
            return f"lacks `{member}`" + (f": {wanted}" if wanted else f"; see {contract.__name__}")
    return ""
