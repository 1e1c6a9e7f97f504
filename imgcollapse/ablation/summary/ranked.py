"""Rankings of generators in words: a table each, and sentences."""

from collections.abc import Sequence

from imgcollapse.ablation.summary.sentence import quoted, subject
from imgcollapse.ablation.summary.superior import BETTER, in_words
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import spanned
from imgcollapse.judges.titles import metric_title

NAMED = 3  # views of a kind that a sentence about a reversal names
SENTENCES = 6  # reversals that are told; all of them are in the summary


def ranking_tables(summary: Record) -> list[tuple[Record, list[str], list[list[str]]]]:
    """Of each ranking its record, the headings and the rows of its table; none where there is none."""
    return [(one, *_table(one)) for one in summary.get("rankings", ())]


def ranking_lines(summary: Record) -> list[str]:
    """Each ranking in sentences: the ranks, what is tied, what is missing, and whether metric or judge change the order."""
    found = []
    for one in summary.get("rankings", ()):
        place = f"{quoted(one['beside'])}: " if one["beside"] else ""
        found += [f"{place}{line}" for line in (_order(one), *_alike(one), *_missing(one), *_same(one), *_reversed(one))]
    return found


def _table(ranking: Record) -> tuple[list[str], list[list[str]]]:
    metric, (first, *others) = ranking["metric"], ranking["extractors"]
    title = f"{metric_title(metric, first, short=True)}, {_bracketed([first, *others])}"
    headings = ["rank", "generator", title, "seeds", "minus the first [adjusted]", BETTER, "minus the next [adjusted]", BETTER]
    rows = []
    for place, one in enumerate(ranking["ranks"]):
        leading = _minus(ranking, one, ranking["ranks"][0]) if place else ["", ""]
        after = ranking["ranks"][place + 1 : place + 2]
        following = _minus(ranking, one, after[0]) if after else ["", ""]
        mean = _bracketed([spanned(span, metric) for span in one["by"].values()])
        short = f" (generation {one['generation']})" if one["generation"] not in (None, ranking["generation"]) else ""
        rows.append([_rank(one), one["model"], mean + short, f"{one['n']} of {one['planned']}", *leading, *following])
    return headings, rows


def _rank(one: Record) -> str:
    """`1`, or where others are tied with it the ranks that it may have: `2 to 3`."""
    return str(one["first"]) if one["first"] == one["last"] else f"{one['first']} to {one['last']}"


def _minus(ranking: Record, one: Record, other: Record) -> list[str]:
    """The difference of two generators by every extractor, and P(better) of the first by the leading one; empty where there is none."""
    for pair in ranking["pairs"]:
        if {pair["model"], pair["against"]} == {one["model"], other["model"]}:
            turned = pair["model"] != one["model"]
            sides = [_turned(side) if turned else side for side in (pair, *pair["beside"].values())]
            return [_bracketed([spanned(side, ranking["metric"], "+") for side in sides]), in_words(sides[0]["probability_better"])]
    return ["", ""]


def _turned(side: Record) -> Record:
    """The difference the other way round."""
    mean, low, high = (None if side[part] is None else -side[part] for part in ("mean", "high", "low"))
    likely = side["probability_better"]
    values = [-value for value in side["values"]]
    return {**side, "mean": mean, "low": low, "high": high, "values": values, "probability_better": None if likely is None else 1 - likely}


def _order(ranking: Record) -> str:
    """The ranks that are claimed, or that there are none."""
    ranks, extractors = ranking["ranks"], ranking["extractors"]
    about = {"metric": ranking["metric"], "quantity": ranking["quantity"], "extractor": extractors[0]}
    what, counts = subject(about, ranking["generation"]), sorted({one["n"] for one in ranking["pairs"]})
    seeds = f"{' to '.join(map(str, dict.fromkeys(counts[:1] + counts[-1:])))} seed{'s' * (counts[-1:] != [1])}" if counts else "no seeds"
    how = [f"features: {' and '.join(extractors)}, which must agree"] if len(extractors) > 1 else [f"features: {extractors[0]}"]
    how += [f"Holm-adjusted over {ranking['comparisons']} pairs"] * (ranking["comparisons"] > 1)
    if all(len(one["tied"]) == len(ranks) - 1 for one in ranks):
        how += ["an interval needs three seeds"] * (not counts or counts[-1] < 3)
        return f"No order of {_listed([quoted(one['model']) for one in ranks])} by {what} can be told with {seeds} ({', '.join(how)})."
    groups: dict[str, list[str]] = {}
    for one in sorted(ranks, key=lambda one: (one["first"], one["last"])):
        groups.setdefault(_rank(one), []).append(quoted(one["model"]))
    told = [f"{rank}: {_listed(models)}{' (tied)' * (len(models) > 1)}" for rank, models in groups.items()]
    crossing = [
        f"{quoted(one['model'])} is tied with {_listed(list(map(quoted, one['tied'])))}"
        for one in ranks
        if one["tied"] and len(groups[_rank(one)]) == 1
    ]
    return f"Rank by {what}: {'; '.join([*told, *crossing])} ({', '.join([*how, seeds])})."


def _alike(ranking: Record) -> list[str]:
    """The pairs that are the same to within the margin: tied, and known to be."""
    pairs = [f"{quoted(one['model'])} and {quoted(one['against'])}" for one in ranking["pairs"] if one["side"] == "same"]
    return [f"The same to within {ranking['margin']:g}: {', '.join(pairs)}."] if pairs else []


def _missing(ranking: Record) -> list[str]:
    """What has no part in the order, and why."""
    behind = [one for one in ranking["ranks"] if one["generation"] is None or one["generation"] < ranking["generation"] or not one["n"]]
    found = []
    for one in behind:
        far = "has no scores" if one["generation"] is None else f"has only come to generation {one['generation']}"
        found.append(f"{quoted(one['model'])} {far}")
    few = [one for one in ranking["ranks"] if one not in behind and one["n"] < one["planned"]]
    found += [f"{quoted(one['model'])} is there with {one['n']} of {one['planned']} seeds" for one in few]
    return [f"Not complete: {'; '.join(found)}."] if found else []


def _same(ranking: Record) -> list[str]:
    """By which metrics and judges the order of the endpoint is the same, and by which nothing can be told."""
    views, pairs = ranking["views"], ranking["comparisons"]
    if all(len(one["tied"]) == len(ranking["ranks"]) - 1 for one in ranking["ranks"]):
        told = [f"{_titled(one)}, {one['decided']} of {pairs} pairs" for one in views if one["decided"]]
        return [f"The endpoint tells no two of them apart; other scores do: {_listed(told)}."] if told else []
    same = [_titled(one) for one in views if one["order"] == "same"]
    open_ = [f"{_titled(one)} ({one['decided']} of {pairs} pairs told apart)" for one in views if one["order"] == "undecided"]
    found = [f"Where these ranks differ, the order is the same by {_listed(same)}."] if same else []
    return [*found, f"Whether it is the same is undecided by {_listed(open_)}."] if open_ else found


def _reversed(ranking: Record) -> list[str]:
    """The changes of the order that intervals support."""
    reversals = ranking["reversals"]
    views = len(ranking["views"])
    how = f"95 % intervals, adjusted over {ranking['comparisons']} pairs, not over {views} scores"
    if not reversals:
        return [f"No change of the order with metric or judge is supported by an interval ({how})."] if views > 1 else []
    found = []
    for one in reversals[:SENTENCES]:
        kinds = [word for word, there in (("the metric", one["with_metric"]), ("the judge", one["with_judge"])) if there]
        why = " and with ".join(kinds) or "metric and judge together"
        before, behind = (_amounts(one[side]) for side in ("before", "behind"))
        first, second = quoted(one["model"]), quoted(one["against"])
        found.append(f"The order changes with {why}: {first} comes before {second} by {before}, but behind it by {behind} ({how}).")
    more = len(reversals) - SENTENCES
    return [*found, f"{more} more pairs change places, too: `rankings` in summary.json."] if more > 0 else found


def _amounts(views: Sequence[Record]) -> str:
    told = [f"{_titled(one)} (difference {spanned(one, one['metric'], '+')})" for one in views[:NAMED]]
    return _listed([*told, f"{len(views) - NAMED} more"] if len(views) > NAMED else told)


def _titled(view: Record) -> str:
    return f"{metric_title(view['metric'], view['extractor'], short=True)} ({view['extractor']})"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _bracketed(texts: Sequence[str]) -> str:
    return f"{texts[0]} ({', '.join(texts[1:])})" if len(texts) > 1 else "".join(texts)
