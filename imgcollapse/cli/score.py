"""`imgcollapse score`."""

import sys
from pathlib import Path
from typing import Any

from imgcollapse import progress
from imgcollapse.cli.score_tables import tables
from imgcollapse.cli.variables import say_used
from imgcollapse.interface import console, scoring
from imgcollapse.interface.common import checked, machine_from
from imgcollapse.interface.scoring import Record
from imgcollapse.machine import devices, streams


def score(paths: tuple[Path, ...], given: dict[str, Any], assignments: tuple[str, ...], *, as_json: bool) -> None:
    """`imgcollapse score SAMPLES... --against DATASET`: `given` are the flags (None where not given), `assignments` those of --set."""
    chosen = scoring.scoring_from(given, assignments)
    with devices.use(checked(machine_from(given))):
        with progress.watched_by(console.lines(given["log_json"])):
            say_used()
        found = scoring.execute(chosen, paths, given, console.watcher(None, given["log_json"]))
    if found.stopped:
        streams.err("stopped; nothing was written")
        sys.exit(found.stopped[0])
    if as_json:
        streams.out_json(found.record, indent=1)
    else:
        _print(found.record)
    if found.failed:
        raise found.failed
    if not as_json:
        streams.out(f"written: {found.place}")


def _print(record: Record) -> None:
    out = console.out(110)
    for table in tables(record):
        out.print(table)
    for name, one in record["samples"].items():
        for extractor, entry in one.get("as_published", {}).items():
            which = f"all {entry['samples']:,} samples against all {entry['reference']:,} training pictures"
            streams.out(f"{name}: {entry['name']} as papers report it ({extractor}; {which}): {entry['value']:.3f}")
