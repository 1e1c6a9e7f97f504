"""The tidy table: every score of every run, one a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.files import ledger
from imgcollapse.metrics.record import RealVsReal
from imgcollapse.store.judged import is_due
from imgcollapse.study import Study

Record = dict[str, Any]
FORMULA = tuple("=+-@\t\r\n'＝＋－＠")  # how a formula begins, for a spreadsheet; and the apostrophe itself
COLUMNS = ("arm", "model", "null", "regime", "seed", "generation", "extractor", "metric", "value", "real", "real_low", "real_high", "n")

SCORES_CSV = "scores.csv"  # that table of a single run, in its folder


@dataclass(frozen=True)
class Run:
    """One run of an ablation. `null` is the null model that takes the model's place in the arm; None: the arm itself."""

    arm: str
    null: str | None
    seed: int
    study: Study
    folder: Path


def rows(runs: Sequence[Run]) -> list[Record]:
    """The tidy table: a row per arm, seed, generation, extractor and metric, with COLUMNS; "null" is empty for the arm itself, "real" (real
    vs real: mean, and ends of its range) is None where the metric has none, n is the number of pictures that the value is of.

    In the order of the runs, of the generations, and of scores.json. Runs that have not begun have no rows, others as many as are finished.
    Raises DataProblem for scores that cannot be read or are no finite numbers.
    """
    found = []
    for run in runs:
        if not (run.folder / store.STUDY).is_file():
            continue
        about = (run.arm, run.study.learner, run.null or "", run.study.regime.title(), run.seed)
        for scores in store.scores(run.folder):
            for extractor, values in scores.sources.items():
                for metric, one in values.items():
                    real = (None, None, None) if one.real is None else (one.real.mean, one.real.low, one.real.high)
                    cells = (*about, scores.generation, extractor, metric, one.value, *real, one.n)
                    found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


def real_of(row: Mapping[str, Any]) -> RealVsReal | None:
    """Real vs real, as it stands in a row of the table."""
    return None if row["real"] is None else RealVsReal(row["real"], row["real_low"], row["real_high"])


def unbroken(judged: Iterable[int], study: Study | None = None) -> list[int]:
    """Those of the judged generations that make a chain: in order, up to the first that should have been judged and is not.

    `study` says which should have been (`judge.every`, and the last one of all); None: every one.
    """
    there, every, gens = set(judged), study.judge.every if study else 1, study.gens if study else 0
    end = next(generation for generation in count() if is_due(generation, every, gens) and generation not in there)
    return sorted(generation for generation in there if generation < end)


def write_csv(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """The tidy table as CSV with a line of headings; floats in full precision, so that reading them back gives the same numbers, texts
    as `harmless` makes them, and empty cells for real vs real where there is none."""
    lines = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    ledger.put(path.parent, {path.name: "".join(",".join(map(_cell, line)) + "\n" for line in lines)})


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it and does not run it: behind an apostrophe where it begins as a formula does, or with one.

    To read it back, take one apostrophe away from where a text begins. (The page's script does the same.)
    """
    return f"'{text}" if text.lstrip(" ")[:1] in FORMULA else text


def _cell(value: object) -> str:
    """In quotation marks where need be; not by `csv`, which leaves a carriage return alone and so ends the line."""
    text = harmless(value) if isinstance(value, str) else "" if value is None else str(value)
    return '"{}"'.format(text.replace('"', '""')) if set(text) & set('",\r\n') else text
