"""Tables of an ablation in Markdown, as they stand in docs/results; and what stands there of an ablation.

python scripts/results.py publish ABLATION DIR   settings, scores, summary, figures, report and samples of a finished ablation, into DIR;
                                                 of a single run: settings, scores, figures and report
python scripts/results.py short DIR...   the endpoint of every arm of several ablations, by each extractor that decides
python scripts/results.py verdicts DIR   the endpoint and other scores of every arm by each extractor, the best first, and the verdict
python scripts/results.py apart DIR ARM OTHER    a difference of two arms, paired by seed, that the endpoint does not ask for
python scripts/results.py arms DIR       last generation, paired differences and half-lives of every arm
python scripts/results.py classes DIR    share of each class over its real share, and when it was lost, against the null models;
                                         the data set is read, for the true shares of its training part
"""

import csv
import gzip
import json
import lzma
import shutil
import tarfile
import tempfile
from collections import defaultdict
from pathlib import Path

import click

from imgcollapse import datasets, store
from imgcollapse.ablation.grid import ABLATION, CSV, PLAN, RUNS, SUMMARY, Ablation
from imgcollapse.ablation.intervals import Interval, interval
from imgcollapse.ablation.plan import runs_in
from imgcollapse.ablation.summary import SCORES_CSV, Record
from imgcollapse.ablation.summary.sentence import deciding
from imgcollapse.ablation.summary.short import VERDICTS
from imgcollapse.ablation.summary.text import COARSER, columns, lines, spanned
from imgcollapse.judges.titles import metric_title
from imgcollapse.metrics.classes import SHARE
from imgcollapse.metrics.score import POSITIVE
from imgcollapse.metrics.scores import most_prominent
from imgcollapse.models.nulls import FAIR
from imgcollapse.reports import findings
from imgcollapse.reports.markdown import markdown
from imgcollapse.settings import build, read_file
from imgcollapse.store import records, run_folder
from imgcollapse.store.history import HISTORY

ARCHIVE = "samples.tar.xz"
# of a run folder in that archive
LEFT_OUT = ("*.png", "*.html", "*.log", "log.txt", ".lock", "track", store.SCORES, "worker.json", ".written.jsonl")
OF_ABLATION = (ABLATION, "curves.png", "forest.png", "grids.png")
OF_RUN = (store.STUDY, "curves.png", "grid_all.png")
OF_GENERATIONS = ("gen_*", HISTORY)  # null models' are left out too
MOST = 5  # scores that the table has room for
FOLDER = click.argument("folder", type=click.Path(path_type=Path, exists=True))


@click.group()
def main() -> None:
    """Prints Markdown."""


@main.command()
@FOLDER
@click.argument("into", type=click.Path(path_type=Path))
@click.option("--samples/--no-samples", default=True)
def publish(folder: Path, into: Path, samples: bool) -> None:
    """What is released of a finished ablation; its null models' samples are not, for they follow from the seeds in minutes."""
    into.mkdir(parents=True, exist_ok=True)
    single = (folder / store.STUDY).exists()
    for name in OF_RUN if single else OF_ABLATION:
        shutil.copyfile(folder / name, into / name)
    for name in (SCORES_CSV,) if single else (CSV, SUMMARY):
        (into / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 9, mtime=0))
    (into / "report.md").write_text(_report(folder), encoding="utf-8")
    if samples and not single:
        with tempfile.TemporaryDirectory() as place:
            _samples(folder, Path(place) / folder.name, into / ARCHIVE)
    click.echo(f"{into}: {sum(path.stat().st_size for path in into.iterdir()) / 1e6:.1f} MB")


def _report(folder: Path) -> str:
    with tempfile.TemporaryDirectory() as place:
        (made,) = markdown(findings.read([folder]), Path(place), with_typed=False)
        return made.read_text(encoding="utf-8")


def _samples(folder: Path, copy: Path, archive: Path) -> None:
    """The run folders with samples, provenance and records, without networks, figures and scores, and those of null models empty; what
    generations of several runs share is there once."""
    (copy / RUNS).mkdir(parents=True)
    for name in (ABLATION, PLAN):
        shutil.copyfile(folder / name, copy / name)
    for run in runs_in(folder):
        place = copy / RUNS / run.folder.name
        shutil.copytree(run.folder, place, ignore=shutil.ignore_patterns(*LEFT_OUT, *([] if run.null is None else OF_GENERATIONS)))
        _without_commands(place / store.ENVIRONMENT)
        with run_folder.opened(place) as kept:
            for generation in store.sound(place):
                kept.throw_away(generation, run_folder.MODEL)
        (place / run_folder.LOCK).unlink()
    known: dict[bytes, Path] = {}
    for path in sorted(copy.rglob(store.SAMPLES)):  # hard links, as in the ablation
        first = known.setdefault(path.read_bytes(), path)
        if first is not path:
            path.unlink()
            path.hardlink_to(first)
    with lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(copy.rglob("*")):
            tar.add(path, path.relative_to(copy.parent).as_posix(), recursive=False, filter=_plain)


def _without_commands(environment: Path) -> None:
    """What was typed may name places of the machine; study.yaml has all that it chose."""
    known = records.readable(environment) or {}
    for session in known.get("sessions", []):
        session.pop("command", None)
    records.write_sealed(environment, known)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without when and by whom."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


@main.command()
@click.argument("folders", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
def short(folders: tuple[Path, ...]) -> None:
    """A line for each ablation and extractor that decides: the endpoint at the last generation of every arm."""
    summaries = {folder.name: json.loads(_text(folder / SUMMARY)) for folder in folders}
    first = next(iter(summaries.values()))
    names = [arm["arm"] for arm in first["arms"] if arm["null"] is None]
    print(f"| | features | real vs real | {' | '.join(names)} |")
    print("|---" * (len(names) + 3) + "|")
    for name, summary in summaries.items():
        endpoint = summary["endpoint"]
        for extractor in deciding(endpoint):
            for null in (None, FAIR):
                there = {one["arm"]: one["extractors"][extractor][endpoint["metric"]] for one in summary["arms"] if one["null"] == null}
                real = there[names[0]]["real"]
                cells = [_spanned(real, endpoint["metric"]) if null is None else ""]
                cells += [_spanned(there[arm]["last"], endpoint["metric"]) if arm in there else "" for arm in names]
                about = f"{name}, {max(one['last']['n'] for one in there.values())} seeds" if null is None else f"*null model {null}*"
                print(f"| {about} | {extractor} | {' | '.join(cells)} |")


@main.command()
@FOLDER
@click.option("--metric", "more", multiple=True, help="another score; once more for each")
def verdicts(folder: Path, more: tuple[str, ...]) -> None:
    """A line for each arm, by what the endpoint's first extractor reads, the highest first, and its verdict against the reference."""
    summary = json.loads(_text(folder / SUMMARY))
    endpoint, arms = summary["endpoint"], [arm for arm in summary["arms"] if arm["null"] is None]
    extractors, found = deciding(endpoint), {one["arm"]: VERDICTS[one["verdict"]] for one in endpoint["found"]}
    shown = [(metric, by) for metric in (endpoint["metric"], *more) for by in extractors if metric in arms[0]["extractors"][by]]
    print(f"| | {' | '.join(f'{metric_title(metric, short=True)}, {by}' for metric, by in shown)} | against {summary['reference']} |")
    print("|---" * (len(shown) + 2) + "|")
    real = [_spanned(arms[0]["extractors"][by][metric]["real"], metric) for metric, by in shown]
    print(f"| real vs real | {' | '.join(real)} | |")
    for arm in sorted(arms, key=lambda arm: -arm["extractors"][extractors[0]][endpoint["metric"]]["last"]["mean"]):
        name = f"**{arm['arm']}**" if arm["arm"] == summary["reference"] else arm["arm"]
        cells = [_spanned(arm["extractors"][by][metric]["last"], metric) for metric, by in shown]
        print(f"| {name} | {' | '.join(cells)} | {found.get(arm['arm'], '')} |")


@main.command()
@FOLDER
@click.argument("arm")
@click.argument("other")
@click.option("--metric", default="min_recall_coverage")
@click.option("--generation", type=int, help="the last")
@click.option("--of", "others", type=click.Path(exists=True, path_type=Path), help="the ablation that OTHER is of, where it is another")
def apart(folder: Path, arm: str, other: str, metric: str, generation: int | None, others: Path | None) -> None:
    """One arm minus another, paired by seed, by each extractor: a comparison that no endpoint named, so nothing adjusts it."""
    ours, theirs = _values(folder, arm, metric), _values(others or folder, other, metric)
    about = f"{other} of {others.name}" if others else other
    for extractor in (name for name in ours if name in theirs):
        one, two = ours[extractor], theirs[extractor]
        at = max(one.keys() & two.keys()) if generation is None else generation
        pairs = [one[at][seed] - two[at][seed] for seed in sorted(one[at].keys() & two[at].keys())]
        print(f"{arm} minus {about}, {metric}, generation {at}, {extractor}, {len(pairs)} seeds: {_cell(interval(pairs), '+')}")


def _values(folder: Path, arm: str, metric: str) -> dict[str, dict[int, dict[int, float]]]:
    """By extractor, generation and seed."""
    found: dict[str, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in csv.DictReader(_text(folder / CSV).splitlines()):
        if row["metric"] == metric and not row["null"] and row["arm"] == arm:
            found[row["extractor"]][int(row["generation"])][int(row["seed"])] = float(row["value"])
    return found


@main.command()
@FOLDER
@click.option("--extractor", help="by whose features; the first")
def arms(folder: Path, extractor: str | None) -> None:
    """Every arm at its last generation, `mean [95 % interval]` over seeds."""
    summary = json.loads(_text(folder / SUMMARY))
    differences = {(one["arm"], one["against"], one["against_null"]): one["extractors"] for one in summary["differences"]}
    tables = lines(summary, MOST, COARSER)
    extractor = next(iter(tables)) if extractor is None else extractor
    table, shown = tables[extractor], columns(summary, MOST)[extractor]
    headline = most_prominent(shown, halved=True)
    assert headline is not None, "none of the scores has a half-life"
    names = " | ".join(metric_title(name, short=True) for name in shown)
    about = f"{metric_title(headline)} minus that of {summary['reference']} | {metric_title(headline)} below half"
    print(f"| arm | seeds | {names} | {about} |")
    print("|---" * (len(shown) + 4) + "|")
    for arm, (_, _, _, *cells) in table:
        if arm is None:
            print(f"| *real vs real* | | {' | '.join(cells)} | | |")
        elif arm["null"] in (None, FAIR):
            other = differences.get((arm["arm"], summary["reference"], None)) if arm["null"] is None else None
            cells.append(_spanned(other[extractor][headline]["last"], headline, "+") if other else "")
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
    for row in csv.DictReader(_text(folder / CSV).splitlines()):
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


def _spanned(span: Record, name: str, sign: str = "") -> str:
    return spanned(span, name, sign, COARSER)


def _real_shares(folder: Path, arm: str) -> list[float]:
    """Of each class, in the whole training part, by the true labels."""
    studies = build(Ablation, read_file(folder / ABLATION)).studies()
    dataset = next(study.dataset for name, _, study in studies if name == arm)
    return [float(share) for share in datasets.load(dataset, 0).shares()]


def _text(path: Path) -> str:
    packed = path.with_name(path.name + ".gz")
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else path.read_text(encoding="utf-8")


def _cell(span: Interval, sign: str = "") -> str:
    shown = span.values if span.low is None else (span.mean, span.low, span.high)
    texts = [f"{value:{sign}.2f}" for value in shown]
    return " and ".join(texts) if span.low is None else f"{texts[0]} [{texts[1]}, {texts[2]}]"


if __name__ == "__main__":
    main()
