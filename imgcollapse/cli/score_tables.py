"""The tables of `imgcollapse score`: scores down, sets of pictures across, real vs real first."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from imgcollapse.datasets.names import class_title
from imgcollapse.judges.titles import REAL, counted, features_title, metric_title, neighbours
from imgcollapse.metrics import Score
from imgcollapse.metrics.classes import ALIVE, SHARE
from imgcollapse.metrics.record import Scores, Value, ranged
from imgcollapse.metrics.scores import SCORES

Record = dict[str, Any]
ACROSS = 5  # sets in a table; more stand in another below
CLASSES = 30  # rows of the table of classes at most: more are for programs


def tables(record: Record) -> Iterator[Group]:
    """For each extractor the scores beside real vs real; by the first that knows classes, the share of each class."""
    sets = {name: Scores.of({"generation": None, "sources": one["sources"]}) for name, one in record["samples"].items()}
    names = list(sets)
    blocks = [names[at : at + ACROSS] for at in range(0, len(names), ACROSS)]
    for extractor in record["judge"]["extractors"]:
        for block in blocks:
            yield _scores(record, extractor, {name: sets[name].sources[extractor] for name in block})
    for extractor, values in sets[names[0]].sources.items():
        if f"{SHARE}0" in values and len(record["data"]["classes"]) <= CLASSES:
            for block in blocks:
                yield _classes(record, extractor, {name: sets[name].sources[extractor] for name in block})
            return


def _scores(record: Record, extractor: str, sets: Mapping[str, Mapping[str, Value]]) -> Group:
    judge = record["judge"]
    shown = [name for name in SCORES if any(name in values for values in sets.values())]
    against = f" against held-out real pictures of {record['data']['name']}"
    size = counted(judge, (values[name] for values in sets.values() for name in shown if name in values), against)
    table = _table(("score", "better"), (REAL, *sets))
    for name in shown:
        score, there = SCORES[name], [values.get(name) for values in sets.values()]
        reals = [value.real for value in there if value is not None and value.real is not None]
        places = decimals(score, reals[0].mean if reals else 0.0)
        cells = ["" if value is None else f"{value.value:z.{places}f}" for value in there]
        table.add_row(metric_title(name, extractor), score.better, _each(ranged(real, places) for real in reals), *cells)
    return Group(f"{features_title(judge, extractor)}; {size}", neighbours(judge), table if table.row_count else "nothing was measured")


def _classes(record: Record, extractor: str, sets: Mapping[str, Mapping[str, Value]]) -> Group:
    sizes = _each(f"{values[f'{SHARE}0'].n:,}" for values in sets.values())
    sure = f"of the {sizes} pictures those that {extractor} is confident about; lost: no more than its mistakes explain"
    caption = f"class shares: {sure}"
    table = _table(("class",), (REAL, *sets))
    for c, label in enumerate(record["data"]["classes"]):
        both = [(values[f"{SHARE}{c}"], values[f"{ALIVE}{c}"]) for values in sets.values()]
        cells = (_share(share.value, alive.value) for share, alive in both)
        reals = (_share(share.real.mean, alive.real is None or alive.real.mean > 0.5) for share, alive in both if share.real is not None)
        table.add_row(class_title(label), _each(reals), *cells)
    return Group(caption, table)


def _share(share: float, alive: float) -> str:
    return f"{'' if alive else 'lost '}{100 * share:.1f} %"


def _each(cells: Iterable[str]) -> str:
    """Of sets of several sizes there may be several, in the order of the sets; none where the metric has no real-vs-real value."""
    return " / ".join(dict.fromkeys(cells))


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table()
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right", overflow="fold", min_width=9)
    return table


def decimals(score: Score, real: float) -> int:
    """As many as the score deserves; distances have no common size, and are shown to three digits of real vs real."""
    if score.better == "higher" or real == 0:
        return score.decimals
    return min(8, max(score.decimals, 2 - math.floor(math.log10(abs(real)))))
