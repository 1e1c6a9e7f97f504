"""`imgcollapse list` and `imgcollapse doctor`."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.table import Table

from imgcollapse import plugins
from imgcollapse.ablation.engines import ENGINES
from imgcollapse.cli import listing
from imgcollapse.cli.trials import Tried, existing, of_files, of_processes
from imgcollapse.corrections import CORRECTIONS
from imgcollapse.datasets import DATASETS, torchvision_sets
from imgcollapse.errors import SettingsProblem
from imgcollapse.extractors import EXTRACTORS, weights, with_weights
from imgcollapse.extractors.references import references
from imgcollapse.gates import GATES
from imgcollapse.interface import bundled, console
from imgcollapse.interface.common import machine_from
from imgcollapse.judges import published
from imgcollapse.machine import devices, environment, streams
from imgcollapse.metrics import METRICS
from imgcollapse.models import MODELS
from imgcollapse.regimes import REGIMES
from imgcollapse.study import Study
from imgcollapse.track import TRACKERS

TABLES: dict[str, Mapping[str, Any]] = {
    "models": MODELS,
    "data sets": DATASETS,
    "regimes": REGIMES,
    "gates": GATES,
    "corrections": CORRECTIONS,
    "extractors": EXTRACTORS,
    "metrics": METRICS,
    "engines": {name: engine.execute for name, engine in ENGINES.items()},
    "trackers": TRACKERS,
}

STUDY_PARTS = ("init", "ensemble", "judge", "keep")  # settings of a study that are no table, and have options or words of their own


def list_tables(name: str | None, files: Sequence[str] = ()) -> None:
    """`imgcollapse list [NAME]`, with the parts of these plug-ins; NAME: of a part, a group (`models`, `configs`), or a score in tables."""
    plugins.loaded(files)
    out = console.out(140)
    if name is None:
        for title, table in TABLES.items():
            out.print(_two_columns(title, {key: listing.first_line(entry) for key, entry in table.items()}))
        out.print(_two_columns("parts of a study", {key: Study.model_fields[key].description or "" for key in STUDY_PARTS}))
        return
    if name in ("configs", "configurations"):
        out.print(_two_columns("configurations", bundled.questions()))
        return
    found = {title: table[name] for title, table in TABLES.items() if name in table}
    if not found and name in STUDY_PARTS:
        _list_part(name, Study.model_fields[name])
        return
    group, scores = listing.group(name, TABLES), listing.explained(name)
    if not found and group is None and not scores:
        raise SettingsProblem(f"list: there is no '{name}'; {listing.close(name, TABLES)}`imgcollapse list` shows all names")
    for title, entry in found.items():
        out.print(f"{name} ({title}): {listing.first_line(entry)}")
        settings = ENGINES[name].options if title == "engines" else entry
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            rows = _options(settings)
            out.print(_two_columns("options", rows) if rows else "no options")
        else:
            for line in (listing.with_words(entry).__doc__ or "").rstrip().splitlines()[1:]:
                out.print(line)
    if group is not None:
        out.print(_two_columns(group, {key: listing.first_line(entry) for key, entry in TABLES[group].items()}))
    for line in scores:
        out.print(line)


def _list_part(name: str, field: FieldInfo) -> None:
    out, part = console.out(140), listing.part(field)
    out.print(f"{name} (a part of a study; default {'none' if field.default is None else part.__name__ if part else field.default}):")
    out.print(field.description or "")
    if part is not None:
        out.print(_two_columns("options", _options(part)))


def _options(entry: type[BaseModel]) -> dict[str, str]:
    """`name = default` and what it means, for every option."""
    return {
        f"{name} = {'(required)' if field.is_required() else repr(field.default)}": field.description or ""
        for name, field in listing.options(entry).items()
    }


def doctor(given: dict[str, Any]) -> int:
    """`imgcollapse doctor`: prints what is there; the exit code, 1 when something must be mended. `given`: the flags.

    What is known without torch stands there at once, and what has to be tried follows.
    """
    here = machine_from(given)
    out, tried = console.out(140), of_files(here.data_dir)
    with devices.use(here):
        about = environment.software()
        out.print(_two_columns("doctor", {**_known(about, here), **_words(tried)}))
        rows, beware = _found()
        last = of_processes()
        out.print(_two_columns("tried with torch", {**rows, **_words(last)}))
    absent = [name for name, version in about["packages"].items() if version is None]
    wrong = [f"{name} is not installed; install this package again, in its clone: pip install ." for name in absent]
    wrong += [found for found in (tried | last).values() if found is not None]
    for line in wrong:
        streams.out(f"to fix: {line}")
    if beware:
        streams.out(f"beware: {beware}")
    streams.out("nothing to fix" if not wrong else "")
    return 1 if wrong else 0


def _known(about: Mapping[str, Any], here: devices.Machine) -> dict[str, str]:
    folder = here.data_dir
    data = {f"data: {kind}": torchvision_sets.state(one.files, folder) for kind, one in DATASETS.items() if one.files}
    return {
        "imgcollapse": f"{about['imgcollapse']} (commit {about['git_commit'] or 'unknown'})",
        "python": about["python"],
        "packages": ", ".join(f"{name} {version}" for name, version in about["packages"].items() if version),
        "processor": environment.processor(),
        "data folder": f"{folder} ({shutil.disk_usage(existing(folder)).free / 2**30:.0f} GiB free)",
        **data,
        "data: digits": "there (bundled with scikit-learn)",
    }


def _found() -> tuple[dict[str, str], str | None]:
    """Of the machine in use: what torch makes of it, and the weights that are there, which are read whole; and what other programs meet
    here that this one does not."""
    from imgcollapse.machine import torchvision_guard

    about = environment.describe()
    beware = torchvision_guard.elsewhere()
    rows = {
        "torchvision": {
            "healthy": "healthy",
            "mended": "built for another torch; repaired in this process (its nms and io do not work and are not needed)",
            "absent": "absent",
        }[torchvision_guard.state],
        "DDPMPipeline in other programs": "cannot be imported (below)" if beware else "can be imported, as far as torchvision goes",
        "device": f"{about['device']} ({about['device_name']}), threads: {about['threads']}",
        "precision": about["precision"] + ("" if about["precision"] == "bfloat16" else " (no bfloat16 in hardware here)"),
        **_weights(),
    }
    return rows, beware


def _words(tried: Tried) -> dict[str, str]:
    return {name: "works" if found is None else "does not work (below)" for name, found in tried.items()}


def _weights() -> dict[str, str]:
    """Which weights extractors would use, and which statistics they can be compared with."""
    shipped = (f"{one.name}, version {one.version} ({100 * one.accuracy:.1f} % accuracy)" for one in references().values())
    rows = {"reference classifiers": ", ".join(shipped)}
    rows |= {f"weights: {kind}": weights.state(extractor.published()) for kind, extractor in with_weights().items()}
    for name in published.STATISTICS.values():
        there = (weights.folder() / name).is_file()
        cure = f"not there: to compare ours with it, put {published.SOURCE}{name} into {weights.folder()}"
        rows[f"statistics: {name}"] = "there" if there else cure
    return rows


def _two_columns(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, value)
    return table
