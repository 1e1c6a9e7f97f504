"""`imgcollapse card`."""

import sys
from pathlib import Path

from imgcollapse.datasets.layouts import Export
from imgcollapse.exchange.card import write
from imgcollapse.interface.common import stoppable
from imgcollapse.machine import streams


def card(run: Path, generation: int | None, out: Path | None, export: Export | None, as_json: bool) -> None:
    """`imgcollapse card RUN`."""
    with stoppable() as stopped:  # so that no half-filled folder is left
        made = write(run, generation, out, export)
    if stopped:
        streams.err("stopped; nothing was written. To go on, run the same command again.")
        sys.exit(stopped[0])
    if as_json:
        streams.out_json(made)
        return
    through = f"longest chain {made['longest_chain']}, mean depth {made['mean_depth']:.4g}"
    streams.out(f"generation {made['generation']} learned from {100 * made['synthetic_share']:.4g} % synthetic data ({through})")
    for line in ("written:", f"  {made['model']}", f"  {made['dataset']}"):
        streams.out(line)
