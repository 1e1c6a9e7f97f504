"""`imgcollapse prune`."""

from pathlib import Path

from imgcollapse import progress
from imgcollapse.interface import pruning
from imgcollapse.interface.console import Lines
from imgcollapse.machine import streams


def prune(folder: Path, models: str, samples: str, *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse prune RUN_OR_ABLATION`."""
    with progress.watched_by(Lines()):
        found = pruning.planned(folder, models, samples)
        if not dry_run:
            pruning.execute(found)
    if as_json:
        streams.out_json({**found.record(), "dry_run": dry_run})
        return
    for line in found.lines():
        streams.out(line)
    verb = "would be free" if dry_run else "are free now"
    streams.out(f"{folder}: {found.room / 1e6:,.1f} MB {verb}{' (nothing was removed)' if dry_run else ''}")
