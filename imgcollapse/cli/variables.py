"""Which settings a command has taken from the environment."""

import os

import click
from click.core import ParameterSource

from imgcollapse import progress

# where data are kept, when it is judged, how often unfinished work is kept: they change no result
HARMLESS = ("IMGCOLLAPSE_DATA", "IMGCOLLAPSE_JUDGE_BESIDE", "IMGCOLLAPSE_CHECKPOINT_EVERY")


def say_used() -> None:
    """Says it in a line, where there are any that can change a result: a variable set long ago is easily forgotten."""
    context = click.get_current_context()
    used = [str(one.envvar) for one in context.command.params if context.get_parameter_source(str(one.name)) is ParameterSource.ENVIRONMENT]
    told = [f"{name}={os.environ[name]}" for name in used if name not in HARMLESS]
    if told:
        progress.say(f"from the environment: {', '.join(told)}")
