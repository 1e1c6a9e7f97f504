"""Runs for the tests of the engines: one that takes a while, and one that does not."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgcollapse import store, study
from imgcollapse.ablation import worker
from imgcollapse.settings import build
from imgcollapse.store import history
from imgcollapse.study import Study

SLOW: dict[str, Any] = {
    "dataset": "digits",
    "model": {"kind": "vae", "steps": 150, "width": 8},
    "judge": {"extractors": ["pixels"]},
    "samples": 500,
    "gens": 6,
}
QUICK: dict[str, Any] = {"dataset": {"kind": "gaussian", "size": 200}, "model": "gaussian", "gens": 3}


def lay_out(folder: Path, values: dict[str, Any], **more: Any) -> Path:
    """A run folder with its orders, in an ablation's folder of its own."""
    chosen = study.prepare(build(Study, {**values, **more}))[0]
    run = folder / "runs" / chosen.name()
    worker.lay_out(run, chosen, worker.Resources(1, "cpu", "float32", os.environ["IMGCOLLAPSE_DATA"], str(folder.absolute() / "shared")))
    return run


def plainly(folder: Path, values: dict[str, Any], **more: Any) -> dict[str, bytes]:
    """What the same run finds in this process."""
    run = lay_out(folder, values, **more)
    assert worker.work(run) == 0
    return outcome(run)


def outcome(run: Path) -> dict[str, bytes]:
    """All that a run found, byte for byte; its manifests also say when."""
    files = (path for path in run.glob("gen_*/**/*") if path.is_file() and path.name != "MANIFEST.json")
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def times(run: Path) -> dict[str, int]:
    """When each finished generation was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run.glob("gen_[0-9]*/MANIFEST.json") if path.parent.suffix != ".draft"}


def made(run: Path) -> list[int]:
    """Which generations were made, in the order in which they were."""
    return [line["generation"] for line in history.lines(run)]


def writer_of(run: Path) -> int:
    """The process that holds the run's lock (Linux)."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) == str((run / store.LOCK).resolve()):
                return int(descriptor.parts[2])
        except OSError:  # it has ended meanwhile
            continue
    raise AssertionError(f"nobody writes {run}")


class At:
    """An `each_second` that does something once, as soon as a run has so many generations; then it remembers when they were written."""

    def __init__(self, run: Path, generations: int, act: Callable[[], object]) -> None:
        self.run, self.generations, self.act = run, generations, act
        self.before: dict[str, int] = {}

    def __call__(self) -> None:
        if not self.before and len(times(self.run)) >= self.generations:
            self.before = times(self.run)
            self.act()

    def nothing_was_made_twice(self) -> bool:
        """Whether the run went on where it was."""
        after, gens = times(self.run), list(range(len(times(self.run))))
        kept = {name: after[name] for name in self.before} == self.before
        return 0 < len(self.before) < len(gens) and kept and made(self.run) == gens
