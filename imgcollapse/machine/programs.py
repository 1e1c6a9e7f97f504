"""Programs of the user's that a run starts: in a process group that ends with them, within a time, what they print kept in a log."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from imgcollapse import progress
from imgcollapse.errors import AGAIN, ProgramProblem, brief
from imgcollapse.heavy import torch
from imgcollapse.machine import devices, supervisor

# what launchers of several processes leave in the environment: a program that read it would wait for the others of that run
OF_LAUNCHERS = re.compile(
    r"((LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|FORK_LAUNCHED|(TORCHELASTIC|ACCELERATE)_\w+)"
)
POLL = 0.2  # seconds between looks at a program that works: an interrupt that comes as an exception is not kept waiting
TAIL = 4096  # bytes at the end of a log, for its last line
FIX = f"fix it, {AGAIN} (with a finished generation, an edited file of model.files is another study, for another --out)"

_workplace: ContextVar[Path | None] = ContextVar("workplace", default=None)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Programs that are started inside the block work in this folder, made when one is, and leave their logs there."""
    token = _workplace.set(folder)
    try:
        yield
    finally:
        _workplace.reset(token)


def workplace() -> Path | None:
    """The folder that `working_in` names; None outside of a run."""
    return _workplace.get()


def tidy(folder: Path) -> None:
    """Removes what programs have worked with there; their logs stay."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def found(program: str) -> bool:
    """Whether there is a program of that name or path, seen from the folder in which programs are started."""
    folder = devices.current().folder
    return shutil.which(str(folder / program) if os.path.dirname(program) else program) is not None


def environment(seed: int) -> dict[str, str]:
    """What a program finds in its environment: this process's, without what launchers left there; and the seed, the device, the threads."""
    device = devices.current().torch_device()
    own = {name: value for name, value in os.environ.items() if not OF_LAUNCHERS.fullmatch(name)}
    if device.type != "cuda" or device.index is not None:
        own["CUDA_VISIBLE_DEVICES"] = _visible(device.index, own.get("CUDA_VISIBLE_DEVICES")) if device.type == "cuda" else ""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(torch.get_num_threads()))
    return {**own, **threads, "IMGCOLLAPSE_SEED": str(seed), "IMGCOLLAPSE_DEVICE": device.type, "PYTHONHASHSEED": str(seed)}


def _visible(index: int, named: str | None) -> str:
    """That GPU alone, in the words of whoever chose among the machine's before: the program then sees it as its first."""
    return named.split(",")[index].strip() if named else str(index)


def run(what: str, words: Sequence[str], seed: int, log: Path, limit: float | None) -> None:
    """Executes a program to its end. `what` names the setting that it stands in, `limit` is in seconds.

    Its standard input is empty; what it prints is appended to the log as text. However the block is left, by an interrupt too, the program
    and all that it started in its process group are ended first; where this process is killed, the supervisor does that. Raises
    ProgramProblem where the program cannot be started, fails, or has not ended within the limit.
    """
    began, start = time.monotonic(), _write(log, f"$ {shlex.join(words)}  # {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
    script = [sys.executable, "-I", "-S", supervisor.__file__, os.path.abspath(log), *words]
    started = subprocess.Popen(
        script,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=devices.current().folder,
        env=environment(seed),
        start_new_session=True,
    )
    try:
        with progress.part(what):
            in_time = _wait(started, limit)
    finally:
        outcome = _end(started)
    seconds = time.monotonic() - began
    wrong = _wrong(outcome, log, start) if in_time else None
    how = wrong or ("done" if in_time else "ended: it took too long")
    _write(log, f"# {how.partition(';')[0]} ({seconds:.1f} s)\n")
    if not in_time:
        cure = f"give it more time (--set model.timeout=SECONDS, or null), {AGAIN}"
        raise ProgramProblem(f"{what}: had not ended after {limit:g} s (model.timeout), and was ended; see {log}; {cure}")
    if wrong:
        raise ProgramProblem(f"{what}: {wrong}; {FIX}")


def _wait(started: "subprocess.Popen[bytes]", limit: float | None) -> bool:
    """Whether it ends within the limit."""
    until = None if limit is None else time.monotonic() + limit
    while until is None or time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            started.wait(POLL if until is None else max(0.0, min(POLL, until - time.monotonic())))
            return True
    return False


def _end(started: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Ends the program, if it has not ended, and all of its group; what the supervisor says of it."""
    assert started.stdin is not None and started.stdout is not None
    started.stdin.close()
    try:
        started.wait(supervisor.GRACE + 5)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    with started.stdout as pipe:
        said = pipe.read()
    return dict(json.loads(said)) if said else {"code": started.returncode}


def _wrong(outcome: Mapping[str, int], log: Path, start: int) -> str | None:
    """How a program has failed, in words; None where it has not."""
    if outcome.get("unkept"):
        progress.say_once(f"{log}: {os.strerror(outcome['unkept'])}; what the program prints is not kept")
    if error := outcome.get("error"):
        return f"cannot be started ({os.strerror(error)})"
    code = outcome["code"]
    if code == 0:
        return None
    how = f"exit code {code}"
    if code < 0:
        name = signal.Signals(-code).name
        how = f"ended by {name}" + (", perhaps because the memory was full" if -code == signal.SIGKILL else "")
    last = _last_line(log, start)
    return f"{how}, its last line: {brief(last, most=200)}; see {log}" if last else f"{how}, without a word; see {log}"


def _write(log: Path, line: str) -> int:
    """Appends a line to a log of ours, and says how long that is then; a line that was left unfinished is ended first."""
    with open(log, "a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(line.encode(errors="backslashreplace"))
        return file.tell()


def _last_line(log: Path, start: int) -> str:
    with open(log, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - TAIL))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
