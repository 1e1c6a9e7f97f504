"""What several commands need."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imgcollapse import machine
from imgcollapse.options import WEIGHTS


class Stopped(KeyboardInterrupt):
    """SIGTERM, which ends a run as cleanly as SIGINT does."""


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the block; the list then holds the exit code."""
    code: list[int] = []

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield code
    except Stopped:
        code.append(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        code.append(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def machine_from(given: dict[str, Any]) -> machine.Machine:
    """The machine that the flags name."""
    fields = {name: given[name] for name in ("device", "precision", "data_dir") if given.get(name) is not None}
    weights = {kind: file for kind in WEIGHTS if (file := given.get(f"{kind}_weights")) is not None}
    return machine.Machine(**fields, weights=weights)
