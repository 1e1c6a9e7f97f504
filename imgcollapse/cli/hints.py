"""What is said of an option that a command does not have."""

from collections.abc import Mapping

import click

from imgcollapse.errors import nearest

AGAIN = "Running the same command again goes on from what is finished."
OF_MODEL = "What is of a model is set so: --set model.NAME=VALUE; `imgcollapse list ddpm` shows the names."
ADVICE = {
    **dict.fromkeys(("--resume", "--continue", "--restart"), AGAIN),
    **dict.fromkeys(("--epochs", "--steps", "--lr", "--batch-size"), OF_MODEL),
}
CALLED = {
    **dict.fromkeys(("--generations", "--iterations"), "--gens"),
    **dict.fromkeys(("--output", "--outdir", "--output-dir"), "--out"),
}
"""What other programs call an option -> its name here."""
NEAR = 0.8  # of two names, where one is taken for a slip of the other; resume and regime are 0.67 alike


def told(error: click.UsageError, commands: Mapping[str, click.Command]) -> str:
    """What was typed wrong, in words. Of an unknown option also the cure: another way, the command that has it, a name that is near."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error.format_message()
    name, known = error.option_name, _options(error.ctx.command)
    message = f"No such option '{name}'."
    if name in ADVICE and error.ctx.command.name in ("run", "ablate"):
        return f"{message} {ADVICE[name]}"
    others = [f"`imgcollapse {other}`" for other, command in commands.items() if name in _options(command)]
    words = [f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} it."] if others else []
    meant = CALLED[name] if CALLED.get(name) in known else nearest(name, known, NEAR)
    return " ".join([message, *words, *([f"Did you mean '{meant}'?"] if meant else [])])


def _options(command: click.Command) -> list[str]:
    """The long ones."""
    return [
        name for one in command.params if isinstance(one, click.Option) for name in (*one.opts, *one.secondary_opts) if name[:2] == "--"
    ]
