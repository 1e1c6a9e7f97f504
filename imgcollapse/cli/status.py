"""`imgcollapse worker` and `status`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from imgcollapse import progress, store
from imgcollapse.ablation import plan, worker
from imgcollapse.ablation.inside import in_short, places_in
from imgcollapse.ablation.status import account, as_record, run_statuses, seconds_left
from imgcollapse.ablation.summary import named
from imgcollapse.files.places import tried
from imgcollapse.interface import console
from imgcollapse.interface.ablation_progress import account_line
from imgcollapse.interface.common import stoppable
from imgcollapse.interface.console import Lines
from imgcollapse.machine import streams


def work(run: Path) -> None:
    """`imgcollapse worker RUN_DIR`."""
    if run.is_dir():
        tried(run / store.STUDY, "make it writable")
    with stoppable() as stopped:
        code = worker.work(run)
    sys.exit(stopped[0] if stopped else code)


def status(folder: Path, as_json: bool) -> None:
    """`imgcollapse status DIR`: of an ablation or of a single run; of a folder with several of them, a line each."""
    if places := places_in(folder):
        _overview(folder, places, as_json)
        return
    if (folder / store.STUDY).is_file():
        runs, root = [plan.run_at(folder)], folder.parent
    else:
        runs, root = plan.read(folder), folder
    with progress.watched_by(Lines()):
        all_of_them = run_statuses(runs, checked=True)
    busy = sum(one.state == "running" for one in all_of_them)
    left = seconds_left(all_of_them, max(1, busy))
    if as_json:
        records = [as_record(one, root) for one in all_of_them]
        streams.out_json({"folder": str(folder), "runs": records, "account": account(all_of_them), "seconds_left": left})
        return
    out = console.out(140)
    table = Table(title=str(folder), title_justify="left")
    for heading in ("arm", "seed", "state", "generations", ""):
        table.add_column(heading, overflow="fold")
    for one in all_of_them:
        message = f"{one.failure['kind']} in generation {one.failure['generation']}: {one.failure['message']}" if one.failure else one.ended
        table.add_row(named(one.run.arm, one.run.null), str(one.run.seed), one.state, f"{one.done} of {one.run.study.gens}", message)
    out.print(table)
    streams.out(account_line(all_of_them, left if busy else None))


def _overview(folder: Path, places: Sequence[Path], as_json: bool) -> None:
    """What each run or ablation in a folder is, and how far; of one that cannot be read, why, and the others still."""
    found = [in_short(place) for place in places]
    if as_json:
        streams.out_json({"folder": str(folder), "inside": [one.record() for one in found]})
        return
    table = Table(title=str(folder), title_justify="left")
    for heading in ("folder", "what", "state", "generations", ""):
        table.add_column(heading, overflow="fold")
    for one in found:
        done = f"{one.done} of {one.generations}" if one.generations is not None else ""
        table.add_row(one.name, one.what, one.state, done, one.message)
    console.out(140).print(table)
