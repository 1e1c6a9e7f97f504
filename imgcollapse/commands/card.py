"""`imgcollapse card`."""

import json
import sys
from pathlib import Path

import click

from imgcollapse.card import write
from imgcollapse.commands.common import stoppable
from imgcollapse.export import Export


def card(run: Path, generation: int | None, out: Path | None, export: Export | None, as_json: bool) -> None:
    """`imgcollapse card RUN`."""
    with stoppable() as stopped:  # so that no half-filled folder is left
        made = write(run, generation, out, export)
    if stopped:
        click.echo("stopped; nothing was written. To go on, run the same command again.", err=True)
        sys.exit(stopped[0])
    if as_json:
        click.echo(json.dumps(made))
        return
    through = f"longest chain {made['longest_chain']}, mean depth {made['mean_depth']:.4g}"
    click.echo(f"generation {made['generation']} learned from {100 * made['synthetic_share']:.4g} % synthetic data ({through})")
    click.echo(f"written:\n  {made['model']}\n  {made['dataset']}")
