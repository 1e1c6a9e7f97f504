"""`imgcollapse judge`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgcollapse import progress, store
from imgcollapse.cli.variables import say_used
from imgcollapse.interface import judging
from imgcollapse.interface.common import checked, machine_from
from imgcollapse.interface.console import lines
from imgcollapse.machine import devices, streams


def judge(places: Sequence[Path], given: dict[str, Any], assignments: tuple[str, ...], *, as_json: bool) -> None:
    """`imgcollapse judge RUN_OR_ABLATION...`: `given` are the flags (None where not given), `assignments` those of --set."""
    changes = judging.changes_from(given, assignments)
    found = judging.runs_at(places, changes)
    with devices.use(checked(machine_from(given))), progress.watched_by(lines(given["log_json"])):
        say_used()
        judged = judging.execute(found, changes)
    if judged.stopped:
        streams.err("stopped; what is judged is kept. To go on, run the same command again.")
        sys.exit(judged.stopped[0])
    if as_json:
        streams.out_json({"judged": judged.by, "reports": [str(page) for page in judged.pages]})
    else:
        for folder, name in judged.by.items():
            streams.out(f"{folder}: {store.SCORES}/{name}")
    if judged.failed:
        sys.exit(judged.failed[0].exit_code)
