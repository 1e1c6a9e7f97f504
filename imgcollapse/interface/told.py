"""The boundary to whoever calls from Python: errors are Problems, and what is told of the work is heard."""

from collections.abc import Iterator
from contextlib import contextmanager

from imgcollapse import progress
from imgcollapse.errors import Problem, explained
from imgcollapse.interface import notebook
from imgcollapse.interface.console import Plain, Quiet, lines, watcher


@contextmanager
def told() -> Iterator[None]:
    """What the system refuses inside the block is raised as the command line tells it: a Problem of one line with place, reason and cure.

    All else is raised as it is.
    """
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        if (problem := explained(error)) is None:
            raise
        raise problem from error


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
