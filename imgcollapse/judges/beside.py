"""Judging beside the training: what is kept is judged in a process of its own while the next generation is made, and lands in order."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import Any, Self

from imgcollapse import progress
from imgcollapse.errors import AGAIN, Problem, SystemProblem, of_plugin
from imgcollapse.heavy import torch
from imgcollapse.machine import devices
from imgcollapse.machine.children import without_script
from imgcollapse.metrics.record import Scores

WAITING = 4  # generations that may wait for the judge while more are made: samples that nothing else needs stay on the disk till then
GRACE = 5  # seconds in which a process that is told to end may take away its unfinished files

Scoring = Callable[[int], Scores]  # of a generation that is kept; see `judging.Judging`


class InOrder:
    """Has generations judged, and lands each once it and all before it are judged.

    landed: is called with a generation and its scores, in this process; not where it was judged before
    after:  is called with a generation, in this process, once it and all before it are judged
    again:  opens the judge in another process, which begins with the first generation that is to be judged; it and what it returns are as
           in this process (picklable). None: every generation is judged at once, in this process
    """

    def __init__(
        self, landed: Callable[[int, Scores], None], after: Callable[[int], None], again: Callable[[], Scoring] | None = None
    ) -> None:
        self._landed, self._after, self._again = landed, after, again
        self._child: _Child | None = None
        self._waiting = deque[tuple[int, bool]]()  # a generation that has not landed, and whether it was judged before

    def __call__(self, generation: int, judge: Scoring, judged: bool) -> None:
        """Judges a generation that is kept (`judged`: it was judged before), and lands all that can.

        Raises what the judge raises, of this generation or one before it, and SystemProblem where its process was ended.
        """
        if self._again is None:
            self._land(generation, None if judged else judge(generation))
            return
        if not judged:
            self._child = self._child or _Child(self._again)
            self._child.begin(generation)
        self._waiting.append((generation, judged))
        self._land_all(WAITING)

    def _land(self, generation: int, scores: Scores | None) -> None:
        if scores is not None:
            self._landed(generation, scores)
        self._after(generation)

    def _land_all(self, most: int = 0) -> None:
        """Lands what is judged, and waits for the judge where more than `most` generations would be left."""
        try:
            while self._waiting:
                generation, judged = self._waiting[0]
                with progress.part(f"generation {generation} is being judged beside"):
                    scores = None if judged or self._child is None else self._child.take(wait=len(self._waiting) > most)
                if scores is None and not judged:
                    return
                self._waiting.popleft()
                self._land(generation, scores)
        except BaseException:
            self._waiting.clear()  # nothing more lands
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Lands the rest, also where making the next one failed; not where the run is to end at once (KeyboardInterrupt)."""
        try:
            if error is None:
                self._land_all()
            elif isinstance(error, Exception):
                with suppress(Exception):  # the first error is the one to be told
                    self._land_all()
        finally:
            if self._child is not None:
                self._child.end()


class _Child:
    """The process that judges, seen from the one that trains."""

    def __init__(self, again: Callable[[], Scoring]) -> None:
        context = multiprocessing.get_context("spawn")  # a process that has used a GPU cannot be forked
        self._pipe, its_end = context.Pipe()
        here = (devices.current(), torch.get_num_threads(), progress.messages())
        self._process = context.Process(target=_work, args=(its_end, again, *here), name="judge", daemon=True)
        with _deaf(), without_script():
            self._process.start()
        its_end.close()

    def begin(self, generation: int) -> None:
        """Has that generation judged, after those that it was told before."""
        with suppress(ConnectionError):  # it was ended: `take` says so
            self._pipe.send(generation)

    def take(self, wait: bool) -> Scores | None:
        """The next scores; None where they are not there yet and are not waited for. Passes on what a user should hear.

        Raises what the judge raised, and SystemProblem where the process was ended.
        """
        while ready := connection.wait([self._pipe, self._process.sentinel], None if wait else 0):
            match self._receive() if self._pipe in ready else None:
                case str(line):
                    progress.say(line)
                case Scores() as scores:
                    return scores
                case Exception() as error:
                    raise error
                case _:
                    raise self._ended()
        return None

    def _receive(self) -> Any:
        with suppress(EOFError, ConnectionError):
            return self._pipe.recv()
        return None

    def _ended(self) -> Problem:
        self._process.join(GRACE)
        code = self._process.exitcode
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        full = "; perhaps the memory was full" if code == -getattr(signal, "SIGKILL", 0) else ""
        return SystemProblem(f"judge: the process that judges beside the run ended {how}{full}; add --no-judge-beside, {AGAIN}")

    def end(self) -> None:
        """Ends the process, whatever it does: what it has not finished is as if it had not been begun."""
        self._process.terminate()
        self._process.join(GRACE)
        self._process.kill()
        self._process.join()
        self._pipe.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started inside the block hears no Ctrl-C, which a terminal sends to all: the one that started it ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Teller(progress.Silent):
    """Passes on what a user should hear."""

    def __init__(self, pipe: connection.Connection) -> None:
        self._pipe = pipe

    def say(self, line: str) -> None:
        """Sends the line."""
        self._pipe.send(line)


def _work(pipe: connection.Connection, again: Callable[[], Scoring], here: devices.Machine, threads: int, messages: frozenset[str]) -> None:
    """The process that judges: opens the judge, and sends the scores of every generation that it is told, or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)  # they decide the last digits
    with devices.use(here), progress.remembering(messages), suppress(EOFError, ConnectionError):
        try:
            judge = _opened(again)  # in silence: whoever opened it first has said what there is to say
            with progress.watched_by(_Teller(pipe)):
                while True:
                    pipe.send(judge(pipe.recv()))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            pipe.send(_portable(error))
            pipe.recv()  # until it is ended, so that nothing is told of its end


def _opened(again: Callable[[], Scoring]) -> Scoring:
    """Raises SystemProblem for what goes wrong only beside another process: that one has opened the same judge."""
    try:
        return again()
    except Problem:
        raise
    except Exception as error:
        if (problem := of_plugin(error)) is not None:
            raise problem from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SystemProblem(f"judge: cannot be opened in a process beside the run ({reason}); add --no-judge-beside, {AGAIN}") from error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a process that another one has started"
    connection.wait([parent.sentinel])
    os._exit(1)  # in whatever work it is: nobody waits for it any more


def _portable(error: Exception) -> Exception:
    """The same error for another process, with the place where it was raised; its words alone, where it cannot be sent."""
    note, error = "".join(traceback.format_exception(error)), of_plugin(error) or error
    error.add_note(note)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # of any kind, as the error's own class is asked; nothing is lost, its words are sent instead
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
