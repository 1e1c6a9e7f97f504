"""Tables of an ablation in Markdown, as they stand in docs/results.

python scripts/results.py arms DIR       last generation, paired differences and half-lives of every arm
python scripts/results.py classes DIR    share of each class over its real share, and when it was lost, against the null models;
                                         the data set is read, for the true shares of its training part
"""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import click

from imgcollapse import datasets
from imgcollapse.ablation.grid import ABLATION, Ablation
from imgcollapse.ablation.intervals import Interval, interval
from imgcollapse.ablation.summary.text import columns, lines, spanned
from imgcollapse.judge.titles import metric_title
from imgcollapse.metrics.classes import SHARE
from imgcollapse.metrics.score import POSITIVE
from imgcollapse.metrics.scores import most_prominent
from imgcollapse.settings import build, read_file

MOST = 5  # scores that the table has room for
COARSER = 1  # decimals fewer than of single values: these are means over a few seeds
FOLDER = click.argument("folder", type=click.Path(path_type=Path, exists=True))


@click.group()
def main() -> None:
    """Prints Markdown."""


@main.command()
@FOLDER
def arms(folder: Path) -> None:
    """Every arm at its last generation, `mean [95 % interval]` over seeds."""
    summary = json.loads(_text(folder / "summary.json"))
    differences = {(one["arm"], one["against"], one["against_null"]): one["extractors"] for one in summary["differences"]}
    extractor, table = next(iter(lines(summary, MOST, COARSER).items()))
    shown = columns(summary, MOST)[extractor]
    headline = most_prominent(shown, halved=True)
    assert headline is not None, "none of the scores has a half-life"
    names = " | ".join(metric_title(name, short=True) for name in shown)
    about = f"{metric_title(headline)} minus that of {summary['reference']} | {metric_title(headline)} below half"
    print(f"| arm | seeds | {names} | {about} |")
    print("|---" * (len(shown) + 4) + "|")
    for arm, (_, _, _, *cells) in table:
        if arm is None:
            print(f"| *real vs real* | | {' | '.join(cells)} | | |")
        elif arm["null"] != "gaussian":
            other = differences.get((arm["arm"], summary["reference"], None)) if arm["null"] is None else None
            cells.append(spanned(other[extractor][headline]["last"], headline, "+", COARSER) if other else "")
            name = arm["arm"] if arm["null"] is None else f"*null model {arm['null']}, {arm['arm']}*"
            halved = arm["extractors"][extractor][headline]["half"]["words"]
            print(f"| {name} | {len(arm['seeds'])} | {' | '.join(cells)} | {halved} |")


@main.command()
@FOLDER
@click.option("--arm", default="0 % real")
def classes(folder: Path, arm: str) -> None:
    """Per class: its share of the training part, its share of all pictures drawn in the last generation over that, and in how many seeds
    no confident one is left."""
    shares: dict[tuple[str, int], dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    drawn: set[str] = set()
    for row in csv.DictReader(_text(folder / "ablation.csv").splitlines()):
        name = row["metric"].removeprefix(SHARE)
        if row["arm"] == arm and row["metric"].startswith(SHARE) and name.isdigit():
            shares[row["null"] or row["model"], int(name)][int(row["seed"])][int(row["generation"])] = float(row["value"])
            drawn.add(row["n"])
    kinds = list(dict.fromkeys(kind for kind, _ in shares))
    head = [f"{kind}: share / real | {kind}: lost in" for kind in kinds if kind != "gaussian"]
    print(f"Shares are of {' or '.join(sorted(drawn))} pictures drawn.\n")
    print(f"| class | real share | {' | '.join(head)} |")
    print("|---" * (2 + 2 * len(head)) + "|")
    for c, real in enumerate(_real_shares(folder, arm)):
        cells = []
        for kind in kinds:
            if kind == "gaussian":
                continue
            chains = shares[kind, c]
            last = [chain[max(chain)] for chain in chains.values()]
            lost = sum(value == 0 for value in last)
            span = interval([value / real for value in last], bounds=POSITIVE)
            cells += [_cell(span), f"{lost} of {len(last)} seeds"]
        print(f"| {c} | {100 * real:.1f} % | {' | '.join(cells)} |")


def _real_shares(folder: Path, arm: str) -> list[float]:
    """Of each class, in the whole training part, by the true labels."""
    studies = build(Ablation, read_file(folder / ABLATION)).studies()
    dataset = next(study.dataset for name, _, study in studies if name == arm)
    return [float(share) for share in datasets.load(dataset, 0).shares()]


def _text(path: Path) -> str:
    packed = path.with_name(path.name + ".gz")
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else path.read_text(encoding="utf-8")


def _cell(span: Interval) -> str:
    return (
        " and ".join(f"{value:.2f}" for value in span.values) if span.low is None else f"{span.mean:.2f} [{span.low:.2f}, {span.high:.2f}]"
    )


if __name__ == "__main__":
    main()
