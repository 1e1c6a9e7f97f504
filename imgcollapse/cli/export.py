"""`imgcollapse export`."""

import sys
from pathlib import Path

from imgcollapse import progress, store
from imgcollapse.datasets.layouts import WRITERS
from imgcollapse.errors import SettingsProblem
from imgcollapse.exchange import samples
from imgcollapse.files.places import made_once, tried
from imgcollapse.images import UNLABELLED
from imgcollapse.interface.common import stoppable
from imgcollapse.interface.console import Lines
from imgcollapse.machine import streams

FLAG = "--to"
FILES = ("zip", "npz")  # one file each, named by its suffix; the others are folders


def export(run: Path, number: int | None, to: str, out: Path | None, as_json: bool) -> None:
    """`imgcollapse export RUN`."""
    tried(out or run / "export" / "gen_000.zip")
    with stoppable() as stopped, progress.watched_by(Lines()):  # so that nothing half-filled is left
        number, drawn = samples.generation(run, number)
        name = store.generation_folder(run, number).name
        place = out or run / "export" / (f"{name}.{to}" if to in FILES else f"{name}-{to}")
        if to in FILES and place.suffix.lower() != f".{to}":
            raise SettingsProblem(f"--out: {place}: programs tell what is in a file by its name; end it in .{to}")
        classes = store.classes(run)
        with made_once(place) as draft:
            WRITERS[to](drawn, classes, draft, FLAG)
    if stopped:
        streams.err("stopped; nothing was written. To go on, run the same command again.")
        sys.exit(stopped[0])
    classed = int((drawn.labels != UNLABELLED).sum())
    if to == "folder" or (to in FILES and classed < len(drawn)):
        classed = 0  # these layouts have classes for all pictures, or for none
    if as_json:
        made = {"run": str(run), "generation": number, "to": to, "pictures": len(drawn), "with_class": classed, "place": str(place)}
        streams.out_json(made)
        return
    things = "points" if drawn.are_points else "pictures"
    labelled = "each with its class" if classed == len(drawn) else f"{classed:,} with their class" if classed else "without classes"
    streams.out(f"generation {number}: {len(drawn):,} {things}, {labelled}")
    streams.out(f"written: {place}")
