"""docs/results says what is published beside it: every interval is one of its files, and the table "In short" is that of the summaries."""

import csv
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import stdtrit
from test_results_script import script

RESULTS = Path(__file__).parent.parent / "docs" / "results"
NUMBER = r"([+-]?\d+(?:\.\d+)?)"
PRINTED = re.compile(rf"(?<![\d.]){NUMBER} (?:\w+ per dimension \w+ |fewer )?\[{NUMBER}, {NUMBER}\]")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("*.md"))}

OF_A_CLASS = re.compile(r"_\d+$")  # of those nothing is said

Three = tuple[float, float, float]
Numbers = NDArray[np.float64]


def read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def in_record(record: Any) -> Iterator[Three]:
    """All intervals of a summary."""
    if isinstance(record, dict):
        if record.get("low") is not None and "mean" in record:
            yield record["mean"], record["low"], record["high"]
        record = list(record.values())
    if isinstance(record, list):
        for one in record:
            yield from in_record(one)


def series(folder: Path) -> dict[tuple[str, str], dict[tuple[str, str, str], dict[str, float]]]:
    """By extractor and metric: of an arm and null model, values by seed at each generation and their changes since generation 0."""
    values: dict[tuple[str, str], dict[tuple[str, str], dict[int, dict[str, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    rows = csv.reader(read(folder / "ablation.csv.gz").splitlines())
    arm, null, seed, g, extractor, metric, value = map(
        next(rows).index, ("arm", "null", "seed", "generation", "extractor", "metric", "value")
    )
    for row in rows:
        if not OF_A_CLASS.search(row[metric]):
            values[row[extractor], row[metric]][f"{folder.name} {row[arm]}", row[null]][int(row[g])][row[seed]] = float(row[value])
    found: dict[tuple[str, str], dict[tuple[str, str, str], dict[str, float]]] = defaultdict(dict)
    for of, arms in values.items():
        for (name, model), chains in arms.items():
            first = chains.get(0, {})
            for at, here in chains.items():
                found[of][name, model, f"change to {at}"] = {s: x - first[s] for s, x in here.items() if s in first}
                if at in (0, 1, max(chains)):
                    found[of][name, model, f"at {at}"] = here
    return found


def apart(folders: list[Path]) -> Numbers:
    """Changes of every arm, and of any two arms and null models their difference, paired by seed: plain t, as `results.py apart`."""
    tables, found = [series(folder) for folder in folders if (folder / "ablation.csv.gz").exists()], [np.empty((0, 3))]
    for of in set().union(*tables):
        arms = {name: values for table in tables for name, values in table.get(of, {}).items()}
        seeds = sorted({seed for values in arms.values() for seed in values})
        for at in {name[2] for name in arms}:
            x = np.array([[values.get(seed, np.nan) for seed in seeds] for name, values in arms.items() if name[2] == at])
            differences = (x[:, None] - x[None])[np.triu_indices(len(x), 1)]
            found += [by_t(np.concatenate([x, differences]))]
    return np.concatenate(found)


def by_t(values: Numbers) -> Numbers:
    """Mean and plain 95 % interval of each row's numbers; rows of fewer than three are left out. `interval` takes one at a time."""
    n = np.isfinite(values).sum(1)
    values, n = values[n > 2], n[n > 2]
    mean, half = np.nanmean(values, 1), stdtrit(n - 1, 0.975) * np.nanstd(values, 1, ddof=1) / np.sqrt(n)
    return np.stack([mean, mean - half, mean + half], 1)


def real(folder: Path) -> Iterator[Three]:
    for row in csv.DictReader(read(folder / "scores.csv.gz").splitlines()):
        if row["real_low"]:
            yield float(row["real"]), float(row["real_low"]), float(row["real_high"])


def there(printed: tuple[str, ...], numbers: Numbers) -> bool:
    """Do some three of the numbers read as printed, or with the opposite sign ("0.3 less")?"""
    shown, half = np.array([float(text) for text in printed]), [0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9 for text in printed]
    return any(bool((abs(numbers - three) <= half).all(1).any()) for three in (shown, -shown[[0, 2, 1]]))


def unfounded(page: str) -> list[str]:
    """What is printed as an interval, section by section, and is none of the folders that the section links to."""
    found = []
    for section in re.split(r"(?m)^(?=## )", page):
        names = re.findall(r"(?:\(|docs/results/)([\w-]+)(?:/report|[\s`)])", section)
        folders = [RESULTS / name for name in dict.fromkeys(names) if list((RESULTS / name).glob("*.csv.gz"))]
        simple = {three for folder in folders for path in folder.glob("summary.json.gz") for three in in_record(json.loads(read(path)))}
        simple |= {three for folder in folders if (folder / "scores.csv.gz").exists() for three in real(folder)}
        texts = {match.group(0): match.groups() for match in PRINTED.finditer(section)}
        left = {text: three for text, three in texts.items() if not there(three, np.array([*simple]))}
        if left and "| class |" in section:
            shares = [match.groups() for match in PRINTED.finditer(script("classes", folders[0]))]
            left = {text: three for text, three in left.items() if three not in shares}
        if left:
            more = apart(folders)
            left = {text: three for text, three in left.items() if not there(three, more)}
        found += list(left)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"README.md"}))
def test_every_interval_is_that_of_what_is_published(page: str) -> None:
    assert unfounded(PAGES[page]) == []


@pytest.mark.parametrize("page", [RESULTS / "README.md", RESULTS.parent / "ablations.md"], ids=lambda page: str(page.name))
def test_what_is_said_elsewhere_stands_on_a_page_of_results(page: Path) -> None:
    results = {match.group(0) for name, text in PAGES.items() if name != "README.md" for match in PRINTED.finditer(text)}
    said = [match.group(0) for match in PRINTED.finditer(page.read_text(encoding="utf-8"))]
    assert said and set(said) <= results


def test_the_tables_of_verdicts_are_made_by_the_command_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RESULTS.parent.parent)
    made = [script(*command.split()[2:]) for command in re.findall(r"`(python scripts/results\.py verdicts [^`]+)`", PAGES["remedies.md"])]
    assert len(made) > 1 and all(table in PAGES["remedies.md"] for table in made)


IN_SHORT = {"mixture, digits": "digits-gmm", "DDPM, digits": "digits-ddpm", "VAE, digits": "digits-vae", "DDPM, MNIST": "mnist-ddpm"}
ARMS = {
    "0 % real": "0 % real",
    "10 %, redrawn": "10 % resample",
    "50 %": "50 % resample",
    "100 %": "100 % resample",
    "accumulate": "accumulate",
}


def test_the_table_in_short_is_that_of_the_summaries() -> None:
    """Means by both judges; bold where the verdict is that an arm is surely better than none, by both."""
    head, *lines = (line for line in PAGES["README.md"].splitlines() if line.startswith("|"))
    names, rows = [cell.strip() for cell in head.strip("|").split("|")], {}
    for line in lines[1:]:
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[name.rpartition(", ")[0]] = dict(zip(names[1:], cells, strict=True))
    assert rows.keys() == IN_SHORT.keys()
    for name, folder in IN_SHORT.items():
        summary = json.loads(read(RESULTS / folder / "summary.json.gz"))
        arms = {one["arm"]: one["extractors"] for one in summary["arms"] if one["null"] is None}
        verdicts = {one["arm"]: one["verdict"] for one in summary["endpoint"]["found"]}

        def both(arm: str, of: str, arms: dict[str, Any] = arms) -> str:
            one, other = (arms[arm][judge]["min_recall_coverage"][of]["mean"] for judge in ("classifier", "random"))
            return f"{one:.2f} ({other:.2f})"

        for title, arm in ARMS.items():
            shown = both(arm, "last")
            seeds = arms[arm]["classifier"]["min_recall_coverage"]["last"]["n"]
            shown = f"two seeds: {shown}" if seeds == 2 else f"**{shown}**" if verdicts.get(arm) == "higher" else shown
            assert rows[name][title] == shown, (name, title)
        assert rows[name]["real vs real"] == both("0 % real", "real"), name
