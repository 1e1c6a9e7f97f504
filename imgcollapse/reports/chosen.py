"""Tables of chosen scores, generations and arms, for a terminal and for a paper: each value with its interval, beside real vs real."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imgcollapse.ablation.summary import Record, named, spanned
from imgcollapse.ablation.summary.text import COARSER
from imgcollapse.errors import SettingsProblem, brief, did_you_mean
from imgcollapse.judges.titles import REAL, judge_of, metric_title, source_title
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import thin
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.panels import NULL

MOST, LONGEST = 5, 30  # scores, and generations of one arm, that a table has room for where none are named
ALL, LAST = "all", "last"

Kind = Literal["real", "arm", "null"]
Words = str | int | Sequence[str | int] | None


@dataclass(frozen=True)
class Choice:
    """What tables are to show; None: what they have room for.

    metrics: names of scores
    gens:    numbers of generations, `last` (each arm's own) or `all`
    arms:    names of arms, or of null models under them, as tables have them; a text may hold several, with commas
    """

    metrics: Sequence[str] | None = None
    gens: Sequence[str] | None = None
    arms: Sequence[str] | None = None

    @classmethod
    def of(cls, metrics: Words = None, gens: Words = None, arms: Words = None) -> "Choice | None":
        """As flags or arguments give it; None: nothing is chosen. Raises SettingsProblem for a generation that is none, and for nothing."""
        chosen = cls(_listed("--metrics", metrics), _listed("--gens", gens), None if arms in (None, ()) else _texts("--arms", arms))
        for text in chosen.gens or ():
            if text not in (ALL, LAST) and not (text.isascii() and text.isdigit()):
                raise SettingsProblem(
                    f"--gens: {brief(text)} is not a generation; write numbers with commas, such as 0,5,9, or all, or last"
                )
        return None if chosen == cls() else chosen


@dataclass(frozen=True)
class Row:
    """A line of a table: real vs real, an arm, or a null model. `apart`: it is told apart from the lines above."""

    kind: Kind
    cells: Sequence[str]
    apart: bool = False


@dataclass(frozen=True)
class ChosenTable:
    """A table as text. better: of each column, which values are; `first`: so many columns say what a line is of."""

    key: str
    caption: str
    headings: Sequence[str]
    better: Sequence[str | None]
    first: int
    rows: Sequence[Row]

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def tables(findings: Findings, choice: Choice | None = None) -> list[ChosenTable]:
    """The scores of each extractor, model and gate that has any of those chosen, and of several arms what they add to the reference.

    Raises SettingsProblem for a score, a generation or an arm that there is not.
    """
    choice = choice or Choice()
    arms = _arms(findings.summary["arms"], choice.arms)
    wanted = _metrics(arms, choice.metrics)
    _check_generations(arms, wanted, choice.gens)
    found = [_scores(findings, arms, source, names, choice.gens) for source, names in wanted.items()]
    return found + [table for source, names in wanted.items() if (table := _differences(findings, arms, source, names)) is not None]


def _arms(there: Sequence[Record], chosen: Sequence[str] | None) -> list[Record]:
    by_name = {named(arm["arm"], arm["null"]): arm for arm in there if arm["extractors"]}
    if not by_name:
        raise SettingsProblem("report: nothing has been judged yet, so there are no scores to show; let a generation be judged first")
    if chosen is None:
        return [arm for arm in by_name.values() if arm["null"] in (None, NULL)]
    return [by_name[name] for text in chosen for name in _taken_apart(text, list(by_name))]


def _taken_apart(text: str, known: Sequence[str]) -> list[str]:
    """The names in a text, with commas between them; a name may have commas of its own, so the longest that fits is taken."""
    found, rest = list[str](), text.strip()
    while rest:
        name = next((one for one in sorted(known, key=len, reverse=True) if rest == one or rest.startswith(f"{one},")), None)
        if name is None:
            first = rest if any(rest in one for one in known) else rest.partition(",")[0].strip()
            raise SettingsProblem(f"--arms: there is no {brief(first)}; {did_you_mean(first, known)}there are: {'; '.join(known)}")
        found, rest = [*found, name], rest[len(name) + 1 :].strip()
    return list(dict.fromkeys(found))


def _metrics(arms: Sequence[Record], chosen: Sequence[str] | None) -> dict[str, list[str]]:
    """Source -> the scores that are shown of it."""
    measured: dict[str, dict[str, None]] = {}
    for arm in arms:
        for source, metrics in arm["extractors"].items():
            measured.setdefault(source, {}).update(dict.fromkeys(name for name in SCORES if name in metrics))
    if chosen is None:
        return {source: worth_showing(MOST, names) for source, names in measured.items() if names}
    known = [name for name in SCORES if any(name in names for names in measured.values())]
    for name in chosen:
        if name not in known:
            raise SettingsProblem(f"--metrics: {brief(name)} is not measured; {did_you_mean(name, known)}there are: {', '.join(known)}")
    found = {source: [name for name in chosen if name in names] for source, names in measured.items()}
    return {source: names for source, names in found.items() if names}


def _check_generations(arms: Sequence[Record], wanted: Mapping[str, Sequence[str]], chosen: Sequence[str] | None) -> None:
    there = {g for arm in arms for source, names in wanted.items() for g in _points(arm, source, names)}
    for text in chosen or ():
        if text not in (ALL, LAST) and int(text) not in there:
            shown = ", ".join(map(str, sorted(there))) if len(there) <= LONGEST else f"{min(there)} to {max(there)}, not all of them judged"
            raise SettingsProblem(f"--gens: generation {text} has no such scores; there are: {shown}")


def _points(arm: Record, source: str, names: Iterable[str]) -> dict[int, dict[str, Record]]:
    """Generation -> score -> its mean and interval over seeds."""
    found: dict[int, dict[str, Record]] = {}
    for name in names:
        for point in arm["extractors"].get(source, {}).get(name, {"by_generation": []})["by_generation"]:
            found.setdefault(point["generation"], {})[name] = point
    return dict(sorted(found.items()))


def _shown(there: Sequence[int], chosen: Sequence[str] | None, alone: bool) -> list[int]:
    """The generations of an arm that are shown. alone: there is no other arm."""
    if chosen is None:
        return thin.evenly(there, LONGEST) if alone else list(there[-1:])
    if ALL in chosen:
        return list(there)
    wanted = {there[-1] if text == LAST else int(text) for text in chosen} if there else set()
    return [generation for generation in there if generation in wanted]


def _scores(findings: Findings, arms: Sequence[Record], source: str, names: Sequence[str], gens: Sequence[str] | None) -> ChosenTable:
    alone, rows, before = len(arms) == 1, list[Row](), None
    for arm in arms:
        metrics, points = arm["extractors"].get(source, {}), _points(arm, source, names)
        generations = _shown(list(points), gens, alone)
        reals = ["" if name not in metrics or metrics[name]["real"] is None else spanned(metrics[name]["real"], name) for name in names]
        if generations and any(reals) and reals != before:
            rows.append(Row("real", [*([] if alone else [REAL]), *([REAL] if alone else [""]), "", *reals], apart=bool(rows)))
            before = reals
        for place, g in enumerate(generations):
            at = points[g]
            n = max(point["n"] for point in at.values())
            cells = [spanned(at[name], name, "", COARSER if n > 1 else 0) if name in at else "" for name in names]
            apart = not place and ((rows[-1:] and rows[-1].kind == "real") or len(generations) > 1)
            own = [] if alone else [named(arm["arm"], arm["null"])]
            rows.append(Row("null" if arm["null"] else "arm", [*own, str(g), str(n), *cells], apart=bool(apart and rows)))
    headings = [*([] if alone else ["arm"]), "generation", "seeds"]
    return _table(findings, "scores", source, names, headings, rows, "Mean")


def _differences(findings: Findings, arms: Sequence[Record], source: str, names: Sequence[str]) -> ChosenTable | None:
    """What the chosen arms add to the reference at their last common generation, seed by seed; None of one arm alone."""
    reference, chosen = findings.summary["reference"], {arm["arm"] for arm in arms if arm["null"] is None}
    rows = []
    for one in findings.summary["differences"]:
        metrics = one["extractors"].get(source, {})
        spans = {name: metrics[name]["last"] for name in names if "last" in metrics.get(name, {})}
        if (one["against"], one["null"], one["against_null"]) == (reference, None, None) and one["arm"] in chosen and spans:
            last = next(iter(spans.values()))
            cells = [spanned(spans[name], name, "+", COARSER) if name in spans else "" for name in names]
            rows.append(Row("arm", [one["arm"], str(last["generation"]), str(last["n"]), *cells]))
    if not rows or len(arms) < 2:
        return None
    about = f"Differences from {reference}, paired by seed: mean"
    return _table(findings, "differences", source, names, ["arm", "generation", "pairs"], rows, about)


def _table(
    findings: Findings, what: str, source: str, names: Sequence[str], first: Sequence[str], rows: Sequence[Row], about: str
) -> ChosenTable:
    sizes = {judge_of(judge, source)["n"] for judge in findings.judges if source in judge["extractors"]}
    n = f", N = {' or '.join(f'{one:,}' for one in sorted(sizes))}" if sizes else ""
    several = any(len(arm["seeds"]) > 1 for arm in findings.summary["arms"])
    mean = f"{about} over seeds [{findings.summary['method']}]" if several else f"{'One seed' if about == 'Mean' else about}"
    real = f". {REAL.capitalize()}: mean [least, greatest] of many splits" if any(row.kind == "real" for row in rows) else ""
    title, question = source_title(source), findings.question + ("" if findings.question[-1:] in (".", "?", "!") else ".")
    return ChosenTable(
        f"{what} {source}",
        f"{question} {title[0].upper()}{title[1:]}{n}. {mean}{real}.",
        [*first, *(metric_title(name, source, short=True) for name in names)],
        [*(None for _ in first), *(SCORES[name].better for name in names)],
        len(first),
        rows,
    )


def _texts(flag: str, given: Words) -> list[str]:
    texts = [str(one).strip() for one in (given if isinstance(given, (list, tuple)) else [given])]
    if not texts or not all(texts):
        raise SettingsProblem(f"{flag}: is empty; name what is to be shown, or leave it out")
    return texts


def _listed(flag: str, given: Words) -> list[str] | None:
    """`recall,fd` -> their names, each once."""
    if given is None:
        return None
    return _texts(flag, list(dict.fromkeys(part.strip() for text in _texts(flag, given) for part in text.split(","))))
