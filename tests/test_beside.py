"""Judging beside the training: the same results in the same order, and nothing is lost or left over when either process ends."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from chains import files
from standins import Ear
from terminal import call

from imgcollapse import progress, store, study
from imgcollapse.ablation import ensemble
from imgcollapse.errors import DataProblem, DivergedProblem, Problem, SystemProblem
from imgcollapse.judges import beside
from imgcollapse.judges.beside import WAITING, InOrder
from imgcollapse.machine import devices
from imgcollapse.machine.devices import Machine
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import build
from imgcollapse.store import history
from imgcollapse.store.manifest import MANIFEST
from imgcollapse.study import Study, judging_again, run

pytestmark = pytest.mark.splits

TOY: dict[str, Any] = {"dataset": {"kind": "grid25", "size": 300}, "model": {"kind": "gmm", "components": 5}, "gens": 4}
DIGITS: dict[str, Any] = {
    "dataset": {"kind": "digits", "subset": 150},
    "model": {"kind": "vae", "steps": 5},
    "regime": {"kind": "retain", "real_fraction": 0.2},
    "gens": 3,
    "judge": {"extractors": [{"kind": "classifier", "steps": 10}]},
    "keep": {"samples": "last", "models": "last"},
}


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def outcome(folder: Path) -> dict[str, bytes]:
    """All that lies in a run but what tells of times."""
    return {name: data for name, data in files(folder).items() if Path(name).name not in (MANIFEST, history.HISTORY)}


@pytest.mark.slow  # five seconds and more each
@pytest.mark.parametrize(
    "values",
    [
        pytest.param({**TOY, "judge": {"every": 2}}, id="points"),
        pytest.param(DIGITS, id="digits"),  # trains a classifier
    ],
)
def test_the_results_are_those_of_one_process(values: dict[str, Any], tmp_path: Path) -> None:
    landed: list[tuple[int, Scores]] = []
    run(build(Study, values), tmp_path / "alone", lambda *one: landed.append(one))
    alone, landed[:] = list(landed), []
    run(build(Study, values), tmp_path / "beside", lambda *one: landed.append(one), beside=True)
    assert outcome(tmp_path / "beside") == outcome(tmp_path / "alone")
    assert landed == alone and [generation for generation, _ in landed] == list(range(values["gens"]))


def at_1(act: Callable[[], Scores], study: Study, folder: Path, shared: Path | None = None) -> beside.Scoring:
    """The study's judge, which does something else at generation 1."""
    judge = judging_again(study, folder, shared)
    return lambda generation: act() if generation == 1 else judge(generation)


def die() -> Scores:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def fail() -> Scores:
    raise DataProblem("features: no luck; try again")


KILLED = (
    "the process that judges beside the run ended by SIGKILL; perhaps the memory was full; add --no-judge-beside, then run the same command"
)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(die, f"judge: {KILLED}", marks=pytest.mark.slow),
        pytest.param(fail, "features: no luck; try again", marks=pytest.mark.slow),
    ],  # each starts a process
)
def test_a_judge_that_fails_costs_no_training(
    act: Callable[[], Scores], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(build(Study, TOY), tmp_path / "whole")
    landed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(study, "judging_again", partial(at_1, act))
        with pytest.raises(Problem) as raised:
            run(build(Study, TOY), tmp_path / "run", lambda generation, scores: landed.append(generation), beside=True)
    assert str(raised.value).startswith(error)
    assert type(raised.value) is (SystemProblem if act is die else DataProblem)
    assert landed == [0] and 1 in store.finished(tmp_path / "run")
    run(build(Study, TOY), tmp_path / "run", lambda generation, scores: landed.append(generation))
    assert landed == [0, 1, 2, 3] and outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    made = [line["generation"] for line in history.lines(tmp_path / "run") if line["how"] == "made"]
    assert made == [0, 1, 2, 3], "nothing is made twice"


class Odd(Exception):
    """One that can be sent, and not be made again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def tell(generation: int) -> Scores:
    """A judge that says under what conditions it works."""
    if generation == 2:
        raise Odd(1, 2)
    for line in (f"{torch.get_num_threads()} threads", devices.current().device, "said before", "new", "new"):
        progress.say_once(line)
    return Scores(generation, {})


def telling() -> beside.Scoring:
    progress.say("said while it is opened, which is silent")
    return tell


def test_the_process_has_the_conditions_of_the_run_and_says_to_it_what_it_has_to_say() -> None:
    landed, done, ear = list[int](), list[int](), Ear()
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)
    try:
        with devices.use(Machine("cuda:7")), progress.remembering(), progress.watched_by(ear):
            progress.say_once("said before")
            with pytest.raises(RuntimeError, match=r"^Odd: odd$"), InOrder(lambda g, s: landed.append(g), done.append, telling) as in_order:
                for generation in range(4):
                    in_order(generation, tell, judged=generation == 1)
    finally:
        torch.set_num_threads(threads)
    assert ear.lines == ["said before", f"{threads + 2} threads", "cuda:7", "new"]
    assert landed == [0] and done == [0, 1]


def unopened(error: Exception) -> beside.Scoring:
    raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("the GPU\nis taken"),
            r"^judge: cannot be opened in a process beside the run \(the GPU is taken\); add --no-judge-be",
        ),
        (DataProblem("weights: gone"), r"^weights: gone$"),
    ],
)
def test_what_can_only_fail_beside_names_the_way_round_it(error: Exception, told: str) -> None:
    with pytest.raises(Problem, match=told):
        beside._opened(partial(unopened, error))


class Fake:
    """Stands for the process that judges: it has judged the generations in `ready`, and the others once they are waited for."""

    ready: ClassVar[set[int]] = set()
    fails: ClassVar[Exception | None] = None

    def __init__(self, again: object) -> None:
        self.told, self.ended = list[int](), False

    def begin(self, generation: int) -> None:
        self.told.append(generation)

    def take(self, wait: bool) -> Scores | None:
        if not (wait or self.told[0] in self.ready):
            return None
        if self.fails is not None:
            raise self.fails
        return Scores(self.told.pop(0), {})

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(beside, "_Child", Fake)
    monkeypatch.setattr(Fake, "ready", set())
    monkeypatch.setattr(Fake, "fails", None)
    return []


def in_order(log: list[str]) -> InOrder:
    return InOrder(lambda generation, scores: log.append(f"landed {generation}"), lambda one: log.append(f"after {one}"), telling)


def lands(*generations: int) -> list[str]:
    return [f"{word} {generation}" for generation in generations for word in ("landed", "after")]


def test_generations_land_in_order_as_soon_as_they_are_judged(log: list[str]) -> None:
    with in_order(log) as judged:
        judged(0, tell, judged=True)
        assert log == ["after 0"], "what was judged before needs no judge"
        judged(1, tell, judged=False)
        judged(2, tell, judged=True)
        assert log == ["after 0"], "it waits for those before it, whose judge may need what would be thrown away"
        Fake.ready = {1}
        judged(3, tell, judged=False)
        assert log == ["after 0", *lands(1), "after 2"]
    assert log == ["after 0", *lands(1), "after 2", *lands(3)]


def test_only_so_many_wait(log: list[str]) -> None:
    with in_order(log) as judged:
        for generation in range(WAITING + 2):
            judged(generation, tell, judged=False)
            assert log == lands(*range(generation + 1 - WAITING))
    assert log == lands(*range(WAITING + 2))


def test_what_was_judged_lands_though_the_next_generation_cannot_be_made(log: list[str]) -> None:
    with pytest.raises(DivergedProblem), in_order(log) as judged:
        judged(0, tell, judged=False)
        raise DivergedProblem("loss")
    assert log == lands(0)
    with pytest.raises(DivergedProblem), in_order(log) as judged:
        judged(1, tell, judged=False)
        Fake.fails = DataProblem("features")
        raise DivergedProblem("the first error is the one that is told")


def test_who_is_stopped_does_not_wait(log: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), in_order(log) as judged:
        judged(0, tell, judged=False)
        raise KeyboardInterrupt
    assert log == [] and isinstance(judged._child, Fake) and judged._child.ended


def test_a_failure_is_raised_at_the_next_generation_and_nothing_lands_after_it(log: list[str]) -> None:
    with pytest.raises(DataProblem, match=r"^features$"), in_order(log) as judged:
        judged(0, tell, judged=False)
        Fake.ready, Fake.fails = {0}, DataProblem("features")
        judged(1, tell, judged=False)
    assert log == []


def test_errors_are_sent_with_their_place() -> None:
    try:
        fail()
    except DataProblem as error:
        sent = pickle.loads(pickle.dumps(beside._portable(error)))
    assert type(sent) is DataProblem and str(sent) == "features: no luck; try again"
    assert "in fail" in sent.__notes__[0]


@pytest.mark.parametrize(
    ("cores", "threads", "device", "launched", "room"),
    [
        (2, 1, "cpu", 1, False),
        (4, 4, "cpu", 1, False),
        (4, 2, "cpu", 1, True),
        (4, 2, "cpu", 2, False),
        (8, 5, "cpu", 1, False),
        (2, 2, "cuda", 1, True),
        (2, 2, "cuda", 2, False),
    ],
)
def test_where_there_is_room_beside(
    cores: int, threads: int, device: str, launched: int, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(Machine, "torch_device", lambda self: torch.device(device))
    monkeypatch.setenv("WORLD_SIZE", str(launched))
    assert Machine().has_room_beside() is room


@pytest.mark.parametrize(
    ("flags", "env", "room", "expected"),
    [
        ([], {}, False, False),
        ([], {}, True, True),
        (["--judge-beside"], {}, False, True),
        (["--no-judge-beside"], {}, True, False),
        ([], {"IMGCOLLAPSE_JUDGE_BESIDE": "1"}, False, True),
        ([], {"IMGCOLLAPSE_JUDGE_BESIDE": "0"}, True, False),
    ],
)
def test_the_flag_goes_before_the_machine(
    flags: list[str], env: dict[str, str], room: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.delenv("IMGCOLLAPSE_JUDGE_BESIDE")

    def noted(*arguments: object, **more: Any) -> None:
        asked.append(more["beside"])
        raise DataProblem("enough")

    monkeypatch.setattr(Machine, "has_room_beside", lambda self: room)
    monkeypatch.setattr(ensemble, "run", noted)
    assert call("run", "--model", "bootstrap", *flags, env=env).exit_code == 3
    assert asked == [expected]


def test_several_processes_have_no_room_for_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcollapse.interface.running import judged_beside

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Problem, match=r"^--judge-beside: several processes have shared out this machine; leave it out, or launch one$"):
        judged_beside(True)
    assert judged_beside(None) is judged_beside(False) is False


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow  # starts two processes each
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_both_processes_end_when_the_run_is_stopped(number: int, code: int, tmp_path: Path) -> None:
    """The terminal sends SIGINT to both, an administrator SIGTERM to the run alone; of SIGKILL only the system tells the other."""
    command = ["run", "--dataset", "grid25", "--model", "gmm", "--set", "dataset.size=300", "--gens", "9000", "--out", "here"]
    started = subprocess.Popen(
        [sys.executable, "-m", "imgcollapse", *command, "--judge-beside"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    until = time.monotonic() + 120
    while not list(Path("here").glob("scores/*/gen_000.json")) and time.monotonic() < until:
        time.sleep(0.05)
    both = children(started.pid)
    if number == signal.SIGINT:
        os.killpg(started.pid, number)
    else:
        started.send_signal(number)
    _, said = started.communicate(timeout=60)
    assert started.returncode == code, said
    assert both and "Traceback" not in said and "KeyboardInterrupt" not in said
    until = time.monotonic() + 20
    while any(Path(f"/proc/{one}").exists() for one in both) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{one}").exists() for one in both), "a process is left over"
    assert code == -9 or "  stopped; " in said.strip().splitlines()[-1]
