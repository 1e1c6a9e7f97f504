"""`--engine ray`, on two processors of this machine."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_runs import QUICK, SLOW, At, lay_out, outcome, plainly, times, writer_of

from imgcollapse import store
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.ray import ray
from imgcollapse.errors import SettingsProblem

TWO = EngineConfiguration(jobs=2, threads=1, options={})


def stop() -> None:
    raise KeyboardInterrupt


def test_an_unknown_or_unfit_option_is_one_line_that_names_the_known_ones(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(SettingsProblem, match=r"^--engine-option adress: .*did you mean 'address'\? there are: address, gpus, retries$"):
        ray([], EngineConfiguration(1, 1, {"adress": "auto"}), lambda: None)
    with pytest.raises(SettingsProblem, match=r"^--engine-option gpus: 'many' cannot be used"):
        ray([], EngineConfiguration(1, 1, {"gpus": "many"}), lambda: None)
    ray([], TWO, lambda: None)
    assert not sys.modules["ray"].is_initialized(), "to look at the options takes no cluster"


def test_where_ray_is_missing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsProblem, match=r"^--engine ray: ray is not installed; run: pip install ray$"):
        ray([], TWO, lambda: None)


@pytest.mark.slow
def test_more_gpus_than_there_are_is_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    library = pytest.importorskip("ray")
    run = lay_out(tmp_path, QUICK)
    with pytest.raises(SettingsProblem, match=r"^--engine-option gpus: a run wants 1000, this machine has \d+; take fewer$"):
        ray([run], EngineConfiguration(1, 1, {"gpus": "1000"}), lambda: None)
    assert not library.is_initialized()


@pytest.mark.slow
def test_a_run_whose_process_is_killed_goes_on_where_it_was_and_finds_the_same(tmp_path: Path) -> None:
    library = pytest.importorskip("ray")
    slow, quick = (lay_out(tmp_path / "out", values) for values in (SLOW, QUICK))
    ours, theirs = signal.getsignal(signal.SIGTERM), set[object]()

    def act() -> None:
        theirs.add(signal.getsignal(signal.SIGTERM))
        os.kill(writer_of(slow), signal.SIGKILL)

    each_second = At(slow, 2, act)
    ray([slow, quick], TWO, each_second)
    assert theirs == {ours}, "SIGTERM would end this process before the runs have stopped"
    assert not library.is_initialized(), "the cluster that the engine started is still there"
    assert each_second.nothing_was_made_twice()
    assert outcome(slow) == plainly(tmp_path / "plain", SLOW)
    assert outcome(quick) == plainly(tmp_path / "plain", QUICK)
    assert worker.read_failure(slow) is None is worker.read_failure(quick)


def test_no_cluster_at_the_address_is_one_line() -> None:
    pytest.importorskip("ray")
    with pytest.raises(
        SettingsProblem, match=r"^--engine ray: no cluster at '127\.0\.0\.1:9' \(.*\); give another --engine-option address"
    ):
        ray([], EngineConfiguration(1, 1, {"address": "127.0.0.1:9"}), lambda: None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster that is there already."""
    library = pytest.importorskip("ray")
    library.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    assert library.is_initialized(), "the engine shut a cluster down that it did not start"
    library.shutdown()


@pytest.mark.slow
def test_an_interrupt_stops_the_runs_and_keeps_what_is_finished(cluster: None, tmp_path: Path) -> None:
    run = lay_out(tmp_path, SLOW)
    each_second = At(run, 2, stop)
    with pytest.raises(KeyboardInterrupt):
        ray([run], TWO, each_second)
    assert not store.in_use(run) and worker.read_failure(run) is None
    assert each_second.before.items() <= times(run).items() and len(times(run)) < SLOW["gens"]
    assert worker.work(run) == 0
    assert each_second.nothing_was_made_twice()


@pytest.mark.slow
def test_a_run_that_is_lost_for_good_says_so_and_can_be_taken_up_again(cluster: None, tmp_path: Path) -> None:
    run = lay_out(tmp_path, SLOW)
    each_second = At(run, 2, lambda: os.kill(writer_of(run), signal.SIGKILL))
    ray([run], EngineConfiguration(1, 1, {"retries": "0"}), each_second)
    failure = worker.read_failure(run)
    assert failure is not None and failure["kind"] == "WorkerCrashedError", failure
    assert failure["message"].startswith("Ray lost the run (") and "run the same command again" in failure["message"]
    ray([run], TWO, lambda: None)
    assert worker.read_failure(run) is None and each_second.nothing_was_made_twice()
