"""The command that was typed, for the record of a session; what may be secret in it is left out."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

HIDDEN = "(hidden)"
NAMES = r"(?:api|access|private|secret|auth)[-_]?key|token|secret|passw(?:or)?d|passphrase|credentials?"
NAMED = re.compile(rf"(?i)([\w.-]*(?:{NAMES})[\w.-]*['\"]?\s*(?:[=:]\s*|\s+))(?!\s)(?:'[^']*'|\"[^\"]*\"|[^\s'\",}}\]]+)")
IN_ADDRESS = re.compile(r"(?<=://)[^\s/@]+(?=@)")  # user and password
SHORTEST = 6  # letters of a secret in the environment that are looked for in the command: shorter ones stand in many words

_typed: ContextVar[str | None] = ContextVar("typed", default=None)


@contextmanager
def noted(command: str | None) -> Iterator[None]:
    """Inside of the block, that is what was typed."""
    before = _typed.set(command)
    try:
        yield
    finally:
        _typed.reset(before)


def command() -> str | None:
    """What was typed to begin this work; None where it was begun from Python."""
    return _typed.get()


def in_words(arguments: Sequence[str], program: str = "imgcollapse") -> str:
    """The words of a command as a shell reads them, without secrets: what follows a name like `token`, passwords in addresses, and
    values of variables of the environment with such a name."""
    text = shlex.join([program, *arguments])
    for name, value in os.environ.items():
        if re.search(rf"(?i){NAMES}", name) and len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return NAMED.sub(rf"\1{HIDDEN}", IN_ADDRESS.sub(HIDDEN, text))
