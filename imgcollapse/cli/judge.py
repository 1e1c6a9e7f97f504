"""`imgcollapse judge`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgcollapse import progress, reports, store
from imgcollapse.ablation import plan, status
from imgcollapse.ablation.again import judge_again
from imgcollapse.ablation.grid import ABLATION, PLAN, SHARED, Ablation
from imgcollapse.ablation.summary import Run, named
from imgcollapse.cli import ablate, console
from imgcollapse.cli.common import checked, fetch_weights_of, machine_from, stoppable
from imgcollapse.cli.console import Lines
from imgcollapse.cli.run import draw
from imgcollapse.errors import SettingsProblem
from imgcollapse.extractors import own_metrics
from imgcollapse.judges.judge import Judge
from imgcollapse.machine import devices, streams
from imgcollapse.settings import assignment, build, merge, read_file


def judge(places: Sequence[Path], given: dict[str, Any], assignments: tuple[str, ...], *, as_json: bool) -> None:
    """`imgcollapse judge RUN_OR_ABLATION...`: `given` are the flags (None where not given), `assignments` those of --set."""
    changes = changes_from(given, assignments)
    found = [(place, list({run.folder: run for run in with_chains(plan.runs_in(place))}.values())) for place in places]
    judged: dict[str, str] = {}
    with devices.use(checked(machine_from(given))), progress.watched_by(Lines()):
        with stoppable() as stopped:
            for place, runs in found:
                for run in runs:
                    by = judged_by(run, changes)
                    judged[str(run.folder)] = _judge(run, by, len(runs) > 1, place / SHARED if (place / PLAN).is_file() else None)
        pages = [_page(place, runs) for place, runs in found]
    if stopped:
        streams.err("stopped; what is judged is kept. To go on, run the same command again.")
        sys.exit(stopped[0])
    if as_json:
        streams.out_json({"judged": judged, "reports": [str(page) for page in pages]})
    else:
        for folder, name in judged.items():
            streams.out(f"{folder}: {store.SCORES}/{name}")


def changes_from(given: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a judge that flags and --set name. Raises SettingsProblem for one that is not a judge's."""
    changes: dict[str, Any] = {} if given.get("extractor") is None else {"extractors": given["extractor"]}
    for text in assignments:
        layer = assignment(text)
        if set(layer) != {"judge"} or not isinstance(layer["judge"], dict):
            raise SettingsProblem(f"--set {text}: what a run has made stays; name a setting that begins with judge., such as judge.k=3")
        changes = merge(changes, layer["judge"])
    return changes


def judged_by(run: Run, changes: dict[str, Any]) -> Judge:
    """The judge of the run's own study with these changes; weights that its extractors need are fetched."""
    judge = build(Judge, merge(run.study.judge.model_dump(mode="json"), changes))
    if "metrics" not in changes and judge.metrics is not None:  # those of the study, chosen without an extractor that has some of its own
        own = own_metrics(judge.extractors or ())
        judge = judge.model_copy(update={"metrics": (*judge.metrics, *sorted(own - set(judge.metrics)))})
    fetch_weights_of([run.study.model_copy(update={"judge": judge})])
    return judge


def with_chains(runs: Sequence[Run]) -> list[Run]:
    """These runs, each ensemble with its chains behind it."""
    return [one for run in runs for one in (run, *plan.chains_in(run))]


def _judge(run: Run, by: Judge, several: bool, shared: Path | None) -> str:
    """Judges one run, a line a generation; returns the name of the judge's folder."""
    who = f"{named(run.arm, run.null)}, seed {run.seed}: " if several else ""

    def landed(generation: int, scores: Any) -> None:
        streams.err(f"{who}generation {generation}  {console.in_short(scores)}")

    return judge_again(run.study, run.folder, by, landed, shared)


def _page(place: Path, runs: Sequence[Run]) -> Path:
    """What is made from the scores, made again: page, pictures, and of an ablation its tables."""
    if (place / store.STUDY).is_file():
        return draw(place)[1].page
    chosen = build(Ablation, read_file(place / ABLATION))
    with plan.alone(place):
        ablate.finish(place, chosen, plan.read(place), status.run_statuses(runs, checked=True), "t")
    return place / reports.PAGE
