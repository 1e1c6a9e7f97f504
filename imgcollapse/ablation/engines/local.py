"""Processes on this machine."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.common import LOG, execute
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.errors import SettingsProblem
from imgcollapse.machine.children import without_script

SOCKET = 107 - len("/pymp-01234567/listener-01234567")  # bytes that the path of a socket may have, less what Python adds to the folder
GRACE = 60  # seconds in which a stopped run may end cleanly
SERVER: dict[str, int] = {}  # with how many threads the server that forks processes was started: it is one for the whole program


def local(runs: Sequence[Path], configuration: EngineConfiguration, each_second: Callable[[], None]) -> None:
    """Processes on this machine, one per run, `--jobs` at once; one that crashes does not stop the others."""
    if configuration.options:
        raise SettingsProblem(
            f"--engine-option: the engine local has no options ('{next(iter(configuration.options))}' was given); leave it out"
        )
    with _environment(configuration):
        _execute(runs, configuration, each_second)


def _execute(runs: Sequence[Path], configuration: EngineConfiguration, each_second: Callable[[], None]) -> None:
    context = _context(configuration.threads)
    waiting, working = deque(runs), dict[Path, BaseProcess]()
    try:
        while waiting or working:
            while waiting and len(working) < configuration.jobs:
                run = waiting.popleft()
                process = context.Process(target=_work, args=(run,), name=run.name)
                with without_script():
                    process.start()  # before it is counted among the working: one that cannot start has nothing to be ended
                working[run] = process
            connection.wait([process.sentinel for process in working.values()], timeout=1)
            for run, process in list(working.items()):
                if process.exitcode is not None:
                    process.join()
                    _note_death(run, process.exitcode)
                    del working[run]
            each_second()
    except BaseException:
        for process in working.values():
            process.terminate()
        for process in working.values():
            process.join(GRACE)
            process.kill()
        raise


@contextmanager
def _environment(configuration: EngineConfiguration) -> Iterator[None]:
    """What the processes that are started inside the block find in their environment; after it, it is as it was."""
    # libraries ask at their import whether there is a GPU: that would wake it in the server, and no forked process could use it any more
    wanted = {**configuration.environment(), "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    before = {name: os.environ.pop(name, None) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _context(threads: int = 1) -> Any:
    """How processes are started: by a server that has imported everything once and forks a process a run, so that a run of a second does
    not wait seconds for torch.

    Its socket lies in the folder for temporary files: where that path is too long, one by one. So too where it was started for another
    number of threads: a program has one such server, and what that has imported keeps to its number.
    """
    room = SOCKET - len(os.fsencode(tempfile.gettempdir()))
    if sys.platform != "linux" or room < 0 or SERVER.setdefault("threads", threads) != threads:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imgcollapse.ablation.engines.preload"])
    return context


def check() -> None:
    """Starts a process and waits for its end, for `imgcollapse doctor`. Raises OSError or RuntimeError where it cannot."""
    process = _context().Process(target=abs, args=(0,))
    process.start()
    process.join(GRACE)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"a process that was started ended with {process.exitcode}")


def _note_death(run: Path, code: int) -> None:
    if code < 0 and -code != signal.SIGTERM:
        name = signal.Signals(-code).name
        hint = "; perhaps the memory was full: take fewer --jobs" if -code == signal.SIGKILL else ""
        worker.record_failure(run, name, f"the process was ended by {name}{hint}; see {run / LOG}", 128 - code)


def _work(run: Path) -> None:
    """The child: executes one run."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        code = execute(run)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.stdout.flush()
    sys.exit(code)
