"""`--engine slurm`. The tests marked `slurm` start a real Slurm of one node: IMGCOLLAPSE_TEST_SLURM=1 scripts/test -m slurm."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_here
from engine_runs import QUICK, SLOW, At, lay_out, made, outcome, plainly, times, writer_of
from slurm_here import ask

from imgcollapse import store
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.common import read_options
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.slurm import Job, SlurmOptions, slurm
from imgcollapse.errors import SettingsProblem
from imgcollapse.machine.cache import Checkpoint

WANTED = "IMGCOLLAPSE_TEST_SLURM" in os.environ
ENGINE = importlib.import_module("imgcollapse.ablation.engines.slurm")
THREE = EngineConfiguration(jobs=3, threads=1, options={"time": "60"})


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for Slurm's commands: none of them does anything."""
    pytest.importorskip("submitit")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "srun", "squeue", "scancel"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def refused(run: Path, **options: str) -> str:
    with pytest.raises(SettingsProblem) as error:
        slurm([run], EngineConfiguration(1, 1, options), lambda: None)
    return str(error.value)


def test_where_submitit_is_missing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert refused(tmp_path) == "--engine slurm: submitit is not installed; run: pip install submitit"


def test_where_there_is_no_slurm_it_says_so(commands: Path, tmp_path: Path) -> None:
    (commands / "sbatch").unlink()
    os.environ["PATH"] = str(commands)
    assert refused(tmp_path) == "--engine slurm: there is no `sbatch` here; run the command on a machine of the Slurm cluster"


def test_an_unknown_or_unfit_option_is_one_line_that_names_the_known_ones(commands: Path, tmp_path: Path) -> None:
    known = "account, constraint, gpus, mem, partition, qos, setup, time"
    assert refused(tmp_path, partitoin="gpu") == (
        f"--engine-option partitoin: there is no such setting; did you mean 'partition'? there are: {known}"
    )
    assert refused(tmp_path, time="long").startswith("--engine-option time: 'long' cannot be used; it should be a valid integer")
    assert refused(tmp_path, time="1").startswith("--engine-option time: 1 cannot be used; it should be greater than or equal to 5")
    line = refused(tmp_path, slurm_colour="red")
    assert "colour" in line and "nodelist" in line and "\n" not in line
    with pytest.raises(SettingsProblem, match="partitoin"):
        slurm([], EngineConfiguration(1, 1, {"partitoin": "gpu"}), lambda: None)
    slurm([], EngineConfiguration(1, 1, {"partition": "gpu"}), lambda: None)  # and nothing is submitted or written
    assert {path.name for path in Path().iterdir()} == {"bin"}


def test_options_that_are_text_are_taken_as_written_and_numbers_are_the_same_as_everywhere(commands: Path, tmp_path: Path) -> None:
    given = {"partition": "0042", "account": "no", "qos": "1e5", "mem": "08", "setup": "a: b # c", "time": "010", "gpus": "0x2"}
    assert read_options(SlurmOptions, EngineConfiguration(1, 1, given)).model_dump(exclude_none=True) == {**given, "time": 10, "gpus": 2}
    assert refused(tmp_path, time="4:00").startswith("--engine-option time: '4:00' cannot be used; it should be a valid integer")
    assert refused(tmp_path, gpus="yes").startswith("--engine-option gpus: 'yes' cannot be used; it should be a valid integer")
    assert refused(tmp_path, gpus="true").startswith("--engine-option gpus: True cannot be used; it should be a valid integer")
    assert refused(tmp_path, slurm_nodelist="[a") == "--engine-option slurm_nodelist: '[a' is not YAML; put it in quotes"


def test_what_slurm_refuses_is_one_line(commands: Path, tmp_path: Path) -> None:
    run = lay_out(tmp_path, QUICK)
    (commands / "sbatch").write_text("#!/bin/sh\necho sbatch: error: invalid partition specified: x >&2\nexit 1\n")
    line = refused(run, partition="x")
    assert line == (
        "--engine slurm: Slurm does not take the jobs (sbatch: error: invalid partition specified: x); change the --engine-option"
    )


def test_no_answer_from_slurm_is_not_the_end_of_a_job(commands: Path) -> None:
    script = "#!/bin/sh\necho '%s' >&2\nexit 1\n"
    (commands / "squeue").write_text(script % "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert ENGINE._states(["7_0"]) is None
    (commands / "squeue").write_text(script % "slurm_load_jobs error: Invalid job id specified")
    assert ENGINE._states(["7_0"]) == {}
    (commands / "squeue").write_text("#!/bin/sh\necho $* >words\necho '7_0|RUNNING|None|a|b'\necho '7_1|PENDING|Resources|c'\n")
    assert ENGINE._states(["7_0", "7_1", "8"]) == {"7_0": ("RUNNING", "None", "a|b"), "7_1": ("PENDING", "Resources", "c")}
    assert "--jobs=7,8" in Path("words").read_text()


def test_a_time_limit_too_short_for_a_generation_is_a_failure_and_not_tried_for_ever(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    run = lay_out(tmp_path, QUICK)
    job = Job(run, minutes=60)
    job.began, job.had, job.kept = time.monotonic() - 55 * 60, 0, Checkpoint.kept
    with pytest.raises(SystemExit):
        job.checkpoint()
    failure = worker.read_failure(run)
    assert failure is not None and failure["message"] == (
        "no generation was finished within 60 minutes, and no checkpoint was kept of one; take more with --engine-option time=MINUTES"
    )
    job.began = time.monotonic() - 10 * 60  # preempted early: that says nothing of the limit
    assert job.checkpoint().function.run == run
    job.began, job.kept = time.monotonic() - 55 * 60, Checkpoint.kept - 1  # a training has come further: the next job goes on
    assert job.checkpoint().function.run == run
    job.kept = Checkpoint.kept
    assert worker.work(run) == 0
    job.began = time.monotonic() - 55 * 60  # generations were finished: the next job goes on
    assert job.checkpoint().function.run == run


# Against a real Slurm


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    if not WANTED:
        pytest.skip("set IMGCOLLAPSE_TEST_SLURM=1 to start a Slurm here (as root; Debian: slurm-wlm, munge)")
    assert not slurm_here.missing(), f"IMGCOLLAPSE_TEST_SLURM is set, but there is no {slurm_here.missing()}"
    importlib.import_module("submitit")
    with slurm_here.slurm() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ENGINE, "POLL", 1)
        patch.setattr(ENGINE, "SETTLE", 3)
        yield place


def job_of(run: Path) -> str:
    jobs = store.read_json(run.parent.parent / "slurm" / "jobs.json")
    return str(jobs[run.name])


def log_of(run: Path) -> str:
    return (run / "worker.log").read_text()


def all_of(acts: list[At]) -> None:
    for act in acts:
        act()


@pytest.mark.slurm
def test_an_array_with_a_requeued_and_a_signalled_job_finds_the_same_as_without_slurm(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_MEM_PER_CPU", "SLURM_MEM_PER_NODE"):  # as in a job, from which the command may be given; srun dies of the two
        monkeypatch.setenv(name, "100")
    quick = lay_out(tmp_path, QUICK)
    requeued, signalled = (lay_out(tmp_path, SLOW, seed=seed) for seed in (1, 2))
    acts = [
        At(requeued, 2, lambda: ask("scontrol", "requeue", job_of(requeued))),
        At(signalled, 2, lambda: ask("scancel", "--signal=USR2", job_of(signalled))),
    ]
    slurm([quick, requeued, signalled], THREE, lambda: all_of(acts))
    assert {job_of(run).split("_")[0] for run in (quick, requeued, signalled)} == {job_of(quick).split("_")[0]}, "not one array"
    assert all(act.nothing_was_made_twice() for act in acts)
    assert "Caught signal SIGUSR2" in log_of(signalled) and "Requeued job" in log_of(signalled)
    assert all(worker.read_failure(run) is None for run in (quick, requeued, signalled))
    plain = tmp_path / "plain"
    assert outcome(quick) == plainly(plain, QUICK)
    assert outcome(requeued) == plainly(plain, SLOW, seed=1)
    assert outcome(signalled) == plainly(plain, SLOW, seed=2)


@pytest.mark.slurm
def test_a_job_whose_place_is_taken_goes_on_afterwards(cluster: Path, tmp_path: Path) -> None:
    run = lay_out(tmp_path, SLOW)
    each_second = At(run, 2, lambda: ask("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 3"))
    slurm([run], THREE, each_second)
    assert each_second.nothing_was_made_twice() and worker.read_failure(run) is None
    assert "DUE TO PREEMPTION" not in log_of(run), "it left when it was warned, and was not thrown out"
    assert "SLURM_RESTART_COUNT" not in os.environ and made(run) == list(range(SLOW["gens"]))


@pytest.mark.slurm
def test_a_run_longer_than_the_time_limit_goes_on_in_another_job(cluster: Path, tmp_path: Path) -> None:
    run = lay_out(tmp_path, SLOW, gens=999)
    before = dict[str, int]()

    def each_second() -> None:
        restarted = "Restarts=0" not in ask("scontrol", "show", "job", job_of(run)).split()
        if not restarted:
            before.update(times(run))
        elif len(times(run)) > len(before) + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slurm([run], EngineConfiguration(1, 1, {"slurm_time": "1", "slurm_signal_delay_s": "5"}), each_second)
    assert before and before.items() <= times(run).items(), "a finished generation was made again"
    assert made(run) == list(range(len(times(run)))) and worker.read_failure(run) is None
    assert "this job is timed-out" in log_of(run)


@pytest.mark.slurm
def test_an_interrupt_ends_the_jobs_and_keeps_what_is_finished(cluster: Path, tmp_path: Path) -> None:
    runs = [lay_out(tmp_path, SLOW, seed=seed) for seed in (3, 4)]

    def stop() -> None:
        raise KeyboardInterrupt

    each_second = At(runs[0], 2, stop)
    with pytest.raises(KeyboardInterrupt):
        slurm(runs, EngineConfiguration(1, 1, {}), each_second)  # one at once: the second has not begun
    assert not ask("squeue", "--noheader", "--name=imgcollapse") and not store.in_use(runs[0])
    assert [worker.read_failure(run) for run in runs] == [None, None] and not times(runs[1])
    assert len(times(runs[0])) < SLOW["gens"]
    slurm(runs, THREE, lambda: None)
    assert each_second.nothing_was_made_twice() and made(runs[1]) == list(range(SLOW["gens"]))


CLIENT = """
import sys
from pathlib import Path
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.slurm import slurm
slurm([Path(sys.argv[1])], EngineConfiguration(1, 1, {}), lambda: None)
"""


@pytest.mark.slurm
def test_jobs_outlive_a_lost_connection_and_are_found_again(cluster: Path, tmp_path: Path) -> None:
    run = lay_out(tmp_path, SLOW)
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(run)])
    slurm_here.wait(lambda: len(times(run)) >= 2, "the run does not begin", 120)
    client.kill()
    client.wait()
    job, before = job_of(run), times(run)
    slurm([run], THREE, lambda: None)
    assert job_of(run) == job and made(run) == list(range(SLOW["gens"]))
    assert before.items() <= times(run).items()


@pytest.mark.slurm
def test_a_job_that_ends_without_a_word_is_a_failure_of_its_run_alone(cluster: Path, tmp_path: Path) -> None:
    quick, killed, cancelled = lay_out(tmp_path, QUICK), lay_out(tmp_path, SLOW, seed=5), lay_out(tmp_path, SLOW, seed=6)
    acts = [
        At(killed, 2, lambda: os.kill(writer_of(killed), signal.SIGKILL)),
        At(cancelled, 2, lambda: ask("scancel", job_of(cancelled))),
    ]
    slurm([quick, killed, cancelled], THREE, lambda: all_of(acts))
    assert worker.read_failure(quick) is None and made(quick) == [0, 1, 2]
    for run, state in ((killed, "FAILED"), (cancelled, "CANCELLED")):
        failure = worker.read_failure(run)
        assert failure is not None and failure["kind"] == state, failure
        assert f"Slurm ended job {job_of(run)} ({state}) before the run was finished" in failure["message"]
    slurm([killed, cancelled], THREE, lambda: None)
    assert all(act.nothing_was_made_twice() for act in acts)
    assert worker.read_failure(killed) is None is worker.read_failure(cancelled)
