"""The tables of `imgcollapse score`: scores down, sets of pictures across, the floor first."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from imgcollapse.judge.judge import neighbours
from imgcollapse.metrics import METRICS, Score
from imgcollapse.metrics.scores import title

Record = dict[str, Any]
ACROSS = 5  # sets in a table; more stand in another below
CLASSES = 30  # rows of the table of classes at most: more are for programs


def tables(record: Record) -> Iterator[Group]:
    """For each extractor the scores with their floors; by the first that knows classes, the share of each class."""
    sets, names = record["samples"], list(record["samples"])
    blocks = [names[at : at + ACROSS] for at in range(0, len(names), ACROSS)]
    for extractor in record["judge"]["extractors"]:
        for block in blocks:
            yield _scores(record, extractor, block)
    for extractor, judged in next(iter(sets.values()))["extractors"].items():
        if "share_0" in judged["metrics"] and len(record["data"]["classes"]) <= CLASSES:
            for block in blocks:
                yield _classes(record, extractor, block)
            return


def _scores(record: Record, extractor: str, names: Sequence[str]) -> Group:
    judge, sets = record["judge"], [record["samples"][name]["extractors"][extractor]["metrics"] for name in names]
    floor = judge["extractors"][extractor]["floor"]
    caption = f"features: {extractor}; N = {judge['n']:,} against held-out real pictures of {record['data']['name']}"
    table = _table(("score", "better"), ("floor (real)", *names))
    for metric in METRICS.values():
        for name, score in metric.scores.items():
            there = [one.get(name) for one in sets]
            if any(value is not None for value in there):
                places = decimals(score, floor.get(name, 0.0))
                cells = ("" if value is None else f"{value:z.{places}f}" for value in (floor.get(name), *there))
                table.add_row(title(name, extractor), score.better, *cells)
    return Group(caption, neighbours(judge), table if table.row_count else "nothing was measured")


def _classes(record: Record, extractor: str, names: Sequence[str]) -> Group:
    judge, sets = record["judge"]["extractors"][extractor], [record["samples"][name]["extractors"][extractor]["metrics"] for name in names]
    caption = f"class shares: of the pictures in which {extractor} is sure of a class (lost: no more than its errors explain)"
    table = _table(("class",), ("floor (real)", *names))
    for c, label in enumerate(record["data"]["classes"]):
        cells = (f"{'' if one[f'share_alive_{c}'] else 'lost '}{100 * one[f'share_{c}']:.1f} %" for one in (judge["floor"], *sets))
        table.add_row(label, *cells)
    return Group(caption, table)


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table()
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right", overflow="fold", min_width=9)
    return table


def decimals(score: Score, floor: float) -> int:
    """As many as the score deserves; distances have no common size, and are told to three digits of their floor."""
    if score.better == "higher" or floor == 0:
        return score.decimals
    return min(8, max(score.decimals, 2 - math.floor(math.log10(abs(floor)))))
