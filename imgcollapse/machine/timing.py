"""How long work takes here, told from a little of it."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from imgcollapse import progress
from imgcollapse.heavy import torch
from imgcollapse.machine import devices

clock = time.perf_counter  # seconds
ENOUGH = 0.4  # seconds of measuring that are enough
LONG = 3.0  # and the most, were fewer than LEAST steps done by then
LEAST = 3  # steps


class StoppedEarly(Exception):
    """The work is measured, and ends before its time."""


class Steps(progress.Silent):
    """Watches work of many steps, and ends it once it is known how long a step takes."""

    def __init__(self, seen: Callable[[], float] | None = None) -> None:
        """seen: is asked after every step for a number, of which `grown` is the growth in a step; then the work ends after two steps."""
        self.seconds: list[float] = []
        self.grown, self.total, self.what = 0.0, 0, ""
        self._seen, self._before, self._last = seen, 0.0, 0.0

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """Work of so many steps begins."""
        self.what, self.total, self.seconds, self._last = what, total - done, [], _now()

    def advance(self) -> None:
        """A step is done. Raises StoppedEarly where enough of them are."""
        now = _now()
        self.seconds.append(now - self._last)
        self._last = now
        if self._seen is not None:
            seen = self._seen()
            self.grown, self._before = seen - self._before, seen
            if len(self.seconds) == 2:
                raise StoppedEarly
            return
        known, over = self.seconds[1:], sum(self.seconds) > LONG
        if (sum(known) > ENOUGH and len(known) >= LEAST) or over:
            raise StoppedEarly

    @property
    def step(self) -> float:
        """Seconds of a step, the first few left out, which are slower."""
        several = len(self.seconds) // 3
        return statistics.median(self.seconds[max(1, several) :] or self.seconds or [0.0])

    def watch(self, work: Callable[[], Any]) -> Any:
        """What the work gives, or None where it was ended."""
        try:
            with progress.watched_by(self):
                return work()
        except StoppedEarly:
            return None


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it gives; it tells nobody of itself."""
    with progress.watched_by(progress.Silent()):
        began = _now()
        found = work()
        return _now() - began, found


def seconds_each(work: Callable[[int], Any], most: int, first: int = 16) -> float:
    """Seconds for each of the things that `work(n)` does, of n that double from `first` on until it takes long enough, `most` at most.

    The first time is not counted, unless it alone is long: libraries get ready in it.
    """
    n = min(first, most)
    cold, _ = seconds_of(partial(work, n))
    took = cold if cold > LONG else seconds_of(partial(work, n))[0]
    while took < ENOUGH / 2 and n < most:
        n = min(2 * n, most)
        took, _ = seconds_of(partial(work, n))
    return took / max(1, n)


def _now() -> float:
    if devices.current().torch_device().type == "cuda":
        torch.cuda.synchronize()
    return clock()
