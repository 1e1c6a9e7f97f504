"""What the endpoint of an ablation says: its comparisons with adjusted intervals, and the answer in a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imgcollapse.ablation.comparisons import Difference, Verdict, holm_levels, verdict
from imgcollapse.ablation.endpoint import Asked, Endpoint
from imgcollapse.ablation.summary.numbers import Judged, bounds_of, changes, differences, span
from imgcollapse.ablation.summary.table import Record
from imgcollapse.metrics.score import Bounds, Quantity
from imgcollapse.metrics.scores import SCORES, most_prominent

Word = Literal["yes", "no", "cannot tell"]


@dataclass(frozen=True)
class Compared:
    """What the endpoint compares.

    others: the arms that are compared with the reference, or where there are none, the reference with its own generation 0
    apart:  arm -> the last generation that went in, and the difference of every seed; of the arms that have any
    """

    metric: str
    extractor: str
    others: list[str]
    apart: dict[str, tuple[int, dict[int, float]]]


def compared(endpoint: Endpoint, names: Sequence[str], reference: str, judged: Judged) -> Compared | None:
    """The differences that decide; None where nothing was measured. names: of the arms, null models aside."""
    own = {arm: judged[arm, None] for arm in names if (arm, None) in judged}
    extractor = endpoint.extractor or next((source for found in own.values() for source in found), None)
    measured = [(source, name) for found in own.values() for source, metrics in found.items() for name in metrics]
    metric = endpoint.metric or most_prominent({name for source, name in measured if source == extractor} or {name for _, name in measured})
    if extractor is None or metric is None:
        return None
    others = [arm for arm in names if arm != reference] or [reference]
    seeds = {arm: found.get(extractor, {}).get(metric, {}) for arm, found in own.items()}
    apart: dict[str, tuple[int, dict[int, float]]] = {}
    for arm in [arm for arm in others if seeds.get(arm) and seeds.get(reference)]:
        if arm == reference:
            apart[arm] = changes(metric, seeds[arm], endpoint.quantity)
        else:
            apart[arm] = differences(metric, seeds[arm], seeds[reference], endpoint.quantity)
    return Compared(metric, extractor, others, {arm: one for arm, one in apart.items() if one[1]})


def decided(asked: Asked, names: Sequence[str], reference: str, judged: Judged) -> Record | None:
    """The record of the endpoint, see the head of `imgcollapse/ablation/summary/__init__.py`; None where nothing was measured.

    Several arms: does any differ from the reference? One: is it worse at the end than at generation 0?
    """
    endpoint = asked.endpoint
    what = compared(endpoint, names, reference, judged)
    if what is None:
        return None
    alone, margin = what.others == [reference], endpoint.margin_of(what.metric)
    found = _found(what, bounds_of(what.metric, endpoint.quantity), margin, asked.pilot)
    return {
        "metric": what.metric,
        "quantity": endpoint.quantity,
        "extractor": what.extractor,
        "margin": margin,
        "named": asked.named,
        "pilot": list(asked.pilot),
        "against": None if alone else reference,
        "comparisons": len(what.others),
        "answer": _word(what, endpoint.quantity, alone, [one["verdict"] for one in found]),
        "found": found,
    }


def _found(what: Compared, bounds: Bounds, margin: float | None, pilot: Sequence[int]) -> list[Record]:
    """The comparisons that there are so far; those that are not yet count all the same, as ones that reject nothing."""
    differences = {arm: Difference.of(values, pilot) for arm, (_, values) in what.apart.items()}
    levels = holm_levels([differences[arm].chance if arm in differences else 1.0 for arm in what.others])
    found = []
    for arm, level in zip(what.others, levels, strict=True):
        if arm in differences:
            over = differences[arm].interval(level, bounds)
            about = {"arm": arm, "generation": what.apart[arm][0], "verdict": verdict(over, margin), "level": level}
            found.append({**about, **span(over)})
    return found


def _word(what: Compared, quantity: Quantity, alone: bool, verdicts: Sequence[Verdict]) -> Word:
    """`yes`: an arm differs, or the only one is worse at the end. `no`: every one is the same, or the only one is better."""
    worse: Verdict = "higher" if SCORES[what.metric].better == "lower" or quantity == "area" else "lower"
    better: Verdict = "lower" if worse == "higher" else "higher"
    if worse in verdicts or (better in verdicts and not alone):
        return "yes"
    if better in verdicts or verdicts.count("same") == len(what.others):
        return "no"
    return "cannot tell"
