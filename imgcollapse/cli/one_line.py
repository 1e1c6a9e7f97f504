"""The group of all commands: an error is one line and an exit code."""

import sys
from typing import Any

import click

from imgcollapse import progress
from imgcollapse.cli import failures, hints
from imgcollapse.machine import streams, typed


class OneLine(click.Group):
    """Turns the library's errors into one line and an exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """The command line, on streams that cannot fail."""
        streams.steady()
        words = options.get("args", arguments[0] if arguments else None)
        with progress.remembering(), typed.noted(typed.in_words(sys.argv[1:] if words is None else words)):
            return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a traceback is shown only with --debug."""
        as_json, log_json = (flag in ctx.args for flag in ("--json", "--log-json"))
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:  # before or after the work itself, which ends cleanly by itself
            streams.err("imgcollapse: stopped; what is finished is kept. To go on, run the same command again.")
            ctx.exit(130)
        except click.UsageError as error:  # click shows what was typed as it was typed
            raise failures.mistyped(error, hints.told(error, self.commands), as_json) from None
        except click.ClickException:
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            ctx.exit(failures.failed(error, as_json, log_json))
