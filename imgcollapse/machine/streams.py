"""What is printed: it is never the reason why a command fails, and a name stands there as it is, whatever is in it.

Nothing heavy is imported here: `--help` must answer at once.
"""

import errno
import io
import json
import os
import select
import sys
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

STAMP = "%Y-%m-%d %H:%M:%S"
JOINERS = "\u200c\u200d"  # parts of words in some scripts, and of emoji
_told: list[bool] = []  # not empty: this command has printed its result for programs
NOBODY_READS = (errno.EPIPE, errno.EBADF)  # `| head -1`, `>&-`: the reader wants no more, and that is no error


def steady() -> None:
    """Makes of stdout and stderr streams that cannot fail, for the rest of this process.

    A character that the encoding lacks becomes its escape. Where nobody reads any more, what is printed is lost and nothing else; where it
    cannot be written for another reason (a full disk), that is reported on stderr. The exit code stays that of the work.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # closed: else the next file that is opened would be stdout
        os.set_inheritable(number, True)
    os.close(number)
    _told.clear()
    for number, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, _steadied(getattr(sys, name), number))


def _steadied(stream: Any, number: int) -> Any:
    buffer = getattr(stream, "buffer", None) or (io.FileIO(number, "w", closefd=False) if stream is None else None)
    raw = getattr(buffer, "raw", buffer)
    if isinstance(raw, _Steady):
        return stream
    if isinstance(raw, io.RawIOBase):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        lines, at_once = (bool(getattr(stream, name, False)) for name in ("line_buffering", "write_through"))
        writer = io.BufferedWriter(_Steady(raw, stream))
        return io.TextIOWrapper(writer, encoding, "backslashreplace", line_buffering=lines, write_through=at_once)
    if isinstance(stream, io.TextIOWrapper):  # in memory, as of a test
        stream.reconfigure(errors="backslashreplace")
    return stream


class _Steady(io.RawIOBase):
    """A descriptor that takes all that is written to it. `stream`, which would close it when it goes, stays as long as this."""

    def __init__(self, raw: Any, stream: Any) -> None:
        self._raw, self._stream, self._said = raw, stream, False
        self.name, self.mode = getattr(raw, "name", ""), "wb"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def write(self, data: Any) -> int:
        try:
            while (written := self._raw.write(data)) is None:  # a pipe that does not block, and is full
                select.select((), (self,), ())
            return int(written)
        except OSError as error:
            self._lose(error)
        except ValueError:  # somebody has closed it
            pass
        return len(data)

    def _lose(self, error: OSError) -> None:
        if self._said or error.errno in NOBODY_READS or self.fileno() == 2:
            return
        self._said = True
        try:
            os.write(2, f"imgcollapse: not all of what was printed could be written ({error.strerror})\n".encode())
        except OSError:
            pass


def shown(text: str, encoding: str | None = "utf-8") -> str:
    """The text on one line as a terminal of that encoding can show it.

    What steers a terminal (escapes, line ends, marks that turn the direction of writing), what cannot be seen, bytes of a file name that
    are no text and letters that the encoding lacks stand as `\\x1b`, `\\n`, `\\u202e`, `\\xe9`.
    """
    if text.isascii() and text.isprintable():
        return text
    seen = "".join(letter if letter.isprintable() or _is_blank(letter) else _escape(letter) for letter in text)
    return seen.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")


def _is_blank(letter: str) -> bool:
    return letter in JOINERS or unicodedata.category(letter) == "Zs"


def _escape(letter: str) -> str:
    byte = ord(letter) - 0xDC00  # how Python keeps a byte that is no text
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else letter.encode("unicode_escape").decode()


def out(line: str) -> None:
    """Prints a line of the result."""
    print(shown(line, sys.stdout.encoding), flush=True)


def err(line: str) -> None:
    """Prints a line beside the results."""
    print(shown(line, sys.stderr.encoding), file=sys.stderr, flush=True)


def stamped(line: str, when: float | None = None) -> str:
    """The line behind the time, UTC, to the second. when: seconds since 1970; None: now."""
    return f"{_moment(when):{STAMP}}  {line}"


def err_event(facts: Mapping[str, Any], text: str) -> None:
    """Prints an event for programs beside the results, with its time: a JSON object on a line of its own, in ASCII."""
    print(json.dumps({"time": _moment().isoformat(timespec="milliseconds"), **facts, "text": text}), file=sys.stderr, flush=True)


def _moment(when: float | None = None) -> datetime:
    return datetime.now(UTC) if when is None else datetime.fromtimestamp(when, UTC)


def out_json(record: dict[str, Any], indent: int | None = None) -> None:
    """Prints a result for programs: JSON in ASCII, which every encoding has. Paths read back as they are, bytes that are no text too."""
    _told.append(True)
    print(json.dumps(record, indent=indent), flush=True)


def has_told_json() -> bool:
    """Whether `out_json` has printed something in this command."""
    return bool(_told)
