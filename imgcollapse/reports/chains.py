"""The chains of an ensemble on its page: what each is by itself, beside what they are together."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from imgcollapse import store
from imgcollapse.ablation import plan
from imgcollapse.ablation.summary import Run
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics.record import Value
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.tables import Table

PAGE = "report.html"  # in the folder of a run or an ablation
MOST = 6  # scores that the table has room for


class Chains(NamedTuple):
    """What a page says of them. links: (name, address) of the pages that there are."""

    table: Table
    links: Sequence[tuple[str, str]]


def chains(findings: Findings, page: Path) -> Chains | None:
    """Of the page of one ensemble, judged at least once; else None. page: where it goes."""
    run = findings.runs[0]
    parts = plan.chains_in(run) if len(findings.runs) == 1 else []
    scores = {part.folder: {one.generation: one.sources.get(findings.extractor, {}) for one in _scores(part)} for part in (run, *parts)}
    common = set.intersection(*(set(found) for found in scores.values()))
    if not parts or not common:
        return None
    generation = max(common)
    at = {folder: found[generation] for folder, found in scores.items()}
    names = worth_showing(MOST, at[run.folder])
    rows, records = [], list[dict[str, Any]]()
    for name, what, values in [
        ("together", run.study.learner, at[run.folder]),
        *((_name(k), p.study.learner, at[p.folder]) for k, p in enumerate(parts)),
    ]:
        rows.append([name, what, *(_cell(one, values) for one in names)])
        records += [
            {"chain": name, "model": what, "generation": generation, "metric": one, "value": values[one].value}
            for one in names
            if one in values
        ]
    own = [values for folder, values in at.items() if folder != run.folder]
    means = [f"{sum(v[one].value for v in own) / len(own):.{SCORES[one].decimals}f}" if all(one in v for v in own) else "" for one in names]
    headings = ["chain", "model", *(metric_title(one, findings.extractor) for one in names)]
    caption = f"Generation {generation}: all chains together, and each by itself"
    links = [
        (_name(k), quote(os.path.relpath(part.folder / PAGE, page.parent)))
        for k, part in enumerate(parts)
        if (part.folder / PAGE).is_file()
    ]
    return Chains(Table("chains", caption, headings, [*rows, ["mean of the chains", "", *means]], records), links)


def _scores(run: Run) -> Sequence[Any]:
    return store.scores(run.folder) if (run.folder / store.STUDY).is_file() else []


def _name(chain: int) -> str:
    return f"chain {chain}"


def _cell(name: str, values: dict[str, Value]) -> str:
    return f"{values[name].value:.{SCORES[name].decimals}f}" if name in values else ""
