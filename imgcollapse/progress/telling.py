"""What there is to tell of long work: how far it is, and the time left of it and of the whole run, in a line every so often."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

EVERY = 30.0  # seconds between lines on work that goes on
STILL = 60.0  # seconds without a line after which one is told even where no step has ended


Log = Callable[[str, float], None]  # is told a line, and when it was said (seconds since 1970)


class Watcher(Protocol):
    """Is told of work that begins (`done`: steps that an earlier session did), advances and ends, and of what a user should hear."""

    def begin(self, what: str, total: int, done: int = 0) -> None: ...
    def advance(self) -> None: ...
    def end(self) -> None: ...
    def say(self, line: str) -> None: ...
    def note(self, line: str, facts: Mapping[str, Any]) -> None: ...
    def tick(self, line: str, facts: Mapping[str, Any]) -> None: ...


class Silent:
    """The watcher when nobody watches."""

    def begin(self, what: str, total: int, done: int = 0) -> None: ...
    def advance(self) -> None: ...
    def end(self) -> None: ...
    def say(self, line: str) -> None: ...

    def note(self, line: str, facts: Mapping[str, Any]) -> None:
        """A line of which a program should hear the facts: said as any other, where it is no program that watches."""
        self.say(line)

    def tick(self, line: str, facts: Mapping[str, Any]) -> None:
        """How far the work is, from time to time."""


def duration(seconds: float) -> str:
    """`48 s`, `6 min 10 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@dataclass(eq=False)
class Work:
    """Work in progress: of so many steps, or (total 0) of which no steps are known.

    before:     steps that were done before it began here
    generation: whether it is all that makes one generation
    name:       whose work it is, as it stands before every line
    part:       whether no steps of it are told
    """

    what: str
    total: int
    done: int
    before: int
    generation: bool = False
    name: str = ""
    part: bool = False
    began: float = field(default_factory=lambda: time.monotonic())

    def __str__(self) -> str:
        return f"{self.what} {self.done:,} of {self.total:,}" if self.total else self.what


@dataclass
class Whole:
    """How far a run is.

    left:     generations that are still to land
    expected: seconds that all of it takes, told before it began; None: not known
    each:     seconds of every generation that has landed
    """

    left: int
    expected: float | None = None
    began: float = field(default_factory=lambda: time.monotonic())
    last: float = field(default_factory=lambda: time.monotonic())
    each: list[float] = field(default_factory=list)

    def landed(self) -> None:
        """One more generation."""
        now = time.monotonic()
        self.each.append(now - self.last)
        self.last, self.left = now, max(0, self.left - 1)

    def seconds(self) -> float | None:
        """Left of it, by what its generations took so far, else by what was expected; None where neither is known."""
        now = time.monotonic()
        if self.each:
            return max(0.0, self.left * sum(self.each) / len(self.each) - (now - self.last))
        return None if self.expected is None else max(0.0, self.expected - (now - self.began))


class Telling:
    """Whom what is told, and of what: a line at most every EVERY seconds while steps end, at least every STILL where `beat` is called.

    early: what was said before there was a log to keep it
    """

    def __init__(self, watcher: Watcher, early: Sequence[tuple[float, str]] = ()) -> None:
        self.watcher, self.works, self.last = watcher, list[Work](), time.monotonic()
        self.whole: Whole | None = None
        self.log: Log | None = None
        self.early = list(early)

    def begin(self, work: Work) -> None:
        """Work begins, as a part of what is in progress."""
        self.works.append(work)
        if not work.part:
            self.watcher.begin(work.what, work.total, work.done)
        if work.generation and self.whole is not None and not self.whole.each:
            self.whole.last = time.monotonic()  # what was done before the first of them is done once

    def advance(self, work: Work) -> None:
        """A step of it has ended."""
        work.done += 1
        self.watcher.advance()
        if time.monotonic() - self.last >= EVERY:
            self.tick()

    def end(self, work: Work) -> None:
        """It has ended, or was left."""
        if work in self.works:
            self.works.remove(work)
            if not work.part:
                self.watcher.end()

    def say(self, line: str, facts: Mapping[str, Any]) -> None:
        """A line for whoever watches, and for the log."""
        self.last = time.monotonic()
        self._keep(line)
        if facts:
            self.watcher.note(line, facts)
        else:
            self.watcher.say(line)

    def beat(self) -> None:
        """Tells how far it is where nothing was told for long, though no step has ended."""
        if self.works and time.monotonic() - self.last >= STILL:
            self.tick()

    def tick(self) -> None:
        """Tells how far it is."""
        self.last = time.monotonic()
        works = list(self.works)
        line = self._line(works)
        if self.log is not None:
            self.log(line, time.time())
        self.watcher.tick(line, self._facts(works))

    def _keep(self, line: str) -> None:
        if self.log is not None:
            self.log(line, time.time())
        elif type(self.watcher) is not Silent and len(self.early) < 1000:
            self.early.append((time.time(), line))

    def _line(self, works: Sequence[Work]) -> str:
        left, run, known = seconds_left(works), *self._run_left(works)
        of_it = [] if left is None else [f"{duration(left)} left"]
        if left is None and works:
            of_it = [f"at work for {duration(time.monotonic() - works[-1].began)}"]
        of_run = [] if run is None else [f"whole run: {'about' if known else 'more than'} {duration(run)} left"]
        name = works[0].name if works else ""
        return f"  {name}{', '.join(map(str, works))}: {'; '.join([*of_it, *of_run])}"

    def _facts(self, works: Sequence[Work]) -> dict[str, Any]:
        left, run, known = seconds_left(works), *self._run_left(works)
        named = works[0].name.rstrip(": ") if works else ""
        return {
            "event": "work",
            **({"of": named} if named else {}),
            "work": [{"what": one.what, **({"done": one.done, "total": one.total} if one.total else {})} for one in works],
            "seconds_left": None if left is None else round(left, 1),
            "run_seconds_left": None if run is None else round(run, 1),
            "run_seconds_left_is_least": run is not None and not known,
        }

    def _run_left(self, works: Sequence[Work]) -> tuple[float | None, bool]:
        """Seconds left of the whole run, and whether that is an estimate; else it is the least that they can be: what is known before the
        first generation has landed is how long a part of it takes."""
        if self.whole is None:
            return None, False
        left = seconds_left(works) or 0.0
        if (run := self.whole.seconds()) is not None:
            return max(run, left), True
        steps = next((one for one in works if one.total), None)
        if steps is None or not left or not any(one.generation for one in works):
            return None, False
        share = _share([one for one in works if one.total])
        return left + (self.whole.left - 1) * left / (1 - share), False


def seconds_left(works: Sequence[Work]) -> float | None:
    """Of the outermost of these that has steps, each a part of the one before it; None where that cannot be told yet."""
    stepped = [one for one in works if one.total]
    if not stepped:
        return None
    first, now = stepped[0], _share(stepped)
    done = now - first.before / first.total
    return None if done <= 0 else (1 - now) * (time.monotonic() - first.began) / done


def _share(stepped: Sequence[Work]) -> float:
    """How much of the first of these is done; the others are what its next step consists of."""
    first, inner = stepped[0], stepped[1:]
    return min(1.0, (first.done + (_share(inner) if inner else 0.0)) / first.total)
