"""The tidy table: every score of every run, one a row."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import ledger, store
from imgcollapse.errors import DataProblem
from imgcollapse.study import Study

Record = dict[str, Any]
COLUMNS = ("arm", "model", "null", "regime", "seed", "generation", "extractor", "metric", "value", "floor", "n")


@dataclass(frozen=True)
class Run:
    """One run of an ablation. `null` is the null model that takes the model's place in the arm; None: the arm itself."""

    arm: str
    null: str | None
    seed: int
    study: Study
    folder: Path


def rows(runs: Sequence[Run]) -> list[Record]:
    """The tidy table: a row per arm, seed, generation, extractor and metric, with COLUMNS; "null" is empty for the arm itself, n is the
    number of pictures compared.

    In the order of the runs, of the generations, and of scores.json. Runs that have not begun have no rows, others as many as are finished.
    Raises DataProblem for scores that cannot be read or are no finite numbers.
    """
    found = []
    for run in runs:
        if not (run.folder / store.STUDY).is_file():
            continue
        about = (run.arm, run.study.model.kind, run.null or "", run.study.regime.title(), run.seed)
        for scores in store.scores(run.folder):
            for extractor, judged in scores["extractors"].items():
                for metric, value in judged["metrics"].items():
                    floor = judged["floor"][metric]
                    if not (math.isfinite(value) and math.isfinite(floor)):
                        folder = store.generation_folder(run.folder, scores["generation"])
                        raise DataProblem(
                            f"{folder / store.SCORES}: {metric} is {value}, its floor {floor}; move {folder} elsewhere and run again"
                        )
                    cells = (*about, scores["generation"], extractor, metric, float(value), float(floor), scores["n"])
                    found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


def write_csv(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """The tidy table as CSV with a line of headings; floats in full precision, so that reading them back gives the same numbers."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    ledger.put(path.parent, {path.name: text.getvalue()})
