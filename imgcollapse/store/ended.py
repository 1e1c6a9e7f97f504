"""A run that ended before its last generation, because a condition on its scores was met: what it keeps of that."""

from pathlib import Path
from typing import Any

from imgcollapse.store.layout import ENDED, generation_folder
from imgcollapse.store.records import readable, write_sealed

Record = dict[str, Any]


def note(run: Path, record: Record | None) -> None:
    """Keeps that the run has ended by a condition (`condition`, `generation`, ...), or (None) that it goes on."""
    if record is None:
        (run / ENDED).unlink(missing_ok=True)
    else:
        write_sealed(run / ENDED, record)


def by(run: Path) -> Record | None:
    """By what condition the run has ended; None where it goes on to its last generation, or the generation at which it ended is gone."""
    record = readable(run / ENDED, quiet=True)
    there = record is not None and generation_folder(run, int(record["generation"])).is_dir()
    return record if there else None
