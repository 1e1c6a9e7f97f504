"""What the commands do."""

import json
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from imgcollapse import console, environment, machine, processes, progress, report, store, study
from imgcollapse.datasets import DATASETS
from imgcollapse.errors import SettingsProblem
from imgcollapse.extractors import EXTRACTORS
from imgcollapse.metrics import METRICS
from imgcollapse.models import MODELS
from imgcollapse.regimes import REGIMES
from imgcollapse.settings import assignment, build, expand, merge, read_file, to_yaml
from imgcollapse.study import DEFAULT_KINDS, Study

TABLES: dict[str, Mapping[str, Any]] = {
    "models": MODELS,
    "data sets": DATASETS,
    "regimes": REGIMES,
    "extractors": EXTRACTORS,
    "metrics": METRICS,
}


class Stopped(KeyboardInterrupt):
    """SIGTERM, which ends a run as cleanly as SIGINT does."""


def run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse run`: `given` are the flags (None where not given), `assignments` those of --set.

    Where several processes were launched (`accelerate launch`), the first does it, and the others help it.
    """
    with machine.use(machine_from(given)), processes.together() as first:
        if first:
            _run(given, assignments, dry_run=dry_run, as_json=as_json)


def _run(given: dict[str, Any], assignments: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    chosen = study_from(given, assignments)
    folder = given["out"] or Path("runs") / chosen.name()
    if dry_run:
        click.echo(
            json.dumps({"run": str(folder), "study": chosen.model_dump(mode="json")})
            if as_json
            else f"# {folder}\n{to_yaml(chosen)}".rstrip()
        )
        return
    there = len(store.finished(folder)) if (folder / store.STUDY).is_file() else 0
    with machine.use(machine_from(given)), console.watcher(chosen.gens) as watching, progress.watched_by(watching), stoppable() as stopped:
        if there:
            progress.say(f"{folder}: {there} of {chosen.gens} generations are there; going on from here")
        study.run(chosen, folder, watching.landed)
    if stopped:
        done = len(store.finished(folder)) if (folder / store.STUDY).exists() else 0
        if done:
            report.draw(folder)
        click.echo(
            f"stopped; {done} of {chosen.gens} generations are finished and kept in {folder}. To go on, run the same command again.",
            err=True,
        )
        sys.exit(stopped[0])
    pictures = report.draw(folder)
    scores = store.scores(folder)
    if as_json:
        click.echo(json.dumps({"run": str(folder), "scores": scores, "pictures": [str(path) for path in pictures]}))
        return
    out = Console(width=None if sys.stdout.isatty() else 110)
    for table in console.tables(scores):
        out.print(table)
    out.print(
        "pictures:",
        *(str(path) for path in pictures),
        f"{folder}/gen_*/{store.GRID}",
        sep="\n  ",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def study_from(given: dict[str, Any], assignments: tuple[str, ...]) -> Study:
    """The study that flags, environment, file and defaults add up to. Raises SettingsProblem."""
    values: dict[str, Any] = dict(DEFAULT_KINDS)
    named = read_file(given["config"]) if given.get("config") else {}
    flags = {name: given[name] for name in ("dataset", "model", "regime", "gens", "samples", "seed") if given.get(name) is not None}
    retained = {name: given[name] for name in ("real_fraction", "pool") if given.get(name) is not None}
    if retained:
        where = merge(merge(values, named), flags)["regime"]
        kind = expand(where)["kind"] if isinstance(where, (str, dict)) and "regime" in (named | flags) else "retain"  # type: ignore[index]
        flags["regime"] = {"kind": kind, **retained}
    for layer in (named, flags, *(assignment(text) for text in assignments)):
        values = merge(values, layer)
    return build(Study, values)


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the block; the list then holds the exit code."""
    code: list[int] = []

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield code
    except Stopped:
        code.append(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        code.append(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def list_tables(name: str | None) -> None:
    """`imgcollapse list [NAME]`."""
    out = Console(width=None if sys.stdout.isatty() else 140)
    if name is None:
        for title, table in TABLES.items():
            out.print(_two_columns(title, {key: _first_line(entry) for key, entry in table.items()}))
        return
    found = {title: table[name] for title, table in TABLES.items() if name in table}
    if not found:
        raise SettingsProblem(f"list: there is no '{name}'; `imgcollapse list` shows all names")
    for title, entry in found.items():
        out.print(f"{name} ({title}): {_first_line(entry)}", markup=False, highlight=False)
        if isinstance(entry, type) and issubclass(entry, BaseModel):
            options = {key: field for key, field in entry.model_fields.items() if key != "kind"}
            rows = {
                f"{key} = {'(required)' if field.is_required() else field.default!r}": field.description or ""
                for key, field in options.items()
            }
            out.print(_two_columns("options", rows) if rows else "no options")
        else:
            out.print(entry.__doc__, markup=False, highlight=False)


def doctor(data_dir: Path | None) -> int:
    """`imgcollapse doctor`: prints what is there; the exit code, 1 when something must be mended."""
    from imgcollapse import torchvision_guard

    with machine.use(machine_from({"data_dir": data_dir})):
        about = environment.describe()
    wrong = [f"{name} is not installed; run: pip install imgcollapse" for name, version in about["packages"].items() if version is None]
    state = {
        "healthy": "healthy",
        "mended": "built for another torch; mended in this process (its nms and io do not work and are not needed)",
        "absent": "absent",
    }[torchvision_guard.state]
    folder = data_dir or machine.default_data_dir()
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    rows = {
        "imgcollapse": f"{about['imgcollapse']} (commit {about['git_commit'] or 'unknown'})",
        "python": about["python"],
        "packages": ", ".join(f"{name} {version}" for name, version in about["packages"].items() if version),
        "torchvision": state,
        "device": f"{about['device']} ({about['device_name']}), {about['threads']} threads",
        "precision": about["precision"] + ("" if about["precision"] == "bfloat16" else " (no bfloat16 in hardware here)"),
        "data folder": f"{folder} ({shutil.disk_usage(existing).free / 2**30:.0f} GiB free)",
    }
    for kind, dataset in DATASETS.items():
        if dataset.files:
            there = (folder / dataset.files).is_dir()
            rows[f"data: {kind}"] = "there" if there else f"not there: the first use downloads it, or put it into {folder / dataset.files}"
    rows["data: digits"] = "there (bundled with scikit-learn)"
    out = Console(width=None if sys.stdout.isatty() else 140)
    out.print(_two_columns("doctor", rows))
    for line in wrong:
        out.print(f"to mend: {line}", markup=False)
    out.print("nothing to mend" if not wrong else "", markup=False)
    return 1 if wrong else 0


def machine_from(given: dict[str, Any]) -> machine.Machine:
    """The machine that the flags name."""
    return machine.Machine(**{name: given[name] for name in ("device", "precision", "data_dir") if given.get(name) is not None})


def _first_line(entry: Any) -> str:
    return (entry.__doc__ or "").strip().splitlines()[0]


def _two_columns(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, value)
    return table
