"""Slurm, through submitit: an array of jobs, one a run.

A job that loses its place (time limit, preemption, `scontrol requeue`) goes back into the queue, and its run goes on where it was.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field, NonNegativeInt

from imgcollapse import progress, store
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.common import execute, left_undone, option, read_options
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.errors import SettingsProblem
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.settings import Settings
from imgcollapse.store.records import write_sealed

NAME, JOBS = "imgcollapse", "jobs.json"
POLL = 5  # seconds between two questions to Slurm, whose controller serves everybody
SETTLE = 15  # seconds until a node's last files are seen here too, over a network file system
GRACE = 60  # seconds in which cancelled jobs may end cleanly; Slurm kills after 30, its default
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
HINTS = {"OUT_OF_MEMORY": "take more with --engine-option mem=16GB", "TIMEOUT": "take more with --engine-option time=MINUTES"}
ORDINARY = ("None", "Priority", "Resources", "BeginTime", "JobArrayTaskLimit")  # reasons to wait that pass by themselves


class SlurmOptions(Settings):
    """What Slurm is asked for. Further parameters of submitit can be given with the prefix `slurm_`."""

    partition: str | None = Field(None, description="the queue of the jobs")
    time: int = Field(240, ge=5, description="minutes after which a job stops and queues again, to go on later")
    mem: str | None = Field(None, description="memory per job, e.g. 8GB")
    gpus: NonNegativeInt = Field(0, description="GPUs per job")
    account: str | None = Field(None, description="account that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that the nodes must have")
    setup: str | None = Field(None, description="shell line to execute before the run, e.g. `module load cuda`")


def slurm(runs: Sequence[Path], configuration: EngineConfiguration, each_second: Callable[[], None]) -> None:
    """A Slurm job array, `--jobs` jobs at once; all files lie on a file system that the nodes share; what is queued is not queued twice."""
    folder = (runs[0].parent.parent / "slurm").absolute() if runs else Path()
    executor = _executor(_submitit(), folder, configuration)
    if not runs:
        return
    before = {run: worker.read_failure(run) for run in runs}
    known = store.readable(folder / JOBS) or {}
    going = _still_queued(known, runs)
    going |= _submit(executor, [run for run in runs if run not in going])
    write_sealed(folder / JOBS, known | {run.name: job for run, job in going.items()})
    over_since = dict[Path, float]()
    asked, reported = float("-inf"), set[str]()
    try:
        while going:
            if time.monotonic() - asked > POLL and (states := _states(going.values())) is not None:
                asked = time.monotonic()
                for run, job in list(going.items()):
                    state, reason, _ = states.get(job, ("", "None", NAME))
                    if state and state not in OVER:
                        over_since.pop(run, None)
                        if state == "PENDING" and reason not in (*ORDINARY, *reported):
                            reported.add(reason)
                            progress.say(f"Slurm: {run.name} is waiting ({reason})")
                    elif not left_undone(run, before[run]):
                        del going[run]
                    elif asked - over_since.setdefault(run, asked) >= SETTLE:
                        _note_end(run, job, state or "UNKNOWN", folder)
                        del going[run]
            each_second()
            time.sleep(1)
    except BaseException:
        _cancel(going.values())
        raise


class Job:
    """One run, as its job executes it. `minutes`: the job's time limit."""

    def __init__(self, run: Path, minutes: int) -> None:
        self.run, self.minutes = run, minutes

    def __call__(self) -> NoReturn:
        """Executes the run, and leaves with its exit code, so that Slurm knows it too."""
        self.began, self.had, self.kept = time.monotonic(), len(store.finished(self.run)), Checkpoint.kept
        signal.signal(signal.SIGTERM, _terminated)
        sys.exit(execute(self.run))

    def checkpoint(self) -> Any:
        """What submitit puts back into the queue when Slurm warns that the time limit is near, or that somebody else needs the place."""
        spent = (time.monotonic() - self.began) / 60
        stuck = len(store.finished(self.run)) == self.had and Checkpoint.kept == self.kept
        if spent >= min(0.8 * self.minutes, self.minutes - 10) and stuck:
            what = f"no generation was finished within {self.minutes} minutes, and no checkpoint was kept of one"
            worker.record_failure(self.run, "TimeLimit", f"{what}; take more with --engine-option time=MINUTES", 1)
            sys.exit(1)  # else it would begin the same generation for ever
        return _submitit().helpers.DelayedSubmission(Job(self.run, self.minutes))


def _terminated(number: int, frame: object) -> NoReturn:
    """SIGTERM: the job's end, or (while Slurm still calls it running) a warning before preemption, after which Slurm may not requeue it."""
    job = _submitit().JobEnvironment().job_id
    if (_states([job]) or {}).get(job, ("",))[0] == "RUNNING":
        subprocess.run(["scontrol", "requeue", job], check=False)
    sys.exit(128 + number)


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise SettingsProblem("--engine slurm: submitit is not installed; run: pip install submitit") from None
    return submitit


def _executor(submitit: Any, folder: Path, configuration: EngineConfiguration) -> Any:
    if missing := [command for command in ("sbatch", "srun", "squeue", "scancel") if shutil.which(command) is None]:
        raise SettingsProblem(f"--engine slurm: there is no `{missing[0]}` here; run the command on a machine of the Slurm cluster")
    own = {key: value for key, value in configuration.options.items() if not key.startswith("slurm_")}
    options = read_options(SlurmOptions, EngineConfiguration(configuration.jobs, configuration.threads, own))
    more = {key.removeprefix("slurm_"): option(key, value) for key, value in configuration.options.items() if key.startswith("slurm_")}
    # a time-out is no failure while every job finishes a generation, or comes further with one, which `Job.checkpoint` sees to
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=10**6)
    exports = [f"export {name}={value}" for name, value in configuration.environment().items()]
    asked = {
        **options.model_dump(include={"partition", "time", "mem", "account", "qos", "constraint"}, exclude_none=True),
        "job_name": NAME,
        "cpus_per_task": configuration.threads,
        "srun_args": [f"--cpus-per-task={configuration.threads}"],  # which srun no longer takes from the job (since Slurm 22.05)
        "array_parallelism": configuration.jobs,
        "setup": [*exports, *([options.setup] if options.setup else [])],
        "additional_parameters": {"requeue": True},
        **({"gpus_per_node": options.gpus} if options.gpus else {}),
    }
    try:
        executor.update_parameters(**(asked | more))
    except (ValueError, TypeError) as error:
        raise SettingsProblem(f"--engine-option slurm_...: {' '.join(str(error).split())}") from None
    return executor


def _submit(executor: Any, runs: Sequence[Path]) -> dict[Path, str]:
    if not runs:
        return {}
    # the command may itself run in a job, whose variables srun would take for orders
    ours = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("SLURM_", "SRUN_")) and name != "SLURM_CONF"}
    try:
        with executor.batch():
            jobs = [executor.submit(Job(run.absolute(), executor.parameters["time"])) for run in runs]
        return {run: job.job_id for run, job in zip(runs, jobs, strict=True)}
    except RuntimeError as error:  # all of submitit's own are
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise SettingsProblem(f"--engine slurm: Slurm does not take the jobs ({lines[-1]}); change the --engine-option") from None
    finally:
        os.environ.update(ours)


def _still_queued(known: dict[str, Any], runs: Iterable[Path]) -> dict[Path, str]:
    """The jobs of an earlier session that ended without cancelling them; `known`: the last job of each run."""
    wanted = {run: str(known[run.name]) for run in runs if run.name in known}
    states = (_states(wanted.values()) if wanted else None) or {}
    alive = {job for job, (state, _, name) in states.items() if state not in OVER and name == NAME}
    queued = {run: job for run, job in wanted.items() if job in alive}
    if queued:
        progress.say(f"{len(queued)} runs are still in Slurm's queue from an earlier session; waiting for them")
    return queued


def _states(jobs: Iterable[str]) -> dict[str, tuple[str, str, str]] | None:
    """State, reason and name of each job that Slurm still knows (by default it forgets five minutes after the end); None: no answer."""
    ids = ",".join(sorted({job.partition("_")[0] for job in jobs}))
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={ids}", "--format=%i|%T|%r|%j"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None
    rows = (line.strip().split("|", 3) for line in asked.stdout.splitlines() if line.count("|") >= 3)
    return {job: (state, reason, name) for job, state, reason, name in rows}


def _note_end(run: Path, job: str, state: str, folder: Path) -> None:
    cure = HINTS.get(state, "run the same command again to go on")
    message = f"Slurm ended job {job} ({state}) before the run was finished; {cure}; see {folder / (job + '_0_log.err')}"
    worker.record_failure(run, state, message, 1)


def _cancel(jobs: Iterable[str]) -> None:
    """Ends the jobs and waits until they have ended, or nearly so."""
    ids = list(jobs)
    if not ids:
        return
    subprocess.run(["scancel", *ids], check=False, capture_output=True)
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
        states = _states(ids)
        if states is not None and all(states[job][0] in OVER for job in ids if job in states):
            break
        time.sleep(1)
