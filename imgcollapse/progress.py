"""How long work tells whoever watches, without knowing who that is: `for step in progress.steps(1500, "fit"): ...`."""

from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Watcher(Protocol):
    """Is told of work that begins (`done`: steps that an earlier session did), advances and ends, and of what a user should hear."""

    def begin(self, what: str, total: int, done: int = 0) -> None: ...
    def advance(self) -> None: ...
    def end(self) -> None: ...
    def say(self, line: str) -> None: ...


class Silent:
    """The watcher when nobody watches."""

    def begin(self, what: str, total: int, done: int = 0) -> None: ...
    def advance(self) -> None: ...
    def end(self) -> None: ...
    def say(self, line: str) -> None: ...


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=Silent())  # noqa: B039 (it holds no state)
_name: ContextVar[str] = ContextVar("name", default="")
_messages: ContextVar[set[str] | None] = ContextVar("messages", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Makes `watcher` hear of all work inside the block. What `say_once` has said is remembered to the end of the outermost block."""
    before = _messages.get()
    token, messages = _watcher.set(watcher), _messages.set(set() if before is None else before)
    try:
        yield
    finally:
        _watcher.reset(token)
        _messages.reset(messages)


def steps(total: int, what: str, first: int = 0) -> Generator[int]:
    """first, ..., total - 1, telling the watcher of each step."""
    watcher = _watcher.get()
    watcher.begin(what, total, first)
    try:
        for step in range(first, total):
            yield step
            watcher.advance()
    finally:
        watcher.end()


def say(line: str) -> None:
    """One line for the user."""
    _watcher.get().say(_name.get() + line)


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
