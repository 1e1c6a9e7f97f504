"""What `imgcollapse judge` and `imgcollapse.judge` do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import plugins, progress, reports, store
from imgcollapse.ablation import plan, status
from imgcollapse.ablation.again import judge_again
from imgcollapse.ablation.grid import ABLATION, PLAN, SHARED, Ablation
from imgcollapse.ablation.summary import Run, named
from imgcollapse.errors import Problem, SettingsProblem
from imgcollapse.extractors import own_metrics
from imgcollapse.interface import console
from imgcollapse.interface.ablating import finish
from imgcollapse.interface.common import fetch_weights_of, layer, stoppable
from imgcollapse.interface.running import draw
from imgcollapse.judges.judge import Judge
from imgcollapse.settings import build, merge, read_file

Found = Sequence[tuple[Path, Sequence[Run]]]


@dataclass(frozen=True)
class Judged:
    """What came of it.

    by:      folder of a run -> the name of its judge's folder
    pages:   that were made again
    stopped: the exit code, where it was stopped
    failed:  of several runs, why some could not be judged; it was said
    """

    by: dict[str, str]
    pages: list[Path]
    stopped: list[int]
    failed: list[Problem]


def runs_at(places: Sequence[Path], changes: Mapping[str, Any]) -> Found:
    """The runs of each folder, each once.

    Raises SettingsProblem for a folder that is neither a run nor an ablation, and for changes that the judge of a run there cannot have.
    """
    found = [(place, list({run.folder: run for run in with_chains(plan.runs_in(place))}.values())) for place in places]
    for run in (run for _, runs in found for run in runs):
        _changed(run, changes)
    return found


def execute(found: Found, changes: Mapping[str, Any]) -> Judged:
    """Judges the runs again, with these changes of their studies' judges, and makes again what is made from scores.

    Of several runs one that cannot be judged does not stop the others, as it does not stop a report.
    """
    judged, failed = dict[str, str](), list[Problem]()
    with progress.beating(), stoppable() as stopped:
        for place, run, several in [(place, run, len(runs) > 1) for place, runs in found for run in runs]:
            by = judged_by(run, changes)
            try:
                judged[str(run.folder)] = _judge(run, by, several, place / SHARED if (place / PLAN).is_file() else None)
            except Problem as problem:
                if not several:
                    raise
                progress.say(f"{run.folder} is not judged, the others are: {problem}")
                failed.append(problem)
    return Judged(judged, [_page(place, runs) for place, runs in found], stopped, failed)


def changes_from(given: Mapping[str, Any], changes: Sequence[str | Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of a judge that flags and --set name. Raises SettingsProblem for one that is not a judge's."""
    plugins.loaded(given.get("plugins") or ())
    found: dict[str, Any] = {} if given.get("extractor") is None else {"extractors": given["extractor"]}
    for change in changes:
        one = layer(change)
        if set(one) != {"judge"} or not isinstance(one["judge"], Mapping):
            shown = change if isinstance(change, str) else ", ".join(map(str, change))
            raise SettingsProblem(f"--set {shown}: what a run has made stays; name a setting that begins with judge., such as judge.k=3")
        found = merge(found, one["judge"])
    return found


def judged_by(run: Run, changes: Mapping[str, Any]) -> Judge:
    """The judge of the run's own study with these changes; weights that its extractors need are fetched."""
    judge = _changed(run, changes)
    if "metrics" not in changes and judge.metrics is not None:  # those of the study, chosen without an extractor that has some of its own
        own = own_metrics(judge.extractors or ())
        judge = judge.model_copy(update={"metrics": (*judge.metrics, *sorted(own - set(judge.metrics)))})
    fetch_weights_of([run.study.model_copy(update={"judge": judge})])
    return judge


def _changed(run: Run, changes: Mapping[str, Any]) -> Judge:
    return build(Judge, merge(run.study.judge.model_dump(mode="json"), changes))


def with_chains(runs: Sequence[Run]) -> list[Run]:
    """These runs, each ensemble with its chains behind it."""
    return [one for run in runs for one in (run, *plan.chains_in(run))]


def _judge(run: Run, by: Judge, several: bool, shared: Path | None) -> str:
    """Judges one run, a line a generation; returns the name of the judge's folder."""
    who = f"{named(run.arm, run.null)}, seed {run.seed}: " if several else ""

    def landed(generation: int, scores: Any) -> None:
        progress.say(f"{who}generation {generation}  {console.in_short(scores)}")

    return judge_again(run.study, run.folder, by, landed, shared)


def _page(place: Path, runs: Sequence[Run]) -> Path:
    """What is made from the scores, made again: page, pictures, and of an ablation its tables."""
    if (place / store.STUDY).is_file():
        return draw(place)[1].page
    chosen = build(Ablation, read_file(place / ABLATION))
    with plan.alone(place):
        finish(place, chosen, plan.read(place), status.run_statuses(runs, checked=True), "t")
    return place / reports.PAGE
