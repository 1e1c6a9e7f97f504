"""How long work tells whoever watches, without knowing who that is: `for step in progress.steps(1500, "fit"): ...`."""

import threading
import time
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from imgcollapse.progress.telling import Log, Silent, Telling, Watcher, Whole, Work, duration

__all__ = ["Silent", "Watcher", "duration"]

LOOK = 5.0  # seconds between looks at whether anything was told

_telling: ContextVar[Telling] = ContextVar("telling", default=Telling(Silent()))  # noqa: B039 (nobody hears it)
_name: ContextVar[str] = ContextVar("name", default="")
_messages: ContextVar[set[str] | None] = ContextVar("messages", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Makes `watcher` hear of all work inside the block. What `say_once` has said is remembered to the end of the outermost block."""
    before, outer = _messages.get(), _telling.get()
    token, messages = _telling.set(Telling(watcher, outer.early)), _messages.set(set() if before is None else before)
    try:
        yield
    finally:
        _telling.reset(token)
        _messages.reset(messages)


def steps(total: int, what: str, first: int = 0) -> Generator[int]:
    """first, ..., total - 1, telling the watcher of each step."""
    telling, work = _telling.get(), Work(what, total, first, first, name=_name.get())
    telling.begin(work)
    try:
        for step in range(first, total):
            yield step
            telling.advance(work)
    finally:
        telling.end(work)


@contextmanager
def part(what: str, generation: bool = False) -> Iterator[None]:
    """Work of which no steps are told; others in the block are parts of it. generation: it is all that makes one generation."""
    telling, work = _telling.get(), Work(what, 0, 0, 0, generation, _name.get(), part=True)
    telling.begin(work)
    try:
        yield
    finally:
        telling.end(work)


def whole(generations: int, expected: float | None = None) -> None:
    """So many generations of a run are to land from here on, in about so many seconds; None: not known."""
    _telling.get().whole = Whole(generations, expected)


def landed() -> None:
    """One of them has landed."""
    if (run := _telling.get().whole) is not None:
        run.landed()


def silent_for() -> float:
    """Seconds since anything was told."""
    return time.monotonic() - _telling.get().last


def run_left() -> float | None:
    """Seconds left of the whole run; None where that is not known."""
    run = _telling.get().whole
    return None if run is None else run.seconds()


@contextmanager
def beating() -> Iterator[None]:
    """In the block something is told at least every minute while there is work, also where a step of it takes longer."""
    telling, over = _telling.get(), threading.Event()

    def beat() -> None:
        while not over.wait(LOOK):
            with suppress(Exception):  # what it tells is never the reason why the work ends
                telling.beat()

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def logged(log: Log) -> Iterator[None]:
    """All that a watcher is told in the block is written to the log too, and before it what was said up to here, each line once.

    A block in the block writes to the log of the outer one; where nobody watches, nothing is logged.
    """
    telling = _telling.get()
    if telling.log is not None or type(telling.watcher) is Silent:
        yield
        return
    for when, line in telling.early:
        log(line, when)
    telling.early.clear()
    telling.log = log
    try:
        yield
    finally:
        telling.log = None


def is_logged(log: Log) -> bool:
    """Whether what is told is written to that very log."""
    return _telling.get().log is log


def unlog() -> None:
    """Nothing more is written to the log: it cannot be."""
    _telling.get().log = None


def say(line: str, **facts: Any) -> None:
    """One line for the user; `facts`: the same for a program, with the kind of `event` that it tells of."""
    _telling.get().say(_name.get() + line, facts)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Every line that is said inside the block begins with that name."""
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


@contextmanager
def remembering(before: Collection[str] = ()) -> Iterator[None]:
    """What is said once inside the block, by whatever watcher, is not said again there; nor what was said `before` (see `messages`)."""
    messages = _messages.set(set(before))
    try:
        yield
    finally:
        _messages.reset(messages)


def messages() -> frozenset[str]:
    """What `say_once` has said so far, and does not say again: for another process that goes on with the work."""
    return frozenset(_messages.get() or ())


def say_once(line: str, what: str | None = None) -> None:
    """A line that the watcher hears once, however often it, or another line on the same `what`, would be said."""
    messages, what = _messages.get(), _name.get() + (what or line)
    if messages is None or what not in messages:
        say(line)
    if messages is not None:
        messages.add(what)
