"""What came out, in sentences. The first begins with the answer, and every word of it follows from the intervals in the record."""

from collections.abc import Sequence

from imgcollapse.ablation.summary.superior import likely
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import columns, half_lives, named, spanned
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


def headline(summary: Record) -> list[str]:
    """What came out, in plain sentences: the answer, the arms' differences from the reference at the last generation, their half-lives.

    Null models are left to `summary.json` and the table.
    """
    answer, wanted = sentence(summary), columns(summary)
    found = [f"{answer[0].upper()}{answer[1:]}."] if answer else []
    for one in (one for one in summary["differences"] if one["against_null"] is None):
        for extractor, metrics in one["extractors"].items():
            spans = {name: metrics[name]["last"] for name in wanted[extractor] if name in metrics}
            if spans:
                last = next(iter(spans.values()))
                pair = f"{named(one['arm'], one['null'])} minus {named(one['against'], one['against_null'])}"
                where = f"generation {last['generation']}, {extractor}, {last['n']} paired seed{'s' if last['n'] > 1 else ''}"
                parts = [
                    f"{metric_title(name, extractor, short=True)} {spanned(span, name, '+')}{likely(span)}" for name, span in spans.items()
                ]
                found.append(f"{pair} ({where}): {', '.join(parts)}")
    for arm, extractor, words in half_lives(summary):
        found.append(f"{arm} ({extractor}), first generation below half of generation 0: {words}")
    return found


def sentence(summary: Record) -> str:
    """`yes: min(recall, coverage) at generation 9 is higher with all than with none by 0.24 [0.07, 0.41] (Holm-adjusted over ...)`.

    Empty where nothing was measured. Without a capital letter and a full stop, for more may stand around it.
    """
    endpoint = summary["endpoint"]
    if endpoint is None:
        return ""
    found = sorted(endpoint["found"], key=lambda one: list(CLAUSES).index(one["verdict"]))
    if not found:
        return f"cannot tell: {subject(endpoint)} has not been measured{' with two arms of one seed yet' if endpoint['against'] else ''}"
    seeds = f"{_range([one['n'] for one in found])} seed{'s' * (max(one['n'] for one in found) > 1)}"
    unsure = endpoint["answer"] == "cannot tell"
    last = max(one["generation"] for one in found)
    groups = [(verdict, [one for one in found[:MENTIONED] if one["verdict"] == verdict]) for verdict in CLAUSES]
    clauses = [_clause(endpoint, verdict, arms, last, arms[0] is found[0]) for verdict, arms in groups if arms]
    more = len(found) - MENTIONED
    clauses += [f"and {more} more arm{'s' * (more > 1)} not named here"] if more > 0 else []
    how = [f"features: {_features(endpoint)}"] * (len(deciding(endpoint)) > 1)
    how += [f"Holm-adjusted over {endpoint['comparisons']} comparisons"] * (endpoint["comparisons"] > 1) + [seeds] * (not unsure)
    how += ["endpoint named after the runs"] * (endpoint["named"] == "after the runs")
    about = f" ({', '.join(how)})" if how else ""
    return f"{endpoint['answer']}{f' with {seeds}' if unsure else ''}: {subject(endpoint, last)} is {'; '.join(clauses)}{about}"


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
        against = _against(endpoint, joined) if first and one is arms[0] else ""
        arm = f" with {quoted(one['arm'])}" if endpoint["against"] else ""
        when = "" if one["generation"] == last else f" (at generation {one['generation']})"
        texts.append(f"{arm}{against}{by}{_amount(endpoint, one)}{when}")
    return f"{words.format(margin=margin or 0)}{','.join(texts)}"


def _against(endpoint: Record, joined: str) -> str:
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
