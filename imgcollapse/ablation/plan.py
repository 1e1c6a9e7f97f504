"""The plan of an ablation: which run folder each arm and seed has, laid out and read back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgcollapse import datasets, files, progress, store, study
from imgcollapse.ablation import ensemble, worker
from imgcollapse.ablation.endpoint import DEFAULT, Asked, Endpoint, When
from imgcollapse.ablation.grid import ABLATION, PLAN, RUNS, Ablation, without_gens
from imgcollapse.ablation.summary import Run
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem, brief
from imgcollapse.files import digest_of, first_difference, ledger, locks, same_or_refuse, to_json
from imgcollapse.images import World
from imgcollapse.settings import build, read_file, to_yaml
from imgcollapse.store.identity import study_digest
from imgcollapse.store.records import read_json
from imgcollapse.study import Study

AGAIN = "run the ablation's own command again, which makes it again"
Resolved = list[tuple[str, str | None, Study]]


def resolve(ablation: Ablation, folder: Path) -> Resolved:
    """(arm, null model or None, study with every choice made), arms in their order. Nothing is written.

    Raises the Problems of `study.prepare`, named by arm, and OtherStudyProblem for a folder that holds something else.
    """
    resolved, worlds = [], dict[str, World]()
    for arm, null, chosen in ablation.studies():
        key = chosen.dataset.model_dump_json()
        if key not in worlds:
            worlds[key] = datasets.load(chosen.dataset, chosen.seed)
        try:
            ensemble.refuse_part(chosen)
            own = study.prepare(chosen, worlds[key])[0]
            ensemble.check_folder(own, worlds[key])
            if null is None:
                ablation.endpoint.check(own)
            resolved.append((arm, null, own))
        except (SettingsProblem, DataProblem) as problem:
            raise type(problem)(f"arm {brief(arm)}{f' with null model {null}' if null else ''}: {problem}") from None
    _refuse_other(folder)
    return resolved


def make(ablation: Ablation, resolved: Resolved, folder: Path, resources: Resources, seeds: Sequence[int] | None = None) -> list[Run]:
    """All runs of the ablation with its seeds (or with these), each with its folder laid out, arms in their order within each seed.

    Two arms with the same settings share a folder. Raises OtherStudyProblem for a folder that holds another ablation.
    """
    endpoint = {**ablation.endpoint.model_dump(mode="json"), "named": _named(ablation.endpoint, folder)}
    _keep(ablation, folder)
    runs = runs_of(resolved, folder, ablation.seeds if seeds is None else seeds)
    _say_changed(runs, folder)
    for run in runs:
        worker.lay_out(run.folder, run.study, resources)
    index = [{"arm": run.arm, "null": run.null, "seed": run.seed, "run": run.folder.name, "study": _digest(run.study)} for run in runs]
    pilot = [] if ablation.half_width is None else list(ablation.seeds)
    ledger.put(folder, {PLAN: to_json({"endpoint": endpoint, "pilot": pilot, "half_width": ablation.half_width, "runs": index})})
    return runs


def _say_changed(runs: Sequence[Run], folder: Path) -> None:
    """Says which runs of the last call have other settings now, and so are made anew: by an edited file, say, that a model names."""
    try:
        before = {(one["arm"], one["null"], one["seed"]): folder / RUNS / Path(one["run"]).name for one in _plan(folder)["runs"]}
    except (SettingsProblem, DataProblem, KeyError, TypeError):  # no plan yet, or none that can be believed
        return
    both = [(before[key], run) for run in runs if (key := (run.arm, run.null, run.seed)) in before]
    changed = [(old, now) for old, now in both if old != now.folder and store.numbers(old)]
    if changed:  # as plain values: a study whose plug-in has changed cannot be read any more
        old, now = store.readable(changed[0][0] / store.STUDY, quiet=True), changed[0][1]
        what = f" ({first_difference(old, now.study.model_dump(mode='json'))})" if old is not None else ""
        first = f"arm {brief(now.arm)} is not what it was{what}"
        progress.say(f"{first}: {len(changed):,} runs have other settings now and are made again; the old ones stay in {folder / RUNS}")


def runs_of(resolved: Resolved, folder: Path, seeds: Sequence[int]) -> list[Run]:
    """The runs with these seeds, whether their folders are there or not."""
    studies = [(arm, null, seed, chosen.model_copy(update={"seed": seed})) for seed in seeds for arm, null, chosen in resolved]
    return [Run(arm, null, seed, own, folder / RUNS / own.name()) for arm, null, seed, own in studies]


def _named(endpoint: Endpoint, folder: Path) -> When:
    """When the endpoint was named. Another than that of an earlier call, where generations are there, was named after the runs."""
    try:
        before = asked(folder)
    except (SettingsProblem, DataProblem):  # no plan yet, or none that can be believed
        before = None
    if before is not None and before.endpoint == endpoint:
        return before.named
    chosen = endpoint != DEFAULT
    if (chosen or before is not None) and any(store.numbers(run) for run in (folder / RUNS).glob("*")):
        return "after the runs"
    return "before the runs" if chosen else "by default"


def asked(folder: Path) -> Asked:
    """What the ablation in the folder is to decide, as its plan says; the default endpoint, where an older version wrote the plan."""
    plan = _plan(folder)
    try:
        endpoint = dict(plan.get("endpoint", {}))
        when = endpoint.pop("named", "by default")
        return Asked(build(Endpoint, endpoint), when, tuple(plan.get("pilot", ())))
    except (SettingsProblem, TypeError, ValueError):
        raise DataProblem(f"{folder / PLAN}: is damaged; {AGAIN}") from None


def _digest(study: Study) -> str:
    return study_digest(store.parsed(to_yaml(study)))


def read(folder: Path) -> list[Run]:
    """The runs of an ablation's last call, from its folder alone. Raises SettingsProblem where the folder holds none."""
    plan = _plan(folder)
    try:
        return [_run(folder, one) for one in plan["runs"]]
    except (KeyError, TypeError, AttributeError):
        raise DataProblem(f"{folder / PLAN}: is damaged; {AGAIN}") from None


def _plan(folder: Path) -> dict[str, Any]:
    if not (folder / PLAN).is_file():
        raise SettingsProblem(f"{folder}: holds no ablation ({PLAN} is missing); name a folder that `imgcollapse ablate` made")
    noted = ledger.known(folder)[PLAN]
    if noted and digest_of(folder / PLAN) not in noted:
        raise DataProblem(f"{folder / PLAN}: has been changed since it was written; {AGAIN}")
    return read_json(folder / PLAN)


def _run(folder: Path, one: dict[str, Any]) -> Run:
    """The run of one entry of the plan. Raises DataProblem where its folder holds another study."""
    if Path(one["run"]).name != one["run"]:
        raise DataProblem(f"{folder / PLAN}: names a run outside of {folder / RUNS} ({brief(one['run'])}); {AGAIN}")
    place = folder / RUNS / one["run"] / store.STUDY
    try:
        values = read_file(place)
        study = build(Study, values)
    except SettingsProblem as problem:
        raise DataProblem(f"{str(problem).partition(';')[0]}; {AGAIN}") from None
    if one.get("study") not in (None, study_digest(values)):
        raise DataProblem(f"{place}: is not the study that {PLAN} says; put back what was changed, or run the ablation's own command again")
    return Run(one["arm"], one["null"], one["seed"], study, place.parent)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else plans, executes or sums up this ablation inside the block. Raises InUseProblem where somebody does."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"{folder}: another process works on this ablation; wait for its end, or choose another --out"
    with locks.alone(folder / store.LOCK, taken):
        files.sweep(folder)
        yield


def run_at(folder: Path) -> Run:
    """A single run, as an arm of its own."""
    own = build(Study, read_file(folder / store.STUDY))
    return Run(own.title().rpartition(", seed")[0], None, own.world_seed, own, folder)


def chains_in(run: Run) -> list[Run]:
    """The chains of an ensemble that have begun, each as an arm of its own; of another run, none."""
    parts = [store.chain_folder(run.folder, k) for k, _ in enumerate(ensemble.chains_of(run.study))]
    return [replace(run_at(part), null=run.null) for part in parts if (part / store.STUDY).is_file()]


def runs_in(folder: Path) -> list[Run]:
    """The run in a run's folder, or the runs of an ablation's last call. Raises SettingsProblem where it is neither."""
    if (folder / store.STUDY).is_file():
        return [run_at(folder)]
    if (folder / PLAN).is_file():
        return read(folder)
    if there := inside(folder):
        raise SettingsProblem(f"{folder}: is neither a run nor an ablation, but holds {len(there)}; {name_them(there)}")
    raise SettingsProblem(f"{folder}: is neither a run nor an ablation; name a folder that `imgcollapse run` or `imgcollapse ablate` made")


def name_them(there: Sequence[Path]) -> str:
    """What to do where one of several is meant."""
    return f"name those that you mean: {' '.join(map(str, there[:2]))}{' ...' if len(there) > 2 else ''}"


def inside(folder: Path) -> list[Path]:
    """The folders of runs and ablations that lie in this one, in the order of their names."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return [place for place in places if any((place / name).is_file() for name in (store.STUDY, PLAN))]


def in_order(runs: Sequence[Run]) -> list[Path]:
    """The folders of these runs, each once, in the order to execute them: the first arm with every seed, then the others seed by seed.

    So runs that are executed side by side do not wait for each other's generation 0, and complete comparisons come early.
    """
    return list(dict.fromkeys(run.folder for run in sorted(runs, key=lambda run: run.arm != runs[0].arm)))


def _keep(ablation: Ablation, folder: Path) -> None:
    """Writes `ablation.yaml`; arms, seeds and the number of generations may change from call to call, the rest of the base may not."""
    _refuse_other(folder)
    old = store.readable(folder / ABLATION, quiet=True)
    if old is not None and isinstance(old.get("base"), dict):  # else it is damaged, and set aside when it is written anew
        before, now = ({"base": without_gens(values["base"])} for values in (old, ablation.model_dump(mode="json")))
        same_or_refuse(folder, before, now, "holds another ablation")
    ledger.put(folder, {ABLATION: to_yaml(ablation)})


def _refuse_other(folder: Path) -> None:
    """Raises OtherStudyProblem where the folder holds other files than an ablation's, or than what one left that was killed at once."""
    ours = (store.LOCK, ledger.LEDGER, f"{ABLATION}.part", f"{PLAN}.part")  # the last two by older versions
    if folder.is_dir() and not (folder / ABLATION).exists() and any(e.name not in ours and not files.is_part(e) for e in folder.iterdir()):
        raise OtherStudyProblem(f"{folder}: this folder holds other files, and nothing is ever overwritten; choose another --out")
