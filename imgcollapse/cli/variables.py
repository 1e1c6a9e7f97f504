"""Which settings a command has taken from the environment."""

import os

import click
from click.core import ParameterSource

from imgcollapse import progress

HARMLESS = ("IMGCOLLAPSE_DATA", "IMGCOLLAPSE_JUDGE_BESIDE")  # where data are kept, and when it is judged: they change no result


def say_used() -> None:
    """Says it in a line, where there are any that can change a result: a variable set long ago is easily forgotten."""
    context = click.get_current_context()
    used = [str(one.envvar) for one in context.command.params if context.get_parameter_source(str(one.name)) is ParameterSource.ENVIRONMENT]
    told = [f"{name}={os.environ[name]}" for name in used if name not in HARMLESS]
    if told:
        progress.say(f"from the environment: {', '.join(told)}")
