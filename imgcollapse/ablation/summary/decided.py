"""What the endpoint of an ablation says: its comparisons with adjusted intervals, and the answer in a word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from imgcollapse.ablation.comparisons import Difference, Verdict, holm_levels, verdict
from imgcollapse.ablation.endpoint import Asked, Endpoint
from imgcollapse.ablation.summary.numbers import ByExtractor, Judged, bounds_of, changes, differences, span
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.superiority import better_way, probability_better
from imgcollapse.metrics.score import Better, Bounds, Quantity
from imgcollapse.metrics.scores import SCORES, most_prominent

Word = Literal["yes", "no", "cannot tell"]
Apart = dict[str, tuple[int, dict[int, float]]]  # arm -> the last generation that went in, and the difference of every seed


@dataclass(frozen=True)
class Compared:
    """What the endpoint compares.

    others: the arms that are compared with the reference, or where there are none, the reference with its own generation 0
    apart:  by the features of each extractor that decides, the first of which leads: the differences of the arms that have any
    """

    metric: str
    others: list[str]
    apart: dict[str, Apart]

    @property
    def extractor(self) -> str:
        """The one that leads."""
        return next(iter(self.apart))

    def pilots(self) -> list[list[float]]:
        """The differences of every comparison, a value for each seed."""
        return [list(values.values()) for arms in self.apart.values() for _, values in arms.values()]


def compared(endpoint: Endpoint, names: Sequence[str], reference: str, judged: Judged) -> Compared | None:
    """The differences that decide; None where nothing was measured. names: of the arms, null models aside.

    By the features of the extractor that the endpoint names; where it names none, of all that measured its score.
    """
    own = {arm: judged[arm, None] for arm in names if (arm, None) in judged}
    first = endpoint.extractor or next((source for found in own.values() for source in found), None)
    measured = [(source, name) for found in own.values() for source, metrics in found.items() for name in metrics]
    metric = endpoint.metric or most_prominent({name for source, name in measured if source == first} or {name for _, name in measured})
    if first is None or metric is None:
        return None
    others = [arm for arm in names if arm != reference] or [reference]
    beside = [] if endpoint.extractor else [source for source, name in measured if name == metric]
    deciding = dict.fromkeys([first, *beside])
    return Compared(metric, others, {extractor: _apart(endpoint, metric, extractor, others, reference, own) for extractor in deciding})


def _apart(endpoint: Endpoint, metric: str, extractor: str, others: Sequence[str], reference: str, own: Mapping[str, ByExtractor]) -> Apart:
    seeds = {arm: found.get(extractor, {}).get(metric, {}) for arm, found in own.items()}
    apart: Apart = {}
    for arm in [arm for arm in others if seeds.get(arm) and seeds.get(reference)]:
        if arm == reference:
            apart[arm] = changes(metric, seeds[arm], endpoint.quantity)
        else:
            apart[arm] = differences(metric, seeds[arm], seeds[reference], endpoint.quantity)
    return {arm: one for arm, one in apart.items() if one[1]}


def decided(asked: Asked, names: Sequence[str], reference: str, judged: Judged) -> Record | None:
    """The record of the endpoint, see the head of `imgcollapse/ablation/summary/__init__.py`; None where nothing was measured.

    Several arms: does any differ from the reference? One: is it worse at the end than at generation 0?
    """
    endpoint = asked.endpoint
    what = compared(endpoint, names, reference, judged)
    if what is None:
        return None
    alone, margin = what.others == [reference], endpoint.margin_of(what.metric)
    better = better_way(what.metric, endpoint.quantity)
    found = found_in(what, bounds_of(what.metric, endpoint.quantity, {}), margin, asked.pilot, better)
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


def found_in(what: Compared, bounds: Bounds, margin: float | None, pilot: Sequence[int], better: Better = "higher") -> list[Record]:
    """The comparisons that there are so far by the leading extractor; the others count all the same, as ones that reject nothing.

    Where several extractors decide, a comparison rejects where it does by all of them: its p value is the largest of theirs, a test of the
    union of what each would reject (Berger 1982), which Holm's procedure then takes as it takes others. Their intervals have one level.
    """
    by = {arm: {one: Difference.of(apart[arm][1], pilot) for one, apart in what.apart.items() if arm in apart} for arm in what.others}
    levels = holm_levels([max((one.chance for one in by[arm].values()), default=1.0) for arm in what.others])
    found = []
    for arm, level in zip(what.others, levels, strict=True):
        sides = {}
        for extractor, difference in by[arm].items():
            over = difference.interval(level, bounds)
            said = {"verdict": verdict(over, margin), "level": level, "probability_better": probability_better(difference, better)}
            sides[extractor] = {"generation": what.apart[extractor][arm][0], **said, **span(over)}
        if (own := sides.pop(what.extractor, None)) is not None:
            alike = all(one["verdict"] == own["verdict"] for one in sides.values())
            found.append({"arm": arm, **own, "verdict": own["verdict"] if alike else "open", "beside": sides})
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
