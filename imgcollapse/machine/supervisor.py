"""Starts a program, keeps what it prints, and ends with it all that it has started: a script of its own, which imports no package.

    python -I -S supervisor.py LOG PROGRAM ARGUMENT ...

Standard input is a pipe that nobody writes to: when it ends, whoever started this script is gone, killed perhaps, or wants the program
ended. Standard output gets one line of JSON, `{"code": ...}` (negative: the signal) or `{"error": ...}` (the system's error number where it
cannot be started), with `"unkept"` where the log could not be written. The script must lead a process group of its own, which it kills.
"""

import codecs
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress

GRACE = 5.0  # seconds between asking a program to end and ending it, as long as somebody waits for that
POLL = 0.1  # seconds between looks whether somebody still does
MOST = 2**26  # bytes of what a program prints that are kept
AT_ONCE = 2**16
LAST = 64  # times AT_ONCE that are read once the program has ended: more than a pipe holds
CUT = "\n... more was printed, and is not kept\n"
STEERING = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t\r"}
STEERING |= {ord(letter): f"\\u{ord(letter):04x}" for letter in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}


class Log:
    """What a program prints, as text: bytes that are none, and what would steer a terminal, stand as escapes."""

    def __init__(self, path: str) -> None:
        self.error = 0  # of the system, where the log could not be written: the program goes on, and who started it is told
        self._text = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._left = MOST
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            self.error = error.errno or 1

    def add(self, printed: bytes, final: bool = False) -> None:
        """Appends that much of what was printed."""
        text = self._text.decode(printed, final).translate(STEERING)
        if self._file is None or self._left <= 0:
            return
        self._left -= len(text)
        try:
            _write_all(self._file, (text if self._left > 0 else text + CUT).encode())
        except OSError as error:
            self.error, self._file = error.errno or 1, None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main(path: str, command: list[str]) -> None:
    """Starts the command and stays with it to its end."""
    assert os.getpgrp() == os.getpid(), "the group that is killed in the end is its own"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # it ends when the pipe does; no signal is ignored, for the program would inherit that
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    log = Log(path)
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
    except OSError as error:
        _end({"error": error.errno})
        return
    code = _stay_with(program, log, woken)
    log.add(b"", final=True)
    _end({"code": code, **({"unkept": log.error} if log.error else {})})


def _stay_with(program: "subprocess.Popen[bytes]", log: Log, woken: int) -> int:
    """The exit code, once the program has ended, by itself or because the pipe has."""
    assert program.stdout is not None
    printed, until, parent = program.stdout.fileno(), float("inf"), os.getppid()
    os.set_blocking(printed, False)
    with selectors.DefaultSelector() as ready:
        for descriptor in (0, printed, woken):
            ready.register(descriptor, selectors.EVENT_READ)
        while program.poll() is None and time.monotonic() < until:
            for key, _ in ready.select(None if until == float("inf") else POLL):
                if key.fd == woken:
                    os.read(woken, AT_ONCE)
                elif key.fd == printed:
                    if _take(printed, log) == b"":
                        ready.unregister(printed)
                elif not os.read(0, AT_ONCE):
                    ready.unregister(0)
                    until = time.monotonic() + GRACE
                    os.killpg(0, signal.SIGTERM)
            if until < float("inf") and os.getppid() != parent:
                break  # nobody waits for its end: the next one may work in the same folder at any time
        for _ in range(LAST):  # what was printed last; something that was left running may print for ever
            if not _take(printed, log):
                break
    return -signal.SIGKILL if program.returncode is None else program.returncode


def _take(descriptor: int, log: Log) -> bytes | None:
    """Keeps what a pipe holds now: None where that is nothing, empty where it has ended."""
    try:
        data = os.read(descriptor, AT_ONCE)
    except BlockingIOError:
        return None
    log.add(data)
    return data


def _end(outcome: dict[str, int | None]) -> None:
    with suppress(OSError):  # nobody is there any more
        os.write(1, json.dumps(outcome).encode() + b"\n")
    os.killpg(0, signal.SIGKILL)  # what the program has left running, and this script


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
