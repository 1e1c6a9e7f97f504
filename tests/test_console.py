"""What a pipe or a log file reads of long work."""

import pytest

from imgcollapse import progress
from imgcollapse.interface import console
from imgcollapse.interface.console import EVERY, Lines


class Clock:
    """Stands still but where a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(console, "time", stopped)
    return stopped


def test_of_long_work_a_line_is_printed_every_so_many_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for _ in progress.steps(2048, "classifier"):
            clock.now += EVERY / 512
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  classifier: 512 of 2,048, 1 min 30 s left",
        "  classifier: 1,024 of 2,048, 1 min 0 s left",
        "  classifier: 1,536 of 2,048, 30 s left",
        "  classifier: 2,048 of 2,048, 0 s left",
    ]


def test_of_short_work_nothing_is_printed_however_often_it_comes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for _ in range(50):
            for _ in progress.steps(10, "features"):
                clock.now += EVERY / 11
    assert capsys.readouterr().err == ""


def test_work_within_work_has_lines_of_its_own_and_ends_with_an_error_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for _ in progress.steps(2, "real vs real (pixels)"):
            for _ in progress.steps(3, "features"):
                clock.now += EVERY
        with pytest.raises(ValueError, match="stop"):
            for _ in progress.steps(9, "fit"):
                raise ValueError("stop")
        progress.say("said")
        for _ in progress.steps(1, "sample"):
            clock.now += EVERY
    lines = [line.strip().partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    inner = [f"features: {step} of 3" for step in (1, 2, 3)]
    assert lines == [*inner, "real vs real (pixels): 1 of 2", *inner, "real vs real (pixels): 2 of 2", "said", "sample: 1 of 1"]


def test_the_time_left_of_work_that_goes_on_is_of_what_was_done_here(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watched_by(Lines()):
        for step in progress.steps(1000, "classifier", first=900):
            clock.now += EVERY if step < 901 else 0
    assert capsys.readouterr().err == "  classifier: 901 of 1,000, 49 min 30 s left\n"
