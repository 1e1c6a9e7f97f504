"""Which generator keeps most: comparisons of all pairs, the ranks that they leave, and whether another metric or judge orders otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from imgcollapse.ablation.endpoint import Asked, Rivals
from imgcollapse.ablation.summary.decided import Compared, found_in
from imgcollapse.ablation.summary.numbers import Judged, Seeds, bounds_of, differences
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.superiority import better_way
from imgcollapse.metrics.record import what_of
from imgcollapse.metrics.score import Quantity
from imgcollapse.metrics.scores import worth_showing

VIEWS = 10  # the most prominent scores of each extractor whose orders are compared, as many as have a chart above the fold
Side = Literal["before", "behind", "same", "open"]  # of the first of two generators: better, worse, the same to within the margin, or none
DECIDED = ("before", "behind")
Pair = tuple[str, str]  # two generators
View = tuple[str, str]  # an extractor and a metric
Two = tuple[int, dict[int, float]]  # the last generation that both have, and the difference there of every seed


@dataclass(frozen=True)
class _Group:
    """Generators that differ in nothing else, and by what they are ranked.

    judged:     generator -> extractor -> metric -> seeds
    arms:       the records of their arms, see `numbers.arm_record`
    extractors: that decide the endpoint, the leading one first
    """

    rivals: Rivals
    judged: Mapping[str, Mapping[str, Mapping[str, Seeds]]]
    arms: Mapping[str, Record]
    metric: str
    quantity: Quantity
    extractors: Sequence[str]
    margin: float | None
    pilot: Sequence[int]

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, whether both were judged yet or not: so many comparisons there are."""
        return list(combinations(self.rivals.arms, 2))

    def seeds(self, model: str, extractor: str, metric: str) -> Seeds:
        """What that generator was judged by; empty where it was not."""
        return self.judged.get(model, {}).get(extractor, {}).get(metric, {})


def rankings(asked: Asked, endpoint: Record | None, judged: Judged, arms: Sequence[Record]) -> list[Record]:
    """`rankings` of the summary, see the head of `imgcollapse/ablation/summary/__init__.py`; `arms`: as there."""
    if endpoint is None:
        return []
    extractors = dict.fromkeys([endpoint["extractor"], *(extractor for one in endpoint["found"] for extractor in one["beside"])])
    by_name = {one["arm"]: one for one in arms if one["null"] is None}
    found = []
    for one in asked.rivals:
        own = {model: judged.get((arm, None), {}) for model, arm in one.arms.items()}
        records = {model: by_name[arm] for model, arm in one.arms.items()}
        how = endpoint["metric"], endpoint["quantity"], list(extractors), endpoint["margin"]
        found.append(_ranking(_Group(one, own, records, *how, asked.pilot)))
    return found


def _ranking(group: _Group) -> Record:
    """One ranking by the endpoint: the comparisons of all pairs, the ranks that they leave, and what other metrics and judges say."""
    last, pairs = _compared(group, group.metric, group.extractors, group.margin)
    sides = {(one["model"], one["against"]): one["side"] for one in pairs}
    views = dict(_views(group))
    ranks = [_ranked(group, model, sides) for model in group.rivals.arms]
    if not pairs:  # no two of them are there
        last = max((one["generation"] for one in ranks if one["generation"] is not None), default=0)
    up = 1 if better_way(group.metric, group.quantity) == "lower" else -1
    ranks.sort(key=lambda one: (one["generation"] != last, up * (one["mean"] or 0)))
    return {
        "beside": group.rivals.beside,
        "metric": group.metric,
        "quantity": group.quantity,
        "margin": group.margin,
        "extractors": list(group.extractors),
        "generation": last,
        "comparisons": len(group.pairs),
        "ranks": ranks,
        "pairs": pairs,
        "views": [_view(key, at == last, found, sides) for key, (at, found) in views.items()],
        "reversals": list(_reversals(group, {key: found for key, (at, found) in views.items() if at == last})),
    }


def _compared(group: _Group, metric: str, extractors: Sequence[str], margin: float | None) -> tuple[int, list[Record]]:
    """The last generation that two generators have in common, and what all pairs say there, with intervals that Holm's procedure adjusts.

    A pair that has not come as far by every extractor is not decided: ranks at different generations would be no order.
    """
    by: dict[str, dict[Pair, Two]] = {extractor: dict(_apart(group, metric, extractor)) for extractor in extractors}
    apart = {extractor: pairs for extractor, pairs in by.items() if pairs}
    last = max((through for pairs in apart.values() for through, _ in pairs.values()), default=0)
    whole = [pair for pair in group.pairs if all(pair in pairs and pairs[pair][0] == last for pairs in apart.values())]
    there = {extractor: {str(group.pairs.index(pair)): pairs[pair] for pair in whole} for extractor, pairs in apart.items()}
    if not there:
        return last, []
    better = better_way(metric, group.quantity)
    what = Compared(metric, [str(place) for place, _ in enumerate(group.pairs)], there)
    found = []
    for one in found_in(what, bounds_of(metric, group.quantity, {}), margin, group.pilot, better):
        model, against = group.pairs[int(one.pop("arm"))]
        before = "before" if one["verdict"] == ("higher" if better == "higher" else "lower") else "behind"
        side = before if one["verdict"] in ("higher", "lower") else one["verdict"]
        found.append({"model": model, "against": against, "side": side, **one})
    return last, found


def _apart(group: _Group, metric: str, extractor: str) -> Iterator[tuple[Pair, Two]]:
    """The differences of every pair that has any, seed by seed."""
    for pair in group.pairs:
        one, other = (group.seeds(model, extractor, metric) for model in pair)
        if one and other and (found := differences(metric, one, other, group.quantity))[1]:
            yield pair, found


def _ranked(group: _Group, model: str, sides: Mapping[Pair, Side]) -> Record:
    """The mean of one generator by every extractor, and the ranks that the comparisons leave to it.

    With b generators before it and w behind it, of m, these are 1 + b to m - w: where no comparison is wrong its rank is among them, and so
    all ranks are at once at the level of the comparisons together (Mogstad et al. 2024). It is tied with all that are neither.
    """
    turned: dict[Side, Side] = {"before": "behind", "behind": "before"}
    where = {other: side for (one, other), side in sides.items() if one == model}
    where |= {one: turned.get(side, side) for (one, other), side in sides.items() if other == model}
    said, others = list(where.values()), [other for other in group.rivals.arms if other != model]
    measured = {extractor: group.arms[model]["extractors"].get(extractor, {}).get(group.metric, {}) for extractor in group.extractors}
    by = {extractor: found[group.quantity] for extractor, found in measured.items() if group.quantity in found}
    first = by.get(group.extractors[0], {"mean": None, "generation": None, "n": 0})
    return {
        "model": model,
        "arm": group.rivals.arms[model],
        "first": 1 + said.count("behind"),
        "last": len(group.rivals.arms) - said.count("before"),
        "tied": [other for other in others if where.get(other) not in DECIDED],
        **{part: first[part] for part in ("mean", "generation", "n")},
        "planned": len(group.arms[model]["planned"]),
        "by": by,
    }


def _views(group: _Group) -> Iterator[tuple[View, tuple[int, list[Record]]]]:
    """What the pairs say by each metric and extractor that judged more than one of the generators; each adjusted by itself.

    What gates do, and likelihoods under a model of its own, are no measure by which generators could be compared.
    """
    sources = dict.fromkeys(source for found in group.judged.values() for source in found if what_of(source) == "features")
    for source in sources:
        measured = {name for found in group.judged.values() for name in found.get(source, ())}
        for name in dict.fromkeys([*([group.metric] if group.metric in measured else []), *worth_showing(VIEWS, measured)]):
            last, found = _compared(group, name, [source], None)
            if found:
                yield (source, name), (last, found)


def _view(key: View, there: bool, found: Sequence[Record], sides: Mapping[Pair, Side]) -> Record:
    """Whether one metric by one extractor puts the generators into the order that the endpoint has decided; `there`: at its generation."""
    own = {(one["model"], one["against"]): one["side"] for one in found} if there else {}
    wanted = {pair: side for pair, side in sides.items() if side in DECIDED}
    against = [pair for pair, side in wanted.items() if own.get(pair) in DECIDED and own[pair] != side]
    same = wanted and all(own.get(pair) == side for pair, side in wanted.items())
    order = "other" if against else "same" if same else "undecided"
    return {"extractor": key[0], "metric": key[1], "order": order, "decided": sum(side in DECIDED for side in own.values())}


def _reversals(group: _Group, views: Mapping[View, Sequence[Record]]) -> Iterator[Record]:
    """The pairs that some metric or judge puts one way round and some the other, each by an interval that leaves out 0."""
    for pair in group.pairs:
        found = [(key, one) for key, of_view in views.items() for one in of_view if (one["model"], one["against"]) == pair]
        before, behind = (
            [{"extractor": key[0], "metric": key[1], **_amount(one)} for key, one in found if one["side"] == side] for side in DECIDED
        )
        if before and behind:
            judge = any(a["metric"] == b["metric"] for a in before for b in behind)
            metric = any(a["extractor"] == b["extractor"] for a in before for b in behind)
            yield {"model": pair[0], "against": pair[1], "with_judge": judge, "with_metric": metric, "before": before, "behind": behind}


def _amount(one: Record) -> Record:
    """The difference with its interval, and what belongs to it."""
    return {part: one[part] for part in ("mean", "low", "high", "n", "values", "level", "probability_better")}
