"""`imgcollapse ablate`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from imgcollapse import progress, reports
from imgcollapse.ablation import summary
from imgcollapse.ablation.status import RunStatus, account
from imgcollapse.ablation.summary import Record, named
from imgcollapse.cli.variables import say_used
from imgcollapse.errors import UnfinishedProblem
from imgcollapse.interface import ablating, console, planning
from imgcollapse.interface.ablation_progress import account_line
from imgcollapse.judges.titles import source_title
from imgcollapse.machine import devices, streams


def ablate(given: dict[str, Any], assignments: tuple[str, ...], axes: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """`imgcollapse ablate [FILE]`: `given` are the flags (None where not given), `axes` those of --axis."""
    one = ablating.asked(given, assignments, axes, elsewhere=dry_run)
    with devices.use(one.here), progress.watched_by(console.lines(given["log_json"])):
        say_used()
        if dry_run:
            _show_plan(one, as_json)
            return
        executed = ablating.execute(one)
    if executed.stopped:
        sys.exit(executed.stopped[0])
    if as_json:
        made = [str(path) for path in executed.made]
        streams.out_json({"ablation": str(one.folder), "files": made, "account": account(executed.after)})
    else:
        _print_end(executed.after, executed.made, executed.record)
    if any(run.state != "done" for run in executed.after):
        sys.exit(UnfinishedProblem.exit_code)


def _print_end(after: Sequence[RunStatus], made: Sequence[Path], record: Record) -> None:
    out = console.out(140)
    if record:
        for extractor, (headings, *lines) in summary.table_lines(record).items():
            out.print(_table(f"{source_title(extractor)}; {record['method'].partition(';')[0]}", headings, lines))
        for ranking, headings, lines in summary.ranking_tables(record):
            out.print(_table(f"generators, ranked{': ' * bool(ranking['beside'])}{ranking['beside']}", headings, lines))
        for message in (
            *summary.ranking_lines(record),
            *summary.headline(record),
            *summary.rate_lines(record),
            *reports.disagreements(record),
        ):
            out.print(message)
    streams.out(account_line(after))
    for one in after:
        if one.failure is not None:
            where = f"{named(one.run.arm, one.run.null)}, seed {one.run.seed}, generation {one.failure['generation']}"
            streams.out(f"failed: {where}: {one.failure['message']}")
    if any(ablating.diverged(one) for one in after):
        streams.out("runs that diverged would do so again and are not tried again, unless with --retry")
    for path in ("written:", *(f"  {path}" for path in made)) if made else ():
        streams.out(path)


def _table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _show_plan(one: ablating.Asked, as_json: bool) -> None:
    arms, seeds = planning.once(one.ablation.studies()), list(one.ablation.seeds)
    if as_json:
        planned = planning.of_ablation(one)
        records = [
            {"arm": arm, "null": null, "study": own.model_dump(mode="json"), "seeds": seeds, "chosen": planned.chosen_in(arm, null, own)}
            for arm, null, own, _ in arms
        ]
        streams.out_json({"ablation": str(one.folder), "arms": records, **planned.record()})
        return
    streams.out(f"# {one.folder}")
    for arm, null, own, times in arms:
        streams.out(f"{named(arm, null, times)}: {own.title().rpartition(', seed')[0]}; seeds {', '.join(map(str, seeds))}")
    streams.out(f"{len({own.name() for _, _, own, _ in arms}) * len(seeds)} runs")
    planned = planning.of_ablation(one)  # takes a look at data and a little work
    for line in (*planned.chosen_lines(arms), *planned.lines()):
        streams.out(line)
