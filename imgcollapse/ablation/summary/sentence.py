"""What came out, in sentences. The first begins with the answer, and every word of it follows from the intervals in the record."""

from collections.abc import Sequence

from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import spanned
from imgcollapse.grids.lettering import shortened
from imgcollapse.judges.titles import metric_title

MENTIONED = 8  # arms whose differences a sentence spells out
# verdict -> what is true of such arms, what joins the reference to it, and what the amount; in the order in which they are told
CLAUSES = {
    "higher": ("higher", "than", " by "),
    "lower": ("lower", "than", " by "),
    "same": ("the same to within {margin:g}", "as", ": "),
    "open": ("undecided", "against", ": "),
}


def sentence(summary: Record) -> str:
    """`yes: min(recall, coverage) at generation 9 is higher with all than with none by 0.24 [0.07, 0.41] (Holm-adjusted over ...)`.

    Empty where nothing was measured. Without a capital letter and a full stop, for more may stand around it.
    """
    endpoint = summary["endpoint"]
    if endpoint is None:
        return ""
    if not endpoint["found"]:
        two = ": it is compared seed by seed, and no two arms have a judged seed in common"
        return (
            f"cannot tell{f': {subject(endpoint)} has not been measured' if not endpoint['against'] else f' by {subject(endpoint)}{two}'}"
        )
    unsure = endpoint["answer"] == "cannot tell"
    return f"{endpoint['answer']}{f' with {_seeds(endpoint)}' if unsure else ''}: {spelled(endpoint)}"


def spelled(endpoint: Record) -> str:
    """Every comparison that there is with its amount, as `sentence` has them behind its answer."""
    found = sorted(endpoint["found"], key=lambda one: list(CLAUSES).index(one["verdict"]))
    seeds, unsure = _seeds(endpoint), endpoint["answer"] == "cannot tell"
    last = max(one["generation"] for one in found)
    groups = [(verdict, [one for one in found[:MENTIONED] if one["verdict"] == verdict]) for verdict in CLAUSES]
    clauses = [_clause(endpoint, verdict, arms, last, arms[0] is found[0]) for verdict, arms in groups if arms]
    more = len(found) - MENTIONED
    clauses += [f"and {more} more arm{'s' * (more > 1)} not named here"] if more > 0 else []
    how = [f"features: {_features(endpoint)}"] * (len(deciding(endpoint)) > 1)
    how += [f"Holm-adjusted over {endpoint['comparisons']} comparisons"] * (endpoint["comparisons"] > 1) + [seeds] * (not unsure)
    how += ["endpoint named after the runs"] * (endpoint["named"] == "after the runs")
    about = f" ({', '.join(how)})" if how else ""
    return f"{subject(endpoint, last)} is {'; '.join(clauses)}{about}"


def seeds_text(counts: Sequence[int]) -> str:
    """`1 seed`, `3 to 5 seeds`."""
    return f"{_range(counts)} seed{'s' * (max(counts) != 1)}"


def _seeds(endpoint: Record) -> str:
    return seeds_text([one["n"] for one in endpoint["found"]])


def subject(endpoint: Record, generation: int | None = None) -> str:
    """What the endpoint is: `min(recall, coverage) at generation 9`; at the last generation, where none is given."""
    title = metric_title(endpoint["metric"], endpoint["extractor"], short=True)
    if endpoint["quantity"] == "last":
        return f"{title} at {'the last generation' if generation is None else f'generation {generation}'}"
    over = "all generations" if generation is None else f"generations 0 to {generation}"
    return f"the {endpoint['quantity']} of {title} over {over}"


def endpoint_text(endpoint: Record) -> str:
    """The endpoint, by whose features, its margin, when it was named, and how the number of seeds came about."""
    margin = endpoint["margin"]
    same = "nothing is called the same" if margin is None else f"within ±{margin:g} is called the same"
    pilot = endpoint["pilot"]
    added = f"; seeds added by the spread of the first {len(pilot)} (Stein 1945), which its intervals are of" if pilot else ""
    return f"{subject(endpoint)}; features: {_features(endpoint)}; {same}; named {endpoint['named']}{added}"


def deciding(endpoint: Record) -> list[str]:
    """The extractors by whose features it is decided, the leading one first."""
    return list(dict.fromkeys([endpoint["extractor"], *(extractor for one in endpoint["found"] for extractor in one["beside"])]))


def _features(endpoint: Record) -> str:
    """By whose features: `classifier`, or where others decide with it, `classifier, in brackets random; a verdict needs both`."""
    first, *beside = deciding(endpoint)
    needed = "both" if len(beside) == 1 else "all"
    return f"{first}, in brackets {' and '.join(beside)}; a verdict needs {needed}" if beside else first


def quoted(arm: str) -> str:
    """An arm's name in a sentence: short, and in quotation marks where its own commas would be taken for the sentence's."""
    name = shortened(arm, lambda text: len(text) <= 60)
    return f"“{name}”" if set(name) & set(",;:()") else name


def _clause(endpoint: Record, verdict: str, arms: Sequence[Record], last: int, first: bool) -> str:
    """What is true of these arms, and by how much. `first`: it says against what; `last`: the generation that need not be said."""
    words, joined, by = CLAUSES[verdict]
    margin = endpoint["margin"]
    texts = []
    for one in arms:
        against = against_text(endpoint, joined) if first and one is arms[0] else ""
        arm = f" with {quoted(one['arm'])}" if endpoint["against"] else ""
        when = "" if one["generation"] == last else f" (at generation {one['generation']})"
        texts.append(f"{arm}{against}{by}{_amount(endpoint, one)}{when}")
    return f"{words.format(margin=margin or 0)}{','.join(texts)}"


def against_text(endpoint: Record, joined: str) -> str:
    """` than with 0 % real`, ` as at generation 0`, ` against 0`."""
    reference, place = (quoted(endpoint["against"]), "with ") if endpoint["against"] else ("generation 0", "at ")
    if not endpoint["against"] and endpoint["quantity"] != "last":
        reference, place = "0", ""
    return f" {joined} {reference if joined == 'against' else place + reference}"


def _amount(endpoint: Record, one: Record) -> str:
    """By how much, with its interval, and in brackets by the other features: without a sign where a word says which way; and whether all
    of it is within the margin."""
    sides = [one, *one["beside"].values()]
    if one["verdict"] not in ("higher", "lower"):
        return _bracketed([spanned(side, endpoint["metric"], "+") for side in sides])
    ends = [sorted(abs(side[part]) for part in ("low", "high")) for side in sides]
    plain = [{**side, "mean": abs(side["mean"]), "low": low, "high": high} for side, (low, high) in zip(sides, ends, strict=True)]
    text = _bracketed([spanned(side, endpoint["metric"]) for side in plain])
    within = endpoint["margin"] is not None and max(high for _, high in ends) <= endpoint["margin"]
    return f"{text}, which is within the margin of {endpoint['margin']:g}" if within else text


def _bracketed(texts: Sequence[str]) -> str:
    return f"{texts[0]} ({', '.join(texts[1:])})" if len(texts) > 1 else texts[0]


def _range(counts: Sequence[int]) -> str:
    return " to ".join(dict.fromkeys((str(min(counts)), str(max(counts)))))
