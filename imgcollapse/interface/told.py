"""The boundary to whoever calls from Python: errors are Problems, and what is told of the work is heard."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import imgcollapse
from imgcollapse import progress
from imgcollapse.errors import Problem, explained
from imgcollapse.interface import notebook
from imgcollapse.interface.console import Plain, Quiet, lines, watcher

FLAG = re.compile(r"(?<![\w-])(?:-(o)\b|--(no-)?([a-z][a-z0-9-]*))(?: (cpu|cuda|float32|bfloat16|both\.\w+)\b)?(:)?")
OTHERS = {"o": "out", "gen": "generation", "plugin": "plugins", "inception-weights": "weights", "dinov2-weights": "weights", "axis": "axes"}
"""Flags whose keyword has another name."""


@contextmanager
def told() -> Iterator[None]:
    """What the system refuses inside the block is raised as the command line tells it: a Problem of one line with place, reason and cure.

    A Problem names keywords where the command line's has flags (`in_keywords`); all else is raised as it is.
    """
    try:
        yield
    except Problem as known:
        known.args = (in_keywords(str(known)),)
        raise
    except Exception as error:
        if (problem := explained(error)) is None:
            raise
        raise type(problem)(in_keywords(str(problem))) from error


def in_keywords(message: str) -> str:
    """A message of the command line for who calls from Python: `--out` is `out=`, `--no-nulls` is `nulls=False`, and before a colon
    `--gens` is `gens`. Flags that no function has as a keyword stay."""

    def keyword(found: re.Match[str]) -> str:
        short, no, name, value, colon = found.groups()
        flag = short or name
        word = OTHERS.get(flag, flag.replace("-", "_"))
        if word not in _keywords():
            return found.group()
        if no or value:
            return f"{word}={'False' if no else repr(value)}{colon or ''}"
        return f"{word}:" if colon else f"{word}="

    return FLAG.sub(keyword, message)


@cache
def _keywords() -> frozenset[str]:
    functions = (imgcollapse.run, imgcollapse.ablate, imgcollapse.score, imgcollapse.judge, imgcollapse.report)
    return frozenset({"generation"}.union(*(inspect.signature(one).parameters for one in functions)))


def watched(gens: int | None, quiet: bool) -> Plain:
    """Who watches work of so many generations (None: of none): bars in a notebook and on a terminal, lines elsewhere, or nobody."""
    if quiet:
        return Quiet(gens)
    show = notebook.display()
    return watcher(gens) if show is None else notebook.Cell(gens, show)


@contextmanager
def called(quiet: bool) -> Iterator[None]:
    """A call from Python, from its first word to its last."""
    show = notebook.display()
    watching = Quiet(None) if quiet else lines() if show is None else notebook.Cell(None, show)
    with told(), progress.remembering(), watching, progress.watched_by(watching):
        yield
