"""The answer to a question in one sentence: a word that fits the question, and at most three numbers. All else follows in `sentence`."""

import re
from collections.abc import Sequence
from typing import Literal

from imgcollapse.ablation.comparisons import verdict
from imgcollapse.ablation.intervals import FEWEST, Interval
from imgcollapse.ablation.summary.sentence import against_text, deciding, quoted, seeds_text, sentence, spelled, subject
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import spanned
from imgcollapse.ablation.superiority import better_way

Kind = Literal["whether", "which", "how much", "other"]
WHETHER = set("do does did is are was were can could will would has have had should may might must".split())
BEFORE = set("with by in at for from to under of on after and so".split())  # which may stand before the word that asks
AMOUNTS = ("much", "far", "strongly", "large")
COUNTS = "no one two three four five six seven eight nine ten eleven twelve".split()
VERDICTS = {"higher": "higher", "lower": "lower", "same": "the same to within the margin", "open": "undecided"}
NAMED, LISTED = 3, 6  # arms that the sentence names, and that it names where it is asked for names; of more, it says how many


def kind_of(question: str) -> Kind:
    """What kind of answer a question wants, by its first words; of a question that is not asked, whether the arms differ."""
    words = re.findall(r"[^\W\d_]+", question.lower())
    while words and words[0] in BEFORE:
        words = words[1:]
    if not words or words[0] in WHETHER:
        return "whether"
    if words[0] in ("which", "who", "whose"):
        return "which"
    return "how much" if words[0] == "how" and words[1:2] and words[1] in AMOUNTS else "other"


def short_answer(summary: Record, question: str = "") -> str:
    """`yes: min(recall, coverage) at generation 9 is higher with half than with none by 0.24 [0.07, 0.41]`, in the form that the question
    asks for (`kind_of`). Without a capital letter and a full stop; empty where nothing was measured.

    The amount is the largest difference, by the features that lead.
    """
    endpoint, kind = summary["endpoint"], kind_of(question)
    if endpoint is None or not endpoint["found"]:
        return sentence(summary)
    after = " (endpoint named after the runs)" * (endpoint["named"] == "after the runs")
    if endpoint["against"] is None:
        return _alone(summary, endpoint) + after
    if kind in ("which", "other") and (ranking := whole_ranking(summary)) is not None:
        return _first_of(ranking) + after
    words = {"yes": _differ, "no": _same, "cannot tell": _open}
    return words[endpoint["answer"]](endpoint, kind) + after


def comparisons(summary: Record) -> str:
    """All comparisons that the answer follows from, where it does not tell them already; else empty."""
    endpoint = summary["endpoint"]
    if endpoint is None or not endpoint["found"] or whole_ranking(summary) is not None:
        return ""
    first = endpoint["found"][0]
    alone = len(endpoint["found"]) == 1 and (not first["beside"] or (endpoint["against"] is None and first["low"] is None))
    return "" if alone else spelled(endpoint)


def whole_ranking(summary: Record) -> Record | None:
    """The ranking of all arms, where there is one: its pairs say more than the comparisons with the reference."""
    rankings = summary.get("rankings", [])
    return rankings[0] if len(rankings) == 1 and not rankings[0]["beside"] else None


def _alone(summary: Record, endpoint: Record) -> str:
    """Of one arm: whether it is worse at the end than at generation 0."""
    (one,) = endpoint["found"]
    if one["low"] is not None:
        return f"{_word(endpoint, one)}: {_told(endpoint, one)}"
    arm = next(arm for arm in summary["arms"] if (arm["arm"], arm["null"]) == (one["arm"], None))
    points = arm["extractors"][endpoint["extractor"]][endpoint["metric"]]["by_generation"]
    first, last = points[0], points[-1]
    means = [spanned({**point, "low": None, "values": [point["mean"]]}, endpoint["metric"], coarser=1) for point in (first, last)]
    title = subject({**endpoint, "quantity": "last"}, 0).partition(" at generation")[0]
    way = f"goes from {means[0]} at generation 0 to {means[1]} at generation {last['generation']}"
    way = way if last["generation"] else f"is {means[0]} at generation 0"
    return f"cannot tell with {_seeds(endpoint)}: {title} {way}; an interval takes {COUNTS[FEWEST]} seeds"


def _word(endpoint: Record, one: Record) -> str:
    unsure = endpoint["answer"] == "cannot tell"
    return f"cannot tell with {_seeds(endpoint)}" if unsure else str(endpoint["answer"])


def _differ(endpoint: Record, kind: Kind) -> str:
    """The better arms first, if there are any, by the largest difference among them; then the others in a word each."""
    found = endpoint["found"]
    order = ("higher", "lower") if better_way(endpoint["metric"], endpoint["quantity"]) == "higher" else ("lower", "higher")
    first = next(way for way in order if any(one["verdict"] == way for one in found))
    alike = [one for one in found if one["verdict"] == first]
    most = max(alike, key=lambda one: abs(one["mean"]))
    amount = f"by {'up to ' * (len(alike) > 1)}{_amount(endpoint, most)}"
    rest = {way: [one["arm"] for one in found if one["verdict"] == way and one is not most] for way in VERDICTS}
    if kind == "which":
        rest[first] = []
        joined = f"{subject(endpoint, most['generation'])} is {first}{against_text(endpoint, 'than')}"
        by = f", most with {quoted(most['arm'])}: by " if len(alike) > 1 else " by "
        told = f"{_names([one['arm'] for one in alike], most=LISTED)}: {joined}{by}{_amount(endpoint, most)}{_within(endpoint, most)}"
    elif kind == "how much":
        told = f"{amount}: {_told(endpoint, most, amount=False)}"
    else:
        told = f"{'yes' if kind == 'whether' else 'they differ'}: {_told(endpoint, most)}"
    parts = [f"{word}{' too' * (way == first)} with {_names(rest[way])}" for way, word in VERDICTS.items() if rest[way]]
    return "; ".join([told, *parts])


def _same(endpoint: Record, kind: Kind) -> str:
    margin = f"{endpoint['margin']:g}"
    words = {"whether": "no", "which": "none", "how much": f"by no more than {margin}", "other": "they are the same"}
    last = max(one["generation"] for one in endpoint["found"])
    arms = _names([one["arm"] for one in endpoint["found"]])
    within = "" if kind == "how much" else f", to within {margin}"
    return f"{words[kind]}: {subject(endpoint, last)} is the same with {arms} as with {quoted(endpoint['against'])}{within}"


def _open(endpoint: Record, kind: Kind) -> str:
    found = [one for one in endpoint["found"] if one["verdict"] == "open"]
    last = max(one["generation"] for one in found)
    few = max(one["n"] for one in endpoint["found"]) < FEWEST
    text = f"with {_names([one['arm'] for one in found])} against {quoted(endpoint['against'])}"
    if len(found) == 1:
        text += f", {_why_open(endpoint, found[0])}"
    same = [one["arm"] for one in endpoint["found"] if one["verdict"] == "same"]
    parts = [f"{subject(endpoint, last)} is undecided {text}"]
    parts += [f"the same to within the margin with {_names(same)}"] if same else []
    parts += [f"an interval takes {COUNTS[FEWEST]} seeds"] if few else []
    return f"cannot tell with {_seeds(endpoint)}: {'; '.join(parts)}"


def _why_open(endpoint: Record, one: Record) -> str:
    """The interval that leaves it open; where some features tell and others do not, or tell another thing, what each of them says."""
    own = verdict(Interval(one["mean"], one["low"], one["high"], one["n"]), endpoint["margin"])
    by = {endpoint["extractor"]: {**one, "verdict": own}, **one["beside"]}
    if own == "open":
        return _amount(endpoint, one, "+")
    told = []
    for extractor, side in by.items():
        amount = f", {spanned(side, endpoint['metric'], '+')}" if side["verdict"] == "open" else ""
        told.append(f"{'undecided' if amount else VERDICTS[side['verdict']]} by the features of {extractor}{amount}")
    return f"for it is {' but '.join(told)}"


def _first_of(ranking: Record) -> str:
    """Which generator ranks first, or which may."""
    ranks, pairs = ranking["ranks"], ranking["pairs"]
    about = {"metric": ranking["metric"], "quantity": ranking["quantity"], "extractor": ranking["extractors"][0]}
    what, ahead = subject(about, ranking["generation"]), [one for one in ranks if one["first"] == 1]
    if len(ahead) == len(ranks):
        counts, names = [one["n"] for one in pairs] or [0], _names([one["model"] for one in ranks])
        few = f"; an interval takes {COUNTS[FEWEST]} seeds" if max(counts) < FEWEST else ""
        return f"cannot tell with {seeds_text(counts)}: by {what} none of {names} ranks before another{few}"
    names = _names([one["model"] for one in ahead], "or")
    if len(ahead) > 1 or ahead[0]["last"] > 1:
        return f"{names}: by {what}, no generator ranks before {'any of them' if len(ahead) > 1 else 'it'}"
    after = next(one for one in ranks if one is not ahead[0])
    pair = next((one for one in pairs if {one["model"], one["against"]} == {ahead[0]["model"], after["model"]}), None)
    how = "" if pair is None else f", {_amount({**about, 'found': pairs}, pair)} from {quoted(after['model'])}, the next by its mean"
    return f"{names}: by {what} it ranks before all others{how}"


def _told(endpoint: Record, one: Record, amount: bool = True) -> str:
    """`min(recall, coverage) at generation 9 is higher with half than with none by 0.24 [0.07, 0.41] (classifier)`."""
    joined = {"higher": "than", "lower": "than", "same": "as", "open": "against"}[one["verdict"]]
    words = {"same": "within the margin the same", "open": "undecided"}.get(one["verdict"], one["verdict"])
    arm = f" with {quoted(one['arm'])}" if endpoint["against"] else ""
    plain = one["verdict"] in ("higher", "lower")
    by = f"{' by ' if plain else ': '}{_amount(endpoint, one, '' if plain else '+')}" if amount else ""
    return f"{subject(endpoint, one['generation'])} is {words}{arm}{against_text(endpoint, joined)}{by}{_within(endpoint, one)}"


def _within(endpoint: Record, one: Record) -> str:
    """Says of a difference that there is, that it is too small to count."""
    inside = endpoint["margin"] is not None and max(abs(one["low"]), abs(one["high"])) <= endpoint["margin"]
    return ", which is within the margin" if inside and one["verdict"] in ("higher", "lower") else ""


def _amount(endpoint: Record, one: Record, sign: str = "") -> str:
    """The difference by the features that lead, and by which they are, where others decide too; without a sign, how large it is."""
    side = one
    if not sign and one["low"] is not None:
        low, high = sorted(abs(one[part]) for part in ("low", "high"))
        side = {**one, "mean": abs(one["mean"]), "low": low, "high": high}
    by = f" (features: {endpoint['extractor']})" if len(deciding(endpoint)) > 1 else ""
    return spanned(side, endpoint["metric"], sign) + by


def _names(arms: Sequence[str], last: str = "and", most: int = NAMED) -> str:
    """Few names, or in a word how many there are."""
    if len(arms) > most:
        return f"{COUNTS[len(arms)] if len(arms) < len(COUNTS) else f'{len(arms):,}'} {'arms' if last == 'and' else 'of them'}"
    names = [quoted(arm) for arm in arms]
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def _seeds(endpoint: Record) -> str:
    return seeds_text([one["n"] for one in endpoint["found"]])
