"""What a pipe or a log file reads of long work."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcollapse import progress
from imgcollapse.interface import console
from imgcollapse.interface.console import Json, Lines, Plain
from imgcollapse.metrics.record import Scores
from imgcollapse.progress import telling
from imgcollapse.progress.telling import EVERY, STILL
from imgcollapse.store import log


class Clock:
    """Stands still but where a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    for module in (telling, console, progress, log):
        monkeypatch.setattr(module, "time", stopped)
    return stopped


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_of_long_work_a_line_is_printed_every_so_many_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for _ in progress.steps(2048, "classifier"):
            clock.now += EVERY / 512
    assert lines(capsys) == [
        "  classifier 512 of 2,048: 1 min 30 s left",
        "  classifier 1,024 of 2,048: 1 min 0 s left",
        "  classifier 1,536 of 2,048: 30 s left",
        "  classifier 2,048 of 2,048: 0 s left",
    ]


def test_short_work_that_comes_again_and_again_is_told_of_as_often(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for _ in range(4):
            for _ in progress.steps(10, "features"):
                clock.now += EVERY / 20
    assert lines(capsys) == ["  features 10 of 10: 0 s left"] * 2


def test_what_is_said_counts_as_a_sign_of_life(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for step in progress.steps(4, "fit"):
            clock.now += EVERY * 0.7
            progress.say(f"said {step}")
    assert lines(capsys) == [f"said {step}" for step in range(4)]


def test_the_time_left_is_that_of_the_whole_of_which_a_step_is_a_part(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Four groups of two steps of 30 s: after the first step of the second group 3 of 8 are done in 90 s."""
    with progress.watched_by(Lines()):
        for _ in progress.steps(4, "draw"):
            for _ in progress.steps(2, "sample"):
                clock.now += EVERY
    said = lines(capsys)
    assert said[2] == "  draw 1 of 4, sample 1 of 2: 2 min 30 s left" and len(said) == 8
    assert said[-1] == "  draw 3 of 4, sample 2 of 2: 0 s left"


def test_work_that_ends_with_an_error_is_no_longer_told_of(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        with pytest.raises(ValueError, match="stop"), progress.part("generation 0"):
            for _ in progress.steps(9, "fit"):
                raise ValueError("stop")
        for _ in progress.steps(1, "sample"):
            clock.now += EVERY
    assert lines(capsys) == ["  sample 1 of 1: 0 s left"]


def test_the_time_left_of_work_that_goes_on_is_of_what_was_done_here(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for step in progress.steps(1000, "classifier", first=900):
            clock.now += EVERY if step < 901 else 0
    assert lines(capsys) == ["  classifier 901 of 1,000: 49 min 30 s left"]


def test_before_a_generation_has_landed_the_whole_takes_at_least_as_long_as_what_is_known_of_each(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.watched_by(Lines()):
        progress.whole(3)
        with progress.part("generation 0", generation=True):
            for _ in progress.steps(4, "vae"):
                clock.now += 60
    assert lines(capsys)[0] == "  generation 0, vae 1 of 4: 3 min 0 s left; whole run: more than 11 min 0 s left"  # 3 + 2 x 4


def test_then_it_is_what_the_generations_took_without_what_was_done_once(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        progress.whole(3)
        clock.now += 1000  # a judge's classifier
        for number in range(2):
            with progress.part(f"generation {number}", generation=True):
                for _ in progress.steps(4, "vae"):
                    clock.now += 60
            progress.landed()
        assert progress.run_left() == 240
        with progress.part("generation 2", generation=True):
            for _ in progress.steps(4, "vae"):
                clock.now += 60
    assert lines(capsys)[-4] == "  generation 2, vae 1 of 4: 3 min 0 s left; whole run: about 3 min 0 s left"


def test_an_estimate_is_told_from_the_beginning(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        progress.whole(3, 7200)
        for _ in progress.steps(2, "classifier"):
            clock.now += 600
    assert lines(capsys)[0] == "  classifier 1 of 2: 10 min 0 s left; whole run: about 1 h 50 min left"


def test_work_without_steps_is_told_of_by_a_heartbeat(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK", 0.001)
    told = threading.Event()

    class Told(Lines):
        def say(self, line: str) -> None:
            super().say(line)
            told.set()

    with progress.watched_by(Told()), progress.beating(), progress.named("chain 1: "), progress.part("judging generation 3"):
        assert not told.wait(0.05), "nothing was silent for long"
        clock.now += STILL
        assert told.wait(10)
    assert lines(capsys) == ["  chain 1: judging generation 3: at work for 1 min 0 s"]
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_programs_hear_objects(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(watching := Json(3)):
        progress.say("1 of 3 is there\nno line of its own")
        progress.whole(2)
        with progress.part("generation 1", generation=True), progress.named("chain 1: "):
            for _ in progress.steps(2, "vae"):
                clock.now += 60
        watching.landed(1, Scores(1, {}))
    said, first, last, landed = map(json.loads, lines(capsys))
    assert said.pop("time") and said == {"event": "said", "text": "1 of 3 is there\nno line of its own"}
    assert first["event"] == "work" and first["text"].startswith("generation 1, vae 1 of 2: ")
    assert first["work"] == [{"what": "generation 1"}, {"what": "vae", "done": 1, "total": 2}]
    assert (first["seconds_left"], first["run_seconds_left"], first["run_seconds_left_is_least"]) == (60, 180, True)
    assert last["seconds_left"] == 0
    assert (landed["event"], landed["generation"], landed["scores"]) == ("generation", 1, {})
    assert (landed["seconds"], landed["run_seconds_left"]) == (120, 120)


def test_in_a_pipe_every_line_has_its_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "stamped", lambda line: f"NOW  {line}")
    console.watcher(3).say("one")
    console.lines().say("two")
    Plain(3).say("three")
    assert lines(capsys) == ["NOW  one", "NOW  two", "three"]


# --- the log of a run


@pytest.fixture
def heard(clock: Clock) -> Iterator[None]:
    with progress.watched_by(console.Quiet(3)):
        yield


def told(run: Path) -> list[str]:
    """The lines of its log, which all were written in 1970."""
    found = (run / "log.txt").read_text().splitlines()
    assert all(line.startswith("1970-01-01 00:00:00  ") for line in found)
    return [line[21:] for line in found]


def test_the_log_has_what_was_said_before_it_could_be_opened_and_how_far_work_was(heard: None, clock: Clock, tmp_path: Path) -> None:
    progress.say("the plan")
    with log.kept(tmp_path), log.kept(tmp_path / "of an inner run"):
        with progress.named("chain 0: "):
            progress.say("one\x1b[31m\nline")
        for _ in progress.steps(2, "vae"):
            clock.now += EVERY
    progress.say("after it")
    assert told(tmp_path) == ["the plan", "chain 0: one\\x1b[31m\\nline", "  vae 1 of 2: 30 s left", "  vae 2 of 2: 0 s left"]
    assert log.last(tmp_path) == "vae 2 of 2: 0 s left" and not (tmp_path / "of an inner run").exists()


@pytest.mark.parametrize(("error", "line"), [(KeyboardInterrupt(), "stopped"), (ValueError("broken"), "ValueError: broken")])
def test_the_log_survives_sessions_and_says_how_they_ended(error: BaseException, line: str, heard: None, tmp_path: Path) -> None:
    with pytest.raises(type(error)), log.kept(tmp_path):
        raise error
    with (tmp_path / "log.txt").open("a") as file:
        file.write("1970-01-01 00:00:00  half a li")  # killed
    with log.kept(tmp_path):
        progress.say("again")
    assert told(tmp_path) == [line, "half a li", "again"]


def test_a_log_that_cannot_be_written_ends_nothing(clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to(tmp_path / "mine")
    with progress.watched_by(Lines()), log.kept(tmp_path):
        progress.say("one")
        progress.say("two")
    said = lines(capsys)
    assert len(said) == 3 and said[0].endswith(f"nothing more is written to {tmp_path / 'log.txt'}") and said[1:] == ["one", "two"]
    assert not (tmp_path / "mine").exists() and log.last(tmp_path) == ""


def test_where_nobody_watches_there_is_no_log(tmp_path: Path) -> None:
    with log.kept(tmp_path):
        progress.say("nobody hears it")
    assert not list(tmp_path.iterdir())
