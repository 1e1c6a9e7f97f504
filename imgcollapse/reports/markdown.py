"""`report.md`: the findings in GitHub's Markdown, for pasting into a pull request."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imgcollapse.ablation.intervals import FEWEST
from imgcollapse.ablation.summary import Record, named, ranking_lines, rate_lines, spanned
from imgcollapse.ablation.summary.superior import BETTER, in_words
from imgcollapse.ablation.summary.text import COARSER, columns, half_lives, lines
from imgcollapse.exchange.card.markdown import fenced, table
from imgcollapse.files import ledger
from imgcollapse.grids.lettering import shortened
from imgcollapse.judges.titles import counted, features_title, judge_of, metric_title, neighbours, source_title
from imgcollapse.reports.agreement import disagreements
from imgcollapse.reports.answer import answer, details
from imgcollapse.reports.findings import Findings, sessions
from imgcollapse.reports.panels import NULL
from imgcollapse.reports.reproduce import reproduce, typed

REPORT, MOVIE = "report.md", "collapse.gif"
MOST = 5  # scores that a table has room for
LISTED = 20  # lines of a list
# what is, or at its place may be, a piece of markup; brackets without what makes a link or a box of them are left readable
MARKUP = re.compile(r"[\\`*~<>&|$#]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|\[(?=\^|[ xX]\])|^[-+](?!\d)|^\d{1,9}[.)]")
# what GitHub makes links, mails to people and emoji of, even where Markdown takes it for plain text: a space of no width parts it
LIVE = re.compile(r"@(?=\w)|#(?=\d)|\bgh-(?=\d)|:(?=//)|\bwww(?=\.)|:(?=[\w+-]+:)", re.IGNORECASE)
NO_WIDTH = "\u200b"


def markdown(findings: Findings, folder: Path, with_typed: bool = True) -> list[Path]:
    """Writes the findings as `report.md` into the folder, and returns its path. Links to `collapse.gif` where one lies there.

    Question, answer, ranks of generators, arms at the last generation, differences from the reference, half-lives, where the extractors
    disagree, what is not finished, and all that is needed to do it again. Names and questions are shown as they are: nothing in them
    becomes a link, a mention, a tag or a formula. `with_typed`: also the commands that were typed, which may name places of a machine.
    """
    parts = [
        f"## {escaped(findings.question)}",
        escaped(answer(findings), 10_000),
        escaped(" ".join(details(findings)), 10_000),
        f"[The samples, generation by generation]({MOVIE})" if (folder / MOVIE).is_file() else "",
        _listed("The generators, ranked", ranking_lines(findings.summary)),
        *_arms(findings),
        *_differences(findings),
        _half_lives(findings),
        _listed("How fast the endpoint approaches its limit", rate_lines(findings.summary) if findings.is_ablation else []),
        _listed("Where the extractors disagree", disagreements(findings.summary)),
        _unfinished(findings),
        _listed("What it was made with", _about(findings)),
        f"Typed:\n\n{fenced(words, 'bash')}" if with_typed and (words := typed(findings)) else "",
        f"To reproduce:\n\n{fenced(reproduce(findings), 'bash')}",
    ]
    return ledger.put(folder, {REPORT: "\n\n".join(part for part in parts if part) + "\n"})


def escaped(text: str, longest: int = 200) -> str:
    """The text so that GitHub shows it on one line as it is, wherever in a document, a table too; cut where it is too long."""
    text = LIVE.sub(lambda found: found.group() + NO_WIDTH, shortened(text, lambda cut: len(cut) <= longest))
    return MARKUP.sub(lambda found: "".join(letter if letter.isdigit() else _reference(letter) for letter in found.group()), text)


def _reference(letter: str) -> str:
    """A character reference is never a piece of markup; dollars alone make a formula all the same, unless they stand by themselves."""
    return f"<span>&#{ord(letter)};</span>" if letter == "$" else f"&#{ord(letter)};"


def _arms(findings: Findings) -> list[str]:
    """A table an extractor: real vs real, every arm at its last generation, and in italics the null model that pages show."""
    found, wanted = [], columns(findings.summary, MOST)
    for extractor, table_rows in lines(findings.summary, MOST, COARSER).items():
        rows = []
        for arm, cells in table_rows:
            own = [escaped(cells[0]), *cells[1:]]
            if arm is None or arm["null"] is None:
                rows.append(own)
            elif arm["null"] == NULL:
                rows.append([f"*{cell}*" if cell else "" for cell in own])
        head = ["arm", "generation", "seeds", *(metric_title(name, extractor, short=True) for name in wanted[extractor])]
        found.append(f"**The last generation**, {escaped(source_title(extractor))}\n\n{table(head, rows)}")
    most = max((len(arm["seeds"]) for arm in findings.summary["arms"]), default=0)
    method = findings.summary["method"].replace("intervals by", "interval by")
    few = "One seed, no interval." if most == 1 else "Two seeds, their values and no interval."
    return [*found, escaped(f"Mean [{method}]." if most >= FEWEST else few, 400)] if found else []


def _differences(findings: Findings) -> list[str]:
    """A table an extractor: what every arm adds to the reference, seed by seed."""
    found: dict[str, list[list[str]]] = {}
    reference, wanted = findings.summary["reference"], columns(findings.summary, MOST)
    for one in findings.summary["differences"]:
        if (one["against"], one["null"], one["against_null"]) != (reference, None, None):
            continue
        for extractor, metrics in one["extractors"].items():
            spans = {name: metrics[name]["last"] for name in wanted[extractor] if name in metrics}
            if not spans:
                continue
            last = next(iter(spans.values()))
            cells = [escaped(one["arm"]), str(last["generation"]), str(last["n"])]
            found.setdefault(extractor, []).append(
                [*cells, *(_difference(spans[name], name) if name in spans else "" for name in wanted[extractor])]
            )
    heads = {name: ["arm", "generation", "paired seeds", *(metric_title(one, name, short=True) for one in wanted[name])] for name in found}
    about = f"**Differences from {escaped(reference)}**,"
    each = f", each with {BETTER}" if any(len(arm["seeds"]) >= FEWEST for arm in findings.summary["arms"]) else ""
    return [f"{about} {escaped(source_title(name))}{each}\n\n{table(heads[name], rows)}" for name, rows in found.items()]


def _difference(span: Record, name: str) -> str:
    """`+0.24 [0.07, 0.41], 0.994`: behind it P(better), where there is an interval."""
    probability = in_words(span["probability_better"])
    return spanned(span, name, "+", COARSER) + (f", {escaped(probability)}" if probability else "")


def _half_lives(findings: Findings) -> str:
    found = half_lives(findings.summary)
    several = len({extractor for _, extractor, _ in found}) > 1
    items = [f"{arm}{f' ({extractor})' * several}: {words}" for arm, extractor, words in found]
    return _listed("Half-lives (first generation below half of generation 0; median over seeds)", items)


def _unfinished(findings: Findings) -> str:
    """The runs that are not done, the failed ones first with what went wrong."""
    left = sorted((one for one in findings.statuses if one.state != "done"), key=lambda one: one.failure is None)
    items = []
    for one in left:
        why = f": {one.failure['message']}" if one.failure else ""
        run = f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}"
        items.append(f"{run}: {one.state}, {one.done} of {one.run.study.gens} generations{why}")
    return _listed(f"Not finished: {len(left)} of {len(findings.statuses)} runs", _some(items))


def _about(findings: Findings) -> list[str]:
    """Data, judge, seeds and versions; one line for each that differs among the runs."""
    items = []
    for reference in _distinct(findings.references.values()):  # toy worlds have one a seed
        data, judge = reference["data"], reference["judge"]
        parts = [f"{data[part]['pictures']:,} {words}" for part, words in (("train", "for training"), ("held_out", "held out"))]
        digests = " and ".join(data[part]["sha256"][:12] for part in ("train", "held_out"))
        items.append(f"data: {data['name']}, {' and '.join(parts)}, SHA-256 {digests}")
        for name, extractor in judge["extractors"].items():
            known = f", {extractor['dim']} features" if "dim" in extractor else ""
            known += f", weights {extractor['digest'][:12]}" if extractor.get("digest") else ""
            who = features_title(judge, name).partition(" ")[2]
            items.append(f"judged by: {who}{known}; {counted(judge_of(judge, name))}, {neighbours(judge_of(judge, name))}")
    own = [run for runs in findings.arms.values() for run in runs]
    models = _distinct(f"{run.study.model.kind} on {run.study.dataset.kind}" for run in own)
    seeds = _distinct(run.seed for run in own)
    items += [f"model: {', '.join(models)}; seeds: {', '.join(map(str, seeds))}"]
    return _some([*items, *_distinct(_versions(of_run[-1]) for of_run in sessions(findings))])


def _versions(session: dict[str, Any]) -> str:
    commit = f" ({session['git_commit'][:12]})" if session["git_commit"] else ""
    packages = ", ".join(f"{name} {session['packages'].get(name)}" for name in ("torch", "diffusers", "numpy", "scipy"))
    machine = f"{session['device_name']}, {session['precision']}, {session['threads']} thread{'s' if session['threads'] > 1 else ''}"
    return f"made with: imgcollapse {session['imgcollapse']}{commit}, Python {session['python']}, {packages}; {machine}"


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _some(items: list[str]) -> list[str]:
    more = len(items) - LISTED
    return items if more <= 0 else [*items[:LISTED], f"and {more} more"]


def _listed(heading: str, items: Sequence[str]) -> str:
    return f"**{heading}**\n\n" + "\n".join(f"- {escaped(line, 600)}" for line in items) if items else ""
