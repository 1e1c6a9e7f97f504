"""The unit of work of an ablation: a run folder that says all that is needed to execute it, from wherever it is."""

import logging
import traceback
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgcollapse import files, progress, store
from imgcollapse.ablation import ensemble
from imgcollapse.errors import DataProblem, InUseProblem, OtherStudyProblem, Problem, explained
from imgcollapse.files import same_or_refuse, to_json, write_text
from imgcollapse.heavy import torch
from imgcollapse.machine import devices, streams, typed
from imgcollapse.machine.devices import Machine
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import build, read_file, to_yaml
from imgcollapse.store.identity import decided
from imgcollapse.store.records import read_json, read_sealed, write_sealed
from imgcollapse.study import Study

WORKER, FAILED = "worker.json", "failed.json"


@dataclass(frozen=True)
class Resources:
    """What a run may use, and where things lie for it.

    threads:   of the processor, for every matrix product; they decide the last digits
    device:    `auto`, `cpu`, `cuda`, ...
    precision: `auto`, `float32`, `bfloat16`
    data_dir:  where data sets, classifiers and published weights are kept
    shared:    the folder of generations that runs have in common
    weights:   files to use instead of published weights, by the kind of the extractor
    folder:    in which programs of the user's are started, whatever folder the worker is in; "": that one
    checkpoint_every: minutes between checkpoints of a generation that is being made
    command:   that was typed to begin the ablation; None: it was begun from Python
    """

    threads: int
    device: str
    precision: str
    data_dir: str
    shared: str
    weights: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    checkpoint_every: float = 10.0
    command: str | None = None

    @classmethod
    def of(cls, here: Machine, threads: int, shared: Path) -> "Resources":
        """Those of this machine, whatever folder the worker is started in."""
        weights = {kind: str(path.absolute()) for kind, path in here.weights.items()}
        data_dir, shared, folder = (place.absolute() for place in (here.data_dir, shared, here.folder))
        places, more = (str(data_dir), str(shared), weights, str(folder)), (here.checkpoint_every, typed.command())
        return cls(threads, here.device, here.precision, *places, *more)

    def here(self) -> Machine:
        """The machine as the worker is to see it."""
        weights = {kind: Path(path) for kind, path in self.weights.items()}
        return Machine(self.device, self.precision, Path(self.data_dir), weights, Path(self.folder), self.checkpoint_every)


def lay_out(run: Path, chosen: Study, resources: Resources) -> None:
    """Makes the run folder with its study and its resources, or checks those that are there. `chosen` has every choice made."""
    text, wanted_resources = to_yaml(chosen), asdict(resources)
    run.mkdir(parents=True, exist_ok=True)
    if not (run / WORKER).exists() and (run / store.STUDY).exists() and store.numbers(run):
        raise OtherStudyProblem(f"{run}: is a run that was not made by an ablation; choose another --out")
    files.sweep(run)
    if (before := store.readable(run / WORKER)) is not None:
        for name in ("threads", "device", "precision"):  # what may decide the numbers
            if store.numbers(run) and before.get(name) != wanted_resources[name]:
                raise OtherStudyProblem(
                    f"{run}: was begun with --{name} {before.get(name)}, now {wanted_resources[name]}; "
                    f"add --{name} {before.get(name)}, or choose another --out"
                )
    there, wanted = store.readable(run / store.STUDY), store.parsed(text)
    if there is not None:
        same = {**wanted, "gens": there.get("gens")}  # more generations go on
        same_or_refuse(
            run / store.STUDY, decided(there), decided(same), "was changed after it was written", "change it back, or choose another --out"
        )
    if there is None or wanted["gens"] > there["gens"] or (wanted["gens"] == there["gens"] and wanted != there):
        write_text(run / store.STUDY, text)
    write_sealed(run / WORKER, wanted_resources)


class _Log(progress.Silent):
    """Prints messages for the user into the run's log."""

    def say(self, line: str) -> None:
        """Prints the line."""
        print(streams.stamped(line), flush=True)


def _landed(generation: int, scores: Scores) -> None:
    progress.landed()
    left = progress.run_left()
    progress.say(f"generation {generation} is finished" + ("" if left is None else f", about {progress.duration(left)} left"))


def work(run: Path) -> int:
    """Executes the run, or what is left of it. Returns 0, or the exit code of the failure that it has recorded in the folder.

    Raises KeyboardInterrupt where it is stopped; InUseProblem where another process is at it (which is no failure of the run).
    """
    try:
        resources = Resources(**read_sealed(run / WORKER))
    except (DataProblem, TypeError):
        wrong = f"{WORKER} is {'damaged' if (run / WORKER).exists() else 'missing'}"
        cure = "name a folder in DIR/runs, or run the ablation again, which makes it again"
        raise DataProblem(f"{run}: is not a run of an ablation ({wrong}); {cure}") from None
    torch.set_num_threads(resources.threads)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    before = read_failure(run)
    try:
        with devices.use(resources.here()), typed.noted(resources.command), progress.watched_by(_Log()), progress.beating():
            chosen = build(Study, read_file(run / store.STUDY))
            progress.say(f"{chosen.title()}, {chosen.gens} generations")
            progress.whole(max(0, chosen.gens - len(store.numbers(run))))
            ensemble.run(chosen, run, _landed, Path(resources.shared))
    except InUseProblem:
        raise
    except Exception as error:
        traceback.print_exc()
        problem = explained(error)
        code = 1 if problem is None else problem.exit_code
        record_failure(run, type(error).__name__, " ".join(str(problem or error).split()) or type(error).__name__, code)
        return code
    if before is not None:
        (run / FAILED).unlink(missing_ok=True)
    return 0


def record_failure(run: Path, kind: str, message: str, exit_code: int) -> None:
    """Records a failure in the run's folder, for `imgcollapse status` and the summary; where it cannot be written, prints it."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        record = {"kind": kind, "message": message, "exit_code": exit_code, "generation": len(store.finished(run)), "when": when}
        write_text(run / FAILED, to_json(record))
    except (OSError, Problem) as error:
        progress.say(f"{run}: FAILED: {message} (this could not be recorded there: {explained(error)})")


def read_failure(run: Path) -> dict[str, Any] | None:
    """What `record_failure` left: kind, message, exit_code, generation, when; None where nothing failed."""
    if not (run / FAILED).exists():
        return None
    try:
        record = read_json(run / FAILED)
        return {
            **{name: str(record[name]) for name in ("kind", "message", "when")},
            **{name: int(record[name]) for name in ("exit_code", "generation")},
        }
    except (DataProblem, KeyError, TypeError, ValueError):
        done = len(store.finished(run)) if (run / store.STUDY).is_file() else 0
        message = f"{FAILED} is damaged, so it cannot be told what failed; run the ablation again, which tries this run again"
        return {"kind": "unknown", "message": message, "exit_code": 1, "generation": done, "when": ""}
