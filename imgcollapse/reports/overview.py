"""The page of a folder of runs and ablations: what each found, its last scores beside real vs real, and the way to its own page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from imgcollapse.ablation.inside import InShort, places_in, told, unreadable
from imgcollapse.ablation.summary import Record, spanned
from imgcollapse.ablation.summary.text import COARSER
from imgcollapse.errors import Problem
from imgcollapse.files import bytes_of
from imgcollapse.judges.titles import REAL, judge_of, metric_title, source_title
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import page as pages
from imgcollapse.reports.answer import answer
from imgcollapse.reports.chains import PAGE
from imgcollapse.reports.findings import Findings, read
from imgcollapse.reports.whole import made, policy, rendered, template

MOST = 6  # scores that the table has room for


@dataclass(frozen=True)
class Arm:
    """An arm of one of the folders at its last generation.

    about:  the folder, the arm, what judged it, N, the generation and the seeds
    metrics: score -> what the summary says of it
    """

    about: Sequence[str]
    metrics: Mapping[str, Record]

    def cell(self, name: str) -> tuple[str, str]:
        """The value, with its interval over seeds where there is one, and real vs real; empty where it was not measured."""
        if (found := self.metrics.get(name)) is None:
            return "", ""
        single = found["last"]["n"] == 1
        real = "" if found["real"] is None else spanned(found["real"], name)
        return spanned(found["last"], name, "", 0 if single else COARSER), real


@dataclass(frozen=True)
class Entry:
    """One of the folders.

    link:     to its own page; empty where it has none yet
    command:  that makes it
    question, answer: what was to be found out, and what came out; empty where it cannot be read
    """

    short: InShort
    link: str
    command: str
    question: str
    answer: str
    arms: Sequence[Arm]


def is_of_many(places: Sequence[Path]) -> bool:
    """Whether that is one folder which is neither a run nor an ablation, but holds some."""
    return len(places) == 1 and bool(places_in(places[0]))


def write(folder: Path, page: Path, method: str = "t", *, aside: bool = False) -> pages.Written:
    """Writes the page; `method`: how intervals are made; `aside`: see `page.claim`. One that cannot be read is said, and the others shown.

    Raises OtherStudyProblem for what is at its place and no report of ours.
    """
    pages.claim(page, aside=aside)
    entries = [_entry(place, page, method) for place in places_in(folder)]
    page.parent.mkdir(parents=True, exist_ok=True)
    return pages.put(page, bytes_of(_render(folder, entries)))


def _entry(place: Path, page: Path, method: str) -> Entry:
    own = place / PAGE
    link = quote(os.path.relpath(own, page.parent)) if own.is_file() else ""
    command = f"imgcollapse report {place}"
    try:
        found = read([place], method)
    except Problem as problem:
        return Entry(unreadable(place, problem), link, command, "", "", ())
    return Entry(told(place, found.statuses), link, command, found.question, answer(found), _arms(place, found))


def _arms(place: Path, findings: Findings) -> list[Arm]:
    """Of one folder, by the extractor that its endpoint is of; null models aside."""
    source = findings.endpoint_extractor or findings.extractor
    n = next((f"{judge_of(judge, source)['n']:,}" for judge in findings.judges if source in judge["extractors"]), "")
    found = []
    for arm in findings.summary["arms"]:
        if arm["null"] is not None or not (metrics := arm["extractors"].get(source)):
            continue
        last = next(iter(metrics.values()))["last"]
        seeds = f"{last['n']} of {len(arm['planned'])}" if len(findings.runs) > 1 else f"seed {findings.runs[0].seed}"
        found.append(Arm((place.name, arm["arm"], source_title(source), n, str(last["generation"]), seeds), metrics))
    return found


def _render(folder: Path, entries: Sequence[Entry]) -> str:
    arms = [arm for entry in entries for arm in entry.arms]
    names = worth_showing(MOST, {name for arm in arms for name in arm.metrics if name in SCORES})
    links = {entry.short.name: entry.link for entry in entries}
    rows: list[dict[str, Any]] = [
        {"link": links[arm.about[0]], "about": arm.about, "cells": [arm.cell(name) for name in names]} for arm in arms
    ]
    style = template("page.css")
    return rendered(
        "overview.html",
        reload=None,
        policy=policy(style),
        style=Markup(style),
        title=f"{len(entries)} runs and ablations in {folder.resolve().name}",
        made=made(),
        entries=entries,
        rows=rows,
        headings=["folder", "arm", "judged by", "N", "generation", "seeds", *(metric_title(name, short=True) for name in names)],
        real=REAL,
    )
