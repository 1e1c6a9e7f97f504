"""The functions of `imgcollapse` (see there), each with its arguments as a mapping; what is left out is None."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from imgcollapse import progress
from imgcollapse.ablation import plan
from imgcollapse.ablation.status import RunStatus
from imgcollapse.ablation.summary import named
from imgcollapse.errors import SettingsProblem, UnfinishedProblem, brief
from imgcollapse.extractors import with_weights
from imgcollapse.files import expanded, to_json
from imgcollapse.interface import ablating, judging, reporting, running, scoring
from imgcollapse.interface.common import checked, machine_from, stoppable
from imgcollapse.interface.opened import Ablation, Run, Scored, opened
from imgcollapse.interface.told import called, told, watched
from imgcollapse.machine import devices, processes
from imgcollapse.settings import nested, read_number

Given = dict[str, Any]
YES, NO = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
INTERRUPTED = 130


def run(given: Given) -> Run:
    """`imgcollapse.run`."""
    with called(given["quiet"]):
        given, changes = _words(given)
        with devices.use(machine_from(given)), processes.together() as first:
            one = running.asked(given, changes, elsewhere=not first)
            if first:
                executed = running.execute(one, lambda gens: watched(gens, given["quiet"]))
                _end(executed.stopped)
                running.draw(one.folder)
                if executed.until:
                    progress.say(executed.until.line(one.study.gens))
        return Run(plan.run_at(one.folder))


def ablate(given: Given) -> Ablation:
    """`imgcollapse.ablate`."""
    with called(given["quiet"]):
        given, changes = _words(given)
        one = ablating.asked(given, changes, given["axes"] or {})
        with devices.use(one.here):
            executed = ablating.execute(one)
        _end(executed.stopped)
        _refuse_unfinished(one.folder, executed.after)
        return Ablation(one.folder)


def _refuse_unfinished(folder: Path, runs: Sequence[RunStatus]) -> None:
    """Raises UnfinishedProblem, with what the first of them says, where runs are not done."""
    undone = [one for one in runs if one.state != "done"]
    reasons = [f"; {named(one.run.arm, one.run.null)}, seed {one.run.seed}: {one.failure['message']}" for one in undone if one.failure]
    if undone:
        what = f"{len(undone)} of {len(runs)} runs are not finished{reasons[0] if reasons else ''}"
        raise UnfinishedProblem(f"{folder}: {what}; what is there is summed up, and can be opened")


def score(samples: Any, given: Given) -> Scored:
    """`imgcollapse.score`."""
    with called(given["quiet"]):
        given, changes = _words(given)
        chosen = scoring.scoring_from(given, changes)
        with devices.use(checked(machine_from(given))):
            found = scoring.execute(chosen, _places(samples), given, watched(None, given["quiet"]))
        _end(found.stopped)
        if found.failed:
            found.failed.add_note(to_json(found.record))
            raise found.failed
        return Scored(found.place, found.record)


def judge(folders: Sequence[Any], given: Given) -> dict[Path, str]:
    """`imgcollapse.judge`."""
    with called(given["quiet"]):
        given, changes = _words(given)
        wanted = judging.changes_from(given, changes)
        found = judging.runs_at(_places(folders), wanted)
        with devices.use(checked(machine_from(given))):
            judged = judging.execute(found, wanted)
        _end(judged.stopped)
        if judged.failed:
            raise judged.failed[0]
        return {Path(folder): name for folder, name in judged.by.items()}


def report(folders: Sequence[Any], given: Given) -> Path:
    """`imgcollapse.report`."""
    with called(given["quiet"]):
        one = reporting.asked(_places(folders), {**given, "page": None if given["out"] is None else os.fspath(given["out"])})
        with stoppable() as stopped:
            reporting.claim(one)
            done = reporting.execute(one)
        _end(stopped)
        return done.written.page


def open(folder: Any) -> Run | Ablation:
    """`imgcollapse.open`."""
    with told():
        return opened(_place(folder))


def _end(stopped: Sequence[int]) -> None:
    """Passes on what has stopped the work."""
    if stopped:
        _raise(stopped[0])


def _raise(code: int) -> NoReturn:
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    raise SystemExit(code)


def _places(given: Any) -> tuple[Path, ...]:
    several = given if isinstance(given, (list, tuple)) else [given]
    if not several:
        raise SettingsProblem("folders: there are none; name at least one")
    return tuple(map(_place, several))


def _place(given: Any) -> Path:
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
        if isinstance(given, (str, int, float, type(None))):
            raise SettingsProblem(f"{brief(given)} is not a file or folder; name one")
        raise SettingsProblem(f"{type(given).__name__}: is in memory; write pictures to an .npz (arr_0, uint8 [N, H, W, C]) and name that")
    return expanded(Path(given))


def _words(given: Given) -> tuple[Given, list[Mapping[str, Any]]]:
    """The arguments as the commands have their flags, and `set` as changes of settings, one after the other.

    On what machine it is done may stand in the environment too, as for the command line; what is made follows from the arguments alone.
    """
    given = {**given, **_of_machine(given)}
    for name in ("out", "config", "file", "learned_from"):
        if given.get(name) is not None and not isinstance(given[name], Mapping):
            given[name] = _place(given[name])
    if isinstance(given.get("extractor"), str):
        given["extractor"] = [name.strip() for name in given["extractor"].split(",")]
    files = given.get("plugins") or ()
    given["plugins"] = [str(_place(file)) for file in ([files] if isinstance(files, (str, os.PathLike)) else files)]
    if "track" in given:
        given["track"] = [given["track"]] if isinstance(given["track"], str) else list(given["track"])
    if "engine_options" in given:
        options = (given["engine_options"] or {}).items()
        given["engine_options"] = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options]
    return given, list(_changes(given["set"]))


def _of_machine(given: Given) -> Given:
    weights = {kind: _place(file) for kind, file in (given["weights"] or {}).items()}
    if unknown := weights.keys() - with_weights().keys():
        raise SettingsProblem(f"weights: {brief(min(unknown))} is unknown; there are: {', '.join(with_weights())}")
    found = {name: given[name] or os.environ.get(f"IMGCOLLAPSE_{name.upper()}") for name in ("device", "precision")}
    found["data_dir"] = None if given["data_dir"] is None else _place(given["data_dir"])
    for kind in with_weights():
        file = weights.get(kind) or os.environ.get(f"IMGCOLLAPSE_{kind.upper()}_WEIGHTS")
        found[f"{kind}_weights"] = None if file is None else _place(file)
    if "judge_beside" in given and given["judge_beside"] is None:
        found["judge_beside"] = _judged_beside(os.environ.get("IMGCOLLAPSE_JUDGE_BESIDE"))
    every = "IMGCOLLAPSE_CHECKPOINT_EVERY"
    if "checkpoint_every" in given and given["checkpoint_every"] is None and os.environ.get(every):
        found["checkpoint_every"] = read_number(os.environ[every], float, 0, every)
    return found


def _judged_beside(text: str | None) -> bool | None:
    if text is not None and text.lower() not in (*YES, *NO):
        raise SettingsProblem(f"IMGCOLLAPSE_JUDGE_BESIDE: {brief(text)} cannot be used; it should be yes or no")
    return None if text is None else text.lower() in YES


def _changes(wanted: Mapping[str, Any] | None) -> Iterable[Mapping[str, Any]]:
    if wanted is not None and not isinstance(wanted, Mapping):
        raise SettingsProblem(f"set: {brief(wanted)} cannot be used; it should be a mapping, such as {{'model.steps': 500}}")
    for path, value in (wanted or {}).items():
        if not isinstance(path, str):
            raise SettingsProblem(f"set: {brief(path)} is not the path of a setting; write for example model.steps")
        yield nested(path, value)
