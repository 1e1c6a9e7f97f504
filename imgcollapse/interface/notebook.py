"""How work looks in a notebook: lines as they come, and below them two bars that move."""

import sys
import time
from collections.abc import Mapping
from html import escape
from typing import Any

from imgcollapse.interface.console import Plain, duration
from imgcollapse.machine import streams
from imgcollapse.metrics.record import Scores
from imgcollapse.progress.telling import Work, seconds_left

OFTEN = 0.2  # seconds between two looks of a bar


def display() -> Any:
    """IPython's function that shows things in the cell that is executed; None where no notebook executes this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display  # there already, as it is what executes this

    return display


class Html:
    """What IPython shows as it stands."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return ""  # where nothing but text is shown, the lines are enough

    def _repr_html_(self) -> str:
        return self.text


class Cell(Plain):
    """Bars for the generations, where there are any, and for the work in progress; they are gone at the end.

    show: IPython's `display`
    """

    def __init__(self, gens: int | None, show: Any) -> None:
        super().__init__(gens)
        self._show, self._bars, self._shown, self._works = show, None, 0.0, list[Work]()

    def __enter__(self) -> "Cell":
        self._bars = self._show(Html(""), display_id=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.update(Html(""))
            self._bars = None

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """A bar of its own."""
        self._works.append(Work(what, total, done, done))
        self._draw()

    def advance(self) -> None:
        """Moves the bar."""
        self._works[-1].done += 1
        self._draw()

    def end(self) -> None:
        """Takes the bar away."""
        self._works.pop()
        self._draw()

    def tick(self, line: str, facts: Mapping[str, Any]) -> None:
        """The bars show it."""

    def say(self, line: str) -> None:
        """Prints the line; not as an error, which a notebook would paint red."""
        streams.out(line)

    def landed(self, generation: int, scores: Scores) -> None:
        """Prints the generation's line and moves the outer bar."""
        super().landed(generation, scores)
        self._draw(now=True)

    def _draw(self, now: bool = False) -> None:
        if self._bars is None or (not now and time.monotonic() - self._shown < OFTEN):
            return
        self._shown = time.monotonic()
        bars = [_bar("generations", self.done, self.gens, "")] if self.gens else []
        for work in self._works:
            left = seconds_left([work])
            bars.append(_bar(work.what, work.done, work.total, "" if left is None else f", {duration(left)} left"))
        self._bars.update(Html(f'<div style="font-family: monospace">{"".join(bars)}</div>'))


def _bar(what: str, done: int, total: int, left: str) -> str:
    return f'<div><progress value="{done}" max="{total}"></progress> {escape(what)} {done:,} of {total:,}{left}</div>'
