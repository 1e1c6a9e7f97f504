"""How a run looks on a terminal, and in a log file."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from imgcollapse import progress
from imgcollapse.datasets.names import class_title
from imgcollapse.judges.titles import REAL, counted, features_title, judge_of, metric_title, source_title
from imgcollapse.machine import streams
from imgcollapse.machine.streams import stamped
from imgcollapse.metrics.record import Scores, Value, ranged, what_of
from imgcollapse.metrics.scores import SCORES, worth_showing
from imgcollapse.progress import duration

__all__ = ["Bars", "Json", "Lines", "Plain", "Quiet", "duration"]  # the last from below

MOST = 6  # scores that a line, or a table of generations, has room for


class _Shown(Console):
    """A console on which every string is text as it is: no markup and no emoji are read in it, and nothing in it steers the terminal."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Every string passes here, those in cells and headings of tables too."""
        return super().render_str(streams.shown(text, self.encoding), **how)


def out(width: int) -> Console:
    """The console of results; `width`: in letters, where stdout is no terminal."""
    return _Shown(file=sys.stdout, width=None if sys.stdout.isatty() else width)


class Lines(progress.Silent):
    """Lines for log files and pipes: what is said, and of work that takes long, how far it is.

    stamped: whether the time (UTC) stands before each
    """

    def __init__(self, stamped: bool = False) -> None:
        self.stamped = stamped

    def say(self, line: str) -> None:
        """Prints the line."""
        streams.err(stamped(line) if self.stamped else line)

    def tick(self, line: str, facts: Mapping[str, Any]) -> None:
        """Prints how far it is."""
        self.say(line)


class Plain(Lines):
    """And a line per finished generation."""

    def __init__(self, gens: int | None, stamped: bool = False) -> None:
        super().__init__(stamped)
        self.gens, self.done = gens or 0, 0
        self.began = self.last = time.monotonic()

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *error: object) -> None: ...

    def landed(self, generation: int, scores: Scores) -> None:
        """Says the generation's line: its scores, the time it took, the time left."""
        now = time.monotonic()
        self.done += 1
        progress.landed()
        mean = (self.gens - generation - 1) * (now - self.began) / self.done
        left = mean if (known := progress.run_left()) is None else known
        progress.say(
            f"generation {generation}  {in_short(scores)}  ({duration(now - self.last)}, {duration(left)} left)",
            event="generation",
            generation=generation,
            scores=plainly(scores),
            seconds=round(now - self.last, 3),
            run_seconds_left=round(left, 1),
        )
        self.last = now


class Json(Plain):
    """For programs: everything that is told, a line a JSON object with its time, its kind of event and the words of it."""

    def say(self, line: str) -> None:
        """An event without facts."""
        self.note(line, {"event": "said"})

    def note(self, line: str, facts: Mapping[str, Any]) -> None:
        """Prints the object."""
        streams.err_event(facts, line.strip())

    def tick(self, line: str, facts: Mapping[str, Any]) -> None:
        """How far it is."""
        self.note(line, facts)


class Bars(Plain):
    """The same with two bars below: generations, and the work in progress."""

    def __init__(self, gens: int | None) -> None:
        super().__init__(gens)
        self.console = _Shown(file=sys.stderr)
        columns = (
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("time left"),
            TimeRemainingColumn(),
        )
        self.bars = Progress(*columns, console=self.console, transient=True)
        self.whole = self.bars.add_task("generations", total=gens, visible=gens is not None)
        self.inner: list[TaskID] = []

    def __enter__(self) -> "Bars":
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """A bar of its own."""
        self.inner.append(self.bars.add_task(f"  {what}", total=total, completed=done))

    def advance(self) -> None:
        """Moves the bar."""
        self.bars.advance(self.inner[-1])

    def end(self) -> None:
        """Takes the bar away."""
        self.bars.remove_task(self.inner.pop())

    def tick(self, line: str, facts: Mapping[str, Any]) -> None:
        """The bars show it."""

    def say(self, line: str) -> None:
        """Prints the line above the bars."""
        self.console.print(line, soft_wrap=True)

    def landed(self, generation: int, scores: Scores) -> None:
        """Prints the generation's line and moves the outer bar."""
        super().landed(generation, scores)
        self.bars.update(self.whole, completed=generation + 1)


class Quiet(Plain):
    """Says nothing."""

    def say(self, line: str) -> None:
        """Nothing is printed."""


def watcher(gens: int | None, as_json: bool = False) -> Plain:
    """Bars on a terminal, lines with their time elsewhere; objects where they are asked for. `gens`: how many generations the work has;
    None: it has none."""
    return Json(gens) if as_json else Bars(gens) if sys.stderr.isatty() else Plain(gens, stamped=True)


def lines(as_json: bool = False) -> Plain:
    """The same without bars, for what comes before and after the work."""
    return Json(None) if as_json else Plain(None, stamped=not sys.stderr.isatty())


def tables(scores: Sequence[Scores], judge: Mapping[str, Any]) -> dict[str, Table | str]:
    """By extractor a table, generations by metrics, with real vs real as the first row. `judge` is the reference's record.

    A line instead, where the extractor measured nothing.
    """
    found: dict[str, Table | str] = {}
    firsts: dict[str, Mapping[str, Value]] = {}
    for one in scores:
        firsts = {**one.sources, **firsts}
    for extractor, first in firsts.items():
        shown, own = worth_showing(MOST, first), judge_of(judge, extractor)
        if not shown:
            found[extractor] = f"{source_title(extractor)}: nothing was measured"
            continue
        k, of = f", k = {own['k_precision']} for precision and recall, {own['k']} for coverage", what_of(extractor)
        neighbours = k if of == "features" else ""
        size = counted(own, (first[name] for name in shown), " against held-out real pictures", of)
        table = Table(title=f"{features_title(judge, extractor)}; {size}{neighbours}", title_justify="left")
        for column in ("generation", *(metric_title(name, extractor, short=True) for name in shown)):
            table.add_column(column, justify="right")
        reals = [first[name].real for name in shown]
        if any(reals):
            lines = ("" if real is None else ranged(real, SCORES[name].decimals) for name, real in zip(shown, reals, strict=True))
            cells = (Text(line.replace(" [", "\n[")) for line in lines)  # the range below the mean
            table.add_row(REAL, *cells, end_section=True)
        for one in scores:
            if extractor in one.sources:
                table.add_row(str(one.generation), *_cells(one.sources[extractor], shown))
        found[extractor] = table
    return found


def lost(losses: Mapping[int, int], names: Sequence[str]) -> str:
    """`lost: class 7 at generation 4; class 1, class 3 at generation 6`, the first to go first; empty where none is lost."""
    by_generation: dict[int, list[str]] = {}
    for number, generation in losses.items():
        by_generation.setdefault(generation, []).append(class_title(names[number]))
    text = "; ".join(f"{', '.join(gone)} at generation {generation}" for generation, gone in by_generation.items())
    return f"lost: {text}" if text else ""


def _cells(values: Mapping[str, Value], shown: Sequence[str]) -> list[str]:
    return [_cell(name, values[name].value) if name in values else "" for name in shown]


def _cell(name: str, value: float) -> str:
    return f"{value:.{SCORES[name].decimals}f}"


def plainly(scores: Scores) -> dict[str, dict[str, float]]:
    """The values alone: source -> metric -> value."""
    return {source: {name: one.value for name, one in values.items()} for source, values in scores.sources.items()}


def in_short(scores: Scores) -> str:
    """The scores of a generation on one line: those of the first extractor that measured any."""
    for extractor, values in scores.sources.items():
        if shown := worth_showing(MOST, values):
            names = (metric_title(name, extractor, short=True) for name in shown)
            return "  ".join(f"{name} {cell}" for name, cell in zip(names, _cells(values, shown), strict=True))
    return "nothing was measured" if scores.sources else "not judged"
