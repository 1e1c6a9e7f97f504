"""What scores are called, and of how many pictures they are, as a reference's record (`judge` in `reference.json`) says."""

from collections.abc import Iterable, Mapping
from typing import Any

from imgcollapse.extractors import frechet_name
from imgcollapse.extractors.classifier import BLIND, GOOD
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.record import GATE, Of, Value, what_of
from imgcollapse.metrics.scores import SCORES

REAL = "real vs real"  # what stands in tables beside every score; see `judges/real.py`
HEADS: dict[Of, str] = {"features": "features", "model": "likelihoods", "gate": "gate"}
OF_ALL: dict[Of, str] = {"features": "class shares", "model": "likelihoods", "gate": "detection"}  # what is of all that was drawn
NEIGHBOURS = ("k", "k_precision", "k_probabilistic")


def metric_title(name: str, extractor: str | None = None, short: bool = False) -> str:
    """A score's name as people write it. Only with the published Inception features is a Fréchet distance called FID."""
    score = SCORES[name]
    words = score.short if short and score.short else score.title
    return words.replace("FD", frechet_name(extractor or "")) if score.frechet else words


def features_title(judge: Mapping[str, Any], source: str) -> str:
    """`source_title`, with what is known of a classifier: `features: classifier (shipped reference digits 1; it finds the class of 99.2 %
    of the held-out pictures)`, and what that is too few for."""
    about = judge["extractors"].get(source, {})
    known = [f"shipped reference {about['shipped']}"] if about.get("shipped") else []
    if (right := about.get("held_out_accuracy")) is not None:
        known.append(f"it finds the class of {100 * right:.1f} % of the held-out pictures{_too_few(right)}")
    return source_title(source) + (f" ({'; '.join(known)})" if known else "")


def _too_few(right: float) -> str:
    if right < BLIND:
        return ", too few for class shares and lost classes, which are left out"
    return "" if right >= GOOD else ", too few to trust class shares and lost classes"


def source_title(source: str) -> str:
    """`features: pixels`, `likelihoods: model`, or `gate: watermark`."""
    return f"{HEADS[what_of(source)]}: {source.removeprefix(f'{GATE} ')}"


def judge_of(judge: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The reference's record as it is for one of its sources: one of a further judge has N and k of its own."""
    about = {**judge["extractors"], **judge.get("models", {}), **judge.get("gates", {})}.get(source, {})
    return {**judge, **{name: value for name, value in about.items() if name in judge}}


def judges_of(judge: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`judge_of` each extractor; of a run that its own judge has not judged, further judges alone."""
    return [judge_of(judge, extractor) for extractor in judge["extractors"]]


def neighbours(judge: Mapping[str, Any]) -> str:
    """`k = 3 (precision, recall), 5 (density, coverage), 4 (probabilistic)`; older records have one k."""
    k, k_precision, k_probabilistic = (judge.get(name) for name in NEIGHBOURS)
    parted = f"k = {k_precision} (precision, recall), {k} (density, coverage), {k_probabilistic} (probabilistic)"
    return f"k = {k}" if k_precision is None else parted


def counted(judge: Mapping[str, Any], values: Iterable[Value] | None = None, against: str = "", of: Of = "features") -> str:
    """`N = 10,000`, with `against` what behind it, and where class shares are of more: `; class shares of all 60,000 drawn`.

    `values`: those that it is said of; None: all that the reference measures. `of`: what they are of.
    """
    n = judge["n"]
    others = _class_shares(judge) if values is None else {value.n for value in values}
    other = " or ".join(f"{one:,}" for one in sorted(others - {n}))
    return f"N = {n:,}{against}" + (f"; {OF_ALL[of]} of all {other} drawn" if other else "")


def counted_together(judges: Iterable[Mapping[str, Any]]) -> str:
    """`counted` of several judges, each number once: `N = 299; class shares of all 599 or 1,198 drawn`; empty where there are none."""
    known = list(judges)
    sizes, shares = ({one["n"] for one in known}, set().union(*(_class_shares(one) for one in known)))
    n, others = (" or ".join(f"{one:,}" for one in sorted(found)) for found in (sizes, shares - sizes))
    return (f"N = {n}" if n else "") + (f"; {OF_ALL['features']} of all {others} drawn" if others else "")


def _class_shares(judge: Mapping[str, Any]) -> set[int]:
    """The number of pictures that class shares are of; empty where no extractor knows classes."""
    names = {name for metric in METRICS.values() if metric.of_all for name in metric.scores}
    known = any(names & about["real"].keys() for about in judge["extractors"].values())
    return {int(judge["drawn"])} if known else set()


def definitions(judge: Mapping[str, Any]) -> str:
    """The metrics, with the versions of their definitions: `frechet_distance 1, class_variety 2`."""
    return ", ".join(f"{name} {version}" for name, version in judge["metrics"].items())
