"""Runs, ablations and scores as a notebook shows them: a title, the scores that matter most, a few pictures."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from imgcollapse import grids, store
from imgcollapse.ablation import summary
from imgcollapse.ablation.status import RunStatus, account
from imgcollapse.ablation.summary import Run
from imgcollapse.interface.console import MOST
from imgcollapse.judges.titles import REAL, metric_title, source_title
from imgcollapse.metrics.record import Scores, Value, ranged
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.reports import pictures

ROWS = 8  # generations with scores, evenly spaced
SHOWN = 5  # and with pictures
SIZE = (25, 12, 75)  # of `pictures.SIZES`: samples, pictures in a row, quality
Record = Mapping[str, Any]


def of_run(run: Run) -> str:
    """A run: its scores by the first extractor that measured any, and pictures from the noise that is the same in every generation."""
    begun = (run.folder / store.STUDY).is_file()
    there, scores = (store.sound(run.folder), store.scores(run.folder)) if begun else ([], [])
    head = f"{len(there)} of {run.study.gens} generations in {run.folder}"
    return _block(run.study.title(), head, _of_generations(scores), _pictures(run, there))


def of_ablation(folder: Path, record: Record, statuses: Sequence[RunStatus]) -> str:
    """An ablation: its answer in a sentence, its table by the first extractor, and the runs that failed."""
    found = dict(record)
    states = ", ".join(f"{count} {state}" for state, count in account(statuses)["states"].items())
    tables = summary.table_lines(found) if found["arms"] else {}
    shown = [_table(lines, source_title(extractor)) for extractor, lines in tables.items()]
    sentences = summary.headline(found)[:1] if found["arms"] else []
    failed = [(one.run, one.failure["message"]) for one in statuses if one.failure]
    sentences += [f"failed: {summary.named(run.arm, run.null)}, seed {run.seed}: {message}" for run, message in failed]
    return _block(found["question"] or folder.name, f"{states} in {folder}", *shown[:1], *map(_line, sentences))


def of_scores(record: Record) -> str:
    """Sets of pictures beside real vs real, a table an extractor."""
    sets = {name: Scores.of({"generation": None, "sources": one["sources"]}).sources for name, one in record["samples"].items()}
    tables = []
    for extractor in record["judge"]["extractors"]:
        lines = [["score", REAL, *sets]]
        for name in [one for one in SCORES if any(one in found.get(extractor, {}) for found in sets.values())]:
            by_set = [found.get(extractor, {}) for found in sets.values()]
            first = next(values for values in by_set if name in values)
            lines.append([metric_title(name, extractor), _real(name, first), *(_cell(name, values) for values in by_set)])
        tables.append(_table(lines, source_title(extractor)))
    return _block(f"against {record['data']['name']}", f"N = {record['options']['judge']['n']:,}", *tables)


def _of_generations(scores: Sequence[Scores]) -> str:
    extractor = next((name for one in scores for name, values in one.sources.items() if values), None)
    if extractor is None:
        return _line("nothing has been measured yet")
    judged = [one for one in scores if one.sources.get(extractor)]
    first = judged[0].sources[extractor]
    shown = worth_showing(MOST, first)
    lines = [["generation", *(metric_title(name, extractor, short=True) for name in shown)]]
    lines.append([REAL, *(_real(name, first) for name in shown)])
    for one in (judged[place] for place in grids.spaced(len(judged), ROWS)):
        lines.append([str(one.generation), *(_cell(name, one.sources[extractor]) for name in shown)])
    return _table(lines, source_title(extractor))


def _cell(name: str, values: Mapping[str, Value]) -> str:
    return f"{values[name].value:z.{SCORES[name].decimals}f}" if name in values else ""


def _real(name: str, values: Mapping[str, Value]) -> str:
    real = values[name].real
    return "" if real is None else ranged(real, SCORES[name].decimals)


def _pictures(run: Run, there: Sequence[int]) -> str:
    rows = []
    for generation in (there[place] for place in grids.spaced(len(there), SHOWN)):
        picture = pictures.same_noise(run, generation, SIZE)
        if picture is not None:
            style = f"image-rendering: pixelated; width: {max(picture.width, 480)}px"
            rows.append(f'<tr><td>generation {generation}</td><td><img style="{style}" src="{pictures.inline(picture)}"></td></tr>')
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _block(title: str, head: str, *parts: str) -> str:
    return f"<div><b>{escape(title)}</b><br>{escape(head)}{''.join(parts)}</div>"


def _line(text: str) -> str:
    return f"<div>{escape(text)}</div>"


def _table(lines: Sequence[Sequence[str]], caption: str) -> str:
    """The first line is the headings."""
    head, *body = (_row(line, kind) for line, kind in zip(lines, ["th", *["td"] * len(lines)], strict=False))
    return f"<table><caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _row(cells: Iterable[str], kind: str) -> str:
    opening = f'<{kind} style="white-space: nowrap">'
    return f"<tr>{''.join(f'{opening}{escape(cell)}</{kind}>' for cell in cells)}</tr>"
