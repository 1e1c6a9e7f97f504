"""What tells trackers of runs: of every finished generation once, from the run folders alone."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any

from imgcollapse import progress, store
from imgcollapse.errors import SettingsProblem
from imgcollapse.files import ledger, to_json, write_text
from imgcollapse.machine import devices
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import read_file
from imgcollapse.store.records import read_json
from imgcollapse.track.kinds import FOLDER, TRACKERS, Log, Logged


class Tracker:
    """Tells one tracker of all finished generations of some runs, each once, also across restarts.

    A tracker that fails, in whatever way, is reported once and left alone from then on: what is tracked never suffers from it.
    Raises SettingsProblem for an unknown kind.
    """

    def __init__(self, kind: str) -> None:
        known([kind])
        self.kind, self.lost = kind, False
        self.logged, self.logs = dict[Path, Logged](), dict[Path, Log]()
        needs = TRACKERS[kind].needs
        if needs is not None and find_spec(needs) is None:
            self._lose(f"is not installed; the work goes on without it: pip install {kind}")

    def look(self, runs: Iterable[Path]) -> None:
        """Logs the generations of these run folders that are finished and not logged yet; folders without a run are passed over."""
        if self.lost:
            return
        try:
            with _aside():
                for run in runs:
                    if (run / store.STUDY).is_file():
                        self._catch_up(run)
        except Exception as error:
            self._fail(error)
            self.close()
        except BaseException:
            self.lost = True  # stopped in the midst of a generation: it is for the next session to write it again
            raise

    def close(self) -> None:
        """Ends what is open, so that nothing is lost."""
        with _aside():
            while self.logs:
                try:
                    self.logs.popitem()[1].close()
                except Exception as error:
                    self._fail(error)

    def _catch_up(self, run: Path) -> None:
        if run not in self.logged:
            self.logged[run] = self._logged(run)
        logged = self.logged[run]
        # one after the other: trackers take no step that lies before one they have
        while store.landed(run, logged.generations):
            log = self.logs.get(run) or self._open(run, logged)
            if store.is_judged(run, logged.generations):
                log.write(logged.generations, scalars(store.scores_of(run, logged.generations)), run / store.grid(logged.generations))
            logged.generations += 1
            self._keep(run, logged)
            if logged.generations == read_file(run / store.STUDY)["gens"]:
                self.logs.pop(run).close()

    def _open(self, run: Path, logged: Logged) -> Log:
        while self.logs and TRACKERS[self.kind].alone:
            self.logs.popitem()[1].close()
        # accelerate's trackers ask it which process this is; made as `training` makes it, which may come later and must find no other
        from accelerate import PartialState

        PartialState(cpu=devices.current().torch_device().type == "cpu")
        (run / FOLDER).mkdir(exist_ok=True)
        self._keep(run, logged)
        self.logs[run] = TRACKERS[self.kind](run, flat(read_file(run / store.STUDY)), logged)
        return self.logs[run]

    def _logged(self, run: Path) -> Logged:
        path = run / FOLDER / f"{self.kind}.json"
        if os.path.lexists(path):
            try:
                record = read_json(path)
                return Logged(int(record["generations"]), str(record["id"]))
            except (KeyError, TypeError, ValueError):
                progress.say(f"{path}: is damaged; the run is logged again from generation 0")
                ledger.clear(path, path.parent)
        return Logged(0, token_hex(4))

    def _keep(self, run: Path, logged: Logged) -> None:
        write_text(run / FOLDER / f"{self.kind}.json", to_json(asdict(logged)))

    def _fail(self, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        self._lose(f"fails ({reason}); the work goes on without it; the same command run again logs what is missing")

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = True
            progress.say(f"--track {self.kind}: {why}")


@contextmanager
def tracking(kinds: Iterable[str], runs: Iterable[Path]) -> Iterator[Callable[[], None]]:
    """Trackers of these run folders: `look()` tells them what is new, and they hear the rest when the block ends or is stopped.

    After an error they are only closed, for the folder may be another's. Raises SettingsProblem for an unknown kind.
    """
    folders, trackers = list(runs), [Tracker(kind) for kind in dict.fromkeys(kinds)]

    def look() -> None:
        for tracker in trackers:
            tracker.look(folders)

    try:
        yield look
        look()
    except KeyboardInterrupt:
        look()
        raise
    finally:
        for tracker in trackers:
            tracker.close()


def known(kinds: Iterable[str]) -> None:
    """Raises SettingsProblem for a kind of tracker that there is not."""
    for kind in kinds:
        if kind not in TRACKERS:
            raise SettingsProblem(f"--track: '{kind}' is unknown; there are: {', '.join(TRACKERS)}")


def scalars(scores: Scores) -> dict[str, float]:
    """A generation's metrics as `EXTRACTOR/METRIC`, each with the mean of real vs real beside it as `EXTRACTOR/METRIC_real`.

    What is of one class is a group of its own, `EXTRACTOR_classes/...`; the ends of intervals stay in the scores.
    """
    found = dict[str, float]()
    for extractor, values in scores.sources.items():
        for metric, one in values.items():
            if re.search(r"_(low|high)_\d+$", metric):
                continue
            of_class = "_classes" if re.search(r"_\d+$", metric) else ""
            name = f"{extractor}{of_class}/{metric}"
            found[name] = one.value
            if one.real is not None:
                found[f"{name}_real"] = one.real.mean
    return found


def flat(settings: dict[str, Any], place: str = "") -> dict[str, Any]:
    """`{"model": {"steps": 3}}` -> `{"model.steps": 3}`; lists become JSON text, for trackers take only single values."""
    found = dict[str, Any]()
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{place}{key}.")
        else:
            found[place + key] = json.dumps(value) if isinstance(value, list) else value
    return found


@contextmanager
def _aside() -> Iterator[None]:
    """What trackers print goes beside the results, and they find nobody to ask for a login."""
    with redirect_stdout(sys.stderr), open(os.devnull) as nobody:
        before, sys.stdin = sys.stdin, nobody
        try:
            yield
        finally:
            sys.stdin = before
