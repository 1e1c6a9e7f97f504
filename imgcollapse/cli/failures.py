"""How an error ends a command: one line on stderr, an exit code, and with --json an object on stdout."""

import click

from imgcollapse.machine import streams


def failed(error: Exception, as_json: bool, log_json: bool = False) -> int:
    """Tells of the error; returns the exit code. log_json: as an event, where whoever reads stderr is a program."""
    from imgcollapse.errors import explained

    problem = explained(error)
    reason = " ".join(str(problem or error).split()) or type(error).__name__
    code, kind = (problem.exit_code, type(problem).__name__) if problem else (1, type(error).__name__)
    if log_json:
        streams.err_event({"event": "error", "kind": kind, "exit_code": code}, reason)
    else:
        streams.err(f"imgcollapse: {reason}" + ("" if problem else f" ({kind}; `imgcollapse --debug ...` shows where)"))
    if as_json:
        tell(reason, kind, code)
    return code


def mistyped(error: click.UsageError, words: str, as_json: bool) -> click.UsageError:
    """The same error in these words, for click to show."""
    shown = streams.shown(words)
    if as_json:
        tell(shown, "UsageError", error.exit_code)
    return click.UsageError(shown, error.ctx)


def tell(message: str, kind: str, code: int) -> None:
    """Prints the object, unless a result was printed already (of samples some of which failed): stdout is one JSON text."""
    if not streams.has_told_json():
        streams.out_json({"error": {"kind": kind, "message": message, "exit_code": code}})
