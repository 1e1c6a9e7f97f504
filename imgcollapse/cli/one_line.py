"""The group of all commands: an error is one line and an exit code."""

from typing import Any

import click

from imgcollapse import progress
from imgcollapse.cli import failures, hints
from imgcollapse.machine import streams


class OneLine(click.Group):
    """Turns the library's errors into one line and an exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """The command line, on streams that cannot fail."""
        streams.steady()
        with progress.remembering():
            return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a traceback is shown only with --debug."""
        as_json, log_json = (flag in ctx.args for flag in ("--json", "--log-json"))
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except click.UsageError as error:  # click shows what was typed as it was typed
            raise failures.mistyped(error, hints.told(error, self.commands), as_json) from None
        except click.ClickException:
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            ctx.exit(failures.failed(error, as_json, log_json))
